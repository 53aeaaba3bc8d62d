"""A drawing of segments: how many rows each has, how far its scores moved, and its gap to the outcomes.

The drawing is SVG without any style of its own, as in `mlvitals.exporters.publish.html.charts`.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.publish.html.svg import shortened, text
from mlvitals.exporters.sections.segments.report import SegmentReport
from mlvitals.exporters.wording import printable

WIDTH = 760
_HEAD, _ROW, _BAR = 34, 26, 13
_LABEL_END = 168
_ROWS, _ROWS_WIDTH = 180, 100
_PSI, _PSI_WIDTH = 350, 130
_GAP_MIDDLE, _GAP_REACH = 610, 75
_VALUE = 6
"""From the end of a bar to its value."""


def segment_chart(column: str, segments: Sequence[SegmentReport]) -> str:
    """Return the SVG element of the segments of a column, a row for each in the order given."""
    height = _HEAD + _ROW * len(segments) + 4
    label = escape(f"Segments by {printable(column)}")
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}">{"".join(_elements(segments, height))}</svg>'
    )


def _elements(segments: Sequence[SegmentReport], height: int) -> Iterator[str]:
    has_gap = any(segment.gap_shift is not None for segment in segments)
    yield text(_ROWS, _HEAD - 14, "rows", "tick")
    yield text(_PSI, _HEAD - 14, "score PSI | noise", "tick")
    if has_gap:
        yield text(_GAP_MIDDLE, _HEAD - 14, "gap shift, sd | noise", "tick middle")
        yield f'<line class="grid" x1="{_GAP_MIDDLE}" x2="{_GAP_MIDDLE}" y1="{_HEAD - 8}" y2="{height - 4}"/>'
    rows_unit = _ROWS_WIDTH / (max((segment.rows for segment in segments), default=0) or 1)
    psi_unit = _PSI_WIDTH / _largest(segments, lambda segment: segment.score_psi)
    gap_unit = _GAP_REACH / _largest(segments, lambda segment: segment.gap_shift)
    for index, segment in enumerate(segments):
        top = _HEAD + _ROW * index
        yield f"<g><title>{escape(_said(segment))}</title>"
        yield text(_LABEL_END, top + _BAR - 2, shortened(printable(segment.value)), "label end")
        yield _bar("reference", _ROWS, top, rows_unit * segment.rows)
        yield text(_ROWS + rows_unit * segment.rows + _VALUE, top + _BAR - 2, f"{segment.rows:,}", "value")
        yield from _psi(segment.score_psi, top, psi_unit)
        yield from _gap(segment.gap_shift, top, gap_unit)
        yield "</g>"


def _largest(segments: Sequence[SegmentReport], of: Callable[[SegmentReport], Measure | None]) -> float:
    measures = [measure for segment in segments if (measure := of(segment)) is not None]
    return max((max(abs(item.value), item.critical_value) for item in measures), default=0.0) or 1.0


def _psi(psi: Measure | None, top: float, unit: float) -> Iterator[str]:
    if psi is None:
        yield text(_PSI, top + _BAR - 2, "not compared", "tick")
        return
    length = unit * max(psi.value, 0.0)
    yield _bar(psi.severity or "current", _PSI, top, length)
    yield _noise(_PSI + unit * psi.critical_value, top)
    yield text(
        max(_PSI + length, _PSI + unit * psi.critical_value) + _VALUE, top + _BAR - 2, f"{psi.value:.3f}", "value"
    )


def _gap(gap: Measure | None, top: float, unit: float) -> Iterator[str]:
    if gap is None:
        return
    length = unit * abs(gap.value)
    yield _bar(gap.severity or "current", _GAP_MIDDLE - (length if gap.value < 0 else 0), top, length)
    for side in (-1, 1):
        yield _noise(_GAP_MIDDLE + side * unit * gap.critical_value, top)
    yield text(WIDTH - 2, top + _BAR - 2, f"{round(gap.value, 2) or 0:+.2f}".replace("+0.00", "0.00"), "value end")


def _noise(x: float, top: float) -> str:
    return f'<line class="noise" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 2}" y2="{top + _BAR + 2}"/>'


def _said(segment: SegmentReport) -> str:
    """Return the statistics of a segment as text, for who points at it."""
    parts = [f"{printable(segment.value)}: {segment.rows:,} rows"]
    if segment.score_mean is not None:
        parts.append(f"mean score {segment.score_mean:.4g}")
    if segment.score_psi is not None:
        parts.append(f"score PSI {segment.score_psi.value:.3f} against {segment.compared_with}")
    if segment.outcome_mean is not None:
        parts.append(f"mean outcome {segment.outcome_mean:.4g}")
    if segment.gap is not None and segment.expected_gap is not None:
        parts.append(f"prediction minus outcome {segment.gap:+.3g}, expected {segment.expected_gap:+.3g}")
    return ", ".join(parts)


def _bar(kind: str, x: float, y: float, width: float) -> str:
    if width <= 0:
        return ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{_BAR}" rx="2"/>'
