"""Builds a reference from training data: cells, counts, moments and quantiles of every feature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from math import ceil, isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.columns import Column, ColumnTypeError, epoch_microseconds, sorted_numbers
from mlvitals.exporters.reading.ids import hash_ids
from mlvitals.exporters.reference.artifact import FeatureReference, Reference, SegmentReference, Summary
from mlvitals.exporters.reference.conditions import _EPOCH, hour_key
from mlvitals.exporters.sections.outcomes.columns import probability_columns, scores_of
from mlvitals.exporters.sections.outcomes.reference import outcome_reference
from mlvitals.exporters.sections.segments.count import NO_CELLS
from mlvitals.exporters.sections.segments.reference import errors_by_segment, segment_references
from mlvitals.exporters.statistics.cells import CategoricalCells, Cells, NumericCells, count_levels, make_cells
from mlvitals.exporters.statistics.dependence import group_effect
from mlvitals.exporters.statistics.moments import Moments
from mlvitals.exporters.statistics.placeholders import written
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Condition, Feature, FeatureType, PredictionLog, Spec

QUANTILES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
ALL_ROWS = "all"
"""The condition key of a reference that is not conditioned."""


class ReferenceDataError(UserError):
    """The training data cannot serve as a reference; the message names every problem."""


def hash_streams(streams: Iterable[Any]) -> str:
    """Return SHA-256 over the bytes of open binary files, Arrow's too, in order: the `source_hash` of training data.

    Closes them.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for stream in streams:
        with stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def build_reference(
    spec: Spec,
    data: pa.Table | Mapping[str, Column],
    *,
    created: datetime,
    source_hash: str,
    model_version: str | None = None,
) -> Reference:
    """Make the reference of a system from its training data.

    Args:
        spec: the system's spec.
        data: the training data by column name. A mapping may read each column when it is asked for.
        created: now, aware.
        source_hash: identifies the data, as `hash_streams` does.
        model_version: the version of the model that the data trained.

    Raises:
        ReferenceDataError: columns are missing, of another type or without rows; all problems are named.
    """
    if created.tzinfo is None:
        raise ValueError("created must carry a time zone")
    columns = dict(zip(data.column_names, data.columns, strict=True)) if isinstance(data, pa.Table) else data
    rows = _Rows.of(spec, columns)
    log = spec.prediction_log
    groups = hash_ids(columns[log.group], 0) if log.group is not None and log.group in columns else None
    problems: list[str] = []

    def measured(label: str, name: str, feature: Feature, bins: int) -> FeatureReference | None:
        if name not in columns:
            problems.append(f"{label}: the training data has no column {name!r}")
            return None
        return counted(label, name, columns[name], feature, bins)

    def counted(label: str, name: str, column: Column, feature: Feature, bins: int) -> FeatureReference | None:
        if len(column) != rows.count:
            problems.append(f"{label}: column {name!r} has {len(column)} rows, others have {rows.count}")
            return None
        try:
            found = _feature_reference(column, feature, bins, spec.reference.knots, rows)
            return found if groups is None else replace(found, group_effect=group_effect(column, groups))
        except ColumnTypeError as error:
            problems.append(f"{label}: column {name!r} {error if label.startswith('feature') else error.finding}")
            return None

    features = {
        name: measured(f"feature {name}", spec.column(name), feature, feature.bins or spec.reference.bins)
        for name, feature in spec.features.items()
    }
    score, outcome = spec.prediction_log.score or "the predicted class", None
    scores: Column | None = None
    try:
        scores = scores_of(spec, columns, rows.count)
        outcome = outcome_reference(spec.prediction_log, columns, rows.times, span(spec.mean_length))
    except ColumnTypeError as error:
        problems.append(f"prediction_log.outcome: a column of the training data {error.finding}")
    of_scores = Feature(type=spec.score_type or FeatureType.FLOAT)
    score_reference = None if scores is None else counted("score", score, scores, of_scores, spec.reference.score_bins)
    found_probabilities = {
        name: counted(f"probability of {name}", column, columns[column], Feature(), spec.reference.score_bins)
        for name, column in probability_columns(spec).items()
        if column in columns
    }
    segments = {}
    for name in spec.prediction_log.segments:
        if name in columns and (score_reference is not None or outcome is not None):
            cells = score_reference.cells if score_reference else NO_CELLS
            try:
                segments[name] = _segments(spec.prediction_log, columns, name, (scores, cells), rows)
            except ColumnTypeError as error:
                problems.append(f"segment {name}: a column of the training data {error.finding}")
    if problems:
        raise ReferenceDataError("no reference was built:\n" + "\n".join(f"  {problem}" for problem in problems))
    return Reference(
        system=spec.system.name,
        created=created.astimezone(UTC),
        source_hash=source_hash,
        rows=rows.count,
        span=rows.span,
        condition=spec.reference.condition,
        features={name: built for name, built in features.items() if built is not None},
        score=score_reference,
        probabilities={name: built for name, built in found_probabilities.items() if built is not None},
        columns=tuple(sorted(columns)),
        model_version=model_version,
        outcome=outcome,
        segments=segments,
    )


