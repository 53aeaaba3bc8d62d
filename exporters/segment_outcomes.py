"""Outcomes counted by segment, while they are joined to their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from exporters.columns import Column, ColumnTypeError
from exporters.moments import NO_MOMENTS, Moments
from exporters.outcome_join import Joined
from exporters.performance import moments_of
from exporters.segment_values import Codes, SegmentValues


@dataclass(frozen=True, slots=True)
class SegmentOutcome:
    """What became of the predictions of one segment."""

    predictions: int = 0
    observed: Moments = NO_MOMENTS
    """Of the outcomes; their count is that of the answered predictions."""
    errors: Moments = NO_MOMENTS
    """Of prediction less outcome."""

    def merge(self, other: SegmentOutcome) -> SegmentOutcome:
        """What became of the predictions of both."""
        return SegmentOutcome(
            self.predictions + other.predictions,
            self.observed.merge(other.observed),
            self.errors.merge(other.errors),
        )


class SegmentOutcomes:
    """Gathers outcomes by the values of segment columns."""

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self.columns = columns
        self._values = tuple(SegmentValues() for _ in columns)
        self._found: tuple[dict[int, SegmentOutcome], ...] = tuple({} for _ in columns)

    def codes(self, columns: Mapping[str, Column], rows: int) -> Codes:
        """The segments of some rows, one column for each segment column; rows whose segment cannot be told are other."""
        codes = np.zeros((rows, len(self.columns)), np.uint32)
        for place, (name, values) in enumerate(zip(self.columns, self._values, strict=True)):
            if name in columns:
                try:
                    codes[:, place] = values.codes(columns[name])
                except ColumnTypeError:
                    continue  # the window itself tells
        return codes

    def add(self, joined: Joined) -> None:
        """Add predictions with their outcomes."""
        for place, found in enumerate(self._found):
            codes = joined.predictions["segments"][:, place]
            for code in np.unique(codes).tolist():
                outcome = _outcome(joined, codes == code)
                found[code] = found[code].merge(outcome) if code in found else outcome

    def by_value(self, column: str) -> dict[str, SegmentOutcome]:
        """What was gathered, by the values of a segment column."""
        place = self.columns.index(column)
        names = self._values[place].names
        return {names[code]: outcome for code, outcome in self._found[place].items()}


def _outcome(joined: Joined, mine: np.ndarray) -> SegmentOutcome:
    labels, predicted = joined.labels[mine], joined.predictions["value"][mine]
    answered = ~np.isnan(labels)
    paired = answered & ~np.isnan(predicted)
    return SegmentOutcome(
        int(np.count_nonzero(mine)), moments_of(labels[answered]), moments_of(predicted[paired] - labels[paired])
    )
