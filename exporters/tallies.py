"""The numbers behind a serving application's metrics: one array of floats a process."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import NamedTuple, TypeAlias

from generator.contract import MetricType

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
    """What a process has counted."""

    live: bool
    """False: the process has ended. Its counts remain, its gauges say nothing any more."""
    values: Mapping[Series, tuple[float, ...]]


class Tally:
    """The numbers of a process that serves alone."""

    def __init__(self) -> None:
        self._memory = array("d")
        self.values: Numbers = self._memory
        """All numbers; `place` says where a series has its own. May become another object when a series is added."""
        self._places: dict[Series, int] = {}

    def place(self, series: Series) -> int:
        """Where the numbers of a series begin; a new one begins with zeros."""
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
        """What this process has counted."""
        places = dict(self._places)  # before the values: they hold whatever has a place
        return {series: tuple(self.values[place : place + series.width]) for series, place in places.items()}

    def readings(self) -> list[Reading]:
        """What every process of the application has counted."""
        return [Reading(True, self.own())]

    def abandon(self) -> None:
        """Let go, in a forked process, of what the parent goes on with."""

    def _next_place(self) -> int:
        last, place = next(reversed(self._places.items()), (None, 0))
        return place + last.width if last else 0

    def _add(self, series: Series, place: int) -> None:
        self._memory.extend([0.0] * series.width)


def merge(readings: Iterable[Reading]) -> dict[Series, tuple[float, ...]]:
    """The numbers of the application: counts of all processes added up, gauges as a living one set them last."""
    merged: dict[Series, tuple[float, ...]] = {}
    for reading in readings:
        for series, numbers in reading.values.items():
            before = merged.get(series, (0.0,) * series.width)
            if series.type is not MetricType.GAUGE:
                merged[series] = tuple(map(add, before, numbers))
            elif reading.live and numbers[1] > before[1]:  # one that was never set is left out
                merged[series] = numbers
    return merged
