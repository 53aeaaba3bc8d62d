"""Charts that run from the training data: how often they are wrong, and how soon they are right.

Simulated on the level of windows, whose mean gap and its error are all that a chart sees. `python -m
benchmarks.reference_charts` prints the tables that docs/concept-drift.md shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reference.artifact import ErrorBlocks, OutcomeReference
from mlvitals.exporters.sections.concept.baseline import baseline_of_reference, gap_reference
from mlvitals.exporters.sections.concept.charts import Charts, ChartState, advance
from mlvitals.exporters.sections.concept.report import GapReference, GapSample
from mlvitals.exporters.sections.concept.series import GapSeries, Plan, charts, concept_report, plan_of
from mlvitals.exporters.statistics.moments import Moments
from mlvitals.generator.spec.model import (
    Feature,
    Outcome,
    OutcomeKind,
    PredictionLog,
    Spec,
    System,
    Windows,
)

ROWS = 20_000
"""Of a reference."""
WEEK, DAY, HOUR = timedelta(weeks=1), timedelta(days=1), timedelta(hours=1)
_START = datetime(2026, 1, 5, tzinfo=UTC)


class Dependence(StrEnum):
    """The way in which rows depend on each other."""

    INDEPENDENT = "independent rows"
    OVERLAPPING = "overlapping windows, 24 h every hour"
    AUTOREGRESSIVE = "AR(1) rows, r = 0.5"


@dataclass(frozen=True, slots=True)
class Simulated:
    """Rows of one law, and windows of them."""

    dependence: Dependence
    length: timedelta
    rows: int
    """Of a window."""

    @property
    def plan(self) -> Plan:
        """The charts that the defaults give windows of this length."""
        return plan_of(spec_of(self.length))

    @property
    def inflation(self) -> float:
        """Variance of a window's mean over that of as many independent rows: of AR(1), (1 + r) / (1 - r)."""
        return 3.0 if self.dependence is Dependence.AUTOREGRESSIVE else 1.0


def spec_of(length: timedelta) -> Spec:
    """A system of continuous outcomes, all of it at its defaults but the length of a window."""
    return Spec(
        version=1,
        system=System(name="simulated"),
        prediction_log=PredictionLog(
            path="log", score="score", id="id", outcome=Outcome(column="y", kind=OutcomeKind.CONTINUOUS)
        ),
        features={"x": Feature()},
        windows=Windows(length=f"{int(length.total_seconds())}s"),
    )


def reference(system: Simulated, generator: np.random.Generator) -> GapReference:
    """What training data of independent, or dependent, rows with errors of standard deviation 1 say of the gap."""
    windows = ROWS // system.rows
    means = generator.normal(0.0, sqrt(system.inflation / system.rows), windows)
    spreads = np.sqrt(generator.chisquare(system.rows - 1, windows) / (system.rows - 1))
    squares = float((spreads**2).sum() * system.rows + system.rows * (means**2).sum())
    errors = Moments(count=ROWS, mean=float(means.mean()), squares=squares, fourths=3 * squares**2 / ROWS)
    outcome = OutcomeReference(
        kind=OutcomeKind.CONTINUOUS,
        rows=ROWS,
        answered=ROWS,
        observed=Moments(count=ROWS, mean=0.0, squares=float(ROWS)),
        errors=errors,
        blocks=ErrorBlocks(
            seconds=system.length.total_seconds(),
            counts=(system.rows,) * windows,
            means=tuple(means.tolist()),
            errors=tuple((spreads / sqrt(system.rows)).tolist()),
        ),
    )
    found = gap_reference(outcome, system.length, grouped=False)
    assert found is not None
    return found


