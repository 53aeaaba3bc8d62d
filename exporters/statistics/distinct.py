"""The number of distinct values, in bounded memory and the same for any split of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, lambertw

from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.statistics.noise import TAIL, reach

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
        """Return the sketch of some values."""
        hashed = (int.from_bytes(blake2b(value, digest_size=8).digest()) for value in values)
        return cls(np.unique(np.fromiter(hashed, np.uint64))[:CAPACITY])

    def merge(self, other: DistinctValues) -> DistinctValues:
        """Return the sketch of the values of both."""
        if not self.hashes.size or not other.hashes.size:
            return self if self.hashes.size else other
        return DistinctValues(np.union1d(self.hashes, other.hashes)[:CAPACITY])

    @property
    def count(self) -> float:
        """Return how many distinct values were seen: exact below `CAPACITY`, else estimated."""
        if len(self.hashes) < CAPACITY:
            return float(len(self.hashes))
        return (CAPACITY - 1) * 2.0**64 / float(self.hashes[-1])


NO_VALUES = DistinctValues(np.empty(0, np.uint64))


class Abundances(NamedTuple):
    """The numbers of levels by the number of their rows."""

    rows: NDArray[np.float64]
    levels: NDArray[np.float64]

    def plus(self, other: Abundances) -> Abundances:
        """Return the levels of both."""
        return Abundances(np.concatenate((self.rows, other.rows)), np.concatenate((self.levels, other.levels)))

    def sum(self, of_a_level: NDArray[np.float64]) -> float:
        """Return the sum over all levels of a statistic that each number of rows has."""
        return float(self.levels @ of_a_level)


_NOTHING = Abundances(np.empty(0), np.empty(0))
_FREQUENT = 500.0
"""Rows of a new level from which its number of rows is as good as its mean."""
_SELDOM = 1e-6
"""Share of new levels with a second row below which each has one."""


def _abundances(counts: Counts) -> Abundances:
    rows, levels = np.unique(counts[counts > 0], return_counts=True)
    return Abundances(rows.astype(np.float64), levels.astype(np.float64))


class LevelSamples(NamedTuple):
    """The counts of each level of the reference in reference and window, and what only the window holds."""

    reference: Counts
    """Counts per level, not all zero."""
    window: Counts
    """Of the same levels."""
    new_levels: float
    """Distinct values of the window that the reference lacks; beyond `CAPACITY` they are estimated."""
    new_rows: int
    """Rows that hold them."""

    @property
    def distinct(self) -> float:
        """Return the number of distinct values of the window."""
        return int(np.count_nonzero(self.window)) + self.new_levels

    @property
    def pooled(self) -> Abundances:
        """Return rows per level on both sides together."""
        return _abundances(self.reference + self.window).plus(self._new)

    @property
    def whole_window(self) -> Abundances:
        """Return rows per level of the window."""
        return _abundances(self.window).plus(self._new)

    @property
    def _new(self) -> Abundances:
        """Return rows per new level, of which only the sum is known: assumed equally frequent where they come from.

        Sampled, such levels have a Poisson number of rows, given that it is not 0; its rate follows from the mean.
        """
        if not self.new_rows:
            return _NOTHING
        mean = self.new_rows / self.new_levels
        if mean > _FREQUENT or mean < 1 + _SELDOM:
            return Abundances(np.array([mean]), np.array([self.new_levels]))
        rate = mean + float(lambertw(-mean * exp(-mean)).real)
        counts = np.arange(1.0, rate + 10 * sqrt(rate) + 10)
        chances = np.exp(counts * log(rate) - gammaln(counts + 1))
        return Abundances(counts, self.new_levels * chances / chances.sum())


class LevelChange(NamedTuple):
    """Distinct values of a window against what as many rows of the reference hold."""

    expected: float
    """Distinct values where nothing changed."""
    change: float
    """Distinct values over the expected ones, minus 1."""
    noise: float
    """The change, to either side, that chance alone exceeds once in 1000 windows."""


def level_change(levels: LevelSamples, tail: float = TAIL) -> LevelChange | None:
    """Compare the numbers of distinct values of two samples at the size of the smaller one.

    The larger sample is rarefied (Hurlbert 1971): its expected number of levels in n of its N rows is the sum over
    levels of 1 - C(N - N_i, n) / C(N, n). Chance is what exchanging the rows of both samples does: given the pooled
    count T of a level its contribution to the difference has mean 0 and a variance that follows from T alone, so that
    a level that neither sample was bound to meet counts as the coin toss that it is, and a level that the reference
    should have met does not. That rare levels exist that nobody has seen is thereby allowed for; that the reference
    knows all levels is not assumed.

    Returns:
        None where the window is the larger one and the reference met a level just once: it may lack any number.
    """
    size, rows = int(levels.reference.sum()), int(levels.window.sum()) + levels.new_rows
    if rows > size and (levels.reference == 1).any():
        return None
    variance = _difference_variance(levels.pooled, min(size, rows), max(size, rows))
    if levels.new_levels >= CAPACITY:  # then it is an estimate
        variance += levels.new_levels**2 / CAPACITY
    noise = reach(variance, 1.0, tail)
    if rows <= size:
        expected = rarefied(_abundances(levels.reference), rows)
        return LevelChange(expected, levels.distinct / expected - 1, noise / expected)
    met = int(np.count_nonzero(levels.reference))
    change = rarefied(levels.whole_window, size) / met - 1
    return LevelChange(levels.distinct / (1 + change), change, noise / met)


def rarefied(levels: Abundances, rows: int) -> float:
    """Return how many distinct levels that many rows hold, drawn from counted ones without putting back.

    Args:
        levels: at least one.
        rows: at least 1, and no more than were counted.
    """
    size = levels.sum(levels.rows)
    others = size - levels.rows
    possible = others >= rows
    left = np.where(possible, others - rows, 0)
    logarithms = gammaln(others + 1) - gammaln(left + 1) - gammaln(size + 1) + gammaln(size - rows + 1)
    return levels.sum(1 - np.where(possible, np.exp(np.minimum(logarithms, 0.0)), 0.0))


def _difference_variance(pooled: Abundances, rows: int, size: int) -> float:
    """Return the variance of the difference in levels of a sample and a larger one that is rarefied to its size.

    A level's rows are shared out by tosses of a coin, f = n / (N + n), on condition that the tosses of all levels sum
    to n. Of the contribution D = [n_i > 0] - 1 + (1 - n/N)^N_i of a level the mean is 0, and
    E D^2 = (1 - f)^T (1 - 2 (1 - n/N)^T) + (1 - 2f + f n/N)^T; the condition takes away the square of
    Cov(D, n_i) = T f (1 - f)^(T - 1), summed over levels, over the variance of the sum of tosses.

    Args:
        pooled: levels of both samples.
        rows: of the smaller sample, n.
        size: of the larger sample, N.
    """
    share, ratio = rows / (rows + size), rows / size
    absent = (1 - share) ** pooled.rows
    squares = absent * (1 - 2 * (1 - ratio) ** pooled.rows) + (1 - 2 * share + share * ratio) ** pooled.rows
    together = pooled.sum(pooled.rows * absent) * share / (1 - share)
    return max(0.0, pooled.sum(squares) - together**2 / (pooled.sum(pooled.rows) * share * (1 - share)))


def new_row_noise(levels: LevelSamples, tail: float = TAIL) -> float:
    """Return the share of the window's rows with new levels that chance alone exceeds once in 1000 windows.

    Given the pooled count T of a level all of its rows are the window's with probability f^T, f the window's share of
    all rows; then T rows hold a new level at once. The sum of such jumps is taken for a Poisson number of jumps of
    one size that has the same mean, variance and third moment.
    """
    size, rows = int(levels.reference.sum()), int(levels.window.sum()) + levels.new_rows
    pooled = levels.pooled
    chances = (rows / (size + rows)) ** pooled.rows
    mean, variance, third = (pooled.sum(pooled.rows**power * chances) for power in (1, 2, 3))
    if not variance:
        return 0.0
    return (mean + reach(variance, third / variance, tail)) / rows
