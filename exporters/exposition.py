"""Measurements as the Prometheus text format: every exporter family of the contract, and nothing else.

What changes only with a window is rendered and compressed once for the window (`render_window`, `packed`); what
changes with every run or with the clock is rendered at each scrape (`render_state`). A figure that is undefined has
no sample; NaN and infinities are never written.
"""

import gzip
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporters.changes import Change
from exporters.concept_exposition import concept_samples, drift_type_samples
from exporters.event_samples import samples_of_events, samples_of_totals
from exporters.freshness import Reading
from exporters.outcome_samples import samples_of_outcomes
from exporters.report import Bin, CountWindow, FeatureReport, Measure, Quality, SkewReport, WindowReport
from exporters.sample import Sample
from exporters.segment_samples import samples_of_segments
from generator.contract import Contract, MetricType, Producer, SchemaDifferenceKind, SkewStatus, Status
from generator.spec.durations import seconds

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """What the exporter did so far."""

    runs: int = 0
    failures: int = 0
    last_run: datetime | None = None
    last_success: datetime | None = None
    duration_seconds: float | None = None


def render(
    contract: Contract,
    report: WindowReport | None,
    state: RunState,
    freshness: Mapping[str, Reading],
    now: datetime,
    changes: Iterable[Change] = (),
) -> bytes:
    """The whole exposition at a moment."""
    return render_window(contract, report) + render_state(contract, state, freshness, now, changes)


def render_window(contract: Contract, report: WindowReport | None, totals: Mapping[str, float] | None = None) -> bytes:
    """The families that change with a window; without one only the features and totals of events are known."""
    return _text(contract, samples_of_window(contract, report) | samples_of_totals(contract, totals or {}))


def samples_of_window(contract: Contract, report: WindowReport | None) -> dict[str, Iterable[Sample]]:
    """What `render_window` writes, by the family's short name."""
    samples: dict[str, Iterable[Sample]] = {"feature_info": _feature_info(contract)}
    if report is not None:
        samples |= _window_samples(report) | _feature_samples(contract, report)
        if report.skew is not None:
            samples |= _skew_samples(contract, report.skew)
        if report.drift_type is not None:
            samples |= drift_type_samples(report.drift_type)
        if report.concept is not None:
            samples |= concept_samples(report.concept)
        if report.outcomes is not None and contract.spec.prediction_log.outcome is not None:
            samples |= samples_of_outcomes(report.outcomes)
        samples |= samples_of_segments(report.segments)
        if report.events is not None:
            samples |= samples_of_events(contract, report.events)
        if report.score is not None:
            samples |= _score_samples(report.score, contract.spec.exporter.top_bins)
        if report.score_count is not None:
            samples |= _count_window_samples(report.score_count)
    return samples


def packed(text: bytes) -> bytes:
    """Text as a gzip member: members one after another decompress to their texts one after another (RFC 1952)."""
    return gzip.compress(text, compresslevel=1, mtime=0)


def render_state(
    contract: Contract,
    state: RunState,
    freshness: Mapping[str, Reading],
    now: datetime,
    changes: Iterable[Change] = (),
) -> bytes:
    """The families of the exporter's own health, the age of each feature source at `now`, and the changes noted.

    A source whose newest data is unknown has a `max_age` sample and no other: that is how a rule tells it.
    """
    noted = [
        ((change.kind, change.name, change.version, change.author), change.moment.timestamp()) for change in changes
    ]
    samples = samples_of_runs(state) | _freshness_samples(contract, freshness, now)
    return _text(contract, samples | {"change_timestamp_seconds": noted})


def _feature_info(contract: Contract) -> Iterator[Sample]:
    for name, feature in contract.spec.features.items():
        yield (name, feature.source or "", feature.type), 1


def _window_samples(report: WindowReport) -> dict[str, Iterable[Sample]]:
    return {
        "window_start_timestamp_seconds": _single(report.window.start.timestamp()),
        "window_end_timestamp_seconds": _single(report.window.end.timestamp()),
        "window_rows": _single(report.rows),
        "schema_differences": [
            ((kind,), sum(item.kind is kind for item in report.schema_differences)) for kind in SchemaDifferenceKind
        ],
        "log_files_unreadable": _single(len({problem.path for problem in report.problems})),
        "reference_info": [((report.reference_version,), 1)],
        "reference_created_timestamp_seconds": _single(report.reference_created.timestamp()),
    }


