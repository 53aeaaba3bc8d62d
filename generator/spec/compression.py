"""Time compression of a spec: an hour in seconds, on the same code path as in production."""

import math
from typing import Any

import msgspec

from mlvitals.generator.spec.durations import duration, milliseconds
from mlvitals.generator.spec.model import Alerts, BurnRate, BurnTier, Part, Source, Spec, Telemetry, Windows
from mlvitals.generator.spec.rules import SCRAPES_PER_RATE
from mlvitals.generator.spec.walk import duration_fields, fields

_SHORTEST = 1000
"""In milliseconds. Prometheus cannot scrape or evaluate much faster than once per second."""
_KEPT = "retention"
_SCRAPES_PER_AGE = 10
"""An age is seen only at a scrape, after the exporter has checked it: a limit of fewer scrapes would be mere jitter."""


def compress_time(spec: Spec, factor: float) -> Spec:
    """Return the same spec with every duration divided by a factor.

    No duration falls below a second, unless it was below before; a rate still spans four scrapes, and so do the windows
    of burn rates; the limit of an age spans ten; a window is still the same number of steps. Retentions stay as they are, and
    so does the patience with the monitoring itself: its processes run by the clock, and one that is late by a second on a
    busy machine would be down for an hour.

    Raises:
        ValueError: the factor is not a finite number of at least 1.
    """
    if not 1 <= factor < math.inf:
        raise ValueError(f"time can be compressed by a factor of at least 1, not {factor}")
    if factor > 1:
        spec = msgspec.structs.replace(spec, windows=_plain(spec))
    compressed: Spec = _compressed(spec, factor)
    return msgspec.structs.replace(
        compressed,
        telemetry=_with_whole_rates(compressed),
        windows=_with_whole_steps(spec, compressed),
        sources=_with_visible_ages(spec, compressed),
        alerts=_with_alerts_of_the_clock(spec, compressed),
    )


def _compressed(value: Any, factor: float) -> Any:
    if isinstance(value, Part):
        return _compressed_section(value, factor)
    if isinstance(value, dict):
        return {key: _compressed(entry, factor) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(_compressed(entry, factor) for entry in value)
    return value


def _compressed_section(section: Part, factor: float) -> Part:
    durations = {field.name for field in duration_fields(type(section))}
    changes = {}
    for field in fields(type(section)):
        value = getattr(section, field.name)
        if field.name == _KEPT or value is None:
            continue
        changes[field.name] = _shorter(value, factor) if field.name in durations else _compressed(value, factor)
    return msgspec.structs.replace(section, **changes)


def _shorter(written: str, factor: float) -> str:
    before = milliseconds(written)
    return _rewritten(written, max(round(before / factor), min(before, _SHORTEST)))


def _rewritten(written: str, length: int) -> str:
    """Write a length in milliseconds, as originally written if it has not changed."""
    return written if milliseconds(written) == length else duration(length / 1000)


def _with_whole_rates(spec: Spec) -> Telemetry:
    telemetry = spec.telemetry
    shortest = SCRAPES_PER_RATE * milliseconds(telemetry.scrape_interval)
    rate_window = _rewritten(telemetry.rate_window, max(milliseconds(telemetry.rate_window), shortest))
    return msgspec.structs.replace(telemetry, rate_window=rate_window)


def _with_visible_ages(original: Spec, compressed: Spec) -> dict[str, Source]:
    shortest = _SCRAPES_PER_AGE * milliseconds(compressed.telemetry.scrape_interval)

    def visible(name: str, source: Source) -> Source:
        limit = max(milliseconds(source.max_age), min(shortest, milliseconds(original.sources[name].max_age)))
        return msgspec.structs.replace(source, max_age=_rewritten(source.max_age, limit))

    return {name: visible(name, source) for name, source in compressed.sources.items()}


def _with_alerts_of_the_clock(original: Spec, compressed: Spec) -> Alerts:
    shortest = SCRAPES_PER_RATE * milliseconds(compressed.telemetry.scrape_interval)

    def visible(now: str, before: str) -> str:
        return _rewritten(now, max(milliseconds(now), min(shortest, milliseconds(before))))

    def visible_tier(tier: BurnTier) -> BurnRate:
        now, before = getattr(compressed.alerts.burn_rate, tier), getattr(original.alerts.burn_rate, tier)
        return BurnRate(budget=now.budget, short=visible(now.short, before.short), long=visible(now.long, before.long))

    change, alerts = msgspec.structs.replace, compressed.alerts
    rates = change(alerts.burn_rate, **{tier: visible_tier(tier) for tier in BurnTier})
    monitoring = change(alerts.monitoring, for_=original.alerts.monitoring.for_)
    return change(alerts, burn_rate=rates, monitoring=monitoring)


def _plain(spec: Spec) -> Windows:
    """Return windows of a length: a compressed day ends at no midnight, and a compressed hour of traffic has its rows."""
    differ = spec.windows.calendar is not None or spec.windows.rows is not None
    length = spec.mean_length if differ else spec.window_length
    return msgspec.structs.replace(spec.windows, length=length, calendar=None, rows=None, time_zone="UTC")


def _with_whole_steps(original: Spec, compressed: Spec) -> Windows:
    if original.windows.step is None:
        return compressed.windows
    steps = milliseconds(original.window_length) // milliseconds(original.windows.step)
    length = _rewritten(original.window_length, steps * milliseconds(compressed.step))
    return msgspec.structs.replace(compressed.windows, length=length)
