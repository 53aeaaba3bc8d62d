"""Calendar windows: whatever a zone's clocks do, its days, weeks and months follow each other without gap or overlap."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.exporters.parts import Window
from mlvitals.exporters.schedule import CalendarWindows, Schedule, schedule_of
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import CalendarUnit, longest_of
from tests.samples.drift_samples import spec_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = sorted(
    name for name in available_timezones() if not name.startswith(("posix", "right")) and name != "localtime"
)
LORD_HOWE = CalendarWindows(CalendarUnit.DAY, "Australia/Lord_Howe")
BERLIN_WEEK = CalendarWindows(CalendarUnit.WEEK, "Europe/Berlin")
BERLIN = CalendarWindows(CalendarUnit.DAY, "Europe/Berlin")

moments = (
    st.integers(-25_000, 47_000)
    .map(lambda day: day * DAY)
    .flatmap(
        lambda since: st.timedeltas(timedelta(0), DAY).map(lambda time: datetime(1970, 1, 1, tzinfo=UTC) + since + time)
    )
)
"""From 1901 to 2098."""
schedules = st.builds(CalendarWindows, st.sampled_from(CalendarUnit), st.sampled_from(ZONES))


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@given(schedules, moments, st.integers(1, 60))
def test_windows_tile_time(schedule: Schedule, start: datetime, days: int):
    windows = schedule.windows(start, start + days * DAY)
    assert all(earlier.end == later.start for earlier, later in pairwise(windows))
    assert all(window.start < window.end for window in windows)
    if windows:
        assert windows[0].start <= start < windows[0].end


@given(schedules, moments)
def test_the_end_before_and_the_end_after_a_moment_are_neighbours(schedule: Schedule, moment: datetime):
    before, after = schedule.end_by(moment), schedule.end_after(moment)
    assert before <= moment < after
    assert schedule.ending(after) == Window(before, after)
    assert schedule.end_by(before) == before
    assert schedule.end_by(before - timedelta(microseconds=1)) < before


def differing_zones() -> list[str]:
    """Return one zone of those whose clocks show the same from 2010 to 2013, in which Samoa and Tokelau skipped a date."""
    moments = [at(2010, 1, 1) + 15 * DAY * number for number in range(98)]
    offsets = {tuple(moment.astimezone(ZoneInfo(name)).utcoffset() for moment in moments): name for name in ZONES}
    return sorted(offsets.values())


def test_in_every_zone_days_tile_and_start_on_their_date():
    zones = differing_zones()
    assert len(zones) > 100
    for zone in zones:
        windows = CalendarWindows(CalendarUnit.DAY, zone).windows(at(2010, 12, 31, 12), at(2012, 1, 1, 12))
        assert all(earlier.end == later.start for earlier, later in pairwise(windows))
        assert all(20 * HOUR <= window.end - window.start <= 28 * HOUR for window in windows)
        dates = [window.start.astimezone(ZoneInfo(zone)).date() for window in windows]
        assert dates == sorted(set(dates))
        assert (dates[-1] - dates[0]).days - len(dates) in {-1, 0}  # 0 where a date was skipped


@pytest.mark.parametrize(
    ("schedule", "moment", "start", "hours"),
    [
        pytest.param(BERLIN, at(2026, 3, 29, 12), at(2026, 3, 28, 23), 23, id="clocks go forward: 23 hours"),
        pytest.param(BERLIN, at(2026, 10, 25, 12), at(2026, 10, 24, 22), 25, id="clocks go back: 25 hours"),
        pytest.param(BERLIN, at(2026, 7, 1, 12), at(2026, 6, 30, 22), 24, id="any other day"),
        pytest.param(LORD_HOWE, at(2026, 4, 4, 20), at(2026, 4, 4, 13), 24.5, id="half an hour"),
        pytest.param(
            CalendarWindows(CalendarUnit.DAY, "America/Sao_Paulo"),
            at(2018, 11, 4, 12),
            at(2018, 11, 4, 3),
            23,
            id="no midnight",
        ),
        pytest.param(
            CalendarWindows(CalendarUnit.DAY, "America/Havana"),
            at(2026, 11, 1, 12),
            at(2026, 11, 1, 4),
            25,
            id="two midnights",
        ),
        pytest.param(
            CalendarWindows(CalendarUnit.DAY, "Pacific/Apia"),
            at(2011, 12, 30, 11),
            at(2011, 12, 30, 10),
            24,
            id="a date skipped",
        ),
        pytest.param(
            CalendarWindows(CalendarUnit.WEEK, "UTC"), at(2026, 11, 29), at(2026, 11, 23), 168, id="a week from Monday"
        ),
        pytest.param(BERLIN_WEEK, at(2026, 3, 28), at(2026, 3, 22, 23), 167, id="a week with 23 hours"),
        pytest.param(
            CalendarWindows(CalendarUnit.MONTH, "UTC"), at(2024, 2, 29), at(2024, 2, 1), 29 * 24, id="a leap February"
        ),
        pytest.param(
            CalendarWindows(CalendarUnit.MONTH, "UTC"), at(2026, 2, 3), at(2026, 2, 1), 28 * 24, id="a February"
        ),
        pytest.param(
            CalendarWindows(CalendarUnit.MONTH, "Europe/Berlin"),
            at(2026, 10, 5),
            at(2026, 9, 30, 22),
            31 * 24 + 1,
            id="October",
        ),
    ],
)
def test_lengths(schedule: CalendarWindows, moment: datetime, start: datetime, hours: float):
    window = schedule.ending(schedule.end_after(moment))
    assert window == Window(start, start + hours * HOUR)


@pytest.mark.parametrize("unit", CalendarUnit)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_no_window_is_longer_than_the_spec_says(unit: CalendarUnit, zone: str):
    windows = CalendarWindows(unit, zone).windows(at(2015, 1, 1), at(2036, 1, 1))
    longest = max(window.end - window.start for window in windows)
    assert longest <= span(longest_of(unit, zone))
    assert longest >= span(longest_of(unit, "UTC"))


def test_the_spec_names_them():
    spec = spec_of({"age": {}}, windows={"calendar": "day", "time_zone": "Europe/Berlin"})
    [window] = schedule_of(spec).due(None, at(2026, 3, 29, 22, 5), 24)
    assert window == Window(at(2026, 3, 28, 23), at(2026, 3, 29, 22))
