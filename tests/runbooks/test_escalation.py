"""The page about people: levels, rotation and contacts, whatever the time it is read at."""

import msgspec
import pytest

from mlvitals.generator.runbooks.escalation import escalation_page, shifts


def on_call(spec, **values):
    return msgspec.structs.replace(spec, on_call=msgspec.structs.replace(spec.on_call, **values))


@pytest.fixture
def page(streamrec):
    return escalation_page(streamrec, "A marker")


def test_levels_say_who_when_and_how(page):
    assert "| 1 | ML engineer on call | 0m | PagerDuty's app, Slack message | whoever is on call |" in page
    assert "| 4 | VP engineering | 1h | phone call, SMS | emeka |" in page


def test_the_rotation_begins_where_the_spec_says(page):
    assert "3 responders take turns of 1w, starting Monday 2026-01-05 10:00 Europe/Berlin" in page
    assert "| 3 | Mon 2026-01-26 10:00 | amara |" in page


def test_shifts_of_whole_days_change_at_the_same_time_of_day_all_year(streamrec):
    assert {f"{start:%H:%M}" for start, _ in shifts(streamrec, 52)} == {"10:00"}


def test_shorter_shifts_last_as_many_hours_through_a_change_of_clocks(streamrec):
    spec = on_call(streamrec, shift="12h", start="2026-03-28T09:00Z")
    assert [f"{start:%H:%M}" for start, _ in shifts(spec, 3)] == ["10:00", "22:00", "11:00"]


def test_nobody_on_call_means_no_rotation(streamrec):
    assert "## On call" not in escalation_page(on_call(streamrec, rotation=()), "A marker")
