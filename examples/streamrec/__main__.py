"""``python -m examples.streamrec history`` and ``... past`` write StreamRec's past, ``... serve`` runs it."""

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import click
from rich.console import Console
from rich.progress import Progress

from examples.partitions import write_hour
from examples.servers import find_server
from examples.streamrec.demo import DemoError, run_demo
from examples.streamrec.exercise import run_exercise
from examples.streamrec.faults import LateOutcomes, March3
from examples.streamrec.schedule import DAYS, NAMES, Planned, schedule, truth_of
from examples.streamrec.service import FaultFile, Service, SimulatedTime, run
from examples.streamrec.simulate import Traffic, simulate
from examples.streamrec.write import TRAINING_DAYS, categories, write_history
from mlvitals.evaluation.truth import write_truth
from mlvitals.exporters.paths import resolve
from mlvitals.exporters.process.json_log import JsonLog, Level, LogFileError
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import load_spec

DATA = Path(__file__).parent / "data"
DEMO = Path(__file__).parents[2] / "var" / "demo"
EXERCISE = Path(__file__).parents[2] / "var" / "exercise"
SPEC = Path(__file__).parents[2] / "specs" / "streamrec.yaml"
FILE = click.Path(dir_okay=False, path_type=Path)
WEEKLY_GROWTH = 0.01
LATE_SHARE = 0.002
"""Of the outcomes of a history with faults: what comes too late to count, as some always does."""


