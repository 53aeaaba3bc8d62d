"""Run lengths of the control charts, measured on simulated series, beside the theory.

`python -m benchmarks.run_lengths` prints the table that docs/concept-drift.md shows.
"""

from __future__ import annotations

import argparse
from enum import StrEnum
from math import sqrt
from typing import NamedTuple

import numpy as np

from mlvitals.exporters.sections.concept.charts import (
    Charts,
    ChartState,
    Error,
    advance,
    cusum_limit,
    cusum_run_length,
    ewma_limit,
    ewma_run_length,
)

ALLOWANCE = 0.5
WEIGHT = 0.2
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
    charts = Charts(WEIGHT, ewma_limit(wanted, WEIGHT), ALLOWANCE, cusum_limit(wanted, ALLOWANCE))
    generator = np.random.default_rng(seed)
    nothing = np.zeros(series)
    state, lengths, steps = ChartState(nothing, nothing, nothing), [np.empty(0)], 0
    while np.size(state.ewma):
        steps += 1
        state = advance(charts, state, generator.normal(shift, 1.0, np.size(state.ewma)))
        if chart is Chart.CUSUM:
            signals = np.maximum(state.upper, state.lower) > charts.cusum_limit
        else:
            signals = np.abs(state.ewma) > charts.ewma_limit
        lengths.append(np.full(np.count_nonzero(signals), float(steps)))
        left = ~signals
        state = ChartState(*(np.asarray(values)[left] for values in (state.ewma, state.upper, state.lower)))
    found = np.concatenate(lengths)
    if chart is Chart.CUSUM:
        theory = cusum_run_length(charts.cusum_limit, ALLOWANCE, Error(shift))
    else:
        theory = ewma_run_length(charts.ewma_limit, WEIGHT, Error(shift))
    return RunLength(float(found.mean()), float(found.std() / sqrt(series)), theory)


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


if __name__ == "__main__":
    main()
