"""One timeline from the events of many sources. Pure: any order of events gives the same timeline."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

SAME = timedelta(minutes=2)
"""Two sources that report the same within this time report one event: clocks, scrapes and evaluations differ by less."""


class EventSource(StrEnum):
    """Who says that something happened."""

    RECORD = "incident"
    PROMETHEUS = "Prometheus"
    ALERTMANAGER = "Alertmanager"
    INBOX = "inbox"
    SILENCES = "silences"
    RESULTS = "results"
    PAGERDUTY = "PagerDuty"
    GIT = "git"


class EventKind(StrEnum):
    """Kinds of events; those of one moment are read in this order."""

    COMMIT = "commit"
    PIPELINE = "pipeline change"
    DEPLOYMENT = "deployment"
    FIRST_SIGN = "first sign"
    """A feature is further from the reference than noise alone explains."""
    DRIFT = "drift"
    """A feature is beyond a threshold."""
    UNSEEN = "monitoring gap"
    PENDING = "pending"
    FIRING = "firing"
    INHIBITED = "inhibited"
    SILENCED = "silenced"
    NOTIFIED = "notified"
    OPENED = "opened"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    CLASSIFIED = "classified"
    NOTE = "note"
    MITIGATED = "mitigated"
    CALM = "calm again"
    ENDED = "alert over"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CLOSED = "closed"


_ORDER = {kind: place for place, kind in enumerate(EventKind)}


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that one source says happened."""

    at: Annotated[datetime, Meta(tz=True)]
    kind: EventKind
    source: EventSource
    subject: str
    """The alert, feature or pipeline it is about, in the same words from every source."""
    text: str
    actor: str = ""
    origin: str = ""
    """Where it can be looked up again: the query, the file."""


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and everybody who reports it."""

    at: datetime
    kind: EventKind
    subject: str
    text: str
    actor: str
    sources: tuple[EventSource, ...]
    origins: tuple[str, ...]


def merge(events: Iterable[TimelineEvent]) -> tuple[TimelineEntry, ...]:
    """Sort events by time, and make one entry of what several sources report.

    What one source reports twice at different times happened twice, as an alert that flaps does.
    """
    clusters: list[list[TimelineEvent]] = []
    recent: dict[tuple[EventKind, str], list[list[TimelineEvent]]] = {}
    for event in sorted(set(events), key=_sort_key):
        same = [
            cluster
            for cluster in recent.get((event.kind, event.subject), [])
            if event.at - cluster[0].at <= SAME and event.subject
        ]
        joined = next((cluster for cluster in same if event.source not in {other.source for other in cluster}), None)
        if joined is None:
            joined = []
            clusters.append(joined)
            same.append(joined)
        joined.append(event)
        recent[event.kind, event.subject] = same
    return tuple(
        sorted(map(_entry, clusters), key=lambda entry: (entry.at, _ORDER[entry.kind], entry.subject, entry.text))
    )


def _sort_key(event: TimelineEvent) -> tuple[object, ...]:
    return (event.at, _ORDER[event.kind], event.subject, event.source, event.text, event.actor, event.origin)


def _entry(cluster: list[TimelineEvent]) -> TimelineEntry:
    """One entry: the earliest time, and the longest text, which says the most."""
    texts = sorted({event.text for event in cluster}, key=lambda text: (-len(text), text))
    return TimelineEntry(
        at=cluster[0].at,
        kind=cluster[0].kind,
        subject=cluster[0].subject,
        text=texts[0],
        actor=next(filter(None, sorted(event.actor for event in cluster if event.actor)), ""),
        sources=tuple(sorted({event.source for event in cluster}, key=list(EventSource).index)),
        origins=tuple(sorted({event.origin for event in cluster if event.origin})),
    )


# ---------------------------------------------------------------- alerts

_CONSTANT = frozenset(
    {
        "__name__",
        "alertname",
        "alertstate",
        "severity",
        "system",
        "layer",
        "team",
        "environment",
        "incident",
        "cooldown",
        "policy",
        "variant",
    }
    | {"instance", "job", "cluster", "prometheus", "prometheus_replica", "replica", "feature_source", "threshold"}
)
"""Labels that do not distinguish one alert of a system from another, or that only some sources see."""
_SLOTH = "sloth_"
"""Labels that repeat others in the words of another tool."""
_QUIET = "none"
"""The severity of the watchdog, which fires while all is well."""


def concerns_people(labels: Mapping[str, str]) -> bool:
    """True if labels are an alert's, and not the watchdog's."""
    return bool(labels) and labels.get("severity") != _QUIET


def alert_subject(labels: Mapping[str, str]) -> str:
    """Name an alert the same way whoever reports it: ``MLFeatureDrift critical days_since_last_interaction``."""
    of = sorted(
        {value for name, value in labels.items() if name not in _CONSTANT and value and not name.startswith(_SLOTH)}
    )
    return " ".join(filter(None, (labels.get("alertname", ""), labels.get("severity", ""), ", ".join(of))))
