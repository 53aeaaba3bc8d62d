"""A window at a glance: read from the JSON of its report, and never better than the report."""

from datetime import UTC, datetime, timedelta

import pytest
from exporter_samples import HOSTILE, HOUR, NOON, WINDOW, measured, report, too_little
from msgspec.structs import replace

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.summary import CellLevel, WindowSummary, key_of, window_of_key, worst_level
from mlvitals.generator.spec.model import OutcomeKind, Severity


def summary(found: WindowReport) -> WindowSummary:
    return WindowSummary.from_json(found.to_json().decode())


def quiet(psi: float = 0.001) -> FeatureReport:
    return replace(measured(severity=None), psi=Measure(value=psi, critical_value=0.03))


def test_what_it_shows_is_what_the_report_says():
    found, seen = report(), summary(report())
    assert (seen.window, seen.rows, seen.severity, seen.findings) == (
        found.window,
        found.rows,
        found.severity,
        found.findings,
    )
    assert {name: item.severity for name, item in seen.features.items()} == {
        name: item.severity for name, item in found.features.items()
    }
    assert seen.score and found.score
    assert seen.score.psi == found.score.psi


def test_the_outcomes_and_the_gap_are_those_of_the_report():
    outcomes = OutcomeReport(window=WINDOW, kind=OutcomeKind.BINARY, predictions=9, observed_mean=0.25, gap=0.1)
    found = report(outcomes=outcomes)
    seen = summary(found)
    assert seen.outcomes
    assert (seen.outcomes.window, seen.outcomes.predictions, seen.outcomes.observed_mean) == (WINDOW, 9, 0.25)
    assert seen.concept
    assert seen.concept.sample
    assert found.concept
    assert found.concept.sample
    assert seen.concept.sample.gap == found.concept.sample.gap


def test_the_worst_feature_is_the_worst_by_severity_then_by_psi():
    features = {
        "mild": measured(0.9, severity=Severity.WARNING),
        "bad": measured(0.3),
        "worse": measured(0.4),
        "well": quiet(),
    }
    worst = summary(report(features=features)).worst_feature
    assert worst
    assert worst[0] == "worse"


def test_each_section_has_its_worst_severity():
    findings = (
        Finding(section="features", kind="null_rate", severity=Severity.WARNING, subject="age"),
        Finding(section="features", kind="feature_psi", severity=Severity.CRITICAL, subject=HOSTILE),
        Finding(section="outcomes", kind="label_shift", severity=Severity.WARNING),
    )
    seen = summary(report(findings=findings))
    assert seen.sections == {"features": Severity.CRITICAL, "outcomes": Severity.WARNING}
    assert seen.verdict == "features critical, outcomes warning"


@pytest.mark.parametrize(
    ("features", "rows", "level"),
    [
        ({"age": quiet()}, 1000, CellLevel.QUIET),
        ({"age": too_little()}, 7, CellLevel.UNMEASURED),
        ({"age": quiet()}, 0, CellLevel.UNMEASURED),
        ({"age": measured()}, 1000, CellLevel.CRITICAL),
    ],
    ids=["compared and calm", "nothing compared", "no rows", "a finding"],
)
def test_what_was_not_measured_is_never_quiet(features: dict, rows: int, level: CellLevel):  # type: ignore[type-arg]
    found = report(features=features, rows=rows, score=None, severity=None, findings=())
    assert summary(found).level is level


def test_a_feature_beyond_noise_and_below_thresholds_is_told_from_one_within_noise():
    found = report(features={"a": quiet(0.04), "b": quiet(0.02)}, severity=None, findings=())
    levels = {name: item.level for name, item in summary(found).features.items()}
    assert levels == {"a": CellLevel.MOVED, "b": CellLevel.QUIET}


def test_several_windows_are_as_bad_as_the_worst_of_them():
    assert worst_level([CellLevel.QUIET, CellLevel.UNMEASURED]) is CellLevel.UNMEASURED
    assert worst_level([CellLevel.UNMEASURED, CellLevel.WARNING, CellLevel.MOVED]) is CellLevel.WARNING
    assert worst_level([]) is CellLevel.UNMEASURED


@pytest.mark.parametrize(
    "window",
    [WINDOW, Window(NOON, NOON + timedelta(microseconds=1)), Window(datetime(1900, 1, 1, tzinfo=UTC), NOON + HOUR)],
)
def test_a_key_names_its_window(window: Window):
    assert window_of_key(key_of(window)) == window


@pytest.mark.parametrize("key", ["", "newest", "..", "20260303T110000Z", "20260303T110000Z-x", "a-b-c", "%00"])
def test_what_is_no_key_names_no_window(key: str):
    assert window_of_key(key) is None
