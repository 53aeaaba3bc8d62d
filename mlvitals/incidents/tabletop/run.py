"""An exercise from the fault to the resolved incident: the page, the team's answers, and what came of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.faults.catalogue import Fault, Subject
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.incidents.analysis.triage import criteria_of
from mlvitals.incidents.analysis.whole import Analysis, analyse
from mlvitals.incidents.evidence import Asked as Query
from mlvitals.incidents.evidence import IncidentEvidence, write_evidence
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import (
    Assigned,
    Classified,
    Entry,
    Incident,
    Mitigated,
    Note,
    State,
)
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook
from mlvitals.incidents.sources.record import record_events
from mlvitals.incidents.sources.results import window_events, windows_facts
from mlvitals.incidents.tabletop.answers import Act, Answer, Answers, Asked, Classify, See, Take, script
from mlvitals.incidents.tabletop.notices import Notice, notices, routes_of
from mlvitals.incidents.tabletop.play import Play, detection_limit
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject

FACILITATOR = "facilitator"
"""The actor of what the exercise itself writes into the incident."""
_MOST_TRIES = 5
"""Mitigations that a team may try."""
_T = TypeVar("_T", bound=Answer)

Say = Callable[[datetime, str], None]
"""Shows the team a line, with its time in the exercise."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and when it was given."""

    at: datetime
    answer: Answer


@dataclass(slots=True)
class Exercised:
    """An exercise after its end."""

    spec: Spec
    fault: Fault
    """As it was in the end: with its own end where the team found what ends it."""
    notices: list[Notice]
    firings: list[Firing]
    page: Notice | None = None
    """The notification that the team got first."""
    given: list[Given] = field(default_factory=list)
    called: list[tuple[datetime, str]] = field(default_factory=list)
    """Levels of the escalation that were called because nobody had acknowledged, and when."""
    helped_at: datetime | None = None
    """When what ends the fault was done; None where it was not."""
    without_data: tuple[str, ...] = ()
    not_understood: Mapping[str, str] = field(default_factory=dict)
    played: Callable[[datetime], datetime] = lambda moment: moment
    """Gives the moment of the exercise that stands in the incident under a time."""
    analysis: Analysis | None = None
    """Of the incident that the page opened; None where nobody was notified."""

    def first(self, kind: type[_T]) -> tuple[datetime, _T] | None:
        """Return the first answer of a kind, and when it was given."""
        return next(((each.at, each.answer) for each in self.given if isinstance(each.answer, kind)), None)

    @property
    def false_pages(self) -> list[Notice]:
        """Pages before the fault started."""
        return [notice for notice in self.notices if is_page(notice) and notice.at < self.fault.start]


class World(Protocol):
    """The system in which an exercise is played. Its times are those of the history, unless said otherwise."""

    @property
    def play(self) -> Play:
        """The fault in its history."""
        ...

    @property
    def incidents(self) -> Incidents:
        """The folder of the incidents."""
        ...

    def first_notice(self) -> Notice | None:
        """Wait for a page; once it is late, a warning is enough. None if nobody was notified until the end."""
        ...

    def incident_of(self, notice: Notice) -> str:
        """Return the id of the incident that a notification has opened."""
        ...

    def texts(self, firing: Firing) -> Mapping[str, str]:
        """Return the annotations of an alert as the on-call reads them."""
        ...

    def go_to(self, moment: datetime) -> None:
        """Let time pass up to a moment, and record what is sent meanwhile."""
        ...

    def resolve(self, name: str) -> None:
        """Let time pass until an incident is resolved, or the history is over."""
        ...

    def written(self, moment: datetime) -> datetime:
        """Return the time under which what happened at a moment stands in the incident."""
        ...

    def played(self, moment: datetime) -> datetime:
        """Return the moment that stands in the incident under a time."""
        ...

    def sent(self) -> list[Notice]:
        """Return every notification so far."""
        ...

    def firings(self) -> list[Firing]:
        """Return every alert that has fired so far."""
        ...

    def evidence(self, incident: Incident) -> IncidentEvidence:
        """Collect the evidence of an incident, in the times of its file."""
        ...


