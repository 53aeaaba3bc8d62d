"""Cells: the fixed partition of a feature's values, made from the reference alone, on which everything is counted.

A column is counted once, on *fine* intervals (numbers) or levels (categories). Each of these belongs to one cell, so
the cells' counts, which PSI and JS read, the distribution function, which D reads, and the share out of range are
sums of the same integers and cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from math import ceil
from typing import Any, NamedTuple, Self, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from mlvitals.exporters.reading.columns import (
    Chunk,
    Column,
    ColumnTypeError,
    Counts,
    FixedAge,
    Numbers,
    canonical,
    level_counts,
    sorted_numbers,
)
from mlvitals.exporters.statistics.placeholders import placeholders, written
from mlvitals.generator.spec.model import FeatureType

OWN_CELL_SHARE = 0.02
"""A level, or a gap between frequent values, that holds this share of the reference is a cell of its own."""
MAX_LEVELS = 10_000
"""Levels of a category kept by name. Rarer ones are counted with what was never seen, on both sides alike."""
FORESEEN_SHARE = 0.0001
"""Where more of a feature's values than this are expected to be categories that the reference lacks, those are nothing
new: they are counted with its rare ones."""
MAX_LABEL = 80

ALL = "all values"
OTHER = "other values"
RARE = "rare values"
UNSEEN = "unseen values"
RARE_OR_UNSEEN = "rare or unseen values"
LESS_FREQUENT = "less frequent values"
_SINGLE_LIMIT = float(np.finfo(np.float32).max)
_SHARED = (OTHER, RARE, UNSEEN)


class _CellsBase(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The common part of both kinds of cells: the interval or level with index i belongs to the cell ``cell_of[i]``."""

    type: FeatureType
    cell_of: tuple[int, ...]
    labels: tuple[str, ...]
    """The name of each cell for people."""

    @property
    def size(self) -> int:
        """Return how many counts a profile holds."""
        return len(self.cell_of)

    def fold(self, counts: Counts) -> Counts:
        """Return counts per cell from counts per interval or level."""
        folded = np.zeros(len(self.labels), np.int64)
        np.add.at(folded, self._cell_index, counts)
        return folded

    @property
    def _own(self) -> int:
        """Return how many cells are not shared by values that have none of their own; those that are come last."""
        shared = takewhile(lambda label: label in (*_SHARED, RARE_OR_UNSEEN), reversed(self.labels))
        return len(self.labels) - len(tuple(shared))

    def _joined(self, group_of: Sequence[int], names: Sequence[str]) -> Self:
        """Return cells of which each is a group of these; the shared ones stay as they are.

        Args:
            group_of: the group of each cell that is not shared.
            names: of the groups.
        """
        groups = [*group_of, *range(len(names), len(names) + len(self.labels) - len(group_of))]
        labels = _distinct([*names, *self.labels[len(group_of) :]])
        return msgspec.structs.replace(self, cell_of=tuple(groups[cell] for cell in self.cell_of), labels=labels)

    @cached_property
    def _cell_index(self) -> NDArray[np.intp]:
        return np.array(self.cell_of, np.intp)


