"""What chance alone does to a statistic of two samples that come from one population.

Assumption of every floor here: the rows are independent and, without change, exchangeable. Which of the pooled rows are
the window's and which the reference's is then a random choice, whatever the population looks like (Fisher 1935; Pitman
1937: the permutation test). Given the pooled rows, a floor needs no variance of the window alone: such a variance is
small exactly where a window happens to lack what is rare, and then calls the lack significant.
"""

from __future__ import annotations

from math import ceil, floor, inf, log1p, sqrt

import numpy as np
from scipy.special import chndtr, ndtri, pdtrik

from mlvitals.exporters.statistics.distances import NOISE
from mlvitals.exporters.statistics.moments import Moments

TAIL = NOISE / 2
"""How often chance alone exceeds a floor on one side."""
_MANY_JUMPS = 1000.0
"""From so many jumps on the expansion about the normal law is as good as Poisson's law."""
_FARTHEST = 15
"""Standard deviations, and jumps, from the mean beyond which a tail holds nothing."""


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


def balance_reach(up: float, down: float, tail: float = TAIL) -> float:
    """Return how far above its mean a sum of unit jumps to both sides goes with probability `tail` at most.

    The sum is the difference of two Poisson numbers (Skellam 1946). Half a jump is added, as in `reach`.

    Args:
        up: expected number of jumps upwards.
        down: and downwards.
        tail: the probability.
    """
    mean, variance = up - down, up + down
    if variance > _MANY_JUMPS:  # Cornish and Fisher 1938, to the skewness
        normal = float(ndtri(1 - tail))
        return normal * sqrt(variance) + (normal * normal - 1) / 6 * mean / variance + 0.5
    sums = np.arange(floor(mean - _FARTHEST) - 1, ceil(mean + _FARTHEST * (sqrt(variance) + 1)) + 1)
    exceeded = np.where(
        sums < 0,
        1 - chndtr(2 * down, np.maximum(-2.0 * sums, 2.0), 2 * up),
        chndtr(2 * up, np.maximum(2.0 * sums + 2, 2.0), 2 * down),
    )
    return float(sums[np.argmax(exceeded <= tail)] + 0.5 - mean)


def mean_noise(reference: Moments, window: Moments, tail: float = TAIL) -> float:
    """Return how far apart, to either side, chance alone puts the means of two samples.

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
