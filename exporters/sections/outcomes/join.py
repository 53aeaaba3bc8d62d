"""Predictions and outcomes joined by id: which outcome counts, and why the others do not.

Both sides are spread over partitions by the hash of their ids and joined one partition at a time, so that memory
does not grow with the rows, and the order in which files come changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column

Rows: TypeAlias = NDArray[np.void]
"""Records of one of the types below."""

PREDICTION = np.dtype(
    [("id", "<u8"), ("time", "<i8"), ("value", "<f8"), ("list", "<u8"), ("item", "<u8"), ("group", "<u8")]
)
"""Of each prediction: the hash of its id, when it was made in microseconds since 1970, what was predicted (NaN where
that is missing), the hashes of the list and the item of a ranking, and that of the group of rows that depend on it."""
OUTCOME = np.dtype([("id", "<u8"), ("time", "<i8"), ("value", "<f8")])
"""Of each outcome: the hash of its prediction's id, when it was observed, and the label, NaN where it is invalid."""
NO_TIME = np.iinfo(np.int64).min
"""The time of a row that has none."""

_BITS = 6
_IN_MEMORY = 1 << 20
"""Bytes of each of the 64 partitions that are held in memory; beyond them it is a file."""


class Breakdown(Protocol):
    """Gathers outcomes by further columns of the predictions, such as segments."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the log that it needs."""

    def codes(self, columns: Mapping[str, Column], rows: int) -> np.ndarray:
        """Return what it needs of each prediction as 32-bit codes, shape (rows, number of columns)."""

    def add(self, joined: Joined) -> None:
        """Add predictions with their outcomes."""


class NoBreakdown:
    """Gathers nothing."""

    columns: tuple[str, ...] = ()

    def codes(self, columns: Mapping[str, Column], rows: int) -> np.ndarray:
        """Return no codes."""
        return np.zeros((rows, 0), np.uint32)

    def add(self, joined: Joined) -> None:
        """Forget the predictions."""


PROBABILITIES = "probabilities"


def prediction_type(segments: int, classes: int = 0) -> np.dtype[np.void]:
    """Return `PREDICTION` with the codes of that many segments of each, and the probabilities of that many classes."""
    probabilities = [(PROBABILITIES, "<f8", (classes,))] if classes else []
    return np.dtype([*PREDICTION.descr, ("segments", "<u4", (segments,)), *probabilities])


class Partitions:
    """Rows spread by the first bits of a hash, in memory while they are few and in temporary files when not."""

    def __init__(self, kind: np.dtype[np.void], key: str = "id") -> None:
        self._kind = kind
        self._key = key
        self._files = [SpooledTemporaryFile(max_size=_IN_MEMORY) for _ in range(1 << _BITS)]  # noqa: SIM115 - see __exit__

    def __enter__(self) -> Partitions:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for file in self._files:
            file.close()

    def add(self, rows: Rows) -> None:
        """Put rows where they belong, in their order."""
        places = (rows[self._key] >> np.uint64(64 - _BITS)).astype(np.uint8)
        ordered = rows[np.argsort(places, kind="stable")]
        bounds = np.cumsum(np.bincount(places, minlength=len(self._files)))
        for file, part in zip(self._files, np.split(ordered, bounds[:-1]), strict=True):
            file.write(part.tobytes())

    def __iter__(self) -> Iterator[Rows]:
        """Yield each partition's rows, in the order in which they were added."""
        for file in self._files:
            file.seek(0)
            yield np.frombuffer(file.read(), self._kind)


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """The numbers of predictions and outcomes, as `OutcomeReport` names them."""

    predictions: int = 0
    repeated_predictions: int = 0
    answered: int = 0
    early: int = 0
    late: int = 0
    duplicates: int = 0
    orphans: int = 0
    invalid: int = 0
    untimed: int = 0

    def __add__(self, other: JoinCounts) -> JoinCounts:
        """Return what was counted in both."""
        return JoinCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(JoinCounts)))


