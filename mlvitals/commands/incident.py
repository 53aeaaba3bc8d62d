"""Incidents as files: opened, written to and closed from the command line, without any server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlvitals.commands.common import Group, instant, label

if TYPE_CHECKING:
    from mlvitals.incidents.record.model import Entry, Incident
    from mlvitals.incidents.record.store import Incidents

SEVERITIES = ("SEV-1", "SEV-2", "SEV-3", "SEV-4")
TYPES = ("system", "data", "model", "integration")
ACTIONS = ("rollback", "feature-fallback", "traffic-shift", "retraining", "pipeline-fix", "other")

id_argument = click.argument("name", metavar="ID")
folder_option = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("incidents"),
    show_default=True,
    envvar="MLVITALS_INCIDENTS",
    metavar="DIR",
    help="Where the incidents are; also MLVITALS_INCIDENTS.",
)
at_option = click.option("--at", "moment", callback=instant, metavar="TIME", help="When it happened.  [default: now]")
by_option = click.option(
    "--by",
    "actor",
    type=label,
    envvar="MLVITALS_ACTOR",
    metavar="WHO",
    help="Who says so; also MLVITALS_ACTOR.  [default: git's user.name]",
)


def _writes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that is written into an incident."""
    return folder_option(by_option(at_option(command)))


@click.group(cls=Group)
def incident() -> None:
    """Keep incidents as files that are reviewed and merged like code."""


@incident.command("open")
@click.argument("title", type=label)
@click.option("--system", type=label, required=True, metavar="NAME", help="The system's name in its spec.")
@click.option("--text", default="", metavar="TEXT", help="What was noticed, by whom.")
@_writes
def open_command(title: str, system: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Open an incident, and print its id."""
    from mlvitals.incidents.record.model import Opened

    entry = Opened(at=_moment(moment), actor=_actor(actor), text=text)
    click.echo(_incidents(folder).open(title, system, [entry]).id)


@incident.command()
@id_argument
@click.argument("text")
@_writes
def note(name: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Write TEXT into the incident; - reads it from standard input."""
    from mlvitals.incidents.record.model import Note

    written = sys.stdin.read().strip() if text == "-" else text
    _add(folder, name, Note(at=_moment(moment), actor=_actor(actor), text=written))


@incident.command()
@id_argument
@click.argument("to", type=label, metavar="WHO")
@click.option("--role", type=label, default="incident lead", show_default=True, metavar="ROLE", help="As what.")
@_writes
def assign(name: str, to: str, role: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Give the incident to WHO. The first assignment counts as its acknowledgement."""
    from mlvitals.incidents.record.model import Assigned

    _add(folder, name, Assigned(at=_moment(moment), actor=_actor(actor), to=to, role=role))


@incident.command()
@id_argument
@click.argument("level", type=click.Choice(SEVERITIES, case_sensitive=False))
@click.option("--type", "kind", type=click.Choice(TYPES), help="What is broken.")
@click.option("--text", default="", metavar="TEXT", help="Why.")
@_writes
def severity(
    name: str, level: str, kind: str | None, text: str, folder: Path, actor: str | None, moment: datetime | None
) -> None:
    """Say how bad the incident is, SEV-1 being the worst."""
    from mlvitals.incidents.record.model import Classified, IncidentType, SevLevel

    entry = Classified(
        at=_moment(moment),
        actor=_actor(actor),
        severity=SevLevel(level),
        type=IncidentType(kind) if kind else None,
        text=text,
    )
    _add(folder, name, entry)


@incident.command()
@id_argument
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--text", default="", metavar="TEXT", help="What was done exactly.")
@_writes
def mitigate(name: str, action: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Write down what was done so that users no longer feel the incident."""
    from mlvitals.incidents.record.model import Action, Mitigated

    _add(folder, name, Mitigated(at=_moment(moment), actor=_actor(actor), action=Action(action), text=text))


@incident.command()
@id_argument
@click.option("--text", default="", metavar="TEXT", help="How it is known to be over.")
@_writes
def resolve(name: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Say that the cause is gone."""
    from mlvitals.incidents.record.model import Resolved

    _add(folder, name, Resolved(at=_moment(moment), actor=_actor(actor), text=text))


@incident.command()
@id_argument
@click.option("--text", default="", metavar="TEXT", help="What shows that it is not over.")
@_writes
def reopen(name: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Say that a resolved incident is not over."""
    from mlvitals.incidents.record.model import Reopened

    _add(folder, name, Reopened(at=_moment(moment), actor=_actor(actor), text=text))


@incident.command()
@id_argument
@click.option("--text", default="", metavar="TEXT", help="Where the post-mortem is.")
@_writes
def close(name: str, text: str, folder: Path, actor: str | None, moment: datetime | None) -> None:
    """Close a resolved incident; nothing can be added any more."""
    from mlvitals.incidents.record.model import Closed

    _add(folder, name, Closed(at=_moment(moment), actor=_actor(actor), text=text))


@incident.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@folder_option
def list_command(as_json: bool, folder: Path) -> None:
    """List all incidents, newest first; exit 1 where a file cannot be read."""
    found, problems = _incidents(folder).all()
    if as_json:
        _print_json([_summary(each) for each in found])
    else:
        from mlvitals.terminal.incidents import incident_table

        incident_table(found)
    for problem in problems:
        click.echo(str(problem), err=True)
    sys.exit(1 if problems else 0)


@incident.command()
@id_argument
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@folder_option
def show(name: str, as_json: bool, folder: Path) -> None:
    """Show an incident with all its entries."""
    import msgspec

    found = _incidents(folder).get(name)
    if as_json:
        _print_json({**_summary(found), "entries": msgspec.to_builtins(found.in_order)})
    else:
        from mlvitals.terminal.incidents import incident_card

        incident_card(found)


# ---------------------------------------------------------------- what the commands share


def _incidents(folder: Path) -> "Incidents":
    from mlvitals.incidents.record.store import Incidents

    return Incidents(folder)


def _add(folder: Path, name: str, entry: "Entry") -> None:
    from mlvitals.incidents.record.changes import adding

    changed = _incidents(folder).change(name, adding(entry))
    click.echo(f"{changed.id}: {changed.state}")


def _moment(given: datetime | None) -> datetime:
    from mlvitals.incidents.record.changes import not_ahead

    now = datetime.now(UTC)
    return not_ahead(given, now) if given else now.replace(microsecond=now.microsecond // 1000 * 1000)


def _actor(given: str | None) -> str:
    """Return who runs the command: as given, else as git knows them, else the login."""
    return given or _git_name() or os.environ.get("USER") or "unknown"


def _git_name() -> str:
    try:
        asked = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return ""
    return " ".join(asked.stdout.split())[:200]


def _summary(found: "Incident") -> dict[str, Any]:
    return {
        "schema": "mlvitals.incident/1",
        "id": found.id,
        "title": found.title,
        "system": found.system,
        "state": found.state,
        "severity": found.severity,
        "type": found.incident_type,
        "owner": found.owner,
        "opened_at": found.opened_at,
        "resolved_at": found.resolved_at,
    }


def _print_json(document: dict[str, Any] | Iterable[dict[str, Any]]) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
