"""Charts that run from the training data: from the first window on, in promised time, and whatever rows depend on."""

from datetime import timedelta
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from concept_samples import gap, quiet_gaps, shifted
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from outcome_samples import HOUR, measured, minutes, predictions, spec_with, together

from benchmarks.reference_charts import (
    DAY,
    WEEK,
    Dependence,
    Simulated,
    false_alarms,
    found_within,
    overlapping_false_warnings,
    spec_of,
)
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.concept.baseline import baseline_of_reference, gap_reference
from mlvitals.exporters.sections.concept.charts import HIGHEST_CUSUM
from mlvitals.exporters.sections.concept.report import GapReference
from mlvitals.exporters.sections.concept.series import GapSeries, Plan, concept_report, plan_of
from mlvitals.exporters.sections.outcomes.reference import outcome_reference
from mlvitals.exporters.statistics.moments import Moments
from mlvitals.generator.contract import ConceptStatus
from mlvitals.generator.spec.model import Outcome, OutcomeKind, Severity

PLAN = Plan(2000, 20_000, ewma_weight=0.2, shift=1.0, baseline_windows=30, patience=5)
TRAINED = GapReference(rows=100_000, gap=0.005, row_variance=0.1, windows=100)
"""Training data whose windows of 1000 rows have gaps of standard deviation 0.01."""


def series_of(samples, reference=TRAINED):
    return reduce(GapSeries.after, samples, GapSeries(PLAN, reference=reference))


def reported(samples, reference=TRAINED):
    return concept_report(series_of(samples, reference), samples[-1])


def test_charts_run_from_the_first_window():
    found = reported(quiet_gaps(1))
    assert (found.status, found.expected_gap, found.gap_deviation) == (ConceptStatus.OK, 0.005, pytest.approx(0.01))
    assert found.ewma != 0


def test_a_shift_in_the_second_window_pages_within_a_handful():
    samples = [*quiet_gaps(1), *[shifted(one, 0.03) for one in quiet_gaps(8, first=1, seed=1)]]
    assert reported(samples).severity is Severity.CRITICAL


def test_windows_whose_inputs_drifted_do_not_keep_charts_from_running():
    assert reported([replace(one, explained=True) for one in quiet_gaps(3)]).status is ConceptStatus.OK


@pytest.mark.parametrize(
    ("length", "warning", "page"),
    [("1h", 10 * 7 * 24, 260 * 7 * 24), ("1d", 70, 1820), ("1w", 10, 260), ("52w", 10, 50)],
)
def test_false_alarms_are_promised_in_time_whatever_a_window_is(length, warning, page):
    spec = spec_of(HOUR)
    spec = replace(spec, windows=replace(spec.windows, length=length))
    plan = plan_of(spec)
    assert (plan.warning_run_length, plan.critical_run_length) == (warning, page)


def test_windows_that_overlap_count_once_in_their_length():
    spec = spec_of(DAY)
    often = replace(spec, windows=replace(spec.windows, step="1h"))
    assert plan_of(often) == plan_of(spec)


@pytest.mark.parametrize("dependence", [Dependence.INDEPENDENT, Dependence.AUTOREGRESSIVE])
def test_weekly_charts_of_dependent_and_independent_rows_are_wrong_as_often_as_promised(dependence):
    warning, page = false_alarms(Simulated(dependence, WEEK, 200), references=500, windows=500)
    assert warning.ratio == pytest.approx(1, abs=0.1)
    assert page.ratio == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_windows_of_a_day_that_end_every_hour_are_wrong_as_often_as_promised():
    found = overlapping_false_warnings(series=80, days=400)
    assert found.ratio == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_a_weekly_system_finds_a_shift_of_one_deviation_within_six_weeks_without_learning():
    assert found_within(6, rows=200, quiet=0, series=1000).mean() >= 0.9
    assert found_within(6, rows=200, quiet=10, series=1000).mean() >= 0.9


def test_a_larger_reference_needs_narrower_limits():
    def limit(rows):
        series = series_of(quiet_gaps(1), replace(TRAINED, rows=rows))
        return series.charts(series.expected, 1000).cusum_limit

    assert limit(1_000_000) < limit(100_000) < limit(40_000)


# ---------------------------------------------------------------- what the first windows check


