"""Notifications of the alerts of a history: Alertmanager's routes, inhibitions, groups and repetitions, without a server.

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
class ActiveAlert:
    """An alert that fires from `start` to before `end`, in seconds, with all its labels."""

    labels: Labels
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: when, to which receiver, about which alerts."""

    at: float
    receiver: str
    key: str
    """Of its group, as Alertmanager names it: a route and the values of its labels."""
    group: tuple[tuple[str, str], ...]
    firing: tuple[ActiveAlert, ...]
    resolved: tuple[ActiveAlert, ...]
    opens: bool
    """True if nothing of its group was firing in the one before: a pager opens an incident."""

    @property
    def severity(self) -> str:
        """The severity of its alerts; routes never mix two."""
        return next((each.labels.get("severity", "") for each in (*self.firing, *self.resolved)), "")


def notifications(config: Mapping[str, Any], firings: Iterable[ActiveAlert]) -> tuple[Notification, ...]:
    """Return all notifications of the firings by a configuration of Alertmanager, in order of time."""
    firings = tuple(firings)
    inhibitions = _Inhibitions(config.get("inhibit_rules", ()), firings)
    groups: dict[tuple[_Route, tuple[tuple[str, str], ...]], _Group] = {}
    for firing in firings:
        for route in _routes(config["route"], firing.labels):
            labels = tuple((name, firing.labels.get(name, "")) for name in route.group_by)
            groups.setdefault((route, labels), _Group(route, labels)).members.append(firing)
    found = (sent for group in groups.values() for sent in group.notifications(inhibitions))
    return tuple(sorted(found, key=lambda sent: sent.at))


# ---------------------------------------------------------------- routes


@dataclass(frozen=True, slots=True)
class _Route:
    """The settings of a route, its own and those it inherits; times in seconds."""

    key: str
    """The matchers from the top route down."""
    receiver: str
    group_by: tuple[str, ...]
    wait: float
    interval: float
    repeat: float


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


def _routes(
    route: Mapping[str, Any], labels: Labels, inherited: Mapping[str, Any] | None = None, key: str = "{}"
) -> Iterator[_Route]:
    """Yield every route at which an alert ends."""
    settings = {**(inherited or {}), **{key: route[key] for key in _INHERITED if key in route}}
    ended = False
    for child in route.get("routes", ()):
        if all(holds(matcher, labels) for matcher in child.get("matchers", ())):
            yield from _routes(child, labels, settings, f"{key}/{{{','.join(child.get('matchers', ()))}}}")
            ended = True
            if not child.get("continue"):
                return
    if not ended:
        yield _Route(
            key,
            settings["receiver"],
            tuple(settings["group_by"]),
            seconds(settings["group_wait"]),
            seconds(settings["group_interval"]),
            seconds(settings["repeat_interval"]),
        )


# ---------------------------------------------------------------- inhibitions


class _Inhibitions:
    """Which alerts silence which, and when."""

    def __init__(self, rules: Sequence[Mapping[str, Any]], firings: Sequence[ActiveAlert]) -> None:
        self._by_target: dict[int, list[ActiveAlert]] = {}
        for rule in rules:
            sources = [one for one in firings if all(holds(each, one.labels) for each in rule["source_matchers"])]
            targets = [one for one in firings if all(holds(each, one.labels) for each in rule["target_matchers"])]
            by_equal: dict[tuple[str, ...], list[ActiveAlert]] = {}
            for source in sources:
                by_equal.setdefault(self._equal(rule, source), []).append(source)
            both = {id(one) for one in sources} & {id(one) for one in targets}
            for target in targets:
                for source in by_equal.get(self._equal(rule, target), ()):
                    if not (id(source) in both and id(target) in both):
                        self._by_target.setdefault(id(target), []).append(source)

    @staticmethod
    def _equal(rule: Mapping[str, Any], firing: ActiveAlert) -> tuple[str, ...]:
        return tuple(firing.labels.get(name, "") for name in rule.get("equal", ()))

    def silent(self, firing: ActiveAlert, at: float) -> bool:
        """True if an alert is silenced at a time."""
        return any(source.start <= at < source.end for source in self._by_target.get(id(firing), ()))


# ---------------------------------------------------------------- groups


@dataclass(slots=True)
class _Group:
    """The alerts that one route notifies of together, over the whole time."""

    route: _Route
    labels: tuple[tuple[str, str], ...]
    members: list[ActiveAlert] = field(default_factory=list)

    def notifications(self, inhibitions: _Inhibitions) -> Iterator[Notification]:
        """Yield what is sent: at the first flush after an alert arrives, and then whenever something changed or is due."""
        waiting = sorted(self.members, key=lambda firing: firing.start)
        present: list[ActiveAlert] = []
        last: tuple[float, frozenset[int], frozenset[int]] | None = None
        at = 0.0
        while waiting or present:
            at = at + self.route.interval if present else waiting[0].start + self.route.wait
            while waiting and waiting[0].start <= at:
                present.append(waiting.pop(0))
            heard = [one for one in present if not inhibitions.silent(one, at)]
            firing = [one for one in heard if one.end > at]
            resolved = [one for one in heard if one.end <= at]
            if self._is_due(last, firing, resolved, at - self.route.repeat):
                opens = bool(firing) and (last is None or not last[1])
                last = (at, _identities(firing), _identities(resolved))
                sent = tuple(firing), tuple(resolved)
                yield Notification(at, self.route.receiver, self._key, self.labels, *sent, opens)
            present = [one for one in present if one.end > at]

    @property
    def _key(self) -> str:
        labels = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(self.labels) if value
        )
        return f"{self.route.key}:{{{labels}}}"

    @staticmethod
    def _is_due(
        last: tuple[float, frozenset[int], frozenset[int]] | None,
        firing: Sequence[ActiveAlert],
        resolved: Sequence[ActiveAlert],
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


def _identities(firings: Iterable[ActiveAlert]) -> frozenset[int]:
    return frozenset(hash(tuple(sorted(firing.labels.items()))) for firing in firings)
