"""One conversion for all that is read: whatever a file or a table holds becomes the type in which it is measured.

CSV has no types, JSON lines have few, and warehouses write integers as decimals and numbers as text; so the type of the
feature decides how its values are read. A value that cannot be read as that type costs itself: it is null, and a misfit,
which is counted and reported. A column most of whose values are misfits is of another type, and stays as it is: a type
mismatch of that feature alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.reading.columns import is_number, is_text, readable, unwrapped
from mlvitals.exporters.reading.instants import NULLS, InstantError, read_instants, without
from mlvitals.generator.spec.model import FeatureType, LogFormat

Column: TypeAlias = "pa.Array[Any]"

_NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
"""The types that Arrow casts to a float."""
_DECIMAL_COMMA = r"(?i)^\s*([+-]?\d*),(\d*(e[+-]?\d+)?)\s*$"

Columns: TypeAlias = Mapping[str, FeatureType | None]
"""The columns wanted, and how each is measured; None for values as they are written, which the reader judges itself."""

_TYPES: dict[FeatureType | None, tuple[pa.DataType, ...]] = {
    None: (pa.float64(),),
    FeatureType.FLOAT: (pa.float64(),),
    FeatureType.INTEGER: (pa.int64(), pa.float64()),
    FeatureType.BOOLEAN: (pa.bool_(), pa.float64()),
    FeatureType.CATEGORICAL: (pa.string(),),
    FeatureType.TIMESTAMP: (pa.string(),),
}
"""Types to read text of a feature with, the first that takes all values."""
_TRUTH = {"true": "1", "false": "0", "t": "1", "f": "0"}
"""Booleans in words, in lower case; one letter is what PostgreSQL writes."""


class Converted(NamedTuple):
    """A column in the type in which it is measured, and which of its values could not be read as that, if any."""

    values: Column
    misfits: pa.BooleanArray | None = None


def json_type(name: str, found: pa.DataType, columns: Columns, timestamp: str) -> pa.DataType:
    """Return the type with which to read a key of JSON lines in which Arrow found another at first."""
    kind = FeatureType.TIMESTAMP if name == timestamp else columns.get(name)
    types = pa.types
    if types.is_timestamp(found):
        return pa.string()
    if types.is_null(found):
        return _TYPES[kind][-1]
    if types.is_integer(found) and kind not in (FeatureType.CATEGORICAL, None):
        return pa.float64()
    return found


def converted(
    column: Column, kind: FeatureType | None, file_format: LogFormat = LogFormat.PARQUET, decimal: str = "."
) -> Converted:
    """Return a column as the type it is measured in, or unchanged where it is of another type.

    Args:
        column: values as they were read.
        kind: the type it is measured in; None to leave values that cannot be read to the caller.
        file_format: where it was read. In CSV text without a character is no value.
        decimal: the decimal mark of numbers in CSV.
    """
    is_csv = file_format is LogFormat.CSV
    if kind is FeatureType.CATEGORICAL:
        return _categories(without(column, NULLS[:1]) if is_csv else column)
    if kind is None:
        return Converted(_with_point(without(column, NULLS), decimal) if is_csv else column)
    if kind is FeatureType.TIMESTAMP:
        return _times(column)
    plain = unwrapped(column)
    if is_text(plain.type):
        texts = without(readable(plain), NULLS)
        return _numbers(column, _with_point(texts, decimal) if is_csv else texts, kind)
    if kind is FeatureType.BOOLEAN and is_number(plain.type) and not pa.types.is_boolean(plain.type):
        return _truths(column, plain, plain)
    return Converted(column)


def numbers_among(texts: Column) -> Column:
    """Return texts one by one as float64, null where one is no number; a cast would refuse all of them for one."""
    trimmed: Any = pc.utf8_trim_whitespace(texts)
    fitting: Any = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, pa.scalar(None, trimmed.type))
    numbers: Column = fitting.cast(pa.float64())
    return numbers


def _numbers(column: Column, texts: Column, kind: FeatureType) -> Converted:
    for wanted in _TYPES[kind]:
        try:
            numbers = texts.cast(wanted)
        except pa.ArrowInvalid:
            continue
        break
    else:
        numbers = numbers_among(_without_words(texts))
    if kind is FeatureType.BOOLEAN and not pa.types.is_boolean(numbers.type):
        return _truths(column, texts, numbers)
    return _unless_most(column, numbers, pc.and_(pc.is_valid(texts), pc.is_null(numbers)))


def _without_words(texts: Column) -> Column:
    """Return texts with booleans as 1 and 0."""
    words: Any = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    places = pc.index_in(words, value_set=pa.array(_TRUTH, words.type))
    spelt: Column = pc.coalesce(pa.array(_TRUTH.values(), words.type).take(places), texts)
    return spelt


def _truths(column: Column, present: Column, numbers: Column) -> Converted:
    """Return booleans of numbers, of which all but 0 and 1 are misfits."""
    values: Any = numbers.cast(pa.float64(), safe=False) if not pa.types.is_float32(numbers.type) else numbers
    is_truth = pc.or_(pc.is_in(values, value_set=pa.array([0, 1], values.type)), pc.is_nan(values))
    kept: Any = pc.if_else(is_truth, values, pa.scalar(None, values.type))
    misfits = pc.and_(pc.is_valid(present), pc.is_null(kept))
    return _unless_most(column, kept.cast(pa.bool_()) if is_text(present.type) else kept, misfits)


def _categories(column: Column) -> Converted:
    """Return categories; of numbers those that are not whole are misfits."""
    plain: Any = unwrapped(column)
    if not (pa.types.is_floating(plain.type) and is_number(plain.type)):
        return Converted(column)
    whole: Any = pc.equal(plain, pc.floor(plain))
    fraction = pc.and_(pc.invert(whole), pc.invert(pc.is_nan(plain)))
    return _unless_most(column, pc.if_else(fraction, pa.scalar(None, plain.type), plain), pc.fill_null(fraction, False))


def _times(column: Column) -> Converted:
    try:
        read = read_instants(column)
    except InstantError:
        return Converted(column)
    return Converted(read.times, read.misfits)


def _unless_most(column: Column, values: Any, misfits: Any) -> Converted:
    """Return values without their misfits, or the column as it was where the misfits are half of it or more."""
    count = misfits.true_count
    if not count:
        return Converted(values)
    if 2 * count >= len(values) - values.null_count + count:
        return Converted(column)
    return Converted(values, misfits)


def _with_point(texts: Column, decimal: str) -> Column:
    """Return numbers with a decimal point. Where the comma is declared, a point is none: it might part thousands."""
    if decimal != ",":
        return texts
    marked: Any = pc.replace_substring(texts, ".", "?")
    read: Column = pc.replace_substring_regex(marked, _DECIMAL_COMMA, r"\1.\2")
    return read


def first_of(mask: pa.BooleanArray) -> int:
    """Return the place of the first true value."""
    return int(np.argmax(mask.to_numpy(zero_copy_only=False)))
