"""Reads what training-serving skew is measured on: the predictions of a window, and their features recomputed offline.

Memory does not grow with the rows: where predictions are matched, a bounded sample of them is, and of the offline rows
only those are kept that one of the sample may be compared with; where nothing is matched, both sides are counted
batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import first_line
from mlvitals.exporters.reading.columns import Chunk, ColumnTypeError, comparable
from mlvitals.exporters.reading.ids import DistinctRows, canonical_ids
from mlvitals.exporters.reading.instants import INSTANT
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.log import ListingError, Log, Place, Plan
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.scan import Chunk as LogChunk
from mlvitals.exporters.reading.sources import LogError, Reader
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.skew.pairs import (
    Counted,
    Matches,
    compare_feature,
    in_same_precision,
    matched,
    superseded,
)
from mlvitals.exporters.sections.skew.report import FeatureSkew, SkewReport
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.contract import SkewStatus
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, SkewJoin, Spec

LARGEST_SAMPLE = 100_000
"""Predictions matched at most: a mismatch share is then known to a few tenths of a percent."""

_KEY, _TIME, _PLACE = "key", "time", "place"
_FEATURE = "feature "
"""Starts the name of each feature's column, so that no feature can be taken for a key or a time."""
_GOLDEN_RATIO = 0.618_033_988_749_894_9


def measure_skew(
    spec: Spec, base_dir: Path, reference: Reference, window: Window, known: KnownFiles | None = None
) -> Plan[SkewReport | None]:
    """Compare the predictions of a window with their features recomputed offline, where the spec says where they are.

    Whatever is wrong with files or columns is said in the report.

    Args:
        spec: the system's spec.
        base_dir: where its relative paths start.
        reference: gives the cells on which distributions are compared.
        window: the measured window; with skew.delay one so much earlier is compared.
        known: what was learnt of files before.
    """
    if not spec.skew.path:
        return None
    delay = span(spec.skew.delay)
    window = Window(window.start - delay, window.end - delay)
    serving, offline = _serving(spec, window), _offline(spec, window)
    log = Log(_place(spec), base_dir, name="skew", known=known)
    measured = _without_matches if spec.skew_join is SkewJoin.WINDOW else _by_matches
    try:
        found = yield from measured(spec, reference, window, serving, offline, log)
    except _OfflineError as error:
        found = _nothing(spec, window, spec.skew.path, f"skew.path cannot be read: {error}")
    except LogError as error:
        found = _nothing(spec, window, spec.prediction_log.path, str(error))
    except (OSError, pa.ArrowException) as error:
        found = _nothing(spec, window, spec.skew.path, f"skew.path cannot be read: {first_line(error)}")
    return SkewReport(
        window=window,
        join=found.join,
        serving_rows=found.serving_rows,
        offline_rows=found.offline_rows,
        features=found.features,
        problems=(*found.problems, *serving.problems, *offline.problems),
    )


def _nothing(spec: Spec, window: Window, path: str, problem: str) -> SkewReport:
    return SkewReport(window=window, join=spec.skew_join, problems=(FileProblem(path=path, problem=problem),))


class _OfflineError(Exception):
    """The offline rows as a whole cannot be read."""


class _Side(Reader):
    """Predictions, or offline rows: what was found on the way, and where the rows go.

    What a file held before it turned out broken counts: each row is compared for itself.
    """

    def __init__(self, spec: Spec, window: Window, key: str | None, distinct: DistinctRows) -> None:
        columns = {spec.column(name): feature.type for name, feature in spec.features.items()}
        columns = {**distinct.columns, **columns}
        if key is not None:
            columns.setdefault(key, FeatureType.CATEGORICAL)
        super().__init__(columns, window)
        self.spec = spec
        self.key = key
        self._distinct = distinct
        self.rows = 0
        self.present: set[str] = set()
        """Features that some rows have."""
        self.lacking: set[str] = set()
        """Features that some rows lack."""
        self.single: set[str] = set()
        """Features that some rows have in single precision."""
        self.unfit: dict[str, str] = {}
        """Features that hold something else than their type, and what."""
        self.problems: list[FileProblem] = []
        self.send: Callable[[pa.Table], None] = lambda _: None
        """Takes batches of rows: key, time, and each feature as `columns.comparable` gives it."""

    def add(self, chunk: LogChunk) -> None:
        """Send some rows on."""
        try:
            part = self._part(self._distinct.of(chunk))
        except ColumnTypeError as error:
            raise BrokenFileError(str(error)) from error
        self.send(part)

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:
        """Report the problems of a file."""
        self.problems += problems
        self._distinct.end_file(broken=False)

    def _part(self, chunk: LogChunk) -> pa.Table:
        self.rows += chunk.rows
        arrays: dict[str, Chunk] = {} if chunk.times is None else {_TIME: chunk.times}
        if self.key is not None:
            arrays[_KEY] = self._keys(chunk, self.key)
        for name, feature in self.spec.features.items():
            column = chunk.columns.get(self.spec.column(name))
            if column is None:
                self.lacking.add(name)
                continue
            self.present.add(name)
            try:
                arrays[_FEATURE + name] = values = comparable(column, feature.type)
                if pa.types.is_float32(values.type):
                    self.single.add(name)
            except ColumnTypeError as error:
                self.unfit[name] = f"{chunk.path}: column {self.spec.column(name)!r} {error}"
        return pa.table(arrays)

    def _keys(self, chunk: LogChunk, key: str) -> Chunk:
        if key not in chunk.columns:
            raise BrokenFileError(f"has no column {key!r} to match its rows by")
        try:
            return canonical_ids(chunk.columns[key])
        except ColumnTypeError as error:
            raise BrokenFileError(f"column {key!r}, by which rows are matched, {error.finding}") from error


