"""What Prometheus would have scraped from StreamRec in the past, as OpenMetrics with timestamps.

The serving telemetry itself counts the simulated requests, and is read at every scrape. With it go the ages of the
feature sources, which no measurement of the log can tell afterwards, and `up`. The measurements are `mlvitals backfill`'s.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import pi, sin
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from examples.streamrec.service import Service, SimulatedTime
from examples.streamrec.simulate import SOURCES, simulate_hour
from mlvitals.exporters.publish.prometheus import RunState, render_state
from mlvitals.exporters.sections.freshness import Reading
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator.atomic import replacing
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import Spec

_HOUR = timedelta(hours=1)
SPACING = (
    (timedelta(hours=6), timedelta(seconds=15)),
    (timedelta(hours=48), timedelta(seconds=30)),
    (timedelta.max, timedelta(minutes=1)),
)
"""Time between scrapes by how long ago they were: objectives take rates over two minutes, panels over a day less."""
CPU_SECONDS = 0.001
"""Of a prediction."""
MEMORY_BYTES = 150e6
SCRAPE_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Instances:
    """The addresses that scrapes put into the label `instance`."""

    serving: str
    exporter: str


def write_past(
    spec: Spec, folder: Path, begin: datetime, end: datetime, instances: Instances, *, seed: int
) -> tuple[Path, ...]:
    """Write the scrapes between two moments, both aware, into files of `folder`; give their paths, oldest first.

    Each core simulates its part of the time. At the joints counters begin again at 0, as after a restart.
    """
    parts = max(1, min(os.cpu_count() or 1, (end - begin) // timedelta(days=1)))
    edges = [begin + (end - begin) * number / parts for number in range(parts + 1)]
    files = tuple(folder / f"scrapes-{number}.om" for number in range(parts))
    write = partial(_write_part, spec, instances, seed, end)
    if parts == 1:
        write(files[0], begin, end)
    else:
        # Arrow's threads do not survive a fork.
        with ProcessPoolExecutor(parts, get_context("spawn")) as pool:
            list(pool.map(write, files, edges[:-1], edges[1:]))
    return files


def _write_part(
    spec: Spec, instances: Instances, seed: int, newest: datetime, file: Path, begin: datetime, end: datetime
) -> None:
    series = _Series()
    for moment, metrics in scrapes(spec, list(scrape_times(begin, end, newest)), seed=seed):
        series.add(moment, metrics.serving, {"job": spec.serving_job, "instance": instances.serving})
        series.add(moment, metrics.exporter, {"job": spec.exporter_job, "instance": instances.exporter})
    with replacing(file) as output:
        for line in series.lines():
            output.write(line.encode())


def scrape_times(begin: datetime, end: datetime, newest: datetime) -> Iterator[datetime]:
    """When scrapes happen from `begin` to before `end`: the denser the closer to `newest`."""
    moment = begin
    while moment < end:
        yield moment
        moment += next(spacing for reach, spacing in SPACING if newest - moment <= reach)


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one scrape of each process finds."""

    serving: tuple[Metric, ...]
    exporter: tuple[Metric, ...]


def scrapes(spec: Spec, times: Sequence[datetime], *, seed: int) -> Iterator[tuple[datetime, Scraped]]:
    """Serve the simulated requests, and scrape at the given times, which ascend."""
    telemetry = PredictionTelemetry(spec, CollectorRegistry())
    service = Service(telemetry, SimulatedTime(times[0], 1), Path(), (), seed=seed)
    contract = Contract(spec)
    before, served = times[0], 0
    for hour, part in _by_hour(times):
        rows = simulate_hour(hour, seed=seed)
        milliseconds: Sequence[Any] = rows["timestamp"].cast(pa.int64()).to_pylist()
        for moment in (*part, hour + _HOUR):
            if moment > before:
                first, last = (bisect_left(milliseconds, _milliseconds(edge)) for edge in (before, moment))
                service.publish(rows.slice(first, last - first), before, moment)
                served, before = served + last - first, moment
            if moment < hour + _HOUR:
                serving = (*telemetry.registry.collect(), *_process(served, moment))
                # How many series the exporter published is not known here: most of them are `mlvitals backfill`'s.
                yield (
                    moment,
                    Scraped((_samples(serving), *_scrape(), *serving), (*_scrape(), *_sources(contract, moment))),
                )


def _by_hour(times: Sequence[datetime]) -> Iterator[tuple[datetime, Sequence[datetime]]]:
    """The full hours that the times lie in, each with its times."""
    hour = times[0].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    index = 0
    while index < len(times):
        following = bisect_left(times, hour + _HOUR, lo=index)
        yield hour, times[index:following]
        index, hour = following, hour + _HOUR


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _scrape() -> Iterator[Metric]:
    """Yield the metrics that Prometheus records of a successful scrape."""
    yield GaugeMetricFamily("up", "1 if the last scrape succeeded.", value=1)
    yield GaugeMetricFamily("scrape_duration_seconds", "Duration of the last scrape.", value=SCRAPE_SECONDS)


def _samples(found: Sequence[Metric]) -> Metric:
    samples = sum(len(metric.samples) for metric in found)
    return GaugeMetricFamily("scrape_samples_scraped", "Samples of the last scrape.", value=samples)


def _process(served: int, moment: datetime) -> Iterator[Metric]:
    """Processor time and memory as a serving process has them; those of this program tell nothing of its past."""
    yield CounterMetricFamily("process_cpu_seconds", "Processor time used.", value=CPU_SECONDS * served)
    day = moment.timestamp() % 86400 / 86400
    yield GaugeMetricFamily(
        "process_resident_memory_bytes", "Memory in use.", value=MEMORY_BYTES * (1 + 0.05 * sin(2 * pi * day))
    )


def _sources(contract: Contract, moment: datetime) -> Iterator[Metric]:
    """The ages of the sources, as the exporter publishes them: StreamRec marks all of them at every tick."""
    readings = {source: Reading(moment) for source in SOURCES}
    page = render_state(contract, RunState(), readings, moment).decode()
    ages = contract.name("data_freshness")
    return (metric for metric in text_string_to_metric_families(page) if metric.name.startswith(ages))


class _Series:
    """Samples by family and series, for OpenMetrics wants all samples of a series together."""

    def __init__(self) -> None:
        self._heads: dict[str, str] = {}
        self._lines: dict[str, dict[str, list[str]]] = {}

    def add(self, moment: datetime, metrics: Iterable[Metric], labels: dict[str, str]) -> None:
        """Add what was found at a moment."""
        time = f"{moment.timestamp():.3f}"
        for metric in metrics:
            self._heads[metric.name] = f"# HELP {metric.name} {_escaped(metric.documentation)}\n"
            self._heads[metric.name] += f"# TYPE {metric.name} {metric.type}\n"
            family = self._lines.setdefault(metric.name, {})
            for sample in metric.samples:
                name = _series_name(sample, labels)
                family.setdefault(name, []).append(f"{name} {sample.value!r} {time}\n")

    def lines(self) -> Iterator[str]:
        """The text, piece by piece."""
        for family, series in self._lines.items():
            yield self._heads[family]
            for lines in series.values():
                yield "".join(lines)
        yield "# EOF\n"


def _series_name(sample: Sample, labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in {**sample.labels, **labels}.items())
    return f"{sample.name}{{{inside}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
