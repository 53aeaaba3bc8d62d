"""The rules file: recording and alerting rules in groups."""

from collections.abc import Iterator, Sequence
from typing import Any

from generator.rules.alerts import alert_rules
from generator.rules.recording import recording_rules
from generator.signals.signal import Layer, Signal
from generator.spec.durations import milliseconds
from generator.spec.model import Spec
from generator.text_files import yaml_file

MAX_RULES_A_GROUP = 20
LONGEST_INTERVAL = "5m"
"""Prometheus takes a series for gone after five minutes without a sample."""
THINNED_INTERVAL = "4m"
"""Short enough to be found in every lookback and soon after a window, long enough for 30 days of 1000 features."""


def rules_file(spec: Spec, signals: Sequence[Signal], marker: str) -> str:
    """The rules file of a system, `marker` its first line."""
    return yaml_file({"groups": list(rule_groups(spec, signals))}, marker)


def rule_groups(spec: Spec, signals: Sequence[Signal]) -> Iterator[dict[str, Any]]:
    """The rule groups of a system by layer, all records before the alerts that read them."""
    interval = min(spec.telemetry.evaluation_interval, LONGEST_INTERVAL, key=milliseconds)
    alerts = tuple(alert_rules(spec, signals))
    thinned = max(interval, THINNED_INTERVAL, key=milliseconds)
    recorded = ((layer, "recording", interval, recording_rules(layer, signals)) for layer in Layer)
    for_panels = ((layer, "thinned", thinned, recording_rules(layer, signals, thinned=True)) for layer in Layer)
    alerting = (
        (layer, "alerts", interval, [rule.document() for rule in alerts if rule.layer is layer]) for layer in Layer
    )
    for layer, kind, every, rules in (*recorded, *for_panels, *alerting):
        for part, start in enumerate(range(0, len(rules), MAX_RULES_A_GROUP), start=1):
            name = f"{spec.system.name}-{layer}-{kind}" + (f"-{part}" if part > 1 else "")
            yield {"name": name, "interval": every, "rules": rules[start : start + MAX_RULES_A_GROUP]}
