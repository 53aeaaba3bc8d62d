"""Rows that depend on each other: what their mean is worth.

Rows of one event, such as a storm, a batch or a session, go up and down together, and a mean of many of them varies as
much as one of few. Where the spec names the column that they have in common, sums of groups take the place of rows.
"""

from math import sqrt
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_PARTS = 10


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


class GroupEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The excess of the variance of a column's counts over that of independent rows, as rows of a group resemble each other.

    A chi-square statistic of such counts, and so PSI, is a sum of chi-square numbers with weights, the design effects.
    """

    mean: float = 1.0
    """The mean design effect, at least 1."""
    spread: float = 0.0
    """The squared coefficient of variation of the design effects: what moves together moves in few directions."""
    skew: float = 1.0
    """The mean of their third powers, over the third power of their mean."""
    largest: float = 1.0
    """The largest, at least 1: that of whatever direction the groups move in, such as the mean."""


INDEPENDENT = GroupEffect()


def group_effect(column: Any, groups: NDArray[np.uint64]) -> GroupEffect:
    """Return the effect of groups on a column, of shares of tenths of its values by rank.

    Source: Rao and Scott 1984; the design effects are the eigenvalues of the covariance of the shares by group, over that of
    independent rows.

    Args:
        column: of any type that has an order; nulls are a value.
        groups: the group of each row.
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    ranks: Any = pc.rank(values, tiebreaker="min")
    _, parts = np.unique((ranks.to_numpy().astype(np.int64) - 1) * _PARTS // max(len(values), 1), return_inverse=True)
    known, places = np.unique(groups, return_inverse=True)
    size = int(parts.max(initial=0)) + 1
    if size < 2 or known.size < 2:
        return INDEPENDENT
    counts = np.bincount(places * size + parts, minlength=known.size * size).reshape(known.size, size)
    shares = counts.sum(axis=0) / len(values)
    sums = counts - counts.sum(axis=1, keepdims=True) * shares
    scale = known.size / (known.size - 1) / len(values)
    covariance = scale * (sums.T @ sums) / np.sqrt(np.outer(shares, shares))
    effects = np.sort(np.linalg.eigvalsh(covariance))[1:].clip(0)  # the shares sum to 1: one direction has none
    mean = max(1.0, float(effects.mean()))
    powers = [float(np.mean((effects / mean) ** power)) for power in (2, 3)]
    return GroupEffect(
        mean=mean, spread=max(0.0, powers[0] - 1), skew=max(1.0, powers[1]), largest=max(1.0, float(effects.max()))
    )
