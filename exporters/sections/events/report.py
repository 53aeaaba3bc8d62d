"""The counts of the events log: the metrics of one step, and what could not be counted."""

from enum import StrEnum

import msgspec

from mlvitals.exporters.parts import FileProblem, Window


class Reject(StrEnum):
    """The reasons why a row could not be counted."""

    UNKNOWN_EVENT = "unknown_event"
    UNNAMED_EVENT = "unnamed_event"
    NULL_AMOUNT = "null_amount"
    UNREADABLE_AMOUNT = "unreadable_amount"
    NEGATIVE_AMOUNT = "negative_amount"
    INFINITE_AMOUNT = "infinite_amount"
    TOO_LARGE_AMOUNT = "too_large_amount"


class EventCount(msgspec.Struct, frozen=True, kw_only=True):
    """One business event in the step."""

    amount: float
    """Its rows, the sum of their amounts where it has a unit, or the distinct values of the window."""
    unit: str | None = None
    total: float | None = None
    """The running total up to the end of the step; None where it is not kept, as of distinct values."""
    remark: str = ""
    """Why the total did not grow by the amount; else empty."""
    rejected: dict[str, int] = {}
    """Rows of the event that were left out, by reason; zeros are left out."""


class EventsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The business events of the step that ends with a window (or the log's delay earlier)."""

    step: Window
    """The interval by which counters grew: the last step of the window, so that no event is counted twice."""
    window: Window
    """The interval in which distinct values are counted."""
    rows: int = 0
    """Rows of the step, rejected ones included."""
    events: dict[str, EventCount] = {}
    """By event of the spec. One that could not be counted, because nothing could be read, is not in here."""
    kpis: dict[str, float] = {}
    """KPIs of these events alone, over this step; one whose denominator is zero is not in here."""
    rejected: dict[str, int] = {}
    """Rows of the step left out, by reason. A row that two events leave out counts twice."""
    unknown_names: dict[str, int] = {}
    """The most frequent names of events that the spec does not know, with their rows."""
    problems: tuple[FileProblem, ...] = ()
