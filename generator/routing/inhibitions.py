"""Inhibitions: alerts that are silent because another alert says more.

Alertmanager treats a label that both alerts lack as equal, so every label that must be equal is also required.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mlvitals.generator.signals.building import FEATURE, SOURCE
from mlvitals.generator.signals.signal import Incident, Signal
from mlvitals.generator.spec.model import Severity, Spec

MANY_FEATURES = "MLManyFeaturesDrifting"
"""The alert about a source of which many features drift: it covers each of them."""

_MILDER = {
    Severity.CRITICAL: (Severity.WARNING, Severity.INFO),
    Severity.WARNING: (Severity.INFO,),
}


def inhibit_rules(spec: Spec, signals: Sequence[Signal]) -> Iterator[dict[str, Any]]:
    """Yield the rules: a severity silences the milder ones of the same alert; a source's alert silences those of its features."""
    for identity, names in _alerts_by_identity(signals).items():
        alerts = f'alertname=~"{"|".join(names)}"'
        present = [_system(spec), alerts, *(f'{label}=~".+"' for label in identity)]
        for louder, milder in _MILDER.items():
            yield {
                "source_matchers": [f'severity="{louder}"', *present],
                "target_matchers": [_one_of(milder), *present],
                "equal": ["system", "alertname", *identity],
            }
    if any(feature.source for feature in spec.features.values()):
        yield from _source_for_its_features(spec)


def _alerts_by_identity(signals: Sequence[Signal]) -> dict[tuple[str, ...], list[str]]:
    """Return the alerts with several severities, by the labels that identify their subject."""
    alerts = [alert for signal in signals for alert in signal.alerts]
    severities: dict[str, set[Severity]] = {}
    identities: dict[str, tuple[str, ...]] = {}
    for alert in alerts:
        labels = {*alert.scenario(alert.threshold).labels, *dict(alert.labels)}
        # A feature's source follows from the feature, and not every feature has one.
        identities[alert.name] = tuple(sorted(labels - {SOURCE} if FEATURE in labels else labels))
        severities.setdefault(alert.name, set()).add(alert.severity)
    grouped: dict[tuple[str, ...], list[str]] = {}
    for name, identity in identities.items():
        if len(severities[name]) > 1:
            grouped.setdefault(identity, []).append(name)
    return grouped


def _source_for_its_features(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield a matcher of severities: an alert never silences a more severe one."""
    source = f'{SOURCE}=~".+"'
    for severity, milder in _MILDER.items():
        yield {
            "source_matchers": [f'severity="{severity}"', _system(spec), f'alertname="{MANY_FEATURES}"', source],
            "target_matchers": [
                _one_of((severity, *milder)),
                _system(spec),
                f'incident="{Incident.FEATURE_DRIFT}"',
                f'{FEATURE}=~".+"',
                source,
            ],
            "equal": ["system", SOURCE],
        }


def _system(spec: Spec) -> str:
    return f'system="{spec.system.name}"'


def _one_of(severities: Sequence[Severity]) -> str:
    return f'severity=~"{"|".join(severities)}"'
