"""What reports of every kind are made of: a stretch of time, a judged figure, a file that could not be read."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from mlvitals.generator.spec.model import Severity


class Window(msgspec.Struct, frozen=True):
    """A stretch of time, begin included, end excluded; both aware and in UTC."""

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


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Where a true share or mean lies with a confidence of 95 %."""

    low: float
    high: float


def value_of(measure: Measure | None) -> float | None:
    return None if measure is None else measure.value


def critical_value_of(measure: Measure | None) -> float | None:
    return None if measure is None else measure.critical_value


def unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def single_sample(value: float | None) -> list[Sample]:
    return [((), value)]
