"""Arrival delays as outcomes: weeks of 2013 whose story is known."""

from datetime import UTC, datetime

import pytest

from examples.flights.outcomes import WEEK, weeks
from mlvitals.generator.spec.model import Severity

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found():
    june = datetime(2013, 6, 17, tzinfo=UTC)
    return list(weeks(june, june + 2 * WEEK))


def test_a_calm_week_of_june_is_not_flagged(found):
    calm, _ = found
    assert calm.flags == ()
    assert calm.report.performance["mae"].value < 14


def test_the_storms_of_late_june_are_label_drift_and_cancelled_flights_have_no_outcome(found):
    _, storms = found
    assert storms.report.label_shift.severity is Severity.CRITICAL
    assert storms.report.feedback_rate == pytest.approx(1 - storms.cancelled)
    assert storms.cancelled > 0.08
    assert "8.3% of the flights cancelled or diverted" in storms.reason
