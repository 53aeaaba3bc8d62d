"""Edits of a column in the rows that a fault hits. Pure; other rows keep exactly what they hold.

A column may be of any type that is measured. One that has no room for what a fault makes of its values gets a wider type.
"""

from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import ColumnTypeError, comparable, is_number, is_text, readable, unwrapped
from mlvitals.generator.spec.model import FeatureType

Flags: TypeAlias = NDArray[np.bool_]
Column: TypeAlias = Any
"""An Arrow array, chunked or not."""


def replaced(column: Column, hit: Flags, values: Column) -> Column:
    """Return the column with other values where rows are hit; untouched where no row is."""
    return pc.if_else(pa.array(hit), values, column) if hit.any() else column


def nulled(column: Column, hit: Flags) -> Column:
    """Return the column without a value where rows are hit."""
    plain = _plain(column)
    nothing: Any = pa.scalar(None, plain.type)
    return replaced(plain, hit, nothing)


def zeroed(column: Column, hit: Flags) -> Column:
    """Return a column of numbers, or of labels, with 0 where rows are hit: false for booleans, "0" for text.

    Raises:
        ColumnTypeError: the column holds neither.
    """
    plain = _plain(column)
    if not (is_text(plain.type) or is_number(plain.type)):
        plain = roomy(plain)
    zero: Any = pa.scalar(Decimal(0) if pa.types.is_decimal(plain.type) else 0).cast(plain.type)
    return replaced(plain, hit, zero)


def relabelled(column: Column, hit: Flags, value: str) -> Column:
    """Return a categorical column with a level where rows are hit that it may never have had.

    Raises:
        ColumnTypeError: the column holds no categories.
    """
    if not hit.any():
        return column
    joined = _joined(column)
    if not isinstance(joined, pa.DictionaryArray):
        plain = _plain(joined)
        texts = plain if is_text(plain.type) else comparable(plain, FeatureType.CATEGORICAL)
        return replaced(texts, hit, pa.scalar(value, texts.type))
    levels = [*comparable(joined.dictionary, FeatureType.CATEGORICAL).to_pylist(), value]
    codes = pc.if_else(pa.array(hit), pa.scalar(len(levels) - 1, pa.int32()), joined.indices.cast(pa.int32()))
    return pa.DictionaryArray.from_arrays(codes, pa.array(levels))


def scaled(column: Column, hit: Flags, factor: float) -> Column:
    """Return a numeric column multiplied by a factor where rows are hit; integers stay integers.

    Raises:
        ColumnTypeError: the column holds no numbers.
    """
    wide = roomy(column)
    product = pc.multiply(wide.cast(pa.float64(), safe=False), factor)
    kept = pc.round(product) if pa.types.is_integer(wide.type) else product
    return replaced(wide, hit, kept.cast(wide.type, safe=False))


def shuffled(column: Column, hit: Flags, seed: int) -> Column:
    """Return the column with the values of the rows that are hit dealt out among these rows anew."""
    places = np.arange(len(column))
    struck = np.flatnonzero(hit)
    places[struck] = np.random.default_rng(seed).permutation(struck)
    return _plain(column).take(pa.array(places))


def roomy(column: Column) -> Column:
    """Return numbers in a type that holds what a fault makes of them: integers as int64, all others as floats.

    Raises:
        ColumnTypeError: the column holds no numbers.
    """
    plain = _plain(column)
    kind, types = plain.type, pa.types
    if types.is_float32(kind) or types.is_float64(kind):
        return plain
    if types.is_integer(kind) or types.is_boolean(kind):
        largest = pc.max(plain).as_py() if types.is_uint64(kind) else None
        return plain.cast(pa.int64() if largest is None or largest < 2**63 else pa.float64(), safe=False)
    if types.is_null(kind) or types.is_decimal(kind) or types.is_float16(kind):
        return plain.cast(pa.float64())
    raise ColumnTypeError(f"holds {kind} values; expected numbers")


def _joined(column: Column) -> Column:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _plain(column: Column) -> Column:
    """Return a column that Arrow can compute with."""
    plain = unwrapped(_joined(column))
    return readable(plain) if is_text(plain.type) else plain
