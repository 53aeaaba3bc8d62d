"""Drawings over time: levels of many things as a heatmap, and lines. They share one axis, so that moments line up.

A drawing is SVG that is stretched to the width it is given, next to names and ticks that are text of the page and keep
their size. It has no style of its own, as in `mlvitals.exporters.publish.html.charts`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import NamedTuple

from mlvitals.exporters.publish.html.document import safe
from mlvitals.exporters.window.summary import CellLevel
from mlvitals.exporters.wording import minute, number

WIDTH = 1000.0
"""Units of every drawing, from its first moment to its last."""
_ROW = 10
_HEIGHT = 100.0
_MARGIN = 8.0
_MOST_TICKS = 8
_LAST_TICK = 94
"""Per cent of the width: further to the right there is no room for text."""
_STEPS = tuple(
    timedelta(hours=hours) for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 1440, 2880, 8760, 17520, 87600)
)


@dataclass(frozen=True, slots=True)
class Axis:
    """The moments of a drawing, from left to right."""

    start: datetime
    end: datetime

    def x(self, moment: datetime) -> float:
        """Return where a moment is, within the drawing whatever the moment."""
        share = (moment - self.start) / max(self.end - self.start, timedelta(microseconds=1))
        return WIDTH * min(max(share, 0.0), 1.0)


class Span(NamedTuple):
    """An interval of the axis, and the level in it."""

    start: float
    end: float
    level: CellLevel


class Target(NamedTuple):
    """An interval of the axis that says something when pointed at, and leads somewhere. Plain text."""

    start: float
    end: float
    title: str
    href: str


class Line(NamedTuple):
    """A series; None where it has no value, where the line is broken."""

    kind: str
    """A class of the style sheet."""
    points: Sequence[tuple[float, float | None]]


def heatmap(rows: Sequence[tuple[str, Sequence[Span]]], targets: Iterable[Target], axis: Axis) -> str:
    """Return a row for each name (HTML), with its levels over time."""
    names = "".join(f"<span>{name}</span>" for name, _ in rows)
    cells = "".join(_cells(spans, index) for index, (_, spans) in enumerate(rows))
    height = _ROW * len(rows)
    over = "".join(_target(target, height) for target in targets)
    return (
        f'<div class="timeline heat"><div class="names">{names}</div><div><svg viewBox="0 0 {WIDTH:.0f} {height}" '
        f'preserveAspectRatio="none" style="height:{2 * height}px" role="img" aria-label="Levels over time">'
        f"{cells}{over}</svg>{_ticks(axis)}</div></div>\n"
    )


def _cells(spans: Sequence[Span], row: int) -> str:
    """Return a path for each level; neighbours of one level are one rectangle."""
    paths: dict[CellLevel, list[str]] = {}
    for span in _joined(spans):
        if span.end > span.start:
            paths.setdefault(span.level, []).append(
                f"M{span.start:.1f} {row * _ROW}H{span.end:.1f}v{_ROW - 1}H{span.start:.1f}z"
            )
    return "".join(f'<path class="{level}" d="{"".join(parts)}"/>' for level, parts in paths.items())


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    run: Span | None = None
    for span in spans:
        if run and run.level is span.level and span.start - run.end < 0.05:
            run = Span(run.start, span.end, run.level)
            continue
        if run:
            yield run
        run = span
    if run:
        yield run


def _target(target: Target, height: int) -> str:
    area = (
        f'<rect x="{target.start:.1f}" y="0" width="{target.end - target.start:.1f}" height="{height}">'
        f"<title>{safe(target.title)}</title></rect>"
    )
    return f'<a href="{safe(target.href)}">{area}</a>' if target.href else area


def line_chart(lines: Sequence[Line], axis: Axis, label: str) -> str:
    """Return lines over time; nothing where none has a value."""
    values = [value for line in lines for _, value in line.points if value is not None]
    if not values:
        return ""
    low, high = min(values), max(values)
    unit = (_HEIGHT - 2 * _MARGIN) / (high - low) if high > low else 0.0
    middle = _HEIGHT / 2

    def y(value: float) -> float:
        return _HEIGHT - _MARGIN - unit * (value - low) if unit else middle

    drawn = "".join(
        f'<path class="{line.kind}" d="{_path([(x, None if v is None else y(v)) for x, v in line.points])}"/>'
        for line in lines
    )
    ends = f"<span>{number(high)}</span>" + (f"<span>{number(low)}</span>" if high > low else "")
    return (
        f'<div class="timeline"><div class="ends">{ends}</div><div><svg class="lines" '
        f'viewBox="0 0 {WIDTH:.0f} {_HEIGHT:.0f}" preserveAspectRatio="none" role="img" aria-label="{safe(label)}">'
        f"{drawn}</svg>{_ticks(axis)}</div></div>\n"
    )


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    """Return a path that is broken where there is no value; a value alone is a dot."""
    parts: list[str] = []
    for known, run in groupby(points, key=lambda point: point[1] is not None):
        if known:
            first, *rest = (f"{x:.1f} {y:.1f}" for x, y in run)
            parts.append(f"M{first}" + (f"L{' '.join(rest)}" if rest else "h0"))
    return "".join(parts)


def broken(
    points: Sequence[tuple[datetime, float | None]], longest: timedelta, axis: Axis
) -> list[tuple[float, float | None]]:
    """Return points on an axis, broken where the next is further away than the longest step."""
    placed: list[tuple[float, float | None]] = []
    for (moment, value), (following, _) in pairwise([*points, (datetime.max.replace(tzinfo=UTC), None)]):
        placed.append((axis.x(moment), value))
        if following - moment > longest:
            placed.append((axis.x(moment), None))
    return placed


def _ticks(axis: Axis) -> str:
    length = axis.end - axis.start
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), _STEPS[-1])
    epoch = datetime(2001, 1, 1, tzinfo=UTC)  # a Monday: weeks begin there
    moment = epoch + step * -(-(axis.start - epoch) // step)
    marks: list[str] = []
    while moment <= axis.end and len(marks) <= _MOST_TICKS:
        place = 100 * axis.x(moment) / WIDTH
        if place <= _LAST_TICK:
            marks.append(f'<span style="left:{place:.2f}%" title="{minute(moment)} UTC">{_tick(moment, step)}</span>')
        moment += step
    return f'<div class="ticks">{"".join(marks)}</div>'


def _tick(moment: datetime, step: timedelta) -> str:
    """Return a moment, short; the whole of it is the title."""
    if step < timedelta(days=1) and (moment.hour or moment.minute):
        return f"{moment:%H:%M}"
    return f"{moment:%b %Y}" if step > timedelta(days=28) else f"{moment:%b} {moment.day}"
