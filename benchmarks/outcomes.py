"""Ten million predictions joined with outcomes from another place: time and memory of one process.

``python -m benchmarks.outcomes`` prints the figures; ``--full`` takes ten million rows, without it one million.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from benchmarks.data import NOON, TIME, spec_of
from benchmarks.figures import Figure
from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.outcomes.measure import measure_outcomes
from mlvitals.exporters.window.measure import usable_cores
from mlvitals.generator.spec.model import Outcome, PredictionLog, Spec

ROWS = 10_000_000
FILES = 10
DAY = timedelta(days=1)
MATURE = Window(NOON - 2 * DAY, NOON - DAY)
_STAMP = pa.timestamp("us", "UTC")


def figures(*, full: bool) -> list[Figure]:
    """A day of predictions with ids of 32 characters; nine in ten have an outcome, which lies in files of its own."""
    rows = ROWS if full else ROWS // 10
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), rows)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            seconds, busy, memory = pool.submit(_observed, Path(name), rows).result()
    subject = f"{rows:,} predictions joined with {9 * rows // 10:,} outcomes by id, {usable_cores()} cores"
    return [
        Figure(f"{subject}: time", seconds, "", None, target="under 60 s for 10,000,000"),
        Figure(f"{subject}: CPU time, all threads", busy, "", None),
        Figure(f"{subject}: peak memory", memory, "", None, unit="MB", target="under 1000 MB"),
    ]


def outcome_spec() -> Spec:
    """A system whose outcomes are joined from another place."""
    outcome = Outcome(column="clicked", path="outcomes", timestamp=TIME, max_delay="24h")
    log = PredictionLog(path="log", timestamp=TIME, id="id", score="score", outcome=outcome)
    return replace(spec_of(1), prediction_log=log)


def write(folder: Path, rows: int) -> None:
    """Write predictions of a day, and outcomes in another order and other files."""
    random = np.random.default_rng(0)
    begin, share = int(MATURE.start.timestamp() * 1e6), rows // FILES
    for part in ("log", "outcomes"):
        (folder / part).mkdir()
    for number in range(FILES):
        numbers = np.arange(number * share, (number + 1) * share)
        times = begin + (numbers * (86_400e6 / rows)).astype(np.int64)
        ids = pc.binary_join_element_wise(
            pa.scalar("prediction-of-the-bench"), pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0"), "-"
        )
        scores = random.random(share)
        log = pa.table({"id": ids, TIME: pa.array(times, _STAMP), "score": scores})
        pq.write_table(log, folder / "log" / f"{number}.parquet")
        answered = random.permutation(share)[: 9 * share // 10]
        outcomes = {
            "id": ids.take(pa.array(answered)),
            TIME: pa.array(times[answered] + random.integers(0, 80_000_000_000, len(answered)), _STAMP),
            "clicked": random.random(len(answered)) < scores[answered],
        }
        pq.write_table(pa.table(outcomes), folder / "outcomes" / f"{FILES - number}.parquet")


def _observed(folder: Path, rows: int) -> tuple[float, float, float]:
    start, busy = perf_counter(), process_time()
    report = measure_outcomes(outcome_spec(), folder, None, Window(NOON - DAY, NOON), NOON)
    seconds, busy = perf_counter() - start, process_time() - busy
    if (report.predictions, report.answered) != (rows, 9 * rows // 10):
        raise RuntimeError(f"{report.answered} of {report.predictions} predictions answered")
    return seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{ROWS:,} predictions")
    for figure in figures(full=parser.parse_args().full):
        print(f"{figure.subject}: {figure.ours:.3g} {figure.unit} ({figure.target})")
