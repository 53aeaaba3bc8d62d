"""One window end to end: read, profile, merge, compare.

What the features, the newest scores, the outcomes and the skew need of the log is read in one pass.
Files are read batch by batch, the columns of a batch are profiled side by side, and the profiles are added in the
order of files and batches: memory does not grow with the rows, and the number of workers changes no result.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from msgspec.structs import replace

from mlvitals.exporters.parts import FileProblem, RepeatedRows, Window
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reading.ids import DistinctRows
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.log import Log, Plan, Task
from mlvitals.exporters.reading.scan import Chunk
from mlvitals.exporters.reading.sources import Reader
from mlvitals.exporters.reading.text import Columns
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.concept.baseline import gap_reference
from mlvitals.exporters.sections.concept.report import ConceptReport
from mlvitals.exporters.sections.events.measure import measure_events
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.exporters.sections.features.drift import ColumnResult, WindowCounts, compare
from mlvitals.exporters.sections.features.newest_scores import NewestScores, newest_scores
from mlvitals.exporters.sections.outcomes.columns import (
    PREDICTED_CLASS,
    probability_columns,
    score_column,
    scores_of,
)
from mlvitals.exporters.sections.outcomes.estimate import estimated_performance
from mlvitals.exporters.sections.outcomes.measure import joined_outcomes
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.sections.segments.count import NO_CELLS, Segmentation, SegmentOutcomes, SegmentTally
from mlvitals.exporters.sections.segments.measure import segment_reports
from mlvitals.exporters.sections.segments.report import SegmentsReport
from mlvitals.exporters.sections.skew.measure import measure_skew
from mlvitals.exporters.sections.skew.report import SkewReport
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import ColumnProblem, FeatureProfile, profile_column
from mlvitals.exporters.window.findings import with_findings
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import ConceptStatus, Status
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, OutcomeKind, Spec

MOST_ATTEMPTS = 3
"""A window is measured that often where files are changed while they are read."""


class OfClass(NamedTuple):
    """The probability of a class, as the name of a target."""

    name: str


TargetName: TypeAlias = "str | OfClass | None"
"""A feature, the probability of a class, or, where it is None, the score."""


@dataclass(frozen=True, slots=True)
class Target:
    """A column that is counted: its place in the log, and the cells it is counted on."""

    name: TargetName
    column: str
    cells: Cells


@dataclass(frozen=True, slots=True)
class Unfit:
    """Rows of files whose column is of another type than its target."""

    rows: int
    values: int
    """Those that have a value."""
    problems: tuple[FileProblem, ...]

    def merge(self, other: "Unfit") -> "Unfit":
        """Return the rows of both."""
        return Unfit(self.rows + other.rows, self.values + other.values, self.problems + other.problems)


@dataclass(slots=True)
class Tally:
    """The counts so far, of one file or of many."""

    rows: int = 0
    results: dict[TargetName, ColumnResult] = field(default_factory=dict)
    """By target's name. A target whose column was in no file is not in here."""
    unfit: dict[TargetName, Unfit] = field(default_factory=dict)
    """By target's name, what could not be counted."""
    lacking: dict[str, frozenset[str]] = field(default_factory=dict)
    """By file, the wanted columns that it lacks."""
    problems: list[FileProblem] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    """Columns of the log that are not measured."""
    segments: SegmentTally = field(default_factory=SegmentTally)
    repeated: RepeatedRows | None = None
    """The rows that were left out for repeating an id; None where rows have none."""

    def count(self, name: TargetName, result: FeatureProfile | Unfit) -> None:
        """Add what was counted of one target, or could not be."""
        if isinstance(result, Unfit):
            self.unfit[name] = self.unfit[name].merge(result) if name in self.unfit else result
        else:
            known = self.results.get(name)
            self.results[name] = known.merge(result) if isinstance(known, FeatureProfile) else result

    def settle(self, targets: Sequence[Target]) -> None:
        """Decide about what could not be counted, as of single values: half of a column or more is another type.

        A smaller part, such as one small file of many, counts as missing.
        """
        for target in targets:
            unfit = self.unfit.get(target.name)
            if unfit is None:
                continue
            found = self.results.get(target.name, FeatureProfile.empty(target.cells))
            values = found.values if isinstance(found, FeatureProfile) else 0
            if unfit.values >= values:
                first = unfit.problems[0]
                self.results[target.name] = ColumnProblem(Status.TYPE_MISMATCH, f"{first.path}: {first.problem}")
            elif isinstance(found, FeatureProfile):
                missing = FeatureProfile(np.zeros_like(found.counts), rows=unfit.rows, nulls=unfit.rows)
                self.results[target.name] = found.merge(missing)
                self.problems += dict.fromkeys(unfit.problems)

    def merge(self, other: "Tally") -> None:
        """Add what was counted elsewhere."""
        self.rows += other.rows
        self.lacking |= other.lacking
        self.problems += other.problems
        self.others |= other.others
        self.segments.merge(other.segments)
        for name, unfit in other.unfit.items():
            self.count(name, unfit)
        for name, result in other.results.items():
            if isinstance(result, FeatureProfile):
                self.count(name, result)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure_window(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    reference_version: str,
    window: Window,
    measured_at: datetime,
    workers: int | None = None,
    known: KnownFiles | None = None,
) -> WindowReport:
    """Measure one window of the prediction log against a reference.

    Where a file was changed while it was read, the window is measured again; a file that never rests is a problem.

    Args:
        spec: the system's spec.
        base_dir: where the spec's relative paths start.
        reference: the baseline.
        reference_version: the version under which it is stored.
        window: the interval.
        measured_at: now, aware.
        workers: threads that profile columns; default one for each usable core. Sorting and searching, nearly all
            of the work, run without Python's lock.
        known: what was learnt of the log's files by earlier windows; more is added to it.

    Raises:
        LogError: the log as a whole cannot be read. What is wrong with single files is in the report instead.

    """
    return measure_windows(spec, base_dir, reference, reference_version, [window], measured_at, workers, known)[0]


