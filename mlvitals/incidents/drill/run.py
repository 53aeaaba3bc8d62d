"""Running a drill: send, watch what becomes of it, take it back. The clock and the server are given."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from mlvitals.generator.routing.alertmanager import integrations_of, receiver_of
from mlvitals.generator.signals.labels import identity_labels
from mlvitals.generator.spec.model import Receiver, Severity, Spec
from mlvitals.generator.spec.people import NOBODY
from mlvitals.incidents.drill.server import Routed, Sent
from mlvitals.incidents.record.model import Assigned
from mlvitals.incidents.record.store import Incidents

ALERT = "MLDrill"
LABEL = "drill"
_ROUTED = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_LIFE = timedelta(hours=1)
"""Lifetime of the alert where it cannot be taken back."""
_POLL_SECONDS = 0.5


class DrillServer(Protocol):
    """The methods of an Alertmanager that a drill needs."""

    def send(
        self, alerts: Sequence[tuple[Mapping[str, str], Mapping[str, str]]], begun: datetime, ends: datetime
    ) -> None:
        """Send it alerts."""

    def routed(self, **labels: str) -> dict[str, Routed]:
        """Where alerts go, by severity."""

    def sent(self) -> dict[str, Sent]:
        """Counts of notifications, by integration."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of the alert of one severity."""

    severity: Severity
    expected: str
    """The receiver that the spec names."""
    receivers: tuple[str, ...]
    """Those that Alertmanager chose."""
    integrations: tuple[str, ...]
    """The ways to reach the receiver, as the spec says."""
    muted_by: tuple[str, ...] = ()
    """Silences and alerts that keep it from being heard."""

    @property
    def is_right(self) -> bool:
        """True if it goes where the spec says, and nothing mutes it."""
        return self.expected in self.receivers and not self.muted_by


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a drill."""

    id: str
    heard: tuple[Heard, ...]
    delivered: dict[str, int]
    """Notifications that each integration sent meanwhile. Real alerts of the same time are among them."""
    failed: dict[str, int]
    missing: tuple[str, ...]
    """Integrations of which none was sent."""
    answered_after: timedelta | None
    """Until somebody took the incident of the drill; None where nobody did, or where that was not looked at."""
    answer_wanted: bool

    @property
    def is_good(self) -> bool:
        """True if everything was heard where it should be, and answered where an answer was wanted."""
        answered = self.answered_after is not None or not self.answer_wanted
        return all(each.is_right for each in self.heard) and not self.missing and not self.failed and answered


def run_drill(
    spec: Spec,
    server: DrillServer,
    name: str,
    *,
    patience: timedelta,
    incidents: Incidents | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None],
) -> Drill:
    """Send an alert of each severity that somebody hears of, wait until it is delivered and answered, and take it back.

    Raises:
        AlertmanagerError: it cannot be asked.
    """
    severities = [severity for severity in _ROUTED if receiver_of(spec, severity) != NOBODY]
    alerts = [(_labels(spec, severity, name), _texts(name)) for severity in severities]
    before, begun = server.sent(), now()
    deadline = begun + patience
    wanted = {each for severity in severities for each in _integrations(spec, severity)}
    server.send(alerts, begun, begun + _LIFE)
    routed: dict[str, Routed] = {}
    answered: datetime | None = None
    try:
        while True:
            routed = server.routed(**{LABEL: name}) or routed
            delivered, failed = _since(before, server.sent())
            answered = answered or _answer(incidents, name)
            done = wanted <= delivered.keys() and (incidents is None or answered is not None)
            if done or now() >= deadline:
                break
            sleep(_POLL_SECONDS)
    finally:
        server.send(alerts, begun, now())
    return Drill(
        id=name,
        heard=tuple(_heard(spec, severity, routed.get(severity)) for severity in severities),
        delivered=delivered,
        failed=failed,
        missing=tuple(sorted(wanted - delivered.keys())),
        answered_after=answered - begun if answered else None,
        answer_wanted=incidents is not None,
    )


def _labels(spec: Spec, severity: Severity, name: str) -> dict[str, str]:
    """Labels that no inhibition of the spec's own alerts concerns."""
    team = {"team": spec.system.team} if spec.system.team else {}
    return {"alertname": ALERT, "severity": severity, **identity_labels(spec), LABEL: name, **team}


def _texts(name: str) -> dict[str, str]:
    return {
        "summary": "DRILL: nothing is broken.",
        "description": f"This is drill {name}. Acknowledge it as you would a real page; it ends by itself.",
    }


def _integrations(spec: Spec, severity: Severity) -> tuple[str, ...]:
    return integrations_of(spec.routing.receivers.get(receiver_of(spec, severity), Receiver()))


def _since(before: Mapping[str, Sent], after: Mapping[str, Sent]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the notifications delivered and failed between two readings of the counts, by integration."""
    none = Sent(0.0, 0.0)
    failed = {name: round(of.failed - before.get(name, none).failed) for name, of in after.items()}
    tried = {name: round(of.tried - before.get(name, none).tried) for name, of in after.items()}
    delivered = {name: count - max(0, failed[name]) for name, count in tried.items()}
    return (
        {name: count for name, count in delivered.items() if count > 0},
        {name: count for name, count in failed.items() if count > 0},
    )


def _answer(incidents: Incidents | None, name: str) -> datetime | None:
    """When somebody took the incident that the drill's alert opened."""
    if incidents is None:
        return None
    found, _ = incidents.all()
    own = [each for each in found if any(alert.labels.get(LABEL) == name for alert in each.alerts)]
    taken = [entry.at for incident in own for entry in incident.entries if isinstance(entry, Assigned)]
    return min(taken, default=None)


def _heard(spec: Spec, severity: Severity, routed: Routed | None) -> Heard:
    return Heard(
        severity=severity,
        expected=receiver_of(spec, severity),
        receivers=routed.receivers if routed else (),
        integrations=_integrations(spec, severity),
        muted_by=(*routed.silenced_by, *routed.inhibited_by) if routed else (),
    )
