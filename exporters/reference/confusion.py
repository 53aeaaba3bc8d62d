"""Which class was predicted for which: a matrix of integers, from which every metric of classes follows.

A metric that has nothing to be computed from is None and left out of averages, as in scikit-learn with
``zero_division=np.nan``; where every class occurs among outcomes and predictions, this is scikit-learn's default too.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
"""One per class, NaN where undefined."""


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of predictions by their true class and by the predicted one.

    The last row, and the last column, are all classes that the spec does not list: they are never predicted right.
    """

    names: tuple[str, ...]
    """Of the classes that the spec lists."""
    matrix: tuple[tuple[int, ...], ...]
    """Rows: the true class. Columns: the predicted one."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Return the matrix as an array."""
        return np.array(self.matrix, np.int64)

    @property
    def total(self) -> int:
        """Return how many predictions have both a class and an outcome."""
        return int(self.counts.sum())

    @property
    def hits(self) -> NDArray[np.int64]:
        """Return by class how many were predicted right."""
        return np.diagonal(self.counts)[:-1].copy()

    @property
    def true(self) -> NDArray[np.int64]:
        """Return by class how many there were."""
        sums: NDArray[np.int64] = self.counts.sum(axis=1)[:-1]
        return sums

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Return by class how often it was predicted."""
        sums: NDArray[np.int64] = self.counts.sum(axis=0)[:-1]
        return sums

    @property
    def recall(self) -> Shares:
        """Return the share of each class that was predicted right."""
        return shares(self.hits, self.true)

    @property
    def precision(self) -> Shares:
        """Return the share of each class' predictions that were right."""
        return shares(self.hits, self.predicted)

    @property
    def f1(self) -> Shares:
        """Return the harmonic mean of precision and recall of each class."""
        return shares(2 * self.hits, self.true + self.predicted)

    def figures(self) -> dict[str, float | None]:
        """Return accuracy, and the means of precision, recall and F1: of all classes alike, and weighted by class size."""
        found: dict[str, float | None] = {"accuracy": int(self.hits.sum()) / self.total if self.total else None}
        for name in ("precision", "recall", "f1"):
            values: Shares = getattr(self, name)
            found[f"macro_{name}"] = _mean(values, np.ones(len(values)))
            found[f"weighted_{name}"] = _mean(values, self.true.astype(np.float64))
        return found


def shares(parts: NDArray[np.int64] | Shares, wholes: NDArray[np.int64] | Shares) -> Shares:
    """Return parts / wholes, NaN where there is nothing to divide by."""
    found: Shares = np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
    return found


def _mean(values: Shares, weights: Shares) -> float | None:
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=weights[known])) if weights[known].sum() else None
