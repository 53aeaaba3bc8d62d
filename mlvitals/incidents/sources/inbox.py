"""Reads the inbox of `mlvitals inbox`: the notifications that people really got."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from mlvitals.incidents.inbox.messages import Message, Service
from mlvitals.incidents.record.webhook import is_about_alerts
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject

_NAMES = {Service.SLACK: "Slack", Service.PAGERDUTY: "PagerDuty", Service.WEBHOOK: "the webhook"}
_PAGERDUTY = {
    "trigger": EventKind.NOTIFIED,
    "acknowledge": EventKind.ACKNOWLEDGED,
    "resolve": EventKind.ENDED,
}


def inbox_events(messages: Iterable[Message], origin: str) -> Iterator[TimelineEvent]:
    """Yield an event for each message that is about alerts; heartbeats are left out."""
    for message in messages:
        if message.service is Service.WEBHOOK:
            yield from _webhook(message, origin)
        else:
            kind = _PAGERDUTY.get(message.status, EventKind.NOTIFIED)
            to = f" ({message.to})" if message.to else ""
            text = f"{_NAMES[message.service]}{to}: {message.title or message.text}"
            yield _event(message, kind, "", text, origin)


def _webhook(message: Message, origin: str) -> Iterator[TimelineEvent]:
    if not is_about_alerts(message.body):
        return
    for alert in _alerts(message.body):
        labels = {name: value for name, value in alert.get("labels", {}).items() if isinstance(value, str)}
        subject = alert_subject(labels)
        if alert.get("status") == "firing":
            yield _event(message, EventKind.NOTIFIED, subject, f"The webhook is told of {subject}.", origin)


def _alerts(body: dict[str, Any]) -> list[dict[str, Any]]:
    alerts = body.get("alerts")
    return [alert for alert in alerts if isinstance(alert, dict)] if isinstance(alerts, list) else []


def _event(message: Message, kind: EventKind, subject: str, text: str, origin: str) -> TimelineEvent:
    return TimelineEvent(
        at=message.received_at, kind=kind, source=EventSource.INBOX, subject=subject, text=text, origin=origin
    )


def read_messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """Read what `mlvitals inbox --keep` writes; a last line that is not whole is left out by the caller."""
    return (msgspec.json.decode(line, type=Message) for line in lines if line.strip())
