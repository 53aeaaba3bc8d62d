"""What training-serving skew is measured on: the predictions of a window, and their features recomputed offline.

Memory does not grow with the rows: where predictions are matched, a bounded sample of them is, and of the offline rows
only those are kept that one of the sample may be compared with; where nothing is matched, both sides are counted
batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import PathError, first_line, locate
from mlvitals.exporters.reading.columns import Chunk, ColumnTypeError, comparable
from mlvitals.exporters.reading.files import StoredFile, walk, within
from mlvitals.exporters.reading.instants import INSTANT
from mlvitals.exporters.reading.log import BrokenFileError, LogError, files_of_window, read_file
from mlvitals.exporters.reading.log import Chunk as LogChunk
from mlvitals.exporters.reading.sql import SqlTable
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
from mlvitals.generator.spec.model import FeatureType, LogFormat, SkewJoin, Spec

LARGEST_SAMPLE = 100_000
"""Predictions matched at most: a mismatch share is then known to a few tenths of a percent."""

_KEY, _TIME, _PLACE = "key", "time", "place"
_FEATURE = "feature "
"""Begins the name of each feature's column, so that no feature can be taken for a key or a time."""
_GOLDEN_RATIO = 0.618_033_988_749_894_9


def measure_skew(spec: Spec, base_dir: Path, reference: Reference, window: Window) -> SkewReport:
    """Compare the predictions of a window with their features recomputed offline.

    Whatever is wrong with files or columns is said in the report.

    Args:
        spec: the system's spec, with a skew.path.
        base_dir: where its relative paths start.
        reference: gives the cells on which distributions are compared.
        window: the measured window; with skew.delay one so much earlier is compared.
    """
    delay = span(spec.skew.delay)
    window = Window(window.start - delay, window.end - delay)
    sides = _serving(spec, base_dir, window), _offline(spec, base_dir, window)
    try:
        measured = _without_matches if spec.skew_join is SkewJoin.WINDOW else _by_matches
        found = measured(spec, reference, window, *sides)
    except LogError as error:
        found = _nothing(spec, window, spec.prediction_log.path, str(error))
    except (PathError, OSError, pa.ArrowException) as error:
        found = _nothing(spec, window, spec.skew.path or "", f"skew.path cannot be read: {first_line(error)}")
    problems = (*found.problems, *(problem for side in sides for problem in side.problems))
    return SkewReport(
        window=window,
        join=found.join,
        serving_rows=found.serving_rows,
        offline_rows=found.offline_rows,
        features=found.features,
        problems=problems,
    )


def _nothing(spec: Spec, window: Window, path: str, problem: str) -> SkewReport:
    return SkewReport(window=window, join=spec.skew_join, problems=(FileProblem(path=path, problem=problem),))


@dataclass(slots=True)
class _Side:
    """Predictions, or offline rows: where they are read from, and what was found on the way."""

    spec: Spec
    files: Iterable[StoredFile | SqlTable | FileProblem]
    format: LogFormat
    timestamp: str
    key: str | None
    window: Window
    rows: int = 0
    present: set[str] = field(default_factory=set)
    """Features that some rows have."""
    lacking: set[str] = field(default_factory=set)
    """Features that some rows lack."""
    unfit: dict[str, str] = field(default_factory=dict)
    """Features that hold something else than their type, and what."""
    problems: list[FileProblem] = field(default_factory=list)

    def parts(self) -> Iterator[pa.Table]:
        """Batches of rows: key, time, and each feature as `columns.comparable` gives it.

        What a file held before it turned out broken counts: each row is compared for itself.
        """
        columns = {self.spec.column(name): feature.type for name, feature in self.spec.features.items()}
        if self.key is not None:
            columns.setdefault(self.key, FeatureType.CATEGORICAL)
        for file in self.files:
            if isinstance(file, FileProblem):
                self.problems.append(file)
                continue
            try:
                for item in read_file(file, self.format, columns, self.timestamp, self.window):
                    if isinstance(item, FileProblem):
                        self.problems.append(item)
                    else:
                        yield self._part(item)
            except (BrokenFileError, ColumnTypeError) as error:
                self.problems.append(FileProblem(path=file.path, problem=str(error)))

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
                arrays[_FEATURE + name] = comparable(column, feature.type)
            except ColumnTypeError as error:
                self.unfit[name] = f"{chunk.path}: column {self.spec.column(name)!r} {error}"
        return pa.table(arrays)

    def _keys(self, chunk: LogChunk, key: str) -> Chunk:
        if key not in chunk.columns:
            raise BrokenFileError(f"has no column {key!r} to match its rows by")
        try:
            return comparable(chunk.columns[key], FeatureType.CATEGORICAL)
        except ColumnTypeError as error:
            raise BrokenFileError(f"column {key!r}, by which rows are matched, {error}") from error


def _serving(spec: Spec, base_dir: Path, window: Window) -> _Side:
    log = spec.prediction_log
    key = {SkewJoin.ID: log.id, SkewJoin.ENTITY: log.entity, SkewJoin.WINDOW: None}[spec.skew_join]
    return _Side(spec, files_of_window(log, base_dir, window), log.format, log.timestamp, key, window)


