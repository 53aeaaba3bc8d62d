"""Metric families of outcomes: feedback, outcome rates and performance."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import OutcomeKind, Spec


class Rejection(StrEnum):
    """The reason why an outcome is rejected."""

    EARLY = "early"
    LATE = "late"
    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    INVALID = "invalid"
    UNTIMED = "untimed"


class Better(StrEnum):
    """The direction in which a performance metric is better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEAR_ZERO = "near_zero"


@dataclass(frozen=True, slots=True)
class PerformanceFigure:
    """A metric of how well predictions agree with their outcomes."""

    name: str
    """The value of the label ``figure``, and its name in reports."""
    title: str
    """Its name within a sentence."""
    better: Better


PERFORMANCE_FIGURES: dict[OutcomeKind, tuple[PerformanceFigure, ...]] = {
    OutcomeKind.BINARY: (
        PerformanceFigure("auc", "AUC", Better.HIGHER),
        PerformanceFigure("precision", "precision", Better.HIGHER),
        PerformanceFigure("recall", "recall", Better.HIGHER),
        PerformanceFigure("accuracy", "accuracy", Better.HIGHER),
        PerformanceFigure("mcc", "MCC", Better.HIGHER),
        PerformanceFigure("brier", "Brier", Better.LOWER),
        PerformanceFigure("log_loss", "log loss", Better.LOWER),
        PerformanceFigure("calibration_error", "calibration error", Better.LOWER),
    ),
    OutcomeKind.MULTICLASS: (
        PerformanceFigure("accuracy", "accuracy", Better.HIGHER),
        *(
            PerformanceFigure(f"{mean}_{name}", f"{mean} {title}", Better.HIGHER)
            for mean in ("macro", "weighted")
            for name, title in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
        ),
        PerformanceFigure("log_loss", "log loss", Better.LOWER),
        PerformanceFigure("calibration_error", "calibration error", Better.LOWER),
    ),
    OutcomeKind.CONTINUOUS: (
        PerformanceFigure("mae", "MAE", Better.LOWER),
        PerformanceFigure("rmse", "RMSE", Better.LOWER),
        PerformanceFigure("bias", "bias", Better.NEAR_ZERO),
    ),
    OutcomeKind.RANKING: (
        PerformanceFigure("ndcg", "NDCG", Better.HIGHER),
        PerformanceFigure("recall", "recall", Better.HIGHER),
        PerformanceFigure("coverage", "coverage", Better.HIGHER),
    ),
}
"""The metrics of each kind of outcome, in the order in which they are drawn. The tallies compute exactly these."""


CLASSES_SHOWN = 20
"""Classes of which metrics are published: the worst of a window."""


def outcome_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of outcomes, if the spec has some, and of the performance metrics of their kind."""
    outcome = spec.prediction_log.outcome
    if outcome is None:
        return
    is_multiclass = outcome.kind is OutcomeKind.MULTICLASS
    yield from _OUTCOMES
    yield from _CLASSES if is_multiclass else _MEANS
    if outcome.timestamp:
        yield gauge(
            "feedback_delay_seconds",
            "Time from a prediction to the outcome that counts, by percentile.",
            "percentile",
        )
    if outcome.kind is OutcomeKind.BINARY or (is_multiclass and outcome.probabilities):
        yield gauge(
            "performance_estimated",
            "Performance metrics estimated from the last window's scores alone, before outcomes are known.",
            "figure",
        )


_OUTCOMES = (
    gauge("feedback_predictions", "Predictions of the mature window, each id counted once."),
    gauge("feedback_rate", "Share of the mature predictions that received a valid outcome in time, 0 to 1."),
    gauge("feedback_rate_upper_bound", "Upper bound of the feedback rate, with 97.5% confidence."),
    gauge("feedback_expected_rate", "Expected feedback rate, 0 to 1, from the spec or the reference."),
    gauge("feedback_fall", "1 minus the feedback rate divided by the expected one; 0 is no fall."),
    gauge("feedback_fall_critical_value", "Fall of the feedback rate that noise alone exceeds once in 1000 windows."),
    gauge("feedback_rejected_ratio", "Share of the window's outcomes that were rejected, 0 to 1.", "reason"),
    gauge("feedback_files_unreadable", "Files of predictions or outcomes that could not be read in full."),
    gauge("feedback_window_end_timestamp_seconds", "End of the mature window, as a Unix timestamp."),
    gauge("outcome_gap", "Mean of prediction minus outcome; of classes, the share of wrong predictions."),
    gauge("outcome_gap_error", "Standard error of the gap."),
    gauge(
        "outcome_shift",
        "Change of the mean outcome against the reference: relative if binary, otherwise in reference standard "
        "deviations; of classes, the population stability index of their shares.",
    ),
    gauge("outcome_shift_critical_value", "Shift that noise alone exceeds once in 1000 windows, on either side."),
    gauge("performance", "Performance metrics of the mature window, over predictions that have an outcome.", "figure"),
    gauge("performance_reference", "The same performance metrics in the reference.", "figure"),
    gauge(
        "performance_loss",
        "Lost share of the reference's AUC above chance, NDCG or mean recall of the classes above chance, or relative rise "
        "of the error.",
    ),
    gauge("performance_loss_critical_value", "Performance loss that noise alone exceeds once in 1000 windows."),
)
_MEANS = (
    gauge("outcome_mean", "Mean outcome of the mature window: the share of positives, or in the outcome's own unit."),
    gauge("outcome_mean_lower_bound", "Lower bound of the 95% interval of the mean outcome."),
    gauge("outcome_mean_upper_bound", "Upper bound of the 95% interval of the mean outcome."),
    gauge("outcome_reference_mean", "Mean outcome of the reference."),
    gauge("outcome_predicted_mean", "Mean prediction of the predictions that have an outcome."),
)
_CLASSES = (
    gauge("class_rows", "Outcomes of the class whose prediction is known, of the worst classes.", "class"),
    gauge("class_share", "Share of the class among all outcomes, 0 to 1, of the worst classes.", "class"),
    gauge("class_share_reference", "The same share in the reference.", "class"),
    gauge("class_recall", "Share of the class that was predicted right, of the worst classes.", "class"),
    gauge("class_recall_reference", "The same recall in the reference.", "class"),
    gauge("class_precision", "Share of the class' predictions that were right, of the worst classes.", "class"),
    gauge("class_f1", "Harmonic mean of precision and recall of the class, of the worst classes.", "class"),
    gauge(
        "class_recall_loss", "Share of the class' recall in the reference that is lost, of the worst classes.", "class"
    ),
    gauge(
        "class_recall_loss_critical_value",
        "Loss of recall that noise alone exceeds in any class once in 1000 windows.",
        "class",
    ),
    gauge(
        "class_unlisted_ratio",
        "Share of the outcomes, and of the predictions, of classes that the spec does not list, 0 to 1.",
        "side",
    ),
)
