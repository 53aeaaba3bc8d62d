"""Silences: matchers that mute one alert and no other."""

import re
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from mlvitals.generator.signals.labels import identifying_labels, identity_labels, matcher
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.spec.model import Spec


def silence_commands(spec: Spec, alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Return amtool's commands for silencing one subject of the alerts of one name, each as often as its labels differ.

    Words in capitals stand for labels of the alert that fires; a label that only others of its name have must be empty.
    """
    subjects = [
        tuple(name for name in identifying_labels(alert) if name not in spec.identity.labels) for alert in alerts
    ]
    all_labels = sorted({label for subject in subjects for label in subject})
    return tuple(
        _command(spec, alerts[0].name, {name: name.upper() * (name in own) for name in all_labels})
        for own in dict.fromkeys(subjects)
    )


def shell_matchers(spec: Spec) -> Iterator[str]:
    """Yield the matchers of the alerts of a system in its environment, as a shell takes them."""
    for name, value in identity_labels(spec).items():
        plain = re.fullmatch(r"[A-Za-z0-9_.-]+", value)
        yield f"{name}={value}" if plain else quote(matcher(name, value))


def _command(spec: Spec, alert: str, values: Mapping[str, str]) -> str:
    words = {"alertname": alert, "severity": "SEVERITY", **values}
    chosen = " ".join(
        (
            *shell_matchers(spec),
            *(f"{label}={value}" if value else f"'{label}=\"\"'" for label, value in words.items()),
        )
    )
    address = quote(spec.links.alertmanager)
    return f"amtool silence add --alertmanager.url={address} --duration=2h --comment=REASON {chosen}"