def _value(measure: Measure | None) -> float | None:
    return None if measure is None else measure.value


def _critical_value(measure: Measure | None) -> float | None:
    return None if measure is None else measure.critical_value


_FIGURES: dict[str, Callable[[FeatureReport], float | None]] = {
    "feature_rows": lambda feature: feature.rows,
    "feature_null_rate": lambda feature: feature.null_rate,
    "feature_mean": lambda feature: feature.mean,
    "feature_reference_mean": lambda feature: feature.reference_mean,
    "feature_out_of_range_ratio": lambda feature: feature.out_of_range_ratio,
    "drift_psi": lambda feature: _value(feature.psi),
    "drift_psi_critical_value": lambda feature: _critical_value(feature.psi),
    "drift_ks": lambda feature: _value(feature.ks),
    "drift_ks_critical_value": lambda feature: _critical_value(feature.ks),
    "drift_ks_pvalue": lambda feature: feature.ks_pvalue_adjusted,
    "drift_js": lambda feature: _value(feature.js),
    "drift_js_critical_value": lambda feature: _critical_value(feature.js),
}
_QUALITY_FIGURES: dict[str, Callable[[Quality], float | None]] = {
    "feature_mean_shift": lambda quality: _value(quality.mean_shift),
    "feature_mean_shift_critical_value": lambda quality: _critical_value(quality.mean_shift),
    "feature_median_shift": lambda quality: _value(quality.median_shift),
    "feature_median_shift_critical_value": lambda quality: _critical_value(quality.median_shift),
    "feature_variance_ratio": lambda quality: _value(quality.variance_ratio),
    "feature_variance_ratio_critical_value": lambda quality: _critical_value(quality.variance_ratio),
    "feature_range_excess": lambda quality: quality.range_excess,
    "feature_infinite_ratio": lambda quality: quality.infinite_ratio,
    "feature_cardinality_change": lambda quality: _value(quality.cardinality_change),
    "feature_cardinality_change_critical_value": lambda quality: _critical_value(quality.cardinality_change),
    "feature_new_category_ratio": lambda quality: _value(quality.new_category_ratio),
    "feature_new_category_ratio_critical_value": lambda quality: _critical_value(quality.new_category_ratio),
    "feature_vanished_categories": lambda quality: None if quality.vanished is None else len(quality.vanished),
}
_SCORE_FIGURES: dict[str, Callable[[FeatureReport], float | None]] = {
    "prediction_score_rows": lambda score: score.rows,
    "prediction_score_psi": lambda score: _value(score.psi),
    "prediction_score_psi_critical_value": lambda score: _critical_value(score.psi),
    "prediction_score_js": lambda score: _value(score.js),
}
_BIN_FIGURES: dict[str, Callable[[Bin], float]] = {
    "bin_psi": lambda item: item.psi,
    "bin_reference_ratio": lambda item: item.reference,
    "bin_current_ratio": lambda item: item.current,
}


def _feature_samples(contract: Contract, report: WindowReport) -> dict[str, Iterable[Sample]]:
    # A stored report may be older than the spec: only features of the spec are published.
    features = {name: report.features[name] for name in contract.spec.features if name in report.features}
    samples: dict[str, Iterable[Sample]] = {
        short: [((name,), figure(feature)) for name, feature in features.items()] for short, figure in _FIGURES.items()
    }
    for short, of_quality in _QUALITY_FIGURES.items():
        samples[short] = [
            ((name,), of_quality(feature.quality)) for name, feature in features.items() if feature.quality
        ]
    samples["feature_status"] = [
        ((name, status), float(feature.status is status)) for name, feature in features.items() for status in Status
    ]
    for short, figure in _BIN_FIGURES.items():
        samples[f"drift_top_{short}"] = [
            ((name, *labels), figure(item))
            for name, feature in features.items()
            for labels, item in _top_bins(feature, contract.spec.exporter.top_bins)
        ]
        samples[f"drift_{short}"] = [
            ((name, *labels), figure(item)) for name, feature in features.items() for labels, item in _bins(feature)
        ]
    return samples


