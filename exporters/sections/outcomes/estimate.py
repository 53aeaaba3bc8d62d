"""Performance before outcomes are known: what calibrated scores promise. An estimate, never a measurement."""

from __future__ import annotations

import numpy as np

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.reading.log import Plan
from mlvitals.exporters.reading.scan import BrokenFileError, Chunk
from mlvitals.exporters.reading.sources import LogError, Reader
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.classes.tally import ExpectedClasses
from mlvitals.exporters.sections.outcomes.columns import Floats, predicted_classes, predicted_values
from mlvitals.exporters.sections.outcomes.performance import estimated_figures
from mlvitals.exporters.sections.outcomes.report import EstimatedPerformance
from mlvitals.generator.spec.model import FeatureType, Outcome, OutcomeKind, Spec

CALIBRATED = 0.05
"""Scores whose calibration error in the reference is larger promise nothing."""


def estimated_performance(
    spec: Spec, reference: OutcomeReference | None, window: Window
) -> Plan[EstimatedPerformance | None]:
    """Estimate the performance that the scores of the measured window promise, where they are calibrated probabilities.

    Args:
        spec: the system's spec; with outcomes of another kind there is nothing to estimate.
        reference: the outcomes of the training data, where they are known.
        window: the measured window.
    """
    outcome = spec.prediction_log.outcome
    if outcome is not None and outcome.kind is OutcomeKind.MULTICLASS and outcome.probabilities:
        return (yield from _of_classes(outcome, of_kind(reference, outcome.kind), window))
    if outcome is None or outcome.kind is not OutcomeKind.BINARY:
        return None
    reader = _ScoreReader(outcome.prediction or spec.prediction_log.score or "", window)
    try:
        yield [reader]
    except LogError as error:
        return EstimatedPerformance(window=window, scores=0, reason=str(error))
    scores = np.concatenate(reader.scores)
    outside = int(np.count_nonzero((scores < 0) | (scores > 1)))
    reason = _why_not(len(scores), outside, outcome, of_kind(reference, outcome.kind))
    figures = {} if reason else estimated_figures(scores, outcome.threshold)
    return EstimatedPerformance(window=window, scores=len(scores), figures=figures, reason=reason)


def _of_classes(
    outcome: Outcome, reference: OutcomeReference | None, window: Window
) -> Plan[EstimatedPerformance | None]:
    reader = _ProbabilityReader(outcome, window)
    try:
        yield [reader]
    except LogError as error:
        return EstimatedPerformance(window=window, scores=0, reason=str(error))
    expected = reader.expected
    reason = _why_not(expected.rows, expected.invalid, outcome, reference)
    figures = {} if reason else {f"estimated_{name}": value for name, value in expected.figures().items()}
    return EstimatedPerformance(window=window, scores=expected.rows, figures=figures, reason=reason)


def of_kind(reference: OutcomeReference | None, kind: OutcomeKind) -> OutcomeReference | None:
    """Return the reference, if its outcomes are of this kind."""
    return reference if reference is not None and reference.kind is kind else None


class _ScoreReader(Reader):
    """Keeps the window's scores; files that cannot be read are reported with the window itself."""

    def __init__(self, name: str, window: Window) -> None:
        super().__init__({name: FeatureType.FLOAT}, window)
        self._name = name
        self.scores: list[Floats] = [np.empty(0)]

    def add(self, chunk: Chunk) -> None:
        """Keep the scores of some rows."""
        if self._name in chunk.columns:
            try:
                values = predicted_values(chunk.columns[self._name])
            except ColumnTypeError as error:
                raise BrokenFileError(f"column {self._name!r}, the predicted value, {error.finding}") from error
            self.scores.append(values[~np.isnan(values)])


class _ProbabilityReader(Reader):
    """Sums what the window's probabilities promise."""

    def __init__(self, outcome: Outcome, window: Window) -> None:
        predicted = {} if outcome.prediction is None else {outcome.prediction: FeatureType.CATEGORICAL}
        super().__init__(predicted | dict.fromkeys(outcome.probabilities.values(), FeatureType.FLOAT), window)
        self._outcome, self._classes = outcome, ClassCodes(outcome.class_names)
        self.expected = ExpectedClasses(len(self._classes))

    def add(self, chunk: Chunk) -> None:
        """Add some rows; those without a predicted class, or without any probability, promise nothing."""
        try:
            found = predicted_classes(chunk.columns, self._outcome, self._classes, chunk.rows)
        except ColumnTypeError as error:
            raise BrokenFileError(f"a column of the predicted classes {error.finding}") from error
        if found.probabilities is not None:
            known = ~np.isnan(found.values) & ~np.isnan(found.probabilities).all(axis=1)
            self.expected.add(found.values[known], found.probabilities[known])


def _why_not(scores: int, invalid: int, outcome: Outcome, reference: OutcomeReference | None) -> str:
    """Return why nothing is estimated of that many scores, some of which are no probabilities; empty if something is."""
    if scores < outcome.minimum_rows:
        return f"{scores} scores; at least {outcome.minimum_rows} are needed"
    if invalid:
        some = "some do not sum to 1" if outcome.kind is OutcomeKind.MULTICLASS else "some lie outside 0 to 1"
        return f"the scores are not probabilities: {some}"
    error = reference.figures.get("calibration_error") if reference is not None else None
    if error is not None and error > CALIBRATED:
        return f"the scores are not calibrated: their calibration error in the reference is {error:.3f}"
    return ""
