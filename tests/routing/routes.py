"""What an Alertmanager would do with an alert by its route tree, and how that differs from what a case demands.

Only what we generate is understood: matchers ``name="value"``. A test holds it against amtool.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlvitals.generator.routing.cases import RouteCase
from mlvitals.generator.spec.durations import milliseconds

_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)(".*")')
_INHERITED = ("receiver", "group_by", "group_wait", "group_interval", "repeat_interval")


@dataclass(frozen=True, slots=True)
class Fate:
    """Where an alert ends, and by which rules."""

    receiver: str
    group_by: tuple[str, ...]
    group_interval: int
    repeat_interval: int
    silent: tuple[str, ...]


def holds(matcher: str, labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil a matcher."""
    found = _MATCHER.fullmatch(matcher)
    assert found, f"a matcher that these tests do not know: {matcher}"
    name, operator, value = found[1], found[2], json.loads(found[3])
    present = labels.get(name, "")
    if operator in {"=~", "!~"}:
        return (re.fullmatch(value, present) is not None) is (operator == "=~")
    return (present == value) is (operator == "=")


class KnownAlerts:
    """Alerts, and the places of those that fulfil matchers: each matcher is asked of each alert once."""

    def __init__(self, alerts: Iterable[Mapping[str, str]]) -> None:
        self.alerts = list(alerts)
        self._matching: dict[str, frozenset[int]] = {}

    def matching(self, matchers: Iterable[str]) -> frozenset[int]:
        found = frozenset(range(len(self.alerts)))
        for matcher in matchers:
            if matcher not in self._matching:
                self._matching[matcher] = frozenset(
                    place for place, labels in enumerate(self.alerts) if holds(matcher, labels)
                )
            found &= self._matching[matcher]
        return found


def fates(route: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Fate]:
    """Every end of an alert in a route tree."""
    ended = False
    for child in route.get("routes", ()):
        if all(holds(matcher, labels) for matcher in child.get("matchers", ())):
            inherited = {key: route[key] for key in _INHERITED if key in route}
            yield from fates({**inherited, **child}, labels)
            ended = True
            if not child.get("continue"):
                return
    if not ended:
        yield Fate(
            route["receiver"],
            tuple(route["group_by"]),
            milliseconds(route["group_interval"]),
            milliseconds(route["repeat_interval"]),
            tuple(route.get("mute_time_intervals", ())),
        )


def differences(route: Mapping[str, Any], case: RouteCase) -> list[str]:
    """How the fate of an alert differs from what its case demands."""
    ends = list(fates(route, case.labels))
    if len(ends) != 1:
        return [f"{case.labels} ends in {len(ends)} places"]
    (end,) = ends
    late = end.repeat_interval - milliseconds(case.cooldown)
    found = {
        "receiver": end.receiver == case.receiver,
        "grouping": end.group_by == case.group_by,
        "repetition": 0 <= late < end.group_interval and end.repeat_interval % end.group_interval == 0,
        "silent times": end.silent == case.silent,
    }
    return [f"{case.labels}: {what}" for what, right in found.items() if not right]


def inhibited(rules: list[dict[str, Any]], target: Mapping[str, str], source: Mapping[str, str]) -> bool:
    """Whether an alert silences another one by the inhibition rules."""
    return any(
        all(holds(matcher, source) for matcher in rule["source_matchers"])
        and all(holds(matcher, target) for matcher in rule["target_matchers"])
        and all(source.get(name, "") == target.get(name, "") for name in rule["equal"])
        for rule in rules
    )
