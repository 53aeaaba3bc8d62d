"""The past, measured window by window, as a history that Prometheus can be given.

Each window's metrics start when the exporter would have published them: at the window's end plus the grace.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import pyarrow as pa

from mlvitals.exporters.parts import Samples, Window
from mlvitals.exporters.paths import PathError, locate
from mlvitals.exporters.publish.openmetrics import History
from mlvitals.exporters.publish.prometheus import RunState, run_gauges, samples_of_window
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.reading.files import Tree
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.scan import TEXT_FORMATS
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.events.totals import TotalsInMemory
from mlvitals.exporters.window.history import DriftHistory, first_history, judge, reference_gap
from mlvitals.exporters.window.measure import measure_windows
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Spec

WINDOWS_PER_PROCESS = 20
"""Fewer windows are not worth the start of another process."""
MOST_TOGETHER = 100
"""Windows that are measured in one pass over files of text; their counts are in memory together."""
BYTES_TOGETHER = 1 << 29
"""Bytes of text whose windows are measured in one pass: predictions and outcomes wait in memory to be joined, which takes
about as much."""


class MeasuringError(UserError):
    """The windows cannot all be measured."""


def backfill(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    windows: Sequence[Window],
    *,
    measured_at: datetime,
    history: History | None,
    results: ResultsStore | None,
) -> Iterator[WindowReport]:
    """Measure windows, oldest first, and keep each where it is wanted before yielding its report.

    Args:
        spec: the system's spec.
        base_dir: where the spec's relative paths start.
        reference: the baseline.
        windows: what to measure.
        measured_at: now, aware.
        history: collects what an exporter would have served.
        results: keeps the reports.

    Raises:
        LogError: the log as a whole cannot be read.
        DatabaseError: the results cannot be kept.
        MeasuringError: a measuring process was ended from outside.
    """
    contract = Contract(spec)
    grace = span(spec.windows.grace)
    past: DriftHistory | None = None
    totals = results or TotalsInMemory()
    for run, (measured, seconds, _) in enumerate(_measured(spec, base_dir, reference, windows, measured_at), start=1):
        if past is None:
            past = first_history(spec, measured.reference_version, reference_gap(measured))
            if results:
                past = results.history(measured.system, past, until=measured.window.end)
        report = judge(spec, measured, past, totals)
        past = past.after(report.past)
        if results:
            results.save(report, seconds=seconds)
        if history:
            moment = report.window.end + grace
            history.add(moment, _samples_at(contract, report, moment, run, seconds))
        yield report


class _Measured(NamedTuple):
    """A window's report, and how many seconds it took to measure."""

    report: WindowReport
    seconds: float
    known: KnownFiles
    """The facts known of the log's files, for the next window."""


def _measured(
    spec: Spec, base_dir: Path, reference: Reference, windows: Sequence[Window], measured_at: datetime
) -> Iterator[_Measured]:
    """Yield the reports in the order of the windows, which are measured on every core."""
    measure = partial(_measure, spec, base_dir, reference, measured_at)
    processes = min(os.cpu_count() or 1, len(windows) // WINDOWS_PER_PROCESS)
    together = _together(spec, base_dir, len(windows), max(processes, 1))
    groups = [windows[start : start + together] for start in range(0, len(windows), together)]
    known = KnownFiles()
    if processes < 2:
        for group in groups:
            for measured in measure(group, known):
                known = measured.known
                yield measured
        return
    # Arrow's threads do not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        running: deque[Future[list[_Measured]]] = deque()
        try:
            for group in groups:
                running.append(pool.submit(measure, group, known))
                if len(running) > 2 * processes:
                    for measured in running.popleft().result():
                        known = measured.known
                        yield measured
            while running:
                yield from running.popleft().result()
        except BrokenProcessPool as error:
            raise MeasuringError("a process that measured windows was ended from outside (out of memory?)") from error
        finally:
            for future in running:
                future.cancel()


def _together(spec: Spec, base_dir: Path, windows: int, processes: int) -> int:
    """Return how many windows to measure in one pass: of text, for each pass parses all of it, as many as memory allows."""
    if spec.prediction_log.format not in TEXT_FORMATS:
        return 1
    overlap = max(1.0, span(spec.window_length) / span(spec.step))
    of_window = overlap * _log_bytes(spec, base_dir) / windows
    return max(1, min(MOST_TOGETHER, -(-windows // processes), int(BYTES_TOGETHER // max(of_window, 1))))


def _log_bytes(spec: Spec, base_dir: Path) -> int:
    """Return the size of the log's files; 0 where they cannot be listed, which whoever reads them reports."""
    try:
        return sum(file.size or 0 for file in Tree(*locate(spec.prediction_log.path, base_dir)).walk())
    except (PathError, OSError, pa.ArrowException):
        return 0


def _measure(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    measured_at: datetime,
    windows: Sequence[Window],
    known: KnownFiles,
) -> list[_Measured]:
    begin = perf_counter()
    reports = measure_windows(spec, base_dir, reference, reference.version, windows, measured_at, known=known)
    seconds = (perf_counter() - begin) / len(windows)
    return [_Measured(report, seconds, KnownFiles(known.asked)) for report in reports]


def _samples_at(contract: Contract, report: WindowReport, moment: datetime, runs: int, seconds: float) -> Samples:
    """Return what an exporter that published this report at a moment, its run number `runs`, would have served.

    How fresh sources were cannot be known afterwards, and is left out.
    """
    state = RunState(runs=runs, last_run=moment, last_success=moment, duration_seconds=seconds)
    return {**samples_of_window(contract, report), **run_gauges(state)}
