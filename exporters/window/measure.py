"""One window end to end: read, profile, merge, compare.

Files are read batch by batch, the columns of a batch are profiled side by side, and the profiles are added in the
order of files and batches: memory does not grow with the rows, and the number of workers changes no figure.
"""

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.log import BrokenFileError, Chunk, files_of_window, read_file
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.events.measure import measure_events
from mlvitals.exporters.sections.features.drift import Outcome, compare
from mlvitals.exporters.sections.features.newest_scores import NewestScores, newest_scores
from mlvitals.exporters.sections.outcomes.measure import measure_outcomes
from mlvitals.exporters.sections.segments.count import Segmentation, SegmentOutcomes, SegmentTally
from mlvitals.exporters.sections.segments.measure import segment_reports
from mlvitals.exporters.sections.skew.measure import measure_skew
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import ColumnProblem, FeatureProfile, profile_column
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import FeatureType, Spec


@dataclass(frozen=True, slots=True)
class Target:
    """A feature, or the score (then `name` is None): where it is in the log, and the cells it is counted on."""

    name: str | None
    column: str
    cells: Cells


@dataclass(slots=True)
class Tally:
    """What was counted so far, of one file or of many."""

    rows: int = 0
    outcomes: dict[str | None, Outcome] = field(default_factory=dict)
    """By target's name. A target whose column was in no file is not in here."""
    lacking: dict[str, frozenset[str]] = field(default_factory=dict)
    """By file, the wanted columns that it lacks."""
    problems: list[FileProblem] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    """Columns of the log that are not measured."""
    segments: SegmentTally = field(default_factory=SegmentTally)

    def count(self, name: str | None, outcome: Outcome) -> None:
        """Add what was counted of one target; a problem stays a problem, whatever is counted elsewhere."""
        known = self.outcomes.get(name)
        if known is None:
            self.outcomes[name] = outcome
        elif isinstance(known, FeatureProfile):
            self.outcomes[name] = known.merge(outcome) if isinstance(outcome, FeatureProfile) else outcome

    def merge(self, other: "Tally") -> None:
        """Add what was counted elsewhere."""
        self.rows += other.rows
        self.lacking |= other.lacking
        self.problems += other.problems
        self.others |= other.others
        self.segments.merge(other.segments)
        for name, outcome in other.outcomes.items():
            self.count(name, outcome)


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(
    spec: Spec,
    base_dir: Path,
    reference: Reference,
    reference_version: str,
    window: Window,
    measured_at: datetime,
    workers: int | None = None,
) -> WindowReport:
    """Measure one window of the prediction log against a reference.

    Args:
        spec: the system's spec.
        base_dir: where the spec's relative paths start.
        reference: what is normal.
        reference_version: the version under which it is stored.
        window: the stretch of time.
        measured_at: now, aware.
        workers: threads that profile columns; default one for each usable core. Sorting and searching, nearly all
            of the work, run without Python's lock.

    Raises:
        LogError: the log as a whole cannot be read. What is wrong with single files is in the report instead.

    """
    targets = _targets(spec, reference)
    segmentation = Segmentation.of(spec.prediction_log, reference.score.cells if reference.score else None)
    tally = Tally()
    with ThreadPoolExecutor(workers or usable_cores(), "profile") as pool:
        for file in files_of_window(spec.prediction_log, base_dir, window):
            tally.merge(_tally_of(file, spec, targets, segmentation, window, pool))
    if not tally.rows:
        # Nothing is missing from an empty window; there is too little of everything.
        tally.outcomes = {target.name: FeatureProfile.empty(target.cells) for target in targets}
    report = compare(
        spec,
        reference,
        reference_version=reference_version,
        window=window,
        profiles={name: outcome for name, outcome in tally.outcomes.items() if name is not None},
        score=tally.outcomes.get(None),
        rows=tally.rows,
        problems=[*tally.problems, *_partly_lacking(tally, targets)],
        measured_at=measured_at,
        newest_scores=_newest_scores(spec, base_dir, reference, window),
        unknown_columns=sorted(tally.others - spec.known_columns - {*reference.columns}),
    )
    if spec.skew.path:
        report = replace(report, skew=measure_skew(spec, base_dir, reference, window))
    by_segment = None
    if spec.prediction_log.outcome is not None:
        by_segment = SegmentOutcomes(spec.prediction_log.segments)
        outcomes = measure_outcomes(spec, base_dir, reference.outcome, window, measured_at, by_segment)
        report = replace(report, outcomes=outcomes)
        if outcomes.feedback_rate is None:
            by_segment = None
    if spec.prediction_log.segments:
        segments = segment_reports(spec, reference, window, tally.segments, by_segment)
        report = replace(report, segments=segments)
    if spec.business.events_log is not None:
        report = replace(report, events=measure_events(spec, base_dir, window))
    return report


