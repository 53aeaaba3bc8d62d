"""What the outcomes of a window say that bears on the kind of drift."""

from exporters.concept_report import GapSample
from exporters.drift_history import OutcomeFacts
from exporters.report import Measure
from generator.spec.model import Severity


def outcome_facts(sample: GapSample, *, rate_shift: Measure | None, ranking_loss: Measure | None) -> OutcomeFacts:
    """Judge what was measured of a window's outcomes.

    Args:
        sample: the gap between predictions and outcomes.
        rate_shift: change of the outcomes' rate, or mean, against the reference; None where it is not known.
        ranking_loss: the share that is lost of how well scores tell outcomes apart (of AUC - 0.5); None where it is
            not known. Whatever exceeds noise counts: how bad it is does not matter here.
    """
    return OutcomeFacts(
        sample,
        None if rate_shift is None else rate_shift.severity in (Severity.WARNING, Severity.CRITICAL),
        None if ranking_loss is None else ranking_loss.value > ranking_loss.critical_value,
    )
