"""The gap between predictions and outcomes: accept it as it is."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from mlvitals.commands.annotate import author_option
from mlvitals.commands.common import Group, instant, load, reference_store, spec_argument


@click.group(cls=Group)
def concept() -> None:
    """Decide about concept drift."""


@concept.command()
@spec_argument
@click.option(
    "--since",
    callback=instant,
    metavar="TIME",
    help="Predictions made from here on are as they should be.  [default: now]",
)
@click.option("--reason", default="", metavar="TEXT", help="The reason, kept with it.")
@author_option
def accept(spec_path: Path, since: datetime | None, reason: str, author: str) -> None:
    """Accept the gap between predictions and outcomes as it is.

    The control charts of the active reference start anew: what gap to expect is learned from the windows since TIME, of
    which those that are already measured count. Reports of the past stay as they are.
    """
    from mlvitals.exporters.publish.results import Acceptance, open_results

    spec, now = load(spec_path), datetime.now(UTC)
    if not spec.has_gap:
        raise click.UsageError("the spec has no prediction_log.outcome that is compared with a prediction")
    since = since or now
    if since > now:
        raise click.BadParameter(f"{since:%Y-%m-%dT%H:%M:%SZ} is in the future", param_hint="--since")
    version = reference_store(spec, spec_path).load(spec.reference.alias).version
    with closing(open_results(spec.results, spec_path.parent)) as results:
        results.accept_gap(spec.system.name, version, Acceptance(since, now, author, reason))
    click.echo(f"accepted the gap of reference {version} since {since:%Y-%m-%dT%H:%M:%SZ}; the charts start anew")
