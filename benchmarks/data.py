"""The data of the benchmarks: normal columns of float64, a spec of them, and a reference of the spec."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.model import Feature, PredictionLog, Spec, System, Windows

FEATURES, ROWS = 30, 1_000_000
TIME = "timestamp"
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
WINDOW = Window(NOON - timedelta(hours=1), NOON)
REFERENCE_ROWS = 100_000


def spec_of(features: int) -> Spec:
    """A system of float features f0, f1, ..."""
    return Spec(
        version=1,
        system=System(name="bench"),
        prediction_log=PredictionLog(path="log", timestamp=TIME),
        features={f"f{index}": Feature() for index in range(features)},
        windows=Windows(grace="0s"),
    )


def columns_of(features: int, rows: int, seed: int) -> dict[str, np.ndarray]:
    """Values of the features, each with a mean and spread of its own."""
    random = np.random.default_rng(seed)
    return {f"f{index}": random.normal(index, 1 + index, rows) for index in range(features)}


def reference_of(spec: Spec, rows: int = REFERENCE_ROWS) -> Reference:
    """What is normal for a spec of `spec_of`."""
    return build_reference(spec, table_of(len(spec.features), rows, seed=1), created=NOON, source_hash="")


def reference_of_copies(spec: Spec) -> Reference:
    """The same for many features, all with the cells of the first: making them would take most of the time."""
    one = reference_of(spec_of(1), 10_000)
    return msgspec.structs.replace(one, features=dict.fromkeys(spec.features, one.features["f0"]))


def table_of(features: int, rows: int, seed: int, window: Window = WINDOW) -> pa.Table:
    """Rows of a log, evenly spread over a window."""
    begin, length = window.start.timestamp() * 1e6, (window.end - window.start) / timedelta(microseconds=1)
    times = (begin + np.arange(rows) * (length / rows)).astype(np.int64)
    return pa.table({TIME: pa.array(times, pa.timestamp("us", "UTC")), **columns_of(features, rows, seed)})


def write_log(folder: Path, files: int, rows: int, features: int = FEATURES) -> list[Path]:
    """Write files of a log, one at a time."""
    (folder / "log").mkdir(parents=True, exist_ok=True)
    paths = [folder / "log" / f"{number}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        pq.write_table(table_of(features, rows, seed=2 + number), path)
    return paths