def parse_moment(value: str) -> datetime:
    """An ISO time; UTC unless it names another zone.

    Raises:
        click.BadParameter: it is no time.
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a time; write it like 2026-03-03T08:00") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_march3(value: str, begin: datetime, until: datetime) -> March3:
    """The fault that ``START:SHARE`` names.

    Raises:
        click.BadParameter: it names none, or one that would begin in the training data or after the history.
    """
    fault = _march3(value)
    if not begin <= fault.start < until:
        message = f"{fault.start:%FT%RZ} is not in the history, which goes from {begin:%FT%RZ} to {until:%FT%RZ}"
        raise click.BadParameter(message, param_hint="--march3")
    return fault


def _march3(value: str) -> March3:
    start, _, share = value.rpartition(":")
    try:
        return March3(parse_moment(start), float(share))
    except (ValueError, click.BadParameter) as error:
        message = f"{value!r} is not START:SHARE like 2026-03-03T08:00:0.4 ({error})"
        raise click.BadParameter(message, param_hint="--march3") from error


def parse_schedule(value: str, begin: datetime, days: int, seed: int) -> tuple[Planned, ...]:
    """The faults that ``all``, ``none`` or names with commas between stand for.

    Raises:
        click.BadParameter: a name is none, or the history is too short for a fault.
    """
    names = {"all": NAMES, "none": ()}.get(value, tuple(filter(None, map(str.strip, value.split(",")))))
    try:
        planned = schedule(begin, seed=seed, names=names)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from error
    late = [item.record.name for item in planned if item.record.settled > begin + timedelta(days=days)]
    if late:
        message = f"{late[0]!r} is not over within {days} days; the whole schedule takes --days {DAYS}"
        raise click.BadParameter(message, param_hint="--faults")
    return planned


@click.group()
def main() -> None:
    """StreamRec, a simulated recommender to try mlvitals on."""


@main.command()
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True, help="Length of the log.")
@click.option("--end", metavar="TIME", help="End of the log, a full hour is made of it.  [default: now]")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=DATA, show_default="examples/streamrec/data"
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(1), default=6_000, show_default=True, help="Predictions an hour, on average."
)
@click.option(
    "--march3", metavar="START:SHARE", help="Corrupt days_since_last_interaction for SHARE of the rows from START on."
)
@click.option(
    "--faults",
    "names",
    metavar="NAMES",
    help=f"all, none, or some of: {', '.join(NAMES)}. Each has its day of {DAYS}; metrics and sources are written too.",
)
@click.option("--truth", type=FILE, metavar="FILE", help="Write what is wrong when.  [default: OUT/truth.json]")
@click.option("--outcomes-apart", is_flag=True, help="Write the clicks to files of their own, by when they are known.")
@click.option("--spec", type=FILE, default=SPEC, show_default="specs/streamrec.yaml", help="Names the metrics.")
@click.option("--begun-hour", is_flag=True, help="Log the begun hour too, up to the end.")
def history(
    days: int,
    end: str | None,
    out: Path,
    seed: int,
    rate: float,
    march3: str | None,
    names: str | None,
    truth: Path | None,
    outcomes_apart: bool,
    spec: Path,
    begun_hour: bool,
) -> None:
    """Write the prediction log of some days, and the training data of the 14 days before."""
    moment = parse_moment(end) if end else datetime.now(UTC)
    until = moment.replace(minute=0, second=0, microsecond=0)
    begin = until - timedelta(days=days)
    planned = parse_schedule(names, begin, days, seed) if names is not None else ()
    faults = [item.fault for item in planned]
    faults += [parse_march3(march3, begin, moment if begun_hour else until)] if march3 else []
    traffic, contract = Traffic(rate), None
    try:
        if names is not None:
            loaded = load_spec(spec)
            contract = Contract(loaded)
            traffic = Traffic(rate, weekly_growth=WEEKLY_GROWTH, since=begin)
            faults.append(LateOutcomes(begin - timedelta(days=TRAINING_DAYS), LATE_SHARE))
            path = truth or out / "truth.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_truth(truth_of(loaded.system.name, begin, until, planned), path)
    except SpecError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"the truth cannot be written: {error}") from error
    files = write_history(
        out, until, days, seed=seed, faults=faults, traffic=traffic, contract=contract, outcomes_apart=outcomes_apart
    )
    try:
        with Progress(console=Console(stderr=True)) as progress:
            rows = sum(progress.track(files, total=TRAINING_DAYS + 24 * days, description="Simulating"))
        if begun_hour and moment > until:
            begun = simulate(until, moment, seed=seed, faults=faults, traffic=traffic)
            write_hour(out / "predictions", until, begun, categories=categories(begun))
    except OSError as error:
        raise click.ClickException(f"the history cannot be written: {error}") from error
    click.echo(f"{rows:,} rows: training data and {days} days of predictions until {until:%Y-%m-%dT%H:%MZ} in {out}")


@main.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--begin", required=True, metavar="TIME", help="From when on StreamRec served.")
@click.option("--end", metavar="TIME", help="Until when.  [default: now]")
@click.option("--serving-instance", default="127.0.0.1:8000", show_default=True, metavar="HOST:PORT")
@click.option("--exporter-instance", default="127.0.0.1:9108", show_default=True, metavar="HOST:PORT")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write into.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def past(
    spec: Path, begin: str, end: str | None, serving_instance: str, exporter_instance: str, out: Path, seed: int
) -> None:
    """Write what scrapes of a past would have found, beside the measurements: OpenMetrics for promtool."""
    from examples.streamrec.past import Instances, write_past  # noqa: PLC0415

    try:
        loaded = load_spec(spec)
    except SpecError as error:
        raise click.ClickException(str(error)) from error
    until = parse_moment(end) if end else datetime.now(UTC)
    instances = Instances(serving_instance, exporter_instance)
    for file in write_past(loaded, out, parse_moment(begin), until, instances, seed=seed):
        click.echo(file)


@main.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write into.")
def records(spec: Path, out: Path) -> None:
    """Write the rules by level, as their past is computed: a level reads the levels before it, the last are alerts."""
    from mlvitals.generator.rules.levels import level_files  # noqa: PLC0415

    try:
        loaded = load_spec(spec)
    except SpecError as error:
        raise click.ClickException(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    for name, text in level_files(loaded).items():
        (out / name).write_text(text, encoding="utf-8")
        click.echo(out / name)


@main.command()
@click.argument("rules", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prometheus", required=True, metavar="URL", help="The Prometheus that holds what the rules read.")
@click.option("--begin", required=True, metavar="TIME", help="From when on.")
@click.option("--end", required=True, metavar="TIME", help="Until when.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="OpenMetrics to write.")
def record(rules: Path, prometheus: str, begin: str, end: str, out: Path) -> None:
    """Write what a file of rules would have left in the past: their records, and the states of their alerts."""
    import yaml  # noqa: PLC0415

    from examples.streamrec.recorded import fetch_from, recorded  # noqa: PLC0415

    groups = yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"]
    found = (rule for group in groups for rule in group["rules"])
    try:
        with out.open("w", encoding="utf-8") as file:
            file.writelines(recorded(found, parse_moment(begin), parse_moment(end), fetch_from(prometheus)))
    except OSError as error:
        raise click.ClickException(f"{prometheus}, {out}: {error}") from error


@main.command("serve")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--listen", default="127.0.0.1:8000", show_default=True, metavar="HOST:PORT", help="Where /metrics is served."
)
@click.option(
    "--log",
    type=click.Path(file_okay=False, path_type=Path),
    default=DATA / "predictions",
    show_default="examples/streamrec/data/predictions",
)
@click.option(
    "--time-factor",
    type=click.FloatRange(min=0, min_open=True),
    default=180,
    show_default=True,
    help="How much faster than the clock the simulated day runs.",
)
@click.option(
    "--tick", type=click.FloatRange(0.1, 30), default=1.0, show_default=True, help="Seconds between log files."
)
@click.option(
    "--fault-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help='JSON like {"march3": 0.4}, read at every tick.',
)
@click.option("--log-file", type=FILE, metavar="FILE", help="Write the events there too; at 5 MB it becomes FILE.1.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def serve_command(
    spec: Path,
    listen: str,
    log: Path,
    time_factor: float,
    tick: float,
    fault_file: Path | None,
    log_file: Path | None,
    seed: int,
) -> None:
    """Answer simulated traffic, log it and publish its metrics, until SIGTERM or Ctrl-C."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        loaded = load_spec(spec)
    except SpecError as error:
        raise click.ClickException(str(error)) from error
    folders = (resolve(source.path, spec.parent) for source in loaded.sources.values() if source.path)
    recomputed = resolve(loaded.skew.path, spec.parent) if loaded.skew.path else None
    begin = _now()
    try:
        telemetry = PredictionTelemetry(loaded)
        time = SimulatedTime(begin, time_factor)
        service = Service(telemetry, time, log, tuple(folders), seed=seed, recomputed=recomputed)
    except ValueError as error:
        raise click.ClickException(f"{spec} does not describe StreamRec: {error}") from error
    try:
        with JsonLog(sys.stdout, _now, loaded.system.name, "serving", log_file) as events:
            telemetry.start_server(host, int(port))
            events("listening", url=f"http://{listen}/metrics", log=str(log))
            faults = FaultFile(
                fault_file, report=lambda message: events("faults", level=Level.WARNING, message=message)
            )
            run(service, faults, tick=timedelta(seconds=tick), stop=stop, clock=_now, begin=begin, events=events)
            events("stopped")
    except LogFileError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{listen}, {log}: {error}") from error


