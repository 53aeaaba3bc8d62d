"""The timing of alerts: the policy that each follows, and how long it keeps firing where the spec leaves that open."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import msgspec

from mlvitals.generator.contract import Contract
from mlvitals.generator.promql import metric_names
from mlvitals.generator.signals.signal import Alert, Signal
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Spec

_OF_OBJECTIVES = frozenset({"MLErrorBudgetBurn", "MLErrorBudgetUnknown"})
_RANGES = 3
"""For that many ranges of rates an alert keeps firing on something that is measured all the time: 15m by default."""


def with_timing(spec: Spec, signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Give every alert the name of its policy, and the default of `keep_firing_for` that suits what it reads."""
    signals = tuple(signals)
    reads = Reads(signals)
    windows = Contract(spec).of_windows

    def timed(alert: Alert) -> Alert:
        policy, keeps = alert.policy or policy_of(spec, alert), alert.timing.keep_firing_for
        if keeps is None:
            keeps = past_a_window(spec) if reads.names(alert) & windows else past_jitter(spec, policy)
        return replace(alert, policy=policy, timing=msgspec.structs.replace(alert.timing, keep_firing_for=keeps))

    return tuple(replace(signal, alerts=tuple(map(timed, signal.alerts))) for signal in signals)


def policies_of_windows(spec: Spec, signals: Iterable[Signal]) -> frozenset[str]:
    """Return the policies of alerts on what is measured once per window."""
    signals = tuple(signals)
    reads, windows = Reads(signals), Contract(spec).of_windows
    # Objectives share the names of their records: what one of them reads is not what another one measures.
    alerts = (alert for signal in signals for alert in signal.alerts if alert.name not in _OF_OBJECTIVES)
    return frozenset(alert.policy for alert in alerts if reads.names(alert) & windows)


def past_a_window(spec: Spec) -> str:
    """Return the time that bridges one window without the condition: its step, its grace, and a range of scrapes.

    The next window is measured a step later, up to the grace too late, and seen a scrape after that.
    """
    return duration(seconds(spec.step) + seconds(spec.windows.grace) + seconds(spec.telemetry.rate_window))


def past_jitter(spec: Spec, policy: str) -> str:
    """Return the time that bridges the jitter of what is measured all the time; of a KPI, a quarter of its interval."""
    jitter = _RANGES * seconds(spec.telemetry.rate_window)
    quarter = seconds(spec.business.compare_window) / 4 if policy == "business_drop" else 0
    return duration(max(jitter, quarter))


def policy_of(spec: Spec, alert: Alert) -> str:
    """Return the key below `alerts` of the policy that times an alert; empty if it is none of them."""
    policies = spec.alerts.__struct_fields__
    return next((name for name in policies if getattr(spec.alerts, name) is alert.timing), "")


class Reads:
    """The series that alerts read, directly or through records."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self._records: dict[str, set[str]] = {}
        for signal in signals:
            for record in signal.records:
                self._records.setdefault(record.name, set()).update(metric_names(record.expression))

    def names(self, alert: Alert) -> frozenset[str]:
        """Return the names of all series that an alert's rule depends on."""
        return frozenset(_closure(metric_names(alert.rule), self._records))


def _closure(names: Iterable[str], records: Mapping[str, Iterable[str]]) -> Iterator[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            waiting.extend(records.get(name, ()))
