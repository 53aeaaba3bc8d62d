"""An exercise in a real stack: what Prometheus fires and Alertmanager sends is what happens, an hour in a minute or so."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.faults.catalogue import Fault
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Severity
from mlvitals.incidents.analysis.triage import criteria_of
from mlvitals.incidents.collect import Period, Sources, collect
from mlvitals.incidents.evidence import Asked as Query
from mlvitals.incidents.evidence import IncidentEvidence, WindowFacts
from mlvitals.incidents.inbox.messages import Message, Service
from mlvitals.incidents.record.model import Incident, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import is_about_alerts
from mlvitals.incidents.sources.prometheus import prometheus_queries
from mlvitals.incidents.sources.results import window_events, windows_facts
from mlvitals.incidents.tabletop.notices import Alarm, Notice
from mlvitals.incidents.tabletop.play import Play, detection_limit
from mlvitals.incidents.tabletop.run import clues, is_page
from mlvitals.incidents.tabletop.stack import CompressedTime, HistoryPages, Stack
from mlvitals.verification.server import Prometheus

_STEP = timedelta(seconds=1)
_LATE_FACTOR = 1.25
"""Of the time that detection may take: scrapes and evaluations take seconds that count as minutes here."""


class LiveWorld:
    """A world of real servers. Every wait takes its time, on a clock that is compressed."""

    def __init__(
        self, play: Play, incidents: Incidents, stack: Stack, clock: CompressedTime, pages: HistoryPages
    ) -> None:
        self.play, self.incidents = play, incidents
        self._stack, self._clock, self._pages = stack, clock, pages
        self._texts: dict[str, Mapping[str, str]] = {}
        self._shown: tuple[int, Fault] | None = None
        self._show()

    def _show(self) -> None:
        """Give the pages what has changed since they were made."""
        now = len(self.play.reports), self.play.fault
        if now != self._shown:
            self._shown = now
            self._pages.show(self.play.series)

    # -------------------------------------------------------- time

    def _tick(self, until: datetime) -> None:
        """Measure what is due, show it, and let a little time pass."""
        self.play.until(self._clock.now())
        self._show()
        self._clock.sleep_until(until, most=0.5)

    def _wait(self, happened: Callable[[], bool]) -> None:
        """Let time pass until something happens, or the history is over."""
        while not happened() and self._clock.now() < self.play.times.end:
            self._tick(self.play.times.end)

    def go_to(self, moment: datetime) -> None:
        """Wait until a moment."""
        while self._clock.now() < moment:
            self._tick(moment)
        self.play.until(moment)
        self._show()

    def first_notice(self) -> Notice | None:
        """Wait for the first page after the start of the fault; once it is late, a warning is enough."""
        self._wait(lambda: self._first() is not None)
        return self._first()

    def _first(self) -> Notice | None:
        play = self.play
        late = play.times.start + _LATE_FACTOR * detection_limit(play.spec, play.fault)
        since = [each for each in self.sent() if each.is_firing and each.at >= play.times.start]
        pages = [each for each in since if is_page(each)]
        return next(iter(pages or (since if self._clock.now() >= late else [])), None)

    def resolve(self, name: str) -> None:
        """Wait until the webhook has resolved the incident."""
        self._wait(lambda: self.incidents.get(name).state is State.RESOLVED)

    def written(self, moment: datetime) -> datetime:
        """Return the moment on the clock, which the incident is written by."""
        wall = self._clock.wall(moment)
        return wall.replace(microsecond=wall.microsecond // 1000 * 1000)

    def played(self, moment: datetime) -> datetime:
        """Return the time of the history at a moment on the clock."""
        return self._clock.played(moment)

    # -------------------------------------------------------- what was sent

    def sent(self) -> list[Notice]:
        """Return every notification that the webhook has received."""
        return [
            self._notice(message)
            for message in self._stack.mailbox.messages()
            if message.service is Service.WEBHOOK and is_about_alerts(message.body)
        ]

    def _notice(self, message: Message) -> Notice:
        body = message.body
        alarms = tuple(map(self._alarm, body["alerts"]))
        return Notice(
            self._clock.played(message.received_at), alarms[0].firing.severity, body["groupKey"], alarms, body
        )

    def _alarm(self, alert: Mapping[str, object]) -> Alarm:
        labels = {str(name): str(value) for name, value in dict(alert["labels"]).items()}  # type: ignore[call-overload]
        starts = self._clock.played(datetime.fromisoformat(str(alert["startsAt"])))
        over = alert.get("status") == "resolved"
        ends = self._clock.played(datetime.fromisoformat(str(alert["endsAt"]))) if over else None
        firing = self._firing(labels, starts, ends or self.play.times.end)
        self._texts[_key(firing)] = {str(name): str(text) for name, text in dict(alert["annotations"]).items()}  # type: ignore[call-overload]
        return Alarm(firing, labels, starts, ends)

    def _firing(self, labels: Mapping[str, str], starts: datetime, ends: datetime) -> Firing:
        steps = self.play.steps
        return Firing(
            alert=labels["alertname"],
            severity=Severity(labels["severity"]),
            layer=labels.get("layer", ""),
            labels=dict(labels),
            routed=dict(labels),
            start=steps.at(starts),
            end=steps.at(ends),
        )

    def texts(self, firing: Firing) -> Mapping[str, str]:
        """Return the annotations that Alertmanager has sent."""
        return self._texts.get(_key(firing), {})

    def incident_of(self, notice: Notice) -> str:
        """Return the incident that the webhook has opened for the group."""
        incident = self.incidents.of_group(notice.group)
        assert incident is not None, "the inbox keeps a message only once its incident is written"
        return incident.id

    # -------------------------------------------------------- evidence

    def firings(self) -> list[Firing]:
        """Return the alerts that Prometheus has fired."""
        begin, end = (moment.timestamp() for moment in (self._clock.origin, datetime.now(UTC)))
        states, _ = prometheus_queries(self.play.spec.system.name)
        found = Prometheus(self._stack.prometheus).samples(states, begin, end, _STEP.total_seconds())
        return [
            self._firing(
                labels, *(self._clock.played(datetime.fromtimestamp(times[place][0], UTC)) for place in (0, -1))
            )
            for labels, times in found
            if labels.get("alertstate") == "firing" and labels.get("severity") not in {None, Severity.NONE.value}
        ]

    def evidence(self, incident: Incident) -> IncidentEvidence:
        """Ask the servers, and add the windows and the change that brought the fault, by the clock."""
        play, clock = self.play, self._clock
        stack = self._stack
        logs = (stack.event_log,) if stack.event_log.exists() else ()
        sources = Sources(None, stack.prometheus, logs, stack.messages)
        asked = collect(incident, sources, Period(clock.origin - span(play.spec.step), datetime.now(UTC), _STEP))
        windows = tuple(map(self._by_clock, windows_facts(play.reports, play.spec)))
        events = [
            *window_events(windows, "the windows of the exercise"),
            *clues(play.spec, play.fault, clock.wall(play.fault.start)),
        ]
        more = msgspec.structs.replace(
            asked,
            asked=(Query(source="results", query="every window of the exercise", found=len(windows)),),
            events=tuple(events),
            windows=windows,
            criteria=criteria_of(play.spec.incidents),
        )
        return asked.with_more(more)

    def _by_clock(self, window: WindowFacts) -> WindowFacts:
        wall = self._clock.wall
        return msgspec.structs.replace(
            window, start=wall(window.start), end=wall(window.end), reference_created=wall(window.reference_created)
        )


def _key(firing: Firing) -> str:
    return repr((sorted(firing.labels.items()), firing.start))
