"""Tallies as metric families, for a registry of prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporters.tallies import Reading, Series, merge
from generator.contract import Family, MetricType


class TallyCollector(Collector):
    """The families that have samples, as all processes together have counted them.

    Args:
        families: what is shown, in this order.
        readings: what each process has counted.

    """

    def __init__(self, families: Iterable[Family], readings: Callable[[], Iterable[Reading]]) -> None:
        self._families = tuple(families)
        self._readings = readings

    def describe(self) -> Iterator[Metric]:
        """The families without samples, so that a registry need not read any to know their names."""
        for family in self._families:
            yield _metric(family, {})

    def collect(self) -> Iterator[Metric]:
        """The families that have samples."""
        by_family: dict[str, dict[Series, tuple[float, ...]]] = {}
        for series, numbers in merge(self._readings()).items():
            by_family.setdefault(series.family, {})[series] = numbers
        for family in self._families:
            if found := by_family.get(family.name):
                yield _metric(family, found)


def _metric(family: Family, found: Mapping[Series, tuple[float, ...]]) -> Metric:
    if family.type is MetricType.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [str(floatToGoString(bound)) for bound in (*family.buckets, inf)]  # type: ignore[no-untyped-call]
        for series, (*counts, total) in found.items():
            if len(counts) == len(bounds):  # else of a worker that runs an older spec
                histogram.add_metric(series.labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    kind = CounterMetricFamily if family.type is MetricType.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in _summed(family, found).items():
        metric.add_metric(labels, value)
    return metric


def _summed(family: Family, found: Mapping[Series, tuple[float, ...]]) -> dict[tuple[str, ...], float]:
    """The values by the family's labels, summed over the label that a worker adds to tell its own apart."""
    values: dict[tuple[str, ...], float] = {}
    for series, numbers in found.items():
        labels = series.labels[: len(family.labels)]
        values[labels] = values.get(labels, 0.0) + numbers[0]
    return values
