"""Ids: when two of them are the same, however each was written, and each as a 64-bit number.

One id is the integer 1000, the text "1000", the decimal 1000.00, and the float 1000.0, which is what pandas makes of
integers of which some are missing, also as text; a UUID is one id in 16 bytes, with hyphens or without, in capitals or
not. A float that may have been another integer before is refused: it would join what does not belong together.

As numbers, millions of ids are joined, sorted and kept on disk as plain arrays. Two of ten million different ids share a
number with a chance of 3 in a million (n^2 / 2^65).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Chunk, Column, ColumnTypeError, unwrapped

Hashes: TypeAlias = NDArray[np.uint64]

_TEXT = pa.large_string()
_EXACT_BELOW = {"halffloat": 2**11, "float": 2**24, "double": 2**53}
"""By type of floats, the integer from which on they skip integers."""
_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0+$"
"""An integer with decimals."""
_SCIENTIFIC = r"^-?[0-9](\.[0-9]+)?e\+[0-9]+$"
"""A float of at least 1e16 as Python writes it. Nobody writes an id like this."""
_SHORTEST_INEXACT = len("9007199254740992.0")
_HEX_DIGITS = r"^[0-9a-fA-F]{32}$"
_HYPHENED = r"^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$"
_UUID_BYTES, _UUID_DIGITS, _UUID_LENGTH = 16, 32, 36

_WORD = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class IdError(ColumnTypeError):
    """A column that holds no ids, or ids that are not known exactly; the message says what it holds and what to write."""


def canonical_ids(column: Column) -> Chunk:
    """Return ids as texts that are equal where the ids are; null where one is missing.

    Raises:
        IdError: the column holds something else than integers, texts and UUIDs, or floats that stand for several ids.
    """
    block: Any = unwrapped(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    kind, types = block.type, pa.types
    if types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind):
        return _as_text(block)
    if types.is_floating(kind):
        return _as_text(_integers(block))
    if types.is_decimal(kind):
        try:
            return _canonical_texts(_as_text(block.cast(pa.decimal256(76, 0))))
        except pa.ArrowInvalid:
            raise IdError("holds decimals with a fraction, which are no ids") from None
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _canonical_texts(_as_text(block))
    if types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _uuids(block)
    raise IdError(f"holds {kind} values; ids are integers, texts or UUIDs")


def _as_text(block: Chunk) -> Chunk:
    texts: Chunk = block.cast(_TEXT)
    return texts


def _integers(block: Chunk) -> Chunk:
    """Return floats as the integers that they stand for."""
    values = block.to_numpy(zero_copy_only=False).astype(np.float64)
    limit = _EXACT_BELOW[str(block.type)]
    inexact = values[np.abs(values) >= limit]
    if inexact.size:
        raise IdError(
            f"holds ids as {block.type}, which does not distinguish integers from {limit:,} on, such as {inexact[0]:.17g}; "
            "write integers or texts"
        )
    fractions = values[values % 1 != 0]
    fractions = fractions[~np.isnan(fractions)]
    if fractions.size:
        raise IdError(f"holds numbers that are not whole, such as {fractions[0]:g}, which are no ids")
    return pa.array(values, from_pandas=True).cast(pa.int64())


def _canonical_texts(texts: Any) -> Chunk:
    """Return texts in the one way in which each id is written. Most columns have nothing to change, and cost a look."""
    found: Any = texts
    if _any(pc.match_substring(texts, "e+")):
        _refuse_inexact(texts.filter(pc.match_substring_regex(texts, _SCIENTIFIC)))
    if _any(pc.match_substring(texts, ".")):
        _refuse_large(texts)
        found = pc.replace_substring_regex(found, _WHOLE, r"\1")
        found = pc.if_else(pc.equal(found, pa.scalar("-0", _TEXT)), pa.scalar("0", _TEXT), found)
    lengths: Any = pc.binary_length(found)
    if _any(pc.is_in(lengths, value_set=pa.array([_UUID_DIGITS, _UUID_LENGTH], lengths.type))):
        found = _lower_uuids(found, lengths)
    ids: Chunk = found
    return ids


def _refuse_large(texts: Any) -> None:
    """Refuse texts of floats that are too large to be exact; with more decimals than one they are of decimals."""
    long: Any = pc.and_(
        pc.ends_with(texts, ".0"), pc.greater_equal(pc.binary_length(texts), pa.scalar(_SHORTEST_INEXACT))
    )
    whole: Any = texts.filter(pc.and_(long, pc.match_substring_regex(texts, _WHOLE)))
    _refuse_inexact(whole.filter(pc.greater_equal(pc.abs(whole.cast(pa.float64())), pa.scalar(float(2**53)))))


def _refuse_inexact(texts: Chunk) -> None:
    if len(texts):
        raise IdError(
            f"holds ids that were written as floats, which do not distinguish integers from {2**53:,} on, such as "
            f"{texts[0].as_py()}; write integers or texts"
        )


def _lower_uuids(texts: Any, lengths: Any) -> Chunk:
    """Return UUIDs in small letters and with hyphens; other texts, and those that are so written, are left alone."""
    lower: Any = pc.ascii_lower(texts)
    digits: Any = pc.and_(pc.equal(lengths, pa.scalar(_UUID_DIGITS)), pc.match_substring_regex(texts, _HEX_DIGITS))
    capitals: Any = pc.and_(pc.equal(lengths, pa.scalar(_UUID_LENGTH)), pc.not_equal(texts, lower))
    others: Any = pc.or_(digits, capitals)
    if not _any(others):
        unchanged: Chunk = texts
        return unchanged
    written: Any = pc.replace_substring_regex(lower, _HYPHENED, r"\1-\2-\3-\4-\5")
    is_uuid: Any = pc.and_(others, pc.match_substring_regex(lower, _HYPHENED))
    found: Chunk = pc.if_else(is_uuid, written, texts)
    return found


def _any(mask: Any) -> bool:
    return bool(pc.any(mask).as_py())


def _uuids(block: Any) -> Chunk:
    """Return UUIDs of 16 bytes as texts."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    start, count = block.offset * _UUID_BYTES, len(block)
    octets = np.frombuffer(block.buffers()[1], np.uint8)[start : start + count * _UUID_BYTES]
    written = np.full((count, _UUID_LENGTH), ord("-"), np.uint8)
    hyphens = (8, 13, 18, 23)
    places = [place for place in range(_UUID_LENGTH) if place not in hyphens]
    written[:, places] = digits[np.column_stack([octets >> 4, octets & 15])].reshape(count, _UUID_DIGITS)
    bounds = np.arange(count + 1, dtype=np.int64) * _UUID_LENGTH
    buffers = [None, pa.py_buffer(bounds.tobytes()), pa.py_buffer(written.tobytes())]
    texts = pa.Array.from_buffers(_TEXT, count, buffers)
    found: Chunk = pc.if_else(block.is_valid(), texts, pa.scalar(None, _TEXT))
    return found


