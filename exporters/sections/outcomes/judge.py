"""Judges outcome metrics against the reference: separates noise from change and assigns severities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite, sqrt

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlvitals.exporters.parts import FileProblem, Interval, Measure, Window
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.classes.judge import balanced_loss, class_shift, classes_report
from mlvitals.exporters.sections.outcomes.columns import outcome_of
from mlvitals.exporters.sections.outcomes.join import NO_COUNTS, Breakdown, JoinCounts, Joined, errors_of
from mlvitals.exporters.sections.outcomes.performance import (
    Classes,
    Performance,
    PerformanceTally,
    lowest_area,
    moments_of,
    standard_error,
)
from mlvitals.exporters.sections.outcomes.report import ClassesReport, EstimatedPerformance, Figure, OutcomeReport
from mlvitals.exporters.statistics.dependence import clustered_error
from mlvitals.exporters.statistics.distances import TWO_SIDED
from mlvitals.exporters.statistics.judging import CONFIDENCE, level_limits, measure, wilson_interval, worst
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.exporters.statistics.noise import Share, known_share_noise, mean_noise, share_noise
from mlvitals.generator.spec.model import Outcome, OutcomeKind, Spec

MINIMUM_OF_A_KIND = 5
"""With fewer positive, or negative, outcomes the area under the ROC curve has no law to speak of."""


def judged(
    spec: Spec,
    reference: OutcomeReference | None,
    window: Window,
    found: OutcomeTally,
    estimated: EstimatedPerformance | None,
    problems: tuple[FileProblem, ...],
    *,
    outcomes_known: bool,
) -> OutcomeReport:
    """Return the report of a mature window.

    Args:
        spec: the system's spec, with a prediction_log.outcome.
        reference: the outcomes of the training data, where they are known.
        window: the mature window.
        found: what was counted.
        estimated: what the newest scores promise.
        problems: what could not be read.
        outcomes_known: False where no outcome could be read. Then the feedback is not 0, it is not known.
    """
    outcome, counts = outcome_of(spec), found.counts
    performance, delays = found.performance.result(), found.delays()
    expected = outcome.expected_rate or (reference.feedback_rate if reference else None)
    asked = counts.predictions if outcomes_known else 0
    fall = _feedback_fall(spec, asked, counts.answered, reference, expected)
    not_judged: dict[str, str] = {}

    def unless_undefined(name: str, measured: Callable[[], Measure | None]) -> Measure | None:
        try:
            return measured()
        except NotJudgedError as error:
            not_judged[name] = str(error)
            return None

    shift = unless_undefined("label_shift", lambda: _label_shift(spec, reference, found))
    loss = unless_undefined(
        "performance_loss", lambda: _performance_loss(spec, reference, performance, counts.answered)
    )
    classes = _classes(spec, reference, performance, found)
    if performance.classes and performance.classes.no_probabilities:
        not_judged["log_loss"] = (
            f"the probabilities of {performance.classes.no_probabilities:,} predictions are missing, outside 0 to 1, or do "
            "not sum to 1"
        )
    return OutcomeReport(
        window=window,
        kind=outcome.kind,
        predictions=counts.predictions,
        repeated_predictions=counts.repeated_predictions,
        answered=counts.answered,
        early=counts.early,
        late=counts.late,
        duplicates=counts.duplicates,
        orphans=counts.orphans if _tells(outcome, "orphan") else None,
        invalid=counts.invalid,
        untimed=counts.untimed,
        feedback_rate=counts.answered / asked if asked else None,
        feedback_interval=wilson_interval(counts.answered, asked),
        expected_feedback_rate=expected,
        feedback_fall=fall,
        rejected_ratio=_rejected_ratio(outcome, counts),
        delay_p50_seconds=_quantile(delays, 0.50),
        delay_p95_seconds=_quantile(delays, 0.95),
        predicted_mean=_mean(found.predicted),
        observed_mean=_mean(found.observed),
        observed_interval=_observed_interval(outcome, found.observed),
        reference_observed_mean=_mean(reference.observed) if reference else None,
        label_shift=shift,
        paired=found.errors.count,
        gap=_mean(found.errors),
        gap_error=found.gap_error(),
        reference_gap=_mean(reference.errors) if reference else None,
        performance={
            name: Figure(value=value, reference=reference.figures.get(name) if reference else None)
            for name, value in performance.figures.items()
        },
        performance_loss=loss,
        calibration=performance.calibration,
        classes=classes,
        estimated=estimated,
        not_judged=not_judged,
        problems=problems,
        severity=worst(measure.severity for measure in (fall, shift, loss, *_recall_losses(classes)) if measure),
    )


def _classes(
    spec: Spec, reference: OutcomeReference | None, performance: Performance, found: OutcomeTally
) -> ClassesReport | None:
    if performance.classes is None or found.classes is None:
        return None
    return classes_report(
        performance.classes,
        found.class_labels,
        reference,
        found.classes,
        level_limits(spec.alerts.performance_loss, None),
        enough=found.counts.answered >= outcome_of(spec).minimum_rows,
    )


def _recall_losses(classes: ClassesReport | None) -> Iterator[Measure | None]:
    return (item.recall_loss for item in (classes.shown if classes else ()))


def _tells(outcome: Outcome, reason: str) -> bool:
    """True if a kind of rejected outcome can be detected: by their times, or because they come from elsewhere."""
    timed, apart = outcome.timestamp is not None, outcome.path is not None
    return {"early": timed, "late": timed, "untimed": timed, "orphan": timed and apart}.get(reason, True)


def _rejected_ratio(outcome: Outcome, counts: JoinCounts) -> dict[str, float]:
    rejected = {
        "early": counts.early,
        "late": counts.late,
        "duplicate": counts.duplicates,
        "orphan": counts.orphans,
        "invalid": counts.invalid,
        "untimed": counts.untimed,
    }
    total = counts.answered + sum(rejected.values())
    if total < outcome.minimum_rows:
        return {}
    return {reason: count / total for reason, count in rejected.items() if _tells(outcome, reason)}


def _quantile(delays: NDArray[np.float32], share: float) -> float | None:
    return float(np.quantile(delays, share)) if delays.size else None


def _mean(moments: Moments) -> float | None:
    return moments.mean if moments.count and isfinite(moments.mean) else None


def _observed_interval(outcome: Outcome, observed: Moments) -> Interval | None:
    if outcome.kind is OutcomeKind.BINARY:
        return wilson_interval(observed.mean * observed.count, observed.count)
    error = standard_error(observed)
    if error is None or not isfinite(observed.mean):
        return None
    return Interval(low=observed.mean - CONFIDENCE * error, high=observed.mean + CONFIDENCE * error)


def _feedback_fall(
    spec: Spec, asked: int, answered: int, reference: OutcomeReference | None, expected: float | None
) -> Measure | None:
    """Return how much of the expected feedback is missing; a reference's rate is an estimate, a spec's is not."""
    outcome = outcome_of(spec)
    if not expected or asked < outcome.minimum_rows:
        return None
    found = Share(answered, asked)
    if outcome.expected_rate or reference is None:
        noise = known_share_noise(expected, found)
    else:
        noise = share_noise(Share(reference.answered, reference.rows), found)
    fall = 1 - answered / asked / expected
    return _only_above(measure(fall, noise, level_limits(spec.alerts.feedback_rate, None)))


class NotJudgedError(Exception):
    """A statistic is undefined; the message says why."""


def _label_shift(spec: Spec, reference: OutcomeReference | None, found: OutcomeTally) -> Measure | None:
    """Return the mean outcome against the reference's, in shares of it (binary) or in its standard deviations.

    Classes have no mean: their shares are compared.

    Raises:
        NotJudgedError: the reference has nothing to count in.
    """
    observed = found.observed
    if found.classes is not None:
        if reference is None or found.counts.answered < outcome_of(spec).minimum_rows:
            return None
        limits = level_limits(spec.alerts.label_shift, None)
        return class_shift(found.class_labels, reference, outcome_of(spec).class_names, limits)
    if reference is None or observed.count < outcome_of(spec).minimum_rows or not isfinite(observed.mean):
        return None
    normal, limits = reference.observed, level_limits(spec.alerts.label_shift, None)
    if reference.kind is OutcomeKind.BINARY:
        if not normal.mean:
            raise NotJudgedError("the reference holds no positive outcome")
        shift = observed.mean / normal.mean - 1
        return measure(shift, share_noise(_positives(normal), _positives(observed)), limits)
    unit = sqrt(normal.variance)
    if not unit:
        raise NotJudgedError("the outcomes of the reference are all alike")
    return measure((observed.mean - normal.mean) / unit, mean_noise(normal, observed) / unit, limits)


def _positives(observed: Moments) -> Share:
    return Share(round(observed.mean * observed.count), observed.count)


def _performance_loss(
    spec: Spec, reference: OutcomeReference | None, performance: Performance, answered: int
) -> Measure | None:
    """Return the share of the reference's quality that is lost; of an error, its relative rise.

    Raises:
        NotJudgedError: too few outcomes of a kind.
    """
    if answered < outcome_of(spec).minimum_rows or reference is None or reference.quality is None:
        return None
    if performance.quality is None or reference.quality <= 0:
        return None
    limits = level_limits(spec.alerts.performance_loss, None)
    if performance.classes is not None and reference.confusion is not None:
        found = balanced_loss(performance.classes.confusion, reference.confusion, limits)
        if isinstance(found, str):
            raise NotJudgedError(found)
        return found
    ratio = performance.quality / reference.quality
    loss = ratio - 1 if reference.kind is OutcomeKind.CONTINUOUS else 1 - ratio
    noise = _quality_noise(reference, performance) / reference.quality
    return _only_above(measure(loss, noise, limits))


def _quality_noise(reference: OutcomeReference, performance: Performance) -> float:
    """Return how far from the reference's quality chance alone puts a window's, to its worse side."""
    assert reference.quality is not None
    if reference.kind is OutcomeKind.BINARY:
        found = Classes(performance.positives, performance.negatives)
        if min(found) < MINIMUM_OF_A_KIND:
            raise NotJudgedError(
                f"{found.positives} positive and {found.negatives} negative outcomes; at least {MINIMUM_OF_A_KIND} of "
                "each are needed"
            )
        hits, rows = _positives(reference.observed)
        area = reference.quality + 0.5
        return area - lowest_area(area, Classes(hits, rows - hits), found)
    if reference.quality_parts.count:
        return mean_noise(reference.quality_parts, performance.parts)
    # A reference built before it kept these: the spread of a part follows from the error, and the law is the normal one.
    error = reference.quality_error or 0.0
    return TWO_SIDED * error * sqrt(1 + reference.errors.count / max(performance.parts.count, 1))


def _only_above(found: Measure) -> Measure:
    """Return a statistic of which only one side is bad."""
    return found if found.value > 0 else replace(found, severity=None)


@dataclass(slots=True)
class OutcomeTally:
    """The sums that all metrics of outcomes are made of."""

    performance: PerformanceTally
    segments: Breakdown
    classes: ClassCodes | None = None
    """For outcomes that are classes: their codes have no mean."""
    counts: JoinCounts = NO_COUNTS
    class_labels: Counter[int] = field(default_factory=Counter)
    """By code of a class, how many outcomes there are."""
    observed: Moments = NO_MOMENTS
    """Of the outcomes."""
    predicted: Moments = NO_MOMENTS
    """Of the answered predictions that have a value."""
    errors: Moments = NO_MOMENTS
    """Of prediction minus outcome; of classes, of whether they differ."""
    _delays: list[NDArray[np.float32]] = field(default_factory=list)
    _groups: list[tuple[NDArray[np.float64], NDArray[np.uint64]]] | None = None
    """The errors, and the group of each; None where rows do not depend by groups."""

    def add(self, joined: Joined) -> None:
        """Add one partition."""
        answered = ~np.isnan(joined.labels)
        values, paired = joined.predictions["value"], joined.paired
        known = ~np.isnan(values)
        errors = errors_of(values, joined.labels, are_classes=self.classes is not None)[paired]
        self.counts += joined.counts
        self.errors = self.errors.merge(moments_of(errors))
        if self._groups is not None:
            self._groups.append((errors, joined.predictions["group"][paired]))
        self._delays.append(joined.delays[answered].astype(np.float32))
        self.performance.add(joined.predictions[known], joined.labels[known])
        self.segments.add(joined)
        if self.classes is not None:
            codes, counts = np.unique(joined.labels[answered].astype(np.int64), return_counts=True)
            self.class_labels.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
            return
        self.observed = self.observed.merge(moments_of(joined.labels[answered]))
        self.predicted = self.predicted.merge(moments_of(values[paired]))

    def gap_error(self) -> float | None:
        """Return the standard error of the mean error; of groups where rows depend by groups."""
        if self._groups is None:
            return standard_error(self.errors)
        errors, groups = (np.concatenate(parts) for parts in zip(*self._groups, strict=True))
        return clustered_error(errors, groups)

    def delays(self) -> NDArray[np.float32]:
        """Return the seconds from each answered prediction to its outcome; nothing where outcomes have no time."""
        delays = np.concatenate([np.empty(0, np.float32), *self._delays])
        known: NDArray[np.float32] = delays[~np.isnan(delays)]
        return known
