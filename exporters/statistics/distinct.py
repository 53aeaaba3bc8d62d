"""How many distinct values there are, in bounded memory and the same for any split of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, pdtrik

from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.statistics.distances import NOISE, TWO_SIDED

CAPACITY = 1024
"""Hashes kept. Up to here the count is exact, beyond it about 1 / sqrt(CAPACITY), 3 %, is its standard error."""


@dataclass(frozen=True, slots=True, eq=False)
class DistinctValues:
    """The smallest hashes of the values seen: a k-minimum-values sketch (Bar-Yossef et al. 2002, Beyer et al. 2007).

    The smallest of a union are the smallest of the smallest, so that merging is exact.
    """

    hashes: NDArray[np.uint64]
    """Ascending, at most `CAPACITY`."""

    @classmethod
    def of(cls, values: Iterable[bytes]) -> DistinctValues:
        """The sketch of some values."""
        hashed = (int.from_bytes(blake2b(value, digest_size=8).digest()) for value in values)
        return cls(np.unique(np.fromiter(hashed, np.uint64))[:CAPACITY])

    def merge(self, other: DistinctValues) -> DistinctValues:
        """The sketch of the values of both."""
        if not self.hashes.size or not other.hashes.size:
            return self if self.hashes.size else other
        return DistinctValues(np.union1d(self.hashes, other.hashes)[:CAPACITY])

    @property
    def count(self) -> float:
        """How many distinct values were seen: exact below `CAPACITY`, else estimated."""
        if len(self.hashes) < CAPACITY:
            return float(len(self.hashes))
        return (CAPACITY - 1) * 2.0**64 / float(self.hashes[-1])


NO_VALUES = DistinctValues(np.empty(0, np.uint64))


def expected_levels(reference: Counts, rows: int) -> float | None:
    """How many distinct levels a sample of so many rows holds where nothing changed.

    Up to the reference's own size N this is rarefaction (Hurlbert 1971): the sum over levels of
    1 - C(N - N_i, n) / C(N, n). A larger sample holds every level, provided that the reference met all there are: it
    met none just once. Otherwise nobody knows, and the answer is None.

    Args:
        reference: counts per level, not all zero.
        rows: n, at least 1.
    """
    counts = reference[reference > 0]
    size = int(counts.sum())
    if rows <= size:
        return float((1 - _absence(counts, size, rows)).sum())
    return None if (counts == 1).any() else float(len(counts))


def _extrapolated_levels(reference: Counts, rows: int) -> float:
    """The same up to twice the reference's size, the levels not met estimated from those met once and twice.

    Chao et al. 2014, with the Chao1 estimate of the unmet. It is a lower bound: good for a variance, not for an alarm.
    """
    known = expected_levels(reference, rows)
    if known is not None:
        return known
    size, once, twice = int(reference.sum()), int((reference == 1).sum()), int((reference == 2).sum())
    unmet = (size - 1) / size * (once * once / (2 * twice) if twice else once * (once - 1) / 2)
    found = int(np.count_nonzero(reference))
    return found + unmet * (1 - (1 - once / (size * unmet + once)) ** (rows - size))


def _absence(counts: Counts, size: int, rows: int) -> NDArray[np.float64]:
    """How likely each level is in none of `rows` rows drawn from the reference without putting back."""
    others = size - counts
    possible = others >= rows
    left = np.where(possible, others - rows, 0)
    logarithms = gammaln(others + 1) - gammaln(left + 1) - gammaln(size + 1) + gammaln(size - rows + 1)
    return np.where(possible, np.exp(np.minimum(logarithms, 0.0)), 0.0)


def levels_noise(reference: Counts, rows: int) -> float:
    """By how many levels noise alone moves the count of distinct levels once in 1000 windows.

    The variance of the count S(n) is at most E S(2n) - E S(n): levels are present or absent, and the presence of one
    makes that of another less likely. The reference's own share of the noise is at most n/N of the window's
    (Hoeffding 1948: rarefaction is a U-statistic). Few levels are uncertain where that variance is small, so a Poisson
    law gives the quantile.
    """
    variance = _extrapolated_levels(reference, 2 * rows) - _extrapolated_levels(reference, rows)
    variance = max(0.0, variance) * (1 + rows / int(reference.sum()))
    if variance <= NOISE / 2:
        return 0.5  # not even one level more or less
    return float(np.ceil(pdtrik(1 - NOISE / 2, variance)) - np.floor(variance))


def unseen_ratio_noise(reference: Counts, rows: int) -> float:
    """The share of rows with levels that the reference has not met, that noise alone exceeds about once in 1000 windows.

    Expected is the share that the reference met once (Good 1953; one row more is allowed for), with the variance
    (f1 + 2 f2) / N^2 of that estimate (Esty 1983; f1 and f2 levels were met once and twice) and that of n rows.
    """
    size, once, twice = int(reference.sum()), int((reference == 1).sum()), int((reference == 2).sum())
    expected = (once + 1) / size
    return expected + TWO_SIDED * sqrt(expected / rows + (once + 2 * twice) / size**2)
