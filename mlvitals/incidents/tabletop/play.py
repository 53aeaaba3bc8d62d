"""A history that is played with a fault: measured window by window, judged by the rules, until the fault is ended.

Nothing is known before its time: a window is measured once it is due, with the fault as it is then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlvitals.evaluation.alerts import Firing, Outcome, Recorded
from mlvitals.evaluation.expressions import Evaluator, Floats, Vector
from mlvitals.evaluation.faults.catalogue import Fault, FaultError, Subject
from mlvitals.evaluation.faults.excerpt import Excerpt
from mlvitals.evaluation.faults.strike import strike_series, strike_sources
from mlvitals.evaluation.history import SOURCES, History, Steps, metrics_of, spec_of_folder
from mlvitals.evaluation.replay import Replay
from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.schedule import schedule_of as windows_of
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.row_times import row_times
from mlvitals.generator.contract import TOTAL_STAGE, Contract, latency_buckets
from mlvitals.generator.rules.alerts import AlertRule, alert_rules
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.text import Sample, Situation
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.model import Spec

LEAD_WINDOWS = 4
"""Windows without the fault before it starts."""
TEAM_WINDOWS = 10
"""Windows that the team has from the moment at which the fault can first be seen."""
_HEALTHY_PART = 0.5
"""Of the latency's lowest threshold: what every request is assumed to take where no metrics of serving are known."""


class Schedule(NamedTuple):
    """The times of a play."""

    first: datetime
    """The start of the history that is looked at."""
    measured: datetime
    """The start of the first window that is measured."""
    start: datetime
    """The start of the fault: within a window, as faults do not wait for one."""
    end: datetime
    """The end of the history."""


def schedule_of(spec: Spec, fault: Fault, newest: datetime) -> Schedule:
    """Place a fault so that the history that ends at `newest` shows it, and the time that the team needs, after it.

    Args:
        spec: the system's spec.
        fault: the fault; its own start does not matter.
        newest: the time of the newest row.
    """
    length, step = span(spec.window_length), span(spec.step)
    end = newest if spec.windows.rows else windows_of(spec).end_by(newest)
    outcome = spec.prediction_log.outcome
    delay = span(outcome.max_delay) if fault.kind.by_outcomes and outcome else timedelta(0)
    compared = span(spec.business.compare_window) if fault.kind.by_kpis else timedelta(0)
    start = end - delay - compared - TEAM_WINDOWS * step - length + step / 4
    measured = start - step / 4 - LEAD_WINDOWS * step - length - delay
    back = span(spec.business.compare_with) + compared if fault.kind.by_kpis else timedelta(0)
    return Schedule(measured - back, measured, start, end)


def check_reach(spec: Spec, fault: Fault, times: Schedule, oldest: datetime) -> None:
    """Refuse a history that does not reach back far enough.

    Raises:
        FaultError: it starts later than the play; says what it needs.
    """
    if oldest > times.first + span(spec.window_length):
        raise FaultError(
            f"{fault.kind.name} needs a history from {times.first:%Y-%m-%d %H:%M} to {times.end:%Y-%m-%d %H:%M} UTC, and the log "
            f"starts at {oldest:%Y-%m-%d %H:%M} UTC; give a longer one with --data, or play another fault"
        )


