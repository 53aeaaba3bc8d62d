"""The notifications that Alertmanager would send, where none runs, with the bodies that a webhook receives. Pure."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.history import Steps
from mlvitals.evaluation.notifications import ActiveAlert, Notification, notifications
from mlvitals.generator.routing.alertmanager import alertmanager_document, receiver_of
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Receiver, Severity, Spec, Webhook
from mlvitals.generator.spec.people import NOBODY

_HEARD = (Severity.CRITICAL, Severity.WARNING)
"""Severities that an exercise sends, whether or not the spec names a receiver."""
_WATCHDOG = "exercise-watchdog"
_NEVER = "0001-01-01T00:00:00Z"


class Alarm(NamedTuple):
    """One alert of a group, over the time it fired; `ends` is None while it does."""

    firing: Firing
    labels: Mapping[str, str]
    starts: datetime
    ends: datetime | None


class Notice(NamedTuple):
    """One notification: when, how severe, and the body that a webhook receives."""

    at: datetime
    severity: Severity
    group: str
    alarms: tuple[Alarm, ...]
    body: dict[str, Any]

    @property
    def names(self) -> frozenset[str]:
        """The names of its alerts."""
        return frozenset(alarm.firing.alert for alarm in self.alarms)

    @property
    def is_firing(self) -> bool:
        """True unless every alert of the group is over."""
        return any(alarm.ends is None for alarm in self.alarms)


Texts = Callable[[Firing], Mapping[str, str]]
"""Gives the annotations of an alert."""


def heard_by(spec: Spec, url: str) -> Spec:
    """Return the spec with all that it sends going to one webhook, at any hour.

    Critical alerts and warnings go there even if the spec sends them nowhere: the exercise goes on, and its report says so.
    """
    hook = Receiver(webhook=Webhook(url=url))
    routing = spec.routing
    names = {severity: f"exercise-{severity}" for severity in (*_HEARD, Severity.INFO)}
    wanted = {
        str(level): name for level, name in names.items() if level in _HEARD or receiver_of(spec, level) != NOBODY
    }
    receivers = dict.fromkeys((*wanted.values(), _WATCHDOG), hook)
    sent = {"watchdog": _WATCHDOG, "info": None, **wanted}
    return msgspec.structs.replace(
        spec, routing=msgspec.structs.replace(routing, receivers=receivers, quiet_hours=(), maintenance=(), **sent)
    )


def routes_of(spec: Spec) -> dict[str, Any]:
    """Return the configuration of Alertmanager in an exercise."""
    heard = heard_by(spec, "http://tabletop.invalid")
    return alertmanager_document(heard, signals(heard))


def notices(
    routes: Mapping[str, Any], firings: Iterable[Firing], steps: Steps, now: datetime, texts: Texts
) -> list[Notice]:
    """Return what was sent up to `now`, in order of time; the same whenever it is asked.

    Args:
        routes: as `routes_of` gives them.
        firings: the alerts up to now; the end of one that still fires lies behind.
        steps: what their starts and ends count.
        now: the time.
        texts: gives the annotations of each.
    """
    length = steps.step.total_seconds()
    by_alert = {id(active): (active, firing) for firing in firings for active in [_active(firing, length)]}
    sent = notifications(routes, (active for active, _ in by_alert.values()))
    known = {alert: firing for alert, (_, firing) in by_alert.items()}
    heard = [each for each in sent if each.receiver != NOBODY and _moment(steps, each) <= now]
    return [_notice(each, known, steps, texts) for each in heard]


def _active(firing: Firing, length: float) -> ActiveAlert:
    return ActiveAlert(firing.routed, firing.start * length, firing.end * length)


def _moment(steps: Steps, sent: Notification) -> datetime:
    return steps.start + timedelta(seconds=sent.at)


def _notice(sent: Notification, known: Mapping[int, Firing], steps: Steps, texts: Texts) -> Notice:
    alarms = [
        Alarm(firing, firing.routed, steps.moment(firing.start), steps.moment(firing.end) if is_over else None)
        for of_group, is_over in ((sent.firing, False), (sent.resolved, True))
        for firing in (known[id(alert)] for alert in of_group)
    ]
    common = dict(set.intersection(*(set(alarm.labels.items()) for alarm in alarms)))
    body = {
        "version": "4",
        "groupKey": sent.key,
        "status": "firing" if sent.firing else "resolved",
        "receiver": "tabletop",
        "commonLabels": dict(sorted(common.items())),
        "commonAnnotations": {},
        "alerts": [_written(alarm, texts(alarm.firing)) for alarm in alarms],
    }
    return Notice(_moment(steps, sent), Severity(sent.severity), sent.key, tuple(alarms), body)


def _written(alarm: Alarm, texts: Mapping[str, str]) -> dict[str, Any]:
    identity = sha256(msgspec.json.encode(sorted(alarm.labels.items()))).hexdigest()[:16]
    return {
        "status": "firing" if alarm.ends is None else "resolved",
        "labels": dict(alarm.labels),
        "annotations": dict(texts),
        "startsAt": alarm.starts.isoformat(),
        "endsAt": alarm.ends.isoformat() if alarm.ends else _NEVER,
        "fingerprint": identity,
    }
