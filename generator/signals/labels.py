"""The labels of alerts: those that route them, and those by which two subjects of one alert differ."""

import json

from mlvitals.generator.signals.building import FEATURE, SOURCE
from mlvitals.generator.signals.signal import Alert, Signal
from mlvitals.generator.spec.model import Spec

_TOOL = "sloth_"
"""The prefix of labels that repeat others in the words of another tool."""


def alert_labels(spec: Spec, signal: Signal, alert: Alert) -> dict[str, str]:
    """Return the labels that route and identify an alert, besides those of its expression.

    Nothing that the spec lets people tune is among them: a changed threshold or cooldown must not resolve what is firing
    and fire it again.
    """
    return {
        "severity": alert.severity.value,
        "system": spec.system.name,
        "layer": signal.layer.value,
        "team": spec.system.team,
        "incident": signal.incident.value,
        **({"policy": alert.policy} if alert.policy else {}),
        **dict(alert.labels),
        **spec.identity.alert_labels,
    }


def identity_labels(spec: Spec) -> dict[str, str]:
    """Return the labels that all alerts of a system in its own environment carry, and no other alerts."""
    return {"system": spec.system.name, **spec.identity.labels}


def identity_matchers(spec: Spec) -> tuple[str, ...]:
    """Return Alertmanager's matchers for the alerts of a system in its own environment."""
    return tuple(matcher(name, value) for name, value in identity_labels(spec).items())


def matcher(name: str, value: str) -> str:
    """Return Alertmanager's matcher for one value of a label."""
    return f"{name}={json.dumps(value, ensure_ascii=False)}"


def identifying_labels(alert: Alert) -> tuple[str, ...]:
    """Return the labels by which the subjects of an alert differ: feature, source, objective, KPI."""
    labels = {*alert.scenario(alert.threshold).labels, *dict(alert.labels)}
    # A feature's source follows from the feature, and not every feature has one.
    follows = {SOURCE} if FEATURE in labels else set()
    return tuple(sorted(label for label in labels - follows if not label.startswith(_TOOL)))
