"""Incidents opened and resolved by Alertmanager's webhook: one for each group, however often it is delivered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mlvitals.incidents.inbox.messages import Message, Service
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import (
    MAX_TEXT,
    AlertEnded,
    AlertFired,
    Entry,
    Incident,
    Opened,
    Reopened,
    Resolved,
    State,
)
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.timeline.events import concerns_people

ALERTMANAGER = "Alertmanager"
"""The actor of what the webhook adds."""
_TITLE_CHARACTERS = 200

_Zoned = Annotated[datetime, Meta(tz=True)]


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    status: str
    starts_at: _Zoned
    fingerprint: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ends_at: _Zoned | None = None

    @property
    def key(self) -> tuple[str, datetime]:
        return self.fingerprint, _utc(self.starts_at)

    @property
    def name(self) -> str:
        return _shortened(self.labels.get("alertname", "")) or "unnamed alert"


class _Group(msgspec.Struct, frozen=True, rename="camel"):
    group_key: str
    status: str
    alerts: tuple[_Alert, ...] = ()
    common_labels: dict[str, str] = {}

    @property
    def title(self) -> str:
        names = sorted({alert.name for alert in self.alerts})
        of = self.common_labels.get("feature_name") or self.common_labels.get("feature_source")
        return _shortened(f"{', '.join(names)}{f' of {of}' if of else ''}")

    @property
    def system(self) -> str:
        return _shortened(self.common_labels.get("system", "")) or "unknown"


def incident_keeper(folder: Path) -> Callable[[Message], object]:
    """Return what keeps the incidents of a folder up to date with the messages of an inbox."""
    incidents = Incidents(folder)

    def keep(message: Message) -> None:
        if message.service is Service.WEBHOOK:
            record_webhook(incidents, message.body, message.received_at)

    return keep


def record_webhook(incidents: Incidents, body: Mapping[str, Any], now: datetime) -> Incident | None:
    """Open, extend or resolve the incident of the group that Alertmanager reports; None where there is nothing to do.

    The same message twice changes nothing. A body that is none of Alertmanager's, and the watchdog's heartbeat, concern
    no incident.

    Raises:
        IncidentError: the group's file is broken; nothing was written.
        OSError: the folder cannot be written.
    """
    group = _group(body)
    if group is None:
        return None
    going = incidents.of_group(group.group_key)
    if going is None:
        added = _first_entries(group, now)
        return incidents.open(group.title, group.system, added, group.group_key) if added else None
    return incidents.change(going.id, lambda incident: _news(incident, group, now))


def is_about_alerts(body: Mapping[str, Any]) -> bool:
    """True if a body is Alertmanager's and reports more than the watchdog's heartbeat."""
    return _group(body) is not None


def _group(body: Mapping[str, Any]) -> _Group | None:
    try:
        group = msgspec.convert(body, _Group)
    except msgspec.ValidationError:
        return None
    alarming = tuple(alert for alert in group.alerts if concerns_people(alert.labels))
    return msgspec.structs.replace(group, alerts=alarming) if alarming and group.group_key else None


def _first_entries(group: _Group, now: datetime) -> Sequence[Entry]:
    fired = _fired([alert for alert in group.alerts if alert.status == "firing"], now)
    return [Opened(at=now, actor=ALERTMANAGER), *fired] if fired else []


def _news(incident: Incident, group: _Group, now: datetime) -> Sequence[Entry]:
    """The entries for what the incident does not know yet."""
    known = {(alert.fingerprint, alert.starts_at) for alert in incident.alerts}
    new = [alert for alert in group.alerts if alert.status == "firing" and alert.key not in known]
    over = [alert for alert in group.alerts if alert.status == "resolved" and alert.key in known - incident.ended]
    entries: list[Entry] = []
    if new and incident.state is State.RESOLVED:
        entries.append(Reopened(at=now, actor=ALERTMANAGER, text="The group fires again."))
    entries += _fired(new, now)
    entries += [
        AlertEnded(
            at=now,
            actor=ALERTMANAGER,
            fingerprint=alert.fingerprint,
            starts_at=_utc(alert.starts_at),
            ended_at=_utc(alert.ends_at or now),
            name=alert.name,
        )
        for alert in over
    ]
    if group.status == "resolved" and not new and over and incident.state is not State.RESOLVED:
        entries.append(Resolved(at=now, actor=ALERTMANAGER, text="No alert of the group fires any more."))
    return adding(*entries)(incident) if entries else []


def _fired(alerts: Iterable[_Alert], now: datetime) -> list[Entry]:
    return [
        AlertFired(
            at=now,
            actor=ALERTMANAGER,
            fingerprint=alert.fingerprint,
            starts_at=_utc(alert.starts_at),
            name=alert.name,
            severity=alert.labels.get("severity", ""),
            labels=alert.labels,
            text=alert.annotations.get("description", "")[:MAX_TEXT],
        )
        for alert in alerts
    ]


def _utc(moment: datetime) -> datetime:
    """Return a time in UTC; one that is beyond the calendar there stays at its edge."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        edge = datetime.min if moment.year == datetime.min.year else datetime.max  # noqa: DTZ901  (a zone follows)
        return edge.replace(tzinfo=UTC)


def _shortened(text: str) -> str:
    return text if len(text) <= _TITLE_CHARACTERS else f"{text[: _TITLE_CHARACTERS - 1]}…"
