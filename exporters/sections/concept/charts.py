"""Two-sided EWMA and CUSUM charts on standardised values, designed by the run length that is wanted.

The *run length* is the number of values until a chart signals. Its mean is exact here: the integral equations of the
charts (CUSUM: Page 1954; EWMA: Crowder 1987) are solved by Gauss-Legendre quadrature, and a limit is the root at which
the mean run length of an unchanged series is the one promised. A two-sided CUSUM is two one-sided ones, whose rates of
signals add up (van Dobben de Bruyn 1968).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import ceil, inf, sqrt
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, ndtri

Values: TypeAlias = float | NDArray[np.float64]
"""One value, or that of many series at once."""
V = TypeVar("V")

SATURATION = 1.25
"""A chart rises no further than this times its limit: no run length changes, and what is fixed is soon forgotten."""


class Error(NamedTuple):
    """The possible errors of the target and the scale of a series, for having been estimated."""

    shift: float = 0.0
    """The true mean minus the believed one, in believed standard deviations."""
    scale: float = 1.0
    """The true standard deviation over the believed one."""
    weight: float = 1.0
    """Its probability, where there are several."""


EXACT = Error()
_NODES = 5
"""Of the quadrature over the errors of an estimate."""
_UNLUCKY_SHIFT = 0.08
"""Share of baselines whose mean is further off than allowed for, to each side."""
_UNLUCKY_SCALE = 0.10
"""Share of baselines whose standard deviation is too small by more than is allowed for."""


def estimation_error(windows: int) -> Error:
    """Return what to allow for where mean and standard deviation were estimated from a baseline of that many values.

    Nine of ten baselines are no worse: their charts keep the promised run length. Source of the idea: Gandy and Kvaloy
    2013, guaranteed conditional performance of control charts.
    """
    freedom = windows - 1
    shift = float(ndtri(1 - _UNLUCKY_SHIFT)) / sqrt(windows)
    return Error(shift, sqrt(freedom / float(chdtri(freedom, 1 - _UNLUCKY_SCALE))))


@cache
def likely_errors(shift: float, freedom: float | None = None) -> tuple[Error, ...]:
    """Return the errors that an estimated target, and an estimated scale, may have, each with its weight.

    A limit for all of them keeps the promised rate of false alarms over many references, lucky and unlucky ones: the
    nodes are those of Gauss-Hermite quadrature. A negative shift does what the positive one does.

    Args:
        shift: standard deviation of the error of the target, in those of a value.
        freedom: degrees of freedom of the estimated variance; None where that is known.
    """
    nodes, weights = hermegauss(_NODES)
    shifts = [
        (shift * node, weight * (2 if node else 1))
        for node, weight in zip(nodes, weights / weights.sum(), strict=True)
        if node >= 0
    ]
    scales = [(1.0, 1.0)]
    if freedom is not None:
        spread = 2 / (9 * freedom)  # the cube root of a chi-square number is nearly normal (Wilson and Hilferty 1931)
        squares = [max(1 - spread + node * sqrt(spread), 0.1) ** 3 for node in nodes]
        scales = [(1 / sqrt(square), weight) for square, weight in zip(squares, weights / weights.sum(), strict=True)]
    return tuple(Error(off, scale, first * second) for off, first in shifts for scale, second in scales)


def cusum_run_length(limit: float, allowance: float, error: Error = EXACT) -> float:
    """Return the mean run length of a two-sided CUSUM from zero.

    Args:
        limit: the sum beyond which it signals, h, in standard deviations.
        allowance: what each value is lessened by, k: half the shift to find soonest.
        error: mean and standard deviation that the values really have.
    """
    shift, scale, _ = error
    upper, lower = (_one_sided_run_length(limit / scale, (allowance + sign * shift) / scale) for sign in (-1, 1))
    return 1 / (1 / upper + 1 / lower)


def _one_sided_run_length(limit: float, allowance: float) -> float:
    """Solve L(u) = 1 + L(0) P(Z <= k - u) + integral over (0, h) of L(y) f(y + k - u) dy, for L(0)."""
    nodes, weights = _quadrature(0.0, limit, spacing=1.0)
    starts = np.append(0.0, nodes)
    kernel = np.empty((starts.size, starts.size))
    kernel[:, 0] = ndtr(allowance - starts)
    kernel[:, 1:] = weights * _density(nodes + allowance - starts[:, None])
    return _mean_steps(kernel, 0)


def ewma_run_length(limit: float, weight: float, error: Error = EXACT) -> float:
    """Return the mean run length of a two-sided EWMA from zero, with limits that are fixed from the first value on.

    Args:
        limit: the average beyond which it signals, to either side, in standard deviations of a single value.
        weight: of the newest value, lambda, above 0 and at most 1.
        error: mean and standard deviation that the values really have.
    """
    shift, scale, _ = error
    nodes, weights = _quadrature(-limit, limit, spacing=weight * scale)
    starts = np.append(0.0, nodes)
    kernel = np.zeros((starts.size, starts.size))
    newest = (nodes - (1 - weight) * starts[:, None]) / weight
    kernel[:, 1:] = weights / (weight * scale) * _density((newest - shift) / scale)
    return _mean_steps(kernel, 0)


def _quadrature(start: float, end: float, *, spacing: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Gauss-Legendre nodes and weights, enough for a normal density of standard deviation `spacing`."""
    nodes, weights = _legendre(32 + ceil(6 * (end - start) / spacing))
    half = (end - start) / 2
    return start + half * (nodes + 1), half * weights