class Play:
    """One fault in one history.

    Args:
        spec: the system's spec.
        base_dir: the base of its relative paths.
        folder: a history folder, as `mlvitals evaluate` takes it; None: the spec's own log.
        excerpt: the copy of the log that is played.
        reference: the baseline.
        results: an empty store of results.
        fault: what goes wrong.
        times: when.
    """

    def __init__(
        self,
        spec: Spec,
        base_dir: Path,
        folder: Path | None,
        excerpt: Excerpt,
        reference: Reference,
        results: ResultsStore,
        fault: Fault,
        times: Schedule,
    ) -> None:
        played = excerpt.spec
        self.spec, self.fault, self.times = spec, fault, times
        self.reports: list[WindowReport] = []
        self._excerpt = excerpt
        self.steps = Steps(times.first, times.end, span(spec.telemetry.rate_window))
        self._replay = Replay(played, base_dir, reference, results, self.steps, everything=True)
        self._grace = span(spec.windows.grace)
        first = times.measured + span(spec.window_length) - span(spec.step)
        self._due = windows_of(played, row_times(played.prediction_log, base_dir)).windows(first, times.end)
        self._serving = _serving_series(played, folder, excerpt, self.steps)
        self._updates = _updates(spec, folder, times)
        self._alerts = tuple(alert_rules(spec, signals(spec)))
        self._known: tuple[Recorded, Outcome] | None = None
        excerpt.play(fault)
        self._set_fault()

    @property
    def horizon(self) -> datetime:
        """The time up to which everything is known: shortly before the next window is published."""
        if not self._due:
            return self.times.end
        return self._due[0].end + self._grace - self.steps.step

    @property
    def is_over(self) -> bool:
        """True once every window has been measured."""
        return not self._due

    def advance(self) -> None:
        """Measure the next window."""
        if self._due:
            window, *self._due = self._due
            self._measure([window])

    def until(self, moment: datetime) -> None:
        """Measure every window that is published by a moment."""
        due = [window for window in self._due if window.end + self._grace <= moment]
        self._due = self._due[len(due) :]
        for window in due:
            self._measure([window])

    def _measure(self, windows: Sequence[Window]) -> None:
        self.reports += self._replay.measure(windows, windows[-1].end + self._grace)
        self._known = None

    def end_fault(self, moment: datetime) -> None:
        """Let the fault be over from a moment on, which may not lie in what was measured already."""
        self.until(moment)
        self.fault = replace(self.fault, end=moment)
        self._excerpt.play(self.fault, since=moment)
        self._set_fault()

    def _set_fault(self) -> None:
        """Give the series that do not come from windows as the fault leaves them."""
        history = self._replay.history
        struck = strike_series(history.contract, self.fault, self.steps.times, self._serving)
        history.series.update(struck)
        if self._updates is not None:
            history.add_sources(strike_sources(self.fault, self._updates))
        jobs = [self.spec.exporter_job, *([self.spec.serving_job] if self._serving else [])]
        history.add_targets(jobs)
        self._known = None

    # ---------------------------------------------------------------- what the rules say

    @property
    def outcome(self) -> Outcome:
        """The alerts of everything so far."""
        return self._judged[1]

    @property
    def _judged(self) -> tuple[Recorded, Outcome]:
        if self._known is None:
            store = self._replay.store()
            self._known = store, self._replay.outcome(store)
        return self._known

    @property
    def series(self) -> Mapping[str, Vector]:
        """The series of the exporter and the serving application over the steps."""
        return self._replay.history.series

    def firings(self) -> list[Firing]:
        """Return the alerts that fired up to the horizon; the end of one that still fires lies behind it."""
        last = self.steps.at(self.horizon)
        return [firing for firing in self.outcome.firings if firing.start <= last]

    def texts(self, firing: Firing) -> dict[str, str]:
        """Return the annotations of an alert as the on-call reads them, rendered at its start."""
        rule = self._rule_of(firing)
        if rule is None:
            return {}
        store = self._judged[0]
        samples = tuple(
            Sample(name, dict(labels), float(values[firing.start]))
            for name in sorted(_metrics_read(rule))
            for labels, values in store.series(name).items()
            if not np.isnan(values[firing.start])
        )
        values = Evaluator(store).vector(rule.alert.rule).get(frozenset(firing.labels.items()))
        value = np.nan if values is None else float(values[firing.start])
        situation = Situation(value, firing.labels, samples)
        return {name: text.rendered(situation) for name, text in rule.annotations.items()}

    def _rule_of(self, firing: Firing) -> AlertRule | None:
        """Return the rule of an alert; of several of one name, as features with own thresholds have, the one with its labels."""
        alike = [
            rule
            for rule in self._alerts
            if rule.alert.name == firing.alert
            and {name: value.template() for name, value in rule.labels.items()}.items() <= firing.routed.items()
        ]
        return max(alike, key=lambda rule: len(rule.labels), default=None)


def _metrics_read(rule: AlertRule) -> set[str]:
    """Return the metrics that an alert's texts look up, also within what they have found."""
    waiting: list[Any] = [piece for text in rule.annotations.values() for piece in text.pieces]
    found = set()
    while waiting:
        piece = waiting.pop()
        found.add(getattr(piece, "metric", ""))
        waiting += getattr(piece, "pieces", ())
    return found - {""}


# ---------------------------------------------------------------- what does not come from the log


def _serving_series(spec: Spec, folder: Path | None, excerpt: Excerpt, steps: Steps) -> dict[str, Vector]:
    """Return the serving application's series: those of the folder, else what the log implies of a healthy one."""
    contract = Contract(spec)
    history = History(contract, steps, frozenset(contract.by_series))
    if folder is not None and (folder / "metrics").is_dir():
        for samples in metrics_of(folder):
            history.add_metrics(samples)
    elif spec.serving.enabled:
        _add_healthy(history, excerpt)
    return history.series