def distinct_ids(column: Column) -> Hashes:
    """Return the numbers of the distinct ids of a column; a missing one is none.

    Raises:
        IdError: as `canonical_ids`.
    """
    return np.unique(_hash_texts(canonical_ids(column).drop_null()))


def hash_ids(ids: Column, first_row: int) -> Hashes:
    """Return a number for each id, the same for the same id.

    Args:
        ids: as `canonical_ids` takes them. A missing id equals no other: it is numbered by its row.
        first_row: the number of the column's first row, among all rows of its side of a join.

    Raises:
        IdError: as `canonical_ids`.
    """
    texts = canonical_ids(ids)
    hashes = _hash_texts(texts)
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    hashes[missing] = hash_rows(first_row, len(texts))[missing]
    return hashes


def hash_rows(first_row: int, count: int) -> Hashes:
    """Return numbers for rows that have no id."""
    return _mixed(np.arange(first_row, first_row + count, dtype=np.uint64) + _GOLDEN)


def _hash_texts(texts: object) -> Hashes:
    """Hash texts, eight bytes at a time; rows leave as their text ends."""
    offsets, data = _bytes_of(texts)
    lengths = np.diff(offsets)
    hashes = _mixed(lengths.astype(np.uint64) ^ _GOLDEN)
    rows = np.flatnonzero(lengths)
    place = 0
    while rows.size:
        left = np.minimum(lengths[rows] - place, _WORD)
        words = data[offsets[rows] + place] & _KEEP[left]
        hashes[rows] = _mixed(hashes[rows] ^ words)
        place += _WORD
        rows = rows[lengths[rows] > place]
    return hashes


_KEEP = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
"""By number of bytes, the mask of the first ones."""


def _bytes_of(texts: object) -> tuple[NDArray[np.int64], Hashes]:
    """Return where each text starts and the last one ends, and the word that starts at every byte."""
    _, offsets, data = texts.buffers()  # type: ignore[attr-defined]
    first, count = texts.offset, len(texts)  # type: ignore[attr-defined,arg-type]
    bounds = np.frombuffer(offsets, np.int64)[first : first + count + 1]
    padded = (b"" if data is None else data.to_pybytes()) + bytes(_WORD)
    words: Hashes = np.ndarray((len(padded) - _WORD + 1,), "<u8", padded, strides=(1,))
    return bounds, words


def _mixed(numbers: Hashes) -> Hashes:
    """Mix every bit of a number into every bit of the result (the finaliser of SplitMix64, Steele et al. 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
