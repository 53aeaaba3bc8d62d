"""The past of recording rules, asked of a Prometheus that holds what they read, as OpenMetrics with timestamps.

promtool's own way makes a block of two hours for every rule; a month of many rules is thousands of them.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

STEP_SECONDS = 60
_MOST_POINTS = 10_000
"""Prometheus answers up to 11,000 points a series."""

Fetch = Callable[[str, float, float], list[dict[str, Any]]]
"""Gives the series of an expression between two Unix times, as Prometheus' query_range does."""


def fetch_from(address: str) -> Fetch:
    """Ask the Prometheus at an address; it raises OSError where that does not answer."""

    def fetch(expression: str, begin: float, end: float) -> list[dict[str, Any]]:
        asked = {"query": expression, "start": begin, "end": end, "step": STEP_SECONDS}
        form = urllib.parse.urlencode(asked).encode()
        with urllib.request.urlopen(f"{address}/api/v1/query_range", form) as answer:  # noqa: S310  (ours, on loopback)
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    return fetch


def recorded(rules: Iterable[Mapping[str, Any]], begin: datetime, end: datetime, fetch: Fetch) -> Iterator[str]:
    """The lines of what the rules would have recorded; the samples of a name stand together."""
    by_name: dict[str, dict[str, list[str]]] = {}
    for rule in rules:
        series = by_name.setdefault(rule["record"], {})
        for first, last in _parts(begin.timestamp(), end.timestamp()):
            for found in fetch(rule["expr"], first, last):
                labels = {**found["metric"], **rule.get("labels", {})}
                labels.pop("__name__", None)
                series.setdefault(_name(rule["record"], labels), []).extend(
                    f"{value} {time}\n" for time, value in found["values"] if value != "NaN"
                )
    for name, series in by_name.items():
        yield f"# TYPE {name} gauge\n"
        for written, samples in series.items():
            yield "".join(f"{written} {sample}" for sample in samples)
    yield "# EOF\n"


def _parts(begin: float, end: float) -> Iterator[tuple[float, float]]:
    length = _MOST_POINTS * STEP_SECONDS
    while begin <= end:
        yield begin, min(begin + length - STEP_SECONDS, end)
        begin += length


def _name(record: str, labels: Mapping[str, str]) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for name, value in labels.items()
    }
    return record + "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
