"""Scores counted by segment: a profile of its own for each value of each segment column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from exporters.cells import Cells, make_cells
from exporters.columns import Column, ColumnTypeError
from exporters.profile import FeatureProfile, profile_column
from exporters.segment_values import MOST_VALUES, OTHER, SegmentValues
from generator.spec.model import FeatureType, PredictionLog

Profiles: TypeAlias = dict[str, FeatureProfile]
"""By segment value, the scores of its rows."""


@dataclass(slots=True)
class SegmentTally:
    """What was counted so far of each segment column."""

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
    """By which columns of a log scores are counted, and on which cells."""

    columns: tuple[str, ...]
    score: str | None
    cells: Cells

    @classmethod
    def of(cls, log: PredictionLog, cells: Cells | None) -> Segmentation:
        """The segments of a log; where the score has no cells, all scores count as one cell."""
        return cls(log.segments, log.score, cells or make_cells(pa.nulls(0), FeatureType.FLOAT, bins=2, knots=2))

    def count(self, columns: Mapping[str, Column], rows: int) -> SegmentTally:
        """Count some rows. Where scores are missing or of another type, the segments still have rows."""
        scores = columns.get(self.score or "", pa.nulls(rows))
        tally = SegmentTally()
        for name in self.columns:
            if name in columns:
                try:
                    tally.profiles[name] = profile_by_segment(columns[name], scores, self.cells)
                except ColumnTypeError as error:
                    tally.problems[name] = f"column {name!r} {error}"
        return tally


def profile_by_segment(segments: Column, scores: Column, cells: Cells) -> Profiles:
    """The scores of each segment.

    Args:
        segments: a segment column.
        scores: the scores beside it.
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
    """The profiles of the rows of both; the same whatever their order while the values are not too many."""
    result = dict(profiles)
    for value, profile in others.items():
        name = value if value in result or len(result) < MOST_VALUES else OTHER
        result[name] = result[name].merge(profile) if name in result else profile
    return result


def largest(sizes: Mapping[str, int], most: int) -> Iterator[str]:
    """The values that hold the most rows; of equal ones the first in the alphabet. The rest is never among them."""
    return iter(sorted(sizes.keys() - {OTHER}, key=lambda value: (-sizes[value], value))[:most])


def folded(profiles: Profiles, kept: frozenset[str]) -> Profiles:
    """The kept values, and one profile of all the rest where there is any."""
    result: Profiles = {}
    for value, profile in profiles.items():
        name = value if value in kept else OTHER
        result[name] = result[name].merge(profile) if name in result else profile
    return result