def measure_windows(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    reference_version: str,
    windows: Sequence[Window],
    measured_at: datetime,
    workers: int | None = None,
    known: KnownFiles | None = None,
) -> list[WindowReport]:
    """Measure several windows in one pass over the prediction log, with the results of measuring one after the other.

    A file of text is parsed whole, whichever rows are wanted: of one file that holds the rows of many windows
    each would pay for all. Counts of all windows are in memory. See `measure_window`.

    Raises:
        ArtifactError: the reference was built under another condition than the spec's.
    """
    reference.check(spec)
    known = KnownFiles() if known is None else known
    for _ in range(MOST_ATTEMPTS):
        known.disturbed = False
        reports = _measured_once(spec, base_dir, reference, reference_version, windows, measured_at, workers, known)
        if not known.disturbed:
            break
    return reports


def _measured_once(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    reference_version: str,
    windows: Sequence[Window],
    measured_at: datetime,
    workers: int | None,
    known: KnownFiles,
) -> list[WindowReport]:
    targets = _targets(spec, reference)
    with ThreadPoolExecutor(workers or usable_cores(), "profile") as pool:
        plans = [_Plans(spec, base_dir, reference, targets, window, measured_at, known, pool) for window in windows]
        Log(spec.prediction_log, base_dir, known=known).serve(*(task for plan in plans for task in plan.tasks))
    return [plan.report(reference_version) for plan in plans]


