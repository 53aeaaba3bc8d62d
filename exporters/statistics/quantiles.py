"""The median and other quantiles of a window from its counts, and how far the true median can be from it."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.statistics.cells import NumericCells
from mlvitals.exporters.statistics.distances import two_sided


class Median(NamedTuple):
    """A median known from counts."""

    value: float
    """Interpolated within the fine interval that holds it; exact where that holds a single value."""
    error: float
    """The sample's own median is at most this far away: the interval reaches no further."""
    noise: float
    """As far as noise, and the error on top, move the median of an unchanged population once in 1000 windows."""


def median_of(
    counts: Counts,
    cells: NumericCells,
    minimum: float,
    maximum: float,
    *,
    reference_size: int | None = None,
    comparisons: int = 1,
) -> Median:
    """Return the median of counted values.

    The rank of the population's median in a sample of n is n/2 within `two_sided` times sqrt(n)/2, whatever the
    distribution; a reference of m values widens that by sqrt(1 + n/m).

    Args:
        counts: values per fine interval, not all zero.
        cells: the cells whose intervals these are.
        minimum: smallest finite value counted; the outer intervals end here and at `maximum`.
        maximum: largest finite value counted.
        reference_size: values of the sample that it is compared with.
        comparisons: how many medians are looked at together, see `two_sided`.
    """
    size, reached = int(counts.sum()), np.cumsum(counts)
    lower, upper = _bounds(cells, minimum, maximum)

    def place(rank: float) -> int:
        return int(np.searchsorted(reached, min(max(rank, 1.0), size)))

    middle = place(size / 2)
    low, high = float(lower[middle]), float(upper[middle])
    [value] = quantiles_of(counts, cells, minimum, maximum, [0.5])
    spread = two_sided(comparisons) * sqrt(size) / 2 * sqrt(1 + size / reference_size if reference_size else 1.0)
    farthest = float(lower[place(size / 2 - spread)]), float(upper[place(size / 2 + spread)])
    return Median(value, max(high - value, value - low), max(farthest[1] - value, value - farthest[0]))


def quantiles_of(
    counts: Counts, cells: NumericCells, minimum: float, maximum: float, shares: Sequence[float]
) -> list[float]:
    """Return the values below which shares of the counted values lie, each interpolated within its fine interval.

    The other arguments are those of `median_of`; a share lies above 0 and below 1.
    """
    reached = np.cumsum(counts)
    ranks = np.maximum(np.array(shares) * int(counts.sum()), 1.0)
    places = np.searchsorted(reached, ranks)
    lower, upper = (bounds[places] for bounds in _bounds(cells, minimum, maximum))
    inside = (ranks - (reached[places] - counts[places])) / counts[places]
    found: list[float] = (lower + (upper - lower) * inside).tolist()
    return found


def _bounds(cells: NumericCells, minimum: float, maximum: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest value that each fine interval can hold."""
    edges = np.array(cells.edges, np.float64)
    upper = np.minimum(np.append(edges, maximum), maximum)
    lower = np.where(cells.points, upper, np.append(minimum, edges))
    return np.clip(lower, minimum, upper), np.maximum(upper, minimum)