def _serving(spec: Spec, window: Window) -> _Side:
    return _Side(spec, window, _key(spec), DistinctRows(spec.prediction_log.id))


def _offline(spec: Spec, window: Window) -> _Side:
    if spec.skew_join is SkewJoin.ENTITY:
        window = Window(window.start - span(spec.skew.max_age), window.end)
    key = _key(spec)
    return _Side(spec, window, key and (spec.skew.key or key), DistinctRows(None))


def _key(spec: Spec) -> str | None:
    log = spec.prediction_log
    return {SkewJoin.ID: log.id, SkewJoin.ENTITY: log.entity, SkewJoin.WINDOW: None}[spec.skew_join]


def _place(spec: Spec) -> Place:
    """Return the place of the features recomputed offline."""
    timestamp = spec.skew.timestamp or spec.prediction_log.timestamp
    return Place(spec.skew.path or "", spec.skew.format, timestamp, decimal=spec.skew.decimal)


def _read(log: Log, offline: _Side) -> None:
    try:
        log.read(offline)
    except ListingError as error:
        raise _OfflineError(error.reason) from error


def _by_matches(
    spec: Spec, reference: Reference, window: Window, serving: _Side, offline: _Side, log: Log
) -> Plan[SkewReport]:
    sample = _Sample()
    serving.send = sample.add
    yield [serving]
    predictions = sample.rows()
    of_interest = _OfInterest(predictions, window)
    offline.send = of_interest.add
    _read(log, offline)
    recomputed = of_interest.rows()
    keys = _column(predictions, _KEY), _column(recomputed, _KEY)
    times = _column(predictions, _TIME), _column(recomputed, _TIME)
    pairs = matched(keys, times, spec.skew_join, span(spec.skew.max_age))
    matched_keys, matched_times = keys[0].take(pairs.serving), times[0].take(pairs.serving)

    def compared(name: str) -> FeatureSkew:
        cells, counted = _cells(reference, spec, name), None
        values = in_same_precision(
            _column(predictions, _FEATURE + name).take(pairs.serving),
            _column(recomputed, _FEATURE + name).take(pairs.offline),
            single=name in serving.single | offline.single,
        )
        try:
            if cells is not None:
                counted = Counted(*(profile_column(side, cells, matched_times) for side in values))
        except ColumnTypeError as error:
            return _in_state(spec, name, SkewStatus.TYPE_MISMATCH, f"column {spec.column(name)!r} {error}")
        return compare_feature(
            spec.features[name],
            spec.alerts,
            cells=cells,
            counted=counted,
            matches=Matches(matched_keys, matched_times, *values),
            tolerance=spec.skew.tolerance,
        )

    return SkewReport(
        window=window,
        join=spec.skew_join,
        serving_rows=predictions.num_rows,
        offline_rows=len(pairs.offline),
        features={name: _state(spec, name, serving, offline) or compared(name) for name in spec.features},
    )


class _Sample:
    """At most `LARGEST_SAMPLE` rows, evenly from all of them.

    A row's place is its number times the golden ratio, modulo 1: the rows placed below a share are evenly spread and
    in step with no pattern of the log. When there are too many, the share is halved.
    """

    def __init__(self) -> None:
        self._share = 1.0
        self._before = 0
        self._kept: list[pa.Table] = []

    def add(self, part: pa.Table) -> None:
        """Consider some rows."""
        places = (np.arange(self._before, self._before + part.num_rows) * _GOLDEN_RATIO) % 1
        self._before += part.num_rows
        self._kept.append(part.append_column(_PLACE, pa.array(places)).filter(pc.field(_PLACE) < self._share))
        while sum(table.num_rows for table in self._kept) > LARGEST_SAMPLE:
            self._share /= 2
            self._kept = [table.filter(pc.field(_PLACE) < self._share) for table in self._kept]

    def rows(self) -> pa.Table:
        """Return the sample of all rows so far."""
        return _together(self._kept)


