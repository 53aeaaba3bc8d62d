"""A proposal of how bad an incident is and what is broken, with the reasons. A person decides."""

from collections.abc import Iterator, Sequence

import msgspec

from mlvitals.incidents.analysis.causes import Cause, Hint
from mlvitals.incidents.analysis.fault import Fault
from mlvitals.incidents.analysis.impact import Impact
from mlvitals.incidents.evidence import WindowFacts
from mlvitals.incidents.record.model import Incident, IncidentType, SevLevel

LARGE_SHARE = 0.10
"""Of the predictions: from here on an incident is one of many users."""
_SYSTEM, _BUSINESS, _CRITICAL = "system", "business", "critical"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The severity and type that the evidence proposes, and why."""

    severity: SevLevel
    type: IncidentType
    reasons: tuple[str, ...]


def propose(
    incident: Incident,
    fault: Fault | None,
    impact: Impact | None,
    windows: Sequence[WindowFacts],
    causes: Sequence[Hint],
) -> Proposal:
    """Propose severity and type.

    SEV-1: a critical alert of the business, or outcomes critically worse. SEV-2: a critical alert, and it is the system's
    or 10 % of the predictions or more are affected. SEV-3: any other critical alert or window. SEV-4: warnings.
    """
    levels = list(_levels(incident, fault, impact, fault.windows if fault else windows))
    worst = min((level for level, _ in levels), default=SevLevel.SEV4)
    kind, why = _type(incident, fault, causes)
    reasons = [text for level, text in levels if level is worst] or ["Nothing critical was found."]
    return Proposal(severity=worst, type=kind, reasons=(*reasons, why))


def _levels(
    incident: Incident, fault: Fault | None, impact: Impact | None, windows: Sequence[WindowFacts]
) -> Iterator[tuple[SevLevel, str]]:
    critical = [alert for alert in incident.alerts if alert.severity == _CRITICAL]
    for alert in critical:
        layer = alert.labels.get("layer", "")
        if layer == _BUSINESS:
            yield SevLevel.SEV1, f"{alert.name} is critical: the business feels it."
        elif layer == _SYSTEM:
            yield SevLevel.SEV2, f"{alert.name} is critical: requests fail or are late."
        else:
            yield SevLevel.SEV3, f"{alert.name} is critical."
    if any(_CRITICAL in {window.performance_severity, window.label_severity} for window in windows):
        yield SevLevel.SEV1, "Outcomes are critically worse than the reference's."
    bad = bool(critical) or any(window.severity == _CRITICAL for window in windows)
    if impact and bad and impact.share >= LARGE_SHARE:
        yield SevLevel.SEV2, f"{impact.share:.0%} of the predictions are affected."
    if fault and fault.in_window(fault.worst).severity == _CRITICAL:
        yield SevLevel.SEV3, f"{fault.feature} is critically far from the reference."


def _type(incident: Incident, fault: Fault | None, causes: Sequence[Hint]) -> tuple[IncidentType, str]:
    layers = {alert.labels.get("layer", "") for alert in incident.alerts}
    if layers == {_SYSTEM}:
        return IncidentType.SYSTEM, "Only alerts of the system's own layer fire."
    likeliest = causes[0].cause if causes and causes[0].balance > 0 else None
    if likeliest in {Cause.SKEW, Cause.FEEDBACK}:
        return IncidentType.INTEGRATION, f"The likeliest cause is {likeliest}."
    if likeliest in {Cause.CONCEPT, Cause.STALE, Cause.LEAKAGE}:
        return IncidentType.MODEL, f"The likeliest cause is {likeliest}."
    if fault is not None:
        return IncidentType.DATA, "A feature moved away from the reference."
    return IncidentType.MODEL, "No feature moved, and not only the system's alerts fire."
