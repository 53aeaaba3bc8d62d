"""Metric families by segment."""

from collections.abc import Iterator

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import OutcomeKind, Spec

SEGMENT_LABELS = ("segment", "segment_value")
"""The labels of a segment: the column, and its value."""


def segment_families(spec: Spec) -> Iterator[Family]:
    """Yield the families by segment, if the spec has segments: of the score and of the outcomes, if it has these."""
    log = spec.prediction_log
    if not log.segments:
        return
    yield gauge("segment_rows", "Rows of the segment in the last window.", *SEGMENT_LABELS)
    if spec.score_type is not None:
        yield from _SCORES if log.score else _SCORE_PSI
    if log.outcome:
        yield from _OUTCOMES
        yield from () if log.outcome.kind is OutcomeKind.MULTICLASS else _MEANS
    if spec.has_gap:
        yield from _GAPS


_SCORE_PSI = (
    gauge(
        "segment_score_psi",
        "Population stability index of the segment's scores against the reference, 0 and up.",
        *SEGMENT_LABELS,
    ),
    gauge(
        "segment_score_psi_critical_value",
        "Score PSI that noise alone exceeds in any segment once in 1000 windows.",
        *SEGMENT_LABELS,
    ),
)
_SCORES = (gauge("segment_score_mean", "Mean score of the segment.", *SEGMENT_LABELS), *_SCORE_PSI)
_OUTCOMES = (
    gauge(
        "segment_feedback_rate",
        "Share of the segment's mature predictions that received a valid outcome, 0 to 1.",
        *SEGMENT_LABELS,
    ),
)
_MEANS = (gauge("segment_outcome_mean", "Mean outcome of the segment in the mature window.", *SEGMENT_LABELS),)
_GAPS = (
    gauge(
        "segment_gap",
        "Mean of prediction minus outcome of the segment; of classes, its share of wrong predictions.",
        *SEGMENT_LABELS,
    ),
    gauge(
        "segment_gap_shift",
        "The segment's gap minus the reference's, in standard deviations of the reference's outcomes; of classes, of whether "
        "predictions are wrong.",
        *SEGMENT_LABELS,
    ),
    gauge(
        "segment_gap_shift_critical_value",
        "Shift that noise alone exceeds in any segment once in 1000 windows.",
        *SEGMENT_LABELS,
    ),
)
