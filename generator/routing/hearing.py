"""Who hears of each alert, when, how often, and who is next: what the generated routes do, as a table for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlvitals.generator.routing.alertmanager import (
    heartbeat,
    integrations_of,
    receiver_of,
    repeat_interval,
    silent_times,
)
from mlvitals.generator.signals.signal import Alert, Signal
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Receiver, Severity, Spec
from mlvitals.generator.spec.people import NOBODY

_IN_SPECS = {"msteamsv2": "teams"}
"""Integrations that a spec calls otherwise than Alertmanager."""
_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO, Severity.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """The delivery of an alert of one severity."""

    alert: str
    severity: Severity
    receiver: str
    ways: tuple[str, ...]
    """The receiver's integrations, such as "slack #ml-alerts"; none if nobody hears of it."""
    after: str
    """The time for which the condition must hold."""
    not_in: tuple[str, ...]
    """The times when nobody is notified."""
    cooldown: str
    """The least time between two notifications of a group."""

    @property
    def who(self) -> str:
        """The receiver and its integrations."""
        return f"{self.receiver} ({', '.join(self.ways)})" if self.receiver != NOBODY else NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Who is notified of a critical alert that nobody has answered."""

    role: str
    after: str
    ways: tuple[str, ...]
    contacts: tuple[str, ...]
    """Names of responders; empty: whoever is on call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearings:
    """Every alert of a system, worst first, and the escalation of the critical ones."""

    schema: str = "mlvitals.routes/1"
    system: str
    alerts: tuple[Hearing, ...]
    escalation: tuple[Level, ...]

    @property
    def summary(self) -> str:
        """Who hears of which severity in one line, the worst first."""
        told = {each.severity: each.who for each in self.alerts}
        heard = (
            f"{'watchdog' if severity is Severity.NONE else severity} to {told[severity]}"
            for severity in _WORST_FIRST
            if severity in told
        )
        return f"alerts of {self.system}: {'; '.join(heard)}"


def hearings(spec: Spec, signals: Sequence[Signal]) -> Hearings:
    """Return who hears of each alert of a system."""
    levels = (
        Level(role=level.role, after=level.after, ways=tuple(map(str, level.via)), contacts=level.contacts)
        for level in spec.escalation
    )
    return Hearings(system=spec.system.name, alerts=tuple(_alerts(spec, signals)), escalation=tuple(levels))


def _alerts(spec: Spec, signals: Sequence[Signal]) -> Iterator[Hearing]:
    def repeat(alert: Alert) -> str:
        return repeat_interval(alert.cooldown, spec.routing.group_interval)

    found = {
        (alert.name, alert.severity, alert.timing.for_, alert.cooldown): alert
        for signal in signals
        for alert in signal.alerts
    }
    for alert in sorted(
        found.values(),
        key=lambda each: (_WORST_FIRST.index(each.severity), each.name, milliseconds(each.timing.for_)),
    ):
        receiver = receiver_of(spec, alert.severity)
        yield Hearing(
            alert=alert.name,
            severity=alert.severity,
            receiver=receiver,
            ways=tuple(_ways(spec.routing.receivers.get(receiver, Receiver()))),
            after=alert.timing.for_,
            not_in=silent_times(spec, alert.severity),
            cooldown=heartbeat(spec) if alert.severity is Severity.NONE else repeat(alert),
        )


def _ways(receiver: Receiver) -> Iterator[str]:
    for name in integrations_of(receiver):
        if name == "slack" and receiver.slack:
            yield f"slack {receiver.slack.channel}"
        elif name == "email" and receiver.email:
            yield f"email {receiver.email.to}"
        else:
            yield _IN_SPECS.get(name, name)
