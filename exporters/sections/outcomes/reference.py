"""The baseline of outcomes and of the model's performance: made from training data that hold both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, ColumnTypeError
from mlvitals.exporters.reading.ids import Hashes, hash_ids
from mlvitals.exporters.reference.artifact import ErrorBlocks, OutcomeReference
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.columns import (
    Floats,
    labels_of,
    microseconds,
    predicted_classes,
    predicted_values,
)
from mlvitals.exporters.sections.outcomes.join import (
    NO_TIME,
    PREDICTION,
    PROBABILITIES,
    Rows,
    errors_of,
    prediction_type,
)
from mlvitals.exporters.sections.outcomes.performance import moments_of, standard_error, tally_for
from mlvitals.exporters.statistics.dependence import clustered_error
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.generator.spec.model import Outcome, OutcomeKind, PredictionLog

_NAMED = 5
"""Classes that a message names."""
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
    if outcome.kind is OutcomeKind.MULTICLASS:
        return _classes_reference(log, outcome, columns, times, length)
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


def _classes_reference(
    log: PredictionLog, outcome: Outcome, columns: Mapping[str, Column], times: Column | None, length: timedelta
) -> OutcomeReference | None:
    """Summarise classes.

    Raises:
        ColumnTypeError: the training data do not fit the spec: classes that it does not list, or values that are no
            probabilities.
    """
    classes = ClassCodes(outcome.class_names)
    labels = classes.of(columns[outcome.column])
    answered = ~np.isnan(labels)
    if not answered.any():
        return None
    _refuse_unlisted(classes, labels[answered], f"the outcomes, {outcome.column!r},")
    predicted, probabilities = predicted_classes(columns, outcome, classes, len(labels))
    _refuse_unlisted(classes, predicted[~np.isnan(predicted)], f"the predictions, {outcome.prediction!r},")
    if probabilities is not None and ((probabilities < 0) | (probabilities > 1)).any():
        raise ColumnTypeError("under prediction_log.outcome.probabilities holds values outside 0 to 1")
    counts = np.bincount(labels[answered].astype(np.int64), minlength=len(classes))
    counted = OutcomeReference(
        kind=outcome.kind,
        rows=len(labels),
        answered=int(answered.sum()),
        observed=NO_MOMENTS,
        class_labels=dict(zip(outcome.class_names, counts.tolist(), strict=True)),
    )
    known = answered & ~np.isnan(predicted)
    if not known.any():
        return counted
    rows = np.zeros(int(known.sum()), prediction_type(0, 0 if probabilities is None else len(classes)))
    rows["value"] = predicted[known]
    if probabilities is not None:
        rows[PROBABILITIES] = probabilities[known]
    tally = tally_for(outcome)
    tally.add(rows, labels[known])
    found = tally.result()
    misses = errors_of(predicted, labels, are_classes=True)[known]
    return msgspec.structs.replace(
        counted,
        errors=moments_of(misses),
        figures=found.figures,
        quality=found.quality,
        quality_error=found.quality_error,
        **_dependence(log, columns, known, misses, None if times is None else microseconds(times)[known], length),
        confusion=found.classes.confusion if found.classes else None,
    )


def _refuse_unlisted(classes: ClassCodes, codes: Floats, which: str) -> None:
    """Refuse classes that the spec does not list."""
    numbers, counts = np.unique(codes[codes >= len(classes)].astype(np.int64), return_counts=True)
    if not numbers.size:
        return
    largest = np.argsort(-counts, kind="stable")[:_NAMED]
    named = [f"{classes.unseen.get(int(numbers[place]), '')!r} ({counts[place]:,} rows)" for place in largest]
    more = f" and {numbers.size - len(named):,} more" if numbers.size > len(named) else ""
    raise ColumnTypeError(f"with {which} holds classes that the spec does not list: {', '.join(named)}{more}")


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
