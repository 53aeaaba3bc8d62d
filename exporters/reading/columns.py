"""Arrow columns as what is measured: which Arrow types suit a feature's type, and how they become numbers or levels.

Numbers are float64 (float32 stays float32); text, booleans and integers of a categorical feature become
text. A timestamp feature is measured as its age in seconds when the prediction was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.instants import InstantError, instants
from mlvitals.generator.spec.model import FeatureType

Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"
Chunk: TypeAlias = "pa.Array[Any]"
Numbers: TypeAlias = "NDArray[np.float64] | NDArray[np.float32]"
Counts: TypeAlias = NDArray[np.int64]

_TRUTH = pa.array(["True", "TRUE", "False", "FALSE"], pa.large_string())
_COMMA_NUMBER = re.compile(r"\s*[+-]?\d{1,3}(\d+|(\.\d{3})*),\d+\s*")
_LONGEST_SHOWN = 80
"""Characters of a value that a message shows."""
_UUID_BYTES = 16
_HEX = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], np.uint8)
_HEX_PLACES = [place for place in range(36) if place not in (8, 13, 18, 23)]

BLOCK_ROWS = 131_072
"""Rows sorted at once: a block of float64 then fits the cache of a core."""


class ColumnTypeError(ValueError):
    """A column's values do not match the type as which it is measured.

    Args:
        finding: what was found and what is expected.
        use: what the column is for, where it is a feature.
    """

    def __init__(self, finding: str, use: str = "") -> None:
        super().__init__(finding + use)
        self.finding = finding


class FixedAge(NamedTuple):
    """A date, in microseconds since 1970, that has the same age whenever a prediction was made."""

    date: int
    seconds: float


class LevelCounts(NamedTuple):
    """The distinct texts of a column with their counts, and the rows without a value."""

    levels: Chunk
    counts: Counts
    nulls: int
    nans: int


def blocks(column: Column, at: Column | None = None) -> Iterator[tuple[Chunk, Chunk | None]]:
    """Cut a column, and the prediction times that belong to it, into blocks of at most `BLOCK_ROWS` rows."""
    start = 0
    for chunk in _chunks(column):
        for offset in range(0, len(chunk), BLOCK_ROWS):
            block = chunk.slice(offset, BLOCK_ROWS)
            yield block, None if at is None else _joined(at.slice(start, len(block)))
            start += len(block)


def numbers(block: Chunk, kind: FeatureType, at: Chunk | None = None, fixed: Sequence[FixedAge] = ()) -> Numbers:
    """Return the non-null values of a block, NaN included, as an array of the caller's own.

    Args:
        block: the values.
        kind: the feature's type, any but categorical.
        at: when each prediction was made; needed for timestamps.
        fixed: dates that have one age for good.

    Raises:
        ColumnTypeError: the values are not of the feature's type.
    """
    block = unwrapped(block)
    if pa.types.is_null(block.type):
        return np.empty(0)
    if not _SUITS[kind](block.type):
        raise _mismatch(kind, f"{block.type} values{_shown(block)}")
    if kind is FeatureType.TIMESTAMP:
        return _ages(block, at, fixed)
    values = _floats(block.drop_null())
    if kind is FeatureType.BOOLEAN:
        strange = values[(values != 0) & (values != 1) & ~np.isnan(values)]
        if strange.size:
            raise _mismatch(kind, f"the number {strange[0]:g}")
    return values


def sorted_numbers(
    column: Column, kind: FeatureType, at: Column | None = None, fixed: Sequence[FixedAge] = ()
) -> Numbers:
    """Return all non-null values of a column in ascending order, NaN left out.

    Raises:
        ColumnTypeError: as `numbers`; also for integers beyond 2**53, which floats cannot distinguish.
    """
    for chunk in _chunks(column):
        _refuse_inexact(unwrapped(chunk))
    values = np.concatenate(
        [np.empty(0, np.float32), *(numbers(block, kind, times, fixed) for block, times in blocks(column, at))]
    )
    values.sort()
    return values[: np.searchsorted(values, np.nan)]


def comparable(column: Column, kind: FeatureType) -> Chunk:
    """Return a column's values one by one, for comparing them with others of the same rows; null where null or NaN.

    Returns:
        Text of a category, times in UTC, float32 where the column is that, else float64.

    Raises:
        ColumnTypeError: the column does not hold values of the feature's type.

    """
    chunk = _joined(column)
    if kind is FeatureType.CATEGORICAL:
        return canonical(_text(chunk)[0])
    block = unwrapped(chunk)
    if kind is FeatureType.TIMESTAMP:
        times: Chunk = _microseconds(block).cast(pa.timestamp("us", "UTC"))
        return times
    if pa.types.is_null(block.type):
        return pa.nulls(len(block), pa.float64())
    if not _SUITS[kind](block.type):
        raise _mismatch(kind, f"{block.type} values{_shown(block)}")
    if not pa.types.is_float32(block.type):
        block = block.cast(pa.float64(), safe=False)
    values: Chunk = pa.array(block.to_numpy(zero_copy_only=False), from_pandas=True)
    return values


def epoch_microseconds(times: Column) -> pa.ChunkedArray[Any]:
    """Return times as microseconds since 1970 in UTC, null where missing.

    Raises:
        ColumnTypeError: the column holds no times.
    """
    chunks = [_microseconds(unwrapped(chunk)) for chunk in _chunks(times)]
    return pa.chunked_array(chunks, type=pa.int64())


def level_counts(column: Column) -> Iterator[LevelCounts]:
    """Yield the levels of a categorical column, chunk by chunk.

    Integers, also those that pandas made floats of because some are missing, are their decimal text.

    Raises:
        ColumnTypeError: the column holds no categories, such as fractions or times.
    """
    for chunk in _chunks(column):
        yield _encoded_levels(chunk) if pa.types.is_dictionary(chunk.type) else _plain_levels(chunk)


def _encoded_levels(chunk: Any) -> LevelCounts:
    """Return levels of a dictionary-encoded chunk: only the codes are counted, each distinct value is read once."""
    codes = chunk.indices.drop_null().to_numpy(zero_copy_only=False).astype(np.intp)
    counts = np.bincount(codes, minlength=len(chunk.dictionary)).astype(np.int64)
    text, nans = _text(chunk.dictionary)
    missing = text.is_null().to_numpy(zero_copy_only=False)
    of_nan = int(counts[nans].sum())
    nulls = len(chunk) - len(codes) + int(counts[missing].sum()) - of_nan
    return LevelCounts(*_canonical_levels(text.drop_null(), counts[~missing]), nulls, of_nan)


def _plain_levels(chunk: Chunk) -> LevelCounts:
    text, nans = _text(chunk)
    found: Any = pc.value_counts(text.drop_null())
    counts = found.field("counts").to_numpy().astype(np.int64)
    of_nan = int(nans.sum())
    return LevelCounts(*_canonical_levels(found.field("values"), counts), text.null_count - of_nan, of_nan)


def _canonical_levels(levels: Chunk, counts: Counts) -> tuple[Chunk, Counts]:
    """Return levels as `canonical` writes them, those that become the same counted together."""
    written = canonical(levels)
    if written is levels:
        return levels, counts
    encoded: Any = written.dictionary_encode()
    total = np.zeros(len(encoded.dictionary), np.int64)
    np.add.at(total, encoded.indices.to_numpy(), counts)
    return encoded.dictionary, total


def canonical(texts: Chunk) -> Chunk:
    """Return texts in which integers and booleans are written as a column of integers or booleans is.

    pandas writes the integer 5 as 5.0 where the column has missing values, and true as True; other writers do not.
    The very array where there is nothing to change.
    """
    written: Any = texts
    if pc.any(pc.ends_with(texts, ".0")).as_py():
        written = pc.replace_substring_regex(written, r"^(-?[1-9][0-9]*)\.0$", r"\1")
        written = pc.replace_substring_regex(written, r"^-?0\.0$", "0")
    places = pc.index_in(texts, value_set=_TRUTH)
    if places.null_count < len(places):
        written = pc.coalesce(pa.array(["true", "false"], pa.large_string()).take(pc.divide(places, 2)), written)
    found: Chunk = written
    return found


def _text(chunk: Any) -> tuple[Chunk, NDArray[np.bool_]]:
    """Return values as text, null where there is no value, and a mask of those that were NaN."""
    chunk = unwrapped(chunk)
    kind, types = chunk.type, pa.types
    if not _SUITS[FeatureType.CATEGORICAL](kind):
        raise _mismatch(FeatureType.CATEGORICAL, f"{kind} values")
    nans = np.zeros(len(chunk), bool)
    if types.is_fixed_size_binary(kind):
        return uuids(chunk), nans
    try:
        if types.is_floating(kind):
            values = chunk.to_numpy(zero_copy_only=False).astype(np.float64)
            nans = np.isnan(values) & chunk.is_valid().to_numpy(zero_copy_only=False)
            chunk = pa.array(values, from_pandas=True).cast(pa.int64())
        elif types.is_decimal(kind):
            chunk = chunk.cast(pa.decimal256(76, 0))
    except pa.ArrowInvalid:
        raise _mismatch(FeatureType.CATEGORICAL, "numbers that are not whole") from None
    # What is no UTF-8 is still a value.
    return chunk.cast(options=pc.CastOptions(target_type=pa.large_string(), allow_invalid_utf8=True)), nans


def uuids(chunk: Any) -> Chunk:
    """Return UUIDs of 16 bytes as people write them."""
    count, (_, data) = len(chunk), chunk.buffers()
    values = np.frombuffer(data, np.uint8)[chunk.offset * 16 : (chunk.offset + count) * 16]
    found: Any = pc.if_else(
        chunk.is_valid(), hyphenated(_HEX[values].reshape(count, 32)), pa.scalar(None, pa.large_string())
    )
    texts: Chunk = found
    return texts


def hyphenated(digits: NDArray[np.uint8]) -> Chunk:
    """Return UUIDs as people write them, of 32 hexadecimal digits each."""
    count = len(digits)
    written = np.full((count, 36), ord("-"), np.uint8)
    written[:, _HEX_PLACES] = digits
    offsets = pa.py_buffer(np.arange(0, 36 * (count + 1), 36, dtype=np.int64).tobytes())
    return pa.Array.from_buffers(pa.large_string(), count, [None, offsets, pa.py_buffer(written.tobytes())])


def _ages(block: Chunk, at: Chunk | None, fixed: Sequence[FixedAge]) -> NDArray[np.float64]:
    if at is None:
        raise ValueError("a timestamp feature is measured against the prediction times: pass them as `at`")
    dates: Any = _microseconds(block)
    try:
        age: Any = pc.subtract_checked(_microseconds(unwrapped(at)), dates)
    except pa.ArrowInvalid:
        raise ColumnTypeError("holds a time too far away to tell its age") from None
    seconds: NDArray[np.float64] = age.drop_null().to_numpy(zero_copy_only=False) / 1e6
    if fixed:
        present = dates.filter(age.is_valid()).to_numpy(zero_copy_only=False)
        for date, of_date in fixed:
            seconds[present == date] = of_date
    return seconds


def _microseconds(times: Any) -> Chunk:
    """Return times since 1970 in UTC; a time without zone is UTC."""
    if not (is_time(times.type) or pa.types.is_null(times.type)):
        raise _mismatch(FeatureType.TIMESTAMP, f"{times.type} values")
    try:
        since_epoch: Chunk = instants(times).cast(pa.int64())
    except InstantError as error:
        raise ColumnTypeError(str(error)) from None
    return since_epoch


def _floats(block: Chunk) -> Numbers:
    if pa.types.is_decimal(block.type):
        block = block.cast(pa.float64())
    values = block.to_numpy(zero_copy_only=False)
    return np.array(values, np.float32) if values.dtype == np.float32 else np.array(values, np.float64)


def _refuse_inexact(chunk: Chunk) -> None:
    if pa.types.is_integer(chunk.type) and len(chunk) > chunk.null_count:
        extremes: Any = pc.min_max(chunk)
        if max(abs(extremes["min"].as_py()), abs(extremes["max"].as_py())) > 2**53:
            raise ColumnTypeError(
                "holds integers beyond 2**53, which floats cannot tell apart; make it a categorical feature"
            )


def unwrapped(chunk: Any) -> Chunk:
    """Return a chunk without its wrapping: extension type, dictionary or run-end encoding."""
    while True:
        if isinstance(chunk.type, pa.BaseExtensionType):
            chunk = chunk.storage
        elif pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_decode()
        elif pa.types.is_run_end_encoded(chunk.type):
            chunk = pc.call_function("run_end_decode", [chunk])
        else:
            plain: Chunk = chunk
            return plain


def readable(chunk: Chunk) -> Chunk:
    """Return values in a layout that Arrow can compute with: of text views and runs it knows little more than the cast."""
    if pa.types.is_run_end_encoded(chunk.type):
        return readable(pc.call_function("run_end_decode", [chunk]))
    return chunk.cast(pa.large_string()) if pa.types.is_string_view(chunk.type) else chunk


def _chunks(column: Column) -> list[Chunk]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _joined(column: Column) -> Chunk:
    chunks = _chunks(column)
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _mismatch(kind: FeatureType, found: str) -> ColumnTypeError:
    return ColumnTypeError(f"holds {found}; expected {_EXPECTED[kind]}", f" for a feature of type {kind}")


def is_comma_number(text: str) -> bool:
    """True for a number with a decimal comma."""
    return _COMMA_NUMBER.fullmatch(text) is not None


def _shown(block: Chunk) -> str:
    """Return the first value of a column of text, and a hint where the first ones are numbers with a decimal comma."""
    if not is_text(block.type):
        return ""
    values: Any = block.drop_null().slice(0, 10).cast(pa.large_binary())  # it need not be UTF-8
    first = [value.decode(errors="replace")[:_LONGEST_SHOWN] for value in values.to_pylist()]
    if not first:
        return ""
    comma = ' (a decimal comma? In CSV, declare it: decimal: ",")' if all(map(is_comma_number, first)) else ""
    return f" such as {first[0]!r}{comma}"


def is_number(kind: pa.DataType) -> bool:
    """True for numbers but half precision, whose rounding would move values across the edges of a wider reference."""
    types = pa.types
    return any(
        suits(kind)
        for suits in (types.is_integer, types.is_float32, types.is_float64, types.is_decimal, types.is_boolean)
    )


def is_text(kind: pa.DataType) -> bool:
    """True for text, of whatever layout."""
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_category(kind: pa.DataType) -> bool:
    """True for what is a category: text, also where a writer did not say that it is text, integers, booleans, UUIDs."""
    types = pa.types
    return (
        is_text(kind)
        or (types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES)
        or any(
            suits(kind)
            for suits in (
                types.is_boolean,
                types.is_integer,
                types.is_floating,
                types.is_decimal,
                types.is_null,
                types.is_binary,
                types.is_large_binary,
                types.is_binary_view,
            )
        )
    )


def is_time(kind: pa.DataType) -> bool:
    """True for timestamps and dates."""
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


_SUITS: dict[FeatureType, Callable[[pa.DataType], bool]] = {
    FeatureType.FLOAT: is_number,
    FeatureType.INTEGER: is_number,
    FeatureType.BOOLEAN: is_number,
    FeatureType.CATEGORICAL: _is_category,
    FeatureType.TIMESTAMP: is_time,
}
_EXPECTED = {
    FeatureType.FLOAT: "numbers",
    FeatureType.INTEGER: "numbers",
    FeatureType.BOOLEAN: "true and false, or 1 and 0,",
    FeatureType.CATEGORICAL: "texts, truth values or whole numbers",
    FeatureType.TIMESTAMP: "timestamps or dates",
}
