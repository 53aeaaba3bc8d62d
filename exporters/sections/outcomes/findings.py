"""Findings on the outcomes of a mature window, by the policies that the generated rules alert by."""

from collections.abc import Iterator
from functools import partial

from mlvitals.exporters.parts import Finding, FindingKind, found, severity_in
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.statistics.judging import level_limits, severity_of
from mlvitals.generator.contract import Rejection
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Severity, Spec

_found = partial(found, "outcomes")


def findings(spec: Spec, report: OutcomeReport) -> Iterator[Finding]:
    """Yield what is wrong; nothing while outcomes of the window may still come.

    Where no rate of feedback is expected, the rules compare with the week before, which one window does not show.
    """
    if not report.mature or spec.prediction_log.outcome is None:
        return
    alerts = spec.alerts
    yield from _found(FindingKind.FEEDBACK_RATE, severity_in(report.feedback_fall))
    yield from _found(FindingKind.FEEDBACK_DELAY, _late(spec, report.delay_p95_seconds))
    limits = level_limits(alerts.feedback_rejected, None)
    for reason, ratio in report.rejected_ratio.items():
        if reason != Rejection.LATE:  # late ones show in the delay and in the feedback rate
            yield from _found(FindingKind.FEEDBACK_REJECTED, severity_of(ratio, limits), reason)
    if report.problems and alerts.monitoring.enabled:
        yield from _found(FindingKind.FEEDBACK_UNREADABLE, Severity.WARNING)
    yield from _found(FindingKind.LABEL_SHIFT, severity_in(report.label_shift))
    yield from _found(FindingKind.PERFORMANCE_LOSS, severity_in(report.performance_loss))
    if report.classes is not None:
        for item in report.classes.shown:
            yield from _found(FindingKind.CLASS_RECALL, severity_in(item.recall_loss), item.name)
        for side, ratio in report.classes.unlisted_ratio.items():
            unlisted = severity_of(ratio, level_limits(alerts.new_category_ratio, None))
            yield from _found(FindingKind.UNLISTED_CLASS, unlisted, side)


def _late(spec: Spec, delay: float | None) -> Severity | None:
    """Return the severity of the delay within which 95 % of outcomes come; levels are shares of their maximal delay."""
    outcome = spec.prediction_log.outcome
    if outcome is None or delay is None:
        return None
    longest = seconds(outcome.max_delay)
    limits = level_limits(spec.alerts.feedback_delay, None)
    return severity_of(delay, {severity: share * longest for severity, share in limits.items()})
