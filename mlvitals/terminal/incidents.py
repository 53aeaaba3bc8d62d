"""Incidents on the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from mlvitals.generator.spec.diagnostics import printable
from mlvitals.incidents.record.model import Incident, State, text_of
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
