"""The effect of chance alone on a statistic of two samples that come from one population.

Assumption of every floor here: the rows are independent and, without change, exchangeable. Which of the pooled rows are
the window's and which the reference's is then a random choice, whatever the population looks like (Fisher 1935; Pitman
1937: the permutation test). Given the pooled rows, a floor needs no variance of the window alone: such a variance is
small exactly where a window happens to lack what is rare, and then calls the lack significant.
"""

from __future__ import annotations

from math import ceil, floor, inf, log1p, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik, gammaln, ndtri, pdtrik

from mlvitals.exporters.statistics.distances import NOISE
from mlvitals.exporters.statistics.moments import Moments

TAIL = NOISE / 2
"""The probability that chance alone exceeds a floor on one side."""
_MANY_JUMPS = 1000.0
"""From that many jumps on the expansion about the normal law is as good as Poisson's law."""
_FARTHEST = 15
"""Standard deviations, jumps or hits, from the mean beyond which a tail holds nothing."""


def reach(variance: float, jump: float, tail: float = TAIL) -> float:
    """Return how far above its mean a sum of independent jumps goes with probability `tail` at most.

    The sum is taken as `jump` times a Poisson number: of all sums of jumps no larger and of that variance it is the one
    with the heaviest tail (Bennett 1962). Half a jump is added, because the sum takes few values where jumps are few.

    Args:
        variance: of the sum.
        jump: size of a jump; 0 gives the normal law.
        tail: the probability.
    """
    deviation = sqrt(variance)
    jumps = variance / (jump * jump) if jump * jump else inf
    if jumps > _MANY_JUMPS:  # Cornish and Fisher 1938, to the skewness
        normal = float(ndtri(1 - tail))
        return normal * deviation + (normal * normal - 1) / 6 * jump + jump / 2
    return jump * (_poisson_quantile(jumps, tail) + 0.5 - jumps)


def _poisson_quantile(mean: float, tail: float) -> int:
    """Return the smallest number that a Poisson law exceeds with probability `tail` at most."""
    return 0 if mean <= -log1p(-tail) else ceil(float(pdtrik(1 - tail, mean)))


def mean_noise(reference: Moments, window: Moments, tail: float = TAIL) -> float:
    """Return the distance that chance alone puts between the means of two samples, to either side.

    Mean and higher moments of a sample drawn without replacement from the pooled values are Fisher's (1928; the
    corrections of order 1/N are left out but for the variance). The jump is matched to the skewness or to the kurtosis,
    whichever is the larger: rare large values to one side, or to both.

    Args:
        reference: moments of one sample, of at least one value.
        window: moments of the other.
        tail: probability of either side.
    """
    pooled = reference.merge(window)
    size, drawn = pooled.count, window.count
    share = drawn / size
    if not pooled.squares or not pooled.is_finite:
        return 0.0 if pooled.is_finite else inf
    second, third, fourth = (total / size for total in (pooled.squares, pooled.cubes, pooled.fourths))
    left = (1 - share) / drawn
    variance = second * left * size / (size - 1)
    skewness = abs(third * (1 - 2 * share)) * left / drawn
    excess = max(0.0, (fourth - 3 * second * second) * (1 - 6 * share * (1 - share))) * left / drawn / drawn
    jump = max(skewness / variance, sqrt(excess / variance))
    return reach(variance, jump, tail) / (1 - share)


class Limits(NamedTuple):
    """The bounds, themselves included, between which chance alone keeps a count."""

    low: int
    high: int


def drawn_hits(hits: int, size: int, drawn: int, tail: float = TAIL) -> Limits:
    """Return how many of a population's hits are drawn: fewer, or more, with probability `tail` at most.

    This is Fisher's exact test (1935): the hits of two samples are pooled, and one sample is `drawn` of the rows.

    Args:
        hits: how many there are in all.
        size: rows in all.
        drawn: rows drawn without replacement.
        tail: probability of either side.
    """
    mean = drawn * hits / size
    deviation = sqrt(mean * (1 - hits / size) * (size - drawn) / max(size - 1, 1))
    around = ceil(_FARTHEST * (deviation + 1))
    first = max(0, hits + drawn - size, floor(mean) - around)
    counts = np.arange(first, min(hits, drawn, ceil(mean) + around) + 1)
    logarithms = _ways(hits, counts) + _ways(size - hits, drawn - counts)
    chances = np.exp(logarithms - logarithms.max())
    chances /= chances.sum()
    below, above = np.cumsum(chances), np.cumsum(chances[::-1])
    return Limits(int(counts[np.argmax(below > tail)]), int(counts[::-1][np.argmax(above > tail)]))


def _ways(size: int, taken: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of how many ways there are to choose, but for what is the same for all."""
    ways: NDArray[np.float64] = -gammaln(taken + 1) - gammaln(size - taken + 1)
    return ways


def binomial_hits(share: float, drawn: int, tail: float = TAIL) -> Limits:
    """Return the same for independent rows where the population's share is known, and not estimated."""
    if not 0 < share < 1:
        return Limits(round(share * drawn), round(share * drawn))
    low, high = (max(0, ceil(float(bdtrik(chance, drawn, share)))) for chance in (tail, 1 - tail))
    return Limits(low, high)


class Share(NamedTuple):
    """Rows of a sample, and how many of them are hits."""

    hits: int
    rows: int


def share_noise(reference: Share, window: Share, tail: float = TAIL) -> float:
    """Return the relative change of a share that chance alone exceeds, on the side to which the window's lies.

    Args:
        reference: of a sample, with at least one hit.
        window: of another.
        tail: probability of either side.
    """
    hits = drawn_hits(reference.hits + window.hits, reference.rows + window.rows, window.rows, tail)
    return _relative(hits, window, reference.hits / reference.rows)


class Increase(NamedTuple):
    """A share minus that of the reference, and what chance alone makes of it."""

    value: float
    critical_value: float
    """Chance alone exceeds it with the probability given."""


def share_increase(reference: Share, window: Share, tail: float = TAIL) -> Increase:
    """Return how much larger a share is than in the reference, which may have no hit at all.

    Args:
        reference: of a sample, with at least one row.
        window: of another.
        tail: the probability that chance alone exceeds the critical value.
    """
    hits = drawn_hits(reference.hits + window.hits, reference.rows + window.rows, window.rows, tail)
    before = reference.hits / reference.rows
    # Half a hit is added: a count at the limit is not beyond it, however the division rounds.
    return Increase(window.hits / window.rows - before, (hits.high + 0.5) / window.rows - before)


def known_share_noise(share: float, window: Share, tail: float = TAIL) -> float:
    """Return the same where the share is a given one, above 0, and no sample's."""
    return _relative(binomial_hits(share, window.rows, tail), window, share)


def _relative(limits: Limits, window: Share, share: float) -> float:
    """Return the change, half a hit added: a count at the limit is not beyond it, however the division rounds."""
    expected = window.rows * share
    return (limits.high - expected if window.hits > expected else expected - limits.low) / expected + 0.5 / expected
