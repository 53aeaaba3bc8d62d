"""What the outcomes of a window say that bears on the kind of drift."""

from math import sqrt

from exporters.concept_report import GapSample
from exporters.drift_history import OutcomeFacts
from exporters.statistics import TWO_SIDED
from generator.spec.model import Severity

SMALLEST_FALL = 0.01
"""A smaller fall of AUC is none that matters, however sure it is."""


def outcome_facts(
    sample: GapSample,
    *,
    rate_known: bool,
    rate_shift: Severity | None,
    observed_mean: float | None = None,
    auc: float | None = None,
    reference_auc: float | None = None,
) -> OutcomeFacts:
    """Judge what was measured of a window's outcomes.

    Args:
        sample: the gap between predictions and outcomes.
        rate_known: the rate, or mean, of the outcomes could be compared with the reference's.
        rate_shift: how bad its shift is.
        observed_mean: share of positive outcomes, where they are binary.
        auc: area under the ROC curve.
        reference_auc: the same in the reference.
    """
    rate_moved = rate_shift in (Severity.WARNING, Severity.CRITICAL) if rate_known else None
    if observed_mean is None or auc is None or reference_auc is None:
        return OutcomeFacts(sample, rate_moved, None)
    positives = observed_mean * sample.count
    noise = TWO_SIDED * auc_error(reference_auc, positives, sample.count - positives)
    return OutcomeFacts(sample, rate_moved, reference_auc - auc > max(noise, SMALLEST_FALL))


def auc_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an area under the ROC curve, by Hanley and McNeil 1982; 1 where a class is empty.

    Args:
        auc: the area, 0 to 1.
        positives: outcomes that are positive.
        negatives: outcomes that are not.
    """
    if positives < 1 or negatives < 1:
        return 1.0
    of_positives, of_negatives = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    variance = auc * (1 - auc) + (positives - 1) * of_positives + (negatives - 1) * of_negatives
    return sqrt(max(variance, 0.0) / (positives * negatives))
