"""Ids: when two of them are the same, however each was written, and each as a 64-bit number.

One id is the integer 1000, the text "1000", the decimal 1000.00, and the float 1000.0, which is what pandas makes of
integers of which some are missing, also as text; a UUID is one id in 16 bytes, with hyphens or without, in capitals or
not. A float that may have been another integer before is refused: it would join what does not belong together.

As numbers, millions of ids are joined, sorted and kept on disk as plain arrays. Two of ten million different ids share a
number with a chance of 3 in a million (n^2 / 2^65).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.parts import RepeatedRows
from mlvitals.exporters.reading.columns import Chunk, Column, ColumnTypeError, hyphenated, is_text, unwrapped, uuids
from mlvitals.exporters.reading.instants import NULLS, without
from mlvitals.exporters.reading.scan import Chunk as LogChunk
from mlvitals.generator.spec.model import FeatureType

Hashes: TypeAlias = NDArray[np.uint64]

_TEXT = pa.large_string()
_EXACT_BELOW = {"halffloat": 2**11, "float": 2**24, "double": 2**53}
"""By type of floats, the integer from which on they skip integers."""
_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0+$"
"""An integer with decimals."""
_SCIENTIFIC = r"^-?[0-9](\.[0-9]+)?e\+[0-9]+$"
"""A float of at least 1e16 as Python writes it. Nobody writes an id like this."""
_NONE = NULLS.filter(pc.not_equal(NULLS, pa.scalar("")))
"""Texts that mean no id."""
_EMPTY = pa.array([""])
_SHORTEST_INEXACT = len("9007199254740992.0")
_HYPHENED = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_LOWER_HEX = np.zeros(256, np.uint8)
_LOWER_HEX[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = np.frombuffer(b"0123456789abcdefabcdef", np.uint8)
"""By character, the hexadecimal digit in small letters; 0 for any other."""
_UUID_BYTES, _UUID_DIGITS, _UUID_LENGTH = 16, 32, 36

MOST_IDS = 1 << 22
"""Distinct ids that are remembered to find repeated ones, 32 MB. Noise among more rows than these is below every level."""

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
    if is_text(kind) or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        try:
            return _canonical_texts(_as_text(block))
        except pa.ArrowInvalid:
            raise IdError("holds bytes that are no text, which are no ids but as UUIDs of 16 bytes") from None
    if types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return uuids(block)
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
    if _any(pc.is_in(texts, value_set=_NONE.cast(texts.type))):
        texts = without(texts, _NONE)  # else all rows without an id would be one row's repetitions
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
    found, hyphened = texts, pc.equal(lengths, pa.scalar(_UUID_LENGTH))
    if _any(hyphened):
        lower: Any = pc.ascii_lower(texts)
        capitals: Any = pc.and_(hyphened, pc.not_equal(texts, lower))
        if _any(capitals):
            found = pc.if_else(pc.and_(capitals, pc.match_substring_regex(lower, _HYPHENED)), lower, texts)
    plain: Any = pc.equal(lengths, pa.scalar(_UUID_DIGITS))
    if _any(plain):
        found = pc.replace_with_mask(found, plain.fill_null(False), _with_hyphens(texts.filter(plain)))
    ids: Chunk = found
    return ids


def _with_hyphens(texts: Any) -> Chunk:
    """Return texts of 32 bytes as UUIDs where they are hexadecimal digits."""
    _, offsets, data = texts.buffers()
    start = np.frombuffer(offsets, np.int64)[texts.offset]
    characters = np.frombuffer(data, np.uint8)[start : start + len(texts) * _UUID_DIGITS].reshape(-1, _UUID_DIGITS)
    digits = _LOWER_HEX[characters]
    are_digits = np.asarray(digits.all(axis=1))
    written = hyphenated(digits)
    if are_digits.all():
        return written
    found: Chunk = pc.if_else(pa.array(are_digits), written.cast(pa.large_binary()), texts.cast(pa.large_binary()))
    return found.cast(_TEXT)


def _any(mask: Any) -> bool:
    return bool(pc.any(mask).as_py())


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


class DistinctRows:
    """Leaves out rows whose id an earlier row of a window has, as at-least-once delivery writes them.

        distinct = DistinctRows("prediction_id")
        chunk = distinct.of(chunk)             # of a reader that asks for distinct.columns too
        distinct.end_file(broken=False)

    Memory is bounded: of ids beyond `most` a repetition is not found, and they are counted as unchecked.

    Args:
        column: the ids; None: every row counts.
        most: how many ids are remembered.
    """

    def __init__(self, column: str | None, most: int = MOST_IDS) -> None:
        self._column = column
        self._most = most
        self._seen: list[Hashes] = []
        """Sorted; each longer than all after it together, so that few are searched."""
        self._of_file: list[Hashes] = []
        self._counted, self._counted_of_file = RepeatedRows(), RepeatedRows()
        self._path, self._met = "", False
        """The file that is read, and whether it has shown an id."""
        self.misfits: dict[str, str] = {}
        """By file, why its ids are none."""

    @property
    def columns(self) -> dict[str, FeatureType]:
        """Return the columns that a reader must ask for, unless it reads them as something else."""
        return {} if self._column is None else {self._column: FeatureType.CATEGORICAL}

    @property
    def found(self) -> RepeatedRows | None:
        """Return what was found in whole files; None without ids."""
        return None if self._column is None else self._counted

    def of(self, chunk: LogChunk) -> LogChunk:
        """Return those rows of a chunk whose id was not met before, and those that have none."""
        if self._column is None:
            return chunk
        self._path = chunk.path
        try:
            fresh, counted = self._fresh(chunk, self._column)
        except IdError as error:
            self.misfits[chunk.path] = f"column {self._column!r}, by which repeated rows are found, {error}"
            fresh, counted = None, RepeatedRows(unchecked=chunk.rows)
        self._counted_of_file = self._counted_of_file + counted
        if fresh is None or not counted.rows:
            return chunk
        mask = pa.array(fresh)
        return replace(
            chunk,
            rows=int(np.count_nonzero(fresh)),
            columns={name: column.filter(mask) for name, column in chunk.columns.items()},
            times=None if chunk.times is None else chunk.times.filter(mask),
        )

    def end_file(self, *, broken: bool) -> None:
        """Remember the ids of a file; of one that is broken nothing counts."""
        if not broken:
            for ids in self._of_file:
                _remember(self._seen, ids)
            if self._counted_of_file.unchecked and not self._met:
                self.misfits.setdefault(
                    self._path, f"column {self._column!r}, by which repeated rows are found, holds no id"
                )
            self._counted = self._counted + self._counted_of_file
        self._of_file, self._counted_of_file, self._met = [], RepeatedRows(), False

    def _fresh(self, chunk: LogChunk, name: str) -> tuple[NDArray[np.bool_] | None, RepeatedRows]:
        """Mark the rows that count, and count the others; no mask where nothing can be said."""
        if name not in chunk.columns:
            raise IdError("is missing")
        texts: Any = canonical_ids(chunk.columns[name])
        texts = without(texts, _EMPTY)
        present = texts.is_valid().to_numpy(zero_copy_only=False)
        self._met = self._met or bool(present.any())
        hashes = _hash_texts(texts.drop_null())
        kept, new = _first_of_each(hashes, [*self._seen, *self._of_file])
        room = max(0, self._most - sum(map(len, self._seen)) - sum(map(len, self._of_file)))
        _remember(self._of_file, new[:room])
        fresh = ~present
        fresh[present] = kept
        too_many = max(0, len(new) - room)
        nameless = chunk.rows - len(kept)
        return fresh, RepeatedRows(
            rows=len(kept) - len(new), checked=len(kept) - too_many, unchecked=nameless + too_many
        )


def _first_of_each(ids: Hashes, parts: Sequence[Hashes]) -> tuple[NDArray[np.bool_], Hashes]:
    """Mark the first of each of the ids that none of the sorted parts has, and return these in order."""
    ordered = np.sort(ids)
    if not (ordered[1:] == ordered[:-1]).any() and not _are_in(ordered, parts).any():
        return np.ones(len(ids), bool), ordered  # as it mostly is
    distinct, firsts = np.unique(ids, return_index=True)
    new = ~_are_in(distinct, parts)
    kept = np.zeros(len(ids), bool)
    kept[firsts[new]] = True
    return kept, distinct[new]


def _are_in(ids: Hashes, parts: Sequence[Hashes]) -> NDArray[np.bool_]:
    """Mark the sorted ids that one of the sorted parts has."""
    found = np.zeros(len(ids), bool)
    for part in parts:
        places = np.searchsorted(part, ids)
        found |= part[np.minimum(places, len(part) - 1)] == ids
    return found


def _remember(parts: list[Hashes], ids: Hashes) -> None:
    if not len(ids):
        return
    parts.append(ids)
    while len(parts) > 1 and len(parts[-2]) <= 2 * len(parts[-1]):
        last = parts.pop()
        parts[-1] = np.sort(np.concatenate([parts[-1], last]), kind="stable")
