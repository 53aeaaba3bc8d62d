"""The outcomes of one window: read from the log or from elsewhere, joined to their predictions, and judged.

Outcomes come late, so the window looked at is an earlier one: the measured window moved back by the maximal delay. All
outcomes that count are then known, and a share of answered predictions means the same in every window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import PathError, first_line, locate
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reading.files import WIDEST_OFFSET, StoredFile, partition_span, walk
from mlvitals.exporters.reading.ids import Hashes, hash_ids, hash_rows
from mlvitals.exporters.reading.instants import InstantError
from mlvitals.exporters.reading.log import BrokenFileError, Chunk, LogError, files_of_window, read_file
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.outcomes.columns import (
    Floats,
    label_columns,
    labels_of,
    microseconds,
    outcome_of,
    predicted_values,
    prediction_columns,
)
from mlvitals.exporters.sections.outcomes.join import (
    NO_TIME,
    OUTCOME,
    Breakdown,
    NoBreakdown,
    Partitions,
    Rows,
    Terms,
    join,
    with_segments,
)
from mlvitals.exporters.sections.outcomes.judge import OutcomeTally, judged
from mlvitals.exporters.sections.outcomes.performance import estimated_figures, tally_for
from mlvitals.exporters.sections.outcomes.report import EstimatedPerformance, OutcomeReport
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, LogFormat, Outcome, OutcomeKind, PredictionLog, Spec

CALIBRATED = 0.05
"""Scores whose calibration error in the reference is larger promise nothing."""
_FIRST_OUTCOME_ROW = 1 << 63
"""Rows without an id are numbered from here on the outcomes' side, so that none meets a prediction without an id."""

Files = Iterable[StoredFile | SqlTable | FileProblem]


def measure_outcomes(
    spec: Spec,
    base_dir: Path,
    reference: OutcomeReference | None,
    window: Window,
    measured_at: datetime,
    segments: Breakdown | None = None,
) -> OutcomeReport:
    """Join the outcomes of the mature window that belongs to a measured one, and compare them with the reference.

    Whatever is wrong with files or columns is said in the report.

    Args:
        spec: the system's spec, with a prediction_log.outcome.
        base_dir: where its relative paths start.
        reference: the outcomes of the training data, where they are known.
        window: the measured window.
        measured_at: now, aware. Of a window that is not over at this moment nothing is said.
        segments: where the outcomes are also gathered by segment.
    """
    log, outcome = spec.prediction_log, outcome_of(spec)
    delay = span(outcome.max_delay)
    mature = Window(window.start - delay, window.end - delay)
    if reference is not None and reference.kind is not outcome.kind:
        reference = None
    estimated = _estimated(spec, base_dir, reference, window) if outcome.kind is OutcomeKind.BINARY else None
    if window.end > measured_at:
        return OutcomeReport(window=mature, kind=outcome.kind, mature=False, estimated=estimated)
    found = OutcomeTally(tally_for(outcome), segments or NoBreakdown())
    kinds = with_segments(len(found.segments.columns)), OUTCOME
    with ExitStack() as stack:
        predictions, outcomes = (stack.enter_context(Partitions(kind)) for kind in kinds)
        sides = _Sides(spec, base_dir, found.segments, predictions, outcomes)
        try:
            (sides.read_apart if outcome.path else sides.read_together)(mature, delay)
        except LogError as error:
            sides.problems.append(FileProblem(path=outcome.path or log.path, problem=str(error)))
        terms = Terms(_unix(mature.start), _unix(mature.end), _microseconds(delay), timed=outcome.timestamp is not None)
        for parts in zip(predictions, outcomes, strict=True):
            found.add(join(*parts, terms))
    return judged(
        spec, reference, mature, found, estimated, tuple(sides.problems), outcomes_known=not sides.without_outcomes
    )


