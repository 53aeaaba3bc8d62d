"""The outcomes that the predictions received, and how well they agree with them."""

import msgspec

from mlvitals.exporters.parts import FileProblem, Interval, Measure, Window
from mlvitals.generator.spec.model import OutcomeKind, Severity


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A performance metric in the window and in the reference; each None where it is undefined."""

    value: float | None = None
    reference: float | None = None


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions whose score lies in one range: how many, their mean score, and the share of positive outcomes."""

    count: int
    predicted: float
    observed: float


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
    """Mean of prediction minus outcome."""
    gap_error: float | None = None
    """The gap's standard error."""
    reference_gap: float | None = None
    performance: dict[str, Figure] = {}
    """By name; which names there are depends on the kind."""
    performance_loss: Measure | None = None
    """Share of the reference's quality that is lost, see docs/outcomes.md."""
    calibration: tuple[CalibrationBin, ...] = ()
    """For binary outcomes: ten score ranges of equal width, those without scores left out."""
    estimated: EstimatedPerformance | None = None
    not_judged: dict[str, str] = {}
    """By name of a statistic that is None for want of information, the reason."""
    problems: tuple[FileProblem, ...] = ()
    """The files that could not be read; then a missing outcome may be a missing file."""
    severity: Severity | None = None
    """The worst of the fall, the shift and the loss."""