@cache
def _legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(count)


def _density(value: NDArray[np.float64]) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.exp(-(value**2) / 2) / sqrt(2 * np.pi)
    return density


def _mean_steps(kernel: NDArray[np.float64], start: int) -> float:
    """Return the mean number of steps of a chain until it leaves its states."""
    size = len(kernel)
    return float(np.linalg.solve(np.eye(size) - kernel, np.ones(size))[start])


HIGHEST_CUSUM = 40.0
"""A limit beyond this many standard deviations finds nothing in useful time, and takes minutes to compute: where the target is
known so badly that one would be needed, the limit is infinite."""


@cache
def cusum_limit(run_length: float, allowance: float, *errors: Error) -> float:
    """Return the limit at which a two-sided CUSUM of an unchanged series has a mean run length; infinite where none serves.

    Args:
        run_length: the mean number of values between signals.
        allowance: as `cusum_run_length` takes it.
        errors: mean and standard deviation that the values may really have; none: they are as believed. With several
            of them the mean rate of signals is the one wanted.
    """
    known = errors or (EXACT,)
    return _limit(lambda limit, error: cusum_run_length(limit, allowance, error), run_length, 1.0, known, HIGHEST_CUSUM)


@cache
def ewma_limit(run_length: float, weight: float, *errors: Error) -> float:
    """Return the limit at which a two-sided EWMA of an unchanged series has a mean run length, as `cusum_limit`."""
    start = sqrt(weight / (2 - weight))
    return _limit(lambda limit, error: ewma_run_length(limit, weight, error), run_length, start, errors or (EXACT,))


def _limit(
    run_length: Callable[[float, Error], float],
    wanted: float,
    start: float,
    errors: tuple[Error, ...],
    highest: float = inf,
) -> float:
    from scipy.optimize import brentq  # noqa: PLC0415  (slow to import; most specs have no outcome to chart)

    def mean_run_length(limit: float) -> float:
        rate = sum(error.weight / run_length(limit, error) for error in errors)
        return sum(error.weight for error in errors) / rate

    high = start
    while mean_run_length(high) < wanted:
        if high >= highest:
            return inf
        high = min(1.5 * high, highest)
    return float(brentq(lambda limit: np.log(mean_run_length(limit) / wanted), start / 100, high, rtol=1e-6))


@dataclass(frozen=True, slots=True)
class Charts:
    """An EWMA and a CUSUM that watch the same series of standardised values."""

    weight: float
    ewma_limit: float
    allowance: float
    cusum_limit: float


@dataclass(frozen=True, slots=True)
class ChartState(Generic[V]):
    """The state of the charts, of one series or, as arrays, of many."""

    ewma: V | float = 0.0
    upper: V | float = 0.0
    """The CUSUM of values above the target."""
    lower: V | float = 0.0
    """The CUSUM of values below the target, 0 and up too."""


def advance(charts: Charts, state: ChartState[Any], value: Values) -> ChartState[Values]:
    """Return the state after one more standardised value."""
    ewma = (1 - charts.weight) * state.ewma + charts.weight * value
    return ChartState(
        ewma=_restarted(state.ewma, ewma, charts.ewma_limit, -SATURATION * charts.ewma_limit),
        upper=_restarted(state.upper, state.upper + value - charts.allowance, charts.cusum_limit, 0.0),
        lower=_restarted(state.lower, state.lower - value - charts.allowance, charts.cusum_limit, 0.0),
    )


def _restarted(before: Values, now: Values, limit: float, lowest: float) -> Values:
    """Return the bounded state of a chart; once its alarm is over it restarts, or what is fixed would alarm again."""
    bounded = np.clip(now, lowest, SATURATION * limit)
    is_over = (np.abs(before) > limit) & (np.abs(bounded) <= limit)
    restarted: Values = np.where(is_over, 0.0, bounded)
    return restarted
