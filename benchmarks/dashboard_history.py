"""Thirty days of what a system publishes, made up, as OpenMetrics: for looking at dashboards and timing their queries.

What the exporter measures comes from `mlvitals backfill`; everything else is made up here, plausible, smooth and
deterministic, with one feature that drifts within the last day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from mlvitals.generator.contract import SCORE_BUCKETS, TOTAL_STAGE, Contract, latency_buckets
from mlvitals.generator.promql import selector
from mlvitals.generator.signals.building import Ranking, thinned_by_feature
from mlvitals.generator.spec.model import KpiKind, Spec

DAY = 86_400.0
_OLD, _NEW = "2026.10", "2026.11"
_DEPLOYED = 0.6
"""The share of the history after which the newer model answers."""


@dataclass(frozen=True, slots=True)
class Moments:
    """When samples are taken: every `step` seconds from `begin` to `end`, in Unix time."""

    begin: float
    end: float
    step: float

    def times(self) -> Iterator[int]:
        """The moments."""
        count = int((self.end - self.begin) / self.step)
        return (round(self.begin + index * self.step) for index in range(count + 1))

    @property
    def deployed(self) -> float:
        """When the newer model began to answer."""
        return self.begin + _DEPLOYED * (self.end - self.begin)


Curve = Callable[[float], float | None]
"""A value at a time; None where there is no sample."""
Series = tuple[Mapping[str, str], Curve]


def traffic(time: float) -> float:
    """Predictions a second: more in the evening, fewer at night, most on Saturday."""
    return (
        2.0
        * (1 + 0.6 * math.sin(2 * math.pi * (time / DAY - 0.55)))
        * (1 + 0.15 * math.sin(2 * math.pi * time / DAY / 7))
    )


def asked(time: float) -> float:
    """Predictions since the epoch, the integral of a mean of `traffic` and of its daily rhythm."""
    return 2.0 * time - 1.2 * DAY / (2 * math.pi) * math.cos(2 * math.pi * (time / DAY - 0.55))


def write(file: Path, spec: Spec, moments: Moments) -> int:
    """Write what the application publishes, the sources' age, alerts and budgets; gives the number of samples."""
    return _written(file, _families(spec, moments), moments)


def write_record(file: Path, spec: Spec, moments: Moments, short: str) -> int:
    """Write what panels of the worst features read of one figure, such as ``drift_psi``; gives the number of samples."""
    thinned, peaks = Ranking(thinned_by_feature(Contract(spec).name(short))).records
    series = [({"feature_name": feature}, _hourly(feature)) for feature in spec.features]
    often = (thinned.name, "gauge", iter(series))
    hourly = (peaks.name, "gauge", ((labels, _on_the_hour(curve, moments.step)) for labels, curve in series))
    return _written(file, iter([often, hourly]), moments)


def _written(file: Path, families: Iterator[tuple[str, str, Iterator[Series]]], moments: Moments) -> int:
    with file.open("wb") as output:
        count = sum(_write_family(output, *family, moments) for family in families)
        output.write(b"# EOF\n")
    return count


def _write_family(output: BinaryIO, name: str, kind: str, series: Iterator[Series], moments: Moments) -> int:
    # OpenMetrics names a counter's family without the suffix that its samples have.
    output.write(f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}\n".encode())
    written = 0
    for labels, curve in series:
        named = selector(name, **labels)
        lines = [f"{named} {value:.15g} {time}\n" for time in moments.times() if (value := curve(time)) is not None]
        output.write("".join(lines).encode())
        written += len(lines)
    return written


def _families(spec: Spec, moments: Moments) -> Iterator[tuple[str, str, Iterator[Series]]]:
    contract = Contract(spec)
    yield "up", "gauge", ((labels, lambda _: 1.0) for labels in _targets(spec))
    yield "scrape_samples_scraped", "gauge", ((labels, lambda _: 2400.0) for labels in _targets(spec))
    yield "scrape_duration_seconds", "gauge", ((labels, lambda _: 0.03) for labels in _targets(spec))
    yield from _alerts(spec, moments)
    yield from _budgets(spec, moments)
    if spec.serving.enabled:
        yield from _serving(spec, contract, moments)
    for short in ("data_freshness_seconds", "data_freshness_timestamp_seconds"):
        if contract.name(short) in contract.by_name:
            yield contract.name(short), "gauge", _freshness(spec, contract.name(short).endswith("timestamp_seconds"))
    if spec.sources:
        yield contract.name("data_freshness_max_age_seconds"), "gauge", _limits(spec)


