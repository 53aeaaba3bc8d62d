"""Outcomes beside the reference: what is noise, what is a fall, a shift or a loss."""

from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from outcome_samples import MATURE, NOON, measured, spec_with, together, write

from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.outcomes.views import lines
from mlvitals.exporters.statistics.judging import wilson_interval
from mlvitals.exporters.statistics.moments import NO_MOMENTS
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.wording import interval, number
from mlvitals.generator.spec.model import Outcome, OutcomeKind, Severity

SPEC = together()


def training(spec, rows=4000, answered=1.0, seed=0, **columns):
    """The reference of training data whose scores are the chance of a click."""
    return build_reference(spec, data(rows, answered, seed, **columns), created=NOON, source_hash="").outcome


def data(rows, answered=1.0, seed=0, chance=None, **columns):
    random = np.random.default_rng(seed)
    score = random.random(rows)
    clicked = random.random(rows) < (score if chance is None else chance)
    missing = random.random(rows) >= answered
    return pa.table({"x": score, "score": score, "clicked": pa.array(clicked, mask=missing)} | columns)


def window(folder, spec=SPEC, reference=None, rows=2000, **changes):
    """The report of a mature window made like the training data."""
    table = data(rows, **{"seed": 1} | changes)
    times = [MATURE.start] * rows
    write(
        folder,
        "log/a.parquet",
        id=[str(number) for number in range(rows)],
        timestamp=times,
        seen=[moment + timedelta(minutes=5) for moment in times],
        **{name: table[name] for name in ("score", "clicked")},
    )
    return measured(spec, folder, reference)


def test_a_sound_window_is_not_judged_bad(tmp_path):
    report = window(tmp_path, reference=training(SPEC, answered=0.9), answered=0.9)
    assert report.expected_feedback_rate == pytest.approx(0.9, abs=0.02)
    assert report.severity is None
    assert report.performance["auc"].reference == pytest.approx(report.performance["auc"].value, abs=0.03)


def test_half_of_the_feedback_lost_is_critical(tmp_path):
    report = window(tmp_path, reference=training(SPEC, answered=0.9), answered=0.4)
    assert report.feedback_fall.severity is Severity.CRITICAL
    assert report.label_shift.severity is None


def test_the_spec_says_what_feedback_to_expect_before_the_reference_does(tmp_path):
    spec = together(expected_rate=0.5)
    report = window(tmp_path, spec, training(spec, answered=0.9), answered=0.5)
    assert (report.expected_feedback_rate, report.severity) == (0.5, None)


def test_training_data_whose_rows_all_have_an_outcome_say_nothing_of_feedback(tmp_path):
    report = window(tmp_path, reference=training(SPEC), answered=0.5)
    assert (report.expected_feedback_rate, report.feedback_fall) == (None, None)


def test_more_feedback_than_expected_is_no_fall(tmp_path):
    report = window(tmp_path, reference=training(SPEC, answered=0.3), answered=0.9)
    assert report.feedback_fall.value < -1
    assert report.feedback_fall.severity is None


def test_outcomes_half_as_frequent_are_label_drift(tmp_path):
    report = window(tmp_path, reference=training(SPEC), chance=0.2)
    assert report.label_shift.value == pytest.approx(-0.6, abs=0.05)
    assert report.label_shift.severity is Severity.CRITICAL


def test_a_shift_within_its_noise_is_no_label_drift(tmp_path):
    spec = together(minimum_rows=2)
    report = window(tmp_path, spec, training(spec), rows=12, chance=0.7)
    assert abs(report.label_shift.value) > 0.25
    assert report.label_shift.severity is None


def test_scores_that_say_nothing_any_more_are_a_loss_of_performance(tmp_path):
    report = window(tmp_path, reference=training(SPEC), chance=0.5)
    assert report.performance_loss.value == pytest.approx(1, abs=0.15)
    assert report.performance_loss.severity is Severity.CRITICAL
    assert report.label_shift.severity is None


def test_fewer_outcomes_than_the_spec_wants_are_shown_and_not_judged(tmp_path):
    report = window(tmp_path, reference=training(SPEC), rows=99, chance=0.0)
    assert report.observed_mean == 0
    assert (report.label_shift, report.performance_loss, report.severity) == (None, None, None)


def test_a_loss_that_a_few_positives_cannot_show_is_not_judged_and_says_why(tmp_path):
    report = window(tmp_path, reference=training(SPEC), clicked=np.arange(2000) < 4)
    assert report.performance["auc"].value is not None
    assert report.performance_loss is None
    reason = "4 positive and 1996 negative outcomes; at least 5 of each are needed"
    assert report.not_judged == {"performance_loss": reason}
    assert f"Not judged: performance loss, {reason}." in [line.text for line in lines(report)]


def test_training_data_without_a_positive_outcome_give_no_rate_to_shift_from(tmp_path):
    report = window(tmp_path, reference=training(SPEC, chance=0.0))
    assert report.label_shift is None
    assert report.not_judged == {"label_shift": "the reference holds no positive outcome"}


