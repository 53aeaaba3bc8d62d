"""How many distinct values there are, in bounded memory and the same for any split of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

CAPACITY = 1024
"""Hashes kept. Up to here the count is exact, beyond it about 1 / sqrt(CAPACITY), 3 %, is its standard error."""


@dataclass(frozen=True, slots=True, eq=False)
class DistinctValues:
    """The smallest hashes of the values seen: a k-minimum-values sketch (Bar-Yossef et al. 2002, Beyer et al. 2007).

    The smallest of a union are the smallest of the smallest, so that merging is exact.
    """

    hashes: NDArray[np.uint64]
    """Ascending, at most `CAPACITY`."""

    @classmethod
    def of(cls, values: Iterable[bytes]) -> DistinctValues:
        """The sketch of some values."""
        hashed = (int.from_bytes(blake2b(value, digest_size=8).digest()) for value in values)
        return cls(np.unique(np.fromiter(hashed, np.uint64))[:CAPACITY])

    def merge(self, other: DistinctValues) -> DistinctValues:
        """The sketch of the values of both."""
        if not self.hashes.size or not other.hashes.size:
            return self if self.hashes.size else other
        return DistinctValues(np.union1d(self.hashes, other.hashes)[:CAPACITY])

    @property
    def count(self) -> float:
        """How many distinct values were seen: exact below `CAPACITY`, else estimated."""
        if len(self.hashes) < CAPACITY:
            return float(len(self.hashes))
        return (CAPACITY - 1) * 2.0**64 / float(self.hashes[-1])


NO_VALUES = DistinctValues(np.empty(0, np.uint64))
