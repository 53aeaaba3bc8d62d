"""Annotations: deployments and pipeline changes."""

from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import Group, instant, label, load, spec_argument

if TYPE_CHECKING:
    from mlvitals.exporters.sections.changes import ChangeKind
    from mlvitals.generator.spec.model import Spec


@click.group(cls=Group)
def annotate() -> None:
    """Record a deployment or a pipeline change, to be marked on the dashboards."""


version_option = click.option("--version", type=label, required=True, metavar="V", help="The new version.")
author_option = click.option(
    "--author", type=label, envvar="USER", default="unknown", metavar="WHO", help="The author.  [default: you]"
)
at_option = click.option(
    "--at", "moment", callback=instant, metavar="TIME", help="The time of the change.  [default: now]"
)


@annotate.command("deployment")
@spec_argument
@version_option
@author_option
@at_option
def annotate_deployment(spec_path: Path, version: str, author: str, moment: datetime | None) -> None:
    """Record that a model was deployed.

    The serving instrumentation reports new model versions by itself; this is for changes that it cannot see, such as a
    rollback of configuration.
    """
    from mlvitals.exporters.sections.changes import ChangeKind

    _note(load(spec_path), spec_path.parent, ChangeKind.DEPLOYMENT, "model", version, author, moment)


@annotate.command("pipeline")
@spec_argument
@click.argument("name", type=label)
@version_option
@author_option
@at_option
def annotate_pipeline(spec_path: Path, name: str, version: str, author: str, moment: datetime | None) -> None:
    """Record that the pipeline NAME was changed: a source of the spec, or any other relevant pipeline."""
    from mlvitals.exporters.sections.changes import ChangeKind

    spec = load(spec_path)
    _warn_of_unknown(name, spec.sources)
    _note(spec, spec_path.parent, ChangeKind.PIPELINE, name, version, author, moment)


def _warn_of_unknown(name: str, sources: Collection[str]) -> None:
    """Warn if no source of the spec has this name: a pipeline may have another name, but a typing mistake is more likely."""
    from mlvitals.generator.spec.diagnostics import did_you_mean, quoted

    if sources and name not in sources:
        known = f"warning: the spec has no source {quoted(name)}, only {', '.join(map(quoted, sources))}"
        click.echo("; ".join(filter(None, (known, did_you_mean(name, sources)))), err=True)


def _note(
    spec: "Spec", base_dir: Path, kind: "ChangeKind", name: str, version: str, author: str, moment: datetime | None
) -> None:
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.sections.changes import Change

    change = Change(kind, name, moment or datetime.now(UTC), version, author)
    with closing(open_results(spec.results, base_dir)) as results:
        results.note(spec.system.name, change)
    click.echo(f"recorded {kind} {name} {version} at {change.moment:%Y-%m-%dT%H:%M:%SZ}")