def _segments(
    log: PredictionLog, columns: Mapping[str, Column], name: str, scored: tuple[Column | None, Cells], rows: _Rows
) -> dict[str, SegmentReference]:
    known, cells = scored
    ordered, scores = rows.ordered(columns[name]), rows.ordered(pa.nulls(rows.count) if known is None else known)
    pieces = {key: (_cut(ordered, group), _cut(scores, group)) for key, group in rows.groups.items()}
    return segment_references(pieces, cells, errors_by_segment(log, columns, name), log.max_segments)


@dataclass(frozen=True)
class _Rows:
    """The rows of the training data: when each was, and which belong to each condition key."""

    count: int
    times: Column | None
    span: Window | None
    order: NDArray[np.intp] | None
    """Rows in the order of their condition keys; None where there is one key only."""
    groups: dict[str, slice]

    @classmethod
    def of(cls, spec: Spec, columns: Mapping[str, Column]) -> _Rows:
        """Find the rows' times and keys.

        Raises:
            ReferenceDataError: there are no rows, or times are needed and missing.
        """
        condition = spec.reference.condition
        column = spec.reference.timestamp or spec.prediction_log.timestamp
        times = columns.get(column)
        timed = [name for name, feature in spec.features.items() if feature.type is FeatureType.TIMESTAMP]
        if times is None and (condition is not Condition.NONE or timed):
            needed = f"reference.condition {condition}" if condition is not Condition.NONE else f"feature {timed[0]}"
            raise ReferenceDataError(
                f"the training data has no time column {column!r}, which {needed} needs: set reference.timestamp"
            )
        count = _row_count(spec, columns, times)
        if times is None:
            return cls(count, None, None, None, {ALL_ROWS: slice(0, count)})
        try:
            moments = epoch_microseconds(times)
        except ColumnTypeError as error:
            raise ReferenceDataError(f"time column {column!r}: {error}") from None
        span = _span(moments)
        if condition is Condition.NONE:
            return cls(count, times, span, None, {ALL_ROWS: slice(0, count)})
        if moments.null_count:
            raise ReferenceDataError(
                f"{moments.null_count} rows have no time in column {column!r}, which reference.condition needs: drop them"
            )
        keys = hour_key(condition, moments.to_numpy() // 1_000_000)
        order = np.argsort(keys, kind="stable")
        present, starts = np.unique(keys[order], return_index=True)
        bounds = pairwise([*starts.tolist(), count])
        groups = {str(key): slice(*bound) for key, bound in zip(present.tolist(), bounds, strict=True)}
        return cls(count, times, span, order, groups)

    def ordered(self, column: Column) -> Column:
        """Return a column in the order in which `groups` cuts it."""
        return column if self.order is None else column.take(pa.array(self.order, pa.int64()))


def _row_count(spec: Spec, columns: Mapping[str, Column], times: Column | None) -> int:
    """Return the length of the first column that is there: a column may have to be read for it."""
    known = (columns[name] for name in map(spec.column, spec.features) if name in columns)
    count = len(next(known, ())) if times is None else len(times)
    if count == 0:
        raise ReferenceDataError("the training data has no rows of this spec's features")
    return count


def _span(moments: pa.ChunkedArray[Any]) -> Window | None:
    extremes: Any = pc.min_max(moments)
    first, last = extremes["min"].as_py(), extremes["max"].as_py()
    if first is None:
        return None
    try:
        return Window(_EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last + 1))
    except OverflowError:
        raise ReferenceDataError("the time column holds times outside the years 1 to 9999") from None


