"""The alerts that the generated rules would have fired over an interval."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlvitals.evaluation.expressions import Evaluator, Floats, Labels, UnknownSyntaxError, Vector
from mlvitals.generator.promql import metric_names
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Severity

_NO_FIRING = {Severity.NONE.value, ""}


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fired for one set of labels: at the steps from `start` to before `end`."""

    alert: str
    severity: Severity
    layer: str
    labels: dict[str, str]
    start: int
    end: int
    routed: dict[str, str] = {}
    """All its labels as Alertmanager gets them, those of the rule included."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All firings, in order of time, and the alerts that could not be evaluated."""

    firings: tuple[Firing, ...]
    not_understood: dict[str, str]
    """Alerts whose expression needs unsupported PromQL, with the reason."""
    without_data: tuple[str, ...]
    """Alerts that read a series without any sample in the history: they are unknown."""


@dataclass(slots=True)
class Recorded:
    """The measured series, and those of the recording rules, evaluated when they are first read."""

    times: Floats
    step: timedelta
    measured: Mapping[str, Vector]
    records: Mapping[str, list[Mapping[str, Any]]]
    _known: dict[str, Vector] = field(default_factory=dict)

    def series(self, name: str) -> Vector:
        """Return the series of a name."""
        if name not in self.records:
            return self.measured.get(name, {})
        if name not in self._known:
            found: Vector = {}
            for rule in self.records[name]:
                added = frozenset((key, str(value)) for key, value in rule.get("labels", {}).items())
                replaced = {key for key, _ in added}
                for labels, values in Evaluator(self).vector(rule["expr"]).items():
                    found[frozenset(item for item in labels if item[0] not in replaced) | added] = values
            self._known[name] = found
        return self._known[name]


def names_read(groups: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return every series name that rules read."""
    return frozenset(name for group in groups for rule in group["rules"] for name in metric_names(rule["expr"]))


def store_of(
    groups: Iterable[Mapping[str, Any]], times: Floats, step: timedelta, measured: Mapping[str, Vector]
) -> Recorded:
    """Return the measured series, together with those that rule groups record."""
    records: dict[str, list[Mapping[str, Any]]] = {}
    for group in groups:
        for rule in group["rules"]:
            if "record" in rule:
                records.setdefault(rule["record"], []).append(rule)
    return Recorded(times, step, measured, records)


def fired(
    groups: Sequence[Mapping[str, Any]], times: Floats, step: timedelta, measured: Mapping[str, Vector]
) -> Outcome:
    """Evaluate rule groups, as the rules file holds them, on series over time."""
    return fired_in(store_of(groups, times, step, measured), groups)


def fired_in(store: Recorded, groups: Iterable[Mapping[str, Any]]) -> Outcome:
    """Evaluate the alerts of rule groups on series that hold what they record.

    A condition counts from the first step at which it holds, and `for` is rounded up to full steps: an alert may be
    reported up to one step later than by Prometheus.
    """
    rules = [rule for group in groups for rule in group["rules"]]
    firings: list[Firing] = []
    problems: dict[str, str] = {}
    without: list[str] = []
    for rule in rules:
        if "alert" not in rule or rule["labels"].get("severity", "") in _NO_FIRING:
            continue
        try:
            vector = Evaluator(store).vector(rule["expr"])
        except UnknownSyntaxError as problem:
            problems[rule["alert"]] = str(problem)
            continue
        if not vector and not all(store.series(name) for name in metric_names(rule["expr"])):
            without.append(rule["alert"])
        for labels, values in vector.items():
            firings += _of_series(rule, labels, ~np.isnan(values), store.step)
    firings.sort(key=lambda firing: (firing.start, firing.alert, firing.severity))
    known = {firing.alert for firing in firings}
    return Outcome(tuple(firings), problems, tuple(sorted(set(without) - known)))


def _of_series(rule: Mapping[str, Any], labels: Labels, holds: NDArray[np.bool_], step: timedelta) -> list[Firing]:
    waits, keeps = (
        ceil(seconds(str(rule.get(key, "0s"))) / step.total_seconds()) for key in ("for", "keep_firing_for")
    )
    return [
        Firing(
            alert=rule["alert"],
            severity=Severity(rule["labels"]["severity"]),
            layer=rule["labels"].get("layer", ""),
            labels=dict(sorted(labels)),
            start=start,
            end=end,
            routed={
                **dict(labels),
                "alertname": rule["alert"],
                **{key: str(text) for key, text in rule["labels"].items()},
            },
        )
        for start, end in firing_steps(holds, waits, keeps)
    ]


def firing_steps(holds: NDArray[np.bool_], waits: int, keeps: int) -> list[tuple[int, int]]:
    """Return the firings for a condition that holds at these steps: from `waits` steps later until `keeps` after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], holds, [False])).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        going_on = (
            bool(found) and start <= found[-1][1]
        )  # still kept firing from before: the alert is not pending again
        if going_on:
            found[-1] = (found[-1][0], min(len(holds), end + keeps))
        elif start + waits < end:
            found.append((start + waits, min(len(holds), end + keeps)))
    return found
