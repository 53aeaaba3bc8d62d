"""Judges the segments of a window against those of the reference: separates noise from change and assigns severities.

Many segments are looked at together, so each critical value is the one that any of them exceeds once in 1000 windows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from msgspec.structs import replace

from mlvitals.exporters.parts import Measure, Window
from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.reference.artifact import Reference, SegmentReference
from mlvitals.exporters.sections.segments.count import (
    OTHER,
    SegmentOutcome,
    SegmentOutcomes,
    SegmentTally,
    folded,
    largest,
)
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.exporters.statistics.distances import psi, psi_critical_value, two_sided
from mlvitals.exporters.statistics.judging import MINIMUM_VALUES, level_limits, measure, worst
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.exporters.statistics.profile import FeatureProfile
from mlvitals.generator.spec.model import Spec


def segment_reports(
    spec: Spec, reference: Reference, window: Window, scores: SegmentTally, outcomes: SegmentOutcomes | None
) -> dict[str, SegmentsReport]:
    """Return reports on the values of each segment column.

    Kept are the values of the reference that occur, however few rows they hold now, and then the largest others: a
    segment stays itself from window to window.

    Args:
        spec: the system's spec.
        reference: the baseline.
        window: the measured window.
        scores: what was counted of it.
        outcomes: what became of the predictions of the mature window; None where the spec has no outcomes.
    """
    columns = spec.prediction_log.segments
    found = {name: _segments(spec, reference, window, name, scores, outcomes) for name in columns}
    everything = [segment for segments in found.values() for segment in segments]
    judge = _Judge(
        spec,
        reference,
        scores=sum(segment.comparable for segment in everything),
        gaps=sum(segment.has_gap(reference, spec) for segment in everything),
    )
    return {
        name: SegmentsReport(
            values=tuple(sorted(map(judge.report, segments), key=lambda report: report.rank)),
            problem=scores.problems.get(name, "" if segments else "the window has no such column, or no rows"),
        )
        for name, segments in found.items()
    }


@dataclass(frozen=True, slots=True)
class _Segment:
    """One value, now and in the baseline."""

    value: str
    now: FeatureProfile | None
    outcome: SegmentOutcome | None
    expected: Counts | None
    """Scores of the reference per cell; None where it has none."""
    counts: Counts | None
    """Scores of the window per cell."""
    own_scores: bool
    """The expected scores are those of this value, not of all."""
    errors: Moments
    """Of the reference's predictions minus outcomes, of this value."""

    @property
    def comparable(self) -> bool:
        """True if both sides have scores enough for a PSI."""
        if self.expected is None or self.counts is None or len(self.expected) < 2:
            return False
        return min(int(self.expected.sum()), int(self.counts.sum())) >= MINIMUM_VALUES

    def has_gap(self, reference: Reference, spec: Spec) -> bool:
        """True if the gap can be held against that of the reference."""
        outcome, normal = spec.prediction_log.outcome, reference.outcome
        if outcome is None or normal is None or self.outcome is None or not spec.has_gap:
            return False
        enough = self.outcome.errors.count >= outcome.minimum_rows and isfinite(self.outcome.errors.mean)
        return enough and normal.kind is outcome.kind and normal.errors.count > 0 and normal.unit > 0


def _segments(
    spec: Spec,
    reference: Reference,
    window: Window,
    column: str,
    scores: SegmentTally,
    outcomes: SegmentOutcomes | None,
) -> list[_Segment]:
    profiles = scores.profiles.get(column, {})
    results = outcomes.by_value(column) if outcomes is not None else {}
    normal = reference.segments.get(column, {})
    sizes = Counter({value: profile.rows for value, profile in profiles.items()})
    sizes.update({value: outcome.predictions for value, outcome in results.items()})
    kept = _kept(sizes, normal, spec.prediction_log.max_segments)
    now, then = folded(profiles, kept), _folded_outcomes(results, kept)
    return [
        _segment(reference, window, value, normal.get(value), now.get(value), then.get(value))
        for value in sorted(now.keys() | then.keys())
    ]


def _kept(sizes: Counter[str], normal: dict[str, SegmentReference], most: int) -> frozenset[str]:
    known = list(largest({value: segment.rows for value, segment in normal.items() if value in sizes}, most))
    new = largest({value: size for value, size in sizes.items() if value not in known}, most - len(known))
    return frozenset((*known, *new))


