"""The notifications that Alertmanager would send, where none runs: by group, with the waits of the spec's routing. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.history import Steps
from mlvitals.generator.routing.alertmanager import GROUP_BY, receiver_of
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.generator.spec.people import NOBODY

HEARD = (Severity.CRITICAL, Severity.WARNING)
"""Severities that an exercise sends, whether or not the spec names a receiver."""
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
"""Gives the annotations of an alert, or the labels that its rule adds."""


def notices(
    spec: Spec, firings: Iterable[Firing], steps: Steps, now: datetime, labels: Texts, texts: Texts
) -> list[Notice]:
    """Return what was sent up to `now`, in order of time; the same whenever it is asked.

    Critical alerts and warnings are sent wherever the spec routes them, and even if that is nowhere: the exercise goes on,
    and its report says so. Inhibitions and silences are not looked at.
    """
    groups: dict[str, list[Alarm]] = {}
    for firing in firings:
        if firing.severity in HEARD or receiver_of(spec, firing.severity) != NOBODY:
            alarm = _alarm(firing, labels(firing), steps, now)
            groups.setdefault(_group_key(alarm), []).append(alarm)
    found = [notice for key, alarms in groups.items() for notice in _of_group(spec, key, alarms, now, texts)]
    return sorted(found, key=lambda notice: (notice.at, notice.severity, notice.group))


def _alarm(firing: Firing, fixed: Mapping[str, str], steps: Steps, now: datetime) -> Alarm:
    labels = {**firing.labels, **fixed, "alertname": firing.alert}
    end = steps.moment(firing.end)
    return Alarm(firing, labels, steps.moment(firing.start), end if end <= now and firing.end < steps.count else None)


def _group_key(alarm: Alarm) -> str:
    labels = ", ".join(f'{name}="{alarm.labels[name]}"' for name in sorted(GROUP_BY) if name in alarm.labels)
    return f'{{}}/{{severity="{alarm.labels["severity"]}"}}:{{{labels}}}'


def _of_group(spec: Spec, key: str, alarms: Sequence[Alarm], now: datetime, texts: Texts) -> Iterator[Notice]:
    """Yield a group's notifications: the first after `group_wait`, then at each `group_interval` at which it has changed."""
    wait, interval = span(spec.routing.group_wait), span(spec.routing.group_interval)
    waiting = sorted(alarms, key=lambda alarm: (alarm.starts, alarm.firing.alert))
    while waiting:
        flush = waiting[0].starts + wait
        sent: frozenset[Any] = frozenset()
        while flush <= now:
            here = [alarm for alarm in waiting if alarm.starts <= flush]
            state = [alarm if _is_over(alarm, flush) else alarm._replace(ends=None) for alarm in here]
            firing = frozenset(_identity(alarm) for alarm in state if alarm.ends is None)
            if firing != sent:
                told = [alarm for alarm in state if alarm.ends is None or _identity(alarm) in sent]
                yield _notice(key, flush, told, texts)
                sent = firing
                waiting = [alarm for alarm in waiting if alarm not in here or not _is_over(alarm, flush)]
            if not firing:
                waiting = [alarm for alarm in waiting if alarm.starts > flush]
                break
            flush += interval
        else:
            return


def _is_over(alarm: Alarm, moment: datetime) -> bool:
    return alarm.ends is not None and alarm.ends <= moment


def _identity(alarm: Alarm) -> tuple[frozenset[tuple[str, str]], datetime]:
    return frozenset(alarm.labels.items()), alarm.starts


def _notice(key: str, at: datetime, alarms: Sequence[Alarm], texts: Texts) -> Notice:
    common = dict(set.intersection(*(set(alarm.labels.items()) for alarm in alarms)))
    body = {
        "version": "4",
        "groupKey": key,
        "status": "firing" if any(alarm.ends is None for alarm in alarms) else "resolved",
        "receiver": "tabletop",
        "commonLabels": dict(sorted(common.items())),
        "commonAnnotations": {},
        "alerts": [_written(alarm, texts(alarm.firing)) for alarm in alarms],
    }
    return Notice(at, Severity(alarms[0].labels["severity"]), key, tuple(alarms), body)


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
