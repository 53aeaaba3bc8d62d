"""Which windows an exporter has measured and which it still owes, by its clock and by what is kept.

The clock may be wrong and the database away, in any order and for any time. What decides is therefore what is kept of
windows that end not after the present: the next window is the one after the newest of them, and none that is lacking is
forgotten before `catch_up` gives it up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Kept:
    """The windows that are kept, as they look at some moment."""

    last_end: datetime | None
    """The end of the newest that is to be gone on from; None where nothing is."""
    owed: frozenset[Window]
    """Those to measure when they are over: not kept although older ones are, or measured by a clock that was ahead."""
    ahead_until: datetime | None
    """The end of the newest that ends after this moment; None where none does."""


class Progress:
    """The windows measured and owed by one process.

    Args:
        schedule: where windows start and end.
        catch_up: how many missed windows are measured.

    """

    def __init__(self, schedule: Schedule, catch_up: int) -> None:
        self._schedule = schedule
        self._catch_up = catch_up
        self._reach = catch_up * schedule.longest
        self._last_end: datetime | None = None
        self._owed: set[Window] = set()
        self._recent: deque[Window] = deque(maxlen=self._catch_up + 1)
        """Measured by this process. A clock that is set back makes some of them windows that are not over yet."""
        self._is_known = False

    def newest_end(self, now: datetime) -> datetime:
        """Return the end of the newest window whose grace is over."""
        return self._schedule.newest_end(now)

    def is_ahead(self, end: datetime, now: datetime) -> bool:
        """True if a window ends so late that only a clock that was ahead, or is behind now, explains it."""
        return end > self.newest_end(now) + self._schedule.longest

    def must_look(self, now: datetime) -> bool:
        """True if what is kept has to be looked up before anything is measured."""
        return not self._is_known or (self._last_end is not None and self.is_ahead(self._last_end, now))

    def is_behind(self, now: datetime) -> bool:
        """True if a window was not measured that should be, or nobody knows whether."""
        return not self._is_known or self._last_end is None or self._last_end < self.newest_end(now)

    def distrust(self) -> None:
        """Look up what is kept before anything is measured: the database is another one."""
        self._is_known = False

    def look(self, results: ResultsStore, system: str, now: datetime) -> Kept:
        """Go on from what is kept, and return it.

        Raises:
            DatabaseError: it cannot be read; nothing has changed then.
        """
        kept = self._kept(results, system, now)
        self._last_end = kept.last_end
        self._schedule.go_on_from(kept.last_end)
        self._owed |= kept.owed
        self._is_known = kept.ahead_until is None
        return kept

    def owed(self, now: datetime) -> list[Window]:
        """Return the windows to measure now, oldest first."""
        newest = self.newest_end(now)
        due = self._schedule.due(self._last_end, now, self._catch_up)
        self._owed |= {window for window in self._recent if window.end > newest}
        self._owed = {window for window in self._owed if window.end >= newest - self._reach}
        over = {window for window in self._owed if window.end <= newest}
        return sorted({*due, *over}, key=lambda window: window.end)

    def measured(self, window: Window) -> None:
        """Record that a window is kept."""
        self._owed.discard(window)
        self._recent.append(window)
        if self._last_end is None or self._last_end < window.end:
            self._last_end = window.end

    def failed(self, window: Window) -> None:
        """Record that a window is still owed."""
        self._owed.add(window)

    def _kept(self, results: ResultsStore, system: str, now: datetime) -> Kept:
        newest = self.newest_end(now)
        ahead = results.newest_window(system)
        last = results.newest_window(system, until=newest) or results.newest_window(system, with_rows=True)
        if last is None:
            return Kept(None, frozenset(), ahead.window.end if ahead else None)
        start = last.window.end - self._reach
        near = results.windows_between(system, start, max(newest + self._reach, last.window.end))
        before = [one.window for one in near if one.window.end <= last.window.end]
        earlier = results.newest_window(system, until=start)
        lacking = self._schedule.gaps(before, since=start if earlier else None)
        early = {one.window for one in near if one.window.end > newest or one.measured_at > now}
        is_ahead = ahead is not None and ahead.window.end > newest
        return Kept(last.window.end, frozenset(lacking | early), ahead.window.end if ahead and is_ahead else None)