class _Plans:
    """The tasks of one window, and the report that they make."""

    def __init__(
        self,
        spec: Spec,
        base_dir: Path,
        reference: Reference,
        targets: tuple[Target, ...],
        window: Window,
        measured_at: datetime,
        known: KnownFiles,
        pool: Executor,
    ) -> None:
        self._spec, self._base_dir, self._reference, self._targets = spec, base_dir, reference, targets
        self._window, self._measured_at, self._known = window, measured_at, known
        log = spec.prediction_log
        are_classes = log.outcome is not None and log.outcome.kind is OutcomeKind.MULTICLASS
        self._by_segment = SegmentOutcomes(log.segments, are_classes=are_classes)
        cells = reference.score.cells if reference.score else NO_CELLS
        segmentation = Segmentation(spec.prediction_log.segments, score_column(spec), cells)
        self._counted = Task(_count(spec, targets, segmentation, window, pool))
        self._newest = Task(_newest_scores(spec, reference, window))
        self._skew = Task(measure_skew(spec, base_dir, reference, window, known))
        self._outcomes = Task(_outcomes(spec, base_dir, reference, window, measured_at, self._by_segment, known))
        self._estimated = Task(estimated_performance(spec, reference.outcome, window))

    @property
    def tasks(self) -> tuple[Task[Any], ...]:
        """Return the tasks to serve."""
        return self._counted, self._newest, self._skew, self._outcomes, self._estimated

    def report(self, reference_version: str) -> WindowReport:
        """Return the report, once all tasks were served."""
        spec, reference, window, tally = self._spec, self._reference, self._window, self._counted.result
        if not tally.rows:
            # Nothing is missing from an empty window; there is too little of everything.
            tally.results = {target.name: FeatureProfile.empty(target.cells) for target in self._targets}
        outcomes = self._outcomes.result
        joined = outcomes and replace(outcomes, estimated=self._estimated.result)
        of_segments = self._by_segment if joined and joined.feedback_rate is not None else None
        has_events = spec.business.events_log is not None
        return report_on(
            spec,
            reference,
            reference_version,
            WindowCounts(
                window=window,
                profiles={name: result for name, result in tally.results.items() if isinstance(name, str)},
                score=tally.results.get(None),
                probabilities={name.name: found for name, found in tally.results.items() if isinstance(name, OfClass)},
                newest_scores=self._newest.result,
                unknown_columns=tuple(sorted(tally.others - spec.known_columns - {*reference.columns})),
            ),
            rows=tally.rows,
            repeated=tally.repeated,
            measured_at=self._measured_at,
            problems=(*tally.problems, *_partly_lacking(tally, self._targets)),
            skew=self._skew.result,
            outcomes=joined,
            segments=segment_reports(spec, reference, window, tally.segments, of_segments)
            if spec.prediction_log.segments
            else {},
            events=measure_events(spec, self._base_dir, window, self._known) if has_events else None,
        )


def report_on(
    spec: Spec,
    reference: Reference,
    reference_version: str,
    counted: WindowCounts,
    *,
    rows: int,
    measured_at: datetime,
    repeated: RepeatedRows | None = None,
    problems: tuple[FileProblem, ...] = (),
    skew: SkewReport | None = None,
    outcomes: OutcomeReport | None = None,
    segments: Mapping[str, SegmentsReport] = MappingProxyType({}),
    events: EventsReport | None = None,
) -> WindowReport:
    """Compare what was counted in a window with the reference and put the report together.

    Args:
        spec: the system's spec.
        reference: the baseline.
        reference_version: the version under which it is stored.
        counted: the counts of the window.
        rows: rows of the window, each id once.
        measured_at: now, aware.
        repeated: rows that were left out for repeating an id.
        problems: files that could not be measured.
        skew: the report of that section.
        outcomes: the report of that section.
        segments: the report of that section, by segment column.
        events: the report of that section.
    """
    comparison = compare(spec, reference, reference_version, counted)
    report = WindowReport(
        system=spec.system.name,
        window=counted.window,
        measured_at=measured_at,
        reference_version=reference_version,
        reference_created=reference.created,
        rows=rows,
        repeated=repeated,
        features=comparison.features,
        score=comparison.score,
        score_count=comparison.score_count,
        probabilities=comparison.probabilities,
        schema_differences=comparison.schema_differences,
        problems=problems,
        skew=skew,
        outcomes=outcomes,
        segments=dict(segments),
        events=events,
        concept=_expected_gap(spec, reference),
    )
    return with_findings(spec, report)


def _expected_gap(spec: Spec, reference: Reference) -> ConceptReport | None:
    """Return what the training data say of the gap, which the windows before this one complete (`history.judge`)."""
    if not spec.has_gap:
        return None
    grouped = spec.prediction_log.group is not None
    found = gap_reference(reference.outcome, span(spec.mean_length), grouped=grouped)
    return ConceptReport(status=ConceptStatus.LEARNING, reference=found)


def _newest_scores(spec: Spec, reference: Reference, window: Window) -> Plan[NewestScores | None]:
    """Count the newest scores, where the spec asks for it."""
    score, count = spec.prediction_log.score, spec.windows.score_count
    if score is None or reference.score is None or count is None:
        return None
    return (yield from newest_scores(score, reference.score.cells, window, count, spec.prediction_log.id))


def _outcomes(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    window: Window,
    measured_at: datetime,
    by_segment: SegmentOutcomes,
    known: KnownFiles,
) -> Plan[OutcomeReport | None]:
    """Measure the outcomes, where the spec says what they are."""
    if spec.prediction_log.outcome is None:
        return None
    plan = joined_outcomes(spec, base_dir, reference.outcome, window, measured_at, by_segment, known)
    return (yield from plan)


