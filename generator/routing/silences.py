"""Silences: matchers that mute one alert and no other."""

from collections.abc import Mapping, Sequence
from shlex import quote

from mlvitals.generator.signals.labels import identifying_labels
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.spec.model import Spec


def silence_commands(spec: Spec, alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Return amtool's commands for silencing one subject of the alerts of one name, each as often as its labels differ.

    Words in capitals stand for labels of the alert that fires; a label that only others of its name have must be empty.
    """
    all_labels = sorted({label for alert in alerts for label in identifying_labels(alert)})
    kinds = dict.fromkeys(identifying_labels(alert) for alert in alerts)
    return tuple(
        _command(spec, alerts[0].name, {name: name.upper() * (name in own) for name in all_labels}) for own in kinds
    )


def _command(spec: Spec, alert: str, values: Mapping[str, str]) -> str:
    matchers = {"system": spec.system.name, "alertname": alert, "severity": "SEVERITY", **values}
    chosen = " ".join(f"{label}={value}" if value else f"'{label}=\"\"'" for label, value in matchers.items())
    address = quote(spec.links.alertmanager)
    return f"amtool silence add --alertmanager.url={address} --duration=2h --comment=REASON {chosen}"
