"""Incidents on the terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from mlvitals.generator.spec.diagnostics import printable
from mlvitals.incidents.analysis.causes import Hint
from mlvitals.incidents.analysis.triage import Proposal
from mlvitals.incidents.record.model import Incident, State, text_of
from mlvitals.incidents.timeline.events import TimelineEntry
from mlvitals.incidents.timeline.times import DEFINITIONS, Mean, Times, length
from mlvitals.terminal.console import console

_STYLES = {State.OPEN: "bold red", State.MITIGATED: "yellow", State.RESOLVED: "green", State.CLOSED: "dim"}


def incident_table(incidents: Sequence[Incident]) -> None:
    """Print a line for each incident."""
    if not incidents:
        console(stderr=True).print("no incidents")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("incident", "state", "severity", "opened (UTC)", "owner", "title"):
        table.add_column(title, overflow="fold")
    for each in incidents:
        cells = (each.id, each.severity or "", f"{each.opened_at:%Y-%m-%d %H:%M}", each.owner, each.title)
        name, *rest = (Text(printable(cell)) for cell in cells)
        table.add_row(name, Text(each.state, _STYLES[each.state]), *rest)
    console().print(table)


def incident_card(incident: Incident) -> None:
    """Print an incident and its entries, oldest first."""
    out = console()
    kind = f", {incident.incident_type}" if incident.incident_type else ""
    severity = f"{incident.severity}{kind}" if incident.severity else "not classified yet"
    out.print(Text(printable(incident.title), "bold"), soft_wrap=True)
    out.print(Text(f"{incident.id} of {printable(incident.system)}: "), Text(incident.state, _STYLES[incident.state]))
    out.print(Text(f"{severity}; {printable(incident.owner) or 'nobody'} has it"))
    for entry in incident.in_order:
        lines = [printable(line) for line in text_of(entry).splitlines()] or [""]
        head = f"{entry.at:%Y-%m-%d %H:%M:%S}  {printable(entry.actor)}: "
        out.print(Text.assemble((head, "dim"), "\n    ".join(lines)), soft_wrap=True)


def timeline_table(timeline: Sequence[TimelineEntry]) -> None:
    """Print a timeline, oldest entry first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("time (UTC)", "what", "", "who", "source"):
        table.add_column(title, overflow="fold")
    for entry in timeline:
        cells = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.kind, entry.text, entry.actor, ", ".join(entry.sources))
        table.add_row(*(Text(" ".join(map(printable, cell.split()))) for cell in cells))
    console().print(table)


def triage_card(proposal: Proposal, causes: Sequence[Hint]) -> None:
    """Print the proposed severity and the causes, each with its reasons."""
    out = console()
    out.print(Text(f"proposed: {proposal.severity}, {proposal.type}", "bold"))
    for reason in proposal.reasons:
        out.print(Text(f"  {printable(reason)}"), soft_wrap=True)
    for hint in causes:
        out.print(Text(f"{hint.cause} ({hint.balance:+d})", "bold"))
        for side, signs in (("for", hint.speaks_for), ("against", hint.speaks_against), ("unknown", hint.unknown)):
            for sign in signs:
                out.print(Text(f"  {side}: {printable(sign)}"), soft_wrap=True)


def times_table(taken: Mapping[str, Times], means: Mapping[str, Mean]) -> None:
    """Print the times of each incident, and their means in the last line."""
    if not taken:
        console(stderr=True).print("no incidents")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("incident", overflow="fold")
    for name in DEFINITIONS:
        table.add_column(f"to {name}", justify="right", no_wrap=True)
    for incident, times in taken.items():
        table.add_row(Text(printable(incident)), *(_length(times.spans[name].seconds) for name in DEFINITIONS))
    table.add_row(Text("mean", "bold"), *(f"{_length(mean.seconds)} of {mean.known}" for mean in means.values()))
    console().print(table)


def _length(seconds: float | None) -> str:
    return "unknown" if seconds is None else length(seconds)
