"""Columns of predictions and outcomes as numbers: which values are labels of an outcome's kind, and which are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, ColumnTypeError, comparable
from mlvitals.exporters.reading.instants import instants
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes, most_probable
from mlvitals.exporters.sections.outcomes.join import NO_TIME
from mlvitals.generator.spec.model import FeatureType, Outcome, OutcomeKind, PredictionLog, Spec

Floats: TypeAlias = NDArray[np.float64]

_WORDS = {"true": 1.0, "false": 0.0, "t": 1.0, "f": 0.0}


def outcome_of(spec: Spec) -> Outcome:
    """Return what a spec says of outcomes.

    Raises:
        ValueError: it says nothing of them.
    """
    if spec.prediction_log.outcome is None:
        raise ValueError("the spec has no prediction_log.outcome")
    return spec.prediction_log.outcome


def prediction_columns(log: PredictionLog) -> dict[str, FeatureType | None]:
    """Return the columns that hold what an outcome is compared with, and how each is read."""
    outcome = log.outcome
    if outcome is None:
        return {}
    names = (name for name in (outcome.list, outcome.item, log.group) if name is not None)
    columns: dict[str, FeatureType | None] = dict.fromkeys(names, FeatureType.CATEGORICAL)
    if outcome.kind is OutcomeKind.MULTICLASS:
        predicted = {} if outcome.prediction is None else {outcome.prediction: FeatureType.CATEGORICAL}
        return columns | predicted | dict.fromkeys(outcome.probabilities.values(), FeatureType.FLOAT)
    prediction = outcome.prediction or log.score
    return columns | ({prediction: FeatureType.FLOAT} if prediction is not None else {})


def label_columns(log: PredictionLog) -> dict[str, FeatureType | None]:
    """Return the column of the outcome: classes, or as it is written, for `labels_of` to read it label by label."""
    outcome = log.outcome
    if outcome is None:
        return {}
    return {outcome.column: FeatureType.CATEGORICAL if outcome.kind is OutcomeKind.MULTICLASS else None}


class Labels(NamedTuple):
    """A value for each row, NaN where it is no label of the kind, and which rows have a value at all."""

    values: Floats
    present: NDArray[np.bool_]
    mismatch: str = ""
    """The type that the column holds instead, where it is of another type and none of its values is a label."""


class Predicted(NamedTuple):
    """The predicted classes of some rows, as codes, and their probabilities, shape (rows, classes)."""

    values: Floats
    probabilities: Floats | None


def labels_of(column: Column, kind: OutcomeKind) -> Labels:
    """Read labels one by one, so that a column that changes its type loses no more than what cannot be read.

    Binary labels are booleans, 0 and 1, also as text; continuous ones are finite numbers; those of a ranking are
    finite and not negative. A null is no outcome.
    """
    array = _array(column)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    values = _numbers(array)
    unfit = ~np.isfinite(values)
    if kind is OutcomeKind.BINARY:
        unfit |= (values != 0) & (values != 1)
    elif kind is OutcomeKind.RANKING:
        unfit |= values < 0
    lost = bool(present.any()) and not _is_numeric(array.type) and bool(unfit[present].all())
    return Labels(np.where(unfit, nan, values), present, f"{array.type} values, none a {kind} label" if lost else "")


def labels_as(column: Column, outcome: Outcome, classes: ClassCodes) -> Labels:
    """Return labels as `labels_of` does; classes as their codes."""
    if outcome.kind is not OutcomeKind.MULTICLASS:
        return labels_of(column, outcome.kind)
    try:
        codes = classes.of(column)
    except ColumnTypeError as error:
        present = _array(column).is_valid().to_numpy(zero_copy_only=False)
        return Labels(np.full(len(column), nan), present, error.finding.removeprefix("holds "))
    return Labels(codes, ~np.isnan(codes))


def predicted_classes(columns: Mapping[str, Column], outcome: Outcome, classes: ClassCodes, rows: int) -> Predicted:
    """Return the predicted class of each row, NaN where it is missing, and the probabilities where all columns are there.

    Raises:
        ColumnTypeError: a column holds no classes, or no numbers.
    """
    probabilities = None
    if outcome.probabilities and all(name in columns for name in outcome.probabilities.values()):
        by_class = [predicted_values(columns[outcome.probabilities[name]]) for name in outcome.class_names]
        probabilities = np.stack(by_class, axis=1)
    if outcome.prediction is not None:
        found = outcome.prediction in columns
        values = classes.of(columns[outcome.prediction]) if found else np.full(rows, nan)
    else:
        values = np.full(rows, nan) if probabilities is None else most_probable(probabilities)
    return Predicted(values, probabilities)


PREDICTED_CLASS = "\0predicted class"
"""The column of the most probable class, where the log has none of its own. No log can call one so."""


def score_column(spec: Spec) -> str | None:
    """Return the column whose values are measured as scores: of classes without a score the predicted class."""
    if spec.prediction_log.score is not None or not spec.has_classes:
        return spec.prediction_log.score
    return outcome_of(spec).prediction or PREDICTED_CLASS


def probability_columns(spec: Spec) -> dict[str, str]:
    """Return the column of each class' probability, by class."""
    outcome = spec.prediction_log.outcome
    return dict(outcome.probabilities) if outcome is not None and spec.has_classes else {}


def scores_of(spec: Spec, columns: Mapping[str, Column], rows: int) -> Any:
    """Return what is measured as scores, see `score_column`; None where a column that it needs is missing.

    Raises:
        ColumnTypeError: it follows from columns that hold no numbers.
    """
    name, outcome = score_column(spec), spec.prediction_log.outcome
    if name != PREDICTED_CLASS or outcome is None:
        return None if name is None else columns.get(name)
    if not all(column in columns for column in outcome.probabilities.values()):
        return None
    codes = predicted_classes(columns, outcome, ClassCodes(outcome.class_names), rows).values
    places: Any = pa.array(codes, from_pandas=True).cast(pa.int32())
    found: Any = pa.array(outcome.class_names, pa.large_string()).take(places)
    return found


def predicted_values(column: Column) -> Floats:
    """Return predicted values, NaN where there is no finite one.

    Raises:
        ColumnTypeError: the column does not hold numbers.
    """
    values = comparable(column, FeatureType.FLOAT).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(values), values, nan)


def microseconds(times: Column) -> NDArray[np.int64]:
    """Return times since 1970, `NO_TIME` where one is missing.

    Raises:
        InstantError: the column holds something else than times.
    """
    moments: Any = instants(_array(times)).cast(pa.int64())
    since: NDArray[np.int64] = moments.fill_null(int(NO_TIME)).to_numpy(zero_copy_only=False)
    return since


def _array(column: Any) -> Any:
    array: Any = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _numbers(array: Any) -> Floats:
    """Return each value as a number, NaN where it is none."""
    types, kind = pa.types, array.type
    if _is_numeric(kind):
        numbers: Floats = array.cast(pa.float64(), safe=False).fill_null(nan).to_numpy(zero_copy_only=False)
        return numbers
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        encoded = pc.dictionary_encode(array.cast(pa.large_string()), null_encoding="encode")
        found = np.array([_number(text) for text in _texts(encoded.dictionary)])
        return found[encoded.indices.to_numpy()] if found.size else np.empty(0)
    return np.full(len(array), nan)


def _is_numeric(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def _texts(array: Any) -> Iterable[str | None]:
    texts: Iterable[str | None] = array.to_pylist()
    return texts


def _number(text: str | None) -> float:
    written = (text or "").strip().lower()
    if written in _WORDS:
        return _WORDS[written]
    try:
        return float(written)
    except ValueError:
        return nan
