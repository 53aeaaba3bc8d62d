"""The outcomes that the predictions received, and how well they agree with them."""

from collections.abc import Sequence
from math import inf

import msgspec

from mlvitals.exporters.parts import FileProblem, Interval, Measure, Window
from mlvitals.generator.contract import CLASSES_SHOWN
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.model import OutcomeKind, Severity


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A performance metric in the window and in the reference; each None where it is undefined."""

    value: float | None = None
    reference: float | None = None


CALIBRATION_BINS = 10
"""Score ranges of equal width, over which the calibration error is taken."""


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions whose score lies in one range: how many, their mean score, and the share of positive outcomes."""

    count: int
    predicted: float
    observed: float


def calibration_error(bins: Sequence[CalibrationBin]) -> float | None:
    """Return the mean distance of predicted and observed share, weighted by size; None without predictions."""
    if not bins:
        return None
    return sum(part.count * abs(part.predicted - part.observed) for part in bins) / sum(part.count for part in bins)


class ClassReport(msgspec.Struct, frozen=True, kw_only=True):
    """One class in the window and in the reference. Metrics are None where they are undefined. Never NaN."""

    name: str
    true: int = 0
    """Predictions whose outcome is this class, and that have a predicted class."""
    predicted: int = 0
    """Predictions of this class that have an outcome."""
    precision: Figure = Figure()
    recall: Figure = Figure()
    f1: Figure = Figure()
    share: Figure = Figure()
    """Of all outcomes."""
    recall_loss: Measure | None = None
    """Share of the reference's recall that is lost."""


class ClassesReport(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes that are classes: which was predicted for which, and how each fared."""

    classes: tuple[ClassReport, ...]
    """In the order of the spec."""
    matrix: tuple[tuple[int, ...], ...]
    """Rows: the true class; columns: the predicted one; the last of each: classes that the spec does not list."""
    reference_matrix: tuple[tuple[int, ...], ...] | None = None
    unseen_labels: dict[str, int] = {}
    """Classes among the outcomes that the spec does not list, the most frequent first."""
    unseen_predictions: dict[str, int] = {}
    """The same of predicted classes."""
    unlisted_ratio: dict[str, float] = {}
    """Of the outcomes, and of the predictions, the share that is of classes that the spec does not list."""

    @property
    def shown(self) -> tuple[ClassReport, ...]:
        """Return the classes of which metrics and alerts are published: the worst."""
        return self.worst_first[:CLASSES_SHOWN]

    @property
    def worst_first(self) -> tuple[ClassReport, ...]:
        """Return the classes, the worst first: judged bad, then by their loss of recall; unknown losses last."""

        def badness(item: ClassReport) -> tuple[int, float]:
            loss = item.recall_loss
            severity = ALERTING.index(loss.severity) + 1 if loss and loss.severity else 0
            return (-severity, -loss.value if loss else inf)

        return tuple(sorted(self.classes, key=badness))


class EstimatedPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """Performance as the scores themselves promise it, before any outcome is known. An estimate, never a measurement.

    It holds as far as the scores are calibrated: concept drift does not show in it.
    """

    window: Window
    """The window whose scores these are: the report's own, not the mature one."""
    scores: int
    figures: dict[str, float | None] = {}
    """By name, each named ``estimated_...``."""
    reason: str = ""
    """Why there is no estimate; else empty."""


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of the predictions of one mature window. Metrics are None where they are undefined. Never NaN."""

    window: Window
    """The mature window: the measured one, moved back by the maximal delay."""
    kind: OutcomeKind
    mature: bool = True
    """False: outcomes of the window may still come, and nothing is said of them."""
    predictions: int = 0
    """Predictions made in the window, each id once."""
    repeated_predictions: int = 0
    """Further rows of an id that was already predicted for; they are left out."""
    answered: int = 0
    """Predictions with a valid outcome within the maximal delay; of several the first counts."""
    early: int = 0
    """Outcomes before their prediction: the two clocks disagree, or the ids are wrong."""
    late: int = 0
    duplicates: int = 0
    """Further valid outcomes of a prediction."""
    orphans: int | None = None
    """Outcomes observed in the window whose id no prediction has; None where that cannot be determined."""
    invalid: int = 0
    """Outcomes whose label is of another type, NaN, infinite, or for binary outcomes neither 0 nor 1."""
    untimed: int = 0
    """Outcomes without the time that the spec says they have."""
    feedback_rate: float | None = None
    """answered / predictions; None too where no outcome could be read."""
    feedback_interval: Interval | None = None
    """Of the feedback rate (Wilson 1927)."""
    expected_feedback_rate: float | None = None
    feedback_fall: Measure | None = None
    """1 - feedback_rate / expected_feedback_rate."""
    rejected_ratio: dict[str, float] = {}
    """By reason, the share of the window's outcomes that were rejected."""
    delay_p50_seconds: float | None = None
    delay_p95_seconds: float | None = None
    """Of the outcomes that count, hence at most the maximal delay."""
    predicted_mean: float | None = None
    """Of the answered predictions, as are all metrics below."""
    observed_mean: float | None = None
    """The mean outcome: for binary ones the share of positives."""
    observed_interval: Interval | None = None
    """Of the observed mean: Wilson's for binary outcomes, else the normal one."""
    reference_observed_mean: float | None = None
    label_shift: Measure | None = None
    """The observed mean against the reference's: relative for shares, else in reference standard deviations."""
    paired: int = 0
    """Answered predictions with a finite predicted value: what the gap and the performance are made of."""
    gap: float | None = None
    """Mean of prediction minus outcome; of classes, the share that was predicted wrong."""
    gap_error: float | None = None
    """The gap's standard error."""
    reference_gap: float | None = None
    performance: dict[str, Figure] = {}
    """By name; which names there are depends on the kind."""
    performance_loss: Measure | None = None
    """Share of the reference's quality that is lost, see docs/outcomes.md."""
    calibration: tuple[CalibrationBin, ...] = ()
    """Ten score ranges of equal width, those without scores left out: for binary outcomes of the score and the share of
    positives, for classes of the predicted class' probability and the share that was predicted right."""
    classes: ClassesReport | None = None
    """For outcomes that are classes."""
    estimated: EstimatedPerformance | None = None
    not_judged: dict[str, str] = {}
    """By name of a statistic that is None for want of information, the reason."""
    problems: tuple[FileProblem, ...] = ()
    """The files that could not be read; then a missing outcome may be a missing file."""
    severity: Severity | None = None
    """The worst of the fall, the shift and the loss."""
