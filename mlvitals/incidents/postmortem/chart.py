"""A drawing of a feature's PSI over the windows of an incident, with the moments of the timeline."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from mlvitals.incidents.evidence import WindowFacts
from mlvitals.incidents.timeline.times import Times

WIDTH, HEIGHT = 820, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 800, 62, 262
_LABEL_LINES = 4
_CHARACTER = 6.4
_TIME_TICKS = 5


def psi_chart(feature: str, windows: Sequence[WindowFacts], times: Times) -> str:
    """Return the SVG element: PSI and noise by the end of each window, and a dashed line for each moment."""
    measured = [window for window in windows if _psi(window, feature) is not None]
    if len(measured) < 2:
        return "<p>Too few windows were measured to draw it.</p>"
    elements = "".join(_Chart(feature, measured, times).elements())
    label = escape(f"PSI of {feature} over time")
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{elements}</svg>'


def _psi(window: WindowFacts, feature: str) -> float | None:
    return window.features[feature].psi if feature in window.features else None


class _Chart:
    def __init__(self, feature: str, windows: Sequence[WindowFacts], times: Times) -> None:
        self._points = [(window.end, _psi(window, feature) or 0.0) for window in windows]
        self._noise = [(window.end, window.features[feature].noise or 0.0) for window in windows]
        self._times = times
        self._first, self._last = windows[0].end, windows[-1].end
        self._most = 1.1 * max(value for _, value in self._points) or 1.0

    def elements(self) -> Iterator[str]:
        yield from self._axes()
        yield from self._marks()
        yield f'<polyline class="noise" points="{self._line(self._noise)}"/>'
        yield f'<polyline class="line" points="{self._line(self._points)}"/>'
        for at, value in self._points:
            title = f"{at:%Y-%m-%d %H:%M:%S} UTC: PSI {value:.3f}"
            yield f'<circle class="dot" cx="{self._x(at):.1f}" cy="{self._y(value):.1f}" r="3"><title>{title}</title></circle>'

    def _x(self, at: datetime) -> float:
        part = (at - self._first) / (self._last - self._first)
        return _LEFT + (_RIGHT - _LEFT) * part

    def _y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * value / self._most

    def _line(self, points: Sequence[tuple[datetime, float]]) -> str:
        return " ".join(f"{self._x(at):.1f},{self._y(value):.1f}" for at, value in points)

    def _axes(self) -> Iterator[str]:
        for number in range(5):
            value = self._most * number / 4
            y = self._y(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{value:.2f}</text>'
        for number in range(_TIME_TICKS):
            at = self._first + (self._last - self._first) * number / (_TIME_TICKS - 1)
            anchor = "end" if number == _TIME_TICKS - 1 else "middle" if number else ""
            yield f'<text class="tick {anchor}" x="{self._x(at):.1f}" y="{_BOTTOM + 20}">{at:%m-%d %H:%M}</text>'

    def _marks(self) -> Iterator[str]:
        """A line for each moment that lies within, its name on the first line that has room for it."""
        start = self._times.start.at if self._times.start else None
        moments = {
            "fault begins": start,
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
            yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{12 + 14 * line}" y2="{_BOTTOM}"/>'
            yield f'<text class="mark-text" x="{left:.1f}" y="{14 + 14 * line}">{name}</text>'
