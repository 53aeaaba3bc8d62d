"""What reports of every kind are made of: a stretch of time, a judged figure, a file that could not be read."""

from datetime import datetime

import msgspec

from generator.spec.model import Severity


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
