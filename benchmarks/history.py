"""What the past costs: a run against the windows stored, and a window of a folder that holds the files of a year."""

from __future__ import annotations

import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Table, insert, select, update

from benchmarks.data import NOON, TIME, WINDOW, reference_of, spec_of, table_of
from benchmarks.figures import Figure
from benchmarks.scaling import Curve
from mlvitals.exporters.database import TABLES, open_database
from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.runs import run_here
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.window.measure import measure_window
from mlvitals.generator.spec.model import Outcome, Spec

HOUR = timedelta(hours=1)
STORED, STORED_FULL = (500, 1_000, 2_000, 4_000), (1_000, 10_000, 20_000, 40_000, 80_000)
FILES, FILES_FULL = 576, 5_760
ROWS_OF_FILE = 200
_BLOCK = 1_000


def curves(*, full: bool) -> list[Curve]:
    """Processor time of a run, inputs drifting all the while and no outcome in, against the windows stored before it."""
    sizes = STORED_FULL if full else STORED
    return [Curve("windows stored", sizes, tuple(map(_seconds_of_run, sizes)))]


def _seconds_of_run(stored: int) -> float:
    """The second of two runs: the first goes through the windows that were put there behind the program's back."""
    spec = spec_of(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(spec.reference.store, folder, spec.system.name)
        store.promote(store.save(reference_of(spec, 10_000)), spec.reference.alias)
        (folder / "log").mkdir()
        for hour in range(3):
            pq.write_table(table_of(1, 1_000, hour, _window(hour)), folder / "log" / f"{hour}.parquet")
        with closing(open_results(spec.results, folder)) as results:
            run_here(spec, folder, store, results, WINDOW, NOON)
            _fill(spec, folder, stored)
            seconds = []
            for hour in (1, 2):
                start = process_time()
                run = run_here(spec, folder, store, results, _window(hour), _window(hour).end)
                seconds.append(process_time() - start)
                if run.error:
                    raise RuntimeError(run.error)
    return seconds[-1]


def _window(hour: int) -> Window:
    return Window(WINDOW.start + hour * HOUR, WINDOW.end + hour * HOUR)


def _fill(spec: Spec, folder: Path, count: int) -> None:
    """Copy the one window stored to as many hours before it."""
    engine = open_database(spec.results.url, None, folder)
    try:
        with engine.begin() as connection:
            connection.execute(update(TABLES.tables["drift_gaps"]).values(explains=True))
            for table in (table for name, table in TABLES.tables.items() if name.startswith("drift_")):
                _copy(connection, table, count)
    finally:
        engine.dispose()


def _copy(connection: Connection, table: Table, count: int) -> None:
    rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    for first in range(1, count + 1, _BLOCK):
        copies = [_earlier(row, hour) for hour in range(first, min(first + _BLOCK, count + 1)) for row in rows]
        if copies:
            connection.execute(insert(table), copies)


def _earlier(row: dict[str, Any], hours: int) -> dict[str, Any]:
    return row | {name: row[name] - hours * HOUR for name in ("window_start", "window_end")}


def figures(*, full: bool) -> list[Figure]:
    """A window of a flat folder, when its files are met for the first time and when their times are known."""
    count = FILES_FULL if full else FILES
    spec = _with_outcomes(spec_of(1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_flat(folder, count)
        known, seconds = KnownFiles(), []
        reference = reference_of(spec_of(1), 10_000)
        for _ in range(2):
            start = perf_counter()
            report = measure_window(spec, folder, reference, "v1", WINDOW, NOON + 3 * HOUR, known=known)
            seconds.append(perf_counter() - start)
            if not report.rows or not report.outcomes or not report.outcomes.answered:
                raise RuntimeError(f"{report.rows} rows were read: {report.problems}")
            known = KnownFiles(known.asked)
    first, again = seconds
    subject = f"a window of {count:,} + {count:,} files without date partitions, predictions and outcomes"
    target = "under 3 s; the first under 30 s" if full else ""
    return [Figure(f"{subject}: times of the files known", again, "the first window", first, target=target)]


def _with_outcomes(spec: Spec) -> Spec:
    outcome = Outcome(path="outcomes", column="clicked", timestamp="at", max_delay="1h")
    log = msgspec.structs.replace(spec.prediction_log, id="id", score="f0", outcome=outcome)
    return msgspec.structs.replace(spec, prediction_log=log)


def _write_flat(folder: Path, count: int) -> None:
    """Write an hour a file, up to the measured one, of predictions and of their outcomes minutes later."""
    for name in ("log", "outcomes"):
        (folder / name).mkdir()
    for hour in range(count):
        rows = table_of(1, ROWS_OF_FILE, seed=hour, window=_window(-hour))
        ids = pa.array(np.arange(ROWS_OF_FILE) + hour * ROWS_OF_FILE)
        pq.write_table(rows.append_column("id", ids), folder / "log" / f"{hour:05}.parquet")
        clicked = pa.array(np.arange(ROWS_OF_FILE) % 3 == 0)
        outcomes = pa.table({"id": ids, "clicked": clicked, "at": rows[TIME]})
        pq.write_table(outcomes, folder / "outcomes" / f"{hour:05}.parquet")
