"""The spec: a first one, its generated files, its problems, its costs."""

import sys
from pathlib import Path

import click

from mlvitals import __version__
from mlvitals.commands.common import (
    FILE,
    SPEC,
    compress_option,
    data_format_option,
    fail,
    load,
    load_all,
    remark,
    spec_argument,
    write,
)


def _system_name(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    import msgspec

    from mlvitals.generator.spec.model import Name

    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"{text!r} must be a lower-case letter followed by lower-case letters, digits or underscores, at most "
            "40 characters"
        ) from None


@click.command("init")
@click.option(
    "--data", "paths", multiple=True, required=True, metavar="PATH", help="Training data: a file, a folder or a URL."
)
@data_format_option
@click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Decimal mark of numbers in CSV.")
@click.option("--name", callback=_system_name, required=True, help="The system's name, which prefixes its metrics.")
@click.option("--out", type=FILE, metavar="FILE", help="The spec to write. Default: specs/NAME.yaml.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init_command(
    paths: tuple[str, ...], file_format: str | None, decimal: str, name: str, out: Path | None, force: bool
) -> None:
    """Write a first spec from training data: features with their types, and guesses to check."""
    from mlvitals.exporters.training.first_look import first_look
    from mlvitals.generator.errors import without_secrets
    from mlvitals.generator.spec.first_spec import first_spec
    from mlvitals.generator.spec.load import load_spec
    from mlvitals.generator.spec.model import LogFormat

    path = out or Path("specs") / f"{name}.yaml"
    if path.exists() and not force:
        fail(f"{path} exists; choose another --out, or overwrite it with --force")
    form = None if file_format is None else LogFormat(file_format)
    columns, log_format, rows = first_look(paths, Path.cwd(), file_format=form, decimal=decimal, remark=remark)
    text = first_spec(name, columns, log_format, rows, decimal)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, text.encode())
    # With very many columns the spec exceeds its series budget: it is written for the user to reduce, as the error says.
    spec = load_spec(path)
    click.echo(f"wrote {path}: {len(spec.features)} features")
    build = without_secrets(f"mlvitals reference build {path} --data {paths[0]}")
    click.echo(f"check it, add the location of the predictions, then run: {build}", err=True)


@click.command("compile")
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write into.")
@click.option("--check", is_flag=True, help="Write nothing; show the diff and exit with 1 if a file is out of date.")
@click.option("--diff", is_flag=True, help="Write nothing; show the diff.")
@click.option("--force", is_flag=True, help="Overwrite files that mlvitals did not write.")
@compress_option
def compile_command(
    spec_paths: tuple[Path, ...], out: Path, check: bool, diff: bool, force: bool, compress_time: float
) -> None:
    """Write dashboards, rules with their tests, and runbooks from specs."""
    from mlvitals.generator.compiler import ChangeKind, compare, compile_spec, write

    outputs: dict[str, str] = {}
    for path, spec in load_all(spec_paths, compress_time):
        compiled = compile_spec(spec, path.name)
        if clash := outputs.keys() & compiled.keys():
            fail(f"{path}: error: two specs describe system {spec.system.name!r} (both write {min(clash)})")
        outputs |= compiled
    changes = compare(outputs, out, spec_paths)
    if check or diff:
        for change in changes:
            click.echo(f"{change.path}: {change.kind}", err=True)
            click.echo("".join(change.diff()), nl=False)
        if changes and check:
            out_of_date = f"{len(changes)} of {len(outputs)} generated files are out of date"
            click.echo(f"{out_of_date} (mlvitals {__version__}): run mlvitals compile", err=True)
        sys.exit(1 if changes and check else 0)
    foreign = [change.path for change in changes if change.kind is ChangeKind.FOREIGN]
    if foreign and not force:
        fail(f"not written by mlvitals; move them away or use --force: {', '.join(foreign)}")
    write(changes, out)
    for change in changes:
        click.echo(f"{'removed' if change.kind is ChangeKind.ORPHANED else 'wrote'} {out / change.path}")
    click.echo(f"{len(outputs)} files, {len(changes)} changed", err=True)


@click.command()
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="Output format of the problems.",
)
def lint(spec_paths: tuple[Path, ...], form: str) -> None:
    """Report every problem of specs, with file, line and column."""
    from mlvitals.generator.spec.diagnostics import SpecError, render_github, render_json
    from mlvitals.generator.spec.load import load_spec

    errors: list[SpecError] = []
    for path in spec_paths:
        try:
            load_spec(path)
        except SpecError as error:
            errors.append(error)
    found = [diagnostic for error in errors for diagnostic in error.diagnostics]
    forms = {"json": render_json, "github": render_github}
    text = forms[form](found) if form in forms else "\n".join(map(str, errors))
    if text:
        click.echo(text)
    sys.exit(1 if found else 0)


@click.command("estimate")
@spec_argument
@click.option(
    "--predictions-per-day",
    type=click.IntRange(0),
    metavar="N",
    help="Number of predictions per day. Default: the spec's telemetry.predictions_per_day.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.estimate/1).")
def estimate_command(spec_path: Path, predictions_per_day: int | None, as_json: bool) -> None:
    """Show what the telemetry of a spec costs: series, and storage per day and per tier."""
    import msgspec

    from mlvitals.generator.estimate import estimate
    from mlvitals.terminal.console import console
    from mlvitals.terminal.estimate import estimate_table

    spec = load(spec_path)
    wanted = spec.telemetry.predictions_per_day if predictions_per_day is None else predictions_per_day
    found = estimate(spec, wanted)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        estimate_table(found, console())
