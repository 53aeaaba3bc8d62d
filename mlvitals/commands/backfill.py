"""Measuring past windows."""

from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import OUTPUT, duration, instant, load, reference_store, spec_argument

if TYPE_CHECKING:
    from mlvitals.generator.spec.model import Severity


def _within_lookback(_ctx: click.Context, _param: click.Parameter, spacing: timedelta) -> timedelta:
    from mlvitals.exporters.publish.openmetrics import LOOKBACK

    if not timedelta(seconds=1) <= spacing < LOOKBACK:
        raise click.BadParameter("must be at least 1s and below 5m; Prometheus looks back 5 minutes for a sample")
    return spacing


@click.command()
@spec_argument
@click.option(
    "--start", callback=instant, required=True, metavar="TIME", help="Measure windows that end after this time,"
)
@click.option("--end", callback=instant, required=True, metavar="TIME", help="and no later than this time.")
@click.option("--openmetrics", type=OUTPUT, metavar="FILE", help="Write the metrics for promtool.")
@click.option(
    "--blocks",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the metrics as blocks into Prometheus's data directory.",
)
@click.option(
    "--every",
    type=duration,
    callback=_within_lookback,
    default="4m",
    show_default=True,
    help="Time between the samples of a series.",
)
@click.option("--save", is_flag=True, help="Store the results in the results database.")
@click.option("--reference", "version", help="A version or alias. Default: the active one.")
@click.option(
    "--instance", metavar="HOST:PORT", help="The instance label of the samples. Default: the exporter's address."
)
def backfill(
    spec_path: Path,
    start: datetime,
    end: datetime,
    openmetrics: Path | None,
    blocks: Path | None,
    every: timedelta,
    save: bool,
    version: str | None,
    instance: str | None,
) -> None:
    """Measure past windows for Prometheus and the results database, and print what was found in each.

    Blocks are a small fraction of the size of text: a Prometheus finds them in its data directory within a minute or when
    it starts. Text is imported with: promtool tsdb create-blocks-from openmetrics FILE DATA_DIRECTORY
    """
    from rich.progress import track

    from mlvitals.exporters.process.backfill import backfill as measured
    from mlvitals.exporters.publish.openmetrics import History
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.schedule import schedule_of
    from mlvitals.exporters.window.row_times import row_times
    from mlvitals.exporters.window.summary import WindowSummary
    from mlvitals.generator.atomic import replacing
    from mlvitals.generator.contract import Contract
    from mlvitals.generator.prometheus import exporter_addresses
    from mlvitals.terminal.console import console
    from mlvitals.terminal.drift import backfill_summary
    from mlvitals.terminal.history import window_line

    if not (openmetrics or blocks or save):
        raise click.UsageError("choose where the results go: --blocks FOLDER, --openmetrics FILE, --save or both")
    spec, now = load(spec_path), datetime.now(UTC)
    schedule = schedule_of(spec, row_times(spec.prediction_log, spec_path.parent))
    schedule.go_on_from(start)
    newest = schedule.newest_end(now)
    windows = schedule.windows(start, min(end, newest))
    if not windows:
        raise click.UsageError(
            f"no window ends between --start and --end; the newest that is due ended {newest:%FT%RZ}"
        )
    loaded = reference_store(spec, spec_path).load(version or spec.reference.alias)
    errors = console(stderr=True)
    with ExitStack() as stack:
        history, results = None, None
        if openmetrics or blocks:
            labels = {"job": spec.exporter_job, "instance": instance or exporter_addresses(spec)[0]}
            history = stack.enter_context(History(Contract(spec), labels, _waiting_room(openmetrics, blocks), every))
        if save:
            results = stack.enter_context(closing(open_results(spec.results, spec_path.parent)))
        reports = measured(spec, spec_path.parent, loaded, windows, measured_at=now, history=history, results=results)
        shown = track(
            reports, "Measuring", len(windows), console=errors, transient=True, disable=not errors.is_terminal
        )
        found: Counter[Severity | None] = Counter()
        for report in shown:
            window_line(WindowSummary.of(report), errors)
            found[report.severity] += 1
        backfill_summary(found, errors)
        until = min(windows[-1].end + schedule.longest + schedule.grace, now)
        if history and blocks:
            errors.print(f"{history.write_blocks(blocks, until):,} samples in blocks in {blocks}", markup=False)
        if history and openmetrics:
            with replacing(openmetrics) as file:
                samples = history.write(file, until)
            errors.print(f"{samples:,} samples in {openmetrics}", markup=False)


def _waiting_room(openmetrics: Path | None, blocks: Path | None) -> Path:
    """Return the folder in which samples wait on disk: next to what is made of them, which has the room."""
    if openmetrics:
        return openmetrics.absolute().parent
    assert blocks is not None
    blocks.mkdir(parents=True, exist_ok=True)
    return blocks.absolute().parent