def _feature_reference(column: Column, feature: Feature, bins: int, knots: int, rows: _Rows) -> FeatureReference:
    cells = make_cells(
        column, feature.type, bins=bins, knots=knots, minimum=feature.minimum, maximum=feature.maximum, at=rows.times
    )
    ordered = rows.ordered(column)
    times = rows.ordered(rows.times) if rows.times is not None and feature.type is FeatureType.TIMESTAMP else None
    profiles = {
        key: profile_column(_cut(ordered, group), cells, None if times is None else _cut(times, group))
        for key, group in rows.groups.items()
    }
    whole = reduce(FeatureProfile.merge, profiles.values())
    return FeatureReference(
        cells=cells,
        counts={key: tuple(profile.counts.tolist()) for key, profile in profiles.items()},
        nulls=whole.nulls,
        nans=whole.nans,
        infinities=whole.infinities,
        summary=_summary(column, cells, rows.times),
        moments=_moments(ordered, cells, times, rows.groups),
    )


def _moments(column: Column, cells: Cells, times: Column | None, groups: Mapping[str, slice]) -> dict[str, Moments]:
    """Return the moments by condition key, of values sorted as a whole: the same bits for any split into files."""
    if isinstance(cells, CategoricalCells):
        return {}
    moments = {
        key: Moments.of(_finite(_cut(column, group), cells, None if times is None else _cut(times, group)))
        for key, group in groups.items()
    }
    return moments if all(part.is_finite for part in moments.values()) else {}


def _finite(column: Column, cells: NumericCells, times: Column | None) -> NDArray[np.float64]:
    """Return the finite values in ascending order; zero has no sign."""
    values = sorted_numbers(column, cells.type, times, cells.fixed).astype(np.float64)
    return values[np.isfinite(values)] + 0.0


def placeholders_in(reference: Reference) -> Iterator[str]:
    """Yield a remark on each date of a feature that is counted as a placeholder."""
    for name, feature in reference.features.items():
        cells = feature.cells
        if not isinstance(cells, NumericCells):
            continue
        for date, age in cells.fixed:
            counts = np.sum([np.array(of_key) for of_key in feature.counts.values()], axis=0)
            share = counts[np.searchsorted(cells.edges, age)] / counts.sum()
            yield f"feature {name}: {placeholder(share, date)}"


def placeholder(share: float, date: int) -> str:
    """Return what is said of a date that is counted as a placeholder."""
    return f"{share:.1%} are {written(date)}, a placeholder: counted in a cell of its own, whatever its age"


def _cut(column: Column, rows: slice) -> Column:
    return column.slice(rows.start, rows.stop - rows.start)


def _summary(column: Column, cells: Cells, times: Column | None) -> Summary:
    if isinstance(cells, CategoricalCells):
        return Summary(distinct=len(count_levels(column)))
    finite = _finite(column, cells, times)
    if not finite.size:
        return Summary(distinct=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(finite.mean()), float(finite.std())
    quantiles = {f"{share * 100:g}": float(finite[ceil(share * finite.size) - 1]) for share in QUANTILES}
    return Summary(
        distinct=1 + int(np.count_nonzero(np.diff(finite))),
        mean=mean if isfinite(mean) else None,
        std=std if isfinite(std) else None,
        median=quantiles["50"],
        minimum=float(finite[0]),
        maximum=float(finite[-1]),
        quantiles=quantiles,
    )
