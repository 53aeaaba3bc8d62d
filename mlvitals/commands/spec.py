"""The spec: a first one, its generated files, its problems, its costs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
    read_specs,
    remark,
    spec_argument,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlvitals.generator.spec.first_roles import Draft, SeenColumn
    from mlvitals.generator.spec.first_spec import FoundLog
    from mlvitals.generator.spec.model import LogFormat, Spec


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
@click.option("--log", metavar="PATH", help="The prediction log, if there is one: a file, a folder or a URL.")
@click.option("--name", callback=_system_name, required=True, help="The system's name, which prefixes its metrics.")
@click.option("--out", type=FILE, metavar="FILE", help="The spec to write. Default: specs/NAME.yaml.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init_command(
    paths: tuple[str, ...],
    file_format: str | None,
    decimal: str,
    log: str | None,
    name: str,
    out: Path | None,
    force: bool,
) -> None:
    """Write a first spec from training data and the log: features with their types, and guesses to check."""
    from mlvitals.exporters.training.first_look import first_look
    from mlvitals.exporters.training.leakage import suspects
    from mlvitals.generator.errors import without_secrets
    from mlvitals.generator.spec.first_roles import draft, without
    from mlvitals.generator.spec.first_spec import nameless, next_steps, spec_text
    from mlvitals.generator.spec.load import load_spec
    from mlvitals.generator.spec.model import LogFormat

    path = out or Path("specs") / f"{name}.yaml"
    if path.exists() and not force:
        fail(f"{path} exists; choose another --out, or overwrite it with --force")
    here = Path.cwd()
    form = None if file_format is None else LogFormat(file_format)
    columns, log_format, rows = first_look(paths, here, file_format=form, decimal=decimal, remark=remark)
    logged, logged_format = None, log_format
    if log:
        logged, logged_format, _ = first_look(
            (log,), here, most_files=_LOG_FILES, decimal=decimal, remark=remark, tolerant=True
        )
    found = draft(columns, logged)
    if found.label:
        names = [column.name for column in found.features]
        found = without(found, suspects(paths, here, found.label.name, names, form, decimal))
    found_log = _log_of(log, logged_format, decimal, found, logged or (), path.parent) if log else None
    text = spec_text(name, found, log_format, rows, log=found_log, nameless=nameless(columns), decimal=decimal)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, text.encode())
    # With very many columns the spec exceeds its series budget: it is written for the user to reduce, as the error says.
    spec = load_spec(path)
    click.echo(f"wrote {path}: {len(spec.features)} features")
    for line in next_steps(str(path), paths[0], found, found_log):
        click.echo(without_secrets(line), err=True)


_LOG_FILES = 40
"""Files of a log that are looked into, for their columns."""


def _log_of(
    path: str, log_format: "LogFormat", decimal: str, found: "Draft", columns: "Sequence[SeenColumn]", folder: Path
) -> "FoundLog":
    """Return what a spec says of the log; a log whose times cannot be read ends the command, the cause first."""
    from os.path import relpath

    from mlvitals.exporters.paths import is_url
    from mlvitals.exporters.reading.log import Place
    from mlvitals.exporters.training.log_look import hint_of, look_at_times, pace_of
    from mlvitals.generator.spec.first_roles import Role
    from mlvitals.generator.spec.first_spec import FoundLog

    time_name = found.name_of(Role.TIMESTAMP)
    if time_name is None:
        hints = [hint for column in columns if (hint := hint_of(column))]
        fail(f"the log has no time that can be read: {hints[0] if hints else 'no column holds points in time'}")
    seen = look_at_times(Place(path, log_format, time_name), Path.cwd())
    if seen.problem:
        fail(f"the log's times cannot be read: {seen.problem}")
    written = path if is_url(path) else relpath(Path(path).absolute(), folder.absolute())
    return FoundLog(path=written, format=log_format, pace=pace_of(seen), decimal=decimal)


def _from(folder: Path, path: Path) -> str:
    """Return the path of a file as generated files name it: relative to the folder that they are written into."""
    from os.path import relpath

    return Path(relpath(path.absolute(), folder.absolute())).as_posix()


def _stack_name(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    return None if text is None else _system_name(ctx, param, text)


def _check_for_operator(loaded: "Sequence[tuple[Path, Spec, str]]") -> None:
    """End the command if a spec says what the operator's objects cannot."""
    from mlvitals.generator.kubernetes import inexpressible
    from mlvitals.generator.spec.diagnostics import SpecError
    from mlvitals.generator.spec.document import parse, read_bytes

    errors = []
    for path, spec, _ in loaded:
        if problems := list(inexpressible(spec)):
            document = parse(read_bytes(path), str(path))
            errors.append(SpecError(map(document.diagnostic, problems), document.lines))
    if errors:
        fail("\n".join(map(str, errors)))


