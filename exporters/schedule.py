"""The windows that are due: they end at whole multiples of the step since 1970 UTC, so that every process agrees."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mlvitals.exporters.parts import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def due_windows(
    last_end: datetime | None, now: datetime, length: timedelta, step: timedelta, grace: timedelta, catch_up: int
) -> list[Window]:
    """Return the windows to measure now, oldest first.

    Args:
        last_end: the end of the newest window measured so far; None if no window was.
        now: the present, aware.
        length: how much time a window covers.
        step: how often a window ends.
        grace: how long after its end a window is measured.
        catch_up: how many missed windows are measured before the newest; older ones are given up.

    """
    newest = newest_end(now, step, grace)
    if last_end is not None and newest <= last_end:
        return []
    ends = [newest]
    while last_end is not None and len(ends) <= catch_up and ends[-1] - step > last_end:
        ends.append(ends[-1] - step)
    return [Window(end - length, end) for end in reversed(ends)]


def windows_ending(start: datetime, end: datetime, length: timedelta, step: timedelta) -> list[Window]:
    """Return the windows that end after `start` and not after `end`, oldest first."""
    first = (start - _EPOCH) // step + 1
    last = (end - _EPOCH) // step
    ends = (_EPOCH + count * step for count in range(first, last + 1))
    return [Window(end - length, end) for end in ends]


def gaps(kept: Iterable[Window], length: timedelta, step: timedelta, since: datetime | None = None) -> set[Window]:
    """Return the windows that are lacking between the oldest and the newest of those kept.

    `since` is a whole step after which windows are lacking even where none before them is among those kept.
    """
    ends = {window.end for window in kept if window.end - window.start == length}
    if not ends:
        return set()
    first, last = min(ends) if since is None else since + step, max(ends)
    between = ((first + count * step) for count in range((last - first) // step))
    return {Window(end - length, end) for end in between if end not in ends}


def newest_end(now: datetime, step: timedelta, grace: timedelta) -> datetime:
    """Return the end of the newest window whose grace is over."""
    return _EPOCH + (now - grace - _EPOCH) // step * step


def next_due(now: datetime, step: timedelta, grace: timedelta) -> datetime:
    """Return when the next window becomes due, later than `now`."""
    return newest_end(now, step, grace) + step + grace