def test_the_rate_of_a_small_reference_is_not_taken_for_exact(tmp_path):
    few, many = (training(SPEC, rows=rows, answered=0.5, seed=7) for rows in (100, 20_000))
    falls = [window(tmp_path, reference=reference, answered=0.4).feedback_fall for reference in (few, many)]
    assert falls[0].critical_value > 1.5 * falls[1].critical_value
    assert (falls[0].severity, falls[1].severity) == (None, Severity.WARNING)


def test_a_reference_built_before_it_kept_the_parts_of_its_quality_still_judges_errors(tmp_path):
    spec = spec_with(Outcome(column="clicked", kind=OutcomeKind.CONTINUOUS, timestamp="seen", max_delay="1h"))
    values = np.random.default_rng(5).random(3000)
    reference = training(spec, 3000, score=values, clicked=values + 0.1 * values**2)
    older = msgspec.structs.replace(reference, quality_parts=NO_MOMENTS)
    reports = [
        window(tmp_path, spec, one, clicked=values[:2000], score=values[:2000] + 0.2) for one in (reference, older)
    ]
    assert [report.performance_loss.severity for report in reports] == [Severity.CRITICAL] * 2
    assert reports[1].performance_loss.critical_value == pytest.approx(
        reports[0].performance_loss.critical_value, rel=1
    )


def test_errors_that_double_are_a_loss_of_a_continuous_model(tmp_path):
    spec = spec_with(Outcome(column="clicked", kind=OutcomeKind.CONTINUOUS, timestamp="seen", max_delay="1h"))
    random = np.random.default_rng(5)
    score, error = random.random(3000), random.normal(0, 0.1, 3000)
    reference = training(spec, 3000, score=score, clicked=score + error)
    write(
        tmp_path,
        "log/a.parquet",
        id=[str(number) for number in range(3000)],
        timestamp=[MATURE.start] * 3000,
        seen=[MATURE.start] * 3000,
        score=score,
        clicked=score + 2 * error,
    )
    report = measured(spec, tmp_path, reference)
    assert report.performance_loss.value == pytest.approx(1, rel=0.01)
    assert report.performance_loss.severity is Severity.CRITICAL


def test_a_reference_written_before_there_were_outcomes_is_still_read():
    reference = build_reference(SPEC, data(500), created=NOON, source_hash="")
    written = msgspec.json.decode(reference.to_json())
    assert written.pop("outcome")
    assert Reference.from_json(msgspec.json.encode(written)).outcome is None


def test_the_reference_keeps_its_outcomes_in_json():
    reference = build_reference(SPEC, data(500), created=NOON, source_hash="")
    assert Reference.from_json(reference.to_json()).outcome == reference.outcome


def test_training_data_without_the_outcome_give_a_reference_without_it():
    table = data(500).drop_columns("clicked")
    assert build_reference(SPEC, table, created=NOON, source_hash="").outcome is None


def test_wilson_agrees_with_the_textbook_and_stays_within_0_and_1():
    interval = wilson_interval(4, 10)
    assert (interval.low, interval.high) == (pytest.approx(0.1682, abs=1e-4), pytest.approx(0.6873, abs=1e-4))
    assert wilson_interval(0, 5).low == 0
    assert wilson_interval(5, 5).high == 1
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize("count", [1, 7, 100, 2000, 3_000_000])
def test_an_interval_of_no_hits_begins_at_0_and_one_of_nothing_else_ends_at_1(count):
    none, all_of_them = wilson_interval(0, count), wilson_interval(count, count)
    assert (none.low, all_of_them.high) == (0.0, 1.0)
    assert interval(none, number).startswith("0 to ")
    assert 0 < wilson_interval(1, count + 1).low < wilson_interval(1, count + 1).high < 1


def test_the_windows_own_scores_are_estimated_before_their_outcomes_are_known(tmp_path):
    random = np.random.default_rng(3)
    write(
        tmp_path,
        "log/a.parquet",
        id=["a"] * 500,
        timestamp=[NOON - timedelta(minutes=5)] * 500,
        score=random.random(500),
    )
    report = measured(SPEC, tmp_path, training(SPEC))
    assert report.predictions == 0
    assert report.estimated.scores == 500
    assert report.estimated.figures["estimated_accuracy"] == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("scale", "reference", "said"),
    [
        (3, {}, "outside 0 to 1"),
        (1, {"chance": 0.1}, "not calibrated"),
    ],
)
def test_scores_that_are_no_calibrated_probabilities_are_not_estimated(tmp_path, scale, reference, said):
    scores = scale * np.random.default_rng(3).random(500)
    write(tmp_path, "log/a.parquet", id=["a"] * 500, timestamp=[NOON - timedelta(minutes=5)] * 500, score=scores)
    estimated = measured(SPEC, tmp_path, training(SPEC, **reference)).estimated
    assert said in estimated.reason
    assert estimated.figures == {}
