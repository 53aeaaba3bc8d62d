"""Where windows start and end, of every kind that a spec may ask for. Nothing else decides it.

Windows of a length end at whole multiples of the step since 1970 UTC, and calendar windows where a day, week or month of a
time zone does, so that every process agrees. Windows of a number of rows end where the log has them, counted from the end of
the window before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import count, pairwise, takewhile
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

from mlvitals.exporters.parts import Window
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import CalendarUnit, Spec, longest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
"""In microseconds."""
LOOK_EVERY = timedelta(minutes=1)
"""The time between two looks into the log for the end of a window of a number of rows."""
_NUMBER_OF: dict[CalendarUnit, Callable[[date], int]] = {
    CalendarUnit.DAY: date.toordinal,
    CalendarUnit.WEEK: lambda day: (day.toordinal() - 1) // 7,
    CalendarUnit.MONTH: lambda day: 12 * day.year + day.month - 1,
}
"""The number of the day, week or month that a date lies in. The first of January of year 1 was a Monday."""
_FIRST_DAY: dict[CalendarUnit, Callable[[int], date]] = {
    CalendarUnit.DAY: date.fromordinal,
    CalendarUnit.WEEK: lambda number: date.fromordinal(7 * number + 1),
    CalendarUnit.MONTH: lambda number: date(number // 12, number % 12 + 1, 1),
}

RowTimes: TypeAlias = Callable[[Window], "NDArray[np.int64]"]
"""Gives the times of the rows of an interval, in microseconds since 1970, in order."""


def schedule_of(spec: Spec, row_times: RowTimes | None = None) -> Schedule:
    """Return where the windows of a spec start and end.

    Args:
        spec: the system's spec.
        row_times: looks into the log; without it, windows of a number of rows cannot be found.
    """
    windows, grace = spec.windows, span(spec.windows.grace)
    if windows.calendar is not None:
        return CalendarWindows(windows.calendar, windows.time_zone, grace)
    if windows.rows is not None:
        return RowWindows(windows.rows, span(spec.window_length), grace, row_times)
    return Steps(span(spec.window_length), span(spec.step), grace)


class Schedule(ABC):
    """The windows of a system, each of which is known by its end.

    Args:
        longest: the longest time between the ends of two windows.
        grace: how long after its end a window is measured.

    """

    def __init__(self, longest: timedelta, grace: timedelta) -> None:
        self.longest = longest
        self.grace = grace

    @abstractmethod
    def end_by(self, moment: datetime) -> datetime:
        """Return the end of the newest window that ends not after a moment."""

    @abstractmethod
    def end_after(self, moment: datetime) -> datetime:
        """Return the end of the first window that ends after a moment."""

    @abstractmethod
    def ending(self, end: datetime) -> Window:
        """Return the window of an end."""

    def step_of(self, window: Window) -> Window:
        """Return the part of a window in which no window before it ends, so that nothing in it is counted twice."""
        return window

    def is_of_series(self, window: Window) -> bool:
        """True for the windows that an exporter measures."""
        return self.end_by(window.end) == window.end and self.ending(window.end) == window

    def go_on_from(self, end: datetime | None) -> None:  # noqa: B027  (most windows are not counted from another one)
        """Count rows from the end of a window on. It matters only where windows are a number of rows."""

    def windows(self, after: datetime, until: datetime) -> list[Window]:
        """Return the windows that end after one moment and not after another, oldest first."""
        return [self.ending(end) for end in self._ends(after, until)]

    def due(self, last_end: datetime | None, now: datetime, catch_up: int) -> list[Window]:
        """Return the windows to measure now, oldest first.

        Args:
            last_end: the end of the newest window measured so far; None if no window was.
            now: the present, aware.
            catch_up: how many missed windows are measured before the newest; older ones are given up.

        """
        newest = self.newest_end(now)
        if last_end is None:
            return [self.ending(newest)]
        reach = (catch_up + 1) * self.longest
        since = newest - reach if newest - last_end > reach else last_end
        return self.windows(since, newest)[-catch_up - 1 :]

    def gaps(self, kept: Iterable[Window], since: datetime | None = None) -> set[Window]:
        """Return the windows that are missing between the oldest and the newest of those kept.

        `since` is an end after which windows are missing even where none before them is among those kept.
        """
        ends = {window.end for window in kept if self._is_whole(window)}
        if not ends:
            return set()
        first, last = (min(ends) if since is None else since), max(ends)
        return {window for window in self.windows(first, last) if window.end not in ends}

    def newest_end(self, now: datetime) -> datetime:
        """Return the end of the newest window whose grace is over."""
        return self.end_by(now - self.grace)

    def next_due(self, now: datetime) -> datetime:
        """Return when the next window becomes due, later than `now`."""
        return self.end_after(now - self.grace) + self.grace

    def _is_whole(self, window: Window) -> bool:
        return self.ending(window.end) == window

    def _ends(self, after: datetime, until: datetime) -> Iterator[datetime]:
        end = self.end_after(after)
        while end <= until:
            yield end
            end = self.end_after(end)


class Steps(Schedule):
    """Windows of a length, of which one ends every step."""

    def __init__(self, length: timedelta, step: timedelta, grace: timedelta = timedelta(0)) -> None:
        super().__init__(step, grace)
        self._length = length

    def end_by(self, moment: datetime) -> datetime:
        """Return the newest end not after a moment: a whole multiple of the step."""
        return _EPOCH + (moment - _EPOCH) // self.longest * self.longest

    def end_after(self, moment: datetime) -> datetime:
        """Return the first end after a moment."""
        return self.end_by(moment) + self.longest

    def ending(self, end: datetime) -> Window:
        """Return the window of an end."""
        return Window(end - self._length, end)

    def step_of(self, window: Window) -> Window:
        """Return the last step of a window."""
        return Window(max(window.start, window.end - self.longest), window.end)


class CalendarWindows(Schedule):
    """The days, weeks (from Monday) or months of a time zone.

    A day starts at the first moment that the zone's clocks call by its date, and ends where the next one starts: it has 23 to
    25 hours where clocks change. A date that a zone skipped, as Samoa did in 2011, is no window.
    """

    def __init__(self, unit: CalendarUnit, time_zone: str, grace: timedelta = timedelta(0)) -> None:
        super().__init__(span(longest_of(unit, time_zone)), grace)
        self._unit = unit
        self._zone: tzinfo = UTC if time_zone == "UTC" else ZoneInfo(time_zone)

    def end_by(self, moment: datetime) -> datetime:
        """Return the newest bound not after a moment."""
        return self._start(self._number_at(moment))

    def end_after(self, moment: datetime) -> datetime:
        """Return the first bound after a moment."""
        number = self._number_at(moment) + 1
        while (start := self._start(number)) <= moment:  # a date that was skipped
            number += 1
        return start

    def ending(self, end: datetime) -> Window:
        """Return the window of an end."""
        return Window(self.end_by(end - _MICROSECOND), end)

    def windows(self, after: datetime, until: datetime) -> list[Window]:
        """Return the windows that end after one moment and not after another, oldest first."""
        first = self._number_at(after)
        starts = map(self._start, count(first))
        bounds = takewhile(lambda start: start <= until, starts)
        return [Window(start, end) for start, end in pairwise(bounds) if start < end]

    def _number_at(self, moment: datetime) -> int:
        """Return the number of the day, week or month that is running at a moment."""
        number = _NUMBER_OF[self._unit](moment.astimezone(self._zone).date())
        while self._start(number) > moment:  # clocks that go back over midnight show the day before once more
            number -= 1
        while self._start(number + 1) <= moment:
            number += 1
        return number

    def _start(self, number: int) -> datetime:
        return _midnight(_FIRST_DAY[self._unit](number), self._zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return the first moment at which a zone's clocks show midnight of a day, or more."""
    shown = datetime(day.year, day.month, day.day)  # noqa: DTZ001  (what clocks show)
    sooner, later = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if later.astimezone(zone).replace(tzinfo=None) == shown:
        return later
    # Clocks jump over midnight, at a moment between the two readings of it.
    while later - sooner > _MICROSECOND:
        middle = sooner + (later - sooner) // 2
        is_past = middle.astimezone(zone).replace(tzinfo=None) >= shown
        sooner, later = (sooner, middle) if is_past else (middle, later)
    return later


