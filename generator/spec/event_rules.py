"""Rules on business events: who counts them, from which columns, and over which intervals."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from mlvitals.generator.spec.diagnostics import KeyPath, Problem, quoted
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Event, EventsLog, KpiKind, LogFormat, Spec

_LOG: KeyPath = ("business", "events_log")
_OF_THE_LOG = ("logged_as", "amount", "distinct")
_UNTYPED = (LogFormat.CSV, LogFormat.JSONL)
"""Formats without column types: a column is read as the type that is needed."""


def check_events(spec: Spec) -> Iterator[Problem]:
    """Yield the contradictions between the events log, the events counted from it, and the KPIs computed from them."""
    log, logged = spec.business.events_log, spec.business.logged
    if log is not None:
        yield from _events_log(log)
        if not logged:
            hint = "add source: log to the events that it holds"
            yield Problem((_LOG,), "is not read for any event", "consistency", hint, at_key=True)
    for name, event in spec.business.events.items():
        yield from _from_log(spec, name, event) if name in logged else _from_application(name, event)
    if log is not None:
        yield from _roles(log, logged)
    yield from _stretches(spec)


def _events_log(log: EventsLog) -> Iterator[Problem]:
    if log.format is LogFormat.SQL and log.table is None:
        yield Problem(((*_LOG, "format"), (*_LOG, "table")), "sql needs business.events_log.table", "consistency")
    for key in ("table", "password_file"):
        if getattr(log, key) is not None and log.format is not LogFormat.SQL:
            yield Problem(((*_LOG, key), (*_LOG, "format")), "has no effect without format: sql", "consistency")
    for key, other in (("event", "timestamp"), ("amount", "timestamp"), ("amount", "event")):
        if getattr(log, key) == getattr(log, other):
            message = f"is {quoted(getattr(log, key))}, the log's {other} column"
            yield Problem(((*_LOG, key), (*_LOG, other)), message, "column-clash")


def _roles(log: EventsLog, logged: Mapping[str, Event]) -> Iterator[Problem]:
    """Check that a column of an event has no second role."""
    for name, event in logged.items():
        for key, other in (("amount", "timestamp"), ("amount", "event"), ("distinct", "timestamp")):
            column = getattr(event, key)
            if column is not None and column == getattr(log, other):
                paths: tuple[KeyPath, ...] = (("business", "events", name, key), (*_LOG, other))
                yield Problem(paths, f"is {quoted(column)}, the log's {other} column", "column-clash")
    summed = {event.amount or log.amount for event in logged.values() if event.unit} if log.format in _UNTYPED else ()
    for name, event in logged.items():
        if event.distinct is not None and event.distinct in summed:
            message = f"is {quoted(event.distinct)}, a column of amounts; {log.format} has no types to keep them apart"
            yield Problem((("business", "events", name, "distinct"),), message, "column-clash")


def _from_application(name: str, event: Event) -> Iterator[Problem]:
    for key in _OF_THE_LOG:
        if getattr(event, key) is not None:
            path: KeyPath = ("business", "events", name, key)
            yield Problem((path,), "has an effect only with source: log", "consistency")


def _from_log(spec: Spec, name: str, event: Event) -> Iterator[Problem]:
    path: KeyPath = ("business", "events", name)
    log = spec.business.events_log
    if log is None:
        yield Problem(((*path, "source"),), "is log, which needs business.events_log", "consistency")
    elif event.unit is not None and event.amount is None and log.amount is None:
        message = f"is {quoted(event.unit)}, but no column holds the amounts"
        hint = "name it in business.events_log.amount or in the event's own amount"
        yield Problem(((*path, "unit"), (*_LOG, "amount")), message, "consistency", hint)
    if event.amount is not None and event.unit is None:
        yield Problem(((*path, "amount"), (*path, "unit")), "is summed, which needs a unit", "consistency")
    if name in spec.business.unique and event.distinct is None:
        message = "is of a KPI of kind unique, which needs distinct: the column whose values are counted"
        yield Problem(((*path, "distinct"), path), message, "consistency")
    elif event.distinct is not None and name not in spec.business.unique:
        message = "counts distinct values, but no KPI of kind unique uses them"
        yield Problem(((*path, "distinct"),), message, "consistency")
    elif event.distinct is not None and event.unit is not None:
        yield Problem(((*path, "unit"), (*path, "distinct")), "has no effect together with distinct", "consistency")


def _stretches(spec: Spec) -> Iterator[Problem]:
    """Check intervals: totals of logged events rise once per step, so a shorter interval often contains no rise at all.

    Together with an event that rises all the time, an interval must cover the same time of both: a multiple of the step.
    """
    counted = {name: kpi for name, kpi in spec.business.kpis.items() if kpi.kind is not KpiKind.UNIQUE}
    for name, kpi in counted.items():
        yield from _interval(spec, name, ("business", "kpis", name, "window"), kpi.window)
    compared = (_interval(spec, name, ("business", "compare_window"), spec.business.compare_window) for name in counted)
    yield from islice(chain.from_iterable(compared), 1)


def _interval(spec: Spec, name: str, path: KeyPath, interval: str) -> Iterator[Problem]:
    kpi, step = spec.business.kpis[name], milliseconds(spec.step)
    even = step if spec.windows.calendar is None else milliseconds(spec.mean_length)  # clocks change on two days a year
    logged = [event in spec.business.logged for event in (kpi.numerator, kpi.denominator)]
    paths = (path, ("windows", "step"), ("business", "kpis", name))
    if not any(logged) or not step:
        return
    if milliseconds(interval) <= step:
        message = f"{interval} is not longer than a step of {spec.step}, after which events of the log are counted"
        yield Problem(paths, message, "consistency", "make it two steps or more")
    elif not all(logged) and milliseconds(interval) % even:
        message = (
            f"{interval} is not a multiple of the step {spec.step}, and the KPI {name} takes one event from the log"
        )
        yield Problem(paths, message, "consistency")
