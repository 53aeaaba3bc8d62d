"""Alerting rules: each alert with the labels that route it and the annotations that people read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mlvitals.generator.boards import Board, board_uid
from mlvitals.generator.promql import number
from mlvitals.generator.signals.building import FEATURE
from mlvitals.generator.signals.labels import alert_labels
from mlvitals.generator.signals.signal import Alert, Incident, Layer, Signal
from mlvitals.generator.signals.text import AlertText, LabelOf, text
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Spec


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert as Prometheus gets it. Labels and annotations are `AlertText`, so that a test can render them."""

    alert: Alert
    layer: Layer
    labels: dict[str, AlertText]
    annotations: dict[str, AlertText]

    def document(self) -> dict[str, Any]:
        """Return the rule as the rules file holds it."""
        keep = self.alert.timing.keep_firing_for or "0s"
        return {
            "alert": self.alert.name,
            "expr": self.alert.rule,
            "for": self.alert.timing.for_,
            **({"keep_firing_for": keep} if milliseconds(keep) else {}),
            "labels": {name: value.template() for name, value in self.labels.items()},
            "annotations": {name: value.template() for name, value in self.annotations.items()},
        }


def alert_rules(spec: Spec, signals: Iterable[Signal]) -> Iterator[AlertRule]:
    """Yield the rule of every alert, in order of the signals."""
    known: Counter[tuple[object, ...]] = Counter()
    for signal in signals:
        for alert in signal.alerts:
            identity = (alert.name, alert.severity, alert.labels)
            known[identity] += 1
            labels = _labels(spec, signal, alert, known[identity])
            yield AlertRule(alert, signal.layer, labels, _annotations(spec, signal, alert))


def _labels(spec: Spec, signal: Signal, alert: Alert, variant: int) -> dict[str, AlertText]:
    # Features with their own thresholds share an alert's name and severity: the second such rule is variant 2.
    labels = {**alert_labels(spec, signal, alert), **({"variant": str(variant)} if variant > 1 else {})}
    return {name: text(value) for name, value in labels.items()}


def _annotations(spec: Spec, signal: Signal, alert: Alert) -> dict[str, AlertText]:
    return {
        "summary": text(alert.summary),
        "description": alert.description,
        "runbook_url": text(f"{spec.links.runbooks.rstrip('/')}/{runbook_place(spec, signal, alert)}"),
        "dashboard_url": _dashboard_url(spec, alert),
        "threshold": text(number(alert.threshold)),
        "cooldown": text(alert.cooldown),
        "environment": text(spec.environment),
        **{name: text(value) for name, value in spec.identity.alert_annotations.items()},
    }


def runbook_place(spec: Spec, signal: Signal, alert: Alert) -> str:
    """Return the path of an alert's runbook page, below the folder of all runbooks."""
    return f"{spec.slug}/{runbook_page(signal.incident, alert.name)}"


def runbook_page(incident: Incident, name: str) -> str:
    """Return the path of an alert's runbook page, below the folder of its system's runbooks."""
    return f"{incident}/{name}.md"


def _dashboard_url(spec: Spec, alert: Alert) -> AlertText:
    """Return the dashboard about the alert's subject: that of a feature, opened on the feature, or the main one."""
    board = Board.FEATURE if FEATURE in alert.url_labels else Board.MAIN
    pieces: list[str | LabelOf] = [f"{spec.links.grafana.rstrip('/')}/d/{board_uid(spec, board)}"]
    for position, name in enumerate(alert.url_labels):
        pieces += ["&" if position else "?", f"var-{name}=", LabelOf(name, in_url=True)]
    return text(*pieces)
