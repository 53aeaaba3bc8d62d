"""Points in time, however a column, a database or a service writes them.

Read are: timestamps of any unit, with a zone or without (then UTC); dates (midnight UTC); ISO 8601 text; and
numbers, which are Unix time in seconds. Milliseconds are refused rather than guessed.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.parts import Window

Times: TypeAlias = "pa.Array[Any]"

INSTANT = pa.timestamp("us", "UTC")
"""The one type in which times are compared."""

LARGEST_SECONDS = 100_000_000_000
"""Unix time of the year 5138 in seconds, and of 1973 in milliseconds: beyond it a number is not in seconds."""

NULLS = pa.array(["", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "NaT", "<NA>", "\\N"])
"""Text that means no value in a number, boolean or time; in a category only the empty text does."""

_MOMENT = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([ T]([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?)?"
_ZONE = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
"""ISO 8601 as Arrow reads it."""
_AS_ARROW_READS_IT = (
    (r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})", r"\1-\2-\3T\4:\5:"),
    (r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}):($|[Z+-])", r"\1\2"),
    (r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}),(\d)", r"\1.\2"),
    (r"(\.\d{6})\d+", r"\1"),
    (r"( ?(UTC|GMT)|z)$", "Z"),
    (r"(:\d{2}(\.\d+)?) ([+-]\d{2}:?\d{2})$", r"\1\3"),
)
"""Other ways to write it: basic format, a comma, nanoseconds, names of UTC, and Snowflake's blank before the offset."""
_MIXED = "holds times with a zone, such as {!r}, and without one, such as {!r}; write all of them with one"
_NOT_ISO = "holds text that is not an ISO 8601 time: {}, the first {!r}; write it like 2026-03-01T12:00:00Z"
_LONGEST = 80
"""Characters of a text that a message shows."""
_NOT_SECONDS = "holds a number that is not Unix time in seconds (milliseconds?); divide the numbers or write timestamps"


_CALENDAR = "holds numbers like 2026 or 20260301, which are years or dates and no Unix time; write 2026-03-01"
_YEARS = 1900, 2100


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


class ReadInstants(NamedTuple):
    """Points in time as `INSTANT`, and which values are none although they are there, if any."""

    times: Times
    misfits: pa.BooleanArray | None = None


def instants(column: Any) -> Times:
    """Return a column of points in time as `INSTANT`; nulls, NaN and single values that are none are null.

    Raises:
        InstantError: as `read_instants`.
    """
    return read_instants(column).times


def read_instants(column: Any) -> ReadInstants:
    """Read a column of points in time, and mark which of its values are none.

    Raises:
        InstantError: half of the values or more are no points in time, many have a zone and many have none, or numbers
            are no seconds.
    """
    kind = column.type
    types = pa.types
    if types.is_dictionary(kind):
        return read_instants(column.dictionary_decode())
    if types.is_null(kind):
        return ReadInstants(column.cast(INSTANT))
    if types.is_timestamp(kind):
        return ReadInstants(_utc(column))
    if types.is_date(kind):
        return ReadInstants(_utc(column.cast(pa.timestamp("ms"))))
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return ReadInstants(_from_seconds(column.cast(pa.float64(), safe=False)))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _from_text(column.cast(pa.large_string()))
    raise InstantError(f"has type {kind}; write timestamps, ISO 8601 text or Unix time in seconds")


def without(texts: Any, nulls: Any = NULLS) -> Any:
    """Return texts, null where one means no value."""
    none: Any = pa.scalar(None, texts.type)
    return pc.if_else(pc.is_in(texts, value_set=nulls.cast(texts.type)), none, texts)


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
    """Return timestamps in UTC, rounded down to microseconds; one without a zone is UTC."""
    unit = column.type.unit
    zoned = column.cast(pa.timestamp(unit, "UTC"))
    if unit == "ns":
        earliest = pc.min(zoned.cast(pa.int64())).as_py()
        if earliest is None or earliest >= 0:  # cutting digits off is rounding down, and 20 times as fast
            cut: Times = zoned.cast(INSTANT, safe=False)
            return cut
        zoned = pc.floor_temporal(zoned, 1, "microsecond")
    try:
        times: Times = zoned.cast(INSTANT)
    except pa.ArrowInvalid:
        raise InstantError("holds a time beyond what microseconds can count") from None
    return times


