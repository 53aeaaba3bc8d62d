"""The profile of a column: integer counts on the reference's cells, and sums that merge by addition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Chunk, Column, Counts, LevelCounts, blocks, level_counts, numbers
from mlvitals.exporters.statistics.cells import CategoricalCells, Cells, NumericCells
from mlvitals.exporters.statistics.distinct import NO_VALUES, DistinctValues
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.generator.contract import Status


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """The reason why a feature could not be counted at all."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class FeatureProfile:
    """The counts of one column.

    Every count is an integer, so that any split of the rows merges to identical counts. `moments` are
    sums of float64: they do not depend on the order of the rows within a block of `columns.BLOCK_ROWS`, and over
    different splits they agree to about 1e-15 of the sum of the absolute values.
    """

    counts: Counts
    """Values per fine interval or level of the cells; infinities are values, NaN is not."""
    rows: int
    nulls: int = 0
    nans: int = 0
    positive_infinities: int = 0
    negative_infinities: int = 0
    minimum: float = inf
    """Of the finite values, as are `maximum` and `moments`; above `maximum` where there are none."""
    maximum: float = -inf
    moments: Moments = NO_MOMENTS
    unseen: DistinctValues = NO_VALUES
    """The distinct values that the reference does not hold, where the cells can identify them."""

    @classmethod
    def empty(cls, cells: Cells) -> FeatureProfile:
        """Return the profile of no rows, to which others are merged."""
        return cls(counts=np.zeros(cells.size, np.int64), rows=0)

    def merge(self, other: FeatureProfile) -> FeatureProfile:
        """Return the profile of the rows of both.

        Raises:
            ValueError: the two were not counted on the same cells.
        """
        if self.counts.shape != other.counts.shape:
            raise ValueError("profiles counted on different cells cannot be merged")
        return FeatureProfile(
            counts=self.counts + other.counts,
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            positive_infinities=self.positive_infinities + other.positive_infinities,
            negative_infinities=self.negative_infinities + other.negative_infinities,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            moments=self.moments.merge(other.moments),
            unseen=self.unseen.merge(other.unseen),
        )

    @property
    def values(self) -> int:
        """Return the number of rows that hold a value: neither null nor NaN."""
        return self.rows - self.nulls - self.nans

    @property
    def infinities(self) -> int:
        """Return the number of infinite values."""
        return self.positive_infinities + self.negative_infinities

    @property
    def null_rate(self) -> float | None:
        """Return the share of rows that are null or NaN; None without rows."""
        return (self.nulls + self.nans) / self.rows if self.rows else None

    @property
    def mean(self) -> float | None:
        """Return the mean of the finite values; None without any, or where their sum overflows."""
        return self.moments.mean if self.moments.count and isfinite(self.moments.mean) else None


def profile_column(column: Column, cells: Cells, at: Column | None = None) -> FeatureProfile:
    """Count a column on the cells of its feature.

    Args:
        column: the values, in any number of chunks.
        cells: the feature's cells, from its reference.
        at: when each prediction was made, for the rows of `column`; needed for timestamps.

    Raises:
        ColumnTypeError: the column does not hold values of the feature's type.
    """
    profile = FeatureProfile.empty(cells)
    for part in _parts(column, cells, at):
        profile = profile.merge(part)
    return profile


def _parts(column: Column, cells: Cells, at: Column | None) -> Iterator[FeatureProfile]:
    if isinstance(cells, CategoricalCells):
        return (_profile_levels(found, cells) for found in level_counts(column))
    return (_profile_numbers(block, cells, times) for block, times in blocks(column, at))


def _profile_levels(found: LevelCounts, cells: CategoricalCells) -> FeatureProfile:
    places = (
        pc.index_in(found.levels, value_set=cells.level_set).fill_null(len(cells.levels)).to_numpy(zero_copy_only=False)
    )
    counts = np.zeros(cells.size, np.int64)
    np.add.at(counts, places, found.counts)
    rows = int(found.counts.sum()) + found.nulls + found.nans
    # As bytes: what is no UTF-8 is still a value.
    strange = found.levels.filter(pa.array((places == len(cells.levels)) & (found.counts > 0)))
    unseen = DistinctValues.of(_bytes(strange)) if len(strange) else NO_VALUES
    return FeatureProfile(counts=counts, rows=rows, nulls=found.nulls, nans=found.nans, unseen=unseen)


def _bytes(texts: Chunk) -> list[bytes]:
    values: list[Any] = texts.cast(pa.large_binary()).to_pylist()
    return values


def _profile_numbers(block: Chunk, cells: NumericCells, at: Chunk | None) -> FeatureProfile:
    """Sort, then look the edges up in the values: one sort of a block that fits the cache is nearly all the cost."""
    values = numbers(block, cells.type, at, cells.fixed)
    values.sort()
    limits = np.array((np.finfo(values.dtype).min, inf, nan), values.dtype)
    negative, below, first_nan = values.searchsorted(limits).tolist()
    measured, finite = values[:first_nan], values[negative:below]
    edges = cells.edges_for(values.dtype)
    with np.errstate(over="ignore"):
        counted = measured.astype(edges.dtype, copy=False)
    ranks = np.concatenate(([0], np.searchsorted(counted, edges, side="right"), [counted.size]))
    counts: Counts = ranks[1:] - ranks[:-1]
    return FeatureProfile(
        counts=counts,
        rows=len(block),
        nulls=len(block) - len(values),
        nans=len(values) - len(measured),
        positive_infinities=len(measured) - negative - len(finite),
        negative_infinities=negative,
        minimum=float(finite[0]) if finite.size else inf,
        maximum=float(finite[-1]) if finite.size else -inf,
        moments=Moments.of(finite),
        unseen=_unseen_numbers(counted, counts, cells),
    )


def _unseen_numbers(values: NDArray[Any], counts: Counts, cells: NumericCells) -> DistinctValues:
    """Return the distinct values among sorted ones that lie between the values of the reference."""
    if cells.unseen is None or not counts[cells.unseen].any():
        return NO_VALUES
    strange = values[np.repeat(cells.unseen, counts)].astype(np.float64)
    return DistinctValues.of(value.tobytes() for value in np.unique(strange))
