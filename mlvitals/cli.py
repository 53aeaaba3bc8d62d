"""The command line: thin, and importing what a command needs only when it runs.

Results go to stdout, diagnostics to stderr. Exit codes: 0 fine, 1 findings or failure, 2 wrong usage.
"""

import sys
import threading
from collections import Counter
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from exporters.changes import ChangeKind
    from exporters.drift_history import PastWindow
    from exporters.report import Window, WindowReport
    from exporters.stores import ReferenceStore
    from generator.spec.model import Spec

SPEC = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
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


def _system_name(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    import msgspec

    from generator.spec.model import Name

    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"{text!r} is not a lower-case letter, then lower-case letters, digits or underscores, 40 at most"
        ) from None


@main.command("init")
@click.option(
    "--data", "paths", multiple=True, required=True, metavar="PATH", help="Training data: a file, a folder, or a URL."
)
@click.option("--name", callback=_system_name, required=True, help="The system's name, the prefix of its metrics.")
@click.option("--out", type=FILE, metavar="FILE", help="The spec to write. Default: specs/NAME.yaml.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init_command(paths: tuple[str, ...], name: str, out: Path | None, force: bool) -> None:
    """Write a first spec from training data: features with their types, and guesses to be read."""
    from exporters.first_look import first_look
    from generator.spec.first_spec import first_spec
    from generator.spec.load import load_spec

    path = out or Path("specs") / f"{name}.yaml"
    if path.exists() and not force:
        fail(f"{path} exists; give another --out, or --force to overwrite it")
    columns, log_format, rows = first_look(paths, Path.cwd())
    text = first_spec(name, columns, log_format, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text.encode())
    # Of very many columns a spec breaks its series budget: it is there to be cut down, and the error says so.
    spec = load_spec(path)
    click.echo(f"wrote {path}: {len(spec.features)} features")
    click.echo(
        f"read it, write down where the predictions are, then: mlvitals reference build {path} --data {paths[0]}",
        err=True,
    )


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


@main.command("estimate")
@spec_argument
@click.option(
    "--predictions-per-day",
    type=click.IntRange(0),
    metavar="N",
    help="Default: the spec's telemetry.predictions_per_day.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.estimate/1).")
def estimate_command(spec_path: Path, predictions_per_day: int | None, as_json: bool) -> None:
    """Show what the telemetry of a spec costs: series, and storage a day and on each tier."""
    import msgspec
    from rich.console import Console

    from generator.estimate import estimate
    from mlvitals.estimate_output import estimate_table

    spec = _load(spec_path)
    wanted = spec.telemetry.predictions_per_day if predictions_per_day is None else predictions_per_day
    found = estimate(spec, wanted)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        estimate_table(found, Console(highlight=False))


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


# ---------------------------------------------------------------- objectives


def _http_url(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise click.BadParameter(f"{text!r} is not a URL such as http://localhost:9090")
    return text


@main.command()
@spec_argument
@click.option(
    "--prometheus", "url", required=True, callback=_http_url, metavar="URL", help="The Prometheus that runs the rules."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.slo/1).")
def slo(spec_path: Path, url: str, as_json: bool) -> None:
    """Show the error budgets; exit 1 unless they are known and allow a deployment."""
    import msgspec
    from rich.console import Console

    from mlvitals.budget_output import budget_table
    from mlvitals.budgets import prometheus, read_budgets

    budgets = read_budgets(_load(spec_path), prometheus(url))
    if as_json:
        click.echo(msgspec.json.encode(budgets))
    else:
        budget_table(budgets, Console(highlight=False))
    sys.exit(0 if budgets.deploy_allowed else 1)


# ---------------------------------------------------------------- the reference


@main.group(cls=Group)
def reference() -> None:
    """Build, list and promote references: what normal is."""


def _model_version(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= 200 and text.isprintable() and text == text.strip()):
        raise click.BadParameter("give a printable text of 1 to 200 characters, without white space around it")
    return text


@reference.command("build")
@spec_argument
@click.option(
    "--data", "paths", multiple=True, required=True, metavar="PATH", help="A file, a folder, or a URL of one."
)
@click.option("--table", help="A table of training data; --data is then the database's SQLAlchemy URL.")
@click.option("--password-file", type=click.Path(exists=True), help="Holds the database's password.")
@click.option("--promote", is_flag=True, help="Put the new version in force at once.")
@click.option(
    "--model-version",
    callback=_model_version,
    metavar="V",
    help="The model's version: any text; with MLflow NAME/NUMBER or a run id, which is then tagged.",
)
def build_command(
    spec_path: Path,
    paths: tuple[str, ...],
    table: str | None,
    password_file: str | None,
    promote: bool,
    model_version: str | None,
) -> None:
    """Compute a reference from training data and store it as a version."""
    from exporters.sql_log import SqlTable
    from exporters.training_data import build_from_files, build_from_table

    if table is not None and len(paths) > 1:
        raise click.UsageError("--table takes one --data, the URL of its database")
    spec, now = _load(spec_path), datetime.now(UTC)
    if table is not None:
        built = build_from_table(spec, SqlTable(paths[0], table, Path.cwd(), password_file), now, model_version)
    else:
        built = build_from_files(spec, Path.cwd(), paths, now, model_version)
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
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_command(spec_path: Path, as_json: bool) -> None:
    """List the versions, newest first."""
    import msgspec

    found = _store(_load(spec_path), spec_path).versions()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for item in found:
        described = item.problem or f"{item.created:%Y-%m-%dT%H:%M:%SZ}  {item.rows:,} rows"
        model = [f"model {item.model_version}"] if item.model_version else []
        click.echo("  ".join((item.version, described, *model, *item.aliases)))
    if not found:
        click.echo(f"no references yet: mlvitals reference build {spec_path} --data TRAINING_DATA", err=True)


@reference.command()
@spec_argument
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the whole artifact as JSON (schema mlvitals.reference/1).")
def show(spec_path: Path, version: str | None, as_json: bool) -> None:
    """Show a version or alias (default: the one in force)."""
    from mlvitals.reference_output import reference_table

    spec = _load(spec_path)
    loaded = _store(spec, spec_path).load(version or spec.reference.alias)
    if as_json:
        click.echo(loaded.to_json())
    else:
        reference_table(loaded)


@reference.command("diff")
@spec_argument
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.reference-diff/1).")
def diff_command(spec_path: Path, old: str, new: str, as_json: bool) -> None:
    """Show what changed between two versions or aliases. In parentheses: what noise alone can give."""
    import msgspec

    from exporters.reference_diff import diff_references
    from mlvitals.reference_output import diff_table

    store = _store(_load(spec_path), spec_path)
    diff = diff_references(store.load(old), store.load(new))
    if as_json:
        click.echo(msgspec.json.encode(diff))
    else:
        diff_table(diff)


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
@click.option("--html", type=FILE, metavar="FILE", help="Write the report as one self-contained page.")
@click.option("--save", is_flag=True, help="Store the result in the results database.")
@click.option("--textfile", type=FILE, metavar="FILE", help="Write the metrics for node_exporter, to a file *.prom.")
@click.option("--pushgateway", metavar="URL", help="Push the metrics to a Pushgateway.")
@click.option(
    "--fail-on",
    type=click.Choice(["info", "warning", "critical"]),
    help="Exit with 1 when anything at least this bad was found.",
)
@compress_option
def drift(
    spec_path: Path,
    start: datetime | None,
    end: datetime | None,
    data: Path | None,
    version: str | None,
    as_json: bool,
    html: Path | None,
    save: bool,
    textfile: Path | None,
    pushgateway: str | None,
    fail_on: str | None,
    compress_time: float,
) -> None:
    """Measure one window of the prediction log against the reference.

    Exits with 0 once the window is measured, whatever was found, unless --fail-on says otherwise.
    """
    from rich.console import Console

    from exporters.drift_history import drift_history, with_drift_type
    from exporters.outcome_facts import facts_of
    from exporters.pipeline import measure
    from exporters.results import open_results
    from generator.spec.model import Severity
    from mlvitals.output import drift_table

    spec = _load(spec_path, compress_time)
    if data:
        spec = _with_log(spec, data)
    window = _window(spec, start, end)
    loaded = _store(spec, spec_path).load(version or spec.reference.alias)
    begin = datetime.now(UTC)
    report = measure(spec, spec_path.parent, loaded, loaded.version, window, measured_at=begin)
    past = _past_windows(spec, spec_path.parent, report)
    report = with_drift_type(spec, report, facts_of(report.outcomes), drift_history(spec, report, past))
    if as_json:
        click.echo(report.to_json())
    else:
        drift_table(report, Console(highlight=False))
    if html:
        _write_html(report, html)
    if save:
        with closing(open_results(spec.results, spec_path.parent)) as results:
            results.save(report)
    if textfile or pushgateway:
        _publish(spec, spec_path.parent, report, begin, textfile, pushgateway)
    if fail_on and report.is_at_least(Severity(fail_on)):
        sys.exit(1)


def _past_windows(spec: "Spec", base_dir: Path, report: "WindowReport") -> "list[PastWindow]":
    """What the results database has of earlier windows; nothing where it cannot be read, for a window needs none."""
    from exporters.database import DatabaseError
    from exporters.results import open_results

    try:
        with closing(open_results(spec.results, base_dir, create=False)) as results:
            return results.past_windows(report.system, report.reference_version)
    except DatabaseError:
        return []


def _write_html(report: "WindowReport", path: Path) -> None:
    from exporters.atomic import replacing
    from exporters.html_report import html_page

    with replacing(path) as file:
        file.write(html_page(report).encode())


def _publish(
    spec: "Spec", base_dir: Path, report: "WindowReport", begin: datetime, textfile: Path | None, gateway: str | None
) -> None:
    from exporters.freshness import newest
    from exporters.one_shot import page_of_run, push, write_textfile
    from generator.contract import Contract

    freshness = {name: newest(source, base_dir) for name, source in spec.sources.items()}
    page = page_of_run(Contract(spec), report, freshness, begin, datetime.now(UTC))
    if textfile:
        write_textfile(page, textfile)
    if gateway:
        push(page, gateway, spec.exporter_job)


def _with_log(spec: "Spec", path: Path) -> "Spec":
    import msgspec

    log = msgspec.structs.replace(spec.prediction_log, path=str(path.absolute()))
    return msgspec.structs.replace(spec, prediction_log=log)


def _window(spec: "Spec", start: datetime | None, end: datetime | None) -> "Window":
    from exporters.report import Window
    from exporters.schedule import newest_end

    if start and end:
        if end <= start:
            raise click.BadParameter("the window must end after it begins", param_hint="--end")
        return Window(start, end)
    if start or end:
        raise click.UsageError("give both --start and --end, or neither")
    length, step, grace = _window_times(spec)
    newest = newest_end(datetime.now(UTC), step, grace)
    return Window(newest - length, newest)


def _window_times(spec: "Spec") -> tuple[timedelta, timedelta, timedelta]:
    """How much time a window covers, how often one ends, and how long after its end it is measured."""
    from generator.spec.durations import milliseconds

    times = (spec.windows.length, spec.step, spec.windows.grace)
    length, step, grace = (timedelta(milliseconds=milliseconds(time)) for time in times)
    return length, step, grace


@main.command()
@spec_argument
@click.option("--listen", metavar="HOST:PORT", help="Where to serve /metrics. Default: the spec's exporter.listen.")
@click.option("--log-file", type=FILE, metavar="FILE", help="Write the log there too; at 5 MB it becomes FILE.1.")
@compress_option
def export(spec_path: Path, listen: str | None, log_file: Path | None, compress_time: float) -> None:
    """Measure every window as it ends, and serve the figures to Prometheus."""
    from exporters.exporter import run_exporter

    spec = _load(spec_path, compress_time)
    run_exporter(spec, spec_path.parent, stop=threading.Event(), log_to=sys.stderr, listen=listen, log_file=log_file)


# ---------------------------------------------------------------- the past


def _spacing(_ctx: click.Context, _param: click.Parameter, text: str) -> timedelta:
    import msgspec

    from exporters.openmetrics import LOOKBACK
    from generator.spec.durations import Duration, milliseconds

    try:
        spacing = timedelta(milliseconds=milliseconds(msgspec.convert(text, Duration)))
    except msgspec.ValidationError:
        raise click.BadParameter(f"{text!r} is not a duration such as 30s or 2m") from None
    if not timedelta(seconds=1) <= spacing < LOOKBACK:
        raise click.BadParameter(f"{text} is not from 1s to below 5m; Prometheus finds a sample for 5 minutes")
    return spacing


@main.command()
@spec_argument
@click.option("--start", callback=_instant, required=True, metavar="TIME", help="Windows that end after this time,")
@click.option("--end", callback=_instant, required=True, metavar="TIME", help="and not after this one, are measured.")
@click.option("--openmetrics", type=FILE, metavar="FILE", help="Write their metrics for promtool.")
@click.option("--every", callback=_spacing, default="4m", show_default=True, help="Time between samples of a series.")
@click.option("--save", is_flag=True, help="Store the results in the results database.")
@click.option("--reference", "version", help="A version or alias. Default: the one in force.")
@click.option("--instance", metavar="HOST:PORT", help="Label instance of the samples. Default: the exporter's address.")
def backfill(
    spec_path: Path,
    start: datetime,
    end: datetime,
    openmetrics: Path | None,
    every: timedelta,
    save: bool,
    version: str | None,
    instance: str | None,
) -> None:
    """Measure the windows of the past, for Prometheus and for the results database.

    Prometheus takes the file with: promtool tsdb create-blocks-from openmetrics FILE DATA_DIRECTORY
    """
    from rich.console import Console
    from rich.progress import track

    from exporters.atomic import replacing
    from exporters.backfill import backfill as measured
    from exporters.openmetrics import History
    from exporters.results import open_results
    from exporters.schedule import newest_end, windows_ending
    from generator.contract import Contract
    from generator.prometheus import exporter_addresses
    from mlvitals.output import backfill_summary

    if not (openmetrics or save):
        raise click.UsageError("say where the results go: --openmetrics FILE, --save or both")
    spec, now = _load(spec_path), datetime.now(UTC)
    length, step, grace = _window_times(spec)
    newest = newest_end(now, step, grace)
    windows = windows_ending(start, min(end, newest), length, step)
    if not windows:
        raise click.UsageError(
            f"no window ends between --start and --end; the newest that is due ended {newest:%FT%RZ}"
        )
    loaded = _store(spec, spec_path).load(version or spec.reference.alias)
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        history, results = None, None
        if openmetrics:
            labels = {"job": spec.exporter_job, "instance": instance or exporter_addresses(spec)[0]}
            history = stack.enter_context(History(Contract(spec), labels, openmetrics.absolute().parent, every))
        if save:
            results = stack.enter_context(closing(open_results(spec.results, spec_path.parent)))
        reports = measured(spec, spec_path.parent, loaded, windows, measured_at=now, history=history, results=results)
        shown = track(
            reports, "Measuring", len(windows), console=console, transient=True, disable=not console.is_terminal
        )
        found = Counter(report.urgency for report in shown)
        backfill_summary(found, console)
        if history and openmetrics:
            with replacing(openmetrics) as file:
                samples = history.write(file, until=min(windows[-1].end + step + grace, now))
            console.print(f"{samples:,} samples in {openmetrics}", markup=False)


# ---------------------------------------------------------------- what people did


@main.group(cls=Group)
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
at_option = click.option("--at", "moment", callback=_instant, metavar="TIME", help="When.  [default: now]")


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

    spec = _load(spec_path)
    change = Change(kind, name, moment or datetime.now(UTC), version, author)
    with closing(open_results(spec.results, spec_path.parent)) as results:
        results.note(spec.system.name, change)
    click.echo(f"noted {kind} {name} {version} at {change.moment:%Y-%m-%dT%H:%M:%SZ}")


# ---------------------------------------------------------------- the live stack


def _length(_ctx: click.Context, param: click.Parameter, text: str | tuple[str, ...]) -> Any:
    import msgspec

    from generator.spec.durations import Duration, milliseconds

    if isinstance(text, tuple):
        return tuple(_length(_ctx, param, one) for one in text)
    try:
        length = timedelta(milliseconds=milliseconds(msgspec.convert(text, Duration)))
    except msgspec.ValidationError:
        raise click.BadParameter(f"{text!r} is not a duration such as 300ms, 1h or 30d") from None
    if not length:
        raise click.BadParameter(f"{text} is no time at all")
    return length


@main.command()
@spec_argument
@click.option("--prometheus", "url", required=True, metavar="URL", help="Where Prometheus is.")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    default=("1h",),
    show_default=True,
    callback=_length,
    metavar="DURATION",
    help="Time range of the dashboards; may be given several times.",
)
@click.option("--slow", default="300ms", show_default=True, callback=_length, help="A query that takes longer is slow.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.verify/1).")
def verify(spec_path: Path, url: str, ranges: tuple[timedelta, ...], slow: timedelta, as_json: bool) -> None:
    """Run every query of dashboards, rules and runbooks against a live Prometheus.

    Exits with 1 where one fails, finds nothing, finds only NaN, or is slow. A query that is empty because all is well
    is none of these.
    """
    import msgspec

    from generator.compiler import compile_spec
    from generator.spec.durations import seconds
    from mlvitals.verify_output import verification_text
    from verification.intervals import Span
    from verification.queries import queries
    from verification.server import Prometheus
    from verification.verify import verify as verified

    spec = _load(spec_path)
    scrape = seconds(spec.telemetry.scrape_interval)
    done = verified(
        queries(compile_spec(spec, spec_path.name)),
        Prometheus(url),
        [Span(length, scrape) for length in ranges],
        now=datetime.now(UTC).timestamp(),
        slow_seconds=slow.total_seconds(),
    )
    click.echo(msgspec.json.encode(done).decode() if as_json else verification_text(done))
    sys.exit(1 if done.findings else 0)