class NumericCells(
    _CellsBase, frozen=True, kw_only=True, dict=True, omit_defaults=True, tag_field="kind", tag="numeric"
):
    """Cells of a number.

    The strictly increasing `edges` cut the line into right-closed intervals: the first is (-inf, edges[0]], the
    last (edges[-1], +inf). They are the reference's quantiles, the edges of the cells, and for each frequent value v
    the edges just below v and at v, between which there is v alone.
    """

    edges: tuple[float, ...]
    minimum: float | None
    """The valid range: the spec's, else the reference's; None where neither is known."""
    maximum: float | None
    single: bool
    """The reference was float32: finer values are rounded to float32 before they are counted."""
    fixed: tuple[FixedAge, ...] = ()
    """Dates of a timestamp that stand for no date; `mlvitals.exporters.statistics.placeholders` says which."""

    def edges_for(self, dtype: DTypeLike) -> Numbers:
        """Return the edges in the precision in which values of a dtype are to be counted.

        A float32 log of what was float64 in training (or the reverse) holds rounded values: 0.1 becomes 0.1000000015.
        Both sides are compared in the coarser precision, so that rounding alone never moves a value out of its cell.
        """
        return self._single_edges if self.single or dtype == np.float32 else self._double_edges

    @cached_property
    def unseen(self) -> NDArray[np.bool_] | None:
        """True for the intervals of values that the reference does not hold; None unless each value has a cell."""
        if UNSEEN not in self.labels:
            return None
        return np.array([cell == self.labels.index(UNSEEN) for cell in self.cell_of])

    def merged(self, most: int) -> NumericCells:
        """Return no more cells than that, but at least two, each of neighbours: two, four, eight and so on of these.

        So the cells of any two windows are nested, and what the coarser ones show, the finer ones show too.
        """
        own, width = self._own, 1
        while ceil(own / width) > max(most - (len(self.labels) - own), 2):
            width *= 2
        starts = range(0, own, width)
        names = [_from_to(self.labels[start], self.labels[min(start + width, own) - 1]) for start in starts]
        return self._joined([place // width for place in range(own)], names)

    def out_of_range(self, counts: Counts) -> int | None:
        """Return how many of the counted values lie outside the valid range; None without a range."""
        if self.type is FeatureType.BOOLEAN or self.minimum is None or self.maximum is None:
            return None
        below = np.searchsorted(self._double_edges, _just_below(self.minimum), side="right")
        above = np.searchsorted(self._double_edges, self.maximum, side="left") + 1
        return int(counts[:below].sum() + counts[above:].sum())

    @cached_property
    def points(self) -> NDArray[np.bool_]:
        """True for the intervals that hold a single value."""
        return np.concatenate(([False], self._isolating, [False]))

    @cached_property
    def _isolating(self) -> NDArray[np.bool_]:
        """Mark, for each two neighbouring edges, whether the second value alone lies between them."""
        edges = self._double_edges
        isolating: NDArray[np.bool_] = _just_below(edges[1:]) == edges[:-1]
        return isolating

    @cached_property
    def _double_edges(self) -> NDArray[np.float64]:
        return np.array(self.edges, np.float64)

    @cached_property
    def _single_edges(self) -> NDArray[np.float32]:
        edges = self._double_edges
        nearest = np.clip(edges, -_SINGLE_LIMIT, _SINGLE_LIMIT).astype(np.float32)
        if self.single:
            return np.where(nearest > edges, np.nextafter(nearest, np.float32(-np.inf)), nearest)
        isolating = np.flatnonzero(self._isolating)
        nearest[isolating] = np.nextafter(nearest[isolating + 1], np.float32(-np.inf))
        return np.minimum.accumulate(nearest[::-1])[::-1]


class CategoricalCells(_CellsBase, frozen=True, kw_only=True, dict=True, tag_field="kind", tag="categorical"):
    """Cells of a category: `levels` by falling count, and one last place for every other text."""

    levels: tuple[str, ...]

    @cached_property
    def unseen(self) -> NDArray[np.bool_]:
        """True for the last place."""
        return np.array([place == len(self.levels) for place in range(self.size)])

    def merged(self, most: int) -> CategoricalCells:
        """Return no more cells than that, but at least two: the most frequent ones, and one for all others."""
        own = self._own
        kept = max(most - (len(self.labels) - own) - 1, 1)
        if kept + 1 >= own:
            return self
        groups = [min(place, kept) for place in range(own)]
        return self._joined(groups, [*self.labels[:kept], LESS_FREQUENT])

    def out_of_range(self, counts: Counts) -> None:
        """Return None: categories have no range."""

    @cached_property
    def level_set(self) -> Chunk:
        """Return the levels as an Arrow array, written as columns are: an older reference may hold 5.0 and True."""
        return canonical(pa.array(self.levels, pa.large_string()))


Cells: TypeAlias = NumericCells | CategoricalCells


def make_cells(
    column: Column,
    kind: FeatureType,
    *,
    bins: int,
    knots: int,
    minimum: float | None = None,
    maximum: float | None = None,
    at: Column | None = None,
) -> Cells:
    """Make the cells of a feature from its reference column.

    Args:
        column: the reference values; nulls and NaN are left out.
        kind: the feature's type.
        bins: how many cells a continuous feature is to have; each then holds about 1/bins of the reference.
        knots: how many quantiles the distribution function is kept at.
        minimum: smallest valid value; default the reference's smallest.
        maximum: largest valid value; default the reference's largest.
        at: when each prediction was made, for the rows of `column`; needed for timestamps.

    Raises:
        ColumnTypeError: the column does not hold values of this type.
    """
    if kind is FeatureType.CATEGORICAL:
        return _categorical_cells(column)
    fixed = placeholders(column, at) if kind is FeatureType.TIMESTAMP and at is not None else ()
    values = sorted_numbers(column, kind, at, fixed)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return NumericCells(type=kind, edges=(), cell_of=(0,), labels=(ALL,), minimum=None, maximum=None, single=False)
    single = finite.dtype == np.float32
    sample = _Sample.of(finite)
    few = kind is FeatureType.BOOLEAN or len(sample.levels) <= 2 * bins
    names = {age: written(date) for date, age in fixed}
    pieces = list(_level_pieces(sample, kind, names)) if few else list(_quantile_pieces(sample, kind, bins, names))
    low = float(sample.levels[0]) if minimum is None else _in_precision(minimum, single)
    high = float(sample.levels[-1]) if maximum is None else _in_precision(maximum, single)
    isolated = sample.levels if few else sample.levels[sample.counts * knots >= sample.total]
    edges = _finite_and_increasing(
        sample.quantiles(knots),
        isolated,
        _just_below(isolated),
        [piece.upper for piece in pieces],
        [_just_below(low), low, high],
    )
    labels = _in_order(piece.label for piece in pieces)
    owner = np.searchsorted([piece.upper for piece in pieces], [*edges, np.inf])
    return NumericCells(
        type=kind,
        edges=tuple(edges),
        cell_of=tuple(labels.index(pieces[place].label) for place in owner),
        labels=labels,
        minimum=low,
        maximum=high,
        single=single,
        fixed=fixed,
    )


class _Sample(NamedTuple):
    """Distinct finite values in ascending order, and how often each occurs."""

    levels: NDArray[np.float64]
    counts: Counts

    @classmethod
    def of(cls, values: Numbers) -> _Sample:
        # Adding zero makes -0.0, which equals 0.0, the one zero that people read.
        levels, counts = np.unique(values.astype(np.float64) + 0.0, return_counts=True)
        return cls(levels, counts)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def quantiles(self, parts: int) -> NDArray[np.float64]:
        """Return the values below or at which j/parts of the sample lie, for j = 1..parts; equal ones once."""
        ranks = -(-np.arange(1, parts + 1) * self.total // parts)
        places = np.searchsorted(np.cumsum(self.counts), ranks)
        return self.levels[np.unique(places)]


class _Piece(NamedTuple):
    """The values above the piece before, up to and including `upper`; pieces with one label are one cell."""

    upper: float
    label: str


def _level_pieces(sample: _Sample, kind: FeatureType, names: Mapping[float, str]) -> Iterator[_Piece]:
    """Yield a cell for each frequent one of few distinct values, one for the rare ones, one for what was never seen."""
    name = _naming(sample.levels.tolist(), kind, names)
    for level, count in zip(sample.levels.tolist(), sample.counts.tolist(), strict=True):
        yield _Piece(_just_below(level), UNSEEN)
        yield _Piece(level, _equals(level, name, kind) if count >= OWN_CELL_SHARE * sample.total else RARE)
    yield _Piece(np.inf, UNSEEN)


def _quantile_pieces(sample: _Sample, kind: FeatureType, bins: int, names: Mapping[float, str]) -> Iterator[_Piece]:
    """Yield values with a name or over 1/bins of the mass as cells; between them quantile cells of 1/bins, open outwards.

    Gaps between such values that hold too little for a cell share one.
    """
    places = np.flatnonzero((sample.counts * bins > sample.total) | np.isin(sample.levels, list(names)))
    frequent = sample.levels[places].tolist()
    gaps = [
        _gap_edges(_Sample(sample.levels[start:end], sample.counts[start:end]), sample.total, bins)
        for start, end in zip([0, *(places + 1)], [*places, len(sample.levels)], strict=True)
    ]
    name = _naming({*frequent, *(edge for gap in gaps for edge in gap or ())}, kind, names)
    for lower, gap, upper in zip([None, *frequent], gaps, [*frequent, None], strict=True):
        yield from _gap_pieces(lower, gap, upper, name)
        if upper is not None:
            yield _Piece(upper, _equals(upper, name, kind))


def _gap_pieces(
    lower: float | None, edges: tuple[float, ...] | None, upper: float | None, name: Callable[[float], str]
) -> Iterator[_Piece]:
    """Yield the pieces between two frequent values; None for a bound that is not there."""
    end = np.inf if upper is None else _just_below(upper)
    if edges is None:
        yield _Piece(end, OTHER)
        return
    for edge in edges:
        yield _Piece(edge, _interval(lower, edge, name, closed=True))
        lower = edge
    yield _Piece(end, _interval(lower, upper, name, closed=False))


def _gap_edges(gap: _Sample, total: int, bins: int) -> tuple[float, ...] | None:
    """Return inner edges of a gap's quantile cells; none of them for a single cell, None if it is too light for one."""
    cells = round(bins * gap.total / total) or int(gap.total >= OWN_CELL_SHARE * total)
    if cells == 0:
        return None
    return tuple(edge for edge in gap.quantiles(cells).tolist() if edge < gap.levels[-1])


def _naming(values: Collection[float], kind: FeatureType, names: Mapping[float, str]) -> Callable[[float], str]:
    """Return a writer of distinct numbers: whole ones in full, others in the fewest digits from six up that differ.

    Those that have names are called by them.
    """

    def in_digits(value: float, digits: int) -> str:
        if value in names:
            return names[value]
        whole = kind is FeatureType.INTEGER and value == int(value)
        return str(int(value)) if whole else f"{value:.{digits}g}"

    digits = next(
        digits for digits in range(6, 18) if len({in_digits(value, digits) for value in values}) == len(values)
    )
    return lambda value: in_digits(value, digits)


def _equals(value: float, name: Callable[[float], str], kind: FeatureType) -> str:
    if kind is FeatureType.BOOLEAN:
        return "true" if value else "false"
    return f"= {name(value)}"


def _interval(lower: float | None, upper: float | None, name: Callable[[float], str], *, closed: bool) -> str:
    if lower is None:
        return ALL if upper is None else f"{'<=' if closed else '<'} {name(upper)}"
    if upper is None:
        return f"> {name(lower)}"
    return f"({name(lower)}, {name(upper)}{']' if closed else ')'}"


def _in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once, in order of the line; cells made of several pieces last."""
    distinct = dict.fromkeys(labels)
    return tuple(sorted(distinct, key=lambda label: label in _SHARED))


def _from_to(first: str, last: str) -> str:
    """Return the name of neighbouring cells together: of `(0, 1]` and `(1, 5]` it is `(0, 5]`."""
    if first == last:
        return first
    low, high = first.split(", ", maxsplit=1)[0], last.rsplit(", ", maxsplit=1)[-1]
    opening = {"(": low, ">": f"({low[2:]}", "=": f"[{low[2:]}"}.get(low[0], "")
    closing = {"<": high[3:], "=": high[2:], ">": ""}.get(high[0], high.rstrip("]"))
    if low.startswith("<="):
        return f"<= {closing}"
    if not closing:
        return f">= {opening[1:]}" if opening.startswith("[") else f"> {opening[1:]}"
    return f"{opening}, {closing}]" if opening else f"{first} to {last}"


def _just_below(value: Any) -> Any:
    """Return the next smaller float64: in (_just_below(v), v] there is v alone."""
    with np.errstate(over="ignore"):
        below = np.nextafter(value, -np.inf)
    return below if isinstance(value, np.ndarray) else float(below)


def _in_precision(bound: float, single: bool) -> float:
    """Return a bound as precise as the values compared with it, so that a value at the bound is not beyond it."""
    return float(np.float32(min(max(bound, -_SINGLE_LIMIT), _SINGLE_LIMIT))) if single else bound


def _finite_and_increasing(*parts: Sequence[float] | NDArray[np.float64]) -> list[float]:
    edges = np.unique(np.concatenate([np.asarray(part, np.float64) for part in parts]))
    increasing: list[float] = edges[np.isfinite(edges)].tolist()
    return increasing


def _categorical_cells(column: Column) -> CategoricalCells:
    counts = count_levels(column)
    total = sum(counts.values())
    by_count = sorted(counts, key=lambda level: (-counts[level], level))
    kept = by_count[:MAX_LEVELS]
    own = [level for level in kept if counts[level] >= OWN_CELL_SHARE * total]
    shared = _shared_labels(counts, kept, own)
    labels = _distinct([*map(_shortened, own), *shared])
    return CategoricalCells(
        type=FeatureType.CATEGORICAL,
        levels=tuple(kept),
        cell_of=(*range(len(own)), *[len(own)] * (len(kept) - len(own)), len(labels) - 1),
        labels=labels,
    )


def _shared_labels(counts: dict[Any, int], kept: list[Any], own: list[Any]) -> list[str]:
    """Return the cells of the levels without one of their own, and of what the reference lacks.

    The share of values whose level a sample lacks is about the share of those whose level it has once (Good 1953). A
    cell for them is empty in the reference and not in the window, without any change.
    """
    once = sum(1 for count in counts.values() if count == 1)
    if len(counts) > len(own) and once > FORESEEN_SHARE * sum(counts.values()):
        return [RARE_OR_UNSEEN]
    return [*([RARE] if len(kept) > len(own) else []), OTHER if len(counts) > len(kept) else UNSEEN]


def count_levels(column: Column) -> dict[str, int]:
    """Return how often each level of a categorical column occurs.

    Raises:
        ColumnTypeError: the column holds no categories, or text that is not UTF-8.
    """
    totals: dict[Any, int] = {}
    try:
        for found in level_counts(column):
            for level, count in zip(found.levels.to_pylist(), found.counts.tolist(), strict=True):
                totals[level] = totals.get(level, 0) + count
    except UnicodeDecodeError:
        raise ColumnTypeError(
            "holds text that is not UTF-8; expected UTF-8 for a feature of type categorical"
        ) from None
    return {level: count for level, count in totals.items() if count}


def _shortened(level: str) -> str:
    if not level:
        return '""'
    return level if len(level) <= MAX_LABEL else level[: MAX_LABEL - 1] + "…"


def _distinct(labels: list[str]) -> tuple[str, ...]:
    """Number the labels that are already taken, such as a level that is itself called "rare values"."""
    taken: dict[str, None] = {}
    for label in labels:
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        taken[name] = None
    return tuple(taken)
