"""The values of a segment column, bounded in number and length whatever the column holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, ColumnTypeError, comparable
from mlvitals.exporters.sections.outcomes.join import Joined, errors_of
from mlvitals.exporters.sections.outcomes.performance import moments_of
from mlvitals.exporters.statistics.cells import Cells, make_cells
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.spec.model import FeatureType

OTHER = "other"
"""The rest: values that are not kept, and a value of this very name."""
MISSING = "(missing)"
"""Rows without a value."""
MOST_VALUES = 2_000
"""Values of a column that are kept separately while a window is read; those met later are counted with the rest."""
LONGEST = 80
"""Characters of a value; values that agree in them are one segment."""

NO_CELLS = make_cells(pa.nulls(0), FeatureType.FLOAT, bins=2, knots=2)
"""Those of a score that is not known: all its values are in one."""

Codes = NDArray[np.uint32]


class SegmentValues:
    """A column's values in the order in which they were met. A row's code is the place of its value."""

    def __init__(self) -> None:
        self._places = {OTHER: 0}

    @property
    def names(self) -> list[str]:
        """Return the values, by code."""
        return list(self._places)

    def codes(self, column: Column) -> Codes:
        """Return the code of each row.

        Raises:
            ColumnTypeError: the column holds no categories, such as fractions or times.
        """
        encoded: Any = comparable(column, FeatureType.CATEGORICAL).dictionary_encode("encode")
        places = [self._place(value) for value in encoded.dictionary.cast(pa.large_binary()).to_pylist()]
        codes: Codes = np.array(places, np.uint32)[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes

    def _place(self, value: bytes | None) -> int:
        """Return the place of a value, as bytes: what is no UTF-8 is still a value."""
        name = MISSING if value is None else value.decode("utf-8", "replace")[:LONGEST]
        if name not in self._places and len(self._places) >= MOST_VALUES:
            name = OTHER
        return self._places.setdefault(name, len(self._places))


@dataclass(frozen=True, slots=True)
class SegmentOutcome:
    """The outcomes of the predictions of one segment."""

    predictions: int = 0
    answered: int = 0
    observed: Moments = NO_MOMENTS
    """Of the outcomes; classes have none."""
    errors: Moments = NO_MOMENTS
    """Of prediction minus outcome; of classes, of whether they differ."""

    def merge(self, other: SegmentOutcome) -> SegmentOutcome:
        """Return what became of the predictions of both."""
        return SegmentOutcome(
            self.predictions + other.predictions,
            self.answered + other.answered,
            self.observed.merge(other.observed),
            self.errors.merge(other.errors),
        )


class SegmentOutcomes:
    """Gathers outcomes by the values of segment columns."""

    def __init__(self, columns: tuple[str, ...] = (), *, are_classes: bool = False) -> None:
        self.columns = columns
        self._are_classes = are_classes
        self._values = tuple(SegmentValues() for _ in columns)
        self._found: tuple[dict[int, SegmentOutcome], ...] = tuple({} for _ in columns)

    def codes(self, columns: Mapping[str, Column], rows: int) -> Codes:
        """Return the segments of some rows, a column for each segment column; rows of unknown segment are other."""
        codes = np.zeros((rows, len(self.columns)), np.uint32)
        for place, (name, values) in enumerate(zip(self.columns, self._values, strict=True)):
            if name in columns:
                try:
                    codes[:, place] = values.codes(columns[name])
                except ColumnTypeError:
                    continue  # the window itself reports it
        return codes

    def add(self, joined: Joined) -> None:
        """Add predictions with their outcomes."""
        for place, found in enumerate(self._found):
            codes = joined.predictions["segments"][:, place]
            for code in np.unique(codes).tolist():
                outcome = _outcome(joined, codes == code, are_classes=self._are_classes)
                found[code] = found[code].merge(outcome) if code in found else outcome

    def by_value(self, column: str) -> dict[str, SegmentOutcome]:
        """Return what was gathered, by the values of a segment column."""
        place = self.columns.index(column)
        names = self._values[place].names
        return {names[code]: outcome for code, outcome in self._found[place].items()}


def _outcome(joined: Joined, mine: np.ndarray, *, are_classes: bool) -> SegmentOutcome:
    labels, predicted = joined.labels[mine], joined.predictions["value"][mine]
    answered = ~np.isnan(labels)
    errors = errors_of(predicted, labels, are_classes=are_classes)[joined.paired[mine]]
    return SegmentOutcome(
        int(np.count_nonzero(mine)),
        int(np.count_nonzero(answered)),
        NO_MOMENTS if are_classes else moments_of(labels[answered]),
        moments_of(errors),
    )


Profiles: TypeAlias = dict[str, FeatureProfile]
"""By segment value, the scores of its rows."""


@dataclass(slots=True)
class SegmentTally:
    """The counts so far of each segment column."""

    profiles: dict[str, Profiles] = field(default_factory=dict)
    """By column. One that was in no file is not in here."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a column could not be counted, in some file at least."""

    def merge(self, other: SegmentTally) -> None:
        """Add what was counted elsewhere."""
        self.problems |= other.problems
        for column, profiles in other.profiles.items():
            self.profiles[column] = merged(self.profiles.get(column, {}), profiles)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The columns of a log by which scores are counted, and the cells on which they are."""

    columns: tuple[str, ...]
    score: str | None
    cells: Cells

    def count(self, columns: Mapping[str, Column], rows: int) -> SegmentTally:
        """Count some rows. Where scores are missing or of another type, the segments still have rows."""
        scores = columns.get(self.score or "", pa.nulls(rows))
        tally = SegmentTally()
        for name in self.columns:
            if name in columns:
                try:
                    tally.profiles[name] = profile_by_segment(columns[name], scores, self.cells)
                except ColumnTypeError as error:
                    tally.problems[name] = f"column {name!r} {error.finding}"
        return tally


def profile_by_segment(segments: Column, scores: Column, cells: Cells) -> Profiles:
    """Return the scores of each segment.

    Args:
        segments: a segment column.
        scores: the scores of the same rows.
        cells: those of the score.

    Raises:
        ColumnTypeError: the segment column holds no categories.
    """
    values = SegmentValues()
    codes = values.codes(segments)
    order = np.argsort(codes, kind="stable")
    ordered = scores.take(pa.array(order, pa.int64()))
    present, starts = np.unique(codes[order], return_index=True)
    parts = zip(present.tolist(), pairwise([*starts.tolist(), len(codes)]), strict=True)
    return {values.names[code]: _profile(ordered.slice(start, end - start), cells) for code, (start, end) in parts}


def _profile(scores: Column, cells: Cells) -> FeatureProfile:
    try:
        return profile_column(scores, cells)
    except ColumnTypeError:
        return profile_column(pa.nulls(len(scores)), cells)


def merged(profiles: Profiles, others: Profiles) -> Profiles:
    """Return the profiles of the rows of both; the same whatever their order while the values are not too many."""
    result = dict(profiles)
    for value, profile in others.items():
        name = value if value in result or len(result) < MOST_VALUES else OTHER
        result[name] = result[name].merge(profile) if name in result else profile
    return result


def largest(sizes: Mapping[str, int], most: int) -> Iterator[str]:
    """Return the values with the most rows; of equal ones the first in the alphabet. The rest is never among them."""
    return iter(sorted(sizes.keys() - {OTHER}, key=lambda value: (-sizes[value], value))[:most])


def folded(profiles: Profiles, kept: frozenset[str]) -> Profiles:
    """Return the kept values, and one profile of all the rest where there is any."""
    result: Profiles = {}
    for value, profile in profiles.items():
        name = value if value in kept else OTHER
        result[name] = result[name].merge(profile) if name in result else profile
    return result