def _targets(spec: Spec) -> Iterator[dict[str, str]]:
    if spec.serving.enabled:
        yield {"job": spec.serving_job, "instance": "streamrec:8000"}
    yield {"job": spec.exporter_job, "instance": "exporter:9108"}


def _alerts(spec: Spec, moments: Moments) -> Iterator[tuple[str, str, Iterator[Series]]]:
    """The watchdog always, and the drift of one feature within the last day."""
    feature, info = next(iter(spec.features.items()))
    begin = moments.end - 0.8 * DAY
    system = {"system": spec.system.name, "team": spec.system.team}
    watchdog = {
        "alertname": "MLWatchdog",
        "severity": "none",
        "layer": "monitoring",
        "incident": "monitoring",
        **system,
    }
    of_feature = {"feature_name": feature, "feature_source": info.source or "", "incident": "feature-drift", **system}
    drift = {"alertname": "MLFeatureDrift", "severity": "critical", "layer": "model", **of_feature}
    ranged = {"alertname": "MLFeatureOutOfRange", "severity": "warning", "layer": "data", **of_feature}

    def since(start: float, value: Curve) -> Curve:
        return lambda time: value(time) if time >= start else None

    firing = [(watchdog, moments.begin), (drift, begin), (ranged, begin)]
    yield (
        "ALERTS",
        "gauge",
        (({**labels, "alertstate": "firing"}, since(start, lambda _: 1.0)) for labels, start in firing),
    )
    yield (
        "ALERTS_FOR_STATE",
        "gauge",
        ((labels, since(start, lambda _, start=start: start)) for labels, start in firing),
    )


def _budgets(spec: Spec, moments: Moments) -> Iterator[tuple[str, str, Iterator[Series]]]:
    """Budgets as their rules would have recorded them: one lost at the end, the others spent a little."""

    def of(value: Callable[[int, float], float]) -> Iterator[Series]:
        for place, name in enumerate(spec.slos):
            labels = {"sloth_id": f"{spec.system.name}-{name}", "sloth_service": spec.system.name, "sloth_slo": name}
            yield labels, lambda time, place=place: value(place, time)

    def left(place: int, time: float) -> float:
        last = max(0.0, time - (moments.end - 0.8 * DAY)) / DAY
        return 0.97 - 0.12 * place + 0.05 * math.sin(time / DAY) - (1.2 * last if place == len(spec.slos) - 1 else 0)

    def burning(place: int, time: float) -> float:
        return (
            0.3
            + 0.2 * math.sin(time / 9_000 + place)
            + (8 if place == len(spec.slos) - 1 and time > moments.end - 0.8 * DAY else 0)
        )

    objectives = [slo.objective for slo in spec.slos.values()]
    yield "slo:objective:ratio", "gauge", of(lambda place, _: objectives[place])
    yield "slo:error_budget:ratio", "gauge", of(lambda place, _: 1 - objectives[place])
    yield "slo:period_error_budget_remaining:ratio", "gauge", of(left)
    yield "slo:current_burn_rate:ratio", "gauge", of(burning)
    yield "slo:period_burn_rate:ratio", "gauge", of(lambda place, time: 1 - left(place, time))
    for window in ("5m", "1h", "6h", "1d", "3d"):
        yield (
            f"slo:sli_error:ratio_rate{window}",
            "gauge",
            of(lambda place, time: (1 - objectives[place]) * burning(place, time)),
        )


