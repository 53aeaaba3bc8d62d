"""The costs of a spec's telemetry: the number of exported series, and the storage of these and other telemetry.

Series are counted from the label sets of the contract's families, never one for each signal. The sizes are the
requirements' own: 8 B per point of a series, 500 B per log line, 2 kB per trace, 4 kB per prediction kept in full.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from math import prod
from typing import Literal

import msgspec

from mlvitals.generator.contract import (
    CHANGES_SHOWN,
    CLASSES_SHOWN,
    CUSUM_SIDES,
    INCIDENTS_SHOWN,
    OPEN_LABELS,
    PERCENTILES,
    STAGES,
    STATES,
    STATISTICS,
    ConceptStatus,
    Contract,
    DriftKind,
    Family,
    MetricType,
    Producer,
    SchemaDifferenceKind,
    SkewStatus,
    Status,
    TelemetryFailure,
)
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Feature, FeatureType, SignalType, Spec, TelemetrySignal

POINT_BYTES = 8
EVENT_BYTES = {SignalType.LOG: 500, SignalType.TRACE: 2_000, SignalType.PREDICTION: 4_000}
MODEL_VERSIONS = 2
"""Versions of the model at a time: a deployment has the old and the new one."""
GPUS = 8
"""GPUs of an instance."""
_BOOLEAN_CELLS = 3
"""False, true, and values that are not in the reference."""
_CATEGORY_CELLS = 51
"""Levels with a share of 2% of the reference each (or fewer of them and the rare ones), and values not in the reference."""
OTHER_LABEL_VALUES = 10
"""Values of a label that neither spec nor contract lists."""

_DAY_SECONDS = 86_400
_DETERMINED = {
    "feature_name": {"feature_source", "feature_type"},
    "rank": {"bin"},
    "bin_index": {"bin"},
    "model_version": {"framework"},
}
"""Labels that add no series, because another label determines them."""


class FamilySeries(msgspec.Struct, frozen=True, kw_only=True):
    """The maximum number of series of a family, over all instances, and how it is computed."""

    family: str
    producer: Producer
    series: int
    counted: str


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The storage of one stream of telemetry, in bytes."""

    type: SignalType
    name: str
    per_day: float
    hot: float
    warm: float
    cold: float
    counted: str


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Series and storage of a spec at a number of predictions per day."""

    schema: Literal["mlvitals.estimate/1"] = "mlvitals.estimate/1"
    system: str
    predictions_per_day: int
    series: int
    series_budget: int
    families: tuple[FamilySeries, ...]
    """Largest first."""
    storage: tuple[Storage, ...]
    assumptions: tuple[str, ...]


def estimate(spec: Spec, predictions_per_day: int) -> Estimate:
    """Estimate the costs of a spec's telemetry; the numbers are upper bounds where a spec leaves something open."""
    families = family_series(spec)
    return Estimate(
        system=spec.system.name,
        predictions_per_day=predictions_per_day,
        series=sum(family.series for family in families),
        series_budget=spec.telemetry.series_budget,
        families=families,
        storage=(*_metrics(spec, families), *_sampled(spec, predictions_per_day)),
        assumptions=tuple(_assumptions(spec)),
    )


# ---------------------------------------------------------------- series


def family_series(spec: Spec) -> tuple[FamilySeries, ...]:
    """Return the series of every family that the system itself exports, largest first."""
    contract = Contract(spec)
    own = contract.of(Producer.SERVING, Producer.EXPORTER, Producer.PROCESS)
    return tuple(sorted((_of_family(contract, family) for family in own), key=lambda item: (-item.series, item.family)))


def _of_family(contract: Contract, family: Family) -> FamilySeries:
    counts = dict(_label_counts(contract, family))
    if family.type is MetricType.HISTOGRAM:
        counts["le, sum and count"] = len(family.buckets) + 3
    instances = _instances(contract.spec, family.producer)
    if instances > 1:
        counts["instance"] = instances
    return FamilySeries(
        family=family.name,
        producer=family.producer,
        series=prod(counts.values()),
        counted=" x ".join(f"{count} {name}" for name, count in counts.items()) or "1",
    )


def _label_counts(contract: Contract, family: Family) -> Iterator[tuple[str, int]]:
    """Yield the labels that add series, with the number of values of each."""
    if family.name == contract.name("change_timestamp_seconds"):
        yield "change", CHANGES_SHOWN
        return
    if "incident" in family.labels:
        yield "incident", INCIDENTS_SHOWN
        if "stage" in family.labels:
            yield "stage", len(STAGES)
        return
    if {"feature_name", "bin_index"} <= {*family.labels}:
        features = contract.spec.features.values()
        yield "feature_name and bin_index", sum(_cells(contract.spec, feature) for feature in features)
        return
    settled = {label for name in family.labels for label in _DETERMINED.get(name, ())}
    for label in family.labels:
        if label not in settled:
            yield label, _values(contract, family, label)


