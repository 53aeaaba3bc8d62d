"""Drift statistics: pure functions of counts on the same cells, and what sampling noise alone makes of them.

`STATISTICS` has every statistic by the name that the metrics contract gives it. To add one takes its function, its entry
there, and its field in `Distances`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, pi, sqrt
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, gammaincinv, kolmogorov, ndtri

from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.statistics.cells import Cells, NumericCells
from mlvitals.exporters.statistics.dependence import INDEPENDENT, GroupEffect

NOISE = 0.001
"""The probability, without any change, that a statistic exceeds its critical value: once in 1000 windows."""
TWO_SIDED = float(ndtri(1 - NOISE / 2))
"""The number of standard errors that noise alone exceeds, to either side, as often."""


T = TypeVar("T")


class Distances(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The drift statistics of one feature, each None where it is undefined or does not suit the feature's type."""

    psi: T | None = None
    ks: T | None = None
    js: T | None = None
    wasserstein: T | None = None


@dataclass(frozen=True, eq=False)
class Sides:
    """Two samples of a feature, counted on the fine intervals or levels of the same cells; neither is empty."""

    cells: Cells
    reference: Counts
    current: Counts
    deviation: float | None = None
    """Standard deviation of the reference's finite values; None where it is not known."""
    symmetric: bool = False
    """Neither sample is the norm: what only the other one holds is a cell in use too."""
    comparisons: int = 1
    """Features that are looked at together; then any of them exceeds its critical value as rarely (Bonferroni)."""
    group_effect: GroupEffect = INDEPENDENT
    """Where rows depend by groups."""
    looks: int = 1
    """Partitions into cells on which they are looked at, which counts for PSI and JS alike."""

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Return how many values there are in the reference and in the other sample."""
        return int(self.reference.sum()), int(self.current.sum())

    @cached_property
    def effective_sizes(self) -> tuple[float, float]:
        """Return how many independent values both samples are worth, where they move in the direction that groups move in."""
        first, second = self.sizes
        return first / self.group_effect.largest, second / self.group_effect.largest

    @cached_property
    def folded(self) -> tuple[Counts, Counts]:
        """Return counts per cell."""
        return self.cells.fold(self.reference), self.cells.fold(self.current)

    @cached_property
    def occupied(self) -> int:
        """Return cells that hold any of the reference; of a symmetric comparison, any of either."""
        reference, current = self.folded
        return int(np.count_nonzero(reference + current if self.symmetric else reference))

    @cached_property
    def psi(self) -> "Psi":
        """Return the population stability index, with what each cell contributes."""
        return psi(*self.folded)

    @cached_property
    def ks(self) -> "Distance | None":
        """Return the Kolmogorov-Smirnov D; None for categories, which have no order."""
        return ks(self.reference, self.current, self.cells.points) if isinstance(self.cells, NumericCells) else None


class Statistic(NamedTuple):
    """A statistic, and the value that noise alone exceeds once in 1000 windows."""

    value: float
    critical_value: float


class Psi(NamedTuple):
    """Population stability index, and what each cell contributes to it."""

    value: float
    contributions: NDArray[np.float64]


class Distance(NamedTuple):
    """Kolmogorov-Smirnov D as known from counts: the true D lies in [value, value + error_bound]."""

    value: float
    error_bound: float


def smoothed_shares(reference: Counts, current: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of both sides after half a count is added to every cell of both.

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
    """Return the population stability index: sum of (q - p) ln(q / p) over the smoothed shares p, q; 0 and up.

    Args:
        reference: counts per cell.
        current: counts per cell.
    """
    p, q = smoothed_shares(reference, current)
    contributions = (q - p) * _log_ratio(q, p)
    return Psi(float(contributions.sum()), contributions)


def js(reference: Counts, current: Counts) -> float:
    """Return the Jensen-Shannon divergence of the smoothed shares in nats: 0 to ln 2 (its root is the distance)."""
    p, q = smoothed_shares(reference, current)
    middle = (p + q) / 2
    return max(0.0, float(p @ _log_ratio(p, middle) + q @ _log_ratio(q, middle)) / 2)


def _log_ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln(above / below), 0 for the cells that are empty on both sides."""
    present = below > 0
    return np.log(np.divide(above, below, out=np.ones_like(above), where=present))


