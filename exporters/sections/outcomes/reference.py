"""The baseline of outcomes and of the model's performance: made from training data that hold both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reading.ids import Hashes, hash_ids
from mlvitals.exporters.reference.artifact import ErrorBlocks, OutcomeReference
from mlvitals.exporters.sections.outcomes.columns import Floats, labels_of, microseconds, predicted_values
from mlvitals.exporters.sections.outcomes.join import NO_TIME, PREDICTION, Rows
from mlvitals.exporters.sections.outcomes.performance import moments_of, standard_error, tally_for
from mlvitals.exporters.statistics.dependence import clustered_error
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.generator.spec.model import Outcome, OutcomeKind, PredictionLog

FEWEST_IN_BLOCK = 100
"""An interval of fewer predictions with outcomes says little."""
WANTED_BLOCKS, MOST_BLOCKS, _SHORTEST = 20, 2000, 64
"""Intervals that there should be, that are kept, and how often a window is divided for there to be enough."""


def outcome_reference(
    log: PredictionLog,
    columns: Mapping[str, Column],
    times: Column | None = None,
    length: timedelta = timedelta(hours=1),
) -> OutcomeReference | None:
    """Summarise the outcomes of training data; None where the spec or the data have none.

    Args:
        log: what the spec says of predictions and their outcomes.
        columns: the training data, by column name.
        times: when each row was; None where the data have no time.
        length: of the windows that will be compared with it.

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
    known = answered & paired
    distances = (rows["value"] - labels)[known]
    errors = moments_of(distances)
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
        **_dependence(log, columns, known, distances, None if times is None else microseconds(times)[known], length),
    )


def _dependence(
    log: PredictionLog,
    columns: Mapping[str, Column],
    known: NDArray[np.bool_],
    errors: Floats,
    times: NDArray[np.int64] | None,
    length: timedelta,
) -> dict[str, Any]:
    """Return what the errors say of rows that depend on each other: by their groups, and by intervals of time."""
    groups = hash_ids(columns[log.group], 0)[known] if log.group is not None and log.group in columns else None
    blocks = None if times is None else _blocks(errors, groups, times, length)
    if groups is None:
        return {"blocks": blocks}
    grouped, alone = clustered_error(errors, groups), standard_error(moments_of(errors))
    return {"blocks": blocks, "group_effect": (grouped / alone) ** 2 if grouped and alone else 1.0}


def _blocks(errors: Floats, groups: Hashes | None, times: NDArray[np.int64], length: timedelta) -> ErrorBlocks | None:
    """Cut the errors into intervals as long as a window, or shorter ones where the data cover few windows."""
    timed = times != NO_TIME
    errors, times = errors[timed], times[timed]
    groups = None if groups is None else groups[timed]
    parts = 1
    while parts <= _SHORTEST:
        microseconds_each = length // timedelta(microseconds=1) // parts
        places = times // microseconds_each
        numbers, counts = np.unique(places, return_counts=True)
        kept = numbers[counts >= FEWEST_IN_BLOCK][-MOST_BLOCKS:]
        if kept.size >= WANTED_BLOCKS:
            return _summed(errors, groups, places, kept, microseconds_each / 1e6)
        parts *= 2
    return None


def _summed(
    errors: Floats, groups: Hashes | None, places: NDArray[np.int64], kept: NDArray[np.int64], seconds: float
) -> ErrorBlocks:
    order = np.lexsort((errors, places))  # by value too: the same bits however the rows lie in files
    starts = np.searchsorted(places[order], kept, "left")
    ends = np.searchsorted(places[order], kept, "right")
    means, spreads = [], []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        rows = order[start:end]
        block = Moments.of(errors[rows])
        grouped = None if groups is None else clustered_error(errors[rows], groups[rows])
        means.append(block.mean)
        spreads.append(grouped or standard_error(block) or 0.0)
    return ErrorBlocks(
        seconds=seconds, counts=tuple((ends - starts).tolist()), means=tuple(means), errors=tuple(spreads)
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
