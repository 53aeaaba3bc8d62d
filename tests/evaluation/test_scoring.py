"""What counts as caught, at which layer, after how long, and what as a false alarm."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlvitals.evaluation.alerts import Firing, Outcome, fired, firing_steps
from mlvitals.evaluation.history import Steps
from mlvitals.evaluation.page import evaluation_page
from mlvitals.evaluation.scoring import Evaluation, score
from mlvitals.evaluation.truth import FaultRecord, Truth, TruthError, read_truth, write_truth
from mlvitals.generator.signals.signal import Layer
from mlvitals.generator.spec.model import Severity

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = Steps(START, START + 48 * HOUR, timedelta(minutes=5))
PER_HOUR = 12


def fault(**changes) -> FaultRecord:
    values = {
        "name": "corruption",
        "kind": "March3",
        "layer": Layer.DATA,
        "start": START + 10 * HOUR,
        "end": START + 12 * HOUR,
        "settled": START + 14 * HOUR,
        "strength": 0.4,
        "signals": ("MLRange",),
        "drift_types": ("covariate",),
    }
    return FaultRecord(**{**values, **changes})


def firing(hour: float, alert: str = "MLRange", severity: Severity = Severity.CRITICAL, layer: str = "data") -> Firing:
    begin = int(hour * PER_HOUR)
    return Firing(
        alert=alert, severity=severity, layer=layer, labels={"feature_name": "age"}, start=begin, end=begin + 6
    )


def evaluation(*firings: Firing, drift_types=None, **changes) -> Evaluation:
    truth = Truth(system="shop", start=START, end=STEPS.end, faults=(fault(**changes),))
    ordered = tuple(sorted(firings, key=lambda item: item.start))
    return score(truth, STEPS, 48, Outcome(ordered, {}, ()), drift_types or {})


def test_an_alert_of_the_layer_catches_a_fault():
    (result,) = evaluation(firing(11)).faults
    assert result.caught
    assert result.as_expected
    assert result.first_of_layer.delay_seconds == 3600


def test_an_alert_of_another_layer_does_not():
    (result,) = evaluation(firing(10.5, "MLDrop", layer="business")).faults
    assert not result.caught
    assert result.first.layer == "business"


def test_an_alert_that_fired_before_the_fault_does_not_catch_it():
    (result,) = evaluation(firing(9.9)).faults
    assert result.first is None


def test_info_is_no_catch():
    (result,) = evaluation(firing(11, severity=Severity.INFO)).faults
    assert not result.caught
    assert [catch.alert for catch in result.catches] == ["MLRange"]


def test_what_comes_before_a_fault_has_settled_is_no_false_alarm():
    found = evaluation(firing(13.9))
    assert found.false_alarms == ()
    assert found.faults[0].caught


def test_what_fires_while_nothing_is_wrong_is_a_false_alarm():
    found = evaluation(firing(11), firing(20), firing(30), firing(31, severity=Severity.WARNING))
    (critical, warning) = found.false_alarms
    assert (critical.severity, critical.times, warning.times) == (Severity.CRITICAL, 2, 1)
    assert found.false_pages == 2
    assert found.fault_free_days == pytest.approx(44 / 24, abs=0.01)
    assert critical.per_day == pytest.approx(2 / found.fault_free_days)


def test_an_alert_that_never_ends_counts_with_the_time_it_lasted():
    endless = Firing(alert="MLRange", severity=Severity.WARNING, layer="data", labels={}, start=0, end=STEPS.count)
    (alarm,) = evaluation(endless, fires_twice := firing(20, severity=Severity.WARNING)).false_alarms
    assert fires_twice.end < STEPS.count
    assert alarm.times == 2
    assert alarm.share == 1.0
    assert alarm.seconds == pytest.approx(44 * 3600, abs=600), "and what fires at the same time is counted once"
    (short,) = evaluation(firing(20)).false_alarms
    assert short.seconds == 6 * 300


def test_a_page_for_a_benign_fault_is_false():
    found = evaluation(firing(11), pages=False)
    assert found.false_pages == 1
    assert not found.is_perfect


def test_a_warning_for_a_benign_fault_is_right():
    assert evaluation(firing(11, severity=Severity.WARNING), pages=False).is_perfect


def told(kind: str, begin: float, end: float) -> dict:
    values = np.zeros(STEPS.count)
    values[int(begin * PER_HOUR) : int(end * PER_HOUR)] = 1
    return {frozenset({("type", kind)}): values, frozenset({("type", "none")}): 1 - values}


@pytest.mark.parametrize(
    ("kind", "hours", "expected", "right"),
    [
        ("covariate", (11, 13), "covariate", True),
        ("label", (11, 13), "label", False),
        ("label", (11, 11.2), "none", False),
    ],
)
def test_the_kind_of_drift_is_what_was_told_most(kind, hours, expected, right):
    (result,) = evaluation(firing(11), drift_types=told(kind, *hours)).faults
    assert (result.drift_type, result.drift_type_right) == (expected, right)


def test_nothing_is_said_of_the_kind_where_none_is_published():
    (result,) = evaluation(firing(11)).faults
    assert result.drift_type is None
    assert result.drift_type_right is None


@pytest.mark.parametrize(
    ("holds", "waits", "keeps", "expected"),
    [
        ("0110", 0, 0, [(1, 3)]),
        ("0110", 1, 0, [(2, 3)]),
        ("0110", 2, 0, []),
        ("01000", 0, 2, [(1, 4)]),
        ("010100", 0, 2, [(1, 6)]),
        ("111", 0, 5, [(0, 3)]),
    ],
)
def test_an_alert_fires_after_its_for_and_is_kept(holds, waits, keeps, expected):
    assert firing_steps(np.array([step == "1" for step in holds]), waits, keeps) == expected


def alert(expression: str) -> dict:
    return {"alert": "A", "expr": expression, "labels": {"severity": "critical", "layer": "data"}}


def outcome_of(expression: str) -> Outcome:
    measured = {"x": {frozenset({("feature_name", "age")}): np.array([0.0, 2.0, 2.0, 0.0])}}
    return fired([{"rules": [alert(expression)]}], 300.0 * np.arange(4), STEPS.step, measured)


def test_rules_fire_where_their_condition_holds():
    (found,) = outcome_of("x > 1").firings
    assert (found.start, found.end, found.labels) == (1, 3, {"feature_name": "age"})


def test_a_rule_that_is_not_understood_is_named():
    assert list(outcome_of("topk(1, x) > 1").not_understood) == ["A"]


def test_a_rule_without_data_is_named():
    assert outcome_of("y > 1").without_data == ("A",)


def test_the_page_is_whole_and_safe():
    hostile = evaluation(firing(11, alert="<b>x"), name="<script>alert(1)</script>")
    page = evaluation_page(hostile)
    assert "<script>" not in page
    assert "<b>x" not in page
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "1 of 1 faults caught" in page


def test_a_truth_comes_back_as_it_was_written(tmp_path):
    truth = Truth(system="shop", start=START, end=STEPS.end, faults=(fault(),))
    write_truth(truth, tmp_path / "truth.json")
    assert read_truth(tmp_path / "truth.json") == truth


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("corruption", "", "Expected `str` of length >= 1"),
        ('"data"', '"fifth"', "Invalid enum value"),
        ("2026-03-01T12:00:00Z", "2026-03-01T09:00:00Z", "must have start < end <= settled"),
        ("mlvitals.truth/1", "mlvitals.truth/9", "Invalid enum value"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00", "needs a time zone"),
        ("{", "[", "not a ground truth"),
    ],
)
def test_a_truth_that_makes_no_sense_is_refused(tmp_path, old, new, message):
    path = tmp_path / "truth.json"
    write_truth(Truth(system="shop", start=START, end=STEPS.end, faults=(fault(),)), path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TruthError, match=message):
        read_truth(path)


def test_a_truth_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TruthError, match="No such file"):
        read_truth(tmp_path / "truth.json")
