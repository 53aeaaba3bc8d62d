"""A first look at a log: which times it holds, which windows suit it, and, where its times cannot be read, why.

It says what a newcomer needs who named the wrong column, or whose times are written in a way that is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.reading.log import Log, LogSection, Place
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.sources import NO_TIME, LogError, LogPart
from mlvitals.exporters.wording import minute, printable
from mlvitals.generator.spec.first_roles import SeenColumn, dates_of
from mlvitals.generator.spec.first_spec import Pace
from mlvitals.generator.spec.model import FeatureType

_MOST_FILES = 200
"""Of a log of more files its first one is read, and the last ones."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000
_LENGTHS = (("1h", 1), ("6h", 6), ("1d", 24), ("7d", 168), ("28d", 672))
"""Windows to choose from, and their hours."""
_ENOUGH, _FEW = 1_000, 300
"""Rows of a window with which every statistic is measured, and with which most are."""
_MOSTLY = 0.9
"""The share of windows that must hold as many rows."""
_FEWEST_WINDOWS = 4
_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_OURS = (datetime(1990, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())


class TimesSeen(NamedTuple):
    """The times of a log."""

    first: datetime | None = None
    last: datetime | None = None
    hours: Counter[int] = Counter()  # noqa: RUF012  (never written to)
    """Rows by hour since 1970, of the newest files where there are many."""
    problem: str = ""
    """Why they cannot be read; else empty."""


def look_at_times(section: LogSection, base_dir: Path) -> TimesSeen:
    """Return which times a log holds, as far as its files can be read.

    Raises:
        LogError: there is no log at its path.
    """
    parts, hours = _some(list(Log(section, base_dir).files(None))), Counter[int]()
    first: datetime | None = None
    last: datetime | None = None
    broken = ""
    for index, part in enumerate(parts):
        try:
            for chunk in part.chunks({}):
                if chunk.times is None:
                    broken = broken or _no_column(section, part)
                    break
                found: Any = pc.min_max(chunk.times)
                low, high = found["min"].as_py(), found["max"].as_py()
                if low is None:
                    continue
                first, last = min(first or low, low), max(last or high, high)
                if index or len(parts) < _MOST_FILES:
                    _count(chunk.times, hours)
        except (BrokenFileError, LogError) as error:
            broken = broken or f"{part.path} {error}"
    if first is not None:
        return TimesSeen(first, last, hours)
    untimed = f"no row has a time in column {section.timestamp!r}"
    return TimesSeen(problem=(_hint(section, base_dir) or broken) if broken else untimed)


def _some(parts: Sequence[LogPart]) -> Sequence[LogPart]:
    return parts if len(parts) <= _MOST_FILES else [parts[0], *parts[1 - _MOST_FILES :]]


def _count(times: Any, hours: Counter[int]) -> None:
    present = times.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    for hour, count in zip(*np.unique(present // _HOUR_US, return_counts=True), strict=True):
        hours[int(hour)] += int(count)


def _no_column(section: LogSection, part: LogPart) -> str:
    names = ", ".join(sorted(map(printable, part.column_names()))[:20])
    return f"the log has no column {section.timestamp!r} (prediction_log.timestamp); its columns are {names}"


# ---------------------------------------------------------------- windows


def pace_of(seen: TimesSeen) -> Pace | None:
    """Return the windows that suit a log: the shortest that mostly hold enough rows; None where no time is known."""
    if not seen.hours or seen.first is None or seen.last is None:
        return None
    start, end = min(seen.hours), max(seen.hours)
    best: tuple[str, int] | None = None
    for wanted in (_ENOUGH, _FEW):
        for name, length in _LENGTHS:
            windows = Counter[int]()
            for hour, count in seen.hours.items():
                windows[hour // length] += count
            possible = end // length - start // length + 1
            if best is not None and possible < _FEWEST_WINDOWS:
                break
            rows = int(np.median(list(windows.values())))
            if sum(count >= wanted for count in windows.values()) >= _MOSTLY * possible:
                return Pace(first=seen.first, last=seen.last, window=name, rows_per_window=rows)
            if len(windows) >= _MOSTLY * possible:
                best = name, rows
    name, rows = best or (_LENGTHS[-1][0], sum(seen.hours.values()))
    return Pace(first=seen.first, last=seen.last, window=name, rows_per_window=rows)


# ---------------------------------------------------------------- why nothing was read


TIMES_OF = ", whose times go from "


def why_nothing(section: LogSection, base_dir: Path) -> str:
    """Return what is wrong with the times of a log of which a window has no row, or, after `TIMES_OF`, which it does hold."""
    try:
        seen = look_at_times(section, base_dir)
    except LogError as error:
        return str(error)
    if seen.problem or seen.first is None or seen.last is None:
        return seen.problem
    told = f"{TIMES_OF}{minute(seen.first)} to {minute(seen.last)} UTC (column {section.timestamp!r})"
    if seen.last < _EPOCH + timedelta(days=3650):
        told += f"; is {section.timestamp!r} a time? Its values look like durations or numbers"
    return told


def _hint(section: LogSection, base_dir: Path) -> str:
    """Return how the time column is written, and what to do; empty where that is not known."""
    low: float | None = None
    high: float | None = None
    texts: list[str] = []
    for values in _values(section, base_dir):
        try:
            numbers: Any = values.cast(pa.float64())
            found: Any = pc.min_max(numbers)
            if found["min"].as_py() is not None:
                low = min(found["min"].as_py() if low is None else low, found["min"].as_py())
                high = max(found["max"].as_py() if high is None else high, found["max"].as_py())
        except pa.ArrowException:
            with suppress(pa.ArrowException):  # objects and lists, of which nothing can be said
                texts += pc.unique(values.cast(pa.string())).to_pylist()
    column = SeenColumn(name=section.timestamp, type=None, low=low, high=high)
    return hint_of(column, [text for text in texts if text])


def _values(section: LogSection, base_dir: Path) -> Iterator[Any]:
    place = Place(section.path, section.format, NO_TIME, section.table, section.password_file)
    with suppress(LogError):
        for part in _some(list(Log(place, base_dir).files(None))):
            with suppress(BrokenFileError):
                for chunk in part.chunks({section.timestamp: FeatureType.CATEGORICAL}):
                    if section.timestamp in chunk.columns:
                        yield chunk.columns[section.timestamp].drop_null()


def hint_of(column: SeenColumn, texts: Sequence[str] = ()) -> str:
    """Return how a column's times are written, where that is refused, and their span; empty where it is not known.

    Args:
        column: the column, of which the least and the largest number are known, if it holds numbers.
        texts: its different values, if it holds text.
    """
    if column.low is not None and column.high is not None:
        for unit, per_second in _UNITS.items():
            if _OURS[0] * per_second <= column.low and column.high < _OURS[1] * per_second:
                first, last = (
                    minute(_EPOCH + timedelta(seconds=value / per_second)) for value in (column.low, column.high)
                )
                return (
                    f"column {column.name!r} holds {unit} since 1970 ({first} to {last} UTC): "
                    "write timestamps, or divide them into seconds"
                )
    if written := dates_of(column, texts):
        ends = ["-".join(f"{part:02}" for part in date) for date in written.parts[:: max(len(written.parts) - 1, 1)]]
        span = f" ({' to '.join(ends)})" if ends else ""
        return f"column {column.name!r} holds {written.remark}{span}: write them as ISO 8601, like 2026-03-01"
    return ""
