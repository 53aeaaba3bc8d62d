"""Conditioned references: how much each hour of the day or week of the reference counts for a window."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.parts import Window
from mlvitals.generator.spec.model import Condition


def condition_weights(
    condition: Condition, window: Window, span: Window, with_rows: Collection[str] | None = None
) -> dict[str, float]:
    """Return how much a row of each condition key weighs in what a window is compared with; the largest weight is 1.

    A row weighs by the time for which the window covers its key, over the hours for which the training data do.
    Twice covered weighs twice, half covered half; and what the training data cover more often than other hours is
    not expected more often for it. A window that covers all keys alike, such as 24 h of any alignment with
    hour_of_day, gives all the same weight. Hours and days are those of UTC.

    Args:
        condition: what the reference is conditioned on, not none.
        window: what is to be compared.
        span: the time that the training data cover; hours that it touches count in full.
        with_rows: the keys of which the training data hold rows; default all that the span covers. A shop that is
            closed at night has none of the night, and a window that covers all keys alike is not to expect any.

    Returns:
        A weight for each key the window covers; nothing where the training data lack one of them.
    """
    hours = Window(_floor(span.start), _floor(span.end - timedelta(microseconds=1)) + _HOUR)
    covered, trained = _coverage(condition, window), _coverage(condition, hours)
    keys = np.flatnonzero(covered)
    if not keys.size or not trained[keys].all():
        return {}
    weights = covered[keys] / trained[keys]
    found = dict(zip(map(str, keys.tolist()), (weights / weights.max()).tolist(), strict=True))
    covers_all_alike = len(found) == _KEYS[condition] and min(found.values()) == 1
    if with_rows is not None and not covers_all_alike and not found.keys() <= {*with_rows}:
        return {}
    return found


def _coverage(condition: Condition, window: Window) -> NDArray[np.float64]:
    """Return for how many microseconds an interval covers each condition key. Whole weeks cover all of them alike."""
    keys = _KEYS[condition]
    weeks, rest = divmod(window.end - window.start, _WEEK)
    first = (window.start - _EPOCH) // _MICROSECOND
    last, hour = first + rest // _MICROSECOND, _HOUR // _MICROSECOND
    starts = np.arange(first // hour, -(-last // hour)) * hour
    parts = np.minimum(starts + hour, last) - np.maximum(starts, first)
    whole = np.full(keys, weeks * (_WEEK // _MICROSECOND) / keys)
    return whole + np.bincount(hour_key(condition, starts // 1_000_000), parts, minlength=keys)


def _floor(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _HOUR, _WEEK = timedelta(microseconds=1), timedelta(hours=1), timedelta(weeks=1)
_KEYS = {Condition.HOUR_OF_DAY: 24, Condition.DAY_OF_WEEK: 7, Condition.HOUR_OF_WEEK: 168}


def hour_key(condition: Condition, seconds: Any) -> Any:
    """Return hour of the day 0..23, weekday 0..6 from Monday, or hour of the week 0..167 of Unix seconds, in UTC."""
    hour = seconds // 3600
    if condition is Condition.HOUR_OF_DAY:
        return hour % 24
    hour_of_week = (hour + 3 * 24) % 168  # Unix time started on a Thursday
    return hour_of_week // 24 if condition is Condition.DAY_OF_WEEK else hour_of_week
