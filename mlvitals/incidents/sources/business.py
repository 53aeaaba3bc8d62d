"""The cost of an incident: KPIs compared with the week before, and error budgets spent, asked of Prometheus."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from mlvitals.generator import slo as names
from mlvitals.generator.contract import Contract
from mlvitals.generator.promql import matching
from mlvitals.generator.signals.business import event_count, kpi_figure, kpi_title
from mlvitals.generator.spec.durations import duration
from mlvitals.generator.spec.model import KpiKind, Spec
from mlvitals.incidents.evidence import BudgetFacts, EventFacts, KpiFacts, LineFacts, Point

AskAt = Callable[[str, datetime], float | None]
"""Answers a query for a moment with its only value; None where it has none."""
AskOver = Callable[[str], Iterable[Point]]
"""Answers a query with the points of its only series over the time of the incident; none where it has none."""
WEEK = timedelta(days=7)
_CONFIDENCE = 1.959964
"""Standard errors on either side of a difference that hold 95 % of it."""


def kpi_facts(spec: Spec, ask: AskAt, begin: datetime, end: datetime) -> Iterator[KpiFacts]:
    """Yield each KPI over an interval and over the same interval a week before."""
    contract = Contract(spec)
    window = duration(max(1.0, (end - begin).total_seconds()))
    for name, kpi in spec.business.kpis.items():
        query = kpi_figure(contract, kpi, window)
        during, before = ask(query, end), ask(query, end - WEEK)
        low = high = None
        if kpi.kind is KpiKind.RATIO and during is not None and before is not None:
            counted = event_count(contract, kpi.denominator, window)
            low, high = _interval((during, before), (ask(counted, end), ask(counted, end - WEEK)))
        yield KpiFacts(
            name=name,
            title=kpi_title(spec, name),
            during=during,
            week_before=before,
            low=low,
            high=high,
            query=f"{query} at {end:%Y-%m-%dT%H:%M:%SZ} and a week before",
        )


def _interval(
    shares: tuple[float, float], counts: tuple[float | None, float | None]
) -> tuple[float, float] | tuple[None, None]:
    """Return the interval of the difference of two shares of independent events, by the normal approximation."""
    now, then = counts
    if not (now and then):
        return None, None
    variances = [max(0.0, share * (1 - share)) / count for share, count in zip(shares, (now, then), strict=True)]
    difference, error = shares[0] - shares[1], _CONFIDENCE * math.sqrt(sum(variances))
    return difference - error, difference + error


def line_facts(spec: Spec, ask_over: AskOver, length: timedelta) -> Iterator[LineFacts]:
    """Yield each KPI and the share of requests that fail over time, in intervals of a length; unknown ones are left out."""
    contract, window = Contract(spec), duration(max(1.0, length.total_seconds()))
    figures = {
        name: (kpi_title(spec, name), kpi_figure(contract, kpi, window)) for name, kpi in spec.business.kpis.items()
    }
    if spec.serving.enabled:
        errors, total = contract.name("prediction_errors_total"), contract.name("predictions_total")
        failed = f"(sum(increase({errors}[{window}])) or vector(0)) / (sum(increase({total}[{window}])) > 0)"
        figures["error_rate"] = ("Error rate", failed)
    for name, (title, query) in figures.items():
        if points := tuple(ask_over(query)):
            yield LineFacts(name=name, title=title, seconds=length.total_seconds(), points=points, query=query)


def event_facts(spec: Spec, ask: AskAt, begin: datetime, end: datetime) -> Iterator[EventFacts]:
    """Yield each business event over an interval and over the same one a week before; those that are unknown are left out."""
    contract, business = Contract(spec), spec.business
    seconds = max(1.0, (end - begin).total_seconds())
    for name in (event for event in business.events if event not in business.unique):
        query = event_count(contract, name, duration(seconds))
        during, before = ask(query, end), ask(query, end - WEEK)
        if during is not None and before is not None:
            yield EventFacts(
                name=name,
                during=during,
                week_before=before,
                hours=seconds / 3600,
                unit=business.events[name].unit or "",
                query=f"{query} at {end:%Y-%m-%dT%H:%M:%SZ} and a week before",
            )


def budget_facts(spec: Spec, ask: AskAt, begin: datetime, end: datetime) -> Iterator[BudgetFacts]:
    """Yield what was left of each error budget at both ends of an interval; those that are unknown are left out."""
    for name in spec.slos:
        query = matching(names.BUDGET_REMAINING, f'{names.SERVICE}="{spec.system.name}"', f'{names.SLO}="{name}"')
        before, after = ask(query, begin), ask(query, end)
        if before is not None and after is not None:
            yield BudgetFacts(slo=name, before=before, after=after, query=query)
