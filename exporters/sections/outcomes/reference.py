"""The baseline of outcomes and of the model's performance: made from training data that hold both."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reading.ids import hash_ids
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.outcomes.columns import Floats, labels_of, predicted_values
from mlvitals.exporters.sections.outcomes.join import PREDICTION, Rows
from mlvitals.exporters.sections.outcomes.performance import moments_of, tally_for
from mlvitals.exporters.statistics.moments import NO_MOMENTS
from mlvitals.generator.spec.model import Outcome, OutcomeKind, PredictionLog


def outcome_reference(log: PredictionLog, columns: Mapping[str, Column]) -> OutcomeReference | None:
    """Summarise the outcomes of training data; None where the spec or the data have none.

    Args:
        log: what the spec says of predictions and their outcomes.
        columns: the training data, by column name.

    Raises:
        ColumnTypeError: the predicted values, lists or items are of another type.
    """
    outcome = log.outcome
    if outcome is None or outcome.column not in columns:
        return None
    prediction = outcome.prediction or log.score
    labels = labels_of(columns[outcome.column], outcome.kind).values
    answered = ~np.isnan(labels)
    observed = moments_of(labels[answered])
    if not observed.count or not observed.is_finite:
        return None
    counted = OutcomeReference(kind=outcome.kind, rows=len(labels), answered=observed.count, observed=observed)
    if prediction is None or prediction not in columns or not _has_lists(outcome, columns):
        return counted
    rows = _rows(outcome, columns, predicted_values(columns[prediction]))
    paired = ~np.isnan(rows["value"])
    errors = moments_of((rows["value"] - labels)[answered & paired])
    tally = tally_for(outcome)
    tally.add(rows[paired], labels[paired])
    found = tally.result()
    if not errors.is_finite:
        return counted
    return msgspec.structs.replace(
        counted,
        errors=errors,
        figures=found.figures,
        quality=found.quality,
        quality_error=found.quality_error,
        quality_parts=found.parts if found.parts.is_finite else NO_MOMENTS,
    )


def _has_lists(outcome: Outcome, columns: Mapping[str, Column]) -> bool:
    return outcome.kind is not OutcomeKind.RANKING or (outcome.list is not None and outcome.list in columns)


def _rows(outcome: Outcome, columns: Mapping[str, Column], values: Floats) -> Rows:
    rows = np.zeros(len(values), PREDICTION)
    rows["value"] = values
    if outcome.kind is OutcomeKind.RANKING:
        for name, column in (("list", outcome.list), ("item", outcome.item)):
            if column is not None and column in columns:
                rows[name] = hash_ids(columns[column], 0)
    return rows
