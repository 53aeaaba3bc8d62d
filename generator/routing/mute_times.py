"""Quiet hours and maintenance windows as Alertmanager's time intervals.

Alertmanager's intervals are within one day: an interval that runs past midnight is split there. It counts in minutes,
and the end is not part of an interval.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from mlvitals.generator.spec.model import Maintenance, WeeklyTime

_DAYS = {
    "mon": "monday",
    "tue": "tuesday",
    "wed": "wednesday",
    "thu": "thursday",
    "fri": "friday",
    "sat": "saturday",
    "sun": "sunday",
}
_WEEK = tuple(_DAYS)
_MIDNIGHT = "24:00"
_MINUTE = timedelta(minutes=1)


def quiet_times(hours: Iterable[WeeklyTime]) -> list[dict[str, Any]]:
    """Return the intervals of the week that quiet hours cover. Their days are those on which they start."""
    return [interval for quiet in hours for interval in _weekly(quiet)]


def _weekly(quiet: WeeklyTime) -> Iterator[dict[str, Any]]:
    if quiet.start < quiet.end:
        yield _on_days(quiet, quiet.days, quiet.start, quiet.end)
        return
    yield _on_days(quiet, quiet.days, quiet.start, _MIDNIGHT)
    if quiet.end != "00:00":
        following = [_WEEK[(_WEEK.index(day) + 1) % len(_WEEK)] for day in quiet.days]
        yield _on_days(quiet, following, "00:00", quiet.end)


def _on_days(quiet: WeeklyTime, days: Iterable[str], start: str, end: str) -> dict[str, Any]:
    return {
        "times": [{"start_time": start, "end_time": end}],
        "weekdays": [_DAYS[day] for day in sorted(days, key=_WEEK.index)],
        "location": quiet.timezone,
    }


def maintenance_times(windows: Iterable[Maintenance]) -> list[dict[str, Any]]:
    """Return the intervals of single days that maintenance windows cover, in UTC; part of a minute counts as a full minute."""
    return [interval for window in windows for interval in _dated(window)]


def _dated(window: Maintenance) -> Iterator[dict[str, Any]]:
    start = _moment(window.start).replace(second=0)
    end = -(-(_moment(window.end) - start) // _MINUTE) * _MINUTE + start
    day = start
    while day < end:
        midnight = datetime.combine(day.date() + timedelta(days=1), time(), UTC)
        until = min(end, midnight)
        if day.time() == time() and (days := _whole_days(day, end)) > 1:
            until = day + timedelta(days=days)
            yield _in_month(day, f"{day.day}:{day.day + days - 1}", "00:00", _MIDNIGHT)
        else:
            yield _in_month(day, str(day.day), f"{day:%H:%M}", _MIDNIGHT if until == midnight else f"{until:%H:%M}")
        day = until


def _whole_days(day: datetime, end: datetime) -> int:
    """Return the number of full days from one on that are before the end and in the same month."""
    days = 0
    while (following := day + timedelta(days=days + 1)) <= end:
        days += 1
        if following.month != day.month:
            break
    return days


def _in_month(day: datetime, days: str, start: str, end: str) -> dict[str, Any]:
    return {
        "times": [{"start_time": start, "end_time": end}],
        "days_of_month": [days],
        "months": [str(day.month)],
        "years": [str(day.year)],
        "location": "UTC",
    }


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
