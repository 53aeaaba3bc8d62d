"""Points in time, however a column, a database or a service writes them.

Read are: timestamps of any unit, with a zone or without (then UTC); dates (midnight UTC); ISO 8601 text; and
numbers, which are Unix time in seconds. Milliseconds are refused rather than guessed.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.parts import Window

Times: TypeAlias = "pa.Array[Any]"

INSTANT = pa.timestamp("us", "UTC")
"""The one type in which times are compared."""

LARGEST_SECONDS = 100_000_000_000
"""Unix time of the year 5138 in seconds, and of 1973 in milliseconds: beyond it a number is not in seconds."""

_NOT_SECONDS = "holds numbers that are not Unix time in seconds (milliseconds?); divide them or write timestamps"


class InstantError(ValueError):
    """Something that is not a point in time as described above."""


def instant(value: object) -> datetime:
    """Return one point in time as an aware datetime in UTC.

    Raises:
        InstantError: `value` is no point in time.
    """
    match value:
        case datetime():
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case bool():
            raise InstantError(f"{value} is not a point in time")
        case int() | float() | Decimal():
            if not 0 <= value < LARGEST_SECONDS:
                raise InstantError(f"{value} is not Unix time in seconds")
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(value))
        case str():
            try:
                return instant(datetime.fromisoformat(value.strip()))
            except ValueError:
                raise InstantError(f"{value[:80]!r} is not an ISO 8601 time") from None
    raise InstantError(f"a {type(value).__name__} is not a point in time")


def instants(column: Any) -> Times:
    """Return a column of points in time as `INSTANT`; nulls and NaN stay null.

    Raises:
        InstantError: the column's type or one of its values is no point in time.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return instants(column.dictionary_decode())
    if pa.types.is_null(kind):
        nothing: Times = column.cast(INSTANT)
        return nothing
    if pa.types.is_timestamp(kind):
        return _utc(column)
    if pa.types.is_date(kind):
        return _utc(column.cast(pa.timestamp("ms")))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_seconds(column.cast(pa.float64(), safe=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _from_text(column)
    raise InstantError(f"has type {kind}; write timestamps, ISO 8601 text or Unix time in seconds")


def may_be_within(column: str, kind: pa.DataType, window: Window) -> pc.Expression | None:
    """Return a filter for the reader that lets every row of the window pass and few others; None if impossible.

    It exists to skip files and row groups by their statistics; `instants` decides which rows belong.
    """
    field, second = pc.field(column), timedelta(seconds=1)
    start, end = window.start - second, window.end + second
    if pa.types.is_timestamp(kind):
        zone = UTC if kind.tz else None
        bounds = [pa.scalar(bound.replace(tzinfo=zone), type=kind) for bound in (start, end)]
        return (field >= bounds[0]) & (field <= bounds[1])
    if pa.types.is_date(kind):
        return (field >= pa.scalar(start.date(), type=kind)) & (field <= pa.scalar(end.date(), type=kind))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        seconds = (field >= int(start.timestamp())) & (field <= int(end.timestamp()))
        return seconds | (field >= LARGEST_SECONDS)  # so that milliseconds are seen, and refused
    return None


def _utc(column: Any) -> Times:
    zoned: Any = column if column.type.tz else pc.assume_timezone(column, "UTC")
    times: Times = zoned.cast(INSTANT, safe=False)
    return times


def _from_seconds(column: Times) -> Times:
    finite: Any = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
    largest = pc.max(pc.abs(finite)).as_py()
    if largest is not None and largest >= LARGEST_SECONDS:
        raise InstantError(_NOT_SECONDS)
    microseconds: Any = pc.floor(pc.multiply(finite, pa.scalar(1e6)))
    times: Times = microseconds.cast(pa.int64()).cast(INSTANT)
    return times


def _from_text(column: Any) -> Times:
    text = pc.if_else(pc.equal(column, pa.scalar("", column.type)), pa.scalar(None, column.type), column)
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            return _utc(text.cast(kind))
        except pa.ArrowInvalid:
            continue
    try:
        numbers = text.cast(pa.float64())
    except pa.ArrowInvalid:
        raise InstantError("holds text that is not an ISO 8601 time, or times with and without a zone") from None
    return _from_seconds(numbers)
