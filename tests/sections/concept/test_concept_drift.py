"""The gap between predictions and outcomes as a series: its baseline, what counts, and what the charts say."""

from functools import reduce

import numpy as np
import pytest
from concept_samples import HOUR, gap, quiet_gaps, shifted, window
from msgspec.structs import replace
from scipy.stats import poisson

from benchmarks.run_lengths import rare_runs
from mlvitals.exporters.sections.concept.baseline import Baseline, baseline_of
from mlvitals.exporters.sections.concept.series import GapSeries, Plan, concept_report
from mlvitals.generator.contract import ConceptStatus
from mlvitals.generator.spec.model import Severity

PLAN = Plan(2000, 20_000, ewma_weight=0.2, shift=1.0, baseline_windows=100, patience=48)
BASELINE = quiet_gaps(100)


def gap_series(plan, samples, *, binary=False):
    """The series that samples make, oldest first."""
    return reduce(GapSeries.after, samples, GapSeries(plan, binary=binary))


def reported(samples):
    return concept_report(gap_series(PLAN, samples), samples[-1])


def test_a_baseline_knows_its_target_and_that_nothing_but_sampling_varies():
    found = baseline_of(quiet_gaps(400))
    assert isinstance(found, Baseline)
    assert found.target == pytest.approx(0.005, abs=0.002)
    assert found.between < 0.004


def test_what_varies_beyond_sampling_is_the_variance_between_windows():
    values = np.random.default_rng(1).normal(0, np.hypot(0.01, 0.03), 400)
    found = baseline_of([gap(hour, value, error=0.01) for hour, value in enumerate(values.tolist())])
    assert found.between == pytest.approx(0.03, rel=0.15)


def test_windows_with_more_outcomes_are_trusted_more():
    found = Baseline(100, 0.0, 0.01, row_variance=0.1)
    assert found.deviation(10_000) < found.deviation(100)


def test_the_sampling_error_is_that_of_no_change_and_not_the_windows_own():
    found = baseline_of(BASELINE)
    assert found.row_variance == pytest.approx(1000 * 0.01**2)
    assert found.deviation(1000) == pytest.approx(np.hypot(0.01, found.between))


def rare_gaps(count, rate, *, rows=500, first=0, seed=0):
    """Gaps of windows of rows whose outcomes are positive at a rate that the scores know."""
    hits = np.random.default_rng(seed).binomial(rows, rate, count) / rows
    errors = np.sqrt((hits * (1 - hits) + rate**2) / rows)
    parts = zip((rate - hits).tolist(), errors.tolist(), strict=True)
    return [gap(first + hour, value, error=error, count=rows) for hour, (value, error) in enumerate(parts)]


@pytest.mark.parametrize(("rate", "status"), [(0.006, ConceptStatus.REFUSED), (0.02, ConceptStatus.OK)])
def test_windows_that_are_to_hold_a_handful_of_positives_are_refused_and_say_so(rate, status):
    samples = rare_gaps(100, rate)
    found = concept_report(gap_series(PLAN, samples, binary=True), samples[-1])
    assert found.status is status
    assert ("outcomes of the rarer kind; at least 5 are needed" in found.reason) is (status is ConceptStatus.REFUSED)


def test_a_window_smaller_than_the_baselines_is_skipped_where_it_is_to_hold_few_positives():
    series = gap_series(PLAN, rare_gaps(100, 0.02), binary=True)
    [small] = rare_gaps(1, 0.02, rows=200, first=100)
    assert series.after(small) == series
    assert "about 4.2 outcomes of the rarer kind" in concept_report(series, small).reason


def test_a_window_without_any_positive_counts_where_ten_were_to_come():
    series = gap_series(PLAN, rare_gaps(100, 0.02), binary=True)
    for hour in range(100, 106):
        series = series.after(gap(hour, 0.02, error=0.001, count=500))
    assert concept_report(series, gap(106, 0.02, count=500)).severity is Severity.CRITICAL


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.1])
def test_rare_positives_page_no_more_often_than_promised(rate):
    found = rare_runs(rate)
    assert found.pages <= poisson.ppf(0.9995, found.windows_to_page / PLAN.critical_run_length)
    assert found.warnings <= poisson.ppf(0.9995, found.windows_to_warning / PLAN.warning_run_length)


def test_twice_as_many_positives_are_found_within_a_dozen_windows():
    series = gap_series(PLAN, rare_gaps(100, 0.02), binary=True)
    severities = []
    for sample in rare_gaps(12, 0.04, first=100, seed=1):
        moved = shifted(sample, -0.02)
        series = series.after(moved)
        severities.append(concept_report(series, moved).severity)
    assert Severity.CRITICAL in severities


