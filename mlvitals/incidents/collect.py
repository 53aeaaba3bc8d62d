"""Asking every source that is named for what it knows about an incident. What fails is named, and the rest is kept."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mlvitals.generator.errors import UserError
from mlvitals.incidents.analysis.fault import find_fault
from mlvitals.incidents.analysis.triage import criteria_of
from mlvitals.incidents.evidence import (
    Asked,
    BudgetFacts,
    EventFacts,
    IncidentEvidence,
    KpiFacts,
    LineFacts,
    Point,
    WindowFacts,
)
from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.sources.alertmanager import event_log_events, silence_events
from mlvitals.incidents.sources.git import git_events
from mlvitals.incidents.sources.inbox import inbox_events, read_messages
from mlvitals.incidents.sources.pagerduty import pagerduty_events
from mlvitals.incidents.sources.prometheus import prometheus_events, prometheus_queries
from mlvitals.incidents.sources.record import record_events
from mlvitals.incidents.timeline.events import TimelineEvent

if TYPE_CHECKING:
    from mlvitals.generator.spec.model import Spec

_MOST_STEPS = 10_000
"""Prometheus answers up to 11,000 points a series."""


class Sources(NamedTuple):
    """The sources to ask. Empty ones are left out."""

    spec: "tuple[Spec, Path] | None" = None
    """A spec and its folder: its results database is asked."""
    prometheus: str = ""
    event_logs: tuple[Path, ...] = ()
    inbox: Path | None = None
    silences: Path | None = None
    pagerduty: Path | None = None
    git: tuple[Path, ...] = ()


class Period(NamedTuple):
    """The time to collect, and the step between samples of a Prometheus."""

    since: datetime
    until: datetime
    step: timedelta

    def holds(self, event: TimelineEvent) -> bool:
        """True if an event lies within."""
        return self.since <= event.at <= self.until


class CollectError(UserError):
    """A source holds something else than it should."""


Answer = tuple[Iterable[TimelineEvent], tuple[WindowFacts, ...]]


def collect(incident: Incident, sources: Sources, interval: Period) -> IncidentEvidence:
    """Ask the sources, and return what they know with what each was asked."""
    asked: list[Asked] = []
    events: list[TimelineEvent] = list(record_events(incident))
    windows: tuple[WindowFacts, ...] = ()
    for source, query, ask in _questions(incident, sources, interval):
        try:
            answered, measured = ask()
            found = [event for event in answered if interval.holds(event)]
        except UserError as error:
            asked.append(Asked(source=source, query=query, problem=str(error)))
        except OSError as error:
            asked.append(Asked(source=source, query=query, problem=f"{error.filename}: {error.strerror or error}"))
        else:
            asked.append(Asked(source=source, query=query, found=len(found) + len(measured)))
            events += found
            windows += measured
    cost, answered_cost = _cost(incident, sources, windows, interval)
    evidence = IncidentEvidence(
        incident=incident.id,
        since=interval.since,
        until=interval.until,
        asked=(*asked, *answered_cost),
        events=tuple(events),
        windows=windows,
        kpis=cost.kpis,
        budgets=cost.budgets,
        counts=cost.counts,
        lines=cost.lines,
        criteria=criteria_of(sources.spec[0].incidents) if sources.spec else {},
    )
    return evidence.with_more(evidence)  # in order, and everything once


class Cost(NamedTuple):
    """The cost of an incident: KPIs, error budgets, business events; KPIs and errors over time."""

    kpis: tuple[KpiFacts, ...] = ()
    budgets: tuple[BudgetFacts, ...] = ()
    counts: tuple[EventFacts, ...] = ()
    lines: tuple[LineFacts, ...] = ()


def _cost(
    incident: Incident, sources: Sources, windows: Sequence[WindowFacts], interval: Period
) -> tuple[Cost, tuple[Asked, ...]]:
    """Ask what the incident cost, from the start of the fault to the resolution; nothing without spec and Prometheus."""
    if not (sources.spec and sources.prometheus):
        return Cost(), ()
    from mlvitals.generator.signals import identity_of
    from mlvitals.generator.spec.durations import span
    from mlvitals.incidents.sources.business import budget_facts, event_facts, kpi_facts, line_facts
    from mlvitals.verification.server import Prometheus

    spec = sources.spec[0]
    fault = find_fault(incident, windows)
    begin, end = fault.start.at if fault else incident.opened_at, incident.resolved_at or interval.until
    length = min((window.end - window.start for window in windows), default=span(spec.step))
    server, identity = Prometheus(sources.prometheus), identity_of(spec)

    @cache
    def ask(query: str, moment: datetime) -> float | None:
        found = server.samples(identity.expression(query), moment.timestamp(), moment.timestamp(), 1)
        value = found[0][1][-1][1] if found and found[0][1] else math.nan
        return value if math.isfinite(value) else None

    def ask_over(query: str) -> Iterator[Point]:
        since, until = interval.since.timestamp(), interval.until.timestamp()
        step = max(length.total_seconds(), (until - since) / _MOST_STEPS)
        found = server.samples(
            identity.expression(query), math.ceil(since / step) * step, until, step
        )  # where windows end
        for at, value in found[0][1] if found else ():
            if math.isfinite(value):
                yield Point(datetime.fromtimestamp(at, UTC), value)

    query = f"KPIs, events and error budgets of {spec.system.name} from {begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"
    try:
        cost = Cost(
            kpis=tuple(kpi_facts(spec, ask, begin, end)),
            budgets=tuple(budget_facts(spec, ask, begin, end)),
            counts=tuple(event_facts(spec, ask, begin, end)),
            lines=tuple(line_facts(spec, ask_over, length)),
        )
    except UserError as error:
        return Cost(), (Asked(source="Prometheus", query=query, problem=str(error)),)
    return cost, (Asked(source="Prometheus", query=query, found=sum(map(len, cost))),)


Question = tuple[str, str, Callable[[], Answer]]


def _questions(incident: Incident, sources: Sources, interval: Period) -> Iterator[Question]:
    """Each source with what it is asked, in words that can be asked again, and the asking."""
    if sources.spec:
        system = sources.spec[0].system.name
        within = f"{interval.since:%Y-%m-%d %H:%M:%S} to {interval.until:%Y-%m-%d %H:%M:%S} UTC"
        query = f"tables drift_windows and changes, system {system}, window_end and moment within {within}"
        yield "results", query, partial(_results, sources.spec, interval)
    if sources.prometheus:
        query = " and ".join(prometheus_queries(incident.system))
        yield "Prometheus", query, partial(_prometheus, incident.system, sources.prometheus, interval)
    for path in sources.event_logs:
        yield "Alertmanager", str(path), partial(_event_log, path)
    for source, file, ask in (
        ("inbox", sources.inbox, _inbox),
        ("silences", sources.silences, _silences),
        ("PagerDuty", sources.pagerduty, _pagerduty),
    ):
        if file:
            yield source, str(file), partial(ask, file)
    for path in sources.git:
        yield "git", f"git log -- {path}", partial(_git, path, interval)


def _results(spec: "tuple[Spec, Path]", interval: Period) -> Answer:
    from mlvitals.incidents.sources.results import read_results  # needs the packages that measure

    events, windows = read_results(*spec, interval.since, interval.until)
    return events, tuple(windows)


def _prometheus(system: str, url: str, interval: Period) -> Answer:
    from mlvitals.verification.server import Prometheus

    begin, end = interval.since.timestamp(), interval.until.timestamp()
    step = max(interval.step.total_seconds(), (end - begin) / _MOST_STEPS)
    server = Prometheus(url)
    return prometheus_events(system, lambda query: server.samples(query, begin, end, step), step), ()


def _event_log(path: Path) -> Answer:
    lines = path.read_bytes().decode(errors="replace").split("\n")  # JSON may hold other separators of lines
    events, unreadable = event_log_events(lines, path.name)
    if unreadable and not events:
        raise CollectError(f"{path} is no event log of Alertmanager")
    return events, ()


def _inbox(path: Path) -> Answer:
    *whole, _ = path.read_bytes().split(b"\n")
    try:
        return list(inbox_events(read_messages(whole), path.name)), ()
    except msgspec.DecodeError as error:
        raise CollectError(f"{path} holds no messages of mlvitals inbox: {error}") from error


def _silences(path: Path) -> Answer:
    return _converted(path, lambda silences: silence_events(silences, path.name), "silences of Alertmanager"), ()


def _pagerduty(path: Path) -> Answer:
    return _converted(path, lambda export: pagerduty_events(export, path.name), "log entries of PagerDuty"), ()


def _converted(path: Path, events: Callable[[Any], Iterable[TimelineEvent]], what: str) -> list[TimelineEvent]:
    try:
        return list(events(json.loads(path.read_bytes())))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CollectError(f"{path} holds no {what} as JSON: {error!r}") from error


def _git(path: Path, interval: Period) -> Answer:
    return git_events(path, interval.since, interval.until), ()
