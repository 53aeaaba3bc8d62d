"""The parts that every report and every view is made of: windows, judged statistics, intervals, samples, lines."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from mlvitals.generator.errors import without_secrets
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
    """A file of the window that could not be measured, or only in part. It is kept and shown, so it holds no secret."""

    path: str
    problem: str

    def __post_init__(self) -> None:
        """Star out the secrets of addresses: the path may be the one that the spec gives."""
        for field in ("path", "problem"):
            force_setattr(self, field, without_secrets(getattr(self, field)))


class RepeatedRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a window that repeat the id of an earlier one; no statistic counts them."""

    rows: int = 0
    """Rows left out."""
    checked: int = 0
    """Rows whose ids were compared, these included."""
    unchecked: int = 0
    """Rows without a readable id, or with one beyond those that are remembered; all of them are counted."""

    def __add__(self, other: "RepeatedRows") -> "RepeatedRows":
        """Return what was found in both."""
        return RepeatedRows(
            rows=self.rows + other.rows,
            checked=self.checked + other.checked,
            unchecked=self.unchecked + other.unchecked,
        )

    @property
    def ratio(self) -> float | None:
        """Return the share of the checked rows that are repeated; None without any."""
        return self.rows / self.checked if self.checked else None


class FindingKind(StrEnum):
    """The kinds of findings in a window, most named after the policy of `alerts` that says from where they count."""

    NULL_RATE = "null_rate"
    REQUIRED_NULL_RATE = "required_null_rate"
    OUT_OF_RANGE_RATIO = "out_of_range_ratio"
    MEAN_SHIFT = "mean_shift"
    MEDIAN_SHIFT = "median_shift"
    VARIANCE_RATIO = "variance_ratio"
    RANGE_EXCESS = "range_excess"
    INFINITE_RATIO = "infinite_ratio"
    CARDINALITY_CHANGE = "cardinality_change"
    NEW_CATEGORY_RATIO = "new_category_ratio"
    VANISHED_CATEGORIES = "vanished_categories"
    FEATURE_STATUS = "feature_status"
    MANY_FEATURES = "many_features"
    SCORE_PSI = "score_psi"
    SCORE_STATUS = "score_status"
    SCORE_NULL_RATE = "score_null_rate"
    SCORE_OUT_OF_RANGE_RATIO = "score_out_of_range_ratio"
    NEWEST_SCORE_PSI = "newest_score_psi"
    CLASS_PROBABILITY_PSI = "class_probability_psi"
    NEW_COLUMNS = "new_columns"
    WINDOW_TOO_SMALL = "window_too_small"
    LOG_FILES_UNREADABLE = "log_files_unreadable"
    REPEATED_ROWS = "repeated_rows"
    CONCEPT_DRIFT = "concept_drift"
    CONCEPT_UNWATCHED = "concept_unwatched"
    FEEDBACK_RATE = "feedback_rate"
    FEEDBACK_DELAY = "feedback_delay"
    FEEDBACK_REJECTED = "feedback_rejected"
    FEEDBACK_UNREADABLE = "feedback_unreadable"
    LABEL_SHIFT = "label_shift"
    PERFORMANCE_LOSS = "performance_loss"
    CLASS_RECALL = "class_recall"
    UNLISTED_CLASS = "unlisted_class"
    SKEW = "skew"
    SKEW_MISMATCH = "skew_mismatch"
    SKEW_UNMEASURED = "skew_unmeasured"
    SEGMENT_PSI = "segment_psi"
    SEGMENT_GAP = "segment_gap"
    KPI_FLOOR = "kpi_floor"
    EVENTS_LOG_UNREADABLE = "events_log_unreadable"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong in a window, as bad as the alert that the generated rules raise of it."""

    section: str
    """The field of the report that says more, such as ``features`` or ``outcomes``; ``window`` for the whole window."""
    kind: str
    """A `FindingKind`; of a drift statistic its policy in `alerts`, such as ``feature_psi``."""
    severity: Severity
    subject: str = ""
    """The feature, source, segment (``column=value``), KPI or reason; empty where there is only one."""


def found(section: str, kind: str, severity: Severity | None, subject: str = "") -> Iterator[Finding]:
    """Yield a finding; nothing where it is not bad."""
    if severity is not None:
        yield Finding(section=section, kind=kind, severity=severity, subject=subject)


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


def severity_in(measure: Measure | None) -> Severity | None:
    """Return how bad a statistic is; None too where it is undefined."""
    return None if measure is None else measure.severity


def unix(moment: datetime | None) -> float | None:
    """Return a Unix timestamp; None of None."""
    return None if moment is None else moment.timestamp()


def single_sample(value: float | None) -> list[Sample]:
    """Return the one sample of a family without labels."""
    return [((), value)]
