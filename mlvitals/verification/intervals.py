"""How Grafana turns a panel's width and the time range into steps, and fills variables into its queries."""

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
    """What is looked at: the length up to now, and how often the server scrapes."""

    length: timedelta
    scrape_seconds: float


def step_seconds(query: Query, span: Span) -> int:
    """The step of a panel: a pixel's time, rounded up to a nice length, and no shorter than the panel allows."""
    points = query.max_points or max(1, SCREEN_PIXELS * query.width // COLUMNS)
    wanted = span.length.total_seconds() / points
    least = max(span.scrape_seconds, seconds((query.least_step or "0s").lstrip(">")))
    return next((nice for nice in _NICE_SECONDS if nice >= max(wanted, least)), _NICE_SECONDS[-1])


def filled(query: Query, span: Span, chosen: Mapping[str, str]) -> str:
    """The expression as Grafana sends it. A variable that is not known stays, and the server will say so."""
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
