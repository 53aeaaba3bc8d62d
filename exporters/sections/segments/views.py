"""Segments as gauges and as lines for people."""

from collections.abc import Callable, Iterator, Mapping

from mlvitals.exporters.parts import Line, Samples, critical_value_of, value_of
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.exporters.wording import printable
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import Severity


def gauges(contract: Contract, segments: Mapping[str, SegmentsReport]) -> Samples:
    """Return each statistic of each segment whose column the spec still names."""
    known = {column: segments[column] for column in contract.spec.prediction_log.segments if column in segments}
    return {
        short: [
            ((column, segment.value), figure(segment)) for column, found in known.items() for segment in found.values
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


def lines(segments: Mapping[str, SegmentsReport]) -> list[Line]:
    """Return a line for each segment that drifts, worst first, and for each column that could not be measured."""
    measured = [(column, segment) for column, report in segments.items() for segment in report.values]
    drifting = [(column, segment) for column, segment in measured if segment.severity]
    problems = {column: report.problem for column, report in segments.items() if report.problem}
    if not drifting and not problems:
        return []
    return [
        Line(f"{len(drifting)} of {len(measured)} drift"),
        *(
            Line(_line(column, segment), segment.severity)
            for column, segment in sorted(drifting, key=lambda item: item[1].rank)
        ),
        *(Line(f"{printable(column)}: {printable(text)}", Severity.WARNING) for column, text in problems.items()),
    ]


def _line(column: str, segment: SegmentReport) -> str:
    psi, gap = segment.score_psi, segment.gap_shift
    parts = [f"{segment.rows:,} rows"]
    if psi and psi.severity:
        parts.append(f"score PSI {psi.value:.3f} (noise {psi.critical_value:.3f})")
    if gap and gap.severity and segment.gap is not None and segment.expected_gap is not None:
        parts.append(f"predicted minus observed {segment.gap:+.3g}, expected {segment.expected_gap:+.3g}")
    return f"{segment.severity}: {printable(column)} {printable(segment.value)}: {', '.join(parts)}"


def unmeasured(segments: Mapping[str, SegmentsReport]) -> Iterator[str]:
    """Yield the columns that could not be measured, or only in part."""
    for column, report in segments.items():
        if report.problem:
            yield f"segments by {printable(column)} not measured in full"
