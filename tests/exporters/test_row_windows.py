"""Windows of a number of rows: each holds that many, or is as long as a window may be."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.exporters.parts import Window
from mlvitals.exporters.schedule import LOOK_EVERY, RowWindows, row_ends, schedule_of
from mlvitals.exporters.window.row_times import row_times
from tests.samples.drift_samples import spec_of
from tests.samples.exporter_samples import write_parquet

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moments: list[datetime]) -> np.ndarray:
    return np.array(sorted((moment - EPOCH) // timedelta(microseconds=1) for moment in moments), np.int64)


def rows_in(times: np.ndarray, start: datetime, end: datetime) -> int:
    low, high = microseconds([start, end])
    return int(times.searchsorted(high) - times.searchsorted(low))


@given(st.lists(st.integers(0, 300), max_size=300), st.integers(1, 40), st.integers(1, 120))
def test_windows_tile_time_and_hold_their_rows(minutes: list[int], rows: int, longest: int):
    times = microseconds([NOON + minute * MINUTE for minute in minutes])
    interval = Window(NOON, NOON + 301 * MINUTE)
    bounds = [NOON, *row_ends(times, rows, longest * MINUTE, interval)]
    for start, end in pairwise(bounds):
        count = rows_in(times, start, end)
        assert start < end <= interval.end
        assert end - start <= longest * MINUTE
        if end - start < longest * MINUTE:
            last = rows_in(times, end - SECOND, end)
            assert count >= rows > count - last  # the rows of its last second are the ones that fill it
        else:
            assert count - rows_in(times, end - SECOND, end) < rows
    rest = rows_in(times, bounds[-1], interval.end)
    assert rest < rows or interval.end - bounds[-1] < SECOND
    assert interval.end - bounds[-1] < longest * MINUTE


class _Log:
    """Rows that come one by one, and how often they were looked at."""

    def __init__(self) -> None:
        self.moments: list[datetime] = []
        self.looks = 0

    def __call__(self, window: Window) -> np.ndarray:
        self.looks += 1
        return microseconds([moment for moment in self.moments if window.start <= moment < window.end])


def test_a_window_is_due_once_it_is_full_and_its_grace_is_over():
    log = _Log()
    schedule = RowWindows(3, HOUR, 5 * MINUTE, log)
    schedule.go_on_from(NOON)
    log.moments = [NOON + minute * MINUTE for minute in (1, 2, 9)]
    assert schedule.due(NOON, NOON + 10 * MINUTE, 24) == []
    [window] = schedule.due(NOON, NOON + 15 * MINUTE, 24)
    assert window == Window(NOON, NOON + 9 * MINUTE + SECOND)


def test_where_no_rows_come_a_window_ends_all_the_same():
    schedule = RowWindows(3, HOUR, 5 * MINUTE, _Log())
    schedule.go_on_from(NOON)
    assert schedule.due(NOON, NOON + 2 * HOUR + 5 * MINUTE, 24) == [
        Window(NOON, NOON + HOUR),
        Window(NOON + HOUR, NOON + 2 * HOUR),
    ]


def test_it_goes_on_from_what_another_process_measured():
    log = _Log()
    log.moments = [NOON + minute * MINUTE for minute in range(60)]
    whole, rest = (RowWindows(7, HOUR, row_times=log) for _ in range(2))
    whole.go_on_from(NOON)
    all_of_them = whole.windows(NOON, NOON + HOUR)
    rest.go_on_from(all_of_them[3].end)
    assert rest.windows(all_of_them[3].end, NOON + HOUR) == all_of_them[4:]
    assert whole.gaps([*all_of_them[:2], *all_of_them[4:]]) == set(all_of_them[2:4])


def test_the_log_is_looked_into_once_a_minute():
    log = _Log()
    schedule = RowWindows(3, HOUR, 5 * MINUTE, log)
    schedule.go_on_from(NOON)
    for second in range(120):
        schedule.newest_end(NOON + timedelta(seconds=second) + 5 * MINUTE)
    assert log.looks <= 3
    assert schedule.next_due(NOON + HOUR / 2) == NOON + HOUR / 2 + LOOK_EVERY


def test_the_times_are_those_of_the_log(tmp_path: Path):
    moments = [NOON + minute * MINUTE for minute in range(250)]
    write_parquet(pa.table({"timestamp": moments[::-1], "age": [1.0] * 250}), tmp_path / "log" / "a.parquet")
    spec = spec_of({"age": {}}, windows={"rows": 100}, prediction_log={"path": "log"})
    windows = schedule_of(spec, row_times(spec.prediction_log, tmp_path)).windows(NOON, NOON + 24 * HOUR)
    assert [window.end for window in windows] == [
        NOON + 99 * MINUTE + SECOND,
        NOON + 199 * MINUTE + SECOND,
    ]