def _from_seconds(column: Times) -> Times:
    finite: Any = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
    largest = pc.max(pc.abs(finite)).as_py()
    if largest is not None and largest >= LARGEST_SECONDS:
        raise InstantError(_NOT_SECONDS)
    if _are_calendar(finite.drop_null()):
        raise InstantError(_CALENDAR)
    microseconds: Any = pc.floor(pc.multiply(finite, pa.scalar(1e6)))
    times: Times = microseconds.cast(pa.int64()).cast(INSTANT)
    return times


def _are_calendar(numbers: Any) -> bool:
    """True if all numbers are written like years, or like dates such as 20260301: as seconds they are hours of 1970."""
    if not len(numbers) or not pc.all(pc.equal(numbers, pc.floor(numbers))).as_py():
        return False
    whole = numbers.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if ((whole >= _YEARS[0]) & (whole < _YEARS[1])).all():
        return True
    year, month, day = whole // 10_000, whole // 100 % 100, whole % 100
    return bool(
        ((year >= _YEARS[0]) & (year < _YEARS[1]) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all()
    )


def _from_text(column: Any) -> ReadInstants:
    text = without(column)
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return ReadInstants(_utc((text if kind.unit == "ns" else _to_microseconds(text)).cast(kind)))
        except pa.ArrowInvalid:
            continue
    try:
        numbers = text.cast(pa.float64())
    except pa.ArrowInvalid:
        return _one_by_one(text)
    return ReadInstants(_from_seconds(numbers))


def _to_microseconds(text: Any) -> Any:
    """Return ISO 8601 text as Arrow reads it: at most six digits of a second, a point before them, no basic format."""
    for form, written in _AS_ARROW_READS_IT:
        text = pc.replace_substring_regex(text, form, written)
    return text


def _one_by_one(text: Any) -> ReadInstants:
    """Read text in which some values are no times."""
    trimmed = pc.utf8_trim_whitespace(_to_microseconds(text))
    zoned, naive, seconds = (
        pc.fill_null(pc.match_substring_regex(trimmed, form), False)
        for form in (f"^{_MOMENT}{_ZONE}$", f"^{_MOMENT}$", r"^\d{1,11}(\.\d*)?$")
    )
    most = max((zoned, naive, seconds), key=lambda mask: mask.true_count)
    fewer = min(zoned.true_count, naive.true_count)
    if fewer and 2 * fewer >= most.true_count:
        raise InstantError(_MIXED.format(_first(text, zoned), _first(text, naive)))
    fitting = pc.if_else(most, trimmed, pa.scalar(None, trimmed.type))
    if most is seconds:
        times = _from_seconds(fitting.cast(pa.float64()))
    else:
        times = _utc(_existing(fitting).cast(pa.timestamp("us", "UTC" if most is zoned else None)))
    misfits = pc.and_(pc.is_valid(text), pc.is_null(times))
    if 2 * misfits.true_count >= len(text) - text.null_count:
        raise InstantError(_NOT_ISO.format(misfits.true_count, _first(text, misfits)))
    return ReadInstants(times, misfits)


def _first(text: Any, chosen: Any) -> str:
    """Return the first of some texts, cut short."""
    found: str = text.filter(chosen)[0].as_py()
    return found[:_LONGEST]


def _existing(text: Any) -> Any:
    """Return times, null where one lies on a day that no calendar has, such as 30 February."""
    days = pc.utf8_slice_codeunits(text, 0, 10).dictionary_encode()
    known: Any = pa.array([_is_day(day) for day in days.dictionary.to_pylist()], pa.bool_())
    exists: Any = pc.fill_null(known.take(days.indices), False)
    return pc.if_else(exists, text, pa.scalar(None, text.type))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
