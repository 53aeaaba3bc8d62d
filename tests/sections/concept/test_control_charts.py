"""EWMA and CUSUM: run lengths as promised, limits that allow for an estimated baseline, and what a chart forgets."""

from math import sqrt

import numpy as np
import pytest

from benchmarks.run_lengths import Chart, measured_run_length
from mlvitals.exporters.sections.concept.charts import (
    EXACT,
    SATURATION,
    Charts,
    ChartState,
    Error,
    advance,
    cusum_limit,
    cusum_run_length,
    estimation_error,
    ewma_limit,
    ewma_run_length,
)

SERIES = 10_000


@pytest.mark.parametrize(("limit", "known"), [(4, 168), (5, 465)])
def test_the_run_length_of_a_cusum_is_the_one_of_the_tables(limit: float, known: float):
    # Montgomery, Introduction to Statistical Quality Control, table 9.3 (k = 0.5).
    assert cusum_run_length(limit, 0.5) == pytest.approx(known, rel=0.005)


@pytest.mark.parametrize(("weight", "width", "known"), [(0.2, 2.962, 500), (0.1, 2.814, 500), (0.05, 2.615, 500)])
def test_the_run_length_of_an_ewma_is_the_one_of_the_tables(weight: float, width: float, known: float):
    # Lucas and Saccucci 1990, table 3.
    assert ewma_run_length(width * sqrt(weight / (2 - weight)), weight) == pytest.approx(known, rel=0.01)


@pytest.mark.parametrize("wanted", [50, 500, 20_000, 1_000_000])
def test_a_limit_has_the_run_length_it_was_solved_for(wanted: float):
    assert cusum_run_length(cusum_limit(wanted, 0.5), 0.5) == pytest.approx(wanted, rel=1e-3)
    assert ewma_run_length(ewma_limit(wanted, 0.2), 0.2) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("chart", Chart)
def test_ten_thousand_series_without_change_run_as_long_as_promised(chart: Chart):
    assert measured_run_length(chart, 100.0, 0.0, SERIES, seed=1).mean == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("chart", Chart)
@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_ten_thousand_shifted_series_are_found_after_the_delay_of_the_theory(chart: Chart, shift: float):
    found = measured_run_length(chart, 200.0, shift, SERIES, seed=2)
    assert found.mean == pytest.approx(found.theory, rel=0.05)


@pytest.mark.parametrize("windows", [30, 100, 400])
def test_nine_of_ten_estimated_baselines_keep_the_promised_run_length(windows: int):
    error, generator = estimation_error(windows), np.random.default_rng(3)
    cusum, ewma = cusum_limit(500.0, 0.5, error), ewma_limit(500.0, 0.2, error)
    kept = []
    for _ in range(100):
        sample = generator.normal(size=windows)
        deviation = sample.std(ddof=1)
        true = Error(-sample.mean() / deviation, 1 / deviation)
        kept.append((cusum_run_length(cusum, 0.5, true) >= 500, ewma_run_length(ewma, 0.2, true) >= 500))
    assert np.mean(kept, axis=0).min() >= 0.82  # 0.9 less three standard errors of a hundred baselines


def test_without_the_allowance_half_of_the_short_baselines_break_the_promise():
    generator, broken = np.random.default_rng(4), 0
    limit = cusum_limit(500.0, 0.5, EXACT)
    for _ in range(50):
        sample = generator.normal(size=30)
        deviation = sample.std(ddof=1)
        broken += cusum_run_length(limit, 0.5, Error(-sample.mean() / deviation, 1 / deviation)) < 500
    assert broken > 20


def test_an_allowance_widens_the_limits_and_more_windows_narrow_them():
    assert cusum_limit(500.0, 0.5) < cusum_limit(500.0, 0.5, estimation_error(1000))
    assert cusum_limit(500.0, 0.5, estimation_error(1000)) < cusum_limit(500.0, 0.5, estimation_error(100))


CHARTS = Charts(weight=0.2, ewma_limit=1.0, allowance=0.5, cusum_limit=5.0)


def after(*values: float) -> ChartState:
    state = ChartState()
    for value in values:
        state = advance(CHARTS, state, value)
    return state


def test_values_at_the_target_leave_the_charts_at_zero():
    assert after(0.0, 0.0) == ChartState()


def test_each_side_has_its_own_sum():
    assert (after(2.0).upper, after(2.0).lower) == (1.5, 0.0)
    assert (after(-2.0).upper, after(-2.0).lower) == (0.0, 1.5)


def test_the_average_weighs_the_newest_value():
    assert after(1.0, 1.0).ewma == pytest.approx(0.36)


def test_however_bad_it_was_a_chart_is_quiet_soon_after_it_is_mended():
    hit = after(*[100.0] * 50)
    assert hit.upper == SATURATION * CHARTS.cusum_limit
    mended = hit
    for _ in range(4):
        mended = advance(CHARTS, mended, 0.0)
    assert mended.upper <= CHARTS.cusum_limit
    assert abs(mended.ewma) <= CHARTS.ewma_limit


def test_a_chart_whose_alarm_is_over_starts_anew():
    mended = after(*[100.0] * 50)
    while mended.upper > CHARTS.cusum_limit:
        mended = advance(CHARTS, mended, 0.0)
    assert (mended.upper, mended.ewma) == (0.0, 0.0)
    assert advance(CHARTS, mended, CHARTS.cusum_limit / 2).upper < CHARTS.cusum_limit
