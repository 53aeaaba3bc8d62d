"""What the drift tests share: short ways from raw values to cells, counts and reports."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.features.drift import WindowCounts
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.statistics.cells import Cells, make_cells
from mlvitals.exporters.statistics.profile import ColumnProblem, FeatureProfile, profile_column
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import report_on
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import FeatureType, Spec

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
WINDOW = Window(datetime(2026, 3, 3, 11, tzinfo=UTC), NOON)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def column(values: Any) -> Any:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)


def cells_of(
    values: Any, kind: FeatureType = FeatureType.FLOAT, bins: int = 10, knots: int = 1000, **rest: Any
) -> Cells:
    return make_cells(column(values), kind, bins=bins, knots=knots, **rest)


def counted(values: Any, cells: Cells) -> np.ndarray:
    return profile_column(column(values), cells).counts


def folded(values: Any, cells: Cells) -> np.ndarray:
    return cells.fold(counted(values, cells))


def spec_of(features: Mapping[str, Any], **sections: Any) -> Spec:
    log = {"path": "log", **sections.pop("prediction_log", {})}
    return msgspec.convert(
        {"version": 1, "system": {"name": "shop"}, "prediction_log": log, "features": dict(features), **sections}, Spec
    )


def reference_of(spec: Spec, columns: Mapping[str, Any]) -> Reference:
    return build_reference(
        spec, {name: column(values) for name, values in columns.items()}, created=NOON, source_hash="data"
    )


def outcome(values: Any, cells: Cells, at: Any = None) -> FeatureProfile | ColumnProblem:
    try:
        return profile_column(column(values), cells, at)
    except ColumnTypeError as error:
        return ColumnProblem(Status.TYPE_MISMATCH, str(error))


def compared(spec: Spec, reference: Reference, columns: Mapping[str, Any]) -> WindowReport:
    score = spec.prediction_log.score
    counted = WindowCounts(
        window=WINDOW,
        profiles={
            name: outcome(columns[name], known.cells) for name, known in reference.features.items() if name in columns
        },
        score=outcome(columns[score], reference.score.cells) if score in columns and reference.score else None,
    )
    rows = max((len(values) for values in columns.values()), default=0)
    return report_on(spec, reference, "v1", counted, rows=rows, measured_at=NOON)


def report_of(before: Any, now: Any, kind: FeatureType = FeatureType.FLOAT, **feature: Any) -> FeatureReport:
    """The report of one feature whose reference and window hold the given values."""
    spec = spec_of({"x": {"type": kind, **feature}})
    return compared(spec, reference_of(spec, {"x": before}), {"x": now}).features["x"]