def gaps(system: Simulated, generator: np.random.Generator, shape: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Gaps of windows without change."""
    return generator.normal(0.0, sqrt(system.inflation / system.rows), shape)


class FalseAlarms(NamedTuple):
    """Time between false alarms."""

    promised: timedelta
    measured: timedelta
    alarms: int

    @property
    def ratio(self) -> float:
        """Measured over promised."""
        return self.measured / self.promised


def false_alarms(system: Simulated, *, references: int, windows: int, seed: int = 0) -> tuple[FalseAlarms, FalseAlarms]:
    """Let charts of many references run on windows without change; return their false warnings and false pages.

    The time in which no chart signals is divided by the number of alarms.
    """
    generator, plan = np.random.default_rng(seed), system.plan
    learned = [baseline_of_reference(reference(system, generator)) for _ in range(references)]
    limits = [charts(plan, one.errors(system.rows)) for one in learned]
    target = np.array([one.target for one in learned])
    deviation = np.array([one.deviation(system.rows) for one in learned])
    # One chart with a limit for each reference.
    ewma_limit: Any = np.array([one.ewma_limit for one in limits])
    cusum_limit: Any = np.array([one.cusum_limit for one in limits])
    together = Charts(plan.ewma_weight, ewma_limit, plan.shift / 2, cusum_limit)
    nothing = np.zeros(references)
    state, quiet, alarms, before = (
        ChartState(nothing, nothing, nothing),
        [0, 0],
        [0, 0],
        [np.zeros(references, bool)] * 2,
    )
    for _ in range(windows):
        state = advance(together, state, (gaps(system, generator, references) - target) / deviation)
        signals = np.abs(state.ewma) > ewma_limit, np.maximum(state.upper, state.lower) > cusum_limit
        for place, now in enumerate(signals):
            alarms[place] += int(np.count_nonzero(now & ~before[place]))
            quiet[place] += int(np.count_nonzero(~before[place]))
            before[place] = now
    promised = plan.warning_run_length, plan.critical_run_length
    found = (
        FalseAlarms(length * system.length, count / max(number, 1) * system.length, number)
        for length, count, number in zip(promised, quiet, alarms, strict=True)
    )
    warning, page = found
    return warning, page


def overlapping_false_warnings(*, series: int, days: int, seed: int = 0) -> FalseAlarms:
    """Give the exporter's own series 24-hour windows that end every hour, without change; return its false warnings."""
    system = Simulated(Dependence.OVERLAPPING, DAY, 240)
    hourly = system.rows // 24
    generator, plan = np.random.default_rng(seed), system.plan
    alarms = quiet = 0
    for _ in range(series):
        hours = generator.normal(0.0, 1 / sqrt(hourly), days * 24)
        of_day = np.convolve(hours, np.full(24, 1 / 24), "valid")
        now, before = GapSeries(plan, reference=reference(system, generator)), False
        for hour, gap in enumerate(of_day.tolist()):
            moved = now.after(_sample(hour * HOUR, DAY, gap, system.rows))
            if moved.last_end == now.last_end:
                continue
            now = moved
            quiet += not before
            signals = _signals(now)
            alarms += signals and not before
            before = signals
    return FalseAlarms(plan.warning_run_length * DAY, quiet / max(alarms, 1) * DAY, alarms)


def _signals(series: GapSeries) -> bool:
    expected = series.expected
    assert expected is not None
    return abs(float(series.state.ewma)) > series.charts(expected, 1).ewma_limit


def _sample(since: timedelta, length: timedelta, gap: float, rows: int) -> GapSample:
    start = _START + since
    return GapSample(window_start=start, window_end=start + length, gap=gap, gap_error=1 / sqrt(rows), count=rows)


def found_within(
    windows: int, *, rows: int, quiet: int, series: int, shift: float = 1.0, seed: int = 0
) -> NDArray[np.bool_]:
    """Give weekly systems a shift of the gap after some quiet weeks; return in which it was found soon enough.

    Args:
        windows: the weeks that it may take.
        rows: predictions with an outcome, of each week.
        quiet: weeks before the shift.
        series: how many systems, each with a reference of its own.
        shift: in standard deviations of a week's gap.
        seed: of all that is drawn.
    """
    system, generator = Simulated(Dependence.INDEPENDENT, WEEK, rows), np.random.default_rng(seed)
    plan, found = system.plan, np.zeros(series, bool)
    for number in range(series):
        now = GapSeries(plan, reference=reference(system, generator))
        values = gaps(system, generator, quiet + windows)
        values[quiet:] += shift / sqrt(rows)
        for week, gap in enumerate(values.tolist()):
            sample = _sample(week * WEEK, WEEK, gap, rows)
            now = now.after(sample)
            if week >= quiet and concept_report(now, sample).severity is not None:
                found[number] = True
                break
    return found


def _lines(references: int, windows: int) -> Iterator[str]:
    yield "| rows | windows | alarm | promised, days | measured, days | measured / promised |"
    yield "|---|---|---|---:|---:|---:|"
    systems = (
        Simulated(Dependence.INDEPENDENT, WEEK, 200),
        Simulated(Dependence.INDEPENDENT, DAY, 200),
        Simulated(Dependence.AUTOREGRESSIVE, WEEK, 200),
        Simulated(Dependence.AUTOREGRESSIVE, DAY, 200),
    )
    for system in systems:
        for name, found in zip(
            ("warning", "page"), false_alarms(system, references=references, windows=windows), strict=True
        ):
            yield _line(system.dependence, f"{system.length.days} d", name, found)
    overlapping = overlapping_false_warnings(series=references // 20, days=400)
    yield _line(Dependence.OVERLAPPING, "1 d", "warning", overlapping)
    yield ""
    yield "| rows a week | quiet weeks before | found within 6 weeks |"
    yield "|---:|---:|---:|"
    for rows in (100, 200, 400, 1000):
        for quiet in (0, 10):
            yield f"| {rows} | {quiet} | {found_within(6, rows=rows, quiet=quiet, series=1000).mean():.1%} |"


def _line(dependence: Dependence, length: str, alarm: str, found: FalseAlarms) -> str:
    times = f"{found.promised / DAY:,.0f} | {found.measured / DAY:,.0f}"
    return f"| {dependence} | {length} | {alarm} | {times} | {found.ratio:.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference_charts", description=__doc__)
    parser.add_argument("--references", type=int, default=2000)
    parser.add_argument("--windows", type=int, default=2000)
    options = parser.parse_args()
    for line in _lines(options.references, options.windows):
        print(line)


if __name__ == "__main__":
    main()