NO_COUNTS = JoinCounts()
"""Those of nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """The predictions of a window, with the outcome of each."""

    counts: JoinCounts
    predictions: Rows
    labels: NDArray[np.float64]
    """For each prediction, NaN where it has no outcome."""
    delays: NDArray[np.float64]
    """In seconds; NaN where there is no outcome, or no time of it is kept."""

    @property
    def paired(self) -> NDArray[np.bool_]:
        """Return which predictions have both a value and an outcome."""
        known: NDArray[np.bool_] = ~np.isnan(self.labels) & ~np.isnan(self.predictions["value"])
        return known


def errors_of(values: NDArray[np.float64], labels: NDArray[np.float64], *, are_classes: bool) -> NDArray[np.float64]:
    """Return prediction minus outcome; of classes 1 where they differ and 0 where not. NaN where either is missing."""
    distances: NDArray[np.float64] = values - labels
    if not are_classes:
        return distances
    return np.where(np.isnan(distances), np.nan, (values != labels).astype(np.float64))


@dataclass(frozen=True, slots=True)
class Terms:
    """The predictions that are meant and the outcomes that count; times in microseconds since 1970."""

    start: int
    end: int
    max_delay: int
    timed: bool
    """Outcomes have a time. Without one every outcome counts, and none is early, late or known to be an orphan."""


def join(predictions: Rows, outcomes: Rows, terms: Terms) -> Joined:
    """Find the first valid outcome of each prediction.

    An outcome is valid if its label is and it came with a delay from 0 to the maximal one. Of rows with the same id
    the earliest is the prediction.

    Args:
        predictions: those of the window, and all others that the outcomes may belong to.
        outcomes: all that may belong to the window's predictions.
        terms: the window and the rules.
    """
    firsts, repeated = _first_of_each(predictions)
    mine = _within(firsts, terms)
    outcomes = outcomes[np.lexsort((outcomes["time"], outcomes["id"]))]
    places = np.searchsorted(firsts["id"], outcomes["id"])
    known = np.zeros(len(outcomes), bool)
    inside = places < len(firsts)
    known[inside] = firsts["id"][places[inside]] == outcomes["id"][inside]
    orphans = int(np.count_nonzero(~known & _within(outcomes, terms))) if terms.timed else 0
    wanted = known.copy()
    wanted[known] = mine[places[known]]
    outcomes, places = outcomes[wanted], places[wanted]

    valid = ~np.isnan(outcomes["value"])
    timed = outcomes["time"] != NO_TIME if terms.timed else np.ones(len(outcomes), bool)
    delays = np.where(timed, outcomes["time"] - firsts["time"][places], 0) if terms.timed else np.zeros(len(outcomes))
    late, early = delays > terms.max_delay, delays < 0
    sound = np.flatnonzero(valid & timed & ~early & ~late)
    answered, first = np.unique(places[sound], return_index=True)
    labels, seconds = np.full(len(firsts), np.nan), np.full(len(firsts), np.nan)
    labels[answered] = outcomes["value"][sound[first]]
    if terms.timed:
        seconds[answered] = delays[sound[first]] / 1e6
    counts = JoinCounts(
        predictions=int(np.count_nonzero(mine)),
        repeated_predictions=int(np.count_nonzero(_within(repeated, terms))),
        answered=len(answered),
        early=_count(valid & timed & early),
        late=_count(valid & timed & late),
        duplicates=len(sound) - len(answered),
        orphans=orphans,
        invalid=_count(~valid),
        untimed=_count(valid & ~timed),
    )
    return Joined(counts, firsts[mine], labels[mine], seconds[mine])


def _first_of_each(rows: Rows) -> tuple[Rows, Rows]:
    """Return the earliest row of each id, in order of the ids, and the others."""
    rows = rows[np.lexsort((rows["time"], rows["id"]))]
    first = np.ones(len(rows), bool)
    first[1:] = rows["id"][1:] != rows["id"][:-1]
    return rows[first], rows[~first]


def _within(rows: Rows, terms: Terms) -> Any:
    return (rows["time"] >= terms.start) & (rows["time"] < terms.end)


def _count(rows: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(rows))