def _values(contract: Contract, family: Family, label: str) -> int:
    spec, outcome = contract.spec, contract.spec.prediction_log.outcome
    known = {
        "feature_name": _features(contract, family),
        "feature_source": len(spec.sources),
        "status": len(_statuses(contract).get(family.name, Status)),
        "type": len(DriftKind),
        "side": len(CUSUM_SIDES),
        "kind": len(SchemaDifferenceKind),
        "rank": spec.exporter.top_bins,
        "model_version": MODEL_VERSIONS,
        "endpoint": len(spec.serving.endpoints),
        "error_type": len(spec.serving.error_types),
        "stage": len(spec.serving.stages) + 1,
        "gpu": GPUS,
        "label_name": len(OPEN_LABELS),
        "operation": len(TelemetryFailure),
        "state": len(STATES),
        "reference_version": 1,
        "percentile": len(PERCENTILES),
        "segment": len(spec.prediction_log.segments),
        "class": min(CLASSES_SHOWN, len(outcome.class_names) if outcome else 0),
        "segment_value": spec.prediction_log.max_segments + 1,
    }
    return max(1, known.get(label, OTHER_LABEL_VALUES))


def _cells(spec: Spec, feature: Feature) -> int:
    """Return the maximum number of cells of a feature.

    For numbers: with up to twice as many distinct values as quantile cells, one cell per value and one for values not in
    the reference. With more, each value that fills a cell by itself, and each range between two of these: fewer than that.
    """
    if feature.type is FeatureType.BOOLEAN:
        return _BOOLEAN_CELLS
    if feature.type is FeatureType.CATEGORICAL:
        return _CATEGORY_CELLS
    return 2 * (feature.bins or spec.reference.bins) + 1


def _statuses(contract: Contract) -> dict[str, type[StrEnum]]:
    """Return the statuses of those families whose statuses differ from a feature's."""
    return {contract.name("skew_status"): SkewStatus, contract.name("concept_status"): ConceptStatus}


def _features(contract: Contract, family: Family) -> int:
    """Return the features of a family: those to which a statistic applies, or that are compared by it as skew, otherwise all."""
    features = contract.spec.features.values()
    for statistic in STATISTICS:
        if family.name in {contract.name(drift.name) for drift in statistic.families()}:
            return sum(statistic.suits(feature.type) for feature in features)
        if family.name in {contract.name(f"skew_{statistic.name}{end}") for end in ("", "_critical_value")}:
            return sum(feature.skew == statistic.name for feature in features)
    return len(features)


def _instances(spec: Spec, producer: Producer) -> int:
    """Return the number of publishing processes; both the service and the exporter publish their own CPU and memory."""
    serving, exporter = max(1, len(spec.serving.targets)), max(1, len(spec.exporter.targets))
    return {Producer.SERVING: serving, Producer.EXPORTER: exporter}.get(producer, serving + exporter)


# ---------------------------------------------------------------- storage


def _metrics(spec: Spec, families: Iterable[FamilySeries]) -> Iterator[Storage]:
    interval = seconds(spec.telemetry.scrape_interval)
    counted = {Producer.SERVING: 0, Producer.EXPORTER: 0, Producer.PROCESS: 0}
    for family in families:
        counted[family.producer] += family.series
    for producer, series in counted.items():
        if series:
            per_day = series * POINT_BYTES * _DAY_SECONDS / interval
            how = f"{series:,} series x {_DAY_SECONDS / interval:,.0f} points x {POINT_BYTES} B"
            yield _storage(spec, SignalType.METRIC, f"{producer} metrics", per_day, how)


def _sampled(spec: Spec, predictions_per_day: int) -> Iterator[Storage]:
    """Yield logs, traces and kept predictions: as declared in the spec, otherwise one of each."""
    telemetry = spec.telemetry
    usual = {
        SignalType.LOG: telemetry.log_sample_rate,
        SignalType.TRACE: telemetry.trace_sample_rate,
        SignalType.PREDICTION: telemetry.prediction_sample_rate,
    }
    for kind, rate in usual.items():
        declared = {name: signal for name, signal in telemetry.signals.items() if signal.type is kind}
        for name, signal in (declared or {f"{kind}s": TelemetrySignal(type=kind)}).items():
            share = rate if signal.sample_rate is None else signal.sample_rate
            per_day = predictions_per_day * share * EVENT_BYTES[kind]
            how = f"{predictions_per_day:,} predictions x {share * 100:g} % x {EVENT_BYTES[kind]:,} B"
            yield _storage(spec, kind, name, per_day, how)


def _storage(spec: Spec, kind: SignalType, name: str, per_day: float, counted: str) -> Storage:
    hot, warm, cold = _tier_days(spec)
    return Storage(
        type=kind,
        name=name,
        per_day=per_day,
        hot=hot * per_day,
        warm=warm * per_day,
        cold=cold * per_day,
        counted=counted,
    )


def _tier_days(spec: Spec) -> tuple[float, float, float]:
    """Return the days of telemetry on each tier: data that leaves one moves to the next."""
    retention = spec.telemetry.retention
    hot, warm, cold = (seconds(age) / _DAY_SECONDS for age in (retention.hot, retention.warm, retention.cold))
    return hot, warm - hot, cold - warm


def _assumptions(spec: Spec) -> Iterator[str]:
    retention = spec.telemetry.retention
    yield f"{POINT_BYTES} B per point of a series, scraped every {spec.telemetry.scrape_interval}; no compression."
    yield "500 B per log line, 2,000 B per trace, 4,000 B per prediction kept in full."
    yield (
        f"Telemetry is hot until it is {retention.hot} old, warm until {retention.warm}, cold until "
        f"{retention.cold}; nothing is downsampled."
    )
    yield (
        f"{MODEL_VERSIONS} versions of the model at a time, {GPUS} GPUs per instance, {OTHER_LABEL_VALUES} values "
        "of each label that the spec does not list."
    )
    yield "Series of recording rules and of Prometheus itself are not counted."
