"""March 3 at 1 %, 5 %, 40 % and 100 % of the rows: which alert catches it, after how many windows."""

from datetime import timedelta
from functools import cache

import pytest
from streamrec_hours import BEGIN, log_hour

from examples.alert_conditions import AlertConditions
from examples.replay import HOUR, Replay
from examples.streamrec.faults import DAYS_SINCE, March3

BEFORE = 24
"""Sound hours before the fault, as many as the longer window holds."""
AFTER = 26
ONSET = BEGIN + 56 * HOUR
"""March 3, 08:00 UTC."""
RANGE_WARNING, RANGE_CRITICAL = ("MLFeatureOutOfRange", "warning"), ("MLFeatureOutOfRange", "critical")
DRIFT_WARNING, DRIFT_CRITICAL = ("MLFeatureDrift", "warning"), ("MLFeatureDrift", "critical")
MEDIAN = ("MLFeatureMedianShift", "warning")
QUALITY = {("MLFeatureMeanShift", "warning"): 1, ("MLFeatureVariance", "warning"): 1, ("MLFeatureExtreme", "info"): 1}
"""What the size of a Unix time does to mean, variance and range in the first window, whatever the share."""
FIRST_WINDOW = {
    # share of rows, hours of a window: after how many windows each alert is raised first
    (0.01, 1): {RANGE_WARNING: 1, RANGE_CRITICAL: 4},
    (0.05, 1): {RANGE_WARNING: 1, RANGE_CRITICAL: 1},
    (0.40, 1): {RANGE_WARNING: 1, RANGE_CRITICAL: 1, DRIFT_WARNING: 1, DRIFT_CRITICAL: 1},
    (1.00, 1): {RANGE_WARNING: 1, RANGE_CRITICAL: 1, DRIFT_WARNING: 1, DRIFT_CRITICAL: 1, MEDIAN: 1},
    (0.01, 24): {RANGE_WARNING: 4},
    (0.05, 24): {RANGE_WARNING: 1, RANGE_CRITICAL: 6},
    (0.40, 24): {RANGE_WARNING: 1, RANGE_CRITICAL: 1, DRIFT_WARNING: 9, DRIFT_CRITICAL: 13},
    (1.00, 24): {RANGE_WARNING: 1, RANGE_CRITICAL: 1, DRIFT_WARNING: 4, DRIFT_CRITICAL: 6, MEDIAN: 24},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counted(replay: Replay):
    """The hours of the log around the fault, counted, by the share of rows it hits."""
    first = (ONSET - BEGIN) // HOUR

    @cache
    def hours(share: float):
        faults = [March3(ONSET, share)]
        numbers = range(first - BEFORE, first + AFTER)
        return {BEGIN + number * HOUR: replay.count(log_hour(number, faults)) for number in numbers}

    return hours


@pytest.mark.parametrize(("share", "length"), FIRST_WINDOW)
def test_march_3_is_caught_by_these_alerts_after_so_many_windows(share, length, counted, replay, conditions):
    found = first_windows(share, length, counted, replay, conditions)
    assert found == {DAYS_SINCE: {**FIRST_WINDOW[share, length], **QUALITY}}


def first_windows(share: float, length: int, counted, replay: Replay, conditions: AlertConditions):
    """By feature, after how many windows each of its alerts is raised first."""
    ends = [ONSET + number * HOUR for number in range(1, AFTER + 1)]
    found: dict[str, dict[tuple[str, str], int]] = {}
    for number, report in enumerate(replay.windows(counted(share), ends, timedelta(hours=length)), start=1):
        for alert in conditions.raised(report):
            found.setdefault(alert.subject, {}).setdefault((alert.name, alert.severity), number)
    return found