def test_rows_that_depend_on_each_other_widen_the_limits_where_the_training_data_have_no_time():
    untimed = replace(TRAINED, windows=0, lacks="no intervals of time")
    dependent = [gap(hour, 0.005 + 0.05 * value) for hour, value in enumerate(np.random.default_rng(4).normal(size=12))]
    found = reported(dependent, untimed)
    assert found.gap_deviation > 0.02
    assert "times as much as independent rows would" in found.note


def test_what_the_training_data_do_not_show_is_said_while_the_first_windows_come():
    untimed = replace(TRAINED, windows=0, lacks="no intervals of time")
    assert "The training data show no intervals of time" in reported(quiet_gaps(3), untimed).note
    assert reported(quiet_gaps(31), untimed).note == ""


def test_a_drift_is_no_dependence():
    moved = [shifted(one, 0.03) for one in quiet_gaps(12, seed=5)]
    assert reported(moved).gap_deviation == pytest.approx(0.01)


def test_training_data_that_flatter_the_model_are_corrected_and_it_is_said():
    flattering = replace(TRAINED, row_variance=0.01)
    found = reported(quiet_gaps(2), flattering)
    assert found.gap_deviation == pytest.approx(0.01)
    assert "may flatter the model" in found.note


def test_first_windows_that_all_differ_name_the_ways_to_accept_it():
    assert "mlvitals concept accept" in reported([shifted(one, 0.03) for one in quiet_gaps(30)]).note
    assert reported(quiet_gaps(30)).note == ""


# ---------------------------------------------------------------- what training data say


def training(count=4000, *, seed=0, dependence=0.0):
    """Scores, outcomes and times of training data of a hundred hours; errors of an hour have a part in common."""
    generator = np.random.default_rng(seed)
    hours = np.repeat(np.arange(count // 200), 200)
    errors = generator.normal(size=count) + dependence * generator.normal(size=count // 200)[hours]
    times = hours * 3_600_000_000 + np.arange(count) % 200
    return errors, pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))]), hours


def learned(errors, times=None, **columns):
    log = spec_with(Outcome(column="y", kind=OutcomeKind.CONTINUOUS), group="event" if "event" in columns else None)
    data = {"score": pa.chunked_array([errors]), "y": pa.chunked_array([np.zeros(len(errors))])}
    extra = {name: pa.chunked_array([values]) for name, values in columns.items()}
    return outcome_reference(log.prediction_log, {**data, **extra}, times, HOUR)


def test_hours_that_vary_beyond_sampling_are_learned_from_the_times_of_the_training_data():
    errors, times, _ = training(20_000, dependence=0.2)
    found = gap_reference(learned(errors, times), HOUR, grouped=False)
    assert found.windows == 100
    assert found.between == pytest.approx(0.2, rel=0.2)
    assert baseline_of_reference(found).deviation(200) == pytest.approx(np.hypot(1 / np.sqrt(200), 0.2), rel=0.2)


def test_independent_hours_vary_by_sampling_alone():
    errors, times, _ = training(20_000)
    assert gap_reference(learned(errors, times), HOUR, grouped=False).between == 0


def test_training_data_of_few_windows_are_cut_into_shorter_intervals():
    errors, times, _ = training(20_000, dependence=0.2)
    log = spec_with(Outcome(column="y", kind=OutcomeKind.CONTINUOUS)).prediction_log
    columns = {"score": pa.chunked_array([errors]), "y": pa.chunked_array([np.zeros(len(errors))])}
    reference = outcome_reference(log, columns, times, timedelta(hours=16))
    found = gap_reference(reference, timedelta(hours=16), grouped=False)
    assert reference.blocks.seconds == 4 * 3600
    assert baseline_of_reference(found).deviation(3200) == pytest.approx(0.2 / 4, rel=0.35)


def test_rows_of_a_group_depend_on_each_other_even_where_nothing_has_a_time():
    errors, _, hours = training(20_000, dependence=0.2)
    alone, grouped = learned(errors), learned(errors, event=hours.astype(str))
    assert alone.group_effect == 1
    assert grouped.group_effect == pytest.approx(1 + 200 * 0.04, rel=0.35)
    wide, narrow = (gap_reference(one, HOUR, grouped=True).row_variance for one in (grouped, alone))
    assert wide == pytest.approx(narrow * grouped.group_effect)


def test_the_order_of_rows_changes_no_bit():
    errors, times, hours = training(20_000, dependence=0.2)
    order = np.random.default_rng(1).permutation(len(errors))
    mixed = learned(errors[order], times.take(pa.array(order)), event=hours.astype(str)[order])
    assert mixed.blocks == learned(errors, times, event=hours.astype(str)).blocks
    assert mixed.group_effect == learned(errors, times, event=hours.astype(str)).group_effect