class _OfInterest:
    """The offline rows of the predictions' keys; of an entity's rows before the window only the latest."""

    def __init__(self, predictions: pa.Table, window: Window) -> None:
        self._wanted = pc.unique(_column(predictions, _KEY))
        self._window = window
        self._kept: list[pa.Table] = []

    def add(self, part: pa.Table) -> None:
        """Keep those of some rows that are of interest."""
        mine: Any = pc.is_in(part[_KEY], value_set=self._wanted)
        self._kept.append(part.filter(mine))
        if sum(table.num_rows for table in self._kept[1:]) > LARGEST_SAMPLE:
            self._kept = [_current(_together(self._kept), self._window)]

    def rows(self) -> pa.Table:
        """Return all that were kept."""
        return _together(self._kept)


def _current(rows: pa.Table, window: Window) -> pa.Table:
    return rows.filter(pa.array(~superseded(_column(rows, _KEY), _column(rows, _TIME), window.start)))


def _together(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


_EMPTY: dict[str, pa.DataType] = {_KEY: pa.large_string(), _TIME: INSTANT}


def _column(rows: pa.Table, name: str) -> Chunk:
    """Return a column in one piece; an empty one where there are no rows at all."""
    kind: Any = _EMPTY.get(name, pa.float64())
    column: Any = rows[name].combine_chunks() if name in rows.column_names else pa.nulls(rows.num_rows, kind)
    chunk: Chunk = column
    return chunk


def _without_matches(
    spec: Spec, reference: Reference, window: Window, serving: _Side, offline: _Side, log: Log
) -> Plan[SkewReport]:
    at_serving, recomputed = _profiled(reference, serving), _profiled(reference, offline)
    yield [serving]
    _read(log, offline)

    def compared(name: str) -> FeatureSkew:
        cells = _cells(reference, spec, name)
        counted = None if cells is None else Counted(at_serving[name], recomputed[name])
        return compare_feature(
            spec.features[name],
            spec.alerts,
            cells=cells,
            counted=counted,
            matches=None,
            tolerance=spec.skew.tolerance,
        )

    return SkewReport(
        window=window,
        join=SkewJoin.WINDOW,
        serving_rows=serving.rows,
        offline_rows=offline.rows,
        features={name: _state(spec, name, serving, offline) or compared(name) for name in spec.features},
    )


def _profiled(reference: Reference, side: _Side) -> dict[str, FeatureProfile]:
    """Count each feature on the reference's cells, of those that the reference has, as rows come."""
    cells = {name: found for name in side.spec.features if (found := _cells(reference, side.spec, name)) is not None}
    profiles = {name: FeatureProfile.empty(of_feature) for name, of_feature in cells.items()}

    def add(part: pa.Table) -> None:
        for name, of_feature in cells.items():
            if _FEATURE + name in part.column_names:
                try:
                    counted = profile_column(part[_FEATURE + name], of_feature, part[_TIME])
                except ColumnTypeError as error:
                    side.unfit[name] = f"column {side.spec.column(name)!r} {error}"
                else:
                    profiles[name] = profiles[name].merge(counted)

    side.send = add
    return profiles


def _cells(reference: Reference, spec: Spec, name: str) -> Cells | None:
    """Return the cells of a feature; None where the reference does not have it, or has it as another type."""
    known = reference.features.get(name)
    return known.cells if known and known.type is spec.features[name].type else None


def _state(spec: Spec, name: str, serving: _Side, offline: _Side) -> FeatureSkew | None:
    """Return why a feature cannot be compared at all; None where it can."""
    for side, nothing in ((serving, "no prediction in the window"), (offline, "no offline rows")):
        if not side.rows:
            return _in_state(spec, name, SkewStatus.INSUFFICIENT_DATA, nothing)
    if name in offline.lacking:
        reason = "some offline rows lack it" if name in offline.present else "no offline row has it"
        return _in_state(spec, name, SkewStatus.NOT_RECOMPUTED, reason)
    if name not in serving.present:
        return _in_state(spec, name, SkewStatus.MISSING_IN_SERVING, "no prediction has such a column")
    unfit = serving.unfit.get(name) or offline.unfit.get(name)
    return _in_state(spec, name, SkewStatus.TYPE_MISMATCH, unfit) if unfit else None


def _in_state(spec: Spec, name: str, status: SkewStatus, reason: str) -> FeatureSkew:
    return FeatureSkew(status=status, reason=reason, measure=spec.features[name].skew)
