"""The values of a segment column, bounded in number and length whatever the column holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from exporters.columns import Column, comparable
from generator.spec.model import FeatureType

OTHER = "other"
"""The rest: values that are not kept, and a value of this very name."""
MISSING = "(missing)"
"""Rows without a value."""
MOST_VALUES = 2_000
"""Values of a column that are told apart while a window is read; those met later are counted with the rest."""
LONGEST = 80
"""Characters of a value; values that agree in them are one segment."""

Codes = NDArray[np.uint32]


class SegmentValues:
    """A column's values in the order in which they were met. A row's code is the place of its value."""

    def __init__(self) -> None:
        self._places = {OTHER: 0}

    @property
    def names(self) -> list[str]:
        """The values, by code."""
        return list(self._places)

    def codes(self, column: Column) -> Codes:
        """The code of each row.

        Raises:
            ColumnTypeError: the column holds no categories, such as fractions or times.
        """
        encoded: Any = comparable(column, FeatureType.CATEGORICAL).dictionary_encode("encode")
        places = [self._place(value) for value in encoded.dictionary.cast(pa.large_binary()).to_pylist()]
        codes: Codes = np.array(places, np.uint32)[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes

    def _place(self, value: bytes | None) -> int:
        """As bytes: what is no UTF-8 is still a value."""
        name = MISSING if value is None else value.decode("utf-8", "replace")[:LONGEST]
        if name not in self._places and len(self._places) >= MOST_VALUES:
            name = OTHER
        return self._places.setdefault(name, len(self._places))
