"""Ids as 64-bit numbers, so that millions of them are joined, sorted and kept on disk as plain arrays.

Two of ten million different ids share a number with a chance of 3 in a million (n^2 / 2^65).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, comparable
from mlvitals.generator.spec.model import FeatureType

Hashes: TypeAlias = NDArray[np.uint64]

_WORD = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash_ids(ids: Column, first_row: int) -> Hashes:
    """Return a number for each id; integers hash as their decimal text, so that 17 and "17" are one id.

    Args:
        ids: texts or integers. A missing id equals no other: it is numbered by its row.
        first_row: the number of the column's first row, among all rows of its side of a join.

    Raises:
        ColumnTypeError: the column holds neither.
    """
    texts = comparable(ids, FeatureType.CATEGORICAL)
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
