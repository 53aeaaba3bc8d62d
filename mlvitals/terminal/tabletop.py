"""An exercise on the terminal: what the team is shown, and how it went."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from mlvitals.generator.spec.diagnostics import printable
from mlvitals.incidents.tabletop.score import Gap, Mark, Verdict
from mlvitals.incidents.timeline.times import length
from mlvitals.terminal.console import console

_STYLES = {Verdict.MET: "green", Verdict.LATE: "yellow", Verdict.WRONG: "bold red", Verdict.MISSED: "bold red"}


def say(at: datetime, text: str) -> None:
    """Show the team a line, with its time in the history."""
    console().print(Text(f"{at:%H:%M:%S}  "), Text(printable(text)), soft_wrap=True, sep="")


def tabletop_card(marks: Sequence[Mark], gaps: Sequence[Gap]) -> None:
    """Print how each stage went, and what was missing."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("stage", "verdict", "took", "allowed", ""):
        table.add_column(title, overflow="fold")
    for mark in marks:
        took, allowed = ("-" if each is None else length(each) for each in (mark.seconds, mark.limit_seconds))
        table.add_row(
            mark.stage, Text(mark.verdict, _STYLES[mark.verdict]), took, allowed, Text(printable(mark.reason))
        )
    out = console()
    out.print()
    out.print(table)
    for gap in gaps:
        out.print(Text(printable(f"missing in {gap.where}: {gap.text}")), soft_wrap=True)
