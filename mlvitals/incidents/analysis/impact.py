"""Whom an incident reached: predictions, segments, KPIs, with how each was computed."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from mlvitals.incidents.analysis.fault import Fault
from mlvitals.incidents.evidence import FeatureFacts, WindowFacts


class KpiChange(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI during the incident and before it; the mean of windows."""

    name: str
    before: float
    during: float


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions, segments and KPIs that were affected. Counts are rounded to whole predictions."""

    predictions: int
    """Served while the fault lasted."""
    affected: int
    """Of these, how many at least had a value where the reference has fewer."""
    segments: tuple[str, ...] = ()
    """Segments that were judged bad meanwhile."""
    kpis: tuple[KpiChange, ...] = ()

    @property
    def share(self) -> float:
        """The share of the predictions that were affected."""
        return self.affected / self.predictions if self.predictions else 0.0


def impact_of(fault: Fault, windows: Sequence[WindowFacts]) -> Impact:
    """Compute the impact from the windows of a fault; `windows` are all there are, for what was before."""
    weights = _weights(fault.windows)
    served = sum(weight * window.rows for weight, window in zip(weights, fault.windows, strict=True))
    affected = sum(
        weight * moved_share(fault.in_window(window)) * fault.in_window(window).rows
        for weight, window in zip(weights, fault.windows, strict=True)
    )
    bad = {
        f"{segment.column} = {segment.value}"
        for window in fault.windows
        for segment in window.segments
        if segment.severity
    }
    earlier = [window for window in windows if window.end <= fault.start.earliest]
    return Impact(
        predictions=round(served),
        affected=round(affected),
        segments=tuple(sorted(bad)),
        kpis=tuple(_kpi_changes(earlier, fault.windows)),
    )


def moved_share(feature: FeatureFacts) -> float:
    """Return what the cells of a window gained in all: as many values would have to move to give the reference again."""
    return sum(max(0.0, cell.current - cell.reference) for cell in feature.bins)


def _weights(windows: Sequence[WindowFacts]) -> list[float]:
    """Return how much of each window no other one has counted, so that windows that overlap count nothing twice."""
    fresh = [min(1.0, (later.end - earlier.end) / (later.end - later.start)) for earlier, later in pairwise(windows)]
    return [1.0, *fresh] if windows else []


def _kpi_changes(before: Sequence[WindowFacts], during: Sequence[WindowFacts]) -> Iterable[KpiChange]:
    for name in sorted({name for window in during for name in window.kpis}):
        then = [window.kpis[name] for window in before if name in window.kpis]
        now = [window.kpis[name] for window in during if name in window.kpis]
        if then:
            yield KpiChange(name=name, before=sum(then) / len(then), during=sum(now) / len(now))
