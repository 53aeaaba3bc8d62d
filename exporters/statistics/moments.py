"""Moments of a sample that merge: count, mean, and sums of powers of the distances from that mean."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import isfinite

import msgspec
import numpy as np

from mlvitals.exporters.reading.columns import Numbers

PIECE = 8192
"""Values summed at once: they stay in a core's fastest caches, and are too few for the dot product of any BLAS to
start threads of its own, which would round as they happen to cut."""


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Power sums of finite values about their own mean.

    About the mean and not about a fixed origin: the spread of values that moved far away, such as a Unix time
    compared with an age in days, would else drown in rounding.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0
    fourths: float = 0.0

    @classmethod
    def of(cls, values: Numbers) -> Moments:
        """Return the moments of values in ascending order; not finite where a sum overflows."""
        if not values.size or values[0] == values[-1]:
            # Plus 0: of zeros of either sign, which is first is chance.
            return cls(count=values.size, mean=float(values[0]) + 0.0 if values.size else 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean(dtype=np.float64))
            sums = np.zeros(3)
            for start in range(0, values.size, PIECE):
                distances = np.subtract(values[start : start + PIECE], mean, dtype=np.float64)
                squares = np.square(distances)
                sums += (distances @ distances, distances @ squares, squares @ squares)
        return cls(count=values.size, mean=mean, squares=float(sums[0]), cubes=float(sums[1]), fourths=float(sums[2]))

    def merge(self, other: Moments) -> Moments:
        """Return the moments of the values of both (Pebay 2008, formulas 1.1 to 1.6)."""
        if not self.count or not other.count:
            return self if self.count else other
        m, n = self.count, other.count
        total, gap = m + n, other.mean - self.mean
        share = gap / total
        step = gap * share * m * n
        return Moments(
            count=total,
            mean=self.mean + n * share,
            squares=self.squares + other.squares + step,
            cubes=self.cubes
            + other.cubes
            + step * share * (m - n)
            + 3 * share * (m * other.squares - n * self.squares),
            fourths=self.fourths
            + other.fourths
            + step * share * share * (m * m - m * n + n * n)
            + 6 * share * share * (m * m * other.squares + n * n * self.squares)
            + 4 * share * (m * other.cubes - n * self.cubes),
        )

    @classmethod
    def mixed(cls, parts: Iterable[tuple[Moments, float]]) -> Moments:
        """Return the moments of parts whose values weigh differently, for as many values as they say as much as.

        That is Kish's effective sample size (1965): (sum of w)^2 / sum of w^2 over the values.

        Args:
            parts: each with the weight of a value of it, above 0.
        """
        known = [(part, weight) for part, weight in parts if part.count]
        if all(weight == 1 for _, weight in known):
            return reduce(cls.merge, (part for part, _ in known), NO_MOMENTS)
        counts, weights, means, squares, cubes, fourths = np.array(
            [(part.count, weight, part.mean, part.squares, part.cubes, part.fourths) for part, weight in known]
        ).T
        with np.errstate(over="ignore", invalid="ignore"):
            shares = weights * counts
            mean = float(shares @ means / shares.sum())
            count = round(float(shares.sum() ** 2 / (weights @ shares)))
            scale = weights * count / shares.sum()
            gaps = means - mean
            sums = (
                squares + counts * gaps**2,
                cubes + 3 * gaps * squares + counts * gaps**3,
                fourths + 4 * gaps * cubes + 6 * gaps**2 * squares + counts * gaps**4,
            )
            second, third, fourth = (float(scale @ part) for part in sums)
        return cls(count=count, mean=mean, squares=second, cubes=third, fourths=fourth)

    @property
    def is_finite(self) -> bool:
        """True if no sum overflowed."""
        return all(map(isfinite, (self.mean, self.squares, self.cubes, self.fourths)))

    @property
    def variance(self) -> float:
        """Return the mean squared distance from the mean; 0 without values."""
        return self.squares / self.count if self.count else 0.0

    @property
    def kurtosis(self) -> float:
        """Return the fourth central moment over squared variance: 3 for a normal law, at least 1; 1 for a constant."""
        squared = self.squares * self.squares
        return max(1.0, self.count * self.fourths / squared) if squared else 1.0


NO_MOMENTS = Moments()
"""Those of no values."""
