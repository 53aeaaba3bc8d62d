"""Columns of training data that know the label: they are no inputs of a model, but what came after it, or the label itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.reading.columns import is_text, unwrapped
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.text import converted
from mlvitals.exporters.training.first_look import chunks_of
from mlvitals.generator.spec.first_roles import ENOUGH_ROWS
from mlvitals.generator.spec.model import FeatureType, LogFormat

_Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_MOST_ROWS = 50_000
ALMOST = 0.995
"""Share of rows, or AUC, from which on a column predicts the label almost perfectly."""
_MOST_LEVELS = 50
_MOST_COMMON = 0.95
"""Where a label is nearly always the same, agreeing with it means nothing."""


def suspects(
    paths: Sequence[str],
    base_dir: Path,
    label: str,
    features: Sequence[str],
    file_format: LogFormat | None = None,
    decimal: str = ".",
) -> dict[str, str]:
    """Return the features that equal or predict the label almost perfectly in the first rows, each with how.

    Args:
        paths: files or folders of training data.
        base_dir: where relative paths start.
        label: the column of the label.
        features: the columns to look at.
        file_format: that of all files; by default a file's name says it.
        decimal: the decimal mark of numbers in text.
    """
    columns = _first_rows(paths, base_dir, (label, *features), file_format)
    if label not in columns:
        return {}
    numbers = {name: _codes_or_numbers(column, decimal) for name, column in columns.items()}
    found = {name: _how(columns, numbers, name, label) for name in features if name in columns}
    return {name: f"{how}: does it exist before the prediction?" for name, how in found.items() if how}


def _first_rows(
    paths: Sequence[str], base_dir: Path, names: Sequence[str], file_format: LogFormat | None
) -> dict[str, Any]:
    found: dict[str, list[Any]] = {name: [] for name in names}
    rows = 0
    try:
        for chunk in chunks_of(paths, base_dir, names, file_format):
            count = max(map(len, chunk.values()), default=0)
            for name in names:
                found[name].append(unwrapped(chunk[name]) if name in chunk else pa.nulls(count))
            rows += count
            if rows >= _MOST_ROWS:
                break
    except (BrokenFileError, pa.ArrowException):
        return {}
    joined = {name: _joined(parts) for name, parts in found.items() if parts}
    return {name: column for name, column in joined.items() if column is not None}


def _joined(parts: Sequence[Any]) -> Any:
    """Return the parts of a column in the one type that they have, or else as numbers or texts; None if that cannot be."""
    kinds = {part.type for part in parts if not pa.types.is_null(part.type)}
    for kind in kinds if len(kinds) == 1 else (pa.float64(), pa.large_string()):
        with suppress(pa.ArrowException):
            return pa.chunked_array([part.cast(kind) for part in parts]).combine_chunks()
    return None


def _codes_or_numbers(column: Any, decimal: str) -> _Numbers | None:
    """Return values as numbers; None of text."""
    if is_text(column.type):
        column = converted(column, FeatureType.FLOAT, LogFormat.CSV, decimal).values
    try:
        numbers: Any = unwrapped(column).cast(pa.float64())
    except pa.ArrowException:
        return None
    values: _Numbers = numbers.to_numpy(zero_copy_only=False)
    return values


def _how(columns: Mapping[str, Any], numbers: Mapping[str, _Numbers | None], name: str, label: str) -> str:
    """Return how a column knows the label; empty where it does not."""
    values, truth = numbers[name], numbers[label]
    if truth is not None and values is not None:
        both = np.isfinite(values) & np.isfinite(truth)
        if np.count_nonzero(both) < ENOUGH_ROWS:
            return ""
        values, truth = values[both], truth[both]
        same = float(np.mean(values == truth))
        if same >= ALMOST and _varies(truth):
            return f"equals the label in {same:.1%} of the rows"
        if len(np.unique(truth)) == 2:
            auc = _auc(values, truth == truth.max())
            return f"predicts the label with an AUC of {auc:.3f}" if auc >= ALMOST else ""
        return _correlated(values, truth)
    return _groups_tell(columns[name], columns[label])


def _varies(truth: _Numbers) -> bool:
    _, counts = np.unique(truth, return_counts=True)
    return bool(counts.max() < _MOST_COMMON * len(truth))


def _auc(values: _Numbers, positive: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Return the area under the ROC curve, by ranks (Mann and Whitney 1947), whichever direction is better."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    hits = int(np.count_nonzero(positive))
    area = (float(ranks[positive].sum()) - hits * (hits + 1) / 2) / (hits * (len(values) - hits))
    return max(area, 1 - area)


def _correlated(values: _Numbers, truth: _Numbers) -> str:
    if values.std() == 0 or truth.std() == 0:
        return ""
    correlation = abs(float(np.corrcoef(values, truth)[0, 1]))
    return f"follows the label with a correlation of {correlation:.4f}" if correlation >= 0.999 else ""


def _groups_tell(column: Any, label: Any) -> str:
    """Say whether each value of a category comes with one label only."""
    try:
        pairs = pa.table({"value": column.cast(pa.string()), "label": label.cast(pa.string())}).drop_null()
    except pa.ArrowException:  # lists and the like
        return ""
    if len(pairs) < ENOUGH_ROWS:
        return ""
    counted = pairs.group_by(["value", "label"]).aggregate([([], "count_all")])
    labels = pairs.group_by(["label"]).aggregate([([], "count_all")])
    best = counted.group_by(["value"]).aggregate([("count_all", "max")])
    few = len(best) <= _MOST_LEVELS and 1 < len(labels) <= _MOST_LEVELS
    common: float = pc.max(labels["count_all"]).as_py() / len(pairs)
    right: float = pc.sum(best["count_all_max"]).as_py() / len(pairs)
    return f"tells the label in {right:.1%} of the rows" if few and right >= ALMOST and common < _MOST_COMMON else ""
