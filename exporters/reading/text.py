"""Columns of text formats. CSV has no types and JSON lines has few, and Arrow guesses them from a file's first block.

A guess that a later block contradicts would lose the file, and `501` may be a number or a name; so the type of
the feature decides how its text is read, and text that does not fit stays text: a type mismatch of that feature alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.reading.instants import InstantError, instants
from mlvitals.generator.spec.model import FeatureType, LogFormat

Column: TypeAlias = "pa.Array[Any]"

_NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
"""The types that Arrow casts to a float."""

Columns: TypeAlias = Mapping[str, FeatureType]
"""The columns wanted, and how each is measured."""

NULLS = pa.array(["", "NA", "N/A", "NULL", "null", "None", "NaN", "nan"])
"""Text that means no value in a number, boolean or time; in a category only the empty text does."""

_TYPES: dict[FeatureType, Sequence[pa.DataType]] = {
    FeatureType.FLOAT: (pa.float64(),),
    FeatureType.INTEGER: (pa.int64(), pa.float64()),
    FeatureType.BOOLEAN: (pa.bool_(),),
    FeatureType.CATEGORICAL: (pa.string(),),
    FeatureType.TIMESTAMP: (pa.string(),),
}
"""Types to read a feature with, the first that takes all values."""


def schema_to_read(found: pa.Schema, file_format: LogFormat, columns: Columns, timestamp: str) -> pa.Schema:
    """Return the types with which to read a file in which Arrow found `found`."""
    if file_format is LogFormat.CSV:
        return pa.schema([pa.field(name, pa.string()) for name in found.names])
    if file_format is LogFormat.JSONL:
        wanted = {**columns, timestamp: FeatureType.TIMESTAMP}
        return pa.schema([_json_field(field, wanted[field.name]) for field in found if field.name in wanted])
    return found


def _json_field(field: "pa.Field[Any]", feature_type: FeatureType) -> "pa.Field[Any]":
    types = pa.types
    if types.is_timestamp(field.type):
        return field.with_type(pa.string())
    if types.is_null(field.type):
        return field.with_type(_TYPES[feature_type][-1])
    if types.is_integer(field.type) and feature_type is not FeatureType.CATEGORICAL:
        return field.with_type(pa.float64())
    return field


def parsed(column: Column, feature_type: FeatureType, file_format: LogFormat) -> Column:
    """Return the column as the type it is measured in, or unchanged where one value does not fit that type."""
    if file_format is LogFormat.CSV:
        return _parsed_text(column, feature_type)
    if file_format in (LogFormat.JSONL, LogFormat.SQL) and feature_type is FeatureType.TIMESTAMP:
        return _parsed_time(column)
    return column


def _parsed_text(text: Column, feature_type: FeatureType) -> Column:
    if feature_type is FeatureType.CATEGORICAL:
        return _without(text, NULLS[:1])
    text = _without(text, NULLS)
    if feature_type is FeatureType.TIMESTAMP:
        return _parsed_time(text)
    for kind in _TYPES[feature_type]:
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return text


def numbers_among(texts: Column) -> Column:
    """Return texts one by one as float64, null where one is no number; a cast would refuse all of them for one."""
    readable: Any = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, pa.scalar(None, texts.type))
    numbers: Column = readable.cast(pa.float64())
    return numbers


def _parsed_time(column: Column) -> Column:
    try:
        return instants(column)
    except InstantError:
        return column


def _without(text: Column, nulls: Column) -> Column:
    kept: Any = pc.if_else(pc.is_in(text, value_set=nulls), pa.scalar(None, text.type), text)
    column: Column = kept
    return column