def _newest_scores(spec: Spec, base_dir: Path, reference: Reference, window: Window) -> NewestScores | None:
    """The count window of the scores, where the spec asks for one."""
    count = spec.windows.score_count
    if spec.prediction_log.score is None or reference.score is None or count is None:
        return None
    return newest_scores(spec.prediction_log, base_dir, reference.score.cells, window, count)


def _targets(spec: Spec, reference: Reference) -> tuple[Target, ...]:
    """What can be counted: the features, and the score, that the reference has."""
    features = tuple(
        Target(name, spec.column(name), reference.features[name].cells)
        for name in spec.features
        if name in reference.features
    )
    score = spec.prediction_log.score
    if score is None or reference.score is None:
        return features
    return (*features, Target(None, score, reference.score.cells))


def _tally_of(
    file: StoredFile | SqlTable | FileProblem,
    spec: Spec,
    targets: tuple[Target, ...],
    segmentation: Segmentation,
    window: Window,
    pool: Executor,
) -> Tally:
    """What one file holds of the window; nothing but the problem where it breaks."""
    if isinstance(file, FileProblem):
        return Tally(problems=[file])
    log, segments = spec.prediction_log, dict.fromkeys(segmentation.columns, FeatureType.CATEGORICAL)
    columns = segments | {target.column: target.cells.type for target in targets}
    tally = Tally()
    try:
        for item in read_file(file, log.format, columns, log.timestamp, window):
            if isinstance(item, FileProblem):
                tally.problems.append(item)
            else:
                tally.merge(_tally_of_chunk(item, targets, segmentation, pool))
    except BrokenFileError as error:
        return Tally(problems=[FileProblem(path=file.path, problem=str(error))])
    return tally


def _tally_of_chunk(chunk: Chunk, targets: tuple[Target, ...], segmentation: Segmentation, pool: Executor) -> Tally:
    present = [target for target in targets if target.column in chunk.columns]
    segments = pool.submit(segmentation.count, chunk.columns, chunk.rows)
    outcomes = pool.map(lambda target: _outcome(target, chunk), present)
    return Tally(
        rows=chunk.rows,
        outcomes={target.name: outcome for target, outcome in zip(present, outcomes, strict=True)},
        lacking={chunk.path: chunk.missing} if chunk.missing else {},
        others=set(chunk.others),
        segments=segments.result(),
    )


def _outcome(target: Target, chunk: Chunk) -> Outcome:
    try:
        return profile_column(chunk.columns[target.column], target.cells, chunk.times)
    except ColumnTypeError as error:
        return ColumnProblem(Status.TYPE_MISMATCH, f"{chunk.path}: column {target.column!r} {error}")


def _partly_lacking(tally: Tally, targets: tuple[Target, ...]) -> list[FileProblem]:
    """Files without a column that others have. One that none has is the feature's own status."""
    elsewhere = {target.column for target in targets if target.name in tally.outcomes} | {*tally.segments.profiles}
    return [
        FileProblem(path=path, problem=f"lacks the columns {', '.join(sorted(columns & elsewhere))}")
        for path, columns in tally.lacking.items()
        if columns & elsewhere
    ]
