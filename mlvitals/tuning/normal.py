"""The real alarms of the past: those of incidents, after recorded changes, and of changes that the values show.

All others are false. No proposal may silence a real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from scipy.stats import rankdata

from mlvitals.exporters.parts import Window
from mlvitals.tuning.series import Alarm, Values

SHORTEST_SEGMENT = 5
"""Windows that values must stay changed for the change to count as one: a storm passes sooner."""
CERTAINTY = 0.001
"""The share of series without a change point in which the test may find one."""
_REACH = 2
"""Windows after a recorded change in which an alarm that starts is laid to it."""


@dataclass(frozen=True, slots=True)
class Marked:
    """An interval in which something real was wrong, as people recorded it."""

    start: datetime
    end: datetime | None
    """None of a change, which is a moment, and of an incident that is not over."""
    what: str


def real_alarms(
    found: Sequence[Alarm],
    values: Values,
    level: float,
    windows: Sequence[Window],
    marked: Sequence[Marked],
    stride: int,
) -> dict[Alarm, str]:
    """Return the alarms that were real, each with what it is laid to.

    Args:
        found: the alarms of a series.
        values: the series.
        level: the level that raised them.
        windows: the windows of the series.
        marked: what people recorded.
        stride: steps in the length of a window: windows that overlap are not independent.
    """
    segments = {
        segment: _median(values[segment.start : segment.stop]) > level for segment in changed_segments(values, stride)
    }

    def laid_to(alarm: Alarm) -> str:
        if why := _recorded(alarm, windows, marked):
            return why
        for segment, is_beyond in segments.items():
            inside = alarm.first < segment.stop and segment.start <= alarm.last
            if inside and (is_beyond or len(alarm) >= SHORTEST_SEGMENT * stride):
                return f"a change of level from {windows[segment.start].start:%Y-%m-%d %H:%M} UTC on"
        return ""

    return {one: why for one in found if (why := laid_to(one))}


def _recorded(alarm: Alarm, windows: Sequence[Window], marked: Sequence[Marked]) -> str:
    """Return the incident during which an alarm was raised, or the change shortly before it."""
    start, end = windows[alarm.first].start, windows[alarm.last].end
    since = windows[max(alarm.first - _REACH, 0)].start
    for one in marked:
        is_near = (
            since <= one.start <= windows[alarm.first].end if one.end is None else one.start <= end and start <= one.end
        )
        if is_near:
            return one.what
    return ""


def _median(values: Values) -> float:
    return float(np.nanmedian(values))


def changed_segments(values: Values, stride: int = 1) -> list[range]:
    """Return where values lie on another level than before, by places in the series.

    Pettitt's test (1979) on ranks, applied again to both sides of each change; ranks ask nothing of the law of the values.
    """
    known = np.flatnonzero(~np.isnan(values))[::stride]
    bounds = [0, *sorted(_change_points(values[known], 0)), len(known)]
    medians = [float(np.median(values[known[low:high]])) for low, high in pairwise(bounds) if low < high]
    found = []
    for (low, high), before, own in zip(pairwise(bounds[1:]), medians, medians[1:], strict=False):
        if own > before:
            found.append(range(int(known[low]), int(known[high]) if high < len(known) else len(values)))
    return found


def _change_points(values: Values, start: int) -> list[int]:
    size = len(values)
    if size < 2 * SHORTEST_SEGMENT:
        return []
    places = np.arange(1, size + 1)
    statistic = np.abs(2 * np.cumsum(rankdata(values)) - places * (size + 1))[: size - 1]
    place = int(statistic.argmax()) + 1
    chance = 2 * np.exp(-6 * float(statistic.max()) ** 2 / (size**3 + size**2))
    if chance > CERTAINTY or not SHORTEST_SEGMENT <= place <= size - SHORTEST_SEGMENT:
        return []
    earlier, later = _change_points(values[:place], start), _change_points(values[place:], start + place)
    return [*earlier, start + place, *later]
