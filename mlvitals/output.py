"""What people read on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporters.report import FeatureReport, Measure, WindowReport
from generator.contract import Status
from generator.spec.model import Severity

_STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_RANK = {Severity.CRITICAL: 3, Severity.WARNING: 2, Severity.INFO: 1}


def drift_table(report: WindowReport) -> None:
    """Print a report: the worst features first, with the bin that moved and what to do."""
    console = Console(highlight=False)
    start, end = (f"{time:%Y-%m-%d %H:%M}" for time in (report.window.start, report.window.end))
    console.print(
        f"{report.system}: {report.rows} rows from {start} to {end} UTC, reference {report.reference_version}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for title in ("feature", "state", "PSI", "D", "JS", "nulls", "top bin"):
        numeric = title in {"PSI", "D", "JS", "nulls"}
        table.add_column(title, justify="right" if numeric else "left", no_wrap=title != "top bin")
    rows = sorted(report.features.items(), key=lambda item: -_badness(item[1]))
    rows += [("(score)", report.score)] if report.score else []
    for name, feature in rows:
        table.add_row(*_row(name, feature))
    console.print(table)
    for name, feature in rows:
        if advice := feature.reason or feature.action:
            console.print(Text(f"{printable(name)}: {printable(advice)}"), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(f"{problem.path}: {problem.problem}", style="yellow"), soft_wrap=True)


def _badness(feature: FeatureReport) -> float:
    rank = _RANK.get(feature.severity, 0) if feature.severity else 0
    return rank + (2.5 if feature.status not in {Status.OK, Status.INSUFFICIENT_DATA} else 0)


def _row(name: str, feature: FeatureReport) -> tuple[Text, ...]:
    state = feature.severity or feature.status
    style = _STYLE.get(feature.severity, "") if feature.severity else "" if feature.status is Status.OK else "magenta"
    return (
        Text(printable(name)),
        Text(str(state), style=style),
        *(Text(_measure(measure)) for measure in (feature.psi, feature.ks, feature.js)),
        Text("" if feature.null_rate is None else f"{feature.null_rate:.1%}"),
        Text(_top_bin(feature)),
    )


def _measure(measure: Measure | None) -> str:
    return "" if measure is None else f"{measure.value:.3f}"


def _top_bin(feature: FeatureReport) -> str:
    if feature.severity is None or not (bins := feature.top_bins(1)):
        return ""
    return f"{printable(bins[0].label)}: {bins[0].reference:.1%} to {bins[0].current:.1%}"


def printable(text: str) -> str:
    """Text without characters that could steer a terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
