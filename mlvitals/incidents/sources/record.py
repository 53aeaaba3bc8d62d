"""The incident's own entries as events."""

from collections.abc import Iterator

from mlvitals.incidents.record.model import (
    AlertEnded,
    AlertFired,
    Assigned,
    Classified,
    Closed,
    Entry,
    Incident,
    Mitigated,
    Note,
    Opened,
    Reopened,
    Resolved,
    text_of,
)
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject

_KINDS: dict[type[Entry], EventKind] = {
    Opened: EventKind.OPENED,
    Reopened: EventKind.REOPENED,
    Note: EventKind.NOTE,
    Assigned: EventKind.ASSIGNED,
    Classified: EventKind.CLASSIFIED,
    Mitigated: EventKind.MITIGATED,
    Resolved: EventKind.RESOLVED,
    Closed: EventKind.CLOSED,
}


def record_events(incident: Incident) -> Iterator[TimelineEvent]:
    """Yield an event for each entry, and for each alert the moment it started to fire or was over."""
    origin = f"{incident.id}.yaml"
    fired = {(entry.fingerprint, entry.starts_at): entry for entry in incident.alerts}
    for entry in incident.in_order:
        if isinstance(entry, AlertFired):
            subject = alert_subject({**entry.labels, "alertname": entry.name, "severity": entry.severity})
            yield _event(entry, EventKind.NOTIFIED, subject, origin)
        elif isinstance(entry, AlertEnded):
            alert = fired.get((entry.fingerprint, entry.starts_at))
            labels = {**alert.labels, "severity": alert.severity} if alert else {}
            subject = alert_subject({**labels, "alertname": entry.name})
            text = f"The alert {entry.name} is over."
            yield TimelineEvent(
                at=entry.ended_at,
                kind=EventKind.ENDED,
                source=EventSource.RECORD,
                subject=subject,
                text=text,
                origin=origin,
            )
        else:
            yield _event(entry, _KINDS[type(entry)], "", origin)


def _event(entry: Entry, kind: EventKind, subject: str, origin: str) -> TimelineEvent:
    return TimelineEvent(
        at=entry.at,
        kind=kind,
        source=EventSource.RECORD,
        subject=subject,
        text=text_of(entry),
        actor=entry.actor,
        origin=origin,
    )
