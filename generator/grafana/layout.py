"""The layout of panels: a flow into lines of Grafana's 24 columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Size:
    """A requested size, in columns and in grid heights of 30 pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the grid."""

    x: int
    y: int
    width: int
    height: int


def flow(sizes: Iterable[Size], top: int = 0) -> Iterator[Box]:
    """Place sizes in reading order, one box each.

    A line takes as many boxes as fit. Their widths are then scaled in proportion to fill it, and all its boxes
    get the height of the tallest, so that no hole is left.
    """
    for line in _lines(sizes):
        height = max(size.height for size in line)
        wanted = sum(size.width for size in line)
        before = 0
        for size in line:
            left, right = (edge * COLUMNS // wanted for edge in (before, before + size.width))
            yield Box(left, top, right - left, height)
            before += size.width
        top += height


def _lines(sizes: Iterable[Size]) -> Iterator[Sequence[Size]]:
    line: list[Size] = []
    for size in sizes:
        if line and sum(placed.width for placed in line) + size.width > COLUMNS:
            yield line
            line = []
        line.append(size)
    if line:
        yield line
