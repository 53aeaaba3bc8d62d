"""The parts that every report and every view is made of: windows, judged statistics, intervals, samples, lines."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import msgspec

from mlvitals.generator.spec.model import Severity


class Window(msgspec.Struct, frozen=True):
    """An interval of time, start included, end excluded; both aware and in UTC."""

    start: datetime
    end: datetime


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic, the value noise alone exceeds once in 1000 windows, and how bad it is.

    `severity` is None below every threshold or below the critical value.
    """

    value: float
    critical_value: float
    severity: Severity | None = None


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the window that could not be measured, or only in part."""

    path: str
    problem: str


Sample: TypeAlias = tuple[tuple[str, ...], float | None]
"""Label values in the order of the family's labels, and the value; None where it is undefined."""
Samples: TypeAlias = Mapping[str, Iterable[Sample]]
"""Samples of families, by the family's short name."""
Rows: TypeAlias = Iterable[tuple[str, Mapping[str, Any]]]
"""SQL rows without the key of the window: the table's name, and values by column."""


class Line(NamedTuple):
    """A sentence for people, and how bad what it says is; None where it only informs."""

    text: str
    severity: Severity | None = None


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """The 95 % confidence interval of a share or mean."""

    low: float
    high: float


def value_of(measure: Measure | None) -> float | None:
    """Return the statistic; None where it is undefined."""
    return None if measure is None else measure.value


def critical_value_of(measure: Measure | None) -> float | None:
    """Return what noise alone exceeds once in 1000 windows; None where the statistic is undefined."""
    return None if measure is None else measure.critical_value


def unix(moment: datetime | None) -> float | None:
    """Return a Unix timestamp; None of None."""
    return None if moment is None else moment.timestamp()


def single_sample(value: float | None) -> list[Sample]:
    """Return the one sample of a family without labels."""
    return [((), value)]
