"""Quiet hours and maintenance as stretches of single days: every minute that is meant, and none that is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlvitals.generator.routing.mute_times import maintenance_times, quiet_times
from mlvitals.generator.spec.model import Maintenance, WeeklyTime

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def minutes(clock: str) -> int:
    hours, rest = clock.split(":")
    return 60 * int(hours) + int(rest)


def within(moment: datetime, interval: dict) -> bool:
    """Whether Alertmanager takes a moment for part of an interval."""
    (times,) = interval["times"]
    start, end = minutes(times["start_time"]), minutes(times["end_time"])
    assert start < end, "Alertmanager refuses a stretch that does not end on its day"
    days = [tuple(map(int, text.split(":"))) for text in interval.get("days_of_month", ())]
    return (
        start <= 60 * moment.hour + moment.minute < end
        and DAYS[moment.weekday()] in interval.get("weekdays", DAYS)
        and (not days or any(day[0] <= moment.day <= day[-1] for day in days))
        and str(moment.month) in interval.get("months", [str(moment.month)])
        and str(moment.year) in interval.get("years", [str(moment.year)])
    )


def silent(moment: datetime, intervals: list[dict]) -> bool:
    return any(within(moment, interval) for interval in intervals)


def test_a_night_is_cut_at_midnight():
    night = WeeklyTime(days=("fri", "sun"), start="22:00", end="07:00", timezone="Europe/Berlin")
    assert quiet_times([night]) == [
        {
            "times": [{"start_time": "22:00", "end_time": "24:00"}],
            "weekdays": ["friday", "sunday"],
            "location": "Europe/Berlin",
        },
        {
            "times": [{"start_time": "00:00", "end_time": "07:00"}],
            "weekdays": ["monday", "saturday"],
            "location": "Europe/Berlin",
        },
    ]


@pytest.mark.parametrize(("start", "end"), [("09:00", "17:00"), ("22:00", "24:00"), ("22:00", "00:00")])
def test_a_stretch_of_one_day_is_not_cut(start, end):
    assert len(quiet_times([WeeklyTime(days=("mon",), start=start, end=end)])) == 1


def test_maintenance_over_the_end_of_a_month():
    window = Maintenance(start="2026-02-26T22:30Z", end="2026-03-02T01:00Z", reason="r")
    assert [
        (each["months"], each["days_of_month"], each["times"][0]["start_time"], each["times"][0]["end_time"])
        for each in maintenance_times([window])
    ] == [
        (["2"], ["26"], "22:30", "24:00"),
        (["2"], ["27:28"], "00:00", "24:00"),
        (["3"], ["1"], "00:00", "24:00"),
        (["3"], ["2"], "00:00", "01:00"),
    ]
    assert {(*each["years"], each["location"]) for each in maintenance_times([window])} == {("2026", "UTC")}


def test_part_of_a_minute_is_all_of_it():
    (only,) = maintenance_times([Maintenance(start="2026-03-03T08:00:30Z", end="2026-03-03T08:00:40Z", reason="r")])
    assert only["times"] == [{"start_time": "08:00", "end_time": "08:01"}]


MOMENTS = st.integers(0, 120 * 24 * 60).map(lambda count: datetime(2023, 12, 1, tzinfo=UTC) + timedelta(minutes=count))


@settings(max_examples=200)
@given(MOMENTS, st.timedeltas(timedelta(minutes=1), timedelta(days=70)), MOMENTS)
def test_maintenance_is_silent_from_its_start_to_its_end_and_at_no_other_time(start, length, moment):
    end = start + timedelta(minutes=length // timedelta(minutes=1))
    window = Maintenance(start=f"{start:%Y-%m-%dT%H:%MZ}", end=f"{end:%Y-%m-%dT%H:%MZ}", reason="r")
    intervals = maintenance_times([window])
    for each in (moment, start, end, start - timedelta(minutes=1), end - timedelta(minutes=1)):
        assert silent(each, intervals) is (start <= each < end)
