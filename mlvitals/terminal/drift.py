"""The drift report on the terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlvitals.exporters.parts import Line, Measure
from mlvitals.exporters.sections.features.report import SEVERITIES, FeatureReport
from mlvitals.exporters.sections.features.views import difference, nulls, quality_findings, shift, state
from mlvitals.exporters.window.headline import counted_rows, headline
from mlvitals.exporters.window.report import Compared, WindowReport
from mlvitals.exporters.window.sections import SECTIONS, unread
from mlvitals.exporters.wording import found, number, printable, sentence, share
from mlvitals.generator.contract import STATISTICS
from mlvitals.generator.spec.model import Severity

SCORE = "(score)"
WIDE = 110
"""Minimum width of a terminal for all columns."""
_NAME_WIDTH = 32
_TOP_BINS = 3
_PRIMARY = tuple(statistic for statistic in STATISTICS if statistic.is_primary)
_SECONDARY = tuple(statistic for statistic in STATISTICS if not statistic.is_primary)
_STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def drift_table(report: WindowReport, console: Console) -> None:
    """Print a report: the worst features first, then the changed bins and what to do for each feature that needs it."""
    rows = report.worst_first(SCORE)
    console.print(_headline(report))
    console.print(_table(rows, wide=console.width >= WIDE))
    for item in rows:
        if item.report.severity or item.report.reason:
            console.print()
            console.print(_finding(item))
    for section in SECTIONS:
        _section(console, section.title, section.lines_of(report))
    remarks = [*map(difference, report.schema_differences), *unread(report)]
    if remarks:
        console.print()
    for remark in remarks:
        console.print(Text(remark, "yellow"), soft_wrap=True)


def _section(console: Console, title: str, lines: Sequence[Line]) -> None:
    """Print the lines of a section, the first of which continues its title."""
    if not lines:
        return
    console.print()
    for index, line in enumerate(lines):
        text = line.text if index else f"{title}: {line.text}"
        console.print(_styled(line._replace(text=text)))


def backfill_summary(found: Counter[Severity | None], console: Console) -> None:
    """Print the number of measured windows, by severity."""
    windows = "1 window" if found.total() == 1 else f"{found.total()} windows"
    console.print(f"{windows} measured: {_counted(found) or 'nothing found'}")


def _counted(found: Counter[Severity | None]) -> str:
    return ", ".join(f"{found[severity]} {severity}" for severity in SEVERITIES if found[severity])


def _headline(report: WindowReport) -> Text:
    start, end = (f"{time:%Y-%m-%d %H:%M}" for time in (report.window.start, report.window.end))
    wrong, unmeasured = headline(report)
    quiet = Text("nothing found", "" if unmeasured else "green")
    told = [*map(_styled, wrong)] or [quiet]
    return Text.assemble(
        (report.system, "bold"),
        f"  {start} to {end} UTC\n{counted_rows(report)} against reference {report.reference_version}: ",
        Text(", ").join((*told, *map(_styled, unmeasured))),
        "\n",
    )


def _styled(line: Line) -> Text:
    return Text(line.text, _STYLE[line.severity] if line.severity else "")


def _table(rows: Iterable[Compared], *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("state", no_wrap=True)
    table.add_column("feature", no_wrap=True, max_width=_NAME_WIDTH)
    for title in (*(statistic.column for statistic in _PRIMARY), "nulls"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        for title in ("out of range", "mean then", "mean now"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("top bin", overflow="fold")
    for name, feature, _ in rows:
        cells = [*_cells(name, feature), *(_wide_cells(feature) if wide else ())]
        table.add_row(*cells, style="" if feature.severity else "dim")
    return table


def _cells(name: str, feature: FeatureReport) -> Iterator[Text]:
    yield _state(feature)
    yield Text(printable(name))
    for statistic in _PRIMARY:
        yield _measure(getattr(feature, statistic.name))
    yield Text(nulls(feature))


def _wide_cells(feature: FeatureReport) -> Iterator[Text]:
    yield _share(feature.out_of_range_ratio)
    yield _number(feature.reference_mean)
    yield _number(feature.mean)
    yield Text(shift(feature.top_bins(1)[0]) if feature.severity and feature.bins else "")


def _finding(compared: Compared) -> Group:
    """A feature's state, its top bins, what was found and what to do, the way one reads them out."""
    name, feature, findings = compared
    mark = "bold" if feature.severity else ""
    heading = Text.assemble(_state(feature), "  ", (printable(name), mark))
    lines = [
        Text(sentence(printable(feature.reason))),
        *_shifts(feature),
        Text(f"found: {found(findings)}" if findings else ""),
        Text(printable(feature.action), mark),
    ]
    return Group(heading, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines if line))


def _shifts(feature: FeatureReport) -> Iterator[Text]:
    if feature.severity is None:
        return
    for item in feature.top_bins(_TOP_BINS):
        yield Text(shift(item))
    for statistic in _SECONDARY:
        if measure := feature.distances.get(statistic.name):
            yield Text(f"{statistic.title}: {number(measure.value)} {statistic.unit}".rstrip())
    if feature.mean is not None and feature.reference_mean is not None:
        yield Text(f"mean: {number(feature.reference_mean)} to {number(feature.mean)}")
    if feature.out_of_range_ratio:
        yield Text(f"out of range: {share(feature.out_of_range_ratio)}")
    if found := quality_findings(feature.quality):
        yield Text(f"quality: {found}")


def _state(feature: FeatureReport) -> Text:
    return Text(state(feature), _STYLE[feature.severity] if feature.severity else "")


def _measure(measure: Measure | None) -> Text:
    if measure is None:
        return Text()
    return Text(f"{measure.value:.3f}", _STYLE[measure.severity] if measure.severity else "")


def _share(ratio: float | None) -> Text:
    return Text("" if ratio is None else share(ratio))


def _number(value: float | None) -> Text:
    return Text("" if value is None else number(value))