def ks(reference: Counts, current: Counts, points: NDArray[np.bool_]) -> Distance:
    """Return the Kolmogorov-Smirnov D at the edges of the fine intervals, and how much larger the true D can be.

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


def ks_pvalue(distance: float, reference_size: float, current_size: float) -> float:
    """Return how likely noise alone gives a D this large: the asymptotic Kolmogorov distribution."""
    return float(kolmogorov(distance / sqrt(_noise_scale(reference_size, current_size))))


def two_sided(comparisons: int = 1) -> float:
    """Return the standard errors that noise exceeds in any of several comparisons once in 1000 windows (Bonferroni)."""
    return float(ndtri(1 - NOISE / 2 / comparisons))


def psi_critical_value(
    reference_size: float, current_size: float, cells: int, comparisons: int = 1, groups: GroupEffect = INDEPENDENT
) -> float:
    """Return the PSI that noise alone exceeds once in 1000 windows.

    Without change PSI / (1/n + 1/m) follows chi-square with B - 1 degrees of freedom (Yurdakul and Naranjo 2020). Of rows that
    depend by groups it is a weighted sum of chi-square numbers: the one chi-square that has its first three moments (Pearson's
    approximation in Imhof 1961).

    Args:
        reference_size: values in the reference, n.
        current_size: values in the window, m.
        cells: cells that hold any of the reference, B. One cell alone has no noise; one degree is allowed for it.
        comparisons: how many PSI are looked at together; then any of them exceeds its value as rarely (Bonferroni).
        groups: how much more counts vary than those of independent rows.
    """
    effects = max(cells - 1, 1)
    freedom = effects * (1 + groups.spread) ** 3 / groups.skew**2
    scale = groups.mean * sqrt(effects * (1 + groups.spread) / freedom)
    value = float(chdtri(freedom, NOISE / comparisons))
    return _noise_scale(reference_size, current_size) * (groups.mean * effects - scale * freedom + scale * value)


def js_critical_value(
    reference_size: float, current_size: float, cells: int, comparisons: int = 1, groups: GroupEffect = INDEPENDENT
) -> float:
    """Return the divergence that noise alone exceeds once in 1000 windows: for small changes JS is an eighth of PSI."""
    return psi_critical_value(reference_size, current_size, cells, comparisons, groups) / 8


def ks_critical_value(reference_size: float, current_size: float, comparisons: int = 1) -> float:
    """Return the D that noise alone exceeds once in 1000 windows, by the Kolmogorov distribution's leading term."""
    return sqrt(-log(NOISE / comparisons / 2) / 2 * _noise_scale(reference_size, current_size))


def _noise_scale(reference_size: float, current_size: float) -> float:
    return 1 / reference_size + 1 / current_size


def wasserstein(reference: Counts, current: Counts, edges: NDArray[np.float64]) -> float:
    """Return the Wasserstein-1 distance of two samples in units of the values: the area between distribution functions.

    Within an interval both functions are taken as straight lines. Values beyond the outermost edges count as lying on
    them: how far values lie outside of what the reference holds has signals of its own (range, share out of range), and
    one value of 1e12 would drown every other movement.

    Args:
        reference: counts per fine interval, not all zero.
        current: counts per fine interval, not all zero.
        edges: the inner bounds of the intervals, ascending, one less than there are intervals.
    """
    if len(edges) < 2:
        return 0.0
    gaps = (np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum())[:-1]
    left, right = gaps[:-1], gaps[1:]
    both = np.abs(left) + np.abs(right)
    # Where the functions cross inside an interval, the area is that of two triangles.
    crossing = np.divide(left * left + right * right, both, out=np.zeros_like(both), where=both > 0)
    return float(np.diff(edges) @ np.where(left * right < 0, crossing, both) / 2)


_GRID = 32
"""Points at which the noise of the Wasserstein distance is looked at."""


