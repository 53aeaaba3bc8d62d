"""The reference artifact: what normal is, as cells and counts made from the data that trained the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from itertools import pairwise
from math import ceil, isfinite
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from exporters.cells import CategoricalCells, Cells, count_levels, make_cells
from exporters.columns import Column, ColumnTypeError, Counts, epoch_microseconds, sorted_numbers
from exporters.moments import NO_MOMENTS, Moments
from exporters.outcome_reference import OutcomeReference, outcome_reference
from exporters.profile import FeatureProfile, profile_column
from exporters.report import Window
from exporters.segment_reference import SegmentReference, errors_by_segment, segment_references
from generator.errors import UserError
from generator.spec.model import Condition, Feature, FeatureType, PredictionLog, Spec

REFERENCE_SCHEMA = "mlvitals.reference/1"
"""Name and version of the artifact's form; a change that breaks a reader raises the number."""
QUANTILES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
ALL_ROWS = "all"
"""The condition key of a reference that is not conditioned."""


class ReferenceDataError(UserError):
    """The training data cannot serve as a reference; the message names every problem."""


class ArtifactError(UserError):
    """A stored reference cannot be used; the message says which, why and what to do."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a feature's finite values, for people; each None where it is undefined.

    Quantiles, the median among them, are values that occur: the smallest with at least that share below or at it.
    """

    distinct: int
    mean: float | None = None
    std: float | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quantiles: dict[str, float] = {}
    """By percent: "1", "5", "25", "50", "75", "95", "99"."""


class FeatureReference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What is normal for one feature."""

    cells: Cells
    counts: dict[str, tuple[int, ...]]
    """By condition key, the counts per fine interval or level."""
    nulls: int
    nans: int
    infinities: int
    summary: Summary
    moments: dict[str, Moments] = {}
    """By condition key, of the finite values; empty where a sum overflows."""

    @property
    def type(self) -> FeatureType:
        """The feature's type when the reference was built."""
        return self.cells.type

    @cached_property
    def total(self) -> Counts:
        """Counts over all rows."""
        return sum(self._by_key.values(), start=np.zeros(self.cells.size, np.int64))

    def weighted(self, weights: Mapping[str, float]) -> Counts:
        """Counts over the rows of some condition keys, each row weighing as its key does; keys without rows add none.

        Rows that weigh differently say less than as many equal ones. The counts are scaled to sum to the effective
        sample size (Kish 1965, (sum of w)^2 / sum of w^2 over the rows), so that critical values hold for them.

        Args:
            weights: by condition key, at most 1. Where all are 1, the result is the plain sum.
        """
        return weighted_counts(self._by_key, weights, self.cells.size)

    @cached_property
    def _by_key(self) -> dict[str, Counts]:
        return {key: np.array(counts, np.int64) for key, counts in self.counts.items()}

    def moments_of(self, keys: Iterable[str]) -> Moments:
        """Moments over the rows of some condition keys."""
        return reduce(Moments.merge, (self.moments[key] for key in keys if key in self.moments), NO_MOMENTS)


def weighted_counts(by_key: Mapping[str, Counts], weights: Mapping[str, float], size: int) -> Counts:
    """Counts by condition key as one, see `FeatureReference.weighted`."""
    present = [(by_key[key], weight) for key, weight in weights.items() if key in by_key]
    mixed = sum((weight * counts for counts, weight in present), start=np.zeros(size))
    squares = sum(weight**2 * int(counts.sum()) for counts, weight in present)
    if not squares:
        return np.zeros(size, np.int64)
    # Running sums are rounded, not counts: many small counts would all lose, or all win, the same half.
    running = np.rint(np.cumsum(mixed) * (mixed.sum() / squares))
    counts: Counts = np.diff(running, prepend=0.0).astype(np.int64)
    return counts


