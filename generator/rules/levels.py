"""Rules by level, for computing their past: recording rules by what they read, then the alerts.

promtool evaluates the rules of a file independently: the records that a rule reads must come from an earlier file.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlvitals.generator.promql import metric_names
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file


def level_files(spec: Spec) -> dict[str, str]:
    """Return the rule files of a spec, file name to text; sorted by name they are in order of level, with the alerts last."""
    rules = [rule for group in rule_groups(spec, signals(spec)) for rule in group["rules"]]
    recording, alerting = ([rule for rule in rules if kind in rule] for kind in ("record", "alert"))
    return {
        f"{number:02}.yml": yaml_file({"groups": [{"name": f"level-{number}", "rules": list(level)}]})
        for number, level in enumerate((*levels(recording), alerting), start=1)
    }


def levels(rules: Iterable[Mapping[str, Any]]) -> Sequence[Sequence[Mapping[str, Any]]]:
    """Group rules so that each reads only records of earlier groups.

    Raises:
        ValueError: records depend on each other in a cycle.
    """
    left = list(rules)
    found: list[list[Mapping[str, Any]]] = []
    while left:
        waiting = {rule["record"] for rule in left}
        ready = [rule for rule in left if not metric_names(rule["expr"]) & waiting]
        if not ready:
            raise ValueError(f"recording rules depend on each other in a cycle: {', '.join(sorted(waiting))}")
        found.append(ready)
        left = [rule for rule in left if rule not in ready]
    return found
