"""Changes from one reference to another: distributions on the old one's cells, cells, types, rows and span.

References keep counts, not rows. Categories carry over exactly. Of a number, what lies between two knots of the new
reference is spread evenly between them, so that shares, and with them D, are exact to about 1/knots; frequent values
have knots of their own and carry over exactly.
"""

from datetime import datetime
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.reference.artifact import FeatureReference, Reference
from mlvitals.exporters.statistics.cells import CategoricalCells, Cells, NumericCells
from mlvitals.exporters.statistics.distances import Distances, Sides, statistics_of
from mlvitals.exporters.statistics.judging import MINIMUM_VALUES
from mlvitals.generator.spec.model import Condition, FeatureType


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic between two references, and the value that noise alone exceeds once in 1000 times."""

    value: float
    critical_value: float


class FeatureDiff(Distances[Change], frozen=True, kw_only=True):
    """The differences of a feature; statistics are None where the types differ or a side has too few values."""

    status: Literal["compared", "new", "removed", "type_changed", "insufficient_data"]
    old_type: FeatureType | None = None
    new_type: FeatureType | None = None
    old_null_rate: float | None = None
    new_null_rate: float | None = None
    cells: int = 0
    """Cells of the new reference, or of the old one where the feature was removed."""
    cells_removed: tuple[str, ...] = ()
    """Labels of cells that only the old reference has."""
    cells_added: tuple[str, ...] = ()
    """Labels of cells that only the new reference has."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that one of the two references gives about itself."""

    version: str
    created: datetime
    rows: int
    span: Window | None
    condition: Condition
    model_version: str | None


class ReferenceDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two references of a system."""

    schema: Literal["mlvitals.reference-diff/1"] = "mlvitals.reference-diff/1"
    system: str
    old: Facts
    new: Facts
    features: dict[str, FeatureDiff]
    score: FeatureDiff | None = None


def diff_references(old: Reference, new: Reference) -> ReferenceDiff:
    """Compare two references of a system over all their rows, whatever they are conditioned on."""
    return ReferenceDiff(
        system=new.system,
        old=_facts(old),
        new=_facts(new),
        features={
            name: _feature_diff(old.features.get(name), new.features.get(name))
            for name in dict.fromkeys((*old.features, *new.features))
        },
        score=_feature_diff(old.score, new.score) if old.score or new.score else None,
    )


def _facts(reference: Reference) -> Facts:
    return Facts(
        version=reference.version,
        created=reference.created,
        rows=reference.rows,
        span=reference.span,
        condition=reference.condition,
        model_version=reference.model_version,
    )


def _feature_diff(old: FeatureReference | None, new: FeatureReference | None) -> FeatureDiff:
    known = _described(old, new)
    if old is None or new is None or old.type is not new.type:
        return known
    before, now = old.total, carried_over(new, old.cells)
    sizes = int(before.sum()), int(now.sum())
    if min(sizes) < MINIMUM_VALUES:
        return msgspec.structs.replace(known, status="insufficient_data")
    sides = Sides(old.cells, before, now, old.summary.std)
    changes = {name: Change(**found._asdict()) for name, found in statistics_of(sides).items()}
    return msgspec.structs.replace(known, status="compared", **changes)


def _described(old: FeatureReference | None, new: FeatureReference | None) -> FeatureDiff:
    """Return what is known without comparing distributions."""
    before, now = (() if side is None else side.cells.labels for side in (old, new))
    return FeatureDiff(
        status="new" if old is None else "removed" if new is None else "type_changed",
        old_type=None if old is None else old.type,
        new_type=None if new is None else new.type,
        old_null_rate=_null_rate(old),
        new_null_rate=_null_rate(new),
        cells=len(now or before),
        cells_removed=tuple(label for label in before if label not in now),
        cells_added=tuple(label for label in now if label not in before),
    )


def _null_rate(feature: FeatureReference | None) -> float | None:
    if feature is None:
        return None
    missing = feature.nulls + feature.nans
    rows = missing + int(feature.total.sum())
    return missing / rows if rows else None


def carried_over(feature: FeatureReference, cells: Cells) -> Counts:
    """Return a reference's counts on the fine intervals or levels of another's cells of the same type."""
    if isinstance(cells, NumericCells) and isinstance(feature.cells, NumericCells):
        return _numbers_carried_over(feature.total, feature.cells, cells)
    if isinstance(cells, CategoricalCells) and isinstance(feature.cells, CategoricalCells):
        places = {level: place for place, level in enumerate(cells.level_set.to_pylist())}
        counts = np.zeros(cells.size, np.int64)
        targets = [places.get(level, len(cells.levels)) for level in feature.cells.level_set.to_pylist()]
        np.add.at(counts, [*targets, len(cells.levels)], feature.total)
        return counts
    raise ValueError("the two features are not of one kind")


def _numbers_carried_over(counts: Counts, source: NumericCells, target: NumericCells) -> Counts:
    knots = np.array(source.edges, np.float64)
    running = np.cumsum(counts)
    if not knots.size:
        return np.array([*[0] * (target.size - 1), counts.sum()], np.int64)
    at_edges = np.interp(_edges_seen_by(source, target), knots, running[:-1], left=0.0)
    ranks = np.rint(at_edges).astype(np.int64)
    return np.diff(ranks, prepend=0, append=running[-1])


def _edges_seen_by(source: NumericCells, target: NumericCells) -> NDArray[np.float64]:
    """Return the target's edges among the source's values; a float32 side rounds both, see `NumericCells.edges_for`."""
    edges = target.edges_for(np.float32 if source.single else np.float64)
    if target.single and not source.single:
        # A float64 value rounds to at most the edge up to half way to the next float32.
        following = np.nextafter(edges, np.float32(np.inf)).astype(np.float64)
        return (edges.astype(np.float64) + following) / 2
    return edges.astype(np.float64)
