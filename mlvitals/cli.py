"""The command line: thin, and importing what a command needs only when it runs.

Results go to stdout, diagnostics to stderr. Exit codes: 0 fine, 1 findings or failure, 2 wrong usage.
"""

import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from exporters.report import Window
    from exporters.stores import ReferenceStore
    from generator.spec.model import Spec

SPEC = click.Path(path_type=Path)
spec_argument = click.argument("spec_path", metavar="SPEC", type=SPEC)
compress_option = click.option(
    "--compress-time",
    type=click.FloatRange(min=1),
    default=1.0,
    metavar="FACTOR",
    help="Divide every duration of the spec: 180 plays an hour in 20 seconds.",
)


class Group(click.Group):
    """A command group whose users see messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that is the user's to mend becomes a message and exit code 1."""
        from generator.errors import UserError

        try:
            return super().invoke(ctx)
        except UserError as error:
            fail(str(error))
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            fail(f"{error.filename or 'system'}: {error.strerror or error}")


def fail(message: str) -> NoReturn:
    """End with a message and exit code 1."""
    click.echo(message if "error:" in message else f"error: {message}", err=True)
    sys.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlvitals", prog_name="mlvitals")
def main() -> None:
    """Monitoring as code for machine-learning systems: one spec in, a monitored system out."""


# ---------------------------------------------------------------- the spec


@main.command("compile")
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write into.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and show the diff when a file is out of date.")
@click.option("--diff", is_flag=True, help="Write nothing; show the diff.")
@click.option("--force", is_flag=True, help="Overwrite files that mlvitals did not write.")
@compress_option
def compile_command(
    spec_paths: tuple[Path, ...], out: Path, check: bool, diff: bool, force: bool, compress_time: float
) -> None:
    """Write dashboards, rules with their tests, and runbooks from specs."""
    from generator.compiler import ChangeKind, compare, compile_spec, write

    outputs: dict[str, str] = {}
    for path, spec in _load_all(spec_paths, compress_time):
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
            click.echo(
                f"{len(changes)} of {len(outputs)} generated files are out of date: run mlvitals compile", err=True
            )
        sys.exit(1 if changes and check else 0)
    foreign = [change.path for change in changes if change.kind is ChangeKind.FOREIGN]
    if foreign and not force:
        fail(f"not written by mlvitals, move away or use --force: {', '.join(foreign)}")
    write(changes, out)
    for change in changes:
        click.echo(f"{'removed' if change.kind is ChangeKind.ORPHANED else 'wrote'} {out / change.path}")
    click.echo(f"{len(outputs)} files, {len(changes)} changed", err=True)


@main.command()
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", help="Form of findings."
)
def lint(spec_paths: tuple[Path, ...], form: str) -> None:
    """Name every problem of specs, with file, line and column."""
    from generator.spec.diagnostics import SpecError, render_github, render_json
    from generator.spec.load import load_spec

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


def _load_all(paths: tuple[Path, ...], compress_time: float = 1.0) -> list[tuple[Path, "Spec"]]:
    """Load specs; the problems of all of them are reported together."""
    from generator.spec.compression import compress_time as compressed
    from generator.spec.diagnostics import SpecError
    from generator.spec.load import load_spec

    specs, problems = [], []
    for path in paths:
        try:
            spec = load_spec(path)
            specs.append((path, spec if compress_time == 1 else compressed(spec, compress_time)))
        except SpecError as error:
            problems.append(str(error))
    if problems:
        fail("\n".join(problems))
    return specs


def _load(path: Path, compress_time: float = 1.0) -> "Spec":
    return _load_all((path,), compress_time)[0][1]


# ---------------------------------------------------------------- the reference


@main.group(cls=Group)
def reference() -> None:
    """Build, list and promote references: what normal is."""


@reference.command("build")
@spec_argument
@click.option("--data", "paths", type=click.Path(path_type=Path, exists=True), multiple=True, required=True)
@click.option("--promote", is_flag=True, help="Put the new version in force at once.")
def build_command(spec_path: Path, paths: tuple[Path, ...], promote: bool) -> None:
    """Compute a reference from training data and store it as a version."""
    from exporters.training_data import build_from_files

    spec = _load(spec_path)
    data = [str(path.absolute()) for path in paths]
    built = build_from_files(spec, spec_path.parent, data, created=datetime.now(UTC))
    store = _store(spec, spec_path)
    version = store.save(built)
    in_force = spec.reference.alias in {alias for item in store.versions() for alias in item.aliases}
    click.echo(version)
    if spec.prediction_log.score and built.score is None:
        click.echo(
            f"the training data has no column {spec.prediction_log.score!r}: scores will not be watched", err=True
        )
    if promote or not in_force:
        store.promote(version, spec.reference.alias)
        click.echo(f"{spec.reference.alias} is now {version}", err=True)
    else:
        click.echo(f"not in force yet: mlvitals reference promote {spec_path} {version}", err=True)


