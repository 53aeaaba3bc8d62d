"""Dates that stand for no date, such as 1970-01-01 or 9999-12-31: of a timestamp feature all else is measured as an age.

The age of a date that never changes moves with the clock: a placeholder in 30 % of reference and window alike would be a
shift in every window. A placeholder therefore has one age for good, that at the end of the reference's rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.reading.columns import Column, Counts, FixedAge, epoch_microseconds

FREQUENT, FEWEST = 0.02, 10
"""A placeholder is at least this share of a feature's values, and at least that many of them."""
_APART = 30 * 86_400_000_000
"""Microseconds to either side of the predictions, in which a date is an age; and of a placeholder, of which it is most."""


def placeholders(column: Column, at: Column) -> tuple[FixedAge, ...]:
    """Return the dates of a reference column that are placeholders, each with the age at which it is counted.

    Args:
        column: the reference values.
        at: when each prediction was made.
    """
    dates, times = (_moments(values) for values in (column, at))
    if not times.size:
        return ()
    values, counts = np.unique(dates, return_counts=True)
    first, last = int(times.min()), int(times.max())
    width = max(_APART, last - first)
    found = standing_out(values, counts.astype(np.int64), width)
    return tuple(FixedAge(date, (last - date) / 1e6) for date in found if date < first - _APART or date > last + _APART)


def standing_out(values: NDArray[np.int64], counts: Counts, width: int = _APART) -> Iterator[int]:
    """Yield dates that are frequent, and more so than all others together that are no further away than `width`.

    Args:
        values: distinct dates in microseconds since 1970, ascending.
        counts: how often each occurs.
        width: in microseconds.
    """
    before = np.concatenate(([0], np.cumsum(counts)))
    for place in np.flatnonzero(counts >= max(FREQUENT * before[-1], FEWEST)).tolist():
        date, count = int(values[place]), int(counts[place])
        near = np.searchsorted(values, [date - width, date + width + 1])
        if 2 * count > before[near[1]] - before[near[0]]:
            yield date


def written(date: int) -> str:
    """Return a date as people write it, with the time of day unless that is midnight."""
    moment = np.datetime64(date, "us")
    day = moment.astype("datetime64[D]")
    return str(day if day == moment else moment.astype("datetime64[s]"))


def _moments(column: Column) -> NDArray[np.int64]:
    """Return the times that are there, in microseconds since 1970."""
    moments: NDArray[np.int64] = epoch_microseconds(column).drop_null().to_numpy()
    return moments
