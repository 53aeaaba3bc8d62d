"""Verification: runs every generated query against a live Prometheus and reports those that find nothing."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

from mlvitals.verification.calm import Asking, is_calm, is_pending
from mlvitals.verification.intervals import Span, filled, step_seconds
from mlvitals.verification.queries import Origin, Query
from mlvitals.verification.server import Answer

SCHEMA = "mlvitals.verify/1"
_TRIES = 3
_BUCKETS = re.compile(r"([A-Za-z_:][\w:]*)_bucket\b")
_KEEP_BUCKETS = "set always_scrape_classic_histograms: true in its scrape configuration (docs/serving.md)"


class Server(Protocol):
    """The interface of Prometheus that verification needs."""

    def at(self, query: str, moment: float) -> Answer:
        """Query at one time."""

    def over(self, query: str, start: float, end: float, step: float) -> Answer:
        """Query over a range."""

    def label_values(self, label: str, series: str, start: float, end: float) -> Sequence[str]:
        """Return the values of a label."""


class Problem(StrEnum):
    """A problem of a query."""

    ERROR = "error"
    EMPTY = "empty"
    NAN = "nan"
    SLOW = "slow"


class Finding(msgspec.Struct, frozen=True):
    """A query with a problem."""

    place: str
    origin: Origin
    problem: Problem
    detail: str
    expression: str
    """The expression as it was sent."""
    range_seconds: int
    seconds: float


class Verification(msgspec.Struct, frozen=True, tag_field="schema", tag=SCHEMA):
    """The result of a verification."""

    queries: int
    """Queries run, each once for every range."""
    calm: int
    """The number of those that are empty because all is well."""
    slowest_seconds: float
    findings: tuple[Finding, ...]


def verify(
    queries: Iterable[Query],
    server: Server,
    spans: Sequence[Span],
    *,
    now: float,
    slow_seconds: float,
    excuses: Mapping[str, str] = MappingProxyType({}),
) -> Verification:
    """Run queries over each span up to `now`, in Unix seconds; a query that takes longer than `slow_seconds` is slow.

    A query that is empty for want of a metric in `excuses` is no finding while its excuse finds something.

    Raises:
        ServerError: the server does not answer.
    """
    ran, calm, slowest, findings = 0, 0, 0.0, []
    asked = tuple(queries)
    asking = Asking(lambda part: any(server.at(part, now).series), _records(asked), excuses)
    for number, span in enumerate(spans):
        chosen = _Chosen(server, now, span)
        for query in asked:
            if number and not _depends_on_span(query):
                continue
            values = chosen.values(query)
            expression = filled(query, span, values)
            answer = _ask(server, query, expression, span, now, slow_seconds)
            ran, slowest = ran + 1, max(slowest, answer.seconds)
            problem = _problem(answer, slow_seconds)
            if problem is Problem.EMPTY and (
                query.origin is Origin.ANNOTATION  # it marks events, and there were none
                or is_calm(expression, asking)
                or is_pending(expression, asking)
                or _is_of_others(query, span, values, asking)
            ):
                calm += 1
            elif problem is not None:
                length = int(span.length.total_seconds())
                detail = _detail(problem, answer)
                if problem is Problem.EMPTY and (native := _native(expression, asking)):
                    detail = f"{detail}: {native} has native samples and no buckets; {_KEEP_BUCKETS}"
                findings.append(
                    Finding(query.place, query.origin, problem, detail, expression, length, round(answer.seconds, 4))
                )
    return Verification(ran, calm, round(slowest, 4), tuple(findings))


def _depends_on_span(query: Query) -> bool:
    return query.origin in {Origin.PANEL, Origin.ANNOTATION}


class _Chosen:
    """The values of variables, each queried once: the first of several, as when a dashboard opens."""

    def __init__(self, server: Server, now: float, span: Span) -> None:
        self._server = server
        self._now = now
        self._begin = now - span.length.total_seconds()
        self._found: dict[tuple[str, str], str] = {}

    def values(self, query: Query) -> Mapping[str, str]:
        """Return every variable's value by name; a variable without any is left out."""
        chosen: dict[str, str] = {}
        for variable in query.variables:
            if variable.fixed is not None:
                chosen[variable.name] = variable.fixed
            elif variable.series and variable.label:
                # Variables may read those before them.
                asked = Query(Origin.VARIABLE, "", variable.series)
                series = filled(asked, Span(timedelta(seconds=1), 1), chosen)
                key = (series, variable.label)
                if key not in self._found:
                    values = self._server.label_values(variable.label, series, self._begin, self._now)
                    self._found[key] = values[0] if values else ""
                chosen[variable.name] = self._found[key]
        return chosen


def _ask(server: Server, query: Query, expression: str, span: Span, now: float, slow_seconds: float) -> Answer:
    """Run a query; a slow one is retried, because the machine may have been busy."""
    best = None
    for _ in range(_TRIES):
        if query.instant:
            answer = server.at(expression, now)
        else:
            step = step_seconds(query, span)
            end = now // step * step
            answer = server.over(expression, end - span.length.total_seconds(), end, step)
        best = answer if best is None or answer.seconds < best.seconds else best
        if best.error or best.seconds <= slow_seconds:
            break
    assert best is not None
    return best


def _problem(answer: Answer, slow_seconds: float) -> Problem | None:
    if answer.error:
        return Problem.ERROR
    values = [value for series in answer.series for value in series]
    if not values:
        return Problem.EMPTY
    if all(map(math.isnan, values)):
        return Problem.NAN
    return Problem.SLOW if answer.seconds > slow_seconds else None


def _native(expression: str, asking: Asking) -> str:
    """Return a histogram whose buckets an expression reads, and stored as a native one; empty if all have buckets."""
    recorded = (one for name, expressions in asking.records.items() if name in expression for one in expressions)
    read = dict.fromkeys(name for text in (expression, *recorded) for name in _BUCKETS.findall(text))
    return next((name for name in read if asking.has_data(f"count({name}) unless count({name}_bucket)")), "")


def _detail(problem: Problem, answer: Answer) -> str:
    return {
        Problem.ERROR: answer.error or "",
        Problem.EMPTY: "returns nothing",
        Problem.NAN: "returns only NaN",
        Problem.SLOW: f"takes {1000 * answer.seconds:.0f} ms",
    }[problem]


def _records(queries: Iterable[Query]) -> Mapping[str, Sequence[str]]:
    records: dict[str, list[str]] = {}
    for query in queries:
        if query.record:
            records.setdefault(query.record, []).append(query.expression)
    return records


def _is_of_others(query: Query, span: Span, values: Mapping[str, str], asking: Asking) -> bool:
    """True if only the chosen value lacks the metric, as a number has no categories, and another value has it."""
    any_of_them = {variable.name: ".+" for variable in query.variables if variable.fixed is None}
    expression = filled(query, span, {**values, **any_of_them})
    return bool(any_of_them) and (asking.has_data(expression) or is_calm(expression, asking))
