"""What is published of segments, by the family's short name."""

from collections.abc import Callable, Iterable, Mapping

from exporters.report_parts import Measure
from exporters.sample import Sample
from exporters.segment_report import SegmentReport, SegmentsReport


def samples_of_segments(segments: Mapping[str, SegmentsReport]) -> dict[str, Iterable[Sample]]:
    """Each figure of each segment; what is undefined is None."""
    return {
        short: [
            ((column, segment.value), figure(segment)) for column, found in segments.items() for segment in found.values
        ]
        for short, figure in _FIGURES.items()
    }


def _value(measure: Measure | None) -> float | None:
    return None if measure is None else measure.value


def _critical_value(measure: Measure | None) -> float | None:
    return None if measure is None else measure.critical_value


_FIGURES: dict[str, Callable[[SegmentReport], float | None]] = {
    "segment_rows": lambda segment: segment.rows,
    "segment_score_mean": lambda segment: segment.score_mean,
    "segment_score_psi": lambda segment: _value(segment.score_psi),
    "segment_score_psi_critical_value": lambda segment: _critical_value(segment.score_psi),
    "segment_feedback_rate": lambda segment: segment.feedback_rate,
    "segment_outcome_mean": lambda segment: segment.outcome_mean,
    "segment_gap": lambda segment: segment.gap,
    "segment_gap_shift": lambda segment: _value(segment.gap_shift),
    "segment_gap_shift_critical_value": lambda segment: _critical_value(segment.gap_shift),
}
