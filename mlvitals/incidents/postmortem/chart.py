"""Drawings of what was measured over an incident, with the moments of the timeline: a feature's PSI, KPIs, errors."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from mlvitals.incidents.evidence import LineFacts, Point, WindowFacts
from mlvitals.incidents.timeline.times import Times

_WIDTH = 820
_LEFT, _RIGHT, _TOP = 52, 800, 62
_TALL, _FLAT = 200, 90
"""Heights of the drawing itself: of PSI, and of each metric below it."""
_LABEL_LINES = 4
_CHARACTER = 6.4
_TIME_TICKS = 5


def psi_chart(feature: str, windows: Sequence[WindowFacts], times: Times) -> str:
    """Return the SVG element: PSI and noise by the end of each window, and a dashed line for each moment."""
    measured = [(window.end, window.features[feature]) for window in windows if feature in window.features]
    points = [Point(at, facts.psi) for at, facts in measured if facts.psi is not None]
    noise = [Point(at, facts.noise) for at, facts in measured if facts.noise is not None]
    return _drawn(f"PSI of {feature}", points, times, _TALL, noise)


def line_chart(line: LineFacts, times: Times) -> str:
    """Return the SVG element: a metric by the end of each interval, and a dashed line for each moment."""
    return _drawn(line.title, line.points, times, _FLAT)


def _drawn(name: str, points: Sequence[Point], times: Times, height: int, noise: Sequence[Point] = ()) -> str:
    if len(points) < 2:
        return "<p>Too few windows were measured to draw it.</p>"
    elements = "".join(_Chart(name, points, times, height, noise).elements())
    box = f"0 0 {_WIDTH} {_TOP + height + 38}"
    return f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(name)} over time">{elements}</svg>'


class _Chart:
    def __init__(self, name: str, points: Sequence[Point], times: Times, height: int, noise: Sequence[Point]) -> None:
        self._name, self._points, self._noise, self._times = name, points, noise, times
        self._height, self._bottom = height, _TOP + height
        self._first, self._last = points[0].at, points[-1].at
        self._most = 1.1 * max(point.value for point in (*points, *noise)) or 1.0
        self._ticks = 4 if height == _TALL else 2

    def elements(self) -> Iterator[str]:
        yield from self._axes()
        yield from self._marks()
        yield f'<polyline class="noise" points="{self._line(self._noise)}"/>'
        yield f'<polyline class="line" points="{self._line(self._points)}"/>'
        for point in self._points:
            title = escape(f"{point.at:%Y-%m-%d %H:%M:%S} UTC: {self._name} {point.value:.4g}")
            place = f'cx="{self._x(point.at):.1f}" cy="{self._y(point.value):.1f}"'
            yield f'<circle class="dot" {place} r="3"><title>{title}</title></circle>'

    def _x(self, at: datetime) -> float:
        part = (at - self._first) / (self._last - self._first)
        return _LEFT + (_RIGHT - _LEFT) * part

    def _y(self, value: float) -> float:
        return self._bottom - self._height * value / self._most

    def _line(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self._x(point.at):.1f},{self._y(point.value):.1f}" for point in points)

    def _axes(self) -> Iterator[str]:
        for number in range(self._ticks + 1):
            value = self._most * number / self._ticks
            y = self._y(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{value:.2g}</text>'
        for number in range(_TIME_TICKS):
            at = self._first + (self._last - self._first) * number / (_TIME_TICKS - 1)
            anchor = "end" if number == _TIME_TICKS - 1 else "middle" if number else ""
            yield f'<text class="tick {anchor}" x="{self._x(at):.1f}" y="{self._bottom + 20}">{at:%m-%d %H:%M}</text>'

    def _marks(self) -> Iterator[str]:
        """A line for each moment that lies within, its name on the first line that has room for it."""
        start = self._times.start.at if self._times.start else None
        moments = {
            "fault starts": start,
            "detected": self._times.detected,
            "acknowledged": self._times.acknowledged,
            "mitigated": self._times.mitigated,
            "resolved": self._times.resolved,
        }
        within = [(name, at) for name, at in moments.items() if at and self._first <= at <= self._last]
        taken = [float("-inf")] * _LABEL_LINES
        for name, at in sorted(within, key=lambda item: item[1]):
            x = self._x(at)
            width = len(name) * _CHARACTER
            left = min(x + 3, _RIGHT - width)
            line = next((number for number, end in enumerate(taken) if end < left), _LABEL_LINES - 1)
            taken[line] = left + width + 4
            yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{12 + 14 * line}" y2="{self._bottom}"/>'
            yield f'<text class="mark-text" x="{left:.1f}" y="{14 + 14 * line}">{name}</text>'