def wasserstein_critical_value(
    reference: Counts, current: Counts, edges: NDArray[np.float64], comparisons: int = 1
) -> float:
    """Return the Wasserstein-1 distance that noise alone exceeds once in 1000 windows, in the unit of the values.

    Without change sqrt(nm / (n + m)) W follows the integral of |B(F(x))| dx, B a Brownian bridge and F the distribution
    function of both samples together (del Barrio, Gine and Matran 1999). Its mean and variance are integrals of the
    moments of |B(s)| and |B(s)| |B(t)| under a bivariate normal law (Nabeya 1951); the quantile is that of the gamma law
    that has both. It is at least that of a pure shift, of the difference of two means, with the skewness of rare values
    (Cornish and Fisher 1938, first term): a flag that is set in one row of 300 is far from a normal law.

    Args:
        reference: counts per fine interval, not all zero.
        current: counts per fine interval, not all zero.
        edges: the inner bounds of the intervals.
        comparisons: how many distances are looked at together.
    """
    if len(edges) < 2:
        return 0.0
    pooled = reference + current
    shares, widths = _on_grid(np.cumsum(pooled)[:-1] / pooled.sum(), edges)
    deviations = np.sqrt(shares * (1 - shares))
    weights = widths * deviations
    mean = sqrt(2 / pi) * float(weights.sum())
    if not mean:
        return 0.0
    below, above = np.minimum.outer(shares, shares), np.maximum.outer(shares, shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.clip(np.nan_to_num(np.sqrt(below * (1 - above) / (above * (1 - below)))), 0.0, 1.0)
    of_products = 2 / pi * (np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation))
    variance = float(weights @ (of_products - 2 / pi) @ weights)
    noise = sqrt(_noise_scale(int(reference.sum()), int(current.sum())))
    skewness = _skewness(pooled, edges) * noise
    errors = two_sided(comparisons)
    shift = (errors + (errors**2 - 1) * skewness / 6) * sqrt(float(weights @ correlation @ weights))
    quantile = (
        variance / mean * float(gammaincinv(mean * mean / variance, 1 - NOISE / comparisons)) if variance > 0 else mean
    )
    return max(quantile, shift) * noise


def _skewness(counts: Counts, edges: NDArray[np.float64]) -> float:
    """Return the absolute skewness of counted values, each taken to lie in the middle of its interval."""
    middles = np.concatenate((edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]))
    shares = counts / counts.sum()
    distances = middles - shares @ middles
    variance = float(shares @ distances**2)
    return abs(float(shares @ distances**3)) / variance**1.5 if variance > 0 else 0.0


def _on_grid(
    shares: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distribution function at the middle of each interval, and the widths, at most `_GRID` of each."""
    middles, widths = (shares[:-1] + shares[1:]) / 2, np.diff(edges)
    if len(widths) <= _GRID:
        return middles, widths
    starts = np.linspace(0, len(widths), _GRID, endpoint=False).astype(np.intp)
    merged = np.add.reduceat(widths, starts)
    weighted = np.add.reduceat(widths * middles, starts)
    return np.divide(weighted, merged, out=np.zeros_like(merged), where=merged > 0), merged


def _psi(sides: Sides) -> Statistic:
    comparisons = sides.comparisons * sides.looks
    critical_value = psi_critical_value(*sides.sizes, sides.occupied, comparisons, sides.group_effect)
    return Statistic(sides.psi.value, critical_value)


def _ks(sides: Sides) -> Statistic | None:
    if sides.ks is None:
        return None
    return Statistic(sides.ks.value, ks_critical_value(*sides.effective_sizes, sides.comparisons))


def _js(sides: Sides) -> Statistic:
    comparisons = sides.comparisons * sides.looks
    return Statistic(
        js(*sides.folded), js_critical_value(*sides.sizes, sides.occupied, comparisons, sides.group_effect)
    )


def _wasserstein(sides: Sides) -> Statistic | None:
    if not isinstance(sides.cells, NumericCells) or not sides.deviation:
        return None
    edges = np.asarray(sides.cells.edges, np.float64)
    value = wasserstein(sides.reference, sides.current, edges)
    critical_value = wasserstein_critical_value(sides.reference, sides.current, edges, sides.comparisons)
    critical_value *= sqrt(sides.group_effect.largest)
    return Statistic(float(value / sides.deviation), float(critical_value / sides.deviation))


STATISTICS: Mapping[str, Callable[[Sides], Statistic | None]] = MappingProxyType(
    {"psi": _psi, "ks": _ks, "js": _js, "wasserstein": _wasserstein}
)
"""By name; None where a statistic does not suit the feature's type."""


def statistics_of(sides: Sides) -> dict[str, Statistic]:
    """Return every statistic that suits the feature, by name."""
    found = {name: statistic(sides) for name, statistic in STATISTICS.items()}
    return {name: statistic for name, statistic in found.items() if statistic is not None}


def benjamini_hochberg(pvalues: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that rejecting those below q keeps the share of false alarms below q, in order.

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