def _now() -> datetime:
    return datetime.now(UTC)


@main.command()
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.4,
    show_default=True,
    help="Share of the rows that March 3 corrupts.",
)
@click.option("--keep", is_flag=True, envvar="KEEP", help="Leave everything running at the end, until Ctrl-C.")
def demo(share: float, keep: bool) -> None:
    """Show the main job end to end: compile, serve, measure, break, alert."""
    for number in (signal.SIGTERM, signal.SIGINT):  # an ended demo must end what it started
        signal.signal(number, signal.default_int_handler)
    try:
        run_demo(DEMO, share=share, keep=keep, prometheus=find_server("prometheus"), console=Console())
    except DemoError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None


@main.command()
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Share of the rows that March 3 corrupts.",
)
def exercise(share: float) -> None:
    """Play March 3 as an incident: page, answer, mitigation, resolution, post-mortem. Needs Alertmanager 0.33."""
    prometheus, alertmanager = (find_server(name, release="sid") for name in ("prometheus", "alertmanager"))
    if prometheus is None or alertmanager is None:
        raise click.ClickException("Prometheus 3 and Alertmanager 0.33 are not here; run scripts/servers.sh sid")
    for number in (signal.SIGTERM, signal.SIGINT):  # an ended exercise must end what it started
        signal.signal(number, signal.default_int_handler)
    try:
        run_exercise(EXERCISE, share=share, prometheus=prometheus, alertmanager=alertmanager, console=Console())
    except DemoError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None


if __name__ == "__main__":
    main()
