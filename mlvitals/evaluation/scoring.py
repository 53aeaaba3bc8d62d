"""Scoring: the alerts that caught each fault, with delay and layer, and the false alarms."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
import numpy as np

from mlvitals.evaluation.alerts import Firing, Outcome
from mlvitals.evaluation.expressions import Vector
from mlvitals.evaluation.history import Steps
from mlvitals.evaluation.notifications import Notification
from mlvitals.evaluation.truth import FaultRecord, Truth
from mlvitals.generator.spec.model import Severity
from mlvitals.generator.spec.people import NOBODY

_DAY_SECONDS = 86_400
_NO_KIND = ("none", "unknown")
_HARDLY = 0.1
"""Share of a fault's time up to which a drift type may be reported by chance."""
_CATCHING = (Severity.WARNING, Severity.CRITICAL)
"""Severities that notify somebody."""


class Catch(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that started to fire during a fault."""

    alert: str
    severity: Severity
    layer: str
    labels: dict[str, str]
    at: datetime
    delay_seconds: float


class FaultResult(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts on one fault."""

    fault: FaultRecord
    caught: bool
    """True if there was a warning or a page of its own layer."""
    as_expected: bool
    """True if one of the alerts named by the truth fired, or if it names none."""
    first: Catch | None
    """The first alert of any layer."""
    first_of_layer: Catch | None
    page: Catch | None
    """The first page of any layer."""
    catches: tuple[Catch, ...]
    """The first of each alert and severity, in order of time."""
    drift_type: str | None
    """The drift type reported most during the fault; None if it is not published."""
    drift_type_right: bool | None
    false_page: bool
    """True if it paged although nobody should have been woken."""
    pages: int = 0
    """Incidents that a pager would have opened between its start and its settling."""
    messages: int = 0
    """Messages that people would have received meanwhile, those on pages included."""


class FalseAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fired while nothing was wrong."""

    alert: str
    severity: Severity
    layer: str
    times: int
    per_day: float
    first: datetime
    labels: dict[str, str]
    """Labels of the first firing."""
    seconds: float = 0.0
    """Time without a fault in which at least one of them fired: an alert that never ends fires once."""
    share: float = 0.0
    """The same as a share of all time without a fault."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of evaluating the monitoring on a history."""

    schema: Literal["mlvitals.evaluation/1"] = "mlvitals.evaluation/1"
    """Name and version of the JSON form; a breaking change raises the number."""
    system: str
    start: datetime
    end: datetime
    step_seconds: float
    windows: int
    faults: tuple[FaultResult, ...]
    fault_free_days: float
    false_alarms: tuple[FalseAlarm, ...]
    false_pages: int
    """Pages in fault-free time, and faults that paged although they should not."""
    not_understood: dict[str, str]
    without_data: tuple[str, ...]
    firings: tuple[Firing, ...]

    @property
    def is_perfect(self) -> bool:
        """True if every fault was caught at its layer, without false pages and wrong drift types."""
        right = all(result.caught and result.drift_type_right is not False for result in self.faults)
        return right and not self.false_pages

    def to_json(self) -> bytes:
        """Encode as JSON in the stable format."""
        return msgspec.json.encode(self)


def score(
    truth: Truth,
    steps: Steps,
    windows: int,
    outcome: Outcome,
    drift_types: Vector,
    heard: Sequence[Notification] = (),
    *,
    warm_up: int = 0,
) -> Evaluation:
    """Compare the firings with the truth.

    Args:
        truth: the known faults.
        steps: the times of the evaluation.
        windows: number of measured windows.
        outcome: the firings.
        drift_types: series that are 1 while their label `type` is the reported drift type.
        heard: the notifications that the firings cause.
        warm_up: steps at the start that count neither as fault-free nor as false.

    """
    free = _fault_free(truth, steps)
    free[:warm_up] = False
    days = float(free.sum()) * steps.step.total_seconds() / _DAY_SECONDS
    faults = tuple(_result(fault, steps, outcome.firings, drift_types, heard) for fault in truth.faults)
    alarms = tuple(_false_alarms(outcome.firings, free, steps, days))
    pages = sum(alarm.times for alarm in alarms if alarm.severity is Severity.CRITICAL)
    return Evaluation(
        system=truth.system,
        start=steps.start,
        end=steps.end,
        step_seconds=steps.step.total_seconds(),
        windows=windows,
        faults=faults,
        fault_free_days=days,
        false_alarms=alarms,
        false_pages=pages + sum(result.false_page for result in faults),
        not_understood=outcome.not_understood,
        without_data=outcome.without_data,
        firings=outcome.firings,
    )


def _fault_free(truth: Truth, steps: Steps) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    free = np.ones(steps.count, bool)
    for fault in truth.faults:
        free[max(0, steps.at(fault.start)) : max(0, steps.at(fault.settled))] = False
    return free


def _result(
    fault: FaultRecord,
    steps: Steps,
    firings: Sequence[Firing],
    drift_types: Vector,
    notifications: Sequence[Notification],
) -> FaultResult:
    catches = tuple(_catches(fault, steps, firings))
    heard = [catch for catch in catches if catch.severity in _CATCHING]
    of_layer = next((catch for catch in heard if catch.layer == fault.layer), None)
    page = next((catch for catch in heard if catch.severity is Severity.CRITICAL), None)
    reported = _drift_type(fault, steps, drift_types)
    sent = _sent(fault, steps, notifications)
    return FaultResult(
        fault=fault,
        caught=of_layer is not None,
        as_expected=not fault.signals or any(catch.alert in fault.signals for catch in catches),
        first=heard[0] if heard else None,
        first_of_layer=of_layer,
        page=page,
        catches=catches,
        drift_type=reported,
        drift_type_right=None if reported is None or not fault.drift_types else reported in fault.drift_types,
        false_page=page is not None and not fault.pages,
        pages=sum(each.opens and each.severity == Severity.CRITICAL for each in sent),
        messages=len(sent),
    )


def _sent(fault: FaultRecord, steps: Steps, notifications: Iterable[Notification]) -> list[Notification]:
    """Return what people heard between the fault's start and its settling."""
    start, settled = ((moment - steps.start).total_seconds() for moment in (fault.start, fault.settled))
    return [each for each in notifications if start <= each.at < settled and each.receiver != NOBODY]


def _catches(fault: FaultRecord, steps: Steps, firings: Iterable[Firing]) -> Iterable[Catch]:
    """Yield the first firing of each alert and severity that started between the fault's start and its settling."""
    start, settled = steps.at(fault.start), steps.at(fault.settled)
    seen: set[tuple[str, Severity]] = set()
    for firing in firings:
        key = (firing.alert, firing.severity)
        if start <= firing.start < settled and key not in seen:
            seen.add(key)
            at = steps.moment(firing.start)
            yield Catch(
                alert=firing.alert,
                severity=firing.severity,
                layer=firing.layer,
                labels=firing.labels,
                at=at,
                delay_seconds=(at - fault.start).total_seconds(),
            )


def _drift_type(fault: FaultRecord, steps: Steps, drift_types: Vector) -> str | None:
    """Return the drift type reported most from the start until the fault has settled.

    "None" and "unknown" are the answer only if hardly anything else was reported: before a fault shows and after it is
    over, they are right.
    """
    start, settled = max(0, steps.at(fault.start)), max(0, steps.at(fault.settled))
    reported: Counter[str] = Counter()
    for labels, values in drift_types.items():
        reported[dict(labels).get("type", "")] += int((values[start:settled] == 1).sum())
    kinds = Counter({kind: count for kind, count in reported.items() if kind not in _NO_KIND})
    answer = kinds if kinds.total() > _HARDLY * reported.total() else reported
    return answer.most_common(1)[0][0] if answer.total() else None


def _false_alarms(
    firings: Iterable[Firing], free: np.ndarray[tuple[int], np.dtype[np.bool_]], steps: Steps, days: float
) -> Iterable[FalseAlarm]:
    groups: dict[tuple[str, Severity], list[Firing]] = {}
    for firing in firings:
        if free[firing.start] and firing.severity in _CATCHING:
            groups.setdefault((firing.alert, firing.severity), []).append(firing)
    for (alert, severity), found in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        yield FalseAlarm(
            alert=alert,
            severity=severity,
            layer=found[0].layer,
            times=len(found),
            per_day=len(found) / days if days else 0.0,
            first=steps.moment(found[0].start),
            labels=found[0].labels,
            seconds=_steps_of(found, free) * steps.step.total_seconds(),
            share=_steps_of(found, free) / max(int(free.sum()), 1),
        )


def _steps_of(firings: Iterable[Firing], free: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """Return the number of fault-free steps at which at least one of the firings was active."""
    active = np.zeros(len(free), bool)
    for firing in firings:
        active[firing.start : firing.end] = True
    return int((active & free).sum())


def subject(labels: Mapping[str, str]) -> str:
    """Return the subject of an alert, from its labels."""
    return ", ".join(value for name, value in labels.items() if name not in {"instance", "job", "system"})
