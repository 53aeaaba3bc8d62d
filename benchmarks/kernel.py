"""Everything the exporter computes of a window in memory, beside numpy.sort of the same columns on the same cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import process_time

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from benchmarks.data import FEATURES, NOON, ROWS, WINDOW, columns_of, reference_of, spec_of
from benchmarks.figures import ROUNDS, Figure, best_of, one_core
from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.features.drift import WindowCounts
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.exporters.window.measure import report_on, usable_cores
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Spec


def measure(spec: Spec, reference: Reference, columns: Mapping[str, Column], pool: ThreadPoolExecutor) -> WindowReport:
    """PSI, KS, JS and the quality metrics of all columns: what `measure_window` does once they are read."""
    profiles = pool.map(lambda name: profile_column(columns[name], reference.features[name].cells), columns)
    counted = WindowCounts(window=WINDOW, profiles=dict(zip(columns, profiles, strict=True)))
    rows = len(next(iter(columns.values())))
    return report_on(spec, reference, "bench", counted, rows=rows, measured_at=NOON)


def kernel(features: int, rows: int, knots: int | None = None) -> Callable[[ThreadPoolExecutor], WindowReport]:
    """The task of measuring a window of a size, its reference already built."""
    spec = spec_of(features)
    if knots is not None:
        spec = replace(spec, reference=replace(spec.reference, knots=knots))
    reference = reference_of(spec)
    columns = {name: pa.array(values) for name, values in columns_of(features, rows, seed=2).items()}
    return lambda pool: measure(spec, reference, columns, pool)


def seconds_alone_and_together(rows: int) -> tuple[float, float]:
    """How long a window of the usual features takes, for the peers: on one core, and on all as the exporter runs."""
    task = kernel(FEATURES, rows)
    with one_core(), ThreadPoolExecutor(1) as pool:
        (alone,) = best_of(ROUNDS, lambda: task(pool), clock=process_time)
    with ThreadPoolExecutor(usable_cores()) as pool:
        (together,) = best_of(ROUNDS, lambda: task(pool))
    return alone, together


def figures(*, full: bool) -> list[Figure]:
    """Ours beside numpy.sort, on one core and on all."""
    rows = ROWS if full else ROWS // 4
    task = kernel(FEATURES, rows)
    values = list(columns_of(FEATURES, rows, seed=2).values())
    cores = usable_cores()
    with one_core(), ThreadPoolExecutor(1) as pool:
        alone = best_of(ROUNDS, lambda: task(pool), lambda: [np.sort(column) for column in values], clock=process_time)
    with ThreadPoolExecutor(cores) as pool:
        together = best_of(ROUNDS, lambda: task(pool), lambda: list(pool.map(np.sort, values)))
    subject = f"{FEATURES} features x {rows:,} rows in memory: PSI, KS, JS, quality metrics"
    return [
        Figure(f"{subject}, one core", alone[0], "numpy.sort, one core", alone[1], target="at most 1.5"),
        Figure(
            f"{subject}, {cores} cores", together[0], f"numpy.sort, {cores} cores", together[1], target="at most 1.5"
        ),
    ]
