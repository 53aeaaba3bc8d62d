"""Measurements as the Prometheus text format: every exporter family of the contract, and nothing else.

What changes only with a window is rendered and compressed once for the window (`render_window`, `packed`); what
changes with every run or with the clock is rendered at each scrape (`render_state`). A figure that is undefined has
no sample; NaN and infinities are never written.
"""

import gzip
import math
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlvitals.exporters.parts import Sample, single_sample, unix
from mlvitals.exporters.sections.changes import Change
from mlvitals.exporters.sections.concept.views import concept_samples, drift_type_samples
from mlvitals.exporters.sections.events.views import samples_of_events, samples_of_totals
from mlvitals.exporters.sections.features.views import (
    count_window_samples,
    feature_info_samples,
    feature_samples,
    score_samples,
)
from mlvitals.exporters.sections.freshness import Reading, freshness_samples
from mlvitals.exporters.sections.outcomes.views import samples_of_outcomes
from mlvitals.exporters.sections.segments.views import samples_of_segments
from mlvitals.exporters.sections.skew.views import skew_samples
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract, MetricType, Producer, SchemaDifferenceKind

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


def families_of_window(contract: Contract, report: WindowReport) -> list[Metric]:
    """What `render_window` writes of a window, before it is text."""
    return _families(contract, samples_of_window(contract, report))


def samples_of_window(contract: Contract, report: WindowReport | None) -> dict[str, Iterable[Sample]]:
    """What `render_window` writes, by the family's short name."""
    samples: dict[str, Iterable[Sample]] = {"feature_info": feature_info_samples(contract)}
    if report is not None:
        samples |= _window_samples(report) | feature_samples(contract, report)
        if report.skew is not None:
            samples |= skew_samples(contract, report.skew)
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
            samples |= score_samples(report.score, contract.spec.exporter.top_bins)
        if report.score_count is not None:
            samples |= count_window_samples(report.score_count)
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
    samples = samples_of_runs(state) | freshness_samples(contract, freshness, now)
    return _text(contract, samples | {"change_timestamp_seconds": noted})


def _window_samples(report: WindowReport) -> dict[str, Iterable[Sample]]:
    return {
        "window_start_timestamp_seconds": single_sample(report.window.start.timestamp()),
        "window_end_timestamp_seconds": single_sample(report.window.end.timestamp()),
        "window_rows": single_sample(report.rows),
        "schema_differences": [
            ((kind,), sum(item.kind is kind for item in report.schema_differences)) for kind in SchemaDifferenceKind
        ],
        "log_files_unreadable": single_sample(len({problem.path for problem in report.problems})),
        "reference_info": [((report.reference_version,), 1)],
        "reference_created_timestamp_seconds": single_sample(report.reference_created.timestamp()),
    }


def samples_of_runs(state: RunState) -> dict[str, Iterable[Sample]]:
    """What the exporter tells of its own runs, by the family's short name."""
    return {
        "exporter_runs_total": single_sample(state.runs),
        "exporter_run_failures_total": single_sample(state.failures),
        "exporter_last_run_timestamp_seconds": single_sample(unix(state.last_run)),
        "exporter_last_success_timestamp_seconds": single_sample(unix(state.last_success)),
        "exporter_run_duration_seconds": single_sample(state.duration_seconds),
    }


class _Families(Collector):
    """Families that are complete already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _text(contract: Contract, samples: Mapping[str, Iterable[Sample]]) -> bytes:
    return generate_latest(_Families(_families(contract, samples)))


def _families(contract: Contract, samples: Mapping[str, Iterable[Sample]]) -> list[Metric]:
    """The families that have samples, in the contract's order."""
    by_name = {contract.name(short): values for short, values in samples.items()}
    families: list[Metric] = []
    for family in contract.of(Producer.EXPORTER):
        kind = CounterMetricFamily if family.type is MetricType.COUNTER else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        for labels, value in by_name.get(family.name, ()):
            if value is not None and math.isfinite(value):
                metric.add_metric(labels, value)
        if metric.samples:
            families.append(metric)
    return families