class Reference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What is normal for a system. Its version is the hash of its JSON form."""

    schema: Literal["mlvitals.reference/1"] = "mlvitals.reference/1"
    system: str
    created: datetime
    source_hash: str
    """Identifies the training data."""
    rows: int
    span: Window | None
    """The time the training data covers, its last moment included; None where it has no time column."""
    condition: Condition
    features: dict[str, FeatureReference]
    score: FeatureReference | None = None
    columns: tuple[str, ...] = ()
    """Every column of the training data, measured or not."""
    model_version: str | None = None
    """The version of the model that the training data trained, as whoever built the reference calls it."""
    outcome: OutcomeReference | None = None
    """The outcomes of the training data, where they hold them."""
    segments: dict[str, dict[str, SegmentReference]] = {}
    """By segment column, what is normal for its largest values and for the rest."""

    def counts_for(self, feature: FeatureReference, window: Window) -> Counts:
        """What a window is compared with: the reference in the window's mix of hours or days, see `condition_weights`.

        All zero where the window covers an hour or day that the training data do not.
        """
        if self.condition is Condition.NONE or self.span is None:
            return feature.total
        return feature.weighted(condition_weights(self.condition, window, self.span))

    def segment_counts_for(self, segment: SegmentReference, window: Window, cells: int) -> Counts:
        """As `counts_for`, of the scores of one segment and per cell."""
        by_key = {key: np.array(counts, np.int64) for key, counts in segment.scores.items()}
        if self.condition is Condition.NONE or self.span is None:
            return weighted_counts(by_key, dict.fromkeys(by_key, 1.0), cells)
        return weighted_counts(by_key, condition_weights(self.condition, window, self.span), cells)

    def moments_for(self, feature: FeatureReference, window: Window) -> Moments:
        """The moments of the values in the hours or days that the window covers, each row weighing the same."""
        if self.condition is Condition.NONE or self.span is None:
            return feature.moments_of(feature.moments)
        return feature.moments_of(condition_weights(self.condition, window, self.span))

    def to_json(self) -> bytes:
        """The artifact. Floats are written so that they read back bit by bit."""
        return msgspec.json.encode(self)

    @cached_property
    def version(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the JSON form, as it was written where it was read."""
        return version_of(self.to_json())

    @classmethod
    def from_json(cls, text: bytes) -> Reference:
        """Read an artifact back.

        Raises:
            ArtifactError: the text is not a reference, or one of another schema version.
        """
        try:
            schema = msgspec.json.decode(text, type=_Header).schema
            if schema != REFERENCE_SCHEMA:
                raise ArtifactError(
                    f"the reference has the form {schema!r}, this mlvitals reads {REFERENCE_SCHEMA!r}: "
                    "build it again with `mlvitals reference build`"
                )
            reference = msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise ArtifactError(
                f"the reference is damaged ({error}): build it again with `mlvitals reference build`"
            ) from None
        # A field that came later would be written too: what was read keeps the version under which it is stored.
        reference.__dict__["version"] = version_of(text)
        return reference


class _Header(msgspec.Struct):
    schema: str


def version_of(artifact: bytes) -> str:
    """The version that an artifact's bytes have."""
    return hashlib.sha256(artifact).hexdigest()[:16]


