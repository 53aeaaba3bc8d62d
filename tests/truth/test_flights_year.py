"""Every day of April to December 2013 against January to March: what fires is a true change.

A window of a day moves on by six hours. What a window says of delays is checked against the plain shares of late flights
on the reference's own days.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from examples.flights.data import read_flights
from examples.flights.year import SCORE, TRAIN_UNTIL, subject_of, year
from examples.replay import HOUR

STEP = 6 * HOUR
DELAYS = {"dep_delay", SCORE}
"""What depends on the day; the other features are the schedule."""
pytestmark = pytest.mark.slow

Found = tuple[datetime, str, str, str]
"""The end of a window, and an alert's subject, name and severity."""


@pytest.fixture(scope="module")
def raised() -> list[Found]:
    return [
        (report.window.end, subject_of(alert), alert.name, alert.severity.value)
        for report, alerts in year(STEP)
        for alert in alerts
    ]


def ends_of(raised: Sequence[Found], *wanted: str) -> set[datetime]:
    return {end for end, *alert in raised if tuple(alert) == wanted}


def test_nothing_is_raised_but_what_the_docs_explain(raised):
    assert {(name, subject, severity) for _, subject, name, severity in raised} == {
        ("MLFeatureDrift", "dep_delay", "critical"),
        ("MLFeatureDrift", "dep_delay", "warning"),
        ("MLScoreDrift", SCORE, "critical"),
        ("MLScoreDrift", SCORE, "warning"),
        ("MLNullRateHigh", "dep_delay", "warning"),
        ("MLFeatureDrift", "dest", "warning"),
        ("MLFeatureNewCategory", "dest", "warning"),
        ("MLFeatureCardinality", "dest", "warning"),
        ("MLFeatureDrift", "sched_dep_minute", "warning"),
    }


def test_nothing_critical_is_raised_but_for_delays(raised):
    """A window of a whole day holds every hour of it: the rhythm of the day cannot raise anything."""
    assert {subject for _, subject, _, severity in raised if severity == "critical"} == DELAYS


def test_the_schedule_raises_a_warning_on_thanksgiving_and_for_the_destinations_of_summer(raised):
    warned = {subject for _, subject, _, _ in raised} - DELAYS
    assert warned == {"dest", "sched_dep_minute"}
    thanksgiving = datetime(2013, 11, 28, 5, tzinfo=UTC)
    for end in ends_of(raised, "sched_dep_minute", "MLFeatureDrift", "warning"):
        assert thanksgiving < end < thanksgiving + timedelta(days=2)
    assert {end.month for end in ends_of(raised, "dest", "MLFeatureDrift", "warning")} == {6, 7, 8, 9}


def test_every_critical_day_has_more_or_fewer_late_or_early_flights_than_nine_in_ten_days_of_the_reference(raised):
    flights = read_flights()
    times = flights["timestamp"].cast("int64").to_numpy() // 1000
    delays = flights["dep_delay"].to_numpy()

    def shares(end: datetime) -> list[float]:
        """The shares of flights that left over a quarter of an hour late, late at all, and over five minutes early."""
        inside = (times >= (end - timedelta(days=1)).timestamp()) & (times < end.timestamp())
        known = delays[inside & ~np.isnan(delays)]
        return [float(np.mean(known > 16)), float(np.mean(known > 0)), float(np.mean(known <= -6))]

    own_days = np.array([shares(TRAIN_UNTIL - day * timedelta(days=1)) for day in range(89)])
    low, high = np.quantile(own_days, [0.05, 0.95], axis=0)
    critical = ends_of(raised, "dep_delay", "MLFeatureDrift", "critical")
    assert len(critical) > 100
    for end in critical:
        assert any(share < least or share > most for share, least, most in zip(shares(end), low, high, strict=True)), (
            end
        )


def test_destinations_are_new_or_many_only_where_the_flights_say_so(raised):
    flights = read_flights()
    times = flights["timestamp"].cast("int64").to_numpy() // 1000
    destinations = np.array(flights["dest"].to_pylist())
    known = set(destinations[times < TRAIN_UNTIL.timestamp()])

    def flown(end: datetime) -> list[str]:
        return destinations[(times >= (end - timedelta(days=1)).timestamp()) & (times < end.timestamp())].tolist()

    new = ends_of(raised, "dest", "MLFeatureNewCategory", "warning")
    many = ends_of(raised, "dest", "MLFeatureCardinality", "warning")
    assert len(new) > 40
    assert len(many) > 40
    for end in new:
        assert np.mean([place not in known for place in flown(end)]) > 0.01
    # New York's days begin at 5 o'clock UTC in winter.
    fullest = max(len(set(flown(TRAIN_UNTIL - day * timedelta(days=1) + 5 * HOUR))) for day in range(1, 89))
    assert min(len(set(flown(end))) for end in many) >= fullest


def test_the_null_rate_is_raised_only_where_one_flight_in_ten_never_left(raised):
    flights = read_flights()
    times = flights["timestamp"].cast("int64").to_numpy() // 1000
    never_left = np.isnan(flights["dep_delay"].to_numpy())
    ends = ends_of(raised, "dep_delay", "MLNullRateHigh", "warning")
    assert 10 <= len({end.date() for end in ends}) <= 30
    for end in ends:
        inside = (times >= (end - timedelta(days=1)).timestamp()) & (times < end.timestamp())
        assert np.mean(never_left[inside]) > 0.1, end
