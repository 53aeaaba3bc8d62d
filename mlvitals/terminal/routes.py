"""Who hears of which alert, on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlvitals.generator.routing.hearing import Hearing, Hearings, Level
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Severity
from mlvitals.generator.spec.people import NOBODY

_STYLES = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.INFO: "", Severity.NONE: "dim"}


def routes_table(found: Hearings, console: Console) -> None:
    """Print the table, who is next if nobody answers, and what nobody hears of."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("alert", "severity", "who", "when", "at most every"):
        table.add_column(title, overflow="fold")
    for each in found.alerts:
        table.add_row(
            Text(each.alert), Text(each.severity, _STYLES[each.severity]), _who(each), _when(each), each.cooldown
        )
    console.print(table)
    if found.escalation:
        console.print("\nIf nobody answers a critical alert:")
        for level in found.escalation:
            console.print(Text(f"  {_level(level)}"), soft_wrap=True)
    console.print(Text(f"\n{found.summary}"), soft_wrap=True)


def _who(each: Hearing) -> Text:
    style = "red" if each.severity is Severity.CRITICAL else "dim"
    return Text(each.who, style if each.receiver == NOBODY else "")


def _when(each: Hearing) -> Text:
    silent = f", not in {' and '.join(each.not_in)}" if each.not_in else ""
    return Text(f"{'after ' + each.after if milliseconds(each.after) else 'at once'}{silent}")


def _level(level: Level) -> str:
    after = f"after {level.after}" if milliseconds(level.after) else "at once"
    return f"{after}: {level.role} ({', '.join(level.contacts) or 'whoever is on call'}) by {', '.join(level.ways)}"
