"""An exercise from the fault to the resolved incident: the page, the team's answers, and what came of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

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
from mlvitals.incidents.sources.results import window_events, window_facts
from mlvitals.incidents.tabletop.answers import Act, Answer, Answers, Asked, Classify, See, Take, script
from mlvitals.incidents.tabletop.notices import Notice, notices
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
    """What the team was told of first."""
    given: list[Given] = field(default_factory=list)
    called: list[tuple[datetime, str]] = field(default_factory=list)
    """Levels of the escalation that were called because nobody had acknowledged, and when."""
    helped_at: datetime | None = None
    """When what ends the fault was done; None where it was not."""
    without_data: tuple[str, ...] = ()
    not_understood: Mapping[str, str] = field(default_factory=dict)
    analysis: Analysis | None = None
    """Of the incident that the page opened; None where nobody was told of anything."""

    def first(self, kind: type[_T]) -> tuple[datetime, _T] | None:
        """Return the first answer of a kind, and when it was given."""
        return next(((each.at, each.answer) for each in self.given if isinstance(each.answer, kind)), None)

    @property
    def false_pages(self) -> list[Notice]:
        """Pages before the fault started."""
        return [notice for notice in self.notices if _is_page(notice) and notice.at < self.fault.start]


def exercise(play: Play, incidents: Incidents, team: Answers, say: Say) -> Exercised:
    """Play a fault to its end, let the team answer, and keep incident and evidence in a folder.

    Args:
        play: the fault in its history.
        incidents: where the incident is kept.
        team: answers.
        say: shows the team what happens.
    """
    return _Session(play, incidents, team, say).run()


class _Session:
    """One exercise while it goes on. `now` is its time."""

    def __init__(self, play: Play, incidents: Incidents, team: Answers, say: Say) -> None:
        self._play, self._incidents, self._team, self._say = play, incidents, team, say
        self._recorded = 0
        self._name = ""
        self._texts: dict[tuple[str, str, str, int], Mapping[str, str]] = {}
        self.now = play.times.start
        self.done = Exercised(spec=play.spec, fault=play.fault, notices=[], firings=[])

    def run(self) -> Exercised:
        """Play it."""
        page = self._first_notice()
        if page is None:
            self._say(self._play.horizon, "Nobody was notified of anything.")
        else:
            self.now, self.done.page = page.at, page
            self._show(page)
            self._answer()
            self._see_it_end()
        return self._finished()

    # -------------------------------------------------------- time

    def _first_notice(self) -> Notice | None:
        """Wait for a page; once it is late, a warning is enough."""
        play = self._play
        play.until(play.times.start)
        late = play.times.start + detection_limit(play.spec, play.fault)
        while not play.is_over:
            play.advance()
            if (page := self._noticed(_is_page)) is not None:
                return page
            if play.horizon >= late and (warning := self._noticed(lambda _: True)) is not None:
                return warning
        return None

    def _noticed(self, counts: Callable[[Notice], bool]) -> Notice | None:
        """Return the first notification that counts; of several at once, one that should notice this fault."""
        fault = self._play.fault
        found = [each for each in self._sent(self._play.horizon) if each.at >= fault.start and counts(each)]
        return min(
            found, key=lambda each: (each.at, each.alarms[0].firing.alert not in fault.kind.signals), default=None
        )

    def _sent(self, until: datetime) -> list[Notice]:
        play = self._play
        return notices(play.spec, play.firings(), play.steps, until, self._texts_of)

    def _texts_of(self, firing: Firing) -> Mapping[str, str]:
        key = (firing.alert, firing.severity, repr(sorted(firing.labels.items())), firing.start)
        if key not in self._texts:
            self._texts[key] = self._play.texts(firing)
        return self._texts[key]

    def _go_to(self, moment: datetime) -> None:
        """Let time pass: windows are measured, and what Alertmanager sends meanwhile is recorded."""
        self.now = max(self.now, moment)
        self._play.until(self.now)
        self._record(self.now)

    def _record(self, until: datetime) -> None:
        """Give the incidents what was sent since the last time; what came before the fault stays out of them."""
        sent = self._sent(until)
        for notice in sent[self._recorded :]:
            if notice.at >= self._play.fault.start and self._opens(notice):
                found = record_webhook(self._incidents, notice.body, notice.at)
                if self.done.page and notice.group == self.done.page.group and found and not self._name:
                    self._name = found.id
        self._recorded = len(sent)

    def _opens(self, notice: Notice) -> bool:
        """True of pages, and of the warning that the team was told of instead."""
        return _is_page(notice) or bool(self.done.page and notice.group == self.done.page.group)

    # -------------------------------------------------------- the team

    def _show(self, page: Notice) -> None:
        self._record(page.at)
        for alarm in page.alarms:
            texts = self._texts_of(alarm.firing)
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
        self._enter(_entry(answer, at, self._who()))
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
        if self.done.page is None or not _is_page(self.done.page):
            return
        for level in self._play.spec.escalation:
            at = self.done.page.at + span(level.after)
            if span(level.after) and (acknowledged is None or at < acknowledged) and at <= self._play.times.end:
                self.done.called.append((at, level.role))
                self._enter(Note(at=at, actor=FACILITATOR, text=f"Nobody has acknowledged it: {level.role} is called."))
                self._say(at, f"Nobody has acknowledged it: {level.role} is called.")

    def _enter(self, entry: Entry) -> None:
        """Write into the incident; one that is resolved meanwhile takes notes all the same."""
        if self._name:
            self._incidents.change(self._name, adding(entry))

    def _see_it_end(self) -> None:
        """Let time pass until the incident is resolved; a fault that nobody ended goes on, and is played no further."""
        if self.done.first(Take) is None:
            self._escalate(None)
        if self.done.helped_at is None:
            self._say(self.now, "The exercise ends here: the fault goes on.")
            return
        while not self._play.is_over and self._incidents.get(self._name).state is not State.RESOLVED:
            self._play.advance()
            self._go_to(self._play.horizon)
        incident = self._incidents.get(self._name)
        self._say(incident.resolved_at or self.now, f"The incident is {incident.state}.")

    # -------------------------------------------------------- the end

    def _finished(self) -> Exercised:
        play, done = self._play, self.done
        done.fault = play.fault
        done.notices, done.firings = self._sent(play.horizon), play.firings()
        done.without_data, done.not_understood = play.outcome.without_data, play.outcome.not_understood
        if self._name:
            incident = self._incidents.get(self._name)
            evidence = self._evidence(incident)
            write_evidence(self._incidents.folder, evidence)
            done.analysis = analyse(incident, evidence)
        return done

    def _evidence(self, incident: Incident) -> IncidentEvidence:
        play = self._play
        windows = tuple(window_facts(report, play.spec) for report in play.reports)
        events = [
            *record_events(incident),
            *window_events(windows, "the windows of the exercise"),
            *_rule_events(play),
            *_clues(play.spec, play.fault),
        ]
        since, until = play.times.measured, max(play.horizon, incident.in_order[-1].at)
        asked = (
            Query(source="results", query="every window of the exercise", found=len(windows)),
            Query(
                source="Prometheus",
                query="the generated rules, evaluated without a server",
                found=len(self.done.firings),
            ),
        )
        found = IncidentEvidence(
            incident=incident.id,
            since=since,
            until=until,
            asked=asked,
            events=tuple(events),
            windows=windows,
            criteria=criteria_of(play.spec.incidents),
        )
        return found.with_more(found)  # in order, and everything once


def _is_page(notice: Notice) -> bool:
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
        labels = {**firing.labels, "alertname": firing.alert, "severity": firing.severity}
        subject = alert_subject(labels)
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


def _clues(spec: Spec, fault: Fault) -> Iterator[TimelineEvent]:
    """The change that brought the fault, as `mlvitals annotate` would have recorded it."""
    source = fault.subject if fault.kind.subject is Subject.SOURCE else ""
    if fault.kind.subject in {Subject.NUMBER, Subject.CATEGORY, Subject.FEATURE}:
        source = spec.features[fault.subject].source or fault.subject
    kind, name = (EventKind.PIPELINE, source) if source else (EventKind.DEPLOYMENT, spec.system.name)
    if source or fault.kind.subject in {Subject.SCORE, Subject.SERVING}:
        what = "Pipeline" if source else "Deployment"
        yield TimelineEvent(
            at=fault.start - timedelta(minutes=1),
            kind=kind,
            source=EventSource.RESULTS,
            subject=name,
            text=f"{what} of {name}: the version that brings the fault.",
            origin="the exercise",
        )
