"""Rows that depend on each other: what their mean is worth.

Rows of one event, such as a storm, a batch or a session, go up and down together, and a mean of many of them varies as
much as one of few. Where the spec names the column that they have in common, sums of groups take the place of rows.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray


def clustered_error(values: NDArray[np.float64], groups: NDArray[np.uint64]) -> float | None:
    """Return the standard error of a mean of rows of which those of a group depend on each other.

    That is the sandwich of Liang and Zeger (1986): the deviations from the mean, summed by group, take the place of
    those of the rows. None for fewer than two groups.

    Args:
        values: of the rows, finite.
        groups: the group of each.
    """
    if not values.size:
        return None
    order = np.lexsort((values, groups))  # by value too: the same bits in whatever order the rows came
    values, groups = values[order], groups[order]
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    if starts.size < 2:
        return None
    sums = np.add.reduceat(values - np.sort(values).mean(), starts)
    return sqrt(float(sums @ sums) * starts.size / (starts.size - 1)) / values.size
