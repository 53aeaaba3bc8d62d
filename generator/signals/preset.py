"""Signals of a system that a model server answers for: those that its own metrics can show, from records of them."""

import re
from collections.abc import Iterable
from dataclasses import replace

from mlvitals.generator.contract import TOTAL_STAGE, Contract, Producer
from mlvitals.generator.contract.presets import SERVER, ModelServer, server_of
from mlvitals.generator.promql import metric_names, selector
from mlvitals.generator.signals.signal import Record, Signal
from mlvitals.generator.spec.model import Spec

_HOME = "throughput"
"""The signal that holds the records of the server's metrics, and says what the server does not."""
_STAGES = "stage_latency"
_INFO = "model_info"


def with_preset(spec: Spec, signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Return the signals that a model server can show; without a preset, all of them."""
    signals = tuple(signals)
    if spec.serving.preset is None:
        return signals
    server = server_of(spec.serving.preset)
    unknown = _unpublished(spec, server)
    if server.stages <= {TOTAL_STAGE}:
        signals = tuple(signal for signal in signals if signal.id != _STAGES)
    shown = tuple(kept for signal in signals if (kept := _without(signal, unknown)) is not None)
    while lost := {record.name for signal in signals for record in signal.records} - _recorded(shown) - unknown:
        unknown |= lost
        shown = tuple(kept for signal in shown if (kept := _without(signal, unknown)) is not None)
    return tuple(_with_records(spec, server, signal) if signal.id == _HOME else signal for signal in shown)


def _unpublished(spec: Spec, server: ModelServer) -> set[str]:
    """Return the series that the instrumentation would publish and the server does not; events are the application's."""
    contract = Contract(spec)
    events = {contract.event(event) for event in spec.business.events}
    published = {series for family in contract.of(Producer.SERVING) for series in family.series_names}
    return published - events - {contract.name(series) for series in {*server.series, _INFO}}


def _recorded(signals: Iterable[Signal]) -> set[str]:
    return {record.name for signal in signals for record in signal.records}


def _without(signal: Signal, unknown: set[str]) -> Signal | None:
    """Return a signal without what reads unknown series; None if nothing of it is left to be drawn."""
    queries = tuple(query for query in signal.queries if not metric_names(_plain(query.expression)) & unknown)
    if signal.queries and not queries:
        return None
    return replace(
        signal,
        queries=queries,
        records=tuple(record for record in signal.records if not metric_names(record.expression) & unknown),
        alerts=tuple(alert for alert in signal.alerts if not metric_names(alert.rule) & unknown),
    )


def _plain(expression: str) -> str:
    """Return a panel's expression as PromQL: Grafana's intervals are replaced by one, and its other variables by names."""
    return re.sub(r"\$[{]?(\w+)[}]?", "x", re.sub(r"\$__(rate_interval|interval|range)", "5m", expression))


def _with_records(spec: Spec, server: ModelServer, signal: Signal) -> Signal:
    contract = Contract(spec)
    matchers = selector("", job=spec.serving_job, **spec.identity.labels).strip("{}")
    records = tuple(
        Record(contract.name(one.series), one.expression.replace(SERVER, matchers), one.labels)
        for one in server.mapped
        if spec.serving.gpu or one.series != "gpu_utilization_ratio"
    )
    versions = f"group by (model_version) ({contract.name('predictions_total')})"
    info = Record(contract.name(_INFO), versions, (("framework", server.title),))
    said = " ".join((signal.description, f"Read from the metrics of {server.title}.", *server.sentences))
    return replace(signal, records=(*records, info, *signal.records), description=said)