class RowWindows(Schedule):
    """Windows of a number of rows, or as long as a window may be where fewer come.

    Windows end at whole seconds, so that rows of one second are never parted. Rows that are written after the grace count in the
    window in which they lie, and move no end.
    """

    def __init__(
        self, rows: int, longest: timedelta, grace: timedelta = timedelta(0), row_times: RowTimes | None = None
    ) -> None:
        super().__init__(longest, grace)
        self._rows = rows
        self._row_times = row_times
        self._known: list[datetime] = []
        """Ends in order, from the one on that rows are counted from."""
        self._looked_until = datetime.min.replace(tzinfo=UTC)

    def go_on_from(self, end: datetime | None) -> None:
        """Count rows from the end of a window on; of None, from as long before the next look as a window may be."""
        if end is None or end not in self._known:
            self._known = [] if end is None else [end]
            self._looked_until = datetime.min.replace(tzinfo=UTC)

    def end_by(self, moment: datetime) -> datetime:
        """Return the newest known end not after a moment; the moment itself where none is known."""
        if moment >= self._looked_until + LOOK_EVERY:
            self._look(moment)
        place = bisect_right(self._known, moment)
        return self._known[place - 1] if place else moment

    def end_after(self, moment: datetime) -> datetime:
        """Return the first end after a moment; where it is not known, the next moment to look for it."""
        place = bisect_right(self._known, moment)
        return self._known[place] if place < len(self._known) else moment + LOOK_EVERY

    def ending(self, end: datetime) -> Window:
        """Return the window of an end; of the one that rows are counted from, the longest that it may be."""
        place = bisect_right(self._known, end) - 1
        return Window(self._known[place - 1] if place > 0 else end - self.longest, end)

    def is_of_series(self, window: Window) -> bool:
        """True for any window that is not too long: what was counted before this process is not known."""
        return window.end - window.start <= self.longest

    def windows(self, after: datetime, until: datetime) -> list[Window]:
        """Return the windows that end after one moment, from which rows are counted if none was known, and not after another."""
        if not self._known:
            self.go_on_from(after)
        self._look(until)
        return [self.ending(end) for end in self._known if after < end <= until]

    def gaps(self, kept: Iterable[Window], since: datetime | None = None) -> set[Window]:
        """Return the windows that are missing between those kept: the rows between them, counted anew."""
        lacking: set[Window] = set()
        covered: datetime | None = None
        for window in sorted(kept, key=lambda one: one.end):
            if covered is not None and covered < window.start:
                bounds = [covered, *self._ends_in(Window(covered, window.start)), window.start]
                lacking |= {Window(start, end) for start, end in pairwise(bounds) if start < end}
            covered = window.end
        return lacking

    def _look(self, until: datetime) -> None:
        """Find the ends up to a moment."""
        if not self._known:
            self._known = [_EPOCH + (until - self.longest - _EPOCH) // self.longest * self.longest]
        self._known += self._ends_in(Window(self._known[-1], until))
        self._looked_until = until

    def _ends_in(self, interval: Window) -> list[datetime]:
        if interval.end <= interval.start:
            return []
        if self._row_times is None:
            raise ValueError("windows of a number of rows are found in the log only")
        return row_ends(self._row_times(interval), self._rows, self.longest, interval)


def row_ends(times: NDArray[np.int64], rows: int, longest: timedelta, interval: Window) -> list[datetime]:
    """Return where windows end that hold a number of rows, or last as long as they may, and that are over in an interval.

    Args:
        times: of the rows of the interval, in microseconds since 1970, in order.
        rows: how many make a window.
        longest: how long it lasts at most.
        interval: where the first window starts, and the last ends at the latest.
    """
    start, place = (interval.start - _EPOCH) // _MICROSECOND, 0
    limit, most = (interval.end - _EPOCH) // _MICROSECOND, longest // _MICROSECOND
    ends: list[datetime] = []
    while True:
        full = (int(times[place + rows - 1]) // _SECOND + 1) * _SECOND if place + rows <= len(times) else limit + 1
        start = min(full, start + most)
        if start > limit:
            return ends
        ends.append(_EPOCH + start * _MICROSECOND)
        place = int(times.searchsorted(start))
