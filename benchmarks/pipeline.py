"""A window from Parquet on disk to results stored, in the exporter's own process for runs: time and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from benchmarks.data import FEATURES, NOON, ROWS, WINDOW, reference_of, spec_of, write_log
from benchmarks.figures import Figure
from mlvitals.exporters.process.runs import Run, RunsApart
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.window.measure import usable_cores
from mlvitals.generator.spec.model import Spec

READ = "import pyarrow.dataset as ds, sys; table = ds.dataset(sys.argv[1]).to_table()"
"""The floor: a process that reads the same files at once and computes nothing."""


def figures(*, full: bool) -> list[Figure]:
    """Ours beside only reading the files, for a window and for one of ten times the rows."""
    rows = ROWS if full else ROWS // 4
    small, large = (_figures(rows, files) for files in (1, 10))
    growth = Figure(
        f"peak memory of 10 x the rows ({10 * rows:,})",
        large[1].ours,
        f"of {rows:,} rows",
        small[1].ours,
        unit="MB",
        target="about 1",
    )
    return [*small, *large, growth]


def _figures(rows: int, files: int) -> list[Figure]:
    spec = spec_of(FEATURES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(spec.reference.store, folder, spec.system.name)
        store.promote(store.save(reference_of(spec)), spec.reference.alias)
        write_log(folder, files, rows)
        read = partial(subprocess.run, [sys.executable, "-c", READ, folder / "log"], check=True)
        floor_seconds, floor_memory = _apart(read)
        seconds, memory = _apart(partial(_run, spec, folder))
    subject = f"{FEATURES} features x {files * rows:,} rows, Parquet to results stored, {usable_cores()} cores"
    other = "reading the files into memory (pyarrow)"
    small = files == 1
    return [
        Figure(
            f"{subject}: time", seconds, other, floor_seconds, target="under 3 s for 1,000,000 rows" if small else ""
        ),
        Figure(f"{subject}: peak memory", memory, other, floor_memory, unit="MB", target="under 400 MB"),
    ]


def _run(spec: Spec, folder: Path) -> Run:
    """One run as the exporter's, and the start of its process, for which the exporter does not wait."""
    with closing(RunsApart(spec, folder)) as runner:
        return runner(WINDOW, NOON)


def _apart(start_process: Callable[[], object]) -> tuple[float, float]:
    """Seconds that a task takes which starts one process, and that process's peak memory in MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_observed, start_process).result()


def _observed(start_process: Callable[[], object]) -> tuple[float, float]:
    start = perf_counter()
    outcome = start_process()
    seconds = perf_counter() - start
    if error := getattr(outcome, "error", ""):
        raise RuntimeError(error)
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
