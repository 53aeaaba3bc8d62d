"""Counts predictions by true and predicted class, and sums what their probabilities say, exactly.

Counts are integers and sums are fixed-point integers: whatever the order in which rows come, and however they are spread
over files, every metric has the same bits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reference.confusion import Confusion, shares
from mlvitals.exporters.sections.outcomes.report import CALIBRATION_BINS, CalibrationBin, calibration_error

Floats = NDArray[np.float64]

SUM_TOLERANCE = 0.01
"""Probabilities of one prediction that sum to 1 but for this are rounded; others are none."""
_EPSILON = float(np.finfo(np.float64).eps)
_UNIT_BITS = 52
_LOW_BITS = 26


@dataclass(slots=True)
class ExactSums:
    """Sums of numbers from 0 to 2**10, in units of 2**-52: adding is exact, so that its order changes nothing."""

    units: list[int]

    def add(self, values: Floats, places: NDArray[np.intp]) -> None:
        """Add each value to the sum at its place."""
        scaled = np.rint(np.ldexp(values, _UNIT_BITS)).astype(np.int64)
        halves = (scaled >> _LOW_BITS, _LOW_BITS), (scaled & ((1 << _LOW_BITS) - 1), 0)
        for half, shift in halves:
            sums = np.zeros(len(self.units), np.int64)
            np.add.at(sums, places, half)
            for place, part in enumerate(sums.tolist()):
                self.units[place] += part << shift

    def mean(self, place: int, count: int) -> float:
        """Return a sum divided by a count, correctly rounded."""
        return self.units[place] / (count << _UNIT_BITS)


@dataclass(frozen=True, slots=True)
class ClassesFound:
    """The counts of classes, and the metrics that follow."""

    confusion: Confusion
    figures: dict[str, float | None]
    calibration: tuple[CalibrationBin, ...] = ()
    no_probabilities: int = 0
    """Predictions whose probabilities are none: outside 0 to 1, or not summing to 1."""
    unseen: Counter[int] = field(default_factory=Counter)
    """By code, predictions of classes that the spec does not list."""


class ClassTally:
    """Collects predicted classes with their outcomes, part by part, of the classes that a spec names."""

    def __init__(self, names: tuple[str, ...]) -> None:
        size = len(names) + 1
        self._names = names
        self._matrix = np.zeros(size * size, np.int64)
        self._unseen = Counter[int]()
        self._losses = ExactSums([0])
        self._confidences = ExactSums([0] * CALIBRATION_BINS)
        self._lost = self._without = 0
        self._in_bin, self._right_in_bin = np.zeros(CALIBRATION_BINS, np.int64), np.zeros(CALIBRATION_BINS, np.int64)

    def add(self, predicted: Floats, probabilities: Floats | None, labels: Floats) -> None:
        """Add predictions with an outcome.

        Args:
            predicted: codes of the predicted classes.
            probabilities: of each class, shape (rows, classes).
            labels: codes of the true classes.
        """
        known = len(self._names)
        true, chosen = (np.minimum(codes, known).astype(np.int64) for codes in (labels, predicted))
        self._unseen.update(predicted[predicted >= known].astype(np.int64).tolist())
        self._matrix += np.bincount((known + 1) * true + chosen, minlength=len(self._matrix))
        if probabilities is not None:
            self._add_probabilities(probabilities, true, chosen)

    def _add_probabilities(self, probabilities: Floats, true: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        valid = are_probabilities(probabilities)
        self._without += int(np.count_nonzero(~valid))
        known = valid & (true < len(self._names))
        rows = np.flatnonzero(known)
        losses = -np.log(np.clip(probabilities[rows, true[rows]], _EPSILON, 1 - _EPSILON))
        self._losses.add(losses, np.zeros(len(rows), np.intp))
        self._lost += len(rows)
        rows = np.flatnonzero(valid & (chosen < len(self._names)))
        confidences = probabilities[rows, chosen[rows]]
        places = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], confidences)
        self._confidences.add(confidences, places)
        self._in_bin += np.bincount(places, minlength=CALIBRATION_BINS)
        self._right_in_bin += np.bincount(places[chosen[rows] == true[rows]], minlength=CALIBRATION_BINS)

    def found(self) -> ClassesFound:
        """Return the confusion matrix, and the metrics of all that was added."""
        size = len(self._names) + 1
        matrix = tuple(tuple(row) for row in self._matrix.reshape(size, size).tolist())
        confusion = Confusion(names=self._names, matrix=matrix)
        valid = self._lost > 0 and not self._without
        calibration = self._calibration() if valid else ()
        figures = confusion.figures() | {
            "log_loss": self._losses.mean(0, self._lost) if valid else None,
            "calibration_error": calibration_error(calibration),
        }
        return ClassesFound(confusion, figures, calibration, self._without, self._unseen)

    def _calibration(self) -> tuple[CalibrationBin, ...]:
        rows = zip(self._in_bin.tolist(), self._right_in_bin.tolist(), strict=True)
        return tuple(
            CalibrationBin(count=count, predicted=self._confidences.mean(place, count), observed=right / count)
            for place, (count, right) in enumerate(rows)
            if count
        )


class ExpectedClasses:
    """The confusion of classes that calibrated probabilities promise, before outcomes are known.

    Of the rows with a predicted class, each true class is expected as often as its probabilities sum to (NannyML calls
    this CBPE). Only the sums that the metrics need are kept.
    """

    def __init__(self, classes: int) -> None:
        self._hits, self._true = ExactSums([0] * classes), ExactSums([0] * classes)
        self._predicted = np.zeros(classes, np.int64)
        self.rows = self.invalid = 0

    def add(self, predicted: Floats, probabilities: Floats) -> None:
        """Add rows; a class that the spec does not list is predicted wrong for certain.

        Args:
            predicted: codes of the predicted classes.
            probabilities: of each class, shape (rows, classes).
        """
        classes = len(self._predicted)
        valid = are_probabilities(probabilities)
        self.rows += len(predicted)
        self.invalid += int(np.count_nonzero(~valid))
        predicted, probabilities = predicted[valid], probabilities[valid]
        for place in range(classes):
            self._true.add(probabilities[:, place], np.full(len(probabilities), place))
        rows = np.flatnonzero(predicted < classes)
        chosen = predicted[rows].astype(np.intp)
        self._hits.add(probabilities[rows, chosen], chosen)
        self._predicted += np.bincount(chosen, minlength=classes)

    def figures(self) -> dict[str, float | None]:
        """Return the expected accuracy, and means of precision, recall and F1 of all classes."""
        hits, true = (
            np.array([sums.mean(place, 1) for place in range(len(self._predicted))])
            for sums in (self._hits, self._true)
        )
        found: dict[str, float | None] = {"accuracy": float(hits.sum()) / self.rows if self.rows else None}
        for name, wholes in (("precision", self._predicted), ("recall", true), ("f1", (self._predicted + true) / 2)):
            values = shares(hits, wholes)
            known = values[~np.isnan(values)]
            found[f"macro_{name}"] = float(known.mean()) if known.size else None
        return found


def are_probabilities(rows: Floats) -> NDArray[np.bool_]:
    """Return which rows hold the probabilities of all classes."""
    with np.errstate(invalid="ignore"):
        inside = ((rows >= 0) & (rows <= 1)).all(axis=1)
        found: NDArray[np.bool_] = inside & (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return found


def balanced_accuracy_error(confusion: Confusion) -> float | None:
    """Return the standard error of the mean recall of all classes that occur."""
    recall, true = confusion.recall, confusion.true
    known = true > 0
    if not known.any():
        return None
    return sqrt(float((recall[known] * (1 - recall[known]) / true[known]).sum())) / int(known.sum())
