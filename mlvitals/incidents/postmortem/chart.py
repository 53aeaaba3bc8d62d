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


def charts(feature: str, windows: Sequence[WindowFacts], lines: Sequence[LineFacts], times: Times) -> Iterator[str]:
    """Yield headings and SVG elements on one time axis: the feature's PSI and noise, then each line; moments are dashed."""
    measured = [(window.end, window.features[feature]) for window in windows if feature in window.features]
    psi = [Point(at, facts.psi) for at, facts in measured if facts.psi is not None]
    noise = [Point(at, facts.noise) for at, facts in measured if facts.noise is not None]
    moments = [point.at for points in (psi, *(line.points for line in lines)) for point in points]
    drawn = [(f"PSI of {feature}", psi, noise, _TALL), *((line.title, line.points, (), _FLAT) for line in lines)]
    for name, points, below, height in drawn:
        yield f"<h3>{escape(name)}</h3>"
        if len(points) < 2:
            yield "<p>Too few windows were measured to draw it.</p>"
            continue
        elements = "".join(_Chart(name, points, below, (min(moments), max(moments)), times, height).elements())
        box = f"0 0 {_WIDTH} {_TOP + height + 38}"
        yield f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(name)} over time">{elements}</svg>'


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


class _Chart:
    def __init__(
        self,
        name: str,
        points: Sequence[Point],
        noise: Sequence[Point],
        axis: tuple[datetime, datetime],
        times: Times,
        height: int,
    ) -> None:
        self._name, self._points, self._noise, self._times = name, points, noise, times
        self._height, self._bottom = height, _TOP + height
        self._first, self._last = axis
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
            yield f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{_tick(value)}</text>'
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
