"""A linear model of arrival delay, fitted by least squares."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from examples.flights.data import CATEGORICAL, NUMERIC

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DelayModel:
    """Minutes of arrival delay as a weighted sum of columns.

    The columns of the design matrix are: a constant; each numeric feature, standardised, so that 0 stands for its mean
    and for null; and a mark for each level of each categorical feature that the training data has. A level unseen in
    training has no mark and contributes nothing.
    """

    centre: Floats
    scale: Floats
    levels: tuple[tuple[str, ...], ...]
    weights: Floats

    @classmethod
    def fit(cls, flights: pa.Table) -> "DelayModel":
        """Fit to the flights that arrived.

        The marks of a feature sum to the constant and a destination nearly gives the distance away, so the matrix
        lacks full rank; of all best solutions, `lstsq` takes the one with the smallest weights.
        """
        arrived = flights.filter(~pc.field("arr_delay").is_null())
        numbers = _numbers(arrived)
        centre, scale = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
        levels = tuple(_levels(arrived[name]) for name in CATEGORICAL)
        design = _design(arrived, centre, scale, levels)
        weights, *_ = np.linalg.lstsq(design, arrived["arr_delay"].to_numpy())
        return cls(centre, scale, levels, weights)

    def predict(self, flights: pa.Table) -> Floats:
        """Predicted arrival delay in minutes, one for each flight."""
        prediction: Floats = _design(flights, self.centre, self.scale, self.levels) @ self.weights
        return prediction


def training_and_log(flights: pa.Table, train_until: datetime) -> tuple[pa.Table, pa.Table]:
    """Train on the flights scheduled before an aware moment; return those and the others, each with its score.

    The score is the predicted arrival delay in minutes, also for flights that never arrived.

    Raises:
        ValueError: there is no flight on one of the sides.
    """
    before = pc.field("timestamp") < train_until
    training, log = flights.filter(before), flights.filter(~before)
    if not training.num_rows or not log.num_rows:
        raise ValueError(
            f"no flights {'before' if log.num_rows else 'from'} {train_until:%Y-%m-%d}; give a day within 2013"
        )
    model = DelayModel.fit(training)
    return _scored(training, model), _scored(log, model)


def _scored(flights: pa.Table, model: DelayModel) -> pa.Table:
    return flights.append_column("score", pa.array(model.predict(flights)))


def _numbers(flights: pa.Table) -> Floats:
    """The numeric features, a row for each flight, NaN for null."""
    return np.column_stack([flights[name].cast(pa.float64()).to_numpy() for name in NUMERIC])


def _design(flights: pa.Table, centre: Floats, scale: Floats, levels: tuple[tuple[str, ...], ...]) -> Floats:
    numbers = (_numbers(flights) - centre) / scale
    marks = [_marks(flights[name], known) for name, known in zip(CATEGORICAL, levels, strict=True)]
    return np.column_stack([np.ones(len(numbers)), np.nan_to_num(numbers), *marks])


def _levels(column: Any) -> tuple[str, ...]:
    return tuple(column.unique().to_pylist())


def _marks(column: Any, levels: tuple[str, ...]) -> Floats:
    """One column for each level: 1 where the flight has it."""
    position = pc.index_in(column, value_set=pa.array(levels)).fill_null(-1).to_numpy()
    marks: Floats = (position[:, np.newaxis] == np.arange(len(levels))).astype(float)
    return marks
