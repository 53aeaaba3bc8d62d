"""Everything that the record and the evidence say of an incident, computed at once."""

import msgspec

from mlvitals.incidents.analysis.causes import Hint, rank_causes
from mlvitals.incidents.analysis.effect import Effect, effects_of
from mlvitals.incidents.analysis.fault import Fault, find_fault
from mlvitals.incidents.analysis.impact import Impact, impact_of
from mlvitals.incidents.analysis.triage import Proposal, propose
from mlvitals.incidents.evidence import IncidentEvidence
from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.sources.record import record_events
from mlvitals.incidents.timeline.events import TimelineEntry, alert_subject, merge
from mlvitals.incidents.timeline.times import Times, times_of


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of an incident, and what follows from it."""

    incident: Incident
    evidence: IncidentEvidence
    timeline: tuple[TimelineEntry, ...]
    times: Times
    fault: Fault | None
    impact: Impact | None
    causes: tuple[Hint, ...]
    proposal: Proposal
    effects: tuple[Effect, ...]


def own_alerts(incident: Incident) -> frozenset[str]:
    """Return what the timeline calls the alerts of the incident's group."""
    return frozenset(
        alert_subject({**alert.labels, "alertname": alert.name, "severity": alert.severity})
        for alert in incident.alerts
    )


def analyse(incident: Incident, evidence: IncidentEvidence | None) -> Analysis:
    """Analyse an incident; without evidence, from its entries alone."""
    known = evidence or IncidentEvidence(incident=incident.id, since=incident.opened_at, until=incident.in_order[-1].at)
    timeline = merge([*record_events(incident), *known.events])
    fault = find_fault(incident, known.windows)
    impact = impact_of(fault, known.windows) if fault else None
    causes = rank_causes(fault, known.windows, timeline)
    times = times_of(timeline, fault.start if fault else None, own_alerts(incident) or None)
    return Analysis(
        incident=incident,
        evidence=known,
        timeline=timeline,
        times=times,
        fault=fault,
        impact=impact,
        causes=causes,
        proposal=propose(incident, fault, impact, known, causes),
        effects=effects_of(known.lines, times.start, times.mitigated),
    )
