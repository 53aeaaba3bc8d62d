"""Systems with outcomes, and logs of them, that the tests of outcomes share."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.outcomes.measure import measure_outcomes
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.generator.spec.model import Feature, Outcome, PredictionLog, Spec, System

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MATURE = Window(NOON - 2 * HOUR, NOON - HOUR)
"""The predictions that the window of the hour before noon speaks of, where outcomes may take an hour."""
STAMP = pa.timestamp("us", "UTC")


def spec_with(outcome: Outcome, **log: Any) -> Spec:
    """A system with these outcomes."""
    named = {"path": "log", "id": "id", "score": "score", "outcome": outcome} | log
    return Spec(version=1, system=System(name="shop"), prediction_log=PredictionLog(**named), features={"x": Feature()})


def apart(**changes: Any) -> Spec:
    """A system whose clicks are in files of their own."""
    given = {"column": "clicked", "path": "clicks", "timestamp": "seen", "max_delay": "1h"} | changes
    return spec_with(Outcome(**given))


def together(**changes: Any) -> Spec:
    """A system whose clicks stand in the log."""
    return spec_with(Outcome(**{"column": "clicked", "timestamp": "seen", "max_delay": "1h"} | changes))


def write(folder: Path, name: str, **columns: Any) -> None:
    """Write a file; lists of times become timestamps."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        key: pa.array(values, STAMP) if key in {"timestamp", "seen"} else values for key, values in columns.items()
    }
    pq.write_table(pa.table(arrays), path)


def minutes(*numbers: float) -> list[datetime]:
    """Moments so many minutes after the mature window's begin."""
    return [MATURE.start + number * MINUTE for number in numbers]


def predictions(folder: Path, count: int = 4, name: str = "log/a.parquet", **columns: Any) -> None:
    """Write predictions p0, p1, ... a minute apart."""
    write(
        folder,
        name,
        **{
            "id": [f"p{number}" for number in range(count)],
            "timestamp": minutes(*range(count)),
            "score": np.linspace(0.2, 0.8, count),
        }
        | columns,
    )


def measured(spec: Spec, folder: Path, reference: Any = None, now: datetime = NOON) -> OutcomeReport:
    """What the window of the hour before noon says of outcomes."""
    return measure_outcomes(spec, folder, reference, Window(NOON - HOUR, NOON), now)
