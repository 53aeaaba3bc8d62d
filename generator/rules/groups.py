"""The rules file: recording and alerting rules in groups."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.rules.recording import recording_rule, records_by_layer
from mlvitals.generator.signals.signal import LONGEST_INTERVAL, Layer, Signal
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

MAX_RULES_A_GROUP = 20
"""The usual limit: groups are evaluated in parallel, and Mimir limits the groups of a tenant."""


def rules_file(spec: Spec, signals: Sequence[Signal], marker: str) -> str:
    """Return the rules file of a system, `marker` its first line."""
    return yaml_file({"groups": list(rule_groups(spec, signals))}, marker)


def rule_groups(spec: Spec, signals: Sequence[Signal]) -> Iterator[dict[str, Any]]:
    """Yield the rule groups of a system by layer, all records before the alerts that read them."""
    interval = min(spec.telemetry.evaluation_interval, LONGEST_INTERVAL, key=milliseconds)
    alerts = tuple(alert_rules(spec, signals))
    alerting = ((f"{layer}-alerts", "", [one.document() for one in alerts if one.layer is layer]) for layer in Layer)
    for kind, every, rules in (*_recording(signals), *alerting):
        for part, start in enumerate(range(0, len(rules), MAX_RULES_A_GROUP), start=1):
            name = f"{spec.slug}-{kind}" + (f"-{part}" if part > 1 else "")
            pace = max(every or interval, interval, key=milliseconds)
            yield {"name": name, "interval": pace, "rules": rules[start : start + MAX_RULES_A_GROUP]}


def _recording(signals: Sequence[Signal]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield the recording rules by layer and pace: the kind of group, the pace, the rules."""
    for layer, records in records_by_layer(signals).items():
        by_pace: dict[str, list[dict[str, Any]]] = {"": []}
        for record in records:
            by_pace.setdefault(record.every, []).append(recording_rule(record))
        for every, rules in by_pace.items():
            yield f"{layer}-recording" + (f"-{every}" if every else ""), every, rules
