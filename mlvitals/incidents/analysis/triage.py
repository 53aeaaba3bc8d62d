"""A proposal of how bad an incident is and what is broken, with the reasons. A person decides."""

from collections.abc import Iterator, Sequence
from math import inf

import msgspec

from mlvitals.generator.spec.model import IncidentPolicy, SeverityCriteria
from mlvitals.incidents.analysis.causes import Cause, Hint
from mlvitals.incidents.analysis.fault import Fault
from mlvitals.incidents.analysis.impact import Impact
from mlvitals.incidents.evidence import IncidentEvidence, WindowFacts
from mlvitals.incidents.record.model import Incident, IncidentType, SevLevel

_LEVELS = {"sev1": SevLevel.SEV1, "sev2": SevLevel.SEV2, "sev3": SevLevel.SEV3}
"""The severities that have criteria, by their keys in a spec."""
_SYSTEM, _BUSINESS, _CRITICAL = "system", "business", "critical"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The severity and type that the evidence proposes, and why."""

    severity: SevLevel
    type: IncidentType
    reasons: tuple[str, ...]


def criteria_of(policy: IncidentPolicy) -> dict[str, SeverityCriteria]:
    """Return the criteria of a spec, by severity."""
    return {name: getattr(policy, name) for name in _LEVELS}


def propose(
    incident: Incident,
    fault: Fault | None,
    impact: Impact | None,
    evidence: IncidentEvidence,
    causes: Sequence[Hint],
) -> Proposal:
    """Propose severity and type.

    SEV-1: a critical alert of the business, or outcomes critically worse. SEV-2: a critical alert, and it is the system's.
    SEV-3: any other critical alert or window. SEV-4: warnings. The spec's criteria, which the evidence holds, add to these;
    by default, SEV-2 from 10 % of the predictions on.
    """
    windows = fault.windows if fault else evidence.windows
    levels = [*_levels(incident, fault, windows), *_by_criteria(incident, impact, evidence, windows)]
    worst = min((level for level, _ in levels), default=SevLevel.SEV4)
    kind, why = _type(incident, fault, causes)
    reasons = [text for level, text in levels if level is worst] or ["Nothing critical was found."]
    return Proposal(severity=worst, type=kind, reasons=(*reasons, why))


def _levels(incident: Incident, fault: Fault | None, windows: Sequence[WindowFacts]) -> Iterator[tuple[SevLevel, str]]:
    for alert in (alert for alert in incident.alerts if alert.severity == _CRITICAL):
        layer = alert.labels.get("layer", "")
        if layer == _BUSINESS:
            yield SevLevel.SEV1, f"{alert.name} is critical: the business feels it."
        elif layer == _SYSTEM:
            yield SevLevel.SEV2, f"{alert.name} is critical: requests fail or are late."
        else:
            yield SevLevel.SEV3, f"{alert.name} is critical."
    if any(_CRITICAL in {window.performance_severity, window.label_severity} for window in windows):
        yield SevLevel.SEV1, "Outcomes are critically worse than the reference's."
    if fault and fault.in_window(fault.worst).severity == _CRITICAL:
        yield SevLevel.SEV3, f"{fault.feature} is critically far from the reference."


def _by_criteria(
    incident: Incident, impact: Impact | None, evidence: IncidentEvidence, windows: Sequence[WindowFacts]
) -> Iterator[tuple[SevLevel, str]]:
    """Yield the severities whose criteria are met; affected predictions count only where something is critical."""
    critical = any(alert.severity == _CRITICAL for alert in incident.alerts)
    bad = critical or any(window.severity == _CRITICAL for window in windows)
    for name, criteria in (evidence.criteria or criteria_of(IncidentPolicy())).items():
        level = _LEVELS[name]
        if impact and bad and criteria.affected_ratio is not None and impact.share >= criteria.affected_ratio:
            yield level, f"{impact.share:.0%} of the predictions are affected."
        for kpi in evidence.kpis:
            if kpi.name in criteria.kpi_loss and kpi.loss is not None and kpi.loss >= criteria.kpi_loss[kpi.name]:
                yield level, f"{kpi.title} is {kpi.loss:.0%} lower than a week before."
        for count in evidence.counts:
            if count.lost_per_hour >= criteria.lost_per_hour.get(count.name, inf):
                unit = f" {count.unit}" if count.unit else ""
                yield level, f"{count.lost_per_hour:,.4g}{unit} of {count.name} an hour less than a week before."
        for budget in evidence.budgets:
            if criteria.budget_spent is not None and budget.before - budget.after >= criteria.budget_spent:
                spent = budget.before - budget.after
                yield level, f"{spent:.0%} of the error budget of {budget.slo} was spent."


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
