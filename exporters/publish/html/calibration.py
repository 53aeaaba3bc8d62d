"""A drawing of calibration: what scores promised against what came, with the interval of each range.

The drawing is SVG without any style of its own, as in `mlvitals.exporters.publish.html.charts`.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from mlvitals.exporters.publish.html.svg import text
from mlvitals.exporters.sections.outcomes.report import CalibrationBin
from mlvitals.exporters.statistics.judging import wilson_interval
from mlvitals.exporters.wording import share

WIDTH, HEIGHT = 420, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 400, 14, 278
_RADIUS = 4.5
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


class _Words(NamedTuple):
    """The names of the axes, and of what is observed within a sentence."""

    predicted: str
    observed: str
    came: str


_OF_SCORES = _Words("mean score", "positive outcomes", "positive")
_OF_CLASSES = _Words("mean probability of the predicted class", "predicted right", "right")


def calibration_chart(bins: Sequence[CalibrationBin], *, of_classes: bool = False) -> str:
    """Return the SVG element of a calibration curve: a point for each range of scores, joined in their order."""
    words = _OF_CLASSES if of_classes else _OF_SCORES
    return (
        f'<svg class="chart calibration" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Share of {words.observed} by {words.predicted}">{"".join(_elements(bins, words))}</svg>'
    )


def _elements(bins: Sequence[CalibrationBin], words: _Words) -> Iterator[str]:
    for tick in _TICKS:
        yield _line("grid", _x(tick), _x(tick), _TOP, _BOTTOM)
        yield _line("grid", _LEFT, _RIGHT, _y(tick), _y(tick))
        yield text(_x(tick), _BOTTOM + 18, f"{tick:.0%}", "tick middle")
        yield text(_LEFT - 8, _y(tick) + 4, f"{tick:.0%}", "tick end")
    yield text((_LEFT + _RIGHT) / 2, HEIGHT - 12, words.predicted, "tick middle")
    yield f'<text class="tick middle" transform="translate(14 {(_TOP + _BOTTOM) / 2}) rotate(-90)">{words.observed}</text>'
    yield _line("perfect", _x(0), _x(1), _y(0), _y(1))
    points = " ".join(f"{_x(item.predicted):.1f},{_y(item.observed):.1f}" for item in bins)
    yield f'<polyline class="curve" points="{points}"/>'
    for item in bins:
        yield from _point(item, words)


def _point(item: CalibrationBin, words: _Words) -> Iterator[str]:
    known = wilson_interval(item.observed * item.count, item.count)
    told = f"{item.count:,} predictions: {words.predicted} {share(item.predicted)}, {share(item.observed)} {words.came}"
    yield "<g>"
    yield f"<title>{escape(told)}</title>"
    if known:
        yield _line("whisker", _x(item.predicted), _x(item.predicted), _y(known.low), _y(known.high))
    yield f'<circle class="current" cx="{_x(item.predicted):.1f}" cy="{_y(item.observed):.1f}" r="{_RADIUS}"/>'
    yield "</g>"


def _x(ratio: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * ratio


def _y(ratio: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * ratio


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'
