"""Proposals for a spec from measured history."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import OUTPUT, duration, fail, instant, load, reference_store, spec_argument, write

if TYPE_CHECKING:
    from mlvitals.exporters.window.report import WindowReport
    from mlvitals.generator.spec.model import Spec
    from mlvitals.tuning.normal import Marked

EVERY = "4w"


@click.command()
@spec_argument
@click.option(
    "--every",
    type=duration,
    default=EVERY,
    show_default=True,
    help="One false alarm in this time is accepted, of the whole system.",
)
@click.option(
    "--start", callback=instant, metavar="TIME", help="Use windows that ended after this time. Default: all kept."
)
@click.option("--end", callback=instant, metavar="TIME", help="and no later than this time.")
@click.option(
    "--backfill",
    "is_measured",
    is_flag=True,
    help="Measure the windows now, from the log, instead of reading kept results.",
)
@click.option("--apply", "is_applied", is_flag=True, help="Change the spec.")
@click.option("--output", type=OUTPUT, metavar="FILE", help="Write the changed spec into another file.")
def tune(
    spec_path: Path,
    every: timedelta,
    start: datetime | None,
    end: datetime | None,
    is_measured: bool,
    is_applied: bool,
    output: Path | None,
) -> None:
    """Propose thresholds, windows, a condition and cooldowns for a wanted rate of false alarms, as a diff of the spec.

    The diff is printed on standard output, with the reason next to each line; the alarms that the past had, and would have had,
    on standard error. Alarms during recorded incidents, shortly after recorded changes, and of values that stayed on another
    level are real: no proposal silences them.
    """
    from mlvitals.terminal.console import console
    from mlvitals.terminal.tune import tuning_table
    from mlvitals.tuning.edit import diff, edited
    from mlvitals.tuning.propose import tune as tuned

    if is_applied and output:
        raise click.UsageError("give --apply or --output, not both")
    if is_measured and not (start and end):
        raise click.UsageError("--backfill needs --start and --end")
    spec = load(spec_path)
    reports = (
        _measured(spec, spec_path, start, end) if is_measured and start and end else _kept(spec, spec_path, start, end)
    )
    found = tuned(spec, reports, every, _marked(spec, spec_path.parent))
    text = spec_path.read_text(encoding="utf-8")
    changed = edited(text, found.proposals, spec_path.name)
    click.echo(diff(text, changed, spec_path.name), nl=False)
    tuning_table(found, every, console(stderr=True))
    if (is_applied or output) and changed != text:
        write(output or spec_path, changed.encode())


def _kept(spec: "Spec", spec_path: Path, start: datetime | None, end: datetime | None) -> "list[WindowReport]":
    from mlvitals.exporters.publish.results import open_results

    with closing(open_results(spec.results, spec_path.parent, create=False)) as results:
        newest = end or results.end_of_newest(spec.system.name)
        if newest is None:
            fail(
                f"no window of {spec.system.name} is kept; measure some: mlvitals backfill {spec_path} --save, or give --backfill"
            )
        return results.reports_between(spec.system.name, start or datetime.min.replace(tzinfo=UTC), newest)


def _measured(spec: "Spec", spec_path: Path, start: datetime, end: datetime) -> "list[WindowReport]":
    from mlvitals.exporters.process.backfill import backfill
    from mlvitals.exporters.schedule import schedule_of
    from mlvitals.exporters.window.row_times import row_times

    base_dir, now = spec_path.parent, datetime.now(UTC)
    reference = reference_store(spec, spec_path).load(spec.reference.alias)
    schedule = schedule_of(spec, row_times(spec.prediction_log, base_dir))
    schedule.go_on_from(start)
    windows = schedule.windows(start, min(end, now))
    return list(backfill(spec, base_dir, reference, windows, measured_at=now, history=None, results=None))


def _marked(spec: "Spec", base_dir: Path) -> "list[Marked]":
    """Return what people recorded: incidents, deployments and pipeline changes."""
    from mlvitals.exporters.database import DatabaseError
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.incidents.record.store import Incidents
    from mlvitals.tuning.normal import Marked

    found, now = [], datetime.now(UTC)
    if spec.incidents.path is not None:
        incidents, _ = Incidents(base_dir / spec.incidents.path).all()
        own = (one for one in incidents if one.system == spec.system.name)
        found += [Marked(one.opened_at, one.resolved_at or now, f"incident {one.id}") for one in own]
    try:
        with closing(open_results(spec.results, base_dir, create=False)) as results:
            changes = results.changes_between(spec.system.name, datetime.min.replace(tzinfo=UTC), now)
    except DatabaseError:
        changes = ()
    return [*found, *(Marked(one.moment, None, f"{one.kind} of {one.name} to {one.version}") for one in changes)]