def _offline(spec: Spec, base_dir: Path, window: Window) -> _Side:
    log, skew = spec.prediction_log, spec.skew
    if spec.skew_join is SkewJoin.ENTITY:
        window = Window(window.start - span(spec.skew.max_age), window.end)
    key = {SkewJoin.ID: log.id, SkewJoin.ENTITY: log.entity, SkewJoin.WINDOW: None}[spec.skew_join]
    files = _offline_files(skew.path or "", base_dir, window)
    return _Side(spec, files, skew.format, skew.timestamp or log.timestamp, key and (skew.key or key), window)


def _offline_files(path: str, base_dir: Path, window: Window) -> Iterator[StoredFile | FileProblem]:
    """Listed when asked for, so that an error meets whoever reads."""
    filesystem, root = locate(path, base_dir)
    yield from walk(filesystem, root, within(window))


def _by_matches(spec: Spec, reference: Reference, window: Window, serving: _Side, offline: _Side) -> SkewReport:
    predictions = _sample(serving.parts())
    recomputed = _of_interest(offline.parts(), predictions, window)
    keys = _column(predictions, _KEY), _column(recomputed, _KEY)
    times = _column(predictions, _TIME), _column(recomputed, _TIME)
    pairs = matched(keys, times, spec.skew_join, span(spec.skew.max_age))
    matched_keys, matched_times = keys[0].take(pairs.serving), times[0].take(pairs.serving)

    def compared(name: str) -> FeatureSkew:
        cells, counted = _cells(reference, spec, name), None
        values = in_same_precision(
            _column(predictions, _FEATURE + name).take(pairs.serving),
            _column(recomputed, _FEATURE + name).take(pairs.offline),
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


def _sample(parts: Iterable[pa.Table]) -> pa.Table:
    """At most `LARGEST_SAMPLE` rows, evenly from all of them.

    A row's place is its number times the golden ratio, modulo 1: the rows placed below a share are evenly spread and
    in step with no pattern of the log. When there are too many, the share is halved.
    """
    share, before, kept = 1.0, 0, list[pa.Table]()
    for part in parts:
        places = (np.arange(before, before + part.num_rows) * _GOLDEN_RATIO) % 1
        before += part.num_rows
        kept.append(part.append_column(_PLACE, pa.array(places)).filter(pc.field(_PLACE) < share))
        while sum(table.num_rows for table in kept) > LARGEST_SAMPLE:
            share /= 2
            kept = [table.filter(pc.field(_PLACE) < share) for table in kept]
    return _together(kept)


def _of_interest(parts: Iterable[pa.Table], predictions: pa.Table, window: Window) -> pa.Table:
    """The offline rows of the predictions' keys; of an entity's rows before the window only the latest."""
    wanted = pc.unique(_column(predictions, _KEY))
    kept = list[pa.Table]()
    for part in parts:
        mine: Any = pc.is_in(part[_KEY], value_set=wanted)
        kept.append(part.filter(mine))
        if sum(table.num_rows for table in kept[1:]) > LARGEST_SAMPLE:
            kept = [_current(_together(kept), window)]
    return _together(kept)


def _current(rows: pa.Table, window: Window) -> pa.Table:
    return rows.filter(pa.array(~superseded(_column(rows, _KEY), _column(rows, _TIME), window.start)))


def _together(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


_EMPTY: dict[str, pa.DataType] = {_KEY: pa.large_string(), _TIME: INSTANT}


def _column(rows: pa.Table, name: str) -> Chunk:
    """A column in one piece; an empty one where there are no rows at all."""
    kind: Any = _EMPTY.get(name, pa.float64())
    column: Any = rows[name].combine_chunks() if name in rows.column_names else pa.nulls(rows.num_rows, kind)
    chunk: Chunk = column
    return chunk


def _without_matches(spec: Spec, reference: Reference, window: Window, serving: _Side, offline: _Side) -> SkewReport:
    at_serving, recomputed = _profiles(reference, serving), _profiles(reference, offline)

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


def _profiles(reference: Reference, side: _Side) -> dict[str, FeatureProfile]:
    """Each feature counted on the reference's cells, of those that the reference has."""
    cells = {name: found for name in side.spec.features if (found := _cells(reference, side.spec, name)) is not None}
    profiles = {name: FeatureProfile.empty(of_feature) for name, of_feature in cells.items()}
    for part in side.parts():
        for name, of_feature in cells.items():
            if _FEATURE + name in part.column_names:
                try:
                    counted = profile_column(part[_FEATURE + name], of_feature, part[_TIME])
                except ColumnTypeError as error:
                    side.unfit[name] = f"column {side.spec.column(name)!r} {error}"
                else:
                    profiles[name] = profiles[name].merge(counted)
    return profiles


def _cells(reference: Reference, spec: Spec, name: str) -> Cells | None:
    """The cells of a feature; None where the reference does not have it, or has it as another type."""
    known = reference.features.get(name)
    return known.cells if known and known.type is spec.features[name].type else None


def _state(spec: Spec, name: str, serving: _Side, offline: _Side) -> FeatureSkew | None:
    """Why a feature cannot be compared at all; None where it can."""
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
