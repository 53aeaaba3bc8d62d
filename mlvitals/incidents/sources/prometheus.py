"""The history of a system's alerts in Prometheus: when each was pending and firing, and when nothing was evaluated."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from mlvitals.generator.promql import selector
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject, concerns_people

Series = tuple[Mapping[str, str], Sequence[tuple[float, float]]]
"""The labels of a series, and its samples: Unix time and value."""
AskRange = Callable[[str], Sequence[Series]]
"""Answers a query for the range in question."""


def prometheus_queries(system: str) -> tuple[str, str]:
    """Return what is asked: the states of the system's alerts, and since when each condition holds."""
    return selector("ALERTS", system=system), selector("ALERTS_FOR_STATE", system=system)


def prometheus_events(system: str, ask: AskRange, step: float) -> list[TimelineEvent]:
    """Return when alerts were pending, fired and ended.

    While no alert at all has samples, not even the watchdog that always fires, nothing was evaluated: that is a gap in
    monitoring, and not the end of an alert. Where the watchdog is not evaluated at all, gaps cannot be distinguished from ends.
    """
    states, since = prometheus_queries(system)
    answered = [(labels, [time for time, _ in samples]) for labels, samples in ask(states)]
    gaps = _gaps(answered, step)
    found = [_gap(gap, states) for gap in gaps]
    alarming = [(labels, times) for labels, times in answered if concerns_people(labels)]
    for labels, times in alarming:
        if labels.get("alertstate") == "firing":
            found += _firing(labels, list(_runs(times, step, gaps)), states, _last(answered))
    for labels, samples in ask(since):
        if concerns_people(labels):
            found += _pending(labels, (value for _, value in samples), since)
    return found


def _last(answered: Iterable[tuple[Mapping[str, str], Sequence[float]]]) -> float:
    return max((times[-1] for _, times in answered if times), default=0.0)


def _gaps(answered: Sequence[tuple[Mapping[str, str], Sequence[float]]], step: float) -> list[tuple[float, float]]:
    """Return the last time before, and the first after, each interval in which nothing had samples."""
    if not any(times and not concerns_people(labels) for labels, times in answered):
        return []
    times = sorted({time for _, times in answered for time in times})
    return [(before, after) for before, after in pairwise(times) if after - before > 1.5 * step]


def _runs(times: Sequence[float], step: float, gaps: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """First and last time of each run of samples; a run goes on over a gap in which nothing had samples."""
    if not times:
        return
    begun = times[0]
    for before, after in pairwise(times):
        unseen = sum(max(0.0, min(after, until) - max(before, since) - step) for since, until in gaps)
        if after - before - unseen > 1.5 * step:
            yield begun, before
            begun = after
    yield begun, times[-1]


def _firing(
    labels: Mapping[str, str], runs: Sequence[tuple[float, float]], origin: str, newest: float
) -> Iterator[TimelineEvent]:
    """An alert's events; one that still fires at the newest sample of all has not ended."""
    subject = alert_subject(labels)
    for begun, ended in runs:
        yield _event(begun, EventKind.FIRING, subject, f"{subject} fires.", origin)
        if ended < newest:
            yield _event(ended, EventKind.ENDED, subject, f"{subject} no longer fires.", origin)


def _pending(labels: Mapping[str, str], values: Iterable[float], origin: str) -> Iterator[TimelineEvent]:
    """Since when the condition of an alert holds, which Prometheus keeps as the value of its series."""
    subject = alert_subject(labels)
    for begun in sorted(set(values)):
        yield _event(begun, EventKind.PENDING, subject, f"The condition of {subject} begins to hold.", origin)


def _gap(gap: tuple[float, float], origin: str) -> TimelineEvent:
    since, until = map(_moment, gap)
    text = f"Prometheus evaluated no alert until {until:%Y-%m-%d %H:%M:%S} UTC."
    return TimelineEvent(
        at=since, kind=EventKind.UNSEEN, source=EventSource.PROMETHEUS, subject="", text=text, origin=origin
    )


def _event(time: float, kind: EventKind, subject: str, text: str, origin: str) -> TimelineEvent:
    return TimelineEvent(
        at=_moment(time), kind=kind, source=EventSource.PROMETHEUS, subject=subject, text=text, origin=origin
    )


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
