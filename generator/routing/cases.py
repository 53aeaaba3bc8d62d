"""The expected routing of every alert, derived from the spec alone: the test cases of the generated routes.

``amtool config routes test`` checks the receivers; repetition, grouping and silent times are checked by our own tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mlvitals.generator.routing.alertmanager import group_by, heartbeat, receiver_of, silent_times
from mlvitals.generator.signals.building import SOURCE
from mlvitals.generator.signals.labels import alert_labels
from mlvitals.generator.signals.signal import Alert, Signal
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.generator.text_files import yaml_file


@dataclass(frozen=True, slots=True)
class RouteCase:
    """An alert's labels, and its expected receivers, cooldown, grouping and mute times."""

    labels: dict[str, str]
    receiver: str
    cooldown: str
    group_by: tuple[str, ...]
    silent: tuple[str, ...] = ()


def route_cases(spec: Spec, signals: Sequence[Signal]) -> Iterator[RouteCase]:
    """Yield one case for each name, severity and policy of an alert, and one for a foreign alert."""
    alerts = [(signal, alert) for signal in signals for alert in signal.alerts]
    distinct = {(alert.name, alert.severity, alert.policy): (signal, alert) for signal, alert in alerts}
    for signal, alert in distinct.values():
        yield _case(spec, signal, alert)
    unknown = {"alertname": "SomebodyElses", "severity": "page"}
    yield RouteCase(unknown, receiver_of(spec, Severity.WARNING), "12h", group_by(spec))


def _case(spec: Spec, signal: Signal, alert: Alert) -> RouteCase:
    source = alert.scenario(alert.threshold).labels.get(SOURCE)
    cooldown = heartbeat(spec) if alert.severity is Severity.NONE else alert.cooldown
    return RouteCase(
        {"alertname": alert.name, **alert_labels(spec, signal, alert), **({SOURCE: source} if source else {})},
        receiver_of(spec, alert.severity),
        cooldown,
        group_by(spec) if alert.severity is Severity.NONE else group_by(spec, alert.policy),
        silent_times(spec, alert.severity),
    )


def cases_file(spec: Spec, signals: Sequence[Signal], marker: str) -> str:
    """Write the cases for people and for other tools."""
    cases = [
        {**asdict(case), "group_by": list(case.group_by), "silent": list(case.silent)}
        for case in route_cases(spec, signals)
    ]
    return yaml_file({"cases": cases}, marker)
