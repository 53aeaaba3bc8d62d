"""Durations of an incident, from its start to its end, with the definition of each. Pure."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from mlvitals.incidents.timeline.events import EventKind, TimelineEntry

DEFINITIONS = {
    "detect": "from the start of the fault to the first notification, or to the opening by hand if that came first",
    "acknowledge": "from the detection to the first acknowledgement in PagerDuty or assignment in the incident",
    "mitigate": "from the start of the fault to the last mitigation before the resolution",
    "resolve": "from the start of the fault to the last resolution",
}
"""Definitions of the times, by their names."""


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def length(seconds: float) -> str:
    """Write a length of time in its two largest units: ``1 h 17 min``."""
    rest = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


class FaultStart(msgspec.Struct, frozen=True, kw_only=True):
    """The start of the fault, as far as data shows it."""

    at: datetime
    """The best estimate; it lies from `earliest` to `latest`."""
    earliest: datetime
    latest: datetime
    reason: str


class Elapsed(msgspec.Struct, frozen=True, kw_only=True):
    """A length of time, never negative; None where it is unknown, and why."""

    seconds: float | None = None
    shortest: float | None = None
    longest: float | None = None
    reason: str = ""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The moments of an incident, None where unknown, and the times between them by the names of `DEFINITIONS`."""

    start: FaultStart | None
    detected: datetime | None
    acknowledged: datetime | None
    mitigated: datetime | None
    resolved: datetime | None
    spans: dict[str, Elapsed]


def times_of(
    timeline: Sequence[TimelineEntry], start: FaultStart | None, alerts: Collection[str] | None = None
) -> Times:
    """Compute moments and times; without an estimate of the fault's start, what counts from it is unknown.

    `alerts` are the subjects of the incident's own alerts: a notification of another one does not detect it. None means
    that these are not known, and that any notification does.
    """
    own = [
        entry
        for entry in timeline
        if entry.kind is EventKind.OPENED
        or (entry.kind is EventKind.NOTIFIED and (alerts is None or entry.subject in alerts))
    ]
    detected = _first(own, (EventKind.NOTIFIED, EventKind.OPENED), start.earliest if start else None)
    acknowledged = _first(timeline, (EventKind.ACKNOWLEDGED, EventKind.ASSIGNED), detected)
    resolved = _resolution(timeline)
    mitigated = _mitigation(timeline, resolved)
    return Times(
        start=start,
        detected=detected,
        acknowledged=acknowledged,
        mitigated=mitigated,
        resolved=resolved,
        spans={
            "detect": _since_start(start, detected, "nobody was notified"),
            "acknowledge": _between(detected, acknowledged, "nobody acknowledged it"),
            "mitigate": _since_start(start, mitigated, "no mitigation was recorded"),
            "resolve": _since_start(start, resolved, "it is not resolved"),
        },
    )


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A time over several incidents; None where it is known of none."""

    seconds: float | None
    known: int
    """Incidents of which it is known."""


def mean_times(incidents: Sequence[Times]) -> dict[str, Mean]:
    """Return the mean of each time over the incidents of which it is known: MTTD, MTTA, MTTM, MTTR."""
    means = {}
    for name in DEFINITIONS:
        known = [seconds for times in incidents if (seconds := times.spans[name].seconds) is not None]
        means[name] = Mean(seconds=sum(known) / len(known) if known else None, known=len(known))
    return means


def _first(
    timeline: Iterable[TimelineEntry], kinds: Sequence[EventKind], not_before: datetime | None
) -> datetime | None:
    """The first entry of these kinds; what was earlier than the fault itself belongs to something else."""
    moments = (entry.at for entry in timeline if entry.kind in kinds)
    return next((at for at in moments if not_before is None or at >= not_before), None)


def _resolution(timeline: Sequence[TimelineEntry]) -> datetime | None:
    ends = [entry for entry in timeline if entry.kind in {EventKind.RESOLVED, EventKind.REOPENED}]
    return ends[-1].at if ends and ends[-1].kind is EventKind.RESOLVED else None


def _mitigation(timeline: Sequence[TimelineEntry], resolved: datetime | None) -> datetime | None:
    done = [entry.at for entry in timeline if entry.kind is EventKind.MITIGATED]
    before = [at for at in done if resolved is None or at <= resolved]
    return before[-1] if before else None


def _since_start(start: FaultStart | None, moment: datetime | None, otherwise: str) -> Elapsed:
    if moment is None:
        return Elapsed(reason=otherwise)
    if start is None:
        return Elapsed(reason="the start of the fault is unknown")
    if moment < start.earliest:
        return Elapsed(
            reason="it comes before the start of the fault: the clocks differ, or it belongs to something else"
        )
    none = timedelta(0)
    return Elapsed(
        seconds=max(none, moment - start.at).total_seconds(),
        shortest=max(none, moment - start.latest).total_seconds(),
        longest=(moment - start.earliest).total_seconds(),
    )


def _between(earlier: datetime | None, later: datetime | None, otherwise: str) -> Elapsed:
    if earlier is None or later is None:
        return Elapsed(reason=otherwise)
    seconds = (later - earlier).total_seconds()
    return Elapsed(seconds=seconds, shortest=seconds, longest=seconds)
