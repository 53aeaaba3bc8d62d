"""The outcomes of one window: read from the log or from elsewhere, joined to their predictions, and judged.

Outcomes come late, so the window looked at is an earlier one: the measured window moved back by the maximal delay. All
outcomes that count are then known, and a share of answered predictions means the same in every window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reading.files import WIDEST_OFFSET, Keep, Partition, partition_span
from mlvitals.exporters.reading.ids import Hashes, hash_ids, hash_rows
from mlvitals.exporters.reading.instants import InstantError
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.log import ListingError, Log, Place, Plan, Task
from mlvitals.exporters.reading.scan import BrokenFileError, Chunk
from mlvitals.exporters.reading.sources import LogError, Reader
from mlvitals.exporters.reading.text import Columns
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.columns import (
    Floats,
    Predicted,
    label_columns,
    labels_as,
    microseconds,
    outcome_of,
    predicted_classes,
    predicted_values,
    prediction_columns,
)
from mlvitals.exporters.sections.outcomes.estimate import estimated_performance, of_kind
from mlvitals.exporters.sections.outcomes.join import (
    NO_TIME,
    OUTCOME,
    PROBABILITIES,
    Breakdown,
    NoBreakdown,
    Partitions,
    Rows,
    Terms,
    join,
    prediction_type,
)
from mlvitals.exporters.sections.outcomes.judge import OutcomeTally, judged
from mlvitals.exporters.sections.outcomes.performance import tally_for
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, OutcomeKind, PredictionLog, Spec

_FIRST_ROW_BEFORE, _FIRST_ROW_AFTER, _FIRST_OUTCOME_ROW = (part << 61 for part in (1, 2, 4))
"""Rows without an id are numbered: those of the window from 0, others from here on, so that no two ever meet."""


def measure_outcomes(
    spec: Spec, base_dir: Path, reference: OutcomeReference | None, window: Window, measured_at: datetime
) -> OutcomeReport:
    """Join the outcomes of the mature window that belongs to a measured one, and compare them with the reference.

    Whatever is wrong with files or columns is said in the report.

    Args:
        spec: the system's spec, with a prediction_log.outcome.
        base_dir: where its relative paths start.
        reference: the outcomes of the training data, where they are known.
        window: the measured window.
        measured_at: now, aware. Of a window that is not over at this moment nothing is said.
    """
    joined = Task(joined_outcomes(spec, base_dir, reference, window, measured_at))
    estimated = Task(estimated_performance(spec, reference, window))
    Log(spec.prediction_log, base_dir).serve(joined, estimated)
    return replace(joined.result, estimated=estimated.result)


def joined_outcomes(
    spec: Spec,
    base_dir: Path,
    reference: OutcomeReference | None,
    window: Window,
    measured_at: datetime,
    segments: Breakdown | None = None,
    known: KnownFiles | None = None,
) -> Plan[OutcomeReport]:
    """Join outcomes as `measure_outcomes` does, without the estimated performance, sharing a pass over the log.

    Args:
        spec: the system's spec, with a prediction_log.outcome.
        base_dir: where its relative paths start.
        reference: the outcomes of the training data, where they are known.
        window: the measured window.
        measured_at: now, aware.
        segments: where the outcomes are also gathered by segment.
        known: what was learnt of files before.
    """
    log, outcome = spec.prediction_log, outcome_of(spec)
    delay = span(outcome.max_delay)
    mature = Window(window.start - delay, window.end - delay)
    reference = of_kind(reference, outcome.kind)
    if window.end > measured_at:
        return OutcomeReport(window=mature, kind=outcome.kind, mature=False)
    grouped = log.group is not None
    classes = ClassCodes(outcome.class_names)
    of_classes = classes if outcome.kind is OutcomeKind.MULTICLASS else None
    found = OutcomeTally(tally_for(outcome), segments or NoBreakdown(), of_classes, _groups=[] if grouped else None)
    kinds = prediction_type(len(found.segments.columns), len(outcome.probabilities)), OUTCOME
    with ExitStack() as stack:
        predictions, outcomes = (stack.enter_context(Partitions(kind)) for kind in kinds)
        sides = _Sides(spec, found.segments, classes, predictions, outcomes)
        try:
            yield sides.readers_apart(mature, delay) if outcome.path else sides.readers_together(mature)
            if outcome.path:
                sides.read_outcomes(base_dir, mature, delay, known)
        except LogError as error:
            sides.failure = FileProblem(path=outcome.path or log.path, problem=str(error))
        terms = Terms(_unix(mature.start), _unix(mature.end), _microseconds(delay), timed=outcome.timestamp is not None)
        for parts in zip(predictions, outcomes, strict=True):
            found.add(join(*parts, terms))
    return judged(spec, reference, mature, found, None, sides.problems, outcomes_known=not sides.without_outcomes)


def _unix(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


class _SideReader(Reader):
    """Takes predictions or outcomes; whatever is wrong with a file is reported, and its rows before that count."""

    def __init__(
        self,
        columns: Columns,
        window: Window | None,
        add: Callable[[_SideReader, Chunk], None],
        first_row: int,
        told_elsewhere: Sequence[str] = (),
    ) -> None:
        super().__init__(columns, window)
        self._add = add
        self._told_elsewhere = told_elsewhere
        self.row = first_row
        """The number of the next row."""
        self.problems: list[FileProblem] = []
        self.told_once: set[FileProblem] = set()
        """Those of them that are reported once for all readers of a file."""

    def add(self, chunk: Chunk) -> None:
        """Add some rows to their side."""
        if missing := chunk.missing - {*self._told_elsewhere}:
            self.tell(chunk, f"lacks the columns {', '.join(sorted(missing))}")
        try:
            self._add(self, chunk)
        except (ColumnTypeError, InstantError) as error:
            raise BrokenFileError(str(error)) from error

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:
        """Report the problems of a file."""
        self.problems += problems

    def tell(self, chunk: Chunk, what: str) -> None:
        """Record a problem of a file, once for all its chunks."""
        problem = FileProblem(path=chunk.path, problem=what)
        if problem not in self.problems:
            self.problems.append(problem)
            self.told_once.add(problem)


@dataclass(slots=True)
class _Sides:
    """Predictions and outcomes as they are read."""

    spec: Spec
    segments: Breakdown
    classes: ClassCodes
    predictions: Partitions
    outcomes: Partitions
    outcomes_read: bool = False
    failure: FileProblem | None = None
    """Why one side could not be read at all."""
    _readers: list[_SideReader] = field(default_factory=list)
    _first_with_outcomes: int = 0
    """Readers before this one see predictions alone."""

    @property
    def problems(self) -> tuple[FileProblem, ...]:
        """Return what is wrong with files, reader by reader."""
        problems: list[FileProblem] = []
        for reader in self._readers:
            known = set(problems)
            problems += (problem for problem in reader.problems if problem not in known & reader.told_once)
        return (*problems, self.failure) if self.failure else tuple(problems)

    @property
    def without_outcomes(self) -> bool:
        """True if something of the outcomes could not be read, and nothing could: how many there are is not known."""
        unread = any(reader.problems for reader in self._readers[self._first_with_outcomes :])
        return not self.outcomes_read and (unread or self.failure is not None)

    def readers_together(self, window: Window) -> Sequence[Reader]:
        """Return readers of the log's own rows: each is a prediction, and its outcome where it has one."""
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)

        def add(reader: _SideReader, chunk: Chunk) -> None:
            rows = self._predictions_of(chunk, reader)
            self.predictions.add(rows)
            self._add_outcomes(chunk, rows["id"], reader)

        columns = self._predicted(log) | label_columns(log) | _times(outcome.timestamp)
        self._readers = [_SideReader(columns, window, add, 0, self.segments.columns)]
        return self._readers

    def readers_apart(self, window: Window, delay: timedelta) -> Sequence[Reader]:
        """Return readers of the log's predictions, whose outcomes come from elsewhere.

        Besides the window's predictions those are read to which outcomes observed meanwhile may belong, by their ids
        alone: an outcome that belongs to none of them is an orphan.
        """
        log, timed = self.spec.prediction_log, outcome_of(self.spec).timestamp is not None

        def add(reader: _SideReader, chunk: Chunk) -> None:
            self.predictions.add(self._predictions_of(chunk, reader))

        stretches = [(window, self._predicted(log), 0)]
        if timed:
            before, after = Window(window.start - delay, window.start), Window(window.end, window.end + delay)
            stretches += [(before, _ids(log.id), _FIRST_ROW_BEFORE), (after, _ids(log.id), _FIRST_ROW_AFTER)]
        told_elsewhere = self.segments.columns
        self._readers = [_SideReader(columns, part, add, row, told_elsewhere) for part, columns, row in stretches]
        return self._readers

    def read_outcomes(self, base_dir: Path, window: Window, delay: timedelta, known: KnownFiles | None) -> None:
        """Read outcomes from elsewhere: those observed in or around the window, or all where they have no time."""
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)
        name, timed = outcome.id or log.id or "", outcome.timestamp is not None
        around = Window(window.start - delay, window.end + delay) if timed else None

        def add(reader: _SideReader, chunk: Chunk) -> None:
            if name in chunk.columns:
                ids = _hashed(chunk, name, "by which outcomes are joined", reader.row)
                reader.row += chunk.rows
                self._add_outcomes(chunk, ids, reader)

        place = Place(
            outcome.path or "",
            outcome.format or log.format,
            outcome.timestamp or "",
            outcome.table or "",
            outcome.password_file,
            outcome.decimal or log.decimal,
        )
        columns = _ids(name) | label_columns(log) | _times(outcome.timestamp)
        reader = _SideReader(columns, around, add, _FIRST_OUTCOME_ROW, self.segments.columns)
        self._first_with_outcomes = len(self._readers)
        self._readers = [*self._readers, reader]
        try:
            Log(place, base_dir, name="prediction_log.outcome", known=known, keep=_not_before).read(reader)
        except ListingError as error:
            raise LogError(f"prediction_log.outcome.path cannot be read: {error.reason}") from error

    def _predicted(self, log: PredictionLog) -> dict[str, FeatureType | None]:
        """Return the columns of a prediction; a segment column that is also another one is read as that."""
        segments: dict[str, FeatureType | None] = dict.fromkeys(self.segments.columns, FeatureType.CATEGORICAL)
        return segments | _ids(log.id) | prediction_columns(log)

    def _predictions_of(self, chunk: Chunk, reader: _SideReader) -> Rows:
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)
        rows = np.zeros(chunk.rows, prediction_type(len(self.segments.columns), len(outcome.probabilities)))
        rows["segments"] = self.segments.codes(chunk.columns, chunk.rows)
        first, use = reader.row, "by which outcomes are joined"
        rows["id"] = _hashed(chunk, log.id, use, first) if log.id in chunk.columns else hash_rows(first, chunk.rows)
        rows["time"] = NO_TIME if chunk.times is None else microseconds(chunk.times)
        if outcome.kind is OutcomeKind.MULTICLASS:
            self._predict_classes(chunk, rows, reader)
        else:
            rows["value"] = self._values_of(chunk, outcome.prediction or log.score, reader)
        for name, column in (("list", outcome.list), ("item", outcome.item), ("group", log.group)):
            if column is not None and column in chunk.columns:
                rows[name] = _hashed(chunk, column, f"which names the {name} of a ranking", first)
        reader.row += chunk.rows
        return rows

    def _values_of(self, chunk: Chunk, prediction: str | None, reader: _SideReader) -> Floats | float:
        """Return predicted values. Without any, predictions still have outcomes."""
        if prediction is None or prediction not in chunk.columns:
            return np.nan
        try:
            return predicted_values(chunk.columns[prediction])
        except ColumnTypeError as error:
            reader.tell(chunk, f"column {prediction!r} {error.finding}")
            return np.nan

    def _predict_classes(self, chunk: Chunk, rows: Rows, reader: _SideReader) -> None:
        """Fill in predicted classes. Without any, predictions still have outcomes."""
        try:
            found = predicted_classes(chunk.columns, outcome_of(self.spec), self.classes, chunk.rows)
        except ColumnTypeError as error:
            reader.tell(chunk, f"a column of the predicted classes {error.finding}")
            found = Predicted(np.full(chunk.rows, np.nan), None)
        rows["value"] = found.values
        if PROBABILITIES in (rows.dtype.names or ()):
            rows[PROBABILITIES] = np.nan if found.probabilities is None else found.probabilities

    def _add_outcomes(self, chunk: Chunk, ids: Hashes, reader: _SideReader) -> None:
        """Return the rows of a chunk that have an outcome, where it has the column at all."""
        outcome = outcome_of(self.spec)
        if outcome.column not in chunk.columns:
            return
        labels = labels_as(chunk.columns[outcome.column], outcome, self.classes)
        if labels.mismatch:
            reader.tell(chunk, f"column {outcome.column!r} holds {labels.mismatch}")
        else:
            self.outcomes_read = True
        rows = np.empty(chunk.rows, OUTCOME)
        rows["id"], rows["value"], rows["time"] = ids, labels.values, NO_TIME
        if outcome.timestamp is not None and outcome.timestamp in chunk.columns:
            rows["time"] = microseconds(chunk.columns[outcome.timestamp])
        self.outcomes.add(rows[labels.present])


def _hashed(chunk: Chunk, name: str | None, use: str, first_row: int) -> Hashes:
    try:
        return hash_ids(chunk.columns[name or ""], first_row)
    except ColumnTypeError as error:
        raise BrokenFileError(f"column {name!r}, {use}, {error.finding}") from error


def _ids(name: str | None) -> dict[str, FeatureType | None]:
    return {} if name is None else {name: FeatureType.CATEGORICAL}


def _times(name: str | None) -> dict[str, FeatureType | None]:
    return {} if name is None else {name: FeatureType.TIMESTAMP}


def _not_before(window: Window) -> Keep:
    """Return a filter of partitions that may hold outcomes of the window.

    A folder may be named for the day on which outcomes happened or on which they came: days later is no reason to
    leave one out, only days before.
    """

    def keep(partition: Partition) -> bool:
        covered = partition_span(partition)
        return covered is None or covered.end > window.start - WIDEST_OFFSET

    return keep