def test_an_older_reference_gives_charts_and_says_what_it_lacks():
    old = OutcomeReference(
        kind=OutcomeKind.BINARY,
        rows=20_000,
        answered=20_000,
        observed=Moments(count=20_000, mean=0.1, squares=1800),
        errors=Moments(count=20_000, mean=0.002, squares=1700, fourths=500),
    )
    found = gap_reference(old, HOUR, grouped=False)
    assert found.rarer_share == pytest.approx(0.1)
    assert "no intervals of time" in found.lacks


def test_training_data_without_predictions_leave_learning_to_the_first_windows():
    log = spec_with(Outcome(column="y", kind=OutcomeKind.CONTINUOUS)).prediction_log
    outcomes_alone = outcome_reference(log, {"y": pa.chunked_array([np.arange(500.0)])})
    assert gap_reference(outcomes_alone, HOUR, grouped=False) is None
    assert gap_reference(None, HOUR, grouped=False) is None


def test_a_window_counts_its_groups_and_not_its_rows(tmp_path):
    spec = together(kind=OutcomeKind.CONTINUOUS)
    grouped = replace(spec, prediction_log=replace(spec.prediction_log, group="storm"))
    moved = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    columns = {"score": moved, "clicked": np.zeros(100), "storm": np.repeat(["a", "b", "c", "d"], 25)}
    seen = minutes(*(number / 2 + 1 for number in range(100)))
    predictions(tmp_path, 100, timestamp=minutes(*(number / 2 for number in range(100))), seen=seen, **columns)
    alone, in_storms = measured(spec, tmp_path), measured(grouped, tmp_path)
    assert alone.gap == in_storms.gap == pytest.approx(0.5)
    assert alone.gap_error == pytest.approx(0.5 / np.sqrt(99))
    assert in_storms.gap_error == pytest.approx(0.5 / np.sqrt(3))


# ---------------------------------------------------------------- learning that stands still


def test_learning_that_no_window_adds_to_is_stalled_and_says_what_to_do():
    drifted = [replace(one, explained=True) for one in quiet_gaps(5)]
    assert reported(drifted[:4], None).status is ConceptStatus.LEARNING
    found = reported(drifted, None)
    assert found.status is ConceptStatus.STALLED
    assert "0 of 30 windows" in found.reason
    assert "mlvitals concept accept" in found.reason


def test_a_window_that_adds_to_it_ends_the_stall():
    drifted = [replace(one, explained=True) for one in quiet_gaps(5)]
    assert reported([*drifted, *quiet_gaps(1, first=5)], None).status is ConceptStatus.LEARNING


def test_windows_that_all_have_too_few_outcomes_are_stalled_and_say_so():
    few = [replace(one, count=80) for one in quiet_gaps(5)]
    assert reported(few[:4]).status is ConceptStatus.NO_OUTCOMES
    found = reported(few)
    assert found.status is ConceptStatus.STALLED
    assert found.reason.startswith(
        "80 predictions have an outcome; at least 100 are needed; so it was in the last 5 windows"
    )


def test_one_window_of_enough_outcomes_ends_it():
    few = [replace(one, count=80) for one in quiet_gaps(5)]
    assert reported([*few, *quiet_gaps(1, first=5)]).status is ConceptStatus.OK
    again = replace(gap(6, 0.0), count=80)
    assert reported([*few, *quiet_gaps(1, first=5), again]).status is ConceptStatus.NO_OUTCOMES


# ---------------------------------------------------------------- training data that are few for the windows


def test_training_data_that_are_few_next_to_a_window_say_so_and_the_first_windows_teach():
    few = replace(TRAINED, rows=5_000)
    found = reported(quiet_gaps(3), few)
    assert found.status is ConceptStatus.LEARNING
    assert found.note.startswith("The training data hold 5000 predictions with outcomes, too few for windows of 1000")
    assert series_of(quiet_gaps(100), few).baseline is not None


@given(rows=st.integers(200, 10**7))
def test_charts_that_run_have_limits_that_find_something_in_useful_time(rows):
    series = series_of(quiet_gaps(2), replace(TRAINED, rows=rows))
    if (baseline := series.expected) is not None:
        assert series.charts(baseline, 1000).cusum_limit <= HIGHEST_CUSUM
