"""A drawing of a feature's bins: its share in the reference above its share now, and what it adds to PSI.

The drawing is SVG without any style of its own; the page it stands in gives its classes their colours.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape

from mlvitals.exporters.publish.html.svg import shortened, text
from mlvitals.exporters.sections.features.report import Bin
from mlvitals.exporters.wording import printable, share

WIDTH = 760
_HEAD, _ROW, _BAR = 34, 38, 13
_LABEL_END, _BARS, _BARS_END = 168, 180, 520
_PSI, _PSI_END = 604, 704


def bin_chart(bins: Sequence[Bin]) -> str:
    """Return the SVG element of a chart, a row for each bin in the order given."""
    height = _HEAD + _ROW * len(bins) + 4
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Share of each bin in the reference and now">{"".join(_elements(bins, height))}</svg>'
    )


def _elements(bins: Sequence[Bin], height: int) -> Iterator[str]:
    most = max((max(item.reference, item.current) for item in bins), default=0.0)
    scale = (_BARS_END - _BARS) / (_nice_ceiling(most) or 1.0)
    psi_scale = (_PSI_END - _PSI) / (max((item.psi for item in bins), default=0.0) or 1.0)
    for tick in _ticks(most):
        x = _BARS + scale * tick
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 8}" y2="{height - 4}"/>'
        yield text(x, _HEAD - 14, f"{tick:.0%}" if most >= 0.02 else f"{tick:.1%}", "tick middle")
    yield text(_PSI, _HEAD - 14, "adds to PSI", "tick")
    for index, item in enumerate(bins):
        yield from _row(item, _HEAD + _ROW * index, scale, psi_scale)


def _row(item: Bin, top: float, scale: float, psi_scale: float) -> Iterator[str]:
    label = printable(item.label)
    full = f"{label}: {share(item.reference)} of the reference, {share(item.current)} now, adds {item.psi:.3g} to PSI"
    yield f"<g><title>{escape(full)}</title>"
    yield text(_LABEL_END, top + _BAR + 5, shortened(label), "label end")
    for kind, ratio, y in (("reference", item.reference, top), ("current", item.current, top + _BAR + 2)):
        yield _bar(kind, _BARS, y, scale * ratio, _BAR)
        yield text(_BARS + scale * ratio + 6, y + _BAR - 2.5, share(ratio), f"value {kind}-text")
    yield _bar("psi", _PSI, top + _BAR - 3, psi_scale * max(item.psi, 0.0), 8)
    yield text(_PSI + psi_scale * max(item.psi, 0.0) + 6, top + _BAR + 5, f"{item.psi:.3f}", "value")
    yield "</g>"


def _bar(kind: str, x: float, y: float, width: float, height: float) -> str:
    if width <= 0:
        return ""
    return f'<rect class="{kind}" x="{x}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" rx="2"/>'


def _step(most: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that divides the axis into two to five parts."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step for step in (power / 2, power, 2 * power) if most / step <= 5) if most / power > 2 else power / 2


def _nice_ceiling(most: float) -> float:
    step = _step(most)
    return step * math.ceil(round(most / step, 9))


def _ticks(most: float) -> list[float]:
    step = _step(most)
    return [step * count for count in range(math.ceil(round(most / step, 9)) + 1)]
