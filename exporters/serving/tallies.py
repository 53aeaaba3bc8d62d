"""The numbers behind a serving application's metrics: one array of floats a process."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from operator import add
from typing import NamedTuple, TypeAlias

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mlvitals.generator.contract import Family, MetricType

Numbers: TypeAlias = "array[float] | memoryview[float]"


class Series(NamedTuple):
    """One series of a family; a histogram with all its buckets is one."""

    family: str
    labels: tuple[str, ...]
    type: MetricType
    width: int
    """Numbers it holds. Counter: its value. Gauge: its value and when it was set, 0 for not at all. Histogram: the
    observations of each bucket, not cumulated, and their sum."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The counts of a process."""

    live: bool
    """False: the process has ended. Its counts remain, its gauges say nothing any more."""
    values: Mapping[Series, tuple[float, ...]]
    unreadable: int = 0
    """Files and lines that could not be read, and were left out."""


class Tally:
    """The numbers of a process that serves alone."""

    name = ""
    """Distinguishes this process from all others of the application that are alive."""

    def __init__(self) -> None:
        self._memory = array("d")
        self.values: Numbers = self._memory
        """All numbers; `place` says where a series has its own. May become another object when a series is added."""
        self._places: dict[Series, int] = {}
        self.unstored = 0
        """Series that could not be stored where all processes see them; whoever handles it sets it to 0 again."""

    def place(self, series: Series) -> int:
        """Return where the numbers of a series start; a new one starts with zeros."""
        place = self._places.get(series)
        if place is None:
            place = self._next_place()
            self._add(series, place)
            self._places[series] = place
        return place

    def set(self, series: Series, value: float, at: float) -> None:
        """Set a gauge at a Unix time."""
        place = self.place(series)
        self.values[place], self.values[place + 1] = value, at

    def own(self) -> dict[Series, tuple[float, ...]]:
        """Return what this process has counted."""
        places = dict(self._places)  # before the values: they hold whatever has a place
        return {series: tuple(self.values[place : place + series.width]) for series, place in places.items()}

    def readings(self) -> list[Reading]:
        """Return what every process of the application has counted."""
        return [Reading(True, self.own())]

    def all_series(self) -> frozenset[Series]:
        """Return the series that any process of the application has."""
        return frozenset(self._places)

    def problem(self) -> str:
        """Return why other processes of the application do not see what is counted here; empty while they do."""
        return ""

    def take_over(self, earlier: Mapping[Series, tuple[float, ...]]) -> None:
        """Add what was counted in another tally, and set its gauges."""
        for series, numbers in earlier.items():
            if series.type is MetricType.GAUGE:
                self.set(series, *numbers)
                continue
            place = self.place(series)
            for offset, number in enumerate(numbers):
                self.values[place + offset] += number

    def abandon(self) -> None:
        """Let go, in a forked process, of what the parent goes on with."""

    def _next_place(self) -> int:
        last, place = next(reversed(self._places.items()), (None, 0))
        return place + last.width if last else 0

    def _add(self, series: Series, place: int) -> None:
        self._memory.extend([0.0] * series.width)


def merge(readings: Iterable[Reading]) -> dict[Series, tuple[float, ...]]:
    """Return the numbers of the application: counts of all processes added up, gauges as a living one set them last."""
    merged: dict[Series, tuple[float, ...]] = {}
    for reading in readings:
        for series, numbers in reading.values.items():
            before = merged.get(series, (0.0,) * series.width)
            if series.type is not MetricType.GAUGE:
                merged[series] = tuple(map(add, before, numbers))
            elif reading.live and numbers[1] > before[1]:  # one that was never set is left out
                merged[series] = numbers
    return merged


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
        """Yield the families without samples, so that a registry need not read any to know their names."""
        for family in self._families:
            yield _metric(family, {})

    def collect(self) -> Iterator[Metric]:
        """Yield the families that have samples."""
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
    """Return the values by the family's labels, summed over the label that a worker adds to mark its own."""
    values: dict[tuple[str, ...], float] = {}
    for series, numbers in found.items():
        labels = series.labels[: len(family.labels)]
        values[labels] = values.get(labels, 0.0) + numbers[0]
    return values
