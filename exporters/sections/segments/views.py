"""What is published of segments, by the family's short name."""

from collections.abc import Callable, Iterable, Mapping

from mlvitals.exporters.parts import Sample, critical_value_of, value_of
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.exporters.wording import printable


def samples_of_segments(segments: Mapping[str, SegmentsReport]) -> dict[str, Iterable[Sample]]:
    """Each figure of each segment; what is undefined is None."""
    return {
        short: [
            ((column, segment.value), figure(segment)) for column, found in segments.items() for segment in found.values
        ]
        for short, figure in _FIGURES.items()
    }


_FIGURES: dict[str, Callable[[SegmentReport], float | None]] = {
    "segment_rows": lambda segment: segment.rows,
    "segment_score_mean": lambda segment: segment.score_mean,
    "segment_score_psi": lambda segment: value_of(segment.score_psi),
    "segment_score_psi_critical_value": lambda segment: critical_value_of(segment.score_psi),
    "segment_feedback_rate": lambda segment: segment.feedback_rate,
    "segment_outcome_mean": lambda segment: segment.outcome_mean,
    "segment_gap": lambda segment: segment.gap,
    "segment_gap_shift": lambda segment: value_of(segment.gap_shift),
    "segment_gap_shift_critical_value": lambda segment: critical_value_of(segment.gap_shift),
}


def segment_findings(segments: Mapping[str, SegmentsReport]) -> list[str]:
    """A line for each segment that drifts, worst first, and for each column that could not be measured."""
    found = [(column, segment) for column, report in segments.items() for segment in report.values if segment.severity]
    lines = [_segment(column, segment) for column, segment in sorted(found, key=lambda item: item[1].rank)]
    problems = {column: report.problem for column, report in segments.items() if report.problem}
    return [*lines, *(f"{printable(column)}: {printable(problem)}" for column, problem in problems.items())]


def _segment(column: str, segment: SegmentReport) -> str:
    psi, gap = segment.score_psi, segment.gap_shift
    parts = [f"{segment.rows:,} rows"]
    if psi and psi.severity:
        parts.append(f"score PSI {psi.value:.3f} (noise {psi.critical_value:.3f})")
    if gap and gap.severity and segment.gap is not None and segment.expected_gap is not None:
        parts.append(f"predicted less observed {segment.gap:+.3g}, expected {segment.expected_gap:+.3g}")
    return f"{segment.severity}: {printable(column)} {printable(segment.value)}: {', '.join(parts)}"
