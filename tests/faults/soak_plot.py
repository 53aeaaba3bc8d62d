"""Curves of what must not grow, drawn as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

WIDTH, HEIGHT, MARGIN = 300, 160, 40
COLUMNS = 3


@dataclass(frozen=True)
class Curve:
    """One value, observed again and again."""

    name: str
    values: tuple[float, ...]

    def growth(self, warm_up: int) -> float:
        """The share by which the last quarter exceeds the first one after the warm-up."""
        settled = self.values[min(warm_up, len(self.values) // 4) :]
        quarter = max(1, len(settled) // 4)
        return fmean(settled[-quarter:]) / fmean(settled[:quarter]) - 1

    def __str__(self) -> str:
        settled = self.values[len(self.values) // 4 :]
        quarter = max(1, len(settled) // 4)
        return f"{self.name} {fmean(settled[:quarter]):.4g} to {fmean(settled[-quarter:]):.4g}"


def plotted(curves: Sequence[Curve], *, hours_a_point: float) -> str:
    """The curves, side by side."""
    rows = -(-len(curves) // COLUMNS)
    panels = "".join(
        f'<g transform="translate({index % COLUMNS * WIDTH},{index // COLUMNS * HEIGHT})">{_panel(curve, hours_a_point)}</g>'
        for index, curve in enumerate(curves)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMNS} {HEIGHT * rows}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )


def _panel(curve: Curve, hours_a_point: float) -> str:
    width, height = WIDTH - MARGIN - 20, HEIGHT - 2 * MARGIN
    top = 1.15 * max(curve.values) or 1.0
    left, bottom, days = MARGIN, MARGIN + height, len(curve.values) * hours_a_point / 24
    line = " ".join(
        f"{left + width * place / max(1, len(curve.values) - 1):.1f},{bottom - height * value / top:.1f}"
        for place, value in enumerate(curve.values)
    )
    return (
        f'<text x="{left}" y="25">{curve.name}</text>'
        f'<path d="M{left} {MARGIN}V{bottom}H{left + width}" fill="none" stroke="#666"/>'
        f'<text x="{left - 4}" y="{MARGIN + 8}" text-anchor="end">{top:.3g}</text>'
        f'<text x="{left - 4}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{left + width}" y="{bottom + 14}" text-anchor="end">{days:.0f} days</text>'
        f'<polyline points="{line}" fill="none" stroke="#1f60c4" stroke-width="1.5"/>'
    )
