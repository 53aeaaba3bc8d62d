"""Many windows on the terminal, a line each.

Laid out here rather than by a table of `rich`, which takes a second for a month of hours.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from mlvitals.exporters.window.summary import CellLevel, WindowSummary
from mlvitals.exporters.wording import number, printable, span

_STYLE = {CellLevel.CRITICAL: "bold red", CellLevel.WARNING: "yellow", CellLevel.INFO: "cyan"}
_GAP = 2


class _Column(NamedTuple):
    title: str
    cell: Callable[[WindowSummary], str]
    to_the_right: bool = False
    rank: int = 0
    """Columns of the highest rank go first where the terminal is narrow."""


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def _psi(window: WindowSummary) -> str:
    worst = window.worst_feature
    if worst is None:
        return ""
    return f"{worst[1].psi.value:.3f}" if worst[1].psi else worst[1].status.value.replace("_", " ")


_COLUMNS = (
    _Column("window, UTC", lambda window: span(window.window).removesuffix(" UTC")),
    _Column("found", lambda window: window.verdict),
    _Column("worst feature", lambda window: printable((window.worst_feature or ("", None))[0]), rank=1),
    _Column("PSI", _psi, to_the_right=True, rank=1),
    _Column("drift type", lambda window: window.drift_type.kind.value if window.drift_type else "", rank=2),
    _Column("score", lambda window: _number(window.score_mean), to_the_right=True, rank=3),
    _Column("outcomes", lambda window: _number(window.observed_mean), to_the_right=True, rank=3),
    _Column(
        "gap",
        lambda window: f"{window.gap.gap:+.3g}" if window.gap else "",
        to_the_right=True,
        rank=4,
    ),
    _Column("rows", lambda window: f"{window.rows:,}", to_the_right=True, rank=5),
)


def history_table(
    system: str, windows: Sequence[WindowSummary], shown: Sequence[WindowSummary], console: Console
) -> None:
    """Print how many windows there are of each severity, and a line for each that is to be shown."""
    counts = Counter(window.level for window in windows)
    names = {CellLevel.QUIET: "with nothing found", CellLevel.UNMEASURED: "not measured"}
    told = ", ".join(f"{counts[level]:,} {names.get(level, level)}" for level in reversed(CellLevel) if counts[level])
    noun = "window" if len(windows) == 1 else "windows"
    console.print(Text(f"{printable(system)}: {len(windows):,} {noun}: {told}"), soft_wrap=True)
    if shown:
        console.print(_table(shown, console.width), soft_wrap=True)


def window_line(window: WindowSummary, console: Console) -> None:
    """Print one window and what was found in it."""
    worst = window.worst_feature
    feature = f"  {printable(worst[0])} {_psi(window)}" if worst else ""
    when = span(window.window).removesuffix(" UTC")
    text = f"{when}  {window.rows:,} rows  {window.verdict}{feature}"
    console.print(Text(text, _STYLE.get(window.level, "")), soft_wrap=True)


def _table(windows: Sequence[WindowSummary], width: int) -> Text:
    columns = [
        (column, cells, max(map(len, (column.title, *cells))))
        for column in _COLUMNS
        if any(cells := [column.cell(window) for window in windows])
    ]
    while sum(size + _GAP for *_, size in columns) - _GAP > width and len(columns) > 2:
        columns.remove(max(columns, key=lambda item: item[0].rank))
    lines = [[column.title for column, *_ in columns], *zip(*(cells for _, cells, _ in columns), strict=True)]
    texts = [
        (" " * _GAP)
        .join(
            cell.rjust(size) if column.to_the_right else cell.ljust(size)
            for cell, (column, _, size) in zip(line, columns, strict=True)
        )
        .rstrip()
        for line in lines
    ]
    styles = ["dim", *(_STYLE.get(window.level, "") for window in windows)]
    return Text("\n").join(Text(text, style) for text, style in zip(texts, styles, strict=True))
