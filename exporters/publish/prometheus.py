"""Measurements as the Prometheus text format: every exporter family of the contract, and nothing else.

What changes only with a window is rendered and compressed once for the window (`render_window`, `packed`); what
changes with every run or with the clock is rendered at each scrape (`render_state`). A metric that is undefined has
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

from mlvitals.exporters.parts import Sample, Samples, single_sample, unix
from mlvitals.exporters.sections.changes import Change
from mlvitals.exporters.sections.changes import gauges as change_gauges
from mlvitals.exporters.sections.events.views import total_samples
from mlvitals.exporters.sections.features.views import info_gauges
from mlvitals.exporters.sections.freshness import Reading
from mlvitals.exporters.sections.freshness import gauges as freshness_gauges
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.sections import SECTIONS
from mlvitals.generator.contract import Contract, MetricType, Producer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the exporter's runs so far."""

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
    """Return the whole exposition at a moment."""
    return render_window(contract, report) + render_state(contract, state, freshness, now, changes)


def render_window(contract: Contract, report: WindowReport | None, totals: Mapping[str, float] | None = None) -> bytes:
    """Return the families that change with a window; without one only the features and totals of events are known."""
    return _text(contract, {**samples_of_window(contract, report), **total_samples(contract, totals or {})})


def families_of_window(contract: Contract, report: WindowReport) -> list[Metric]:
    """Return what `render_window` writes of a window, before it is text."""
    return _families(contract, samples_of_window(contract, report))


def samples_of_window(contract: Contract, report: WindowReport | None) -> dict[str, Iterable[Sample]]:
    """Return what `render_window` writes, by the family's short name."""
    samples = {**info_gauges(contract)}
    if report is not None:
        samples |= _window_samples(report)
        for section in SECTIONS:
            samples |= section.gauges_of(contract, report)
    return samples


def packed(text: bytes) -> bytes:
    """Return text as a gzip member: successive members decompress to their successive texts (RFC 1952)."""
    return gzip.compress(text, compresslevel=1, mtime=0)


def render_state(
    contract: Contract,
    state: RunState,
    freshness: Mapping[str, Reading],
    now: datetime,
    changes: Iterable[Change] = (),
    more: Samples | None = None,
) -> bytes:
    """Render the exporter's own health, the age of each feature source at `now`, the changes recorded, and `more`."""
    samples = {
        **run_gauges(state),
        **freshness_gauges(contract, freshness, now),
        **change_gauges(changes),
        **(more or {}),
    }
    return _text(contract, samples)


def _window_samples(report: WindowReport) -> dict[str, Iterable[Sample]]:
    return {
        "window_start_timestamp_seconds": single_sample(report.window.start.timestamp()),
        "window_end_timestamp_seconds": single_sample(report.window.end.timestamp()),
        "window_rows": single_sample(report.rows),
        "window_repeated_ratio": single_sample(report.repeated.ratio if report.repeated else None),
        "log_files_unreadable": single_sample(len({problem.path for problem in report.problems})),
        "reference_info": [((report.reference_version,), 1)],
        "reference_created_timestamp_seconds": single_sample(report.reference_created.timestamp()),
    }


def run_gauges(state: RunState) -> Samples:
    """Return what is known of the exporter's own runs."""
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
    """Return the families that have samples, in the contract's order."""
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
