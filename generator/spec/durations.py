"""Durations as Prometheus writes them: ``90s``, ``1h30m``, ``28d``.

A duration stays text in the spec, so that generated files show it as written;
this module is the only place that turns it into seconds and back.
"""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"(\d+)(ms|[smhdw])")

Duration = Annotated[
    str,
    Meta(
        pattern=r"^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$(?!\n)",
        max_length=24,
        description="A duration in Prometheus notation, largest unit first: 15s, 5m, 1h30m, 28d.",
        examples=["15s", "5m", "1h30m", "28d"],
        extra_json_schema={"patternErrorMessage": "must be a duration such as 15s, 5m, 1h30m"},
    ),
]


@lru_cache(maxsize=1024)
def milliseconds(duration: str) -> int:
    """Return the length of a duration in milliseconds, exactly."""
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(duration))


def seconds(duration: str) -> float:
    """Return the length of a duration in seconds."""
    return milliseconds(duration) / 1000


def span(duration: str) -> timedelta:
    """Return the length of a duration as a timedelta."""
    return timedelta(milliseconds=milliseconds(duration))


def duration(length_seconds: float) -> str:
    """Write a length in seconds as a duration, rounded to a millisecond: 5400 -> ``1h30m``."""
    rest = round(length_seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