class EvaluatedWorld:
    """A world without servers: rules are evaluated here, and Alertmanager's part is played. Waiting takes no time."""

    def __init__(self, play: Play, incidents: Incidents) -> None:
        self.play, self.incidents = play, incidents
        self._routes = routes_of(play.spec)
        self._first: Notice | None = None
        self._recorded = 0
        self._names: dict[str, str] = {}
        self._texts: dict[tuple[str, str, str, int], Mapping[str, str]] = {}

    def first_notice(self) -> Notice | None:
        """Measure window after window until somebody is notified."""
        play = self.play
        play.until(play.times.start)
        late = play.times.start + detection_limit(play.spec, play.fault)
        while not play.is_over and self._first is None:
            play.advance()
            self._first = self._noticed(is_page)
            if self._first is None and play.horizon >= late:
                self._first = self._noticed(lambda _: True)
        if self._first is not None:
            self._record(self._first.at)
        return self._first

    def _noticed(self, counts: Callable[[Notice], bool]) -> Notice | None:
        """Return the first notification that counts; of several at once, one that should notice this fault."""
        fault = self.play.fault
        found = [each for each in self.sent() if each.at >= fault.start and counts(each)]
        expected = set(fault.kind.signals)
        return min(found, key=lambda each: (each.at, not expected & each.names), default=None)

    def sent(self) -> list[Notice]:
        """Return what Alertmanager would have sent up to now."""
        return self._sent(self.play.horizon)

    def _sent(self, until: datetime) -> list[Notice]:
        play = self.play
        return notices(self._routes, play.firings(), play.steps, until, self.texts)

    def texts(self, firing: Firing) -> Mapping[str, str]:
        """Render the annotations of an alert, once."""
        key = (firing.alert, firing.severity, repr(sorted(firing.labels.items())), firing.start)
        if key not in self._texts:
            self._texts[key] = self.play.texts(firing)
        return self._texts[key]

    def go_to(self, moment: datetime) -> None:
        """Measure what is due, and record what is sent."""
        self.play.until(moment)
        self._record(moment)

    def _record(self, until: datetime) -> None:
        """Give the incidents what was sent since the last time; what came before the fault stays out of them."""
        sent = self._sent(until)
        for notice in sent[self._recorded :]:
            of_first = self._first is not None and notice.group == self._first.group
            if notice.at >= self.play.fault.start and (is_page(notice) or of_first):
                found = record_webhook(self.incidents, notice.body, notice.at)
                if found:
                    self._names.setdefault(notice.group, found.id)
        self._recorded = len(sent)

    def incident_of(self, notice: Notice) -> str:
        """Return the incident of its group."""
        return self._names[notice.group]

    def resolve(self, name: str) -> None:
        """Measure the windows that are left, until the incident is resolved."""
        while not self.play.is_over and self.incidents.get(name).state is not State.RESOLVED:
            self.play.advance()
            self.go_to(self.play.horizon)

    def written(self, moment: datetime) -> datetime:
        """Return the moment itself."""
        return moment

    def played(self, moment: datetime) -> datetime:
        """Return the moment itself."""
        return moment

    def firings(self) -> list[Firing]:
        """Return what the rules have raised."""
        return self.play.firings()

    def evidence(self, incident: Incident) -> IncidentEvidence:
        """Return the windows, what the rules raised, and the change that brought the fault."""
        play = self.play
        windows = tuple(windows_facts(play.reports, play.spec))
        events = [
            *record_events(incident),
            *window_events(windows, "the windows of the exercise"),
            *_rule_events(play),
            *clues(play.spec, play.fault, play.fault.start),
        ]
        asked = (
            Query(source="results", query="every window of the exercise", found=len(windows)),
            Query(
                source="Prometheus", query="the generated rules, evaluated without a server", found=len(play.firings())
            ),
        )
        found = IncidentEvidence(
            incident=incident.id,
            since=play.times.measured,
            until=max(play.horizon, incident.in_order[-1].at),
            asked=asked,
            events=tuple(events),
            windows=windows,
            criteria=criteria_of(play.spec.incidents),
        )
        return found.with_more(found)  # in order, and everything once


def exercise(world: World, team: Answers, say: Say) -> Exercised:
    """Play a fault to its end, let the team answer, and keep incident and evidence in a folder.

    Args:
        world: where it is played.
        team: answers.
        say: shows the team what happens.
    """
    return _Session(world, team, say).run()


