"""Which feature an incident is about, when its fault started, and whether it came at once or grew."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from mlvitals.incidents.evidence import FeatureFacts, WindowFacts
from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.timeline.times import FaultStart

_FEWEST = 4
"""Windows that a shape is judged from."""


class Shape(StrEnum):
    """The way in which a statistic left its level."""

    STEP = "step"
    SLOPE = "slope"
    UNKNOWN = "unknown"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The feature that moved most, over the run of windows in which it did."""

    feature: str
    start: FaultStart
    shape: Shape
    windows: tuple[WindowFacts, ...]
    """From the first window beyond noise to the last that is not calm."""
    before: WindowFacts | None
    """The last calm window before; None where the evidence starts later."""
    after: WindowFacts | None
    """The first calm window afterwards; None until there is one."""

    @property
    def worst(self) -> WindowFacts:
        """The window in which the feature was furthest from the reference."""
        return max(self.windows, key=lambda window: self.in_window(window).psi or 0.0)

    def in_window(self, window: WindowFacts) -> FeatureFacts:
        """Return the feature's facts in a window."""
        return window.features.get(self.feature, FeatureFacts())


def find_fault(incident: Incident, windows: Sequence[WindowFacts]) -> Fault | None:
    """Find the feature whose alerts are the incident's, else the one that moved most; None where none moved.

    Of several runs of windows the one that reaches closest to the opening of the incident counts.
    """
    alerted = {alert.labels.get("feature_name", "") for alert in incident.alerts}
    moved = {name for window in windows for name, feature in window.features.items() if feature.severity}
    candidates = sorted(alerted & moved or moved)
    if not candidates:
        return None
    name = max(candidates, key=lambda each: (_peak(each, windows), each))
    measured = [window for window in windows if _is_measured(window.features.get(name))]
    runs = [run for run in _runs(name, measured) if any(measured[place].features[name].severity for place in run)]
    opened = incident.opened_at
    run = min(runs, key=lambda places: min(abs((measured[place].end - opened).total_seconds()) for place in places))
    chosen = tuple(measured[place] for place in run)
    return Fault(
        feature=name,
        start=_start(name, chosen),
        shape=_shape([measured[place].features[name].psi or 0.0 for place in range(_up_to_peak(name, measured, run))]),
        windows=chosen,
        before=measured[run[0] - 1] if run[0] else None,
        after=measured[run[-1] + 1] if run[-1] + 1 < len(measured) else None,
    )


def _peak(name: str, windows: Sequence[WindowFacts]) -> float:
    return max((window.features[name].psi or 0.0 for window in windows if name in window.features), default=0.0)


def _is_measured(feature: FeatureFacts | None) -> bool:
    return feature is not None and (feature.psi is not None or bool(feature.severity))


def _runs(name: str, measured: Sequence[WindowFacts]) -> list[list[int]]:
    """Places of windows that follow each other and in which the feature is beyond noise, or bad."""
    runs: list[list[int]] = []
    for place, window in enumerate(measured):
        if window.features[name].over_noise or window.features[name].severity:
            if runs and runs[-1][-1] == place - 1:
                runs[-1].append(place)
            else:
                runs.append([place])
    return runs


def _up_to_peak(name: str, measured: Sequence[WindowFacts], run: Sequence[int]) -> int:
    """Count the windows up to the end of the run's plateau: its last window at 80 % of the peak or more."""
    peak = max(measured[place].features[name].psi or 0.0 for place in run)
    return max(place for place in run if (measured[place].features[name].psi or 0.0) >= 0.8 * peak) + 1


def _start(name: str, run: Sequence[WindowFacts]) -> FaultStart:
    """Place the start within the first window that is beyond noise, by how far it had filled the cell that grew most.

    While the window passes, that cell's share grows evenly once the fault is there; so the share it reaches, over what
    it reaches in a whole window of the fault, is the part of the window that was left.
    """
    first = run[0]
    at, reason = first.start, "the start of the first window beyond noise"
    if (part := _part(name, run)) is not None:
        at = first.end - part * (first.end - first.start)
        reason = f"within the first window beyond noise, of which {part:.0%} shows the fault"
    return FaultStart(at=at, earliest=first.start, latest=first.end, reason=reason)


def _part(name: str, run: Sequence[WindowFacts]) -> float | None:
    peak = max(run, key=lambda window: window.features[name].psi or 0.0).features[name]
    if not peak.bins or not run[0].features[name].bins or len(run) < 2:
        return None
    grown = max(peak.bins, key=lambda cell: (cell.current - cell.reference, cell.label))
    reached = {cell.label: cell.current for cell in run[0].features[name].bins}.get(grown.label, 0.0)
    if grown.current <= grown.reference:
        return None
    return min(1.0, max(0.0, (reached - grown.reference) / (grown.current - grown.reference)))


# ---------------------------------------------------------------- step or slope


def _shape(values: Sequence[float]) -> Shape:
    """Distinguish a step from a slope by the least squares of a level that jumps and of one that bends."""
    if len(values) < _FEWEST:
        return Shape.UNKNOWN
    step = min(_jump_error(values, place) for place in range(1, len(values)))
    slope = min(_bend_error(values, place) for place in range(1, len(values) - 1))
    return Shape.STEP if step <= slope else Shape.SLOPE


def _jump_error(values: Sequence[float], place: int) -> float:
    return _spread(values[:place]) + _spread(values[place:])


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def _bend_error(values: Sequence[float], place: int) -> float:
    """The error of a level up to a place, and of a line that rises from it from there on."""
    level = sum(values[:place]) / place
    rises = [(number, value - level) for number, value in enumerate(values[place:], start=1)]
    rate = sum(number * rise for number, rise in rises) / sum(number**2 for number, _ in rises)
    return _spread(values[:place]) + sum((rise - rate * number) ** 2 for number, rise in rises)