def _folded_outcomes(outcomes: dict[str, SegmentOutcome], kept: frozenset[str]) -> dict[str, SegmentOutcome]:
    result: dict[str, SegmentOutcome] = {}
    for value, outcome in outcomes.items():
        name = value if value in kept else OTHER
        result[name] = result.get(name, SegmentOutcome()).merge(outcome)
    return result


def _segment(
    reference: Reference,
    window: Window,
    value: str,
    normal: SegmentReference | None,
    now: FeatureProfile | None,
    outcome: SegmentOutcome | None,
) -> _Segment:
    errors = normal.errors if normal else NO_MOMENTS
    if reference.score is None:
        return _Segment(value, now, outcome, None, None, own_scores=False, errors=errors)
    cells = reference.score.cells
    counts = None if now is None else cells.fold(now.counts)
    own = None if normal is None else reference.segment_counts_for(normal, window, len(cells.labels))
    if own is not None and own.sum() >= MINIMUM_VALUES:
        return _Segment(value, now, outcome, own, counts, own_scores=True, errors=errors)
    everyone = cells.fold(reference.counts_for(reference.score, window))
    return _Segment(value, now, outcome, everyone, counts, own_scores=False, errors=errors)


@dataclass(frozen=True, slots=True)
class _Judge:
    """The baseline that a segment is judged against, and how many segments each statistic is compared of."""

    spec: Spec
    reference: Reference
    scores: int
    gaps: int

    def report(self, segment: _Segment) -> SegmentReport:
        """Return what is to be said of a segment."""
        now, compared = segment.now, segment.comparable
        scored = SegmentReport(
            value=segment.value,
            rows=now.rows if now else 0,
            scores=now.values if now else 0,
            score_mean=now.mean if now else None,
            score_psi=self._psi(segment) if compared else None,
            compared_with=("segment" if segment.own_scores else "all rows") if compared else None,
        )
        found = scored if segment.outcome is None else self._with_outcome(scored, segment, segment.outcome)
        judged = (found.score_psi, found.gap_shift)
        return replace(found, severity=worst(figure.severity for figure in judged if figure))

    def _psi(self, segment: _Segment) -> Measure:
        assert segment.expected is not None and segment.counts is not None
        sizes = int(segment.expected.sum()), int(segment.counts.sum())
        noise = psi_critical_value(*sizes, int(np.count_nonzero(segment.expected)), self.scores)
        limits = level_limits(self.spec.alerts.segment_psi, None)
        return measure(psi(segment.expected, segment.counts).value, noise, limits)

    def _with_outcome(self, scored: SegmentReport, segment: _Segment, outcome: SegmentOutcome) -> SegmentReport:
        told = replace(
            scored,
            predictions=outcome.predictions,
            feedback_rate=outcome.answered / outcome.predictions if outcome.predictions else None,
            outcome_mean=_mean(outcome.observed),
            gap=_mean(outcome.errors) if self.spec.has_gap else None,
        )
        if not segment.has_gap(self.reference, self.spec):
            return told
        expected = self._expected_errors(segment)
        return replace(told, expected_gap=expected.mean, gap_shift=self._gap_shift(outcome.errors, expected))

    def _expected_errors(self, segment: _Segment) -> Moments:
        normal, outcome = self.reference.outcome, self.spec.prediction_log.outcome
        assert normal is not None and outcome is not None
        own = segment.errors
        return own if own.count >= outcome.minimum_rows and isfinite(own.mean) else normal.errors

    def _gap_shift(self, now: Moments, then: Moments) -> Measure:
        """Return the larger spread of both: a few outcomes that are all alike have none of their own."""
        assert self.reference.outcome is not None
        unit = self.reference.outcome.unit
        spread = max(now.variance, then.variance)
        noise = two_sided(self.gaps) * sqrt(spread * (1 / now.count + 1 / then.count)) / unit
        return measure((now.mean - then.mean) / unit, noise, level_limits(self.spec.alerts.segment_gap, None))


def _mean(moments: Moments) -> float | None:
    return moments.mean if moments.count and isfinite(moments.mean) else None
