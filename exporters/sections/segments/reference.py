"""The baseline of each segment: made from training data that hold the segment columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reference.artifact import SegmentReference
from mlvitals.exporters.sections.outcomes.columns import labels_of, predicted_values
from mlvitals.exporters.sections.outcomes.performance import moments_of
from mlvitals.exporters.sections.segments.count import (
    OTHER,
    Profiles,
    SegmentValues,
    folded,
    largest,
    merged,
    profile_by_segment,
)
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.generator.spec.model import OutcomeKind, PredictionLog


def errors_by_segment(log: PredictionLog, columns: Mapping[str, Column], segment: str) -> dict[str, Moments]:
    """Return the moments of prediction minus outcome for each value of a segment column; nothing if either is unknown.

    Raises:
        ColumnTypeError: the segment column holds no categories, or the predictions are no numbers.
    """
    outcome = log.outcome
    if outcome is not None and outcome.kind is OutcomeKind.MULTICLASS:
        return {}
    prediction = None if outcome is None else outcome.prediction or log.score
    if outcome is None or outcome.column not in columns or prediction is None or prediction not in columns:
        return {}
    values = SegmentValues()
    codes = values.codes(columns[segment])
    errors = predicted_values(columns[prediction]) - labels_of(columns[outcome.column], outcome.kind).values
    known = ~np.isnan(errors)
    return {name: moments_of(errors[known & (codes == code)]) for code, name in enumerate(values.names)}


def segment_references(
    pieces: Mapping[str, tuple[Column, Column]], cells: Cells, errors: Mapping[str, Moments], most: int
) -> dict[str, SegmentReference]:
    """Return the baseline of the largest values of a segment column, and of the rest.

    Args:
        pieces: by condition key, the segment column and the scores of the same rows.
        cells: those of the score.
        errors: as `errors_by_segment` gives them.
        most: how many values are kept.

    Raises:
        ColumnTypeError: the segment column holds no categories.
    """
    by_key = {key: profile_by_segment(*columns, cells) for key, columns in pieces.items()}
    whole = reduce(merged, by_key.values(), Profiles())
    kept = frozenset(largest({value: profile.rows for value, profile in whole.items()}, most))
    kept_by_key = {key: folded(profiles, kept) for key, profiles in by_key.items()}
    kept_errors: dict[str, Moments] = {}
    for value, moments in errors.items():
        name = value if value in kept else OTHER
        kept_errors[name] = kept_errors.get(name, NO_MOMENTS).merge(moments)
    return {
        value: SegmentReference(
            rows=profile.rows,
            scores={
                key: tuple(cells.fold(profiles[value].counts).tolist())
                for key, profiles in kept_by_key.items()
                if value in profiles
            },
            errors=kept_errors.get(value, NO_MOMENTS),
        )
        for value, profile in sorted(folded(whole, kept).items())
    }