def _unix(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


@dataclass(slots=True)
class _Sides:
    """Predictions and outcomes as they are read; whatever is wrong with a file is told, and the others still count."""

    spec: Spec
    base_dir: Path
    segments: Breakdown
    predictions: Partitions
    outcomes: Partitions
    problems: list[FileProblem] = field(default_factory=list)
    problems_before_outcomes: int = 0
    """Those of files that hold predictions alone."""
    outcomes_read: bool = False
    prediction_rows: int = 0
    outcome_rows: int = _FIRST_OUTCOME_ROW

    @property
    def without_outcomes(self) -> bool:
        """Whether something of the outcomes could not be read, and nothing could: how many there are is not known."""
        return not self.outcomes_read and len(self.problems) > self.problems_before_outcomes

    def read_together(self, window: Window, _: timedelta) -> None:
        """The log's own rows: each is a prediction, and its outcome where it has one."""
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)

        def add(chunk: Chunk) -> None:
            rows = self._predictions_of(chunk)
            self.predictions.add(rows)
            self._add_outcomes(chunk, rows["id"])

        columns = self._predicted(log) | label_columns(log) | _times(outcome.timestamp)
        self._read(files_of_window(log, self.base_dir, window), log.format, columns, log.timestamp, window, add)

    def read_apart(self, window: Window, delay: timedelta) -> None:
        """The log's predictions, and outcomes from elsewhere.

        Beside the window's predictions those are read to which outcomes observed meanwhile may belong, by their ids
        alone: an outcome that belongs to none of them is an orphan.
        """
        log, timed = self.spec.prediction_log, outcome_of(self.spec).timestamp is not None
        around = Window(window.start - delay, window.end + delay)
        ids = _ids(log.id)
        stretches = [(window, self._predicted(log))]
        if timed:
            stretches += [(Window(around.start, window.start), ids), (Window(window.end, around.end), ids)]
        for stretch, columns in stretches:
            files = files_of_window(log, self.base_dir, stretch)
            self._read(
                files,
                log.format,
                columns,
                log.timestamp,
                stretch,
                lambda chunk: self.predictions.add(self._predictions_of(chunk)),
            )
        self._read_outcomes(around if timed else None)

    def _predicted(self, log: PredictionLog) -> dict[str, FeatureType]:
        """The columns of a prediction; a segment column that is also another one is read as that."""
        segments = dict.fromkeys(self.segments.columns, FeatureType.CATEGORICAL)
        return segments | _ids(log.id) | prediction_columns(log)

    def _read_outcomes(self, window: Window | None) -> None:
        """Outcomes from a place of their own: those observed in the window, or all where they have no time."""
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)
        name, file_format = outcome.id or log.id or "", outcome.format or log.format

        def add(chunk: Chunk) -> None:
            if name in chunk.columns:
                ids = hash_ids(chunk.columns[name], self.outcome_rows)
                self.outcome_rows += chunk.rows
                self._add_outcomes(chunk, ids)

        self.problems_before_outcomes = len(self.problems)
        columns = _ids(name) | label_columns(log) | _times(outcome.timestamp)
        files = _outcome_files(outcome, file_format, self.base_dir, window)
        self._read(files, file_format, columns, outcome.timestamp or "", window, add)

    def _read(
        self,
        files: Files,
        file_format: LogFormat,
        columns: Mapping[str, FeatureType],
        timestamp: str,
        window: Window | None,
        add: Callable[[Chunk], None],
    ) -> None:
        """Add the chunks of files. What a file held before it turned out broken counts."""
        for file in files:
            if isinstance(file, FileProblem):
                self.problems.append(file)
                continue
            try:
                for item in read_file(file, file_format, columns, timestamp, window):
                    if isinstance(item, FileProblem):
                        self.problems.append(item)
                    else:
                        self._tell_of_missing(item)
                        add(item)
            except (BrokenFileError, ColumnTypeError, InstantError) as error:
                self.problems.append(FileProblem(path=file.path, problem=str(error)))

    def _tell_of_missing(self, chunk: Chunk) -> None:
        """A segment column that is missing is told with the window itself."""
        if missing := chunk.missing - {*self.segments.columns}:
            self._tell(chunk, f"lacks the columns {', '.join(sorted(missing))}")

    def _tell(self, chunk: Chunk, what: str) -> None:
        """Name a problem of a file, once for all its chunks."""
        problem = FileProblem(path=chunk.path, problem=what)
        if problem not in self.problems:
            self.problems.append(problem)

    def _predictions_of(self, chunk: Chunk) -> Rows:
        log, outcome = self.spec.prediction_log, outcome_of(self.spec)
        rows = np.zeros(chunk.rows, with_segments(len(self.segments.columns)))
        rows["segments"] = self.segments.codes(chunk.columns, chunk.rows)
        first, ids = self.prediction_rows, chunk.columns.get(log.id or "")
        rows["id"] = hash_rows(first, chunk.rows) if ids is None else hash_ids(ids, first)
        rows["time"] = NO_TIME if chunk.times is None else microseconds(chunk.times)
        rows["value"] = self._values_of(chunk, outcome.prediction or log.score)
        for name, column in (("list", outcome.list), ("item", outcome.item)):
            if column is not None and column in chunk.columns:
                rows[name] = hash_ids(chunk.columns[column], first)
        self.prediction_rows += chunk.rows
        return rows

    def _values_of(self, chunk: Chunk, prediction: str | None) -> Floats | float:
        """Predicted values. Without any, predictions still have outcomes."""
        if prediction is None or prediction not in chunk.columns:
            return np.nan
        try:
            return predicted_values(chunk.columns[prediction])
        except ColumnTypeError as error:
            self._tell(chunk, f"column {prediction!r} {error}")
            return np.nan

    def _add_outcomes(self, chunk: Chunk, ids: Hashes) -> None:
        """The rows of a chunk that have an outcome, where it has the column at all."""
        outcome = outcome_of(self.spec)
        if outcome.column not in chunk.columns:
            return
        labels = labels_of(chunk.columns[outcome.column], outcome.kind)
        if labels.mismatch:
            self._tell(chunk, f"column {outcome.column!r} holds {labels.mismatch}")
        else:
            self.outcomes_read = True
        rows = np.empty(chunk.rows, OUTCOME)
        rows["id"], rows["value"], rows["time"] = ids, labels.values, NO_TIME
        if outcome.timestamp is not None and outcome.timestamp in chunk.columns:
            rows["time"] = microseconds(chunk.columns[outcome.timestamp])
        self.outcomes.add(rows[labels.present])


