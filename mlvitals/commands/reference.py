"""The reference: build, list, show, compare, promote."""

from datetime import UTC, datetime
from pathlib import Path

import click

from mlvitals.commands.common import (
    Group,
    data_format_option,
    label,
    load,
    reference_store,
    remark,
    spec_argument,
)


@click.group(cls=Group)
def reference() -> None:
    """Build, list, compare and promote references, the baselines of drift."""


@reference.command("build")
@spec_argument
@click.option(
    "--data", "paths", multiple=True, required=True, metavar="PATH", help="Training data: a file, a folder or a URL."
)
@data_format_option
@click.option("--table", help="A table of training data; --data is then the database's SQLAlchemy URL.")
@click.option("--password-file", type=click.Path(exists=True), help="File that contains the database's password.")
@click.option("--promote", is_flag=True, help="Activate the new version immediately.")
@click.option(
    "--model-version",
    type=label,
    metavar="V",
    help="The model's version: any text; with MLflow, NAME/NUMBER or a run id, which is then tagged.",
)
def build_command(
    spec_path: Path,
    paths: tuple[str, ...],
    file_format: str | None,
    table: str | None,
    password_file: str | None,
    promote: bool,
    model_version: str | None,
) -> None:
    """Compute a reference from training data and store it as a version."""
    from mlvitals.exporters.reading.sql import SqlTable
    from mlvitals.exporters.training.build import placeholders_in
    from mlvitals.exporters.training.data import build_from_files, build_from_table
    from mlvitals.generator.spec.model import LogFormat

    if table is not None and len(paths) > 1:
        raise click.UsageError("--table needs exactly one --data, the URL of its database")
    if table is not None and file_format is not None:
        raise click.UsageError("--format is that of files; with --table there are none")
    spec, now = load(spec_path), datetime.now(UTC)
    if table is not None:
        built = build_from_table(
            spec, SqlTable(paths[0], table, Path.cwd(), password_file), now, model_version, remark=remark
        )
    else:
        form = None if file_format is None else LogFormat(file_format)
        built = build_from_files(spec, Path.cwd(), paths, now, model_version, file_format=form, remark=remark)
    for known in placeholders_in(built):
        remark(known)
    store = reference_store(spec, spec_path)
    version = store.save(built)
    in_force = spec.reference.alias in {alias for item in store.versions() for alias in item.aliases}
    click.echo(version)
    if spec.score_type is not None and built.score is None:
        lacking = f"column {spec.prediction_log.score!r}" if spec.prediction_log.score else "predicted class"
        click.echo(f"the training data has no {lacking}: scores will not be monitored", err=True)
    if promote or not in_force:
        store.promote(version, spec.reference.alias)
        click.echo(f"{spec.reference.alias} is now {version}", err=True)
    else:
        click.echo(f"not active yet; to activate it: mlvitals reference promote {spec_path} {version}", err=True)


@reference.command("list")
@spec_argument
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_command(spec_path: Path, as_json: bool) -> None:
    """List the versions, newest first."""
    import msgspec

    found = reference_store(load(spec_path), spec_path).versions()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for item in found:
        described = item.problem or f"{item.created:%Y-%m-%dT%H:%M:%SZ}  {item.rows:,} rows"
        model = [f"model {item.model_version}"] if item.model_version else []
        click.echo("  ".join((item.version, described, *model, *item.aliases)))
    if not found:
        click.echo(
            f"no references yet; to build one: mlvitals reference build {spec_path} --data TRAINING_DATA", err=True
        )


@reference.command()
@spec_argument
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the whole artifact as JSON (schema mlvitals.reference/1).")
def show(spec_path: Path, version: str | None, as_json: bool) -> None:
    """Show a version or alias (default: the active one)."""
    from mlvitals.terminal.console import console
    from mlvitals.terminal.reference import reference_table

    spec = load(spec_path)
    loaded = reference_store(spec, spec_path).load(version or spec.reference.alias)
    if as_json:
        click.echo(loaded.to_json())
    else:
        reference_table(loaded, console())


@reference.command("diff")
@spec_argument
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.reference-diff/1).")
def diff_command(spec_path: Path, old: str, new: str, as_json: bool) -> None:
    """Show what changed between two versions or aliases. Values in parentheses may be noise alone."""
    import msgspec

    from mlvitals.exporters.reference.diff import diff_references
    from mlvitals.terminal.console import console
    from mlvitals.terminal.reference import diff_table

    store = reference_store(load(spec_path), spec_path)
    diff = diff_references(store.load(old), store.load(new))
    if as_json:
        click.echo(msgspec.json.encode(diff))
    else:
        diff_table(diff, console())


@reference.command()
@spec_argument
@click.argument("version")
def promote(spec_path: Path, version: str) -> None:
    """Activate a version."""
    spec = load(spec_path)
    reference_store(spec, spec_path).promote(version, spec.reference.alias)
    click.echo(f"{spec.reference.alias} is now {version}")
