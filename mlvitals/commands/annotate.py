"""What people did: deployments and changes of pipelines."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import Group, instant, load, spec_argument

if TYPE_CHECKING:
    from exporters.changes import ChangeKind


@click.group(cls=Group)
def annotate() -> None:
    """Note a deployment or a change of a pipeline, for the dashboards to mark."""


def _label(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if not (0 < len(text) <= 200 and text.isprintable() and text == text.strip()):
        raise click.BadParameter("give a printable text of 1 to 200 characters, without white space around it")
    return text


version_option = click.option("--version", callback=_label, required=True, metavar="V", help="What it is now.")
author_option = click.option(
    "--author", callback=_label, envvar="USER", default="unknown", metavar="WHO", help="Who did it.  [default: you]"
)
at_option = click.option("--at", "moment", callback=instant, metavar="TIME", help="When.  [default: now]")


@annotate.command("deployment")
@spec_argument
@version_option
@author_option
@at_option
def annotate_deployment(spec_path: Path, version: str, author: str, moment: datetime | None) -> None:
    """Note that a model was deployed.

    The serving instrumentation tells of new model versions by itself; this is for what it cannot see, such as a
    rollback of configuration.
    """
    from exporters.changes import ChangeKind

    _note(spec_path, ChangeKind.DEPLOYMENT, "model", version, author, moment)


@annotate.command("pipeline")
@spec_argument
@click.argument("name", callback=_label)
@version_option
@author_option
@at_option
def annotate_pipeline(spec_path: Path, name: str, version: str, author: str, moment: datetime | None) -> None:
    """Note that the pipeline NAME was changed."""
    from exporters.changes import ChangeKind

    _note(spec_path, ChangeKind.PIPELINE, name, version, author, moment)


def _note(spec_path: Path, kind: "ChangeKind", name: str, version: str, author: str, moment: datetime | None) -> None:
    from exporters.changes import Change
    from exporters.results import open_results

    spec = load(spec_path)
    change = Change(kind, name, moment or datetime.now(UTC), version, author)
    with closing(open_results(spec.results, spec_path.parent)) as results:
        results.note(spec.system.name, change)
    click.echo(f"noted {kind} {name} {version} at {change.moment:%Y-%m-%dT%H:%M:%SZ}")