@click.command("compile")
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write into.")
@click.option("--check", is_flag=True, help="Write nothing; show the diff and exit with 1 if a file is out of date.")
@click.option("--diff", is_flag=True, help="Write nothing; show the diff.")
@click.option("--force", is_flag=True, help="Overwrite files that mlvitals did not write.")
@click.option(
    "--stack",
    callback=_stack_name,
    metavar="NAME",
    help="Write stack/NAME too: one Prometheus, Alertmanager and Grafana for all of the specs.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["files", "operator"]),
    default="files",
    help="With operator: also stack/NAME/kubernetes, manifests for a cluster with the Prometheus operator.",
)
@compress_option
def compile_command(
    spec_paths: tuple[Path, ...],
    out: Path,
    check: bool,
    diff: bool,
    force: bool,
    stack: str | None,
    form: str,
    compress_time: float,
) -> None:
    """Write dashboards, rules with their tests, runbooks and stacks from specs."""
    from mlvitals.generator.compiler import ChangeKind, compare, compile_operator, compile_specs, compile_stack, write

    loaded = [(path, spec, _from(out, path)) for path, spec in load_all(spec_paths, compress_time)]
    outputs = compile_specs((spec, place) for _, spec, place in loaded)
    if stack:
        if any(path.startswith(f"stack/{stack}/") for path in outputs):
            fail(f"stack/{stack} is the stack of system {stack!r} alone; give --stack another name")
        outputs |= compile_stack(stack, [(spec, place) for _, spec, place in loaded])
    if form == "operator":
        _check_for_operator(loaded)
        for path, spec, place in loaded:
            outputs |= compile_operator(spec, place, path.read_text("utf-8-sig"))
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
        fail(f"not written by mlvitals from these specs; move them away or use --force: {', '.join(foreign)}")
    write(changes, out)
    for change in changes:
        click.echo(f"{'removed' if change.kind is ChangeKind.ORPHANED else 'wrote'} {out / change.path}")
    click.echo(f"{len(outputs)} files, {len(changes)} changed", err=True)
    _say_who_hears(spec for _, spec, _ in loaded)


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
    """Report every problem of specs, with file, line and column.

    Warnings are advice, such as that alerts reach nobody. They do not count: exits with 1 only if there is an error.
    """
    from mlvitals.generator.spec.diagnostics import render_github, render_json
    from mlvitals.generator.spec.load import advice_on

    valid, errors = read_specs(spec_paths)
    warnings = [warning for path, _ in valid if (warning := advice_on(path))]
    found = [diagnostic for error in (*errors, *warnings) for diagnostic in error.diagnostics]
    forms = {"json": render_json, "github": render_github}
    text = forms[form](found) if form in forms else "\n".join(map(str, (*errors, *warnings)))
    if text:
        click.echo(text)
    if form == "text":
        _say_who_hears(spec for _, spec in valid)
    sys.exit(1 if errors else 0)


def _say_who_hears(specs: "Iterable[Spec]") -> None:
    from mlvitals.generator.routing.hearing import hearings
    from mlvitals.generator.signals import signals

    for spec in specs:
        click.echo(hearings(spec, signals(spec)).summary, err=True)


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
