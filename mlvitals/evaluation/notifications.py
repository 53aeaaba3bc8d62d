"""What people would have heard of the alerts: Alertmanager's routes, inhibitions, groups and repetitions, without a server.

Only what `mlvitals.generator.routing` writes is understood. Silences and quiet times are left out: an evaluation counts
what alerts cause. A test compares the result with a real Alertmanager.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mlvitals.generator.spec.durations import seconds

Labels = Mapping[str, str]
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)(".*")', re.DOTALL)
_INHERITED = ("receiver", "group_by", "group_wait", "group_interval", "repeat_interval")


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires from `start` to before `end`, in seconds, with all its labels."""

    labels: Labels
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: when, to which receiver, about which alerts."""

    at: float
    receiver: str
    group: tuple[tuple[str, str], ...]
    firing: tuple[Firing, ...]
    resolved: tuple[Firing, ...]
    opens: bool
    """True if nothing of its group was firing in the one before: a pager opens an incident."""

    @property
    def is_resolve(self) -> bool:
        """True if nothing of the group fires any more."""
        return not self.firing


def notifications(config: Mapping[str, Any], firings: Iterable[Firing]) -> tuple[Notification, ...]:
    """Return all notifications of the firings by a configuration of Alertmanager, in order of time."""
    firings = tuple(firings)
    inhibitions = _Inhibitions(config.get("inhibit_rules", ()), firings)
    groups: dict[tuple[int, tuple[tuple[str, str], ...]], _Group] = {}
    for firing in firings:
        for route in _routes(config["route"], firing.labels):
            labels = tuple((name, firing.labels.get(name, "")) for name in route["group_by"])
            groups.setdefault((id(route["node"]), labels), _Group(route, labels)).members.append(firing)
    found = (sent for group in groups.values() for sent in group.notifications(inhibitions))
    return tuple(sorted(found, key=lambda sent: sent.at))


# ---------------------------------------------------------------- routes


def holds(matcher: str, labels: Labels) -> bool:
    """True if labels fulfil a matcher such as ``severity="critical"``.

    Raises:
        ValueError: it is no matcher.
    """
    name, operator, value = _parsed(matcher)
    present = labels.get(name, "")
    agrees = _expression(value).fullmatch(present) is not None if "~" in operator else present == value
    return agrees is not operator.startswith("!")


@cache
def _parsed(matcher: str) -> tuple[str, str, str]:
    found = _MATCHER.fullmatch(matcher)
    if found is None:
        raise ValueError(f"no matcher that mlvitals writes: {matcher}")
    return found[1], found[2], json.loads(found[3])


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _routes(route: Mapping[str, Any], labels: Labels) -> Iterator[dict[str, Any]]:
    """Yield the settings of every route at which an alert ends; `node` is the route itself."""
    ended = False
    for child in route.get("routes", ()):
        if all(holds(matcher, labels) for matcher in child.get("matchers", ())):
            inherited = {key: route[key] for key in _INHERITED if key in route}
            for end in _routes({**inherited, **child}, labels):
                yield {**end, "node": end["node"] if child.get("routes") and end["node"] is not None else child}
            ended = True
            if not child.get("continue"):
                return
    if not ended:
        yield {**{key: route[key] for key in _INHERITED}, "node": None}


# ---------------------------------------------------------------- inhibitions


class _Inhibitions:
    """Which alerts silence which, and when."""

    def __init__(self, rules: Sequence[Mapping[str, Any]], firings: Sequence[Firing]) -> None:
        self._by_target: dict[int, list[Firing]] = {}
        for rule in rules:
            sources = [one for one in firings if all(holds(each, one.labels) for each in rule["source_matchers"])]
            targets = [one for one in firings if all(holds(each, one.labels) for each in rule["target_matchers"])]
            by_equal: dict[tuple[str, ...], list[Firing]] = {}
            for source in sources:
                by_equal.setdefault(self._equal(rule, source), []).append(source)
            both = {id(one) for one in sources} & {id(one) for one in targets}
            for target in targets:
                for source in by_equal.get(self._equal(rule, target), ()):
                    if not (id(source) in both and id(target) in both):
                        self._by_target.setdefault(id(target), []).append(source)

    @staticmethod
    def _equal(rule: Mapping[str, Any], firing: Firing) -> tuple[str, ...]:
        return tuple(firing.labels.get(name, "") for name in rule.get("equal", ()))

    def silent(self, firing: Firing, at: float) -> bool:
        """True if an alert is silenced at a time."""
        return any(source.start <= at < source.end for source in self._by_target.get(id(firing), ()))


# ---------------------------------------------------------------- groups


@dataclass(slots=True)
class _Group:
    """The alerts that one route notifies of together, over the whole time."""

    route: Mapping[str, Any]
    labels: tuple[tuple[str, str], ...]
    members: list[Firing] = field(default_factory=list)

    def notifications(self, inhibitions: _Inhibitions) -> Iterator[Notification]:
        """Yield what is sent: at the first flush after an alert arrives, and then whenever something changed or is due."""
        wait, interval, repeat = (
            seconds(self.route[name]) for name in ("group_wait", "group_interval", "repeat_interval")
        )
        waiting = sorted(self.members, key=lambda firing: firing.start)
        present: list[Firing] = []
        last: tuple[float, frozenset[int], frozenset[int]] | None = None
        at = 0.0
        while waiting or present:
            at = at + interval if present else waiting[0].start + wait
            while waiting and waiting[0].start <= at:
                present.append(waiting.pop(0))
            heard = [one for one in present if not inhibitions.silent(one, at)]
            firing = [one for one in heard if one.end > at]
            resolved = [one for one in heard if one.end <= at]
            if self._is_due(last, firing, resolved, at - repeat):
                opens = bool(firing) and (last is None or not last[1])
                last = (at, _identities(firing), _identities(resolved))
                yield Notification(at, self.route["receiver"], self.labels, tuple(firing), tuple(resolved), opens)
            present = [one for one in present if one.end > at]

    @staticmethod
    def _is_due(
        last: tuple[float, frozenset[int], frozenset[int]] | None,
        firing: Sequence[Firing],
        resolved: Sequence[Firing],
        repeat_since: float,
    ) -> bool:
        if last is None:
            return bool(firing)
        at, known_firing, known_resolved = last
        if not _identities(firing) <= known_firing:
            return True
        if not firing:
            return bool(known_firing)
        return not _identities(resolved) <= known_resolved or at < repeat_since


def _identities(firings: Iterable[Firing]) -> frozenset[int]:
    return frozenset(hash(tuple(sorted(firing.labels.items()))) for firing in firings)
