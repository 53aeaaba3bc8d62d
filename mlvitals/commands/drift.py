"""One window of the prediction log, measured against the reference."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import (
    OUTPUT,
    compress_option,
    http_url,
    instant,
    load,
    reference_store,
    spec_argument,
    write,
)

if TYPE_CHECKING:
    from mlvitals.exporters.parts import Window
    from mlvitals.exporters.window.history import DriftHistory
    from mlvitals.exporters.window.report import WindowReport
    from mlvitals.generator.spec.model import Spec


@click.command()
@spec_argument
@click.option(
    "--start",
    callback=instant,
    metavar="TIME",
    help="Start of the window, with --end. UTC unless it names a time zone.",
)
@click.option(
    "--end",
    callback=instant,
    metavar="TIME",
    help="End of the window, with --start. Default: the last complete window.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    help="Read this file or folder instead of the prediction log.",
)
@click.option("--reference", "version", help="A version or alias. Default: the active one.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (schema mlvitals.drift/1).")
@click.option("--html", type=OUTPUT, metavar="FILE", help="Write the report as a self-contained HTML page.")
@click.option("--save", is_flag=True, help="Store the result in the results database.")
@click.option("--textfile", type=OUTPUT, metavar="FILE", help="Write the metrics for node_exporter to a *.prom file.")
@click.option("--pushgateway", type=http_url, metavar="URL", help="Push the metrics to a Pushgateway.")
@click.option(
    "--fail-on",
    type=click.Choice(["info", "warning", "critical"]),
    help="Exit with 1 if anything of at least this severity was found.",
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

    Exits with 0 once the window is measured, whatever the result, unless --fail-on is given. If nothing could be read,
    nothing was measured: exits with 1.
    """
    from mlvitals.exporters.window.history import judge
    from mlvitals.exporters.window.measure import measure_window
    from mlvitals.generator.spec.model import Severity
    from mlvitals.terminal.console import console
    from mlvitals.terminal.drift import drift_table

    spec = load(spec_path, compress_time)
    if data:
        spec = _with_log(spec, data)
    window = _window(spec, spec_path.parent, start, end)
    loaded = reference_store(spec, spec_path).load(version or spec.reference.alias)
    started = datetime.now(UTC)
    report = measure_window(spec, spec_path.parent, loaded, loaded.version, window, measured_at=started)
    report = judge(spec, report, _history_before(spec, spec_path.parent, report))
    why = "" if report.is_measured else _why_nothing(spec, spec_path.parent, report)
    if save and report.events:
        report = _with_totals(spec, spec_path.parent, report)
    try:  # files first: whoever reads them must not depend on what a terminal can show
        _hand_over(
            spec, spec_path.parent, report, started, html=html, save=save, textfile=textfile, gateway=pushgateway
        )
    finally:
        if why:  # before all else, for the rest follows from it
            click.echo(f"error: {why}", err=True)
        if as_json:
            click.echo(report.to_json())
        else:
            drift_table(report, console())
    if why:
        sys.exit(1)
    if fail_on and report.is_at_least(Severity(fail_on)):
        sys.exit(1)


def _why_nothing(spec: "Spec", base_dir: Path, report: "WindowReport") -> str:
    """Return why no row was read, the cause on one line, with the times that the log does hold."""
    from mlvitals.exporters.training.log_look import TIMES_OF, why_nothing

    files = len({problem.path for problem in report.problems})
    read = "no row of the window is in the log"
    if files:
        read = f"no row of the window could be read, and {files} of its files could not be read in full"
    why = why_nothing(spec.prediction_log, base_dir)
    if not why.startswith(TIMES_OF):
        read = f"{read}: {why}"
    elif files:
        first = report.problems[0]
        read = f"{read}: {first.path}: {first.problem}; its times go from {why.removeprefix(TIMES_OF)}"
    else:
        read += why
    return f"nothing was measured: {read}"


def _history_before(spec: "Spec", base_dir: Path, report: "WindowReport") -> "DriftHistory":
    """Return what the results database knows of earlier windows; nothing if it cannot be read: a window does without."""
    from mlvitals.exporters.database import DatabaseError
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.window.history import first_history, reference_gap

    none = first_history(spec, report.reference_version, reference_gap(report))
    try:
        with closing(open_results(spec.results, base_dir, create=False)) as results:
            return results.history(report.system, none, until=report.window.end)
    except DatabaseError:
        return none


def _with_totals(spec: "Spec", base_dir: Path, report: "WindowReport") -> "WindowReport":
    """Return the report with the running totals of its business events, including its own step."""
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.window.history import with_totals

    with closing(open_results(spec.results, base_dir)) as results:
        return with_totals(spec, report, results)


def _hand_over(
    spec: "Spec",
    base_dir: Path,
    report: "WindowReport",
    started: datetime,
    *,
    html: Path | None,
    save: bool,
    textfile: Path | None,
    gateway: str | None,
) -> None:
    """Write, store and push the report, whatever was asked for."""
    if html:
        from mlvitals.exporters.publish.html.page import html_page

        write(html, html_page(report).encode())
    if save:
        from mlvitals.exporters.publish.results import open_results

        with closing(open_results(spec.results, base_dir)) as results:
            results.save(report)
    if textfile or gateway:
        _publish(spec, base_dir, report, started, textfile, gateway)


def _publish(
    spec: "Spec", base_dir: Path, report: "WindowReport", started: datetime, textfile: Path | None, gateway: str | None
) -> None:
    from mlvitals.exporters.publish.handover import page_of_run, push, write_textfile
    from mlvitals.exporters.sections.freshness import newest
    from mlvitals.generator.contract import Contract

    freshness = {name: newest(source, base_dir) for name, source in spec.sources.items()}
    page = page_of_run(Contract(spec), report, freshness, started, datetime.now(UTC))
    if textfile:
        write_textfile(page, textfile)
    if gateway:
        push(page, gateway, spec.exporter_job)


def _with_log(spec: "Spec", path: Path) -> "Spec":
    """Return the spec with another log; the name of a file says its format."""
    import msgspec

    from mlvitals.exporters.reading.scan import format_of

    log = spec.prediction_log
    form = format_of(path.name) if path.is_file() else None
    log = msgspec.structs.replace(log, path=str(path.absolute()), format=form or log.format)
    return msgspec.structs.replace(spec, prediction_log=log)


def _window(spec: "Spec", base_dir: Path, start: datetime | None, end: datetime | None) -> "Window":
    from mlvitals.exporters.parts import Window
    from mlvitals.exporters.schedule import schedule_of
    from mlvitals.exporters.window.row_times import row_times

    if start and end:
        if end <= start:
            raise click.BadParameter("the window must end after it starts", param_hint="--end")
        return Window(start, end)
    if start or end:
        raise click.UsageError("give both --start and --end, or neither")
    schedule = schedule_of(spec, row_times(spec.prediction_log, base_dir))
    return schedule.ending(schedule.newest_end(datetime.now(UTC)))
