"""The past of rules, asked of a Prometheus that holds what they read, as OpenMetrics with timestamps.

promtool's own way makes a block of two hours for every recording rule, and leaves out alerts; a month of many rules is
thousands of blocks.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from mlvitals.generator.spec.durations import seconds

RECORD_STEP_SECONDS = 60
ALERT_STEP_SECONDS = 240
"""What is asked again and again for a month is asked seldom; every lookback still finds a sample."""
_AT_ONCE = 3
"""While one answer is read, two are computed."""
_MOST_POINTS = 10_000
"""Prometheus answers up to 11,000 points a series."""

Fetch = Callable[[str, float, float, float], list[dict[str, Any]]]
"""Gives the series of an expression between two Unix times with a step in seconds, as Prometheus' query_range does."""
Labels = tuple[tuple[str, str], ...]
Sample = tuple[float, str]
"""Unix time and value."""


def fetch_from(address: str) -> Fetch:
    """Ask the Prometheus at an address; it raises OSError where that does not answer."""

    def fetch(expression: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        asked = {"query": expression, "start": begin, "end": end, "step": step}
        form = urllib.parse.urlencode(asked).encode()
        with urllib.request.urlopen(f"{address}/api/v1/query_range", form) as answer:  # noqa: S310  (ours, on loopback)
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    return fetch


def recorded(rules: Iterable[Mapping[str, Any]], begin: datetime, end: datetime, fetch: Fetch) -> Iterator[str]:
    """The lines of what the rules would have left: records, and of alerts Prometheus' own series ALERTS.

    The samples of a name stand together. Several rules are asked for at once: they read nothing that another leaves.
    """

    def left_by(rule: Mapping[str, Any]) -> Left:
        return _record(rule, begin, end, fetch) if "record" in rule else _alert(rule, begin, end, fetch)

    by_name: dict[str, dict[Labels, list[Sample]]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        everything = list(pool.map(left_by, rules))
    for name, left in everything:
        series = by_name.setdefault(name, {})
        for labels, samples in left.items():
            series.setdefault(labels, []).extend(samples)
    for name, series in by_name.items():
        yield f"# TYPE {name} gauge\n"
        for labels, samples in series.items():
            written = _written(name, labels)
            yield "".join(f"{written} {value} {time}\n" for time, value in samples)
    yield "# EOF\n"


Left = tuple[str, dict[Labels, list[Sample]]]


def _record(rule: Mapping[str, Any], begin: datetime, end: datetime, fetch: Fetch) -> Left:
    series = _asked(rule["expr"], begin, end, RECORD_STEP_SECONDS, fetch)
    return rule["record"], {_labels(key, rule.get("labels", {})): samples for key, samples in series.items()}


def _alert(rule: Mapping[str, Any], begin: datetime, end: datetime, fetch: Fetch) -> Left:
    wait, keep = (seconds(rule.get(name, "0s")) for name in ("for", "keep_firing_for"))
    step, until = ALERT_STEP_SECONDS, end.timestamp()
    left: dict[Labels, list[Sample]] = {}
    for key, samples in _asked(rule["expr"], begin, end, step, fetch).items():
        for time, state in alert_states([time for time, _ in samples], wait, keep, step, until):
            labels = {"alertname": rule["alert"], "alertstate": state, **rule.get("labels", {})}
            left.setdefault(_labels(key, labels), []).append((time, "1"))
    return "ALERTS", left


def alert_states(
    times: Sequence[float], wait: float, keep: float, step: float, end: float
) -> Iterator[tuple[float, str]]:
    """The state of an alert over time: pending from when its condition holds, firing once that lasted for `wait`.

    Args:
        times: when the condition holds, ascending, `step` apart while it does.
        wait: the rule's `for`, in seconds.
        keep: its `keep_firing_for`, in seconds.
        step: seconds.
        end: the state is not told after it, though the alert may be kept for longer.

    """
    since, state = 0.0, ""
    for index, time in enumerate(times):
        longest_gap = step + keep if state == "firing" else step
        if index == 0 or time - times[index - 1] > longest_gap:
            since = time
        state = "firing" if time - since >= wait else "pending"
        yield time, state
        following = times[index + 1] if index + 1 < len(times) else float("inf")
        if state == "firing" and following - time > step:
            last = min(time + keep, following - step, end)
            yield from ((time + step * n, state) for n in range(1, int((last - time) // step) + 1))


def _asked(
    expression: str, begin: datetime, end: datetime, step: float, fetch: Fetch
) -> dict[frozenset[tuple[str, str]], list[Sample]]:
    """The samples of every series of an expression but for its name, NaN left out."""
    series: dict[frozenset[tuple[str, str]], list[Sample]] = {}
    for first, last in _parts(begin.timestamp(), end.timestamp(), step):
        for found in fetch(expression, first, last, step):
            key = frozenset((name, value) for name, value in found["metric"].items() if name != "__name__")
            series.setdefault(key, []).extend((time, value) for time, value in found["values"] if value != "NaN")
    return series


def _labels(series: Iterable[tuple[str, str]], added: Mapping[str, str]) -> Labels:
    return tuple(sorted({**dict(series), **added}.items()))


def _parts(begin: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    length = _MOST_POINTS * step
    while begin <= end:
        yield begin, min(begin + length - step, end)
        begin += length


def _written(name: str, labels: Labels) -> str:
    escaped = ((name, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")) for name, value in labels)
    return name + "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
