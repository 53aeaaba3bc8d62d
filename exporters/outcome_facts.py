"""What the outcomes of a window say that bears on the kind of drift."""

from exporters.concept_report import GapSample
from exporters.drift_history import OutcomeFacts
from exporters.outcome_report import OutcomeReport
from exporters.report import Measure
from generator.spec.model import OutcomeKind, Severity

ONCE_IN_20 = 0.5
"""Of a two-sided 99.9 % critical value, 3.29 standard errors: what chance exceeds upwards in 5 % of the windows."""


def facts_of(outcomes: OutcomeReport | None) -> OutcomeFacts | None:
    """What a window's outcomes say; None where they leave no gap to speak of.

    How well scores tell outcomes apart is known of binary outcomes only.
    """
    if outcomes is None or outcomes.gap is None or outcomes.gap_error is None:
        return None
    sample = GapSample(
        window_start=outcomes.window.start,
        window_end=outcomes.window.end,
        gap=outcomes.gap,
        gap_error=outcomes.gap_error,
        count=outcomes.paired,
    )
    is_binary = outcomes.kind is OutcomeKind.BINARY
    return outcome_facts(
        sample, rate_shift=outcomes.label_shift, ranking_loss=outcomes.performance_loss if is_binary else None
    )


def outcome_facts(sample: GapSample, *, rate_shift: Measure | None, ranking_loss: Measure | None) -> OutcomeFacts:
    """Judge what was measured of a window's outcomes.

    Args:
        sample: the gap between predictions and outcomes.
        rate_shift: change of the outcomes' rate, or mean, against the reference; None where it is not known.
        ranking_loss: the share that is lost of how well scores tell outcomes apart (of AUC - 0.5); None where it is
            not known. How bad it is does not matter here, and chance may exceed it once in 20 windows: it does not
            raise an alarm, it tells concept from label drift once the gap has.
    """
    return OutcomeFacts(
        sample,
        None if rate_shift is None else rate_shift.severity in (Severity.WARNING, Severity.CRITICAL),
        None if ranking_loss is None else ranking_loss.value > ONCE_IN_20 * ranking_loss.critical_value,
    )
