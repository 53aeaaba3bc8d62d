"""The baseline of each segment: made from training data that hold the segment columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reference.artifact import SegmentReference
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.columns import Floats, labels_as, predicted_classes, predicted_values
from mlvitals.exporters.sections.outcomes.join import errors_of
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
from mlvitals.generator.spec.model import Outcome, OutcomeKind, PredictionLog


def errors_by_segment(log: PredictionLog, columns: Mapping[str, Column], segment: str) -> dict[str, Moments]:
    """Return the moments of prediction minus outcome for each value of a segment column; nothing if either is unknown.

    Of classes, those of whether they differ.

    Raises:
        ColumnTypeError: the segment column holds no categories, or the predictions are no numbers.
    """
    outcome = log.outcome
    if outcome is None or outcome.column not in columns:
        return {}
    values = SegmentValues()
    codes = values.codes(columns[segment])
    errors = _errors(log, outcome, columns, len(codes))
    known = ~np.isnan(errors)
    return {name: moments_of(errors[known & (codes == code)]) for code, name in enumerate(values.names)}


def _errors(log: PredictionLog, outcome: Outcome, columns: Mapping[str, Column], rows: int) -> Floats:
    """Return prediction minus outcome of each row, NaN where either is missing."""
    classes, of_classes = ClassCodes(outcome.class_names), outcome.kind is OutcomeKind.MULTICLASS
    labels = labels_as(columns[outcome.column], outcome, classes).values
    prediction = outcome.prediction or log.score
    if of_classes:
        values = predicted_classes(columns, outcome, classes, rows).values
    elif prediction is not None and prediction in columns:
        values = predicted_values(columns[prediction])
    else:
        values = np.full(rows, np.nan)
    return errors_of(values, labels, are_classes=of_classes)


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
