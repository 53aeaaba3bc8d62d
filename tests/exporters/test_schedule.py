from datetime import UTC, datetime, timedelta

import pytest

from mlvitals.exporters.parts import Window
from mlvitals.exporters.schedule import Steps

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
HOURLY = Steps(HOUR, HOUR, 5 * MINUTE)


def at(hour: int, minute: int = 0, day: int = 3) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last_end", "now", "catch_up", "ends"),
    [
        pytest.param(None, at(12, 5), 24, [at(12)], id="a first start measures the newest window only"),
        pytest.param(None, at(12, 4), 24, [at(11)], id="a window is not due before its grace is over"),
        pytest.param(at(12), at(12, 59), 24, [], id="a measured window is not due again"),
        pytest.param(at(12), at(13, 5), 24, [at(13)], id="the next window is due one step later"),
        pytest.param(at(9), at(12, 5), 24, [at(10), at(11), at(12)], id="missed windows come oldest first"),
        pytest.param(at(1), at(12, 5), 2, [at(10), at(11), at(12)], id="older misses than catch_up are given up"),
        pytest.param(at(1), at(12, 5), 0, [at(12)], id="without catch_up the newest is still measured"),
        pytest.param(at(15), at(12, 5), 24, [], id="a clock that was set back measures nothing"),
        pytest.param(at(9, 30), at(12, 5), 24, [at(10), at(11), at(12)], id="an end off the step is no obstacle"),
    ],
)
def test_windows_due(last_end: datetime | None, now: datetime, catch_up: int, ends: list[datetime]) -> None:
    due = HOURLY.due(last_end, now, catch_up)
    assert due == [Window(end - HOUR, end) for end in ends]


def test_a_day_long_window_may_step_by_the_hour() -> None:
    due = Steps(DAY, HOUR, 5 * MINUTE).due(at(11), at(12, 5), catch_up=24)
    assert due == [Window(at(12, day=2), at(12))]


def test_windows_end_at_whole_steps_whatever_the_process_started_at() -> None:
    assert Steps(15 * MINUTE, 15 * MINUTE, MINUTE).newest_end(at(12, 17)) == at(12, 15)


def test_the_next_window_is_due_at_its_end_plus_grace() -> None:
    assert HOURLY.next_due(at(12, 4)) == at(12, 5)
    assert HOURLY.next_due(at(12, 5)) == at(13, 5)


def test_what_lacks_between_kept_windows_is_a_gap() -> None:
    kept = [Window(at(hour - 1), at(hour)) for hour in (3, 4, 7, 8)]
    assert HOURLY.gaps(kept) == {Window(at(4), at(5)), Window(at(5), at(6))}


def test_nothing_lacks_before_the_oldest_window_or_where_none_is_kept() -> None:
    assert HOURLY.gaps([Window(at(2), at(3))]) == set()
    assert HOURLY.gaps([]) == set()


def test_a_kept_window_of_another_length_fills_no_gap() -> None:
    kept = [Window(at(2), at(3)), Window(at(1), at(4)), Window(at(4), at(5))]
    assert HOURLY.gaps(kept) == {Window(at(3), at(4))}
