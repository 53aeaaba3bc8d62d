"""Reads what Alertmanager did: its event log (0.33 and newer, feature `event-recorder`), and its silences.

The log is JSON lines of protobuf: names in lower camel case, 64-bit numbers as text, zero values left out, and its members
may be called otherwise in a later version. So everything is looked up with care, and what is unknown is skipped.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject, concerns_people

_RUN = timedelta(hours=1)
"""An alert that was muted longer ago than this is muted anew."""
_OTHERWISE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""Errors of content that is otherwise than it is read."""
_REASONS = {
    "NOTIFY_REASON_FIRST_NOTIFICATION": "for the first time",
    "NOTIFY_REASON_NEW_ALERTS_IN_GROUP": "because of new alerts",
    "NOTIFY_REASON_NEW_RESOLVED_ALERTS": "because alerts are over",
    "NOTIFY_REASON_ALL_ALERTS_RESOLVED": "because all alerts are over",
    "NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED": "again, as they still fire",
}


def event_log_events(lines: Iterable[str], origin: str) -> tuple[list[TimelineEvent], int]:
    """Return the events of a log, and how many lines are none of an event log.

    Of a cluster every peer writes each alert down: it is taken once, by its fingerprint and start.
    """
    log = _Log(origin)
    unreadable = 0
    for line in lines:
        if line.strip():
            unreadable += not log.take(line)
    return log.events(), unreadable


class _Notice(NamedTuple):
    """A notification of an alert to a receiver by one flush of a group, the same at every peer and integration."""

    subject: str
    group: str
    flush: str
    receiver: str
    reason: str