def _add_healthy(history: History, excerpt: Excerpt) -> None:
    """Add the requests that the log holds, all answered in good time."""
    contract, spec, steps = history.contract, history.contract.spec, history.steps
    log = spec.prediction_log
    counts: dict[tuple[str, str], Floats] = {}
    for rows in excerpt.kept():
        micros: Any = rows[log.timestamp].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        places = np.ceil((micros.to_numpy() / 1e6 - steps.start.timestamp()) / steps.step.total_seconds()).astype(int)
        versions, endpoints = (
            _texts(rows, name, usual)
            for name, usual in ((log.model_version, "1"), (log.endpoint, spec.serving.endpoints[0]))
        )
        inside = (places >= 0) & (places < steps.count)
        for version, endpoint in set(zip(versions, endpoints, strict=True)):
            hit = inside & (versions == version) & (endpoints == endpoint)
            key = (str(version), str(endpoint))
            counts[key] = counts.get(key, np.zeros(steps.count)) + np.bincount(places[hit], minlength=steps.count)
    for (version, endpoint), count in counts.items():
        labels = {"model_version": version, "endpoint": endpoint}
        history.always(contract.name("predictions_total"), labels, np.cumsum(count))
    for version in {version for version, _ in counts}:
        total = np.cumsum(sum(count for (of, _), count in counts.items() if of == version))
        for error in spec.serving.error_types:
            labels = {"model_version": version, "error_type": error}
            history.always(contract.name("prediction_errors_total"), labels, np.zeros(steps.count))
        policy = spec.alerts.latency_p99
        healthy = _HEALTHY_PART * min(filter(None, (policy.warning, policy.critical)), default=0.1)
        for stage in (*spec.serving.stages, TOTAL_STAGE):
            labels = {"model_version": version, "stage": stage}
            for bound in (*latency_buckets(spec), np.inf):
                le = "+Inf" if np.isinf(bound) else repr(float(bound))
                below = total if bound >= healthy else np.zeros(steps.count)
                history.always(contract.name("prediction_latency_seconds_bucket"), {**labels, "le": le}, below)
            history.always(contract.name("prediction_latency_seconds_count"), labels, total)
            history.always(contract.name("prediction_latency_seconds_sum"), labels, healthy * total)


def _texts(rows: pa.Table, name: str | None, usual: str) -> Any:
    if name is None or name not in rows.column_names:
        return np.full(rows.num_rows, usual, object)
    return np.array([str(value) if value is not None else usual for value in rows[name].to_pylist()], object)


def _updates(spec: Spec, folder: Path | None, times: Schedule) -> pa.Table | None:
    """Return the updates of the sources: those of the folder, else each twice as often as it must be."""
    if folder is not None and (folder / SOURCES).exists():
        return pq.read_table(folder / SOURCES)
    rows = [
        {"feature_source": name, "updated": times.first + number * span(source.max_age) / 2}
        for name, source in spec.sources.items()
        for number in range(-1, int(2 * (times.end - times.first) / span(source.max_age)) + 1)
    ]
    return pa.Table.from_pylist(rows) if rows else None


def detection_limit(spec: Spec, fault: Fault) -> timedelta:
    """Return how long after its start a fault may go unnoticed, by the spec's own windows, limits and waits."""
    waits = [
        seconds(alert.timing.for_)
        for signal in signals(spec)
        for alert in signal.alerts
        if alert.name in fault.kind.signals
    ]
    wait = timedelta(seconds=max(waits, default=0.0)) + span(spec.routing.group_wait)
    if fault.kind.subject is Subject.SOURCE:
        return 2 * span(spec.sources[fault.subject].max_age) + wait + span(spec.telemetry.rate_window)
    if fault.kind.subject is Subject.SERVING:
        return 2 * span(spec.telemetry.rate_window) + wait
    if fault.kind.by_kpis:
        return span(spec.business.compare_window) + wait
    outcome = spec.prediction_log.outcome
    delay = span(outcome.max_delay) if fault.kind.by_outcomes and outcome else timedelta(0)
    return span(spec.window_length) + span(spec.step) + span(spec.windows.grace) + delay + wait


def history_spec(spec: Spec, folder: Path | None) -> Spec:
    """Return the spec whose log is the history's."""
    return spec if folder is None else spec_of_folder(spec, folder)
