"""Edits of a column in the rows that a fault hits. Pure; other rows keep exactly what they hold."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Flags: TypeAlias = NDArray[np.bool_]
Column: TypeAlias = Any
"""An Arrow array, chunked or not."""


def replaced(column: Column, hit: Flags, values: Column) -> Column:
    """Return the column with other values where rows are hit; untouched where no row is."""
    return pc.if_else(pa.array(hit), values, column) if hit.any() else column


def nulled(column: Column, hit: Flags) -> Column:
    """Return the column without a value where rows are hit."""
    nothing: Any = pa.scalar(None, column.type)
    return replaced(column, hit, nothing)


def relabelled(column: Column, hit: Flags, value: str) -> Column:
    """Return a categorical column with a level where rows are hit that it may never have had."""
    if not hit.any():
        return column
    plain = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(plain, pa.DictionaryArray):
        return replaced(plain.cast(pa.string()), hit, pa.scalar(value))
    levels = [*plain.dictionary.to_pylist(), value]
    codes = pc.if_else(pa.array(hit), pa.scalar(len(levels) - 1, plain.indices.type), plain.indices)
    return pa.DictionaryArray.from_arrays(codes, pa.array(levels))


def scaled(column: Column, hit: Flags, factor: float) -> Column:
    """Return a numeric column multiplied by a factor where rows are hit; integers stay integers."""
    product = pc.multiply(column.cast(pa.float64()), factor)
    kept = pc.round(product).cast(column.type, safe=False) if pa.types.is_integer(column.type) else product
    return replaced(column, hit, kept.cast(column.type, safe=False))


def shuffled(column: Column, hit: Flags, seed: int) -> Column:
    """Return the column with the values of the rows that are hit dealt out among these rows anew."""
    places = np.arange(len(column))
    struck = np.flatnonzero(hit)
    places[struck] = np.random.default_rng(seed).permutation(struck)
    return column.take(pa.array(places))