def _serving(spec: Spec, contract: Contract, moments: Moments) -> Iterator[tuple[str, str, Iterator[Series]]]:
    target = {"job": spec.serving_job, "instance": "streamrec:8000"}
    started = asked(moments.begin - DAY)

    def answered(version: str, share: float = 1.0) -> Curve:
        def curve(time: float) -> float | None:
            if (time >= moments.deployed) is not (version == _NEW):
                return None
            return share * (asked(time) - started)

        return curve

    versions = [(version, {**target, "model_version": version}) for version in (_OLD, _NEW)]
    endpoints, stages = spec.serving.endpoints, (TOTAL_STAGE, *spec.serving.stages)
    yield (
        contract.name("predictions_total"),
        "counter",
        (
            ({**labels, "endpoint": endpoint}, answered(version, 1 / len(endpoints)))
            for version, labels in versions
            for endpoint in endpoints
        ),
    )
    yield (
        contract.name("prediction_errors_total"),
        "counter",
        (
            ({**labels, "error_type": kind}, answered(version, 0.0002))
            for version, labels in versions
            for kind in spec.serving.error_types
        ),
    )
    for suffix, series in _histogram(versions, answered, latency_buckets(spec), "stage", stages):
        yield f"{contract.name('prediction_latency_seconds')}_{suffix}", "gauge", series
    for suffix, series in _histogram(versions, answered, SCORE_BUCKETS, "", ("",)):
        yield f"{contract.name('prediction_score')}_{suffix}", "gauge", series
    info = (({**labels, "framework": "numpy"}, answered(version)) for version, labels in versions)
    yield contract.name("model_info"), "gauge", ((labels, _one_where(curve)) for labels, curve in info)
    trained = {_OLD: moments.begin - 5 * DAY, _NEW: moments.deployed - DAY}
    yield (
        contract.name("model_trained_timestamp_seconds"),
        "gauge",
        ((labels, _where(answered(version), trained[version])) for version, labels in versions),
    )
    if spec.serving.gpu:
        gpu = {**target, "gpu": "0"}
        yield contract.name("gpu_utilization_ratio"), "gauge", iter([(gpu, lambda time: 0.15 + 0.12 * traffic(time))])
    yield "process_cpu_seconds_total", "counter", iter([(target, lambda time: 0.02 * (asked(time) - started))])
    yield "process_resident_memory_bytes", "gauge", iter([(target, lambda time: 4e8 + 2e7 * math.sin(time / DAY))])
    unique = {
        name: 0.42 if name == kpi.numerator else 1.0
        for kpi in spec.business.kpis.values()
        if kpi.kind is KpiKind.UNIQUE
        for name in (kpi.numerator, kpi.denominator)
    }
    rates = {
        "clicks": 0.11,
        "starts": 0.3,
        "completions": 0.18,
        "sessions": 0.05,
        "session_length": 31.0,
        "revenue": 0.02,
    }
    for event in spec.business.events:
        if event in unique:
            share = unique[event]
            yield (
                contract.name(event),
                "gauge",
                iter([(target, lambda time, share=share: 5000 * share + 90 * math.sin(time / 9e3))]),
            )
        else:
            rate = rates.get(event, 1.0)
            yield (
                contract.event(event),
                "counter",
                iter([(target, lambda time, rate=rate: rate * (asked(time) - started))]),
            )


def _histogram(
    versions: list[tuple[str, dict[str, str]]],
    answered: Callable[[str, float], Curve],
    bounds: tuple[float, ...],
    label: str,
    members: tuple[str, ...],
) -> Iterator[tuple[str, Iterator[Series]]]:
    """A histogram's samples; written as gauges, for promtool wants whole histograms side by side."""
    each = [
        (version, {**labels, **({label: member} if label else {})}, place)
        for version, labels in versions
        for place, member in enumerate(members)
    ]

    def below(bound: float, place: int) -> float:
        scale = bounds[-1] / (55 if label else 2.5) / (1 if place == 0 else 1.5 + place)
        return 1 - math.exp(-((bound / scale) ** 1.6))

    yield (
        "bucket",
        (
            (
                {**labels, "le": "+Inf" if bound is None else repr(bound)},
                answered(version, 1.0 if bound is None else below(bound, place)),
            )
            for version, labels, place in each
            for bound in (*bounds, None)
        ),
    )
    yield "count", ((labels, answered(version, 1.0)) for version, labels, _ in each)
    yield "sum", ((labels, answered(version, 0.03)) for version, labels, _ in each)


def _one_where(curve: Curve) -> Curve:
    return _where(curve, 1.0)


def _where(curve: Curve, value: float) -> Curve:
    return lambda time: None if curve(time) is None else value


def _freshness(spec: Spec, as_time: bool) -> Iterator[Series]:
    for place, name in enumerate(spec.sources):
        limit = 3600.0 * (place + 1)
        yield (
            {"feature_source": name, "job": spec.exporter_job, "instance": "exporter:9108"},
            lambda time, limit=limit: time - time % limit * 0.8 if as_time else time % limit * 0.8,
        )


def _limits(spec: Spec) -> Iterator[Series]:
    for place, name in enumerate(spec.sources):
        yield (
            {"feature_source": name, "job": spec.exporter_job, "instance": "exporter:9108"},
            lambda _, limit=3600.0 * (place + 1): limit,
        )


def _on_the_hour(curve: Curve, step: float) -> Curve:
    return lambda time: curve(time) if time % 3600 < step else None


def _hourly(seed: str) -> Curve:
    """A small value that changes every hour."""
    level = 0.002 + 0.01 * crc32(seed.encode()) / 2**32
    return lambda time: level * (1 + 0.5 * math.sin(37.1 * (time // 3600)))
