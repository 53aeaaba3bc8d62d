"""Grafana's conversion of a panel's width and time range into steps, and its substitution of variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from mlvitals.generator.spec.durations import seconds
from mlvitals.verification.queries import COLUMNS, Query

SCREEN_PIXELS = 1600
_NICE_SECONDS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_REFERENCE = re.compile(r"\$\{(?P<braced>\w+)(?::\w+)?\}|\[\[(?P<square>\w+)(?::\w+)?\]\]|\$(?P<bare>\w+)")


@dataclass(frozen=True, slots=True)
class Span:
    """The time range: its length up to now, and the scrape interval."""

    length: timedelta
    scrape_seconds: float


def step_seconds(query: Query, span: Span) -> int:
    """Return the step of a panel: a pixel's time, rounded up to a round length, and no shorter than the panel allows."""
    points = query.max_points or max(1, SCREEN_PIXELS * query.width // COLUMNS)
    wanted = span.length.total_seconds() / points
    least = max(span.scrape_seconds, seconds((query.least_step or "0s").lstrip(">")))
    return next((nice for nice in _NICE_SECONDS if nice >= max(wanted, least)), _NICE_SECONDS[-1])


def filled(query: Query, span: Span, chosen: Mapping[str, str]) -> str:
    """Return the expression as Grafana sends it. An unknown variable stays, and the server will report it."""
    step, length = step_seconds(query, span), int(span.length.total_seconds())
    rate = max(step + span.scrape_seconds, 4 * span.scrape_seconds)
    known = {
        "__interval": f"{step}s",
        "__interval_ms": str(1000 * step),
        "__rate_interval": f"{round(rate)}s",
        "__rate_interval_ms": str(round(1000 * rate)),
        "__range": f"{length}s",
        "__range_s": str(length),
        "__range_ms": str(1000 * length),
        **chosen,
    }

    def value(reference: re.Match[str]) -> str:
        name = reference["braced"] or reference["square"] or reference["bare"]
        return known.get(name, reference[0])

    return _REFERENCE.sub(value, query.expression)
