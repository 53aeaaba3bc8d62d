"""Classes as numbers: a class of the spec is its place there, any other a number of its own."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, canonical, comparable
from mlvitals.exporters.reading.ids import hash_ids
from mlvitals.generator.spec.model import FeatureType

Codes: TypeAlias = NDArray[np.float64]
"""NaN where a class is missing. Floats hold integers up to 2**53 exactly, so that codes are joined like any label."""

MOST_NAMES = 1000
"""Names of classes that the spec does not list and that are remembered; further ones are counted without a name."""
LONGEST = 80
"""Characters of such a name that are kept."""
_BITS = np.uint64(52)


class ClassCodes:
    """The classes of a spec, and the names of others that were met."""

    def __init__(self, names: Sequence[str]) -> None:
        self._known = canonical(pa.array(names, pa.large_string()))
        self.unseen: dict[int, str] = {}
        """By code, the names of classes that the spec does not list."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, column: Column) -> Codes:
        """Return the class of each row. Classes that the spec does not list have codes from `len(self)` on, by their name.

        Raises:
            ColumnTypeError: the column holds no classes, such as fractions or lists.
        """
        texts: Any = comparable(column, FeatureType.CATEGORICAL)
        places: Any = pc.index_in(texts, value_set=self._known)
        codes: Codes = places.cast(pa.float64()).fill_null(nan).to_numpy(zero_copy_only=False).copy()
        strange: Any = pc.and_(pc.is_null(places), pc.is_valid(texts))
        if strange.true_count:
            codes[strange.to_numpy(zero_copy_only=False)] = self._others(texts.filter(strange))
        return codes

    def _others(self, texts: Any) -> Codes:
        """Return a number for each name that is the same in whatever file and order it is met."""
        encoded = texts.dictionary_encode()
        names = [item.decode("utf-8", "replace") for item in encoded.dictionary.cast(pa.large_binary()).to_pylist()]
        numbers = (hash_ids(pa.array(names, pa.large_string()), 0) >> (np.uint64(64) - _BITS)) + np.uint64(len(self))
        for number, name in zip(numbers.tolist(), names, strict=True):
            if len(self.unseen) < MOST_NAMES:
                self.unseen.setdefault(number, name[:LONGEST])
        codes: Codes = numbers.astype(np.float64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes


def most_probable(probabilities: NDArray[np.float64]) -> Codes:
    """Return the class of the largest probability in each row, the first of equal ones; NaN where one is missing.

    Args:
        probabilities: shape (rows, classes).
    """
    missing = np.any(np.isnan(probabilities), axis=1)
    codes: Codes = np.where(missing, nan, np.argmax(np.nan_to_num(probabilities), axis=1))
    return codes
