"""Drift statistics: pure functions of counts on the same cells, and what sampling noise alone makes of them."""

from collections.abc import Sequence
from math import log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, kolmogorov, ndtri

from mlvitals.exporters.reading.columns import Counts

NOISE = 0.001
"""How often, without any change, a statistic exceeds its critical value: once in 1000 windows."""
TWO_SIDED = float(ndtri(1 - NOISE / 2))
"""How many standard errors noise alone goes beyond, to either side, as often."""


class Psi(NamedTuple):
    """Population stability index, and what each cell contributes to it."""

    value: float
    contributions: NDArray[np.float64]


class Distance(NamedTuple):
    """Kolmogorov-Smirnov D as known from counts: the true D lies in [value, value + error_bound]."""

    value: float
    error_bound: float


def smoothed_shares(reference: Counts, current: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of both sides after half a count is added to every cell of both.

    Half a count (Krichevsky and Trofimov 1981) keeps the logarithm of an empty cell finite without letting it cost
    more than the evidence of the sample size. A cell that is empty on both sides is no evidence: its shares are 0 on
    both, for half a count would weigh more in the smaller sample and so look like drift.
    """
    half = 0.5 * ((reference + current) > 0)
    return _shares(reference + half), _shares(current + half)


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum()
    return weights / total if total else weights


def psi(reference: Counts, current: Counts) -> Psi:
    """Population stability index: sum of (q - p) ln(q / p) over the smoothed shares p, q; 0 and up.

    Args:
        reference: counts per cell.
        current: counts per cell.
    """
    p, q = smoothed_shares(reference, current)
    contributions = (q - p) * _log_ratio(q, p)
    return Psi(float(contributions.sum()), contributions)


def js(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon divergence of the smoothed shares in nats: 0 to ln 2 (its root is the distance)."""
    p, q = smoothed_shares(reference, current)
    middle = (p + q) / 2
    return max(0.0, float(p @ _log_ratio(p, middle) + q @ _log_ratio(q, middle)) / 2)


def _log_ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(above / below), 0 for the cells that are empty on both sides."""
    present = below > 0
    return np.log(np.divide(above, below, out=np.ones_like(above), where=present))


def ks(reference: Counts, current: Counts, points: NDArray[np.bool_]) -> Distance:
    """Kolmogorov-Smirnov D at the edges of the fine intervals, and how much larger the true D can be.

    With gap d = F_reference - F_current at an interval's lower edge and masses p, q inside it, the gap within can
    reach d + p (all of the reference first) or d - q (all of the current first), and no further. An interval that
    one side leaves empty, or that holds a single value, hides nothing.

    Args:
        reference: counts per fine interval, not all zero.
        current: counts per fine interval, not all zero.
        points: True for the intervals that hold a single value.
    """
    p, q = reference / reference.sum(), current / current.sum()
    gaps = np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()
    before = np.concatenate(([0.0], gaps[:-1]))
    inside = np.where(points, 0.0, np.maximum(before + p, q - before))
    value = float(np.max(np.abs(gaps)))
    return Distance(value, max(0.0, float(np.max(inside)) - value))


def ks_pvalue(distance: float, reference_size: int, current_size: int) -> float:
    """How likely noise alone gives a D this large: the asymptotic Kolmogorov distribution."""
    return float(kolmogorov(distance / sqrt(_noise_scale(reference_size, current_size))))


def two_sided(comparisons: int = 1) -> float:
    """Standard errors that noise alone exceeds, in any of several comparisons, once in 1000 windows (Bonferroni)."""
    return float(ndtri(1 - NOISE / 2 / comparisons))


def psi_critical_value(reference_size: int, current_size: int, cells: int, comparisons: int = 1) -> float:
    """PSI that noise alone exceeds once in 1000 windows.

    Without change PSI / (1/n + 1/m) follows chi-square with B - 1 degrees of freedom (Yurdakul and Naranjo 2020).

    Args:
        reference_size: values in the reference, n.
        current_size: values in the window, m.
        cells: cells that hold any of the reference, B. One cell alone has no noise; one degree is allowed for it.
        comparisons: how many PSI are looked at together; then any of them exceeds its value as rarely (Bonferroni).
    """
    return _noise_scale(reference_size, current_size) * float(chdtri(max(cells - 1, 1), NOISE / comparisons))


def js_critical_value(reference_size: int, current_size: int, cells: int, comparisons: int = 1) -> float:
    """Divergence that noise alone exceeds once in 1000 windows: for small changes JS is an eighth of PSI."""
    return psi_critical_value(reference_size, current_size, cells, comparisons) / 8


def ks_critical_value(reference_size: int, current_size: int, comparisons: int = 1) -> float:
    """D that noise alone exceeds once in 1000 windows, by the leading term of the Kolmogorov distribution."""
    return sqrt(-log(NOISE / comparisons / 2) / 2 * _noise_scale(reference_size, current_size))


def _noise_scale(reference_size: int, current_size: int) -> float:
    return 1 / reference_size + 1 / current_size


def benjamini_hochberg(pvalues: Sequence[float]) -> list[float]:
    """p-values adjusted so that rejecting those below q keeps the share of false alarms below q, in the given order.

    Source: Benjamini and Hochberg 1995, the step-up procedure.
    """
    count = len(pvalues)
    if not count:
        return []
    falling = np.argsort(pvalues)[::-1]
    scaled = np.asarray(pvalues)[falling] * count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[falling] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    result: list[float] = adjusted.tolist()
    return result