# ---------------------------------------------------------------- incidents


@main.command()
@click.option("--listen", default="127.0.0.1:9110", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--keep", type=FILE, metavar="FILE", help="Keep the messages here, as JSON lines, over restarts.")
def inbox(listen: str, keep: Path | None) -> None:
    """Play Slack, PagerDuty and a webhook for a local Alertmanager, and show what arrives."""
    import signal

    from incidents.inbox.mailbox import Mailbox
    from incidents.inbox.server import PAGERDUTY, SLACK, WEBHOOK, Inbox

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Inbox(listen, Mailbox(keep)) as server, suppress(KeyboardInterrupt):
        click.echo(f"{server.url}: Slack at {SLACK}, PagerDuty at {PAGERDUTY}, webhooks at {WEBHOOK}", err=True)
        threading.Event().wait()


@main.command("evaluate")
@spec_argument
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, metavar="DIR")
@click.option("--truth", "truth_path", type=FILE, required=True, metavar="FILE", help="What was wrong, and when.")
@click.option("--reference", "version", help="A version or alias. Default: built from DIR/training, else in force.")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Write it as JSON (schema mlvitals.evaluation/1).")
@click.option("--html", "html_path", type=FILE, metavar="FILE", help="Write it as one self-contained page.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a fault was missed or a page was false.")
def evaluate_command(
    spec_path: Path,
    data: Path,
    truth_path: Path,
    version: str | None,
    json_path: Path | None,
    html_path: Path | None,
    strict: bool,
) -> None:
    """Replay a history with known faults: what would have caught each, how fast, and what would have cried wolf.

    DIR holds predictions/ and, where there are any, outcomes/, recomputed/, training/, metrics/ and sources.parquet;
    python -m examples.streamrec history --faults all writes such a folder.
    """
    from tempfile import TemporaryDirectory

    from rich.console import Console
    from rich.progress import track

    from evaluation.evaluate import evaluate
    from evaluation.page import evaluation_page
    from evaluation.truth import read_truth
    from exporters.results import open_results
    from exporters.training_data import build_from_files
    from generator.spec.model import Results
    from mlvitals.evaluation_output import evaluation_table

    spec, truth = _load(spec_path), read_truth(truth_path)
    if version is None and (data / "training").is_dir():
        reference = build_from_files(spec, Path.cwd(), (str(data / "training"),), truth.start)
    else:
        reference = _store(spec, spec_path).load(version or spec.reference.alias)
    errors = Console(stderr=True)
    with TemporaryDirectory(prefix="mlvitals-evaluate-") as folder:
        kept = Results(url=f"sqlite:///{folder}/results.db")
        with closing(open_results(kept, Path(folder))) as results:
            found = evaluate(
                spec,
                spec_path.parent,
                data,
                truth,
                reference,
                results,
                lambda reports, count: iter(
                    track(reports, "Measuring", count, console=errors, transient=True, disable=not errors.is_terminal)
                ),
            )
    evaluation_table(found, Console(highlight=False))
    if json_path:
        _write(json_path, found.to_json())
    if html_path:
        _write(html_path, evaluation_page(found).encode())
    if strict and not found.is_perfect:
        sys.exit(1)


def _write(path: Path, content: bytes) -> None:
    from exporters.atomic import replacing

    with replacing(path) as file:
        file.write(content)