def _score_samples(score: FeatureReport, top_bins: int) -> dict[str, Iterable[Sample]]:
    samples: dict[str, Iterable[Sample]] = {short: _single(figure(score)) for short, figure in _SCORE_FIGURES.items()}
    samples["prediction_score_status"] = [((status,), float(score.status is status)) for status in Status]
    for short, figure in _BIN_FIGURES.items():
        samples[f"prediction_score_top_{short}"] = [
            (labels, figure(item)) for labels, item in _top_bins(score, top_bins)
        ]
    return samples


def _skew_samples(contract: Contract, skew: SkewReport) -> dict[str, Iterable[Sample]]:
    features = {name: skew.features[name] for name in contract.spec.features if name in skew.features}
    samples: dict[str, Iterable[Sample]] = {
        "skew_offline_rows": _single(skew.offline_rows),
        "skew_mismatch_ratio": [((name,), feature.mismatch_ratio) for name, feature in features.items()],
        "skew_status": [
            ((name, status), float(feature.status is status))
            for name, feature in features.items()
            for status in SkewStatus
        ],
    }
    for measure in {feature.measure for feature in features.values()}:
        found = {name: feature.distance for name, feature in features.items() if feature.measure == measure}
        samples[f"skew_{measure}"] = [((name,), _value(distance)) for name, distance in found.items()]
        samples[f"skew_{measure}_critical_value"] = [
            ((name,), _critical_value(distance)) for name, distance in found.items()
        ]
    return samples


def _count_window_samples(newest: CountWindow) -> dict[str, Iterable[Sample]]:
    span = newest.window.end - newest.window.start
    return {
        "prediction_score_count_rows": _single(newest.report.rows),
        "prediction_score_count_span_seconds": _single(span.total_seconds()),
        "prediction_score_count_psi": _single(_value(newest.report.psi)),
        "prediction_score_count_psi_critical_value": _single(_critical_value(newest.report.psi)),
    }


def _top_bins(feature: FeatureReport, count: int) -> Iterator[tuple[tuple[str, str], Bin]]:
    if feature.psi is not None:
        for rank, item in enumerate(feature.top_bins(count), start=1):
            yield (str(rank), item.label), item


def _bins(feature: FeatureReport) -> Iterator[tuple[tuple[str, str], Bin]]:
    """Every bin; its index has as many digits as the largest, so that sorting by text is the order of the bins."""
    if feature.psi is not None:
        digits = len(str(len(feature.bins) - 1))
        for index, item in enumerate(feature.bins):
            yield (f"{index:0{digits}}", item.label), item


def samples_of_runs(state: RunState) -> dict[str, Iterable[Sample]]:
    """What the exporter tells of its own runs, by the family's short name."""
    return {
        "exporter_runs_total": _single(state.runs),
        "exporter_run_failures_total": _single(state.failures),
        "exporter_last_run_timestamp_seconds": _single(_unix(state.last_run)),
        "exporter_last_success_timestamp_seconds": _single(_unix(state.last_success)),
        "exporter_run_duration_seconds": _single(state.duration_seconds),
    }


def _freshness_samples(
    contract: Contract, freshness: Mapping[str, Reading], now: datetime
) -> dict[str, Iterable[Sample]]:
    sources = contract.spec.sources
    known = {name: freshness[name].newest for name in sources if name in freshness}
    newest = {name: moment for name, moment in known.items() if moment is not None}
    return {
        "data_freshness_seconds": [((name,), (now - moment).total_seconds()) for name, moment in newest.items()],
        "data_freshness_timestamp_seconds": [((name,), moment.timestamp()) for name, moment in newest.items()],
        "data_freshness_max_age_seconds": [((name,), seconds(source.max_age)) for name, source in sources.items()],
        "data_freshness_tolerance_seconds": [((name,), seconds(source.tolerance)) for name, source in sources.items()],
    }


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _single(value: float | None) -> list[Sample]:
    return [((), value)]


class _Families(Collector):
    """Families that are complete already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _text(contract: Contract, samples: Mapping[str, Iterable[Sample]]) -> bytes:
    """The families that have samples, in the contract's order."""
    by_name = {contract.name(short): values for short, values in samples.items()}
    families = []
    for family in contract.of(Producer.EXPORTER):
        kind = CounterMetricFamily if family.type is MetricType.COUNTER else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        for labels, value in by_name.get(family.name, ()):
            if value is not None and math.isfinite(value):
                metric.add_metric(labels, value)
        if metric.samples:
            families.append(metric)
    return generate_latest(_Families(families))
