"""How the cost grows with rows, features and cells, drawn as SVG."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import process_time

import numpy as np

from benchmarks.figures import ROUNDS, best_of, one_core
from benchmarks.kernel import kernel

WIDTH, HEIGHT, MARGIN = 300, 220, 45


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by size, and the straight line that fits them best."""

    label: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def line(self) -> tuple[float, float]:
        """Slope and value at zero, by least squares."""
        slope, start = np.polyfit(self.sizes, self.seconds, 1)
        return float(slope), float(start)

    @property
    def explained(self) -> float:
        """The share of the variance that the line explains (R squared)."""
        slope, start = self.line
        residuals = np.array(self.seconds) - (slope * np.array(self.sizes) + start)
        return 1 - float(residuals.var() / np.var(self.seconds))


def curves(*, full: bool) -> list[Curve]:
    """Time of the kernel on one core against each of its sizes, the others fixed."""
    unit = 125_000 if full else 25_000
    return [
        _curve("rows (30 features, 1,000 knots)", [unit * step for step in (1, 2, 4, 6, 8)], lambda n: kernel(30, n)),
        _curve(f"features ({unit:,} rows)", [20, 40, 80, 120, 160], lambda n: kernel(n, unit)),
        _curve(f"knots (30 features, {unit:,} rows)", [500, 1000, 2000, 3000, 4000], lambda n: kernel(30, unit, n)),
    ]


def _curve(label: str, sizes: list[int], task_of: Callable[[int], Callable[[ThreadPoolExecutor], object]]) -> Curve:
    with one_core(), ThreadPoolExecutor(1) as pool:
        tasks = [partial(task_of(size), pool) for size in sizes]
        seconds = best_of(ROUNDS, *tasks, clock=process_time)
    return Curve(label, tuple(sizes), tuple(seconds))


def svg(curves: list[Curve]) -> str:
    """The curves side by side: measured points on their straight lines."""
    panels = "".join(
        f'<g transform="translate({index * WIDTH})">{_panel(curve)}</g>' for index, curve in enumerate(curves)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(curves)} {HEIGHT}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )


def _panel(curve: Curve) -> str:
    width, height = WIDTH - MARGIN - 20, HEIGHT - 2 * MARGIN
    right, top = max(curve.sizes), 1.1 * max(curve.seconds)

    def place(size: float, seconds: float) -> tuple[float, float]:
        return MARGIN + width * size / right, MARGIN + height * (1 - seconds / top)

    slope, start = curve.line
    (x0, y0), (x1, y1) = place(0, start), place(right, slope * right + start)
    left, bottom = place(0, 0)
    points = "".join(
        '<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="#1f60c4"/>'.format(*place(size, seconds))
        for size, seconds in zip(curve.sizes, curve.seconds, strict=True)
    )
    return (
        f'<text x="{MARGIN}" y="25">seconds against {curve.label}</text>'
        f'<path d="M{left} {MARGIN}V{bottom}H{MARGIN + width}" fill="none" stroke="#666"/>'
        f'<text x="{left - 5}" y="{MARGIN + 8}" text-anchor="end">{top:.2f}</text>'
        f'<text x="{left - 5}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{MARGIN + width}" y="{bottom + 16}" text-anchor="end">{right:,}</text>'
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#9bc" stroke-width="2"/>{points}'
    )
