"""``python -m examples.flights.outcomes`` prints feedback, bias and error of the delay model, week by week through 2013.

The model learned January to March, which are the reference. A flight that was cancelled or diverted never has an outcome.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace
from rich.console import Console

from examples.flights.data import DataMissing, read_flights
from examples.flights.model import training_and_log
from examples.flights.year import SPEC, TRAIN_UNTIL
from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.outcomes.measure import measure_outcomes
from mlvitals.exporters.sections.outcomes.reference import outcome_reference
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.load import load_spec

WEEK = timedelta(weeks=1)
_TITLES = ("week of", "flights", "feedback", "mean delay", "bias", "MAE", "flagged", "why")


@dataclass(frozen=True, slots=True)
class Week:
    """A week of flights, and what their outcomes say."""

    report: OutcomeReport
    cancelled: float
    """Share of the flights that never arrived where they should."""
    late: float
    """Mean delay at departure in minutes."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What is judged to be wrong, with its severity."""
        figures = {
            "feedback fall": self.report.feedback_fall,
            "label drift": self.report.label_shift,
            "performance loss": self.report.performance_loss,
        }
        return tuple(f"{name} ({found.severity})" for name, found in figures.items() if found and found.severity)

    @property
    def reason(self) -> str:
        """What the schedule and the departures say of it."""
        if not self.flags:
            return ""
        return (
            f"{self.cancelled:.1%} of the flights cancelled or diverted, departures {self.late:.0f} min late on average"
        )


def weeks(begin: datetime = TRAIN_UNTIL, end: datetime | None = None) -> Iterator[Week]:
    """Every whole week of the log from `begin` on, until `end`.

    Raises:
        DataMissing: the package with the flights is not installed.
    """
    spec = load_spec(SPEC)
    spec = replace(spec, prediction_log=replace(spec.prediction_log, path="log"))
    training, log = training_and_log(read_flights(), TRAIN_UNTIL)
    reference = outcome_reference(spec.prediction_log, dict(zip(training.column_names, training.columns, strict=True)))
    outcome = spec.prediction_log.outcome
    delay = span(outcome.max_delay) if outcome else timedelta()
    last = end or pc.max(log["timestamp"]).as_py()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "log").mkdir()
        pq.write_table(log, folder / "log" / "year.parquet", row_group_size=20_000)
        while begin + WEEK <= last:
            window = Window(begin + delay, begin + WEEK + delay)
            report = measure_outcomes(spec, folder, reference, window, window.end)
            yield _week(report, log)
            begin += WEEK


def _week(report: OutcomeReport, log: pa.Table) -> Week:
    inside = (pc.field("timestamp") >= report.window.start) & (pc.field("timestamp") < report.window.end)
    flights = log.filter(inside)
    cancelled = flights["arr_delay"].null_count / max(flights.num_rows, 1)
    return Week(report, cancelled, pc.mean(flights["dep_delay"]).as_py() or 0.0)


@click.command()
def main() -> None:
    """Print a Markdown table: a line for each week from April to December 2013."""
    console = Console(stderr=True)
    try:
        with console.status("Joining the arrivals of every week"):
            found = list(weeks())
    except DataMissing as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"| {' | '.join(_TITLES)} |")
    click.echo(f"|---|{'---:|' * 5}---|---|")
    for week in found:
        click.echo(f"| {' | '.join(_row(week))} |")


def _row(week: Week) -> tuple[str, ...]:
    report = week.report
    bias, error = report.performance["bias"].value, report.performance["mae"].value
    figures = (f"{report.predictions:,}", f"{report.feedback_rate or 0:.1%}")
    means = tuple("" if value is None else f"{value:.1f}" for value in (report.observed_mean, bias, error))
    return (f"{report.window.start:%m-%d}", *figures, *means, ", ".join(week.flags), week.reason)


if __name__ == "__main__":
    main()