def test_neighbours_that_resemble_each_other_stretch_the_deviation():
    noise, values = np.random.default_rng(2).normal(size=400), [0.0]
    for step in noise:
        values.append(0.6 * values[-1] + step)
    found = baseline_of([gap(hour, 0.02 * value) for hour, value in enumerate(values)])
    assert found.stretch == pytest.approx(2.0, rel=0.2)


def test_a_gap_that_never_varies_is_refused_with_the_reason():
    found = concept_report(gap_series(PLAN, [gap(hour, 0.0, error=0.0) for hour in range(100)]), gap(100, 0.0))
    assert found.status is ConceptStatus.REFUSED
    assert "did not vary" in found.reason


def test_a_series_that_wanders_is_refused_as_a_baseline():
    assert "cannot be told" in baseline_of([gap(hour, 0.01 * hour) for hour in range(100)])


def test_a_baseline_too_short_gives_no_chart_and_says_how_much_is_lacking():
    found = reported(BASELINE[:99])
    assert (found.status, found.ewma) == (ConceptStatus.LEARNING, None)
    assert found.reason.startswith("99 of 100 windows")


def test_charts_begin_after_the_baseline_at_zero():
    found = reported(BASELINE)
    assert (found.status, found.ewma, found.cusum_upper, found.severity) == (ConceptStatus.OK, 0.0, 0.0, None)


def test_windows_whose_inputs_drifted_do_not_teach_the_baseline():
    taught = gap_series(PLAN, [*BASELINE[:99], replace(BASELINE[99], gap=0.5, explained=True)])
    assert taught.baseline is None


def test_a_sudden_shift_warns_then_pages_and_says_since_when():
    samples = [*BASELINE, *[shifted(sample, 0.03) for sample in quiet_gaps(10, first=100, seed=5)]]
    warned = next(n for n in range(101, 111) if reported(samples[:n]).severity)
    paged = next(n for n in range(101, 111) if reported(samples[:n]).severity is Severity.CRITICAL)
    assert warned <= paged
    assert reported(samples[:paged]).since == window(100).start


def test_a_fall_of_the_gap_is_found_on_the_lower_side():
    found = reported([*BASELINE, *[shifted(sample, -0.03) for sample in quiet_gaps(10, first=100, seed=5)]])
    assert found.cusum_lower > found.cusum_limit
    assert found.cusum_upper == 0


def test_a_thousand_windows_without_change_page_nobody():
    severities = []
    series = gap_series(PLAN, BASELINE)
    for sample in quiet_gaps(1000, first=100, seed=6):
        series = series.after(sample)
        severities.append(concept_report(series, sample).severity)
    assert Severity.CRITICAL not in severities


def test_the_same_samples_give_the_same_state_however_they_are_cut():
    samples = [*BASELINE, *quiet_gaps(40, first=100, seed=7)]
    resumed = gap_series(PLAN, samples[:120])
    for sample in samples[120:]:
        resumed = resumed.after(sample)
    assert resumed == gap_series(PLAN, samples)


def test_a_window_that_overlaps_an_earlier_one_does_not_count_twice():
    series = gap_series(PLAN, [*BASELINE, *quiet_gaps(3, first=100, seed=8)])
    again = gap(102, 0.5)
    half = replace(again, window_start=again.window_start + HOUR / 2, window_end=again.window_end + HOUR / 2)
    assert series.after(again) == series == series.after(half)


def test_a_missing_window_is_skipped():
    with_gap = gap_series(PLAN, [*BASELINE, gap(100, 0.02), gap(103, 0.02)])
    without = gap_series(PLAN, [*BASELINE, gap(100, 0.02), gap(101, 0.02)])
    assert with_gap.state == without.state


def test_a_handful_of_outcomes_is_no_sample():
    series = gap_series(PLAN, BASELINE)
    few = gap(100, 0.5, count=99)
    assert series.after(few) == series
    assert concept_report(series, few).status is ConceptStatus.NO_OUTCOMES


def test_a_window_without_outcomes_has_no_chart_to_look_fine_on():
    found = concept_report(gap_series(PLAN, BASELINE), None)
    assert (found.status, found.ewma, found.severity) == (ConceptStatus.NO_OUTCOMES, None, None)


def test_an_excess_that_was_gathered_while_inputs_drifted_is_explained():
    hit = [replace(shifted(sample, 0.05), explained=True) for sample in quiet_gaps(10, first=100, seed=9)]
    assert reported([*BASELINE, *hit]).explained_ratio == 1.0


def test_nothing_is_known_before_the_first_sample():
    assert concept_report(GapSeries(PLAN), None).baseline_windows == 0