class _Session:
    """One exercise while it goes on. `now` is its time."""

    def __init__(self, world: World, team: Answers, say: Say) -> None:
        self._world, self._play, self._team, self._say = world, world.play, team, say
        self._name = ""
        self.now = self._play.times.start
        self.done = Exercised(spec=self._play.spec, fault=self._play.fault, notices=[], firings=[])

    def run(self) -> Exercised:
        """Play it."""
        page = self._world.first_notice()
        if page is None:
            self._say(self._play.horizon, "Nobody was notified of anything.")
        else:
            self.now, self.done.page = page.at, page
            self._name = self._world.incident_of(page)
            self._show(page)
            self._answer()
            self._see_it_end()
        return self._finished()

    def _go_to(self, moment: datetime) -> None:
        self.now = max(self.now, moment)
        self._world.go_to(self.now)

    # -------------------------------------------------------- the team

    def _show(self, page: Notice) -> None:
        for alarm in page.alarms:
            texts = self._world.texts(alarm.firing)
            self._say(page.at, f"{alarm.firing.severity}: {alert_subject(alarm.labels)}")
            for name in ("summary", "description", "dashboard_url", "runbook_url"):
                if texts.get(name):
                    self._say(page.at, f"  {texts[name]}")

    def _answer(self) -> None:
        tries = 0
        for asked in script():
            answer = self._team.answer(asked)
            if asked is Asked.ACT:
                tries += 1
                if answer is None or tries > _MOST_TRIES or self._play.is_over:
                    return
            if answer is not None and self._take(answer):
                return

    def _take(self, answer: Answer) -> bool:
        """Enter an answer; True once the fault is ended by it."""
        at = self.now + answer.took
        if isinstance(answer, Take):
            self._escalate(at)
        self._go_to(at)
        self.done.given.append(Given(at, answer))
        self._enter(_entry(answer, self._world.written(at), self._who()))
        if not isinstance(answer, Act):
            return False
        if answer.action in self._play.fault.kind.ended_by:
            self._play.end_fault(at)
            self.done.helped_at = at
            return True
        self._say(at, f"{answer.action} is done. Nothing gets better.")
        return False

    def _who(self) -> str:
        taken = self.done.first(Take)
        return taken[1].who if taken else FACILITATOR

    def _escalate(self, acknowledged: datetime | None) -> None:
        """Write down which levels were called before somebody acknowledged a page."""
        if self.done.page is None or not is_page(self.done.page):
            return
        for level in self._play.spec.escalation:
            at = self.done.page.at + span(level.after)
            if span(level.after) and (acknowledged is None or at < acknowledged) and at <= self._play.times.end:
                self._go_to(at)
                self.done.called.append((at, level.role))
                text = f"Nobody has acknowledged it: {level.role} is called."
                self._enter(Note(at=self._world.written(at), actor=FACILITATOR, text=text))
                self._say(at, text)

    def _enter(self, entry: Entry) -> None:
        """Write into the incident; one that is resolved meanwhile takes notes all the same."""
        self._world.incidents.change(self._name, adding(entry))

    def _see_it_end(self) -> None:
        """Let time pass until the incident is resolved; a fault that nobody ended goes on, and is played no further."""
        if self.done.first(Take) is None:
            self._escalate(None)
        if self.done.helped_at is None:
            self._say(self.now, "The exercise ends here: the fault goes on.")
            return
        self._world.resolve(self._name)
        incident = self._world.incidents.get(self._name)
        at = self._world.played(incident.resolved_at) if incident.resolved_at else self.now
        self._say(at, f"The incident is {incident.state}.")

    # -------------------------------------------------------- the end

    def _finished(self) -> Exercised:
        play, done, world = self._play, self.done, self._world
        done.fault = play.fault
        done.notices, done.firings, done.played = world.sent(), world.firings(), world.played
        done.without_data, done.not_understood = play.outcome.without_data, play.outcome.not_understood
        if self._name:
            incident = world.incidents.get(self._name)
            evidence = world.evidence(incident)
            write_evidence(world.incidents.folder, evidence)
            done.analysis = analyse(incident, evidence)
        return done


def is_page(notice: Notice) -> bool:
    """True if a notification wakes somebody."""
    return notice.severity is Severity.CRITICAL


def _entry(answer: Answer, at: datetime, who: str) -> Entry:
    match answer:
        case Take():
            return Assigned(at=at, actor=answer.who, to=answer.who, role=answer.role)
        case See():
            return Note(at=at, actor=who, text=answer.text)
        case Classify():
            return Classified(at=at, actor=who, severity=answer.severity, type=answer.type, text=answer.text)
        case Act():
            return Mitigated(at=at, actor=who, action=answer.action, text=answer.text)


def _rule_events(play: Play) -> Iterator[TimelineEvent]:
    last = play.steps.at(play.horizon)
    for firing in play.firings():
        subject = alert_subject(firing.routed)
        moments = [(EventKind.FIRING, firing.start, "fires")]
        moments += [(EventKind.ENDED, firing.end, "no longer fires")] if firing.end <= last else []
        for kind, step, words in moments:
            yield TimelineEvent(
                at=play.steps.moment(step),
                kind=kind,
                source=EventSource.PROMETHEUS,
                subject=subject,
                text=f"{subject} {words}.",
                origin="the generated rules",
            )


def clues(spec: Spec, fault: Fault, start: datetime) -> Iterator[TimelineEvent]:
    """Yield the change that brought a fault, as `mlvitals annotate` would have recorded it just before."""
    source = fault.subject if fault.kind.subject is Subject.SOURCE else ""
    if fault.kind.subject in {Subject.NUMBER, Subject.CATEGORY, Subject.FEATURE}:
        source = spec.features[fault.subject].source or fault.subject
    kind, name = (EventKind.PIPELINE, source) if source else (EventKind.DEPLOYMENT, spec.system.name)
    if source or fault.kind.subject in {Subject.SCORE, Subject.SERVING}:
        what = "Pipeline" if source else "Deployment"
        yield TimelineEvent(
            at=start - timedelta(seconds=1),
            kind=kind,
            source=EventSource.RESULTS,
            subject=name,
            text=f"{what} of {name}: the version that brings the fault.",
            origin="the exercise",
        )