class _Log:
    """Collects a log's events. Notifications name alerts by their hash: whose alerts these are was written before."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._labels: dict[str, Mapping[str, str]] = {}
        self._lives: dict[tuple[EventKind, str, str], datetime] = {}
        self._notices: dict[_Notice, tuple[datetime, set[str]]] = {}
        self._muted_at: dict[tuple[EventKind, str], set[datetime]] = {}
        self._takers: dict[str, Callable[[dict[str, Any], datetime], None]] = {
            "alertCreated": self._created,
            "alertGrouped": lambda content, _: self._remember(content),
            "alertResolved": self._resolved,
            "notification": self._notified,
            "inhibitionMutedAlert": lambda content, at: self._muted(content, at, EventKind.INHIBITED),
            "silenceMutedAlert": lambda content, at: self._muted(content, at, EventKind.SILENCED),
        }

    def take(self, line: str) -> bool:
        """Take a line; False where it is none of an event log."""
        try:
            written = json.loads(line)
            at, data = _time(written["@timestamp"]), dict(written["data"])
        except _OTHERWISE:
            return False
        for name, content in data.items():
            if name in self._takers:
                with suppress(*_OTHERWISE):
                    self._takers[name](content, at)
        return True

    # -------------------------------------------------------- taking

    def _created(self, content: dict[str, Any], _at: datetime) -> None:
        self._remember(content)
        self._live(EventKind.FIRING, content, _alert(content).get("startsAt"))

    def _resolved(self, content: dict[str, Any], at: datetime) -> None:
        self._remember(content)
        self._live(EventKind.ENDED, content, _alert(content).get("endsAt") or at.isoformat())

    def _live(self, kind: EventKind, content: dict[str, Any], moment: str | None) -> None:
        """Record when an alert started or ended, once for each start of it."""
        subject = self._subject(content)
        if subject and moment:
            key = (kind, subject, _alert(content).get("startsAt", ""))
            self._lives[key] = min(_time(moment), self._lives.get(key, _time(moment)))

    def _notified(self, content: dict[str, Any], at: datetime) -> None:
        group = content.get("groupInfo", {})
        for alert in content.get("firingAlerts", []):
            labels = self._labels.get(_hash(alert), {})
            if concerns_people(labels):
                notice = _Notice(
                    alert_subject(labels),
                    group.get("groupKey", ""),
                    content.get("flushId", ""),
                    group.get("receiverName", "somebody"),
                    _REASONS.get(content.get("reason", ""), ""),
                )
                first, through = self._notices.setdefault(notice, (at, set()))
                through.add(content.get("integration", {}).get("name", ""))
                self._notices[notice] = (min(first, at), through)

    def _muted(self, content: dict[str, Any], at: datetime, kind: EventKind) -> None:
        if subject := self._subject(content):
            self._muted_at.setdefault((kind, subject), set()).add(at)

    def _remember(self, content: dict[str, Any]) -> None:
        if labels := _labels(_alert(content)):
            self._labels[_hash(content.get("alert"))] = labels

    def _subject(self, content: dict[str, Any]) -> str:
        labels = _labels(_alert(content)) or self._labels.get(_hash(content.get("alert")), {})
        return alert_subject(labels) if concerns_people(labels) else ""

    # -------------------------------------------------------- giving

    def events(self) -> list[TimelineEvent]:
        """Return the events of the lines taken so far."""
        return [*self._life_events(), *self._notice_events(), *self._muted_events()]

    def _life_events(self) -> Iterator[TimelineEvent]:
        words = {EventKind.FIRING: "fires", EventKind.ENDED: "no longer fires"}
        for (kind, subject, _), at in self._lives.items():
            yield self._event(at, kind, subject, f"{subject} {words[kind]}.")

    def _notice_events(self) -> Iterator[TimelineEvent]:
        for notice, (at, through) in self._notices.items():
            by = ", ".join(sorted(through - {""}))
            words = ("is notified", f"through {by}" if by else "", notice.reason)
            yield self._event(
                at,
                EventKind.NOTIFIED,
                notice.subject,
                f"{notice.subject}: {notice.receiver} {' '.join(filter(None, words))}.",
            )

    def _muted_events(self) -> Iterator[TimelineEvent]:
        """The first moment of each time that an alert was muted: Alertmanager writes it down at every evaluation."""
        for (kind, subject), moments in self._muted_at.items():
            ordered = sorted(moments)
            begun = [
                at
                for before, at in zip([None, *ordered], ordered, strict=False)
                if before is None or at - before > _RUN
            ]
            for at in begun:
                yield self._event(at, kind, subject, f"{subject} is {kind}: nobody is notified.")

    def _event(self, at: datetime, kind: EventKind, subject: str, text: str) -> TimelineEvent:
        return TimelineEvent(
            at=at, kind=kind, source=EventSource.ALERTMANAGER, subject=subject, text=text, origin=self._origin
        )


# ---------------------------------------------------------------- silences


def silence_events(silences: Iterable[Mapping[str, Any]], origin: str) -> Iterator[TimelineEvent]:
    """Yield the start of each silence, with its end, from what Alertmanager's /api/v2/silences answers.

    Raises:
        KeyError, ValueError, TypeError: it is no list of silences.
    """
    for silence in silences:
        what = ", ".join(sorted(map(_matcher, silence["matchers"])))
        begun, ended = _time(silence["startsAt"]), _time(silence["endsAt"])
        why = f": {silence['comment']}" if silence.get("comment") else ""
        text = f"Silence of {what} until {ended:%Y-%m-%d %H:%M:%S} UTC{why}"
        yield TimelineEvent(
            at=begun,
            kind=EventKind.SILENCED,
            source=EventSource.SILENCES,
            subject=f"silence {silence['id']}",
            text=text,
            actor=silence.get("createdBy", ""),
            origin=origin,
        )


def _matcher(matcher: Mapping[str, Any]) -> str:
    sign = {(True, True): "=~", (True, False): "!~", (False, True): "=", (False, False): "!="}
    return f"{matcher['name']}{sign[bool(matcher.get('isRegex')), matcher.get('isEqual', True)]}{json.dumps(matcher['value'])}"


# ---------------------------------------------------------------- reading what is written loosely


def _alert(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The alert itself: some events wrap it with its hash, some do not, and muted ones are called otherwise."""
    alert = content.get("alert") or content.get("mutedAlert") or {}
    details = alert.get("details") if isinstance(alert, dict) else None
    found = details if isinstance(details, dict) else alert
    return found if isinstance(found, dict) else {}


def _hash(alert: object) -> str:
    """Return the alert's name within the log: 64 bits, as text, and a number where a program rewrote the log."""
    if not isinstance(alert, dict):
        return ""
    details = alert.get("details")
    inner = details if isinstance(details, dict) else {}
    return str(alert.get("hash") or alert.get("fingerprint") or inner.get("fingerprint") or "")


def _labels(alert: Mapping[str, Any]) -> dict[str, str]:
    """The labels, which protobuf writes as a list of pairs within an object of the same name."""
    written = alert.get("labels", {})
    pairs = written.get("labels", written) if isinstance(written, dict) else written
    if isinstance(pairs, dict):
        return {name: value for name, value in pairs.items() if isinstance(value, str)}
    found = ((pair.get("key"), pair.get("value", "")) for pair in pairs if isinstance(pair, dict))
    return {str(name): str(value) for name, value in found if name}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