@reference.command("list")
@spec_argument
def list_command(spec_path: Path) -> None:
    """List the versions, newest first."""
    versions = _store(_load(spec_path), spec_path).versions()
    if not versions:
        click.echo(f"no references yet: mlvitals reference build {spec_path} --data ...", err=True)
    for item in versions:
        described = item.problem or f"{item.created:%Y-%m-%dT%H:%M:%SZ}  {item.rows:,} rows"
        click.echo("  ".join((item.version, described, *item.aliases)))


@reference.command()
@spec_argument
@click.argument("version", required=False)
def show(spec_path: Path, version: str | None) -> None:
    """Show a version (default: the one in force) as JSON."""
    spec = _load(spec_path)
    click.echo(_store(spec, spec_path).load(version or spec.reference.alias).to_json())


@reference.command()
@spec_argument
@click.argument("version")
def promote(spec_path: Path, version: str) -> None:
    """Put a version in force."""
    spec = _load(spec_path)
    _store(spec, spec_path).promote(version, spec.reference.alias)
    click.echo(f"{spec.reference.alias} is now {version}")


def _store(spec: "Spec", spec_path: Path) -> "ReferenceStore":
    from exporters.stores import open_store

    return open_store(spec.reference.store, spec_path.parent, spec.system.name)


# ---------------------------------------------------------------- measuring


def _instant(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time such as 2013-07-01 or 2013-07-01T12:00Z") from None
    # Zones and what reads a little around a window need room at both ends of the calendar.
    if not 1900 <= instant.year <= 2900:
        raise click.BadParameter(f"{text!r} is not within the years 1900 to 2900")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


@main.command()
@spec_argument
@click.option("--start", callback=_instant, metavar="TIME", help="Begin of the window, UTC unless it has a zone.")
@click.option("--end", callback=_instant, metavar="TIME", help="End of the window. Default: the last complete window.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="Read this instead of the prediction log.")
@click.option("--reference", "version", help="A version or alias. Default: the one in force.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (schema mlvitals.drift/1).")
@click.option("--save", is_flag=True, help="Store the result in the results database.")
@compress_option
def drift(
    spec_path: Path,
    start: datetime | None,
    end: datetime | None,
    data: Path | None,
    version: str | None,
    as_json: bool,
    save: bool,
    compress_time: float,
) -> None:
    """Measure one window of the prediction log against the reference."""
    from exporters.pipeline import measure
    from exporters.results import open_results
    from mlvitals.output import drift_table

    spec = _load(spec_path, compress_time)
    if data:
        spec = _with_log(spec, data)
    window = _window(spec, start, end)
    loaded = _store(spec, spec_path).load(version or spec.reference.alias)
    report = measure(spec, spec_path.parent, loaded, loaded.version, window, measured_at=datetime.now(UTC))
    if save:
        with closing(open_results(spec.results, spec_path.parent)) as results:
            results.save(report)
    if as_json:
        click.echo(report.to_json())
    else:
        drift_table(report)


def _with_log(spec: "Spec", path: Path) -> "Spec":
    import msgspec

    log = msgspec.structs.replace(spec.prediction_log, path=str(path.absolute()))
    return msgspec.structs.replace(spec, prediction_log=log)


def _window(spec: "Spec", start: datetime | None, end: datetime | None) -> "Window":
    from exporters.report import Window
    from exporters.schedule import newest_end
    from generator.spec.durations import seconds

    if start and end:
        if end <= start:
            raise click.BadParameter("the window must end after it begins", param_hint="--end")
        return Window(start, end)
    if start or end:
        raise click.UsageError("give both --start and --end, or neither")
    length, step, grace = (
        timedelta(seconds=seconds(part)) for part in (spec.windows.length, spec.step, spec.windows.grace)
    )
    newest = newest_end(datetime.now(UTC), step, grace)
    return Window(newest - length, newest)


@main.command()
@spec_argument
@click.option("--listen", metavar="HOST:PORT", help="Where to serve /metrics. Default: the spec's exporter.listen.")
@compress_option
def export(spec_path: Path, listen: str | None, compress_time: float) -> None:
    """Measure every window as it ends, and serve the figures to Prometheus."""
    from exporters.exporter import run_exporter

    spec = _load(spec_path, compress_time)
    run_exporter(spec, spec_path.parent, stop=threading.Event(), log_to=sys.stderr, listen=listen)