def hash_streams(streams: Iterable[Any]) -> str:
    """SHA-256 over the bytes of open binary files, Arrow's too, in order: the `source_hash` of training data.

    Closes them.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for stream in streams:
        with stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


# ---------------------------------------------------------------- conditions


def condition_weights(condition: Condition, window: Window, span: Window) -> dict[str, float]:
    """How much a row of each condition key weighs in what a window is compared with; the largest weight is 1.

    A row weighs by the time for which the window covers its key, over the hours for which the training data do.
    Twice covered weighs twice, half covered half; and what the training data cover more often than other hours is
    not expected more often for it. A window that covers all keys alike, such as 24 h of any alignment with
    hour_of_day, gives all the same weight. Hours and days are those of UTC.

    Args:
        condition: what the reference is conditioned on, not none.
        window: what is to be compared.
        span: the time that the training data cover; hours that it touches count in full.

    Returns:
        A weight for each key the window covers; nothing where the training data lack one of them.
    """
    hours = Window(_floor(span.start), _floor(span.end - timedelta(microseconds=1)) + _HOUR)
    covered, trained = _coverage(condition, window), _coverage(condition, hours)
    keys = np.flatnonzero(covered)
    if not keys.size or not trained[keys].all():
        return {}
    weights = covered[keys] / trained[keys]
    return dict(zip(map(str, keys.tolist()), (weights / weights.max()).tolist(), strict=True))


def _coverage(condition: Condition, window: Window) -> NDArray[np.float64]:
    """For how many microseconds a stretch of time covers each condition key. Whole weeks cover all of them alike."""
    keys = _KEYS[condition]
    weeks, rest = divmod(window.end - window.start, _WEEK)
    first = (window.start - _EPOCH) // _MICROSECOND
    last, hour = first + rest // _MICROSECOND, _HOUR // _MICROSECOND
    starts = np.arange(first // hour, -(-last // hour)) * hour
    parts = np.minimum(starts + hour, last) - np.maximum(starts, first)
    whole = np.full(keys, weeks * (_WEEK // _MICROSECOND) / keys)
    return whole + np.bincount(_key(condition, starts // 1_000_000), parts, minlength=keys)


def _floor(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _HOUR, _WEEK = timedelta(microseconds=1), timedelta(hours=1), timedelta(weeks=1)
_KEYS = {Condition.HOUR_OF_DAY: 24, Condition.DAY_OF_WEEK: 7, Condition.HOUR_OF_WEEK: 168}


def _key(condition: Condition, seconds: Any) -> Any:
    """Hour of the day 0..23, day of the week 0..6 from Monday, or hour of the week 0..167 of Unix seconds, in UTC."""
    hour = seconds // 3600
    if condition is Condition.HOUR_OF_DAY:
        return hour % 24
    hour_of_week = (hour + 3 * 24) % 168  # Unix time began on a Thursday
    return hour_of_week // 24 if condition is Condition.DAY_OF_WEEK else hour_of_week


# ---------------------------------------------------------------- building


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
    problems: list[str] = []

    def measured(label: str, name: str, feature: Feature, bins: int) -> FeatureReference | None:
        if name not in columns:
            problems.append(f"{label}: the training data has no column {name!r}")
            return None
        column = columns[name]
        if len(column) != rows.count:
            problems.append(f"{label}: column {name!r} has {len(column)} rows, others have {rows.count}")
            return None
        try:
            return _feature_reference(column, feature, bins, spec.reference.knots, rows)
        except ColumnTypeError as error:
            problems.append(f"{label}: column {name!r} {error}")
            return None

    features = {
        name: measured(f"feature {name}", spec.column(name), feature, feature.bins or spec.reference.bins)
        for name, feature in spec.features.items()
    }
    score = spec.prediction_log.score
    score_reference = (
        measured("score", score, Feature(), spec.reference.score_bins) if score and score in columns else None
    )
    outcome = None
    try:
        outcome = outcome_reference(spec.prediction_log, columns)
    except ColumnTypeError as error:
        problems.append(f"prediction_log.outcome: a column of the training data {error}")
    segments = {}
    for name in spec.prediction_log.segments:
        if name in columns and score_reference is not None:
            try:
                segments[name] = _segments(spec.prediction_log, columns, name, score_reference.cells, rows)
            except ColumnTypeError as error:
                problems.append(f"segment {name}: a column of the training data {error}")
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
        columns=tuple(sorted(columns)),
        model_version=model_version,
        outcome=outcome,
        segments=segments,
    )


def _segments(
    log: PredictionLog, columns: Mapping[str, Column], name: str, cells: Cells, rows: _Rows
) -> dict[str, SegmentReference]:
    ordered, scores = rows.ordered(columns[name]), rows.ordered(columns[log.score or ""])
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
        keys = _key(condition, moments.to_numpy() // 1_000_000)
        order = np.argsort(keys, kind="stable")
        present, starts = np.unique(keys[order], return_index=True)
        bounds = pairwise([*starts.tolist(), count])
        groups = {str(key): slice(*bound) for key, bound in zip(present.tolist(), bounds, strict=True)}
        return cls(count, times, span, order, groups)

    def ordered(self, column: Column) -> Column:
        """A column in the order in which `groups` cuts it."""
        return column if self.order is None else column.take(pa.array(self.order, pa.int64()))


def _row_count(spec: Spec, columns: Mapping[str, Column], times: Column | None) -> int:
    """The length of the first column that is there: a column may have to be read for it."""
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
    """Moments by condition key, of values sorted as a whole: however the rows are cut into files, the same bits."""
    if isinstance(cells, CategoricalCells):
        return {}
    moments = {
        key: Moments.of(_finite(_cut(column, group), cells, None if times is None else _cut(times, group)))
        for key, group in groups.items()
    }
    return moments if all(part.is_finite for part in moments.values()) else {}


def _finite(column: Column, cells: Cells, times: Column | None) -> NDArray[np.float64]:
    """The finite values in ascending order; zero has no sign."""
    values = sorted_numbers(column, cells.type, times).astype(np.float64)
    return values[np.isfinite(values)] + 0.0


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
