"""Run lengths of the control charts, measured on simulated series, beside the theory.

`python -m benchmarks.run_lengths` prints the table that docs/concept-drift.md shows.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from enum import StrEnum
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.sections.concept.baseline import Baseline, baseline_of
from mlvitals.exporters.sections.concept.charts import (
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
from mlvitals.exporters.sections.concept.report import GapSample
from mlvitals.exporters.sections.concept.series import Plan, charts

ALLOWANCE = 0.5
WEIGHT = 0.2
PLAN = Plan(2000.0, 20_000.0, WEIGHT, 2 * ALLOWANCE, baseline_windows=100, patience=48)
"""Promises for rare outcomes, of charts that learn from windows."""
SHIFTS = (0.0, 0.5, 1.0, 2.0)


class Chart(StrEnum):
    """Which of the charts signals."""

    CUSUM = "CUSUM"
    EWMA = "EWMA"


class RunLength(NamedTuple):
    """Windows until a chart signals."""

    mean: float
    error: float
    """Standard error of the mean."""
    theory: float


def measured_run_length(chart: Chart, wanted: float, shift: float, series: int, seed: int) -> RunLength:
    """Let series of independent normal values run, all side by side, until each has signalled.

    Args:
        chart: the chart that is watched.
        wanted: the mean run length without change that its limit is for.
        shift: the mean of the values, in standard deviations.
        series: how many.
        seed: of the values.
    """
    limits = Charts(WEIGHT, ewma_limit(wanted, WEIGHT), ALLOWANCE, cusum_limit(wanted, ALLOWANCE))
    generator = np.random.default_rng(seed)
    nothing = np.zeros(series)
    state, lengths, steps = ChartState(nothing, nothing, nothing), [np.empty(0)], 0
    while np.size(state.ewma):
        steps += 1
        state = advance(limits, state, generator.normal(shift, 1.0, np.size(state.ewma)))
        if chart is Chart.CUSUM:
            signals = np.maximum(state.upper, state.lower) > limits.cusum_limit
        else:
            signals = np.abs(state.ewma) > limits.ewma_limit
        lengths.append(np.full(np.count_nonzero(signals), float(steps)))
        left = ~signals
        state = ChartState(*(np.asarray(values)[left] for values in (state.ewma, state.upper, state.lower)))
    found = np.concatenate(lengths)
    if chart is Chart.CUSUM:
        theory = cusum_run_length(limits.cusum_limit, ALLOWANCE, Error(shift))
    else:
        theory = ewma_run_length(limits.ewma_limit, WEIGHT, Error(shift))
    return RunLength(float(found.mean()), float(found.std() / sqrt(series)), theory)


class RareRuns(NamedTuple):
    """Windows without change of many series, and how many of them ended in a signal."""

    windows_to_page: int
    pages: int
    windows_to_warning: int
    warnings: int


def rare_runs(rate: float, *, rows: int = 500, baselines: int = 40, series: int = 50, windows: int = 1000) -> RareRuns:
    """Let series of windows with rare positives run from baselines of their own, each until its first signal.

    Args:
        rate: share of positive outcomes, which the scores know.
        rows: predictions of a window.
        baselines: how many are learned.
        series: how many run from each.
        windows: after how many a series ends.
    """
    plan, generator = PLAN, np.random.default_rng(0)
    learned = [_baseline(generator, rate, rows, plan.baseline_windows) for _ in range(baselines)]
    target = np.array([found.target for found in learned])[:, None]
    deviation = np.array([found.deviation(rows) for found in learned])[:, None]
    limits, nothing = charts(plan, (estimation_error(plan.baseline_windows),)), np.zeros((baselines, series))
    state, ends = ChartState(nothing, nothing, nothing), np.full((2, baselines, series), windows + 1)
    for window in range(1, windows + 1):
        gaps, _ = _rare_gaps(generator, rate, rows, (baselines, series))
        state = advance(limits, state, (gaps - target) / deviation)
        pages = np.maximum(state.upper, state.lower) > limits.cusum_limit
        for end, signals in zip(ends, (pages, np.abs(state.ewma) > limits.ewma_limit), strict=True):
            end[signals & (end > windows)] = window
    lengths, signalled = (
        np.minimum(ends, windows).sum(axis=(1, 2)).tolist(),
        (ends <= windows).sum(axis=(1, 2)).tolist(),
    )
    return RareRuns(lengths[0], signalled[0], lengths[1], signalled[1])


def _rare_gaps(
    generator: np.random.Generator, rate: float, rows: int, shape: int | tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw gaps, and their standard errors as the windows themselves estimate them; scores vary as much as their mean."""
    hits = generator.binomial(rows, rate, shape) / rows
    scores = generator.normal(rate, rate / sqrt(rows), shape)
    return scores - hits, np.sqrt((hits * (1 - hits) + rate * rate) / rows)


def _baseline(generator: np.random.Generator, rate: float, rows: int, windows: int) -> Baseline:
    parts = zip(*(part.tolist() for part in _rare_gaps(generator, rate, rows, windows)), strict=True)
    found = baseline_of([_gap(gap, error, rows) for gap, error in parts])
    assert isinstance(found, Baseline)
    return found


def _gap(gap: float, error: float, rows: int) -> GapSample:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return GapSample(window_start=moment, window_end=moment, gap=gap, gap_error=error, count=rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_lengths", description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    options = parser.parse_args()
    print("| chart | promised | limit | shift, sd | measured | theory | measured / theory |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for chart in Chart:
        for wanted in (200.0, 500.0):
            limit = cusum_limit(wanted, ALLOWANCE) if chart is Chart.CUSUM else ewma_limit(wanted, WEIGHT)
            for shift in SHIFTS:
                found = measured_run_length(chart, wanted, shift, options.series, seed=int(wanted))
                cells = (f"{wanted:.0f}", f"{limit:.3f}", f"{shift:g}", f"{found.mean:.1f} ± {found.error:.1f}")
                print(f"| {chart} | {' | '.join(cells)} | {found.theory:.1f} | {found.mean / found.theory:.3f} |")
    print("\n| positives to come | windows to a page, promised | seen | to a warning, promised | seen |")
    print("|---:|---:|---:|---:|---:|")
    for rate in (0.01, 0.02, 0.04, 0.1, 0.3):
        runs, plan = rare_runs(rate, baselines=100, windows=2000), PLAN
        page, warning = runs.windows_to_page / max(runs.pages, 1), runs.windows_to_warning / max(runs.warnings, 1)
        promised = f"{plan.critical_run_length:,.0f}", f"{plan.warning_run_length:,.0f}"
        print(f"| {500 * rate:.0f} | {promised[0]} | {page:,.0f} | {promised[1]} | {warning:,.0f} |")


if __name__ == "__main__":
    main()