def _ids(name: str | None) -> dict[str, FeatureType]:
    return {} if name is None else {name: FeatureType.CATEGORICAL}


def _times(name: str | None) -> dict[str, FeatureType]:
    return {} if name is None else {name: FeatureType.TIMESTAMP}


def _outcome_files(outcome: Outcome, file_format: LogFormat, base_dir: Path, window: Window | None) -> Files:
    """Everything that may hold outcomes of the window, listed when asked for.

    A folder may be named for the day on which outcomes happened or on which they came: days later is no reason to
    leave one out, only days before.
    """
    path = outcome.path or ""
    if file_format is LogFormat.SQL:
        yield SqlTable(path, outcome.table or "", base_dir, outcome.password_file)
        return
    try:
        filesystem, root = locate(path, base_dir)
        yield from walk(filesystem, root, _not_before(window))
    except (PathError, OSError, pa.ArrowException) as error:
        problem = f"prediction_log.outcome.path cannot be read: {first_line(error)}"
        yield FileProblem(path=path, problem=problem)


def _not_before(window: Window | None) -> Callable[[Mapping[str, str]], bool]:
    def keep(partition: Mapping[str, str]) -> bool:
        covered = partition_span(partition)
        return covered is None or window is None or covered.end > window.start - WIDEST_OFFSET

    return keep


def _estimated(
    spec: Spec, base_dir: Path, reference: OutcomeReference | None, window: Window
) -> EstimatedPerformance | None:
    """What the scores of the measured window promise, where they are calibrated probabilities."""
    outcome, log = outcome_of(spec), spec.prediction_log
    name = outcome.prediction or log.score or ""
    try:
        scores = np.concatenate([np.empty(0), *_scores(spec, base_dir, name, window)])
    except LogError as error:
        return EstimatedPerformance(window=window, scores=0, reason=str(error))
    reason = _why_not(scores, outcome, reference)
    figures = {} if reason else estimated_figures(scores, outcome.threshold)
    return EstimatedPerformance(window=window, scores=len(scores), figures=figures, reason=reason)


def _scores(spec: Spec, base_dir: Path, name: str, window: Window) -> Iterator[Floats]:
    """The window's scores; files that cannot be read are told with the window itself."""
    log = spec.prediction_log
    for file in files_of_window(log, base_dir, window):
        if isinstance(file, FileProblem):
            continue
        try:
            for item in read_file(file, log.format, {name: FeatureType.FLOAT}, log.timestamp, window):
                if not isinstance(item, FileProblem) and name in item.columns:
                    values = predicted_values(item.columns[name])
                    yield values[~np.isnan(values)]
        except (BrokenFileError, ColumnTypeError):
            continue


def _why_not(scores: Floats, outcome: Outcome, reference: OutcomeReference | None) -> str:
    if len(scores) < outcome.minimum_rows:
        return f"{len(scores)} scores; at least {outcome.minimum_rows} are needed"
    if scores.min() < 0 or scores.max() > 1:
        return "the scores are not probabilities: some lie outside 0 to 1"
    error = reference.figures.get("calibration_error") if reference is not None else None
    if error is not None and error > CALIBRATED:
        return f"the scores are not calibrated: their calibration error in the reference is {error:.3f}"
    return ""
