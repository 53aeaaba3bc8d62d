"""Reads what people did in PagerDuty: an export of an incident's log entries (`GET /incidents/ID/log_entries`)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent

_KINDS = {
    "trigger_log_entry": EventKind.NOTIFIED,
    "notify_log_entry": EventKind.NOTIFIED,
    "acknowledge_log_entry": EventKind.ACKNOWLEDGED,
    "escalate_log_entry": EventKind.ESCALATED,
    "assign_log_entry": EventKind.NOTE,
    "annotate_log_entry": EventKind.NOTE,
    "resolve_log_entry": EventKind.NOTE,
}
"""An assignment there is automatic more often than not, and a resolution follows Alertmanager's: both are only notes."""


def pagerduty_events(export: Mapping[str, Any], origin: str) -> Iterator[TimelineEvent]:
    """Yield an event for each log entry of a kind that says something.

    Raises:
        KeyError, ValueError, TypeError: it is no export of log entries.
    """
    for entry in export["log_entries"]:
        kind = _KINDS.get(entry["type"])
        if kind is not None:
            agent = entry.get("agent") or {}
            yield TimelineEvent(
                at=datetime.fromisoformat(entry["created_at"]).astimezone(UTC),
                kind=kind,
                source=EventSource.PAGERDUTY,
                subject="",
                text=_text(entry),
                actor=agent.get("summary") or "",
                origin=origin,
            )


def _text(entry: Mapping[str, Any]) -> str:
    channel = entry.get("channel") or {}
    note = channel.get("summary") if entry["type"] == "annotate_log_entry" else None
    return str(note or entry.get("summary") or entry["type"].removesuffix("_log_entry").capitalize())
