"""Collecting what is known of an incident, and writing its post-mortem."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import OUTPUT, SPEC, duration, fail, http_url, load, write
from mlvitals.commands.incident import folder_option, id_argument

if TYPE_CHECKING:
    from mlvitals.incidents.analysis.whole import Analysis
    from mlvitals.incidents.collect import Period, Sources
    from mlvitals.incidents.record.model import Incident

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_PATH = click.Path(path_type=Path, exists=True)


@click.command()
@id_argument
@click.option("--spec", "spec_path", type=SPEC, metavar="SPEC", help="Ask the results database of this spec.")
@click.option("--prometheus", "url", type=http_url, metavar="URL", help="Ask what alerts fired when.")
@click.option("--event-log", "logs", type=_FILE, multiple=True, metavar="FILE", help="Alertmanager's event log (0.33).")
@click.option("--inbox", type=_FILE, metavar="FILE", help="What mlvitals inbox --keep has written.")
@click.option("--silences", type=_FILE, metavar="FILE", help="Silences: the answer of Alertmanager's /api/v2/silences.")
@click.option("--pagerduty", type=_FILE, metavar="FILE", help="An export of PagerDuty's log entries.")
@click.option("--git", type=_PATH, multiple=True, metavar="PATH", help="Commits of this path, in its repository.")
@click.option(
    "--before",
    type=duration,
    default="1d",
    show_default=True,
    metavar="TIME",
    help="Start this long before the first entry.",
)
@click.option(
    "--after",
    type=duration,
    default="2h",
    show_default=True,
    metavar="TIME",
    help="Go on this long after the last resolution.",
)
@click.option("--step", type=duration, default="15s", show_default=True, metavar="TIME", help="Between samples.")
@folder_option
def collect(
    name: str,
    spec_path: Path | None,
    url: str | None,
    logs: tuple[Path, ...],
    inbox: Path | None,
    silences: Path | None,
    pagerduty: Path | None,
    git: tuple[Path, ...],
    before: timedelta,
    after: timedelta,
    step: timedelta,
    folder: Path,
) -> None:
    """Collect what sources know of the incident into ID.evidence.json, and keep what was collected before.

    A source that fails is named, and what the others know is kept; the exit code is then 1.
    """
    from mlvitals.incidents.collect import Sources
    from mlvitals.incidents.record.store import Incidents

    spec = (load(spec_path), spec_path.parent) if spec_path else None
    sources = Sources(spec, url or "", logs, inbox, silences, pagerduty, git)
    found = Incidents(folder).get(name)
    _collect(found, sources, _interval(found, before, after, step), folder)


def _interval(incident: "Incident", before: timedelta, after: timedelta, step: timedelta) -> "Period":
    """From a while before the first entry to a while after the last resolution, and never ahead of now."""
    from mlvitals.incidents.collect import Period

    now = datetime.now(UTC)
    end = min(now, incident.resolved_at + after) if incident.resolved_at else now
    return Period(incident.in_order[0].at - before, max(end, incident.in_order[-1].at), step)


def _collect(incident: "Incident", sources: "Sources", interval: "Period", folder: Path) -> None:
    from mlvitals.incidents.collect import collect as ask
    from mlvitals.incidents.evidence import evidence_file, read_evidence, write_evidence

    earlier = read_evidence(folder, incident.id)
    found = ask(incident, sources, interval)
    write_evidence(folder, earlier.with_more(found) if earlier else found)
    for each in found.asked:
        click.echo(f"{each.source}: {each.problem or f'{each.found} found'}", err=bool(each.problem))
    click.echo(f"wrote {evidence_file(folder, incident.id)}")
    sys.exit(1 if any(each.problem for each in found.asked) else 0)


@click.command()
@id_argument
@folder_option
def timeline(name: str, folder: Path) -> None:
    """Show what happened and when, with the sources of each entry."""
    from mlvitals.terminal.incidents import timeline_table

    timeline_table(_analysis(name, folder).timeline)


@click.command()
@id_argument
@folder_option
def triage(name: str, folder: Path) -> None:
    """Propose how bad the incident is and what caused it, with the reasons."""
    from mlvitals.terminal.incidents import triage_card

    found = _analysis(name, folder)
    triage_card(found.proposal, found.causes)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.incident-times/1).")
@folder_option
def times(as_json: bool, folder: Path) -> None:
    """Show how long each incident took to detect, acknowledge, mitigate and resolve, and the means."""
    import msgspec

    from mlvitals.generator.errors import UserError
    from mlvitals.incidents.analysis.whole import analyse
    from mlvitals.incidents.evidence import read_evidence
    from mlvitals.incidents.record.store import Incidents
    from mlvitals.incidents.timeline.times import mean_times
    from mlvitals.terminal.incidents import times_table

    found, unreadable = Incidents(folder).all()
    problems: list[UserError] = [*unreadable]
    taken = {}
    for incident in found:
        try:
            taken[incident.id] = analyse(incident, read_evidence(folder, incident.id)).times
        except UserError as error:
            problems.append(error)
    means = mean_times(list(taken.values()))
    if as_json:
        document = {"schema": "mlvitals.incident-times/1", "incidents": taken, "means": means}
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    else:
        times_table(taken, means)
    for problem in problems:
        click.echo(str(problem), err=True)
    sys.exit(1 if problems else 0)


def _analysis(name: str, folder: Path) -> "Analysis":
    from mlvitals.incidents.analysis.whole import analyse
    from mlvitals.incidents.evidence import read_evidence
    from mlvitals.incidents.record.store import Incidents

    return analyse(Incidents(folder).get(name), read_evidence(folder, name))


@click.command()
@id_argument
@click.option("--html", type=OUTPUT, metavar="FILE", help="Also write it as one page, with plots.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 while something is missing in it.")
@click.option("--template", type=_FILE, metavar="FILE", help="A template of your own.")
@click.option("--names", is_flag=True, help="Call people by their names, not by their roles.")
@click.option(
    "--compress-time",
    type=click.FloatRange(min=1),
    default=1.0,
    metavar="FACTOR",
    help="It was an exercise that ran FACTOR times faster: give lengths of time as if it had not.",
)
@folder_option
def postmortem(
    name: str,
    html: Path | None,
    only_check: bool,
    template: Path | None,
    names: bool,
    compress_time: float,
    folder: Path,
) -> None:
    """Write the post-mortem of an incident, ID.postmortem.md; what people edited in it stays."""
    from mlvitals.incidents.postmortem.fields import fields_of
    from mlvitals.incidents.postmortem.regions import fill, update

    analysis = _analysis(name, folder)
    file = folder / f"{name}.postmortem.md"
    if only_check:
        _check(file)
        return
    fields = fields_of(analysis, by_name=names, time_factor=compress_time)
    if file.exists():
        updated = update(_read(file), fields, str(file))
        text = updated.text
        for region in updated.kept:
            click.echo(f"{file}: you edited {region}, and it stays; what is known of it has changed since", err=True)
    else:
        text = fill(template_text(template), fields, str(template or "the template"))
    write(file, text.encode())
    click.echo(f"wrote {file}")
    if html:
        from mlvitals.incidents.postmortem.html import postmortem_page

        write(html, postmortem_page(text, analysis).encode())
        click.echo(f"wrote {html}")


def _check(file: Path) -> None:
    from mlvitals.incidents.postmortem.check import check

    if not file.exists():
        fail(f"{file} does not exist; write it with `mlvitals postmortem`")
    found = check(_read(file), datetime.now(UTC).date())
    for finding in found:
        click.echo(f"{file}:{finding.line}: {finding.text}", err=True)
    click.echo("nothing is missing" if not found else f"{len(found)} things are missing", err=bool(found))
    sys.exit(1 if found else 0)


def template_text(path: Path | None) -> str:
    """Read a template of a post-mortem; None stands for ours."""
    from importlib.resources import files

    if path:
        return _read(path)
    return files("mlvitals.incidents.postmortem").joinpath("template.md").read_text("utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        fail(f"{path} is not UTF-8; save it as UTF-8")