def _targets(spec: Spec, reference: Reference) -> tuple[Target, ...]:
    """Return what can be counted: the features, and the score, that the reference has."""
    features = tuple(
        Target(name, spec.column(name), reference.features[name].cells)
        for name in spec.features
        if name in reference.features
    )
    of_classes = tuple(
        Target(OfClass(name), column, reference.probabilities[name].cells)
        for name, column in probability_columns(spec).items()
        if name in reference.probabilities
    )
    score = score_column(spec)
    if score is None or reference.score is None:
        return (*features, *of_classes)
    return (*features, *of_classes, Target(None, score, reference.score.cells))


def _count(
    spec: Spec, targets: tuple[Target, ...], segmentation: Segmentation, window: Window, pool: Executor
) -> Plan[Tally]:
    """Count the rows of the window in the log, each id once."""
    segments = dict.fromkeys(segmentation.columns, FeatureType.CATEGORICAL)
    columns = segments | {target.column: target.cells.type for target in targets}
    if columns.pop(PREDICTED_CLASS, None) is not None:
        columns |= dict.fromkeys(probability_columns(spec).values(), FeatureType.FLOAT)
    distinct = DistinctRows(spec.prediction_log.id)
    counter = _Counter(
        columns, window, lambda chunk: _tally_of_chunk(spec, chunk, targets, segmentation, pool), distinct
    )
    yield [counter]
    misfits = (FileProblem(path=path, problem=problem) for path, problem in distinct.misfits.items())
    counter.tally.problems += misfits
    counter.tally.settle(targets)
    counter.tally.repeated = distinct.found
    return counter.tally


class _Counter(Reader):
    """Counts whole files; of one that breaks nothing but the problem."""

    def __init__(
        self, columns: Columns, window: Window, count: Callable[[Chunk], Tally], distinct: DistinctRows
    ) -> None:
        super().__init__({**distinct.columns, **columns}, window)
        self._count = count
        self._distinct = distinct
        self._of_file = Tally()
        self.tally = Tally()

    def add(self, chunk: Chunk) -> None:
        """Count some rows of a file."""
        self._of_file.merge(self._count(self._distinct.of(chunk)))

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:
        """Add what was counted of a file."""
        if not broken:
            self.tally.merge(self._of_file)
        self._distinct.end_file(broken=broken)
        self.tally.problems += problems
        self._of_file = Tally()


def _tally_of_chunk(
    spec: Spec, chunk: Chunk, targets: tuple[Target, ...], segmentation: Segmentation, pool: Executor
) -> Tally:
    chunk = _with_predicted_class(spec, chunk)
    present = [target for target in targets if target.column in chunk.columns]
    segments = pool.submit(segmentation.count, chunk.columns, chunk.rows)
    results = pool.map(lambda target: _result(target, chunk), present)
    tally = Tally(
        rows=chunk.rows,
        lacking={chunk.path: chunk.missing} if chunk.missing else {},
        others=set(chunk.others),
        segments=segments.result(),
    )
    for target, result in zip(present, results, strict=True):
        tally.count(target.name, result)
    return tally


def _with_predicted_class(spec: Spec, chunk: Chunk) -> Chunk:
    """Return a chunk with the column of the predicted class, where that follows from others."""
    if score_column(spec) != PREDICTED_CLASS:
        return chunk
    try:
        found = scores_of(spec, chunk.columns, chunk.rows)
    except ColumnTypeError:  # the outcomes of the window say it
        return chunk
    return chunk if found is None else dataclasses.replace(chunk, columns={**chunk.columns, PREDICTED_CLASS: found})


def _result(target: Target, chunk: Chunk) -> FeatureProfile | Unfit:
    column = chunk.columns[target.column]
    try:
        return profile_column(column, target.cells, chunk.times)
    except ColumnTypeError as error:
        reason = str(error) if isinstance(target.name, str) else error.finding
        problem = FileProblem(path=chunk.path, problem=f"column {target.column!r} {reason}")
        return Unfit(len(column), len(column) - column.null_count, (problem,))


def _partly_lacking(tally: Tally, targets: tuple[Target, ...]) -> list[FileProblem]:
    """Return files without a column that others have. One that none has is the feature's own status."""
    elsewhere = {target.column for target in targets if target.name in tally.results} | {*tally.segments.profiles}
    return [
        FileProblem(path=path, problem=f"lacks the columns {', '.join(sorted(columns & elsewhere))}")
        for path, columns in tally.lacking.items()
        if columns & elsewhere
    ]
