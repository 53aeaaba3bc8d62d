"""Thirty days of StreamRec without a fault page nobody: every hour, every feature, every generated condition."""

from collections import Counter
from dataclasses import dataclass

import pytest
from scipy.stats import binom
from streamrec_hours import BEGIN, log_hour

from examples.alert_conditions import AlertConditions, Raised
from examples.replay import HOUR, Replay
from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.statistics.distances import NOISE
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import Severity

HOURS = 30 * 24
SWAYING = {"device", "network"}
"""Features that follow the hour of the day a little, by the design of the simulation: some desks become sofas."""
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Month:
    reports: list[WindowReport]
    raised: list[Raised]

    def features(self) -> list[tuple[str, FeatureReport]]:
        scores = [("score", report.score) for report in self.reports]
        return [item for report in self.reports for item in report.features.items()] + scores


@pytest.fixture(scope="module")
def month(replay: Replay, conditions: AlertConditions) -> Month:
    reports = [
        replay.report(replay.count(log_hour(number)), Window(BEGIN + number * HOUR, BEGIN + (number + 1) * HOUR))
        for number in range(HOURS)
    ]
    return Month(reports, [alert for report in reports for alert in conditions.raised(report)])


def test_nothing_critical_and_at_most_one_warning_is_raised(month):
    by_severity = Counter(alert.severity for alert in month.raised)
    assert by_severity[Severity.CRITICAL] == 0
    assert by_severity.total() <= 1, month.raised


def test_every_feature_is_measured_in_every_hour(month):
    assert len(month.reports) == HOURS
    assert {feature.status for _, feature in month.features()} == {Status.OK}


def test_statistics_exceed_their_critical_values_as_often_as_chance_lets_them(month):
    steady = [feature for name, feature in month.features() if name not in SWAYING]
    measured = [feature.psi for feature in steady if feature.psi]
    above = sum(measure.value > measure.critical_value for measure in measured)
    assert len(measured) > 25_000
    assert binom.ppf(0.0005, len(measured), NOISE) <= above <= binom.ppf(0.9995, len(measured), NOISE)


def test_a_small_true_rhythm_exceeds_the_noise_and_stays_far_below_the_thresholds(month):
    device = [feature.psi for name, feature in month.features() if name == "device"]
    assert sum(measure.value > measure.critical_value for measure in device) > HOURS / 4
    assert max(measure.value for measure in device) < 0.02
