"""What an incident cost: each KPI against the same time a week before, and the error budget it spent."""

from datetime import datetime, timedelta

import pytest
from incident_samples import at

from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.evidence import IncidentEvidence, Point
from mlvitals.incidents.sources.business import WEEK, budget_facts, event_facts, kpi_facts, line_facts

BEGIN, END = at(0), at(120)


def answers(now: dict[str, float], before: dict[str, float]):
    """A Prometheus that knows figures by a part of the query."""

    def ask(query: str, moment: datetime) -> float | None:
        known = before if moment == END - WEEK else now
        return next((value for part, value in known.items() if part in query), None)

    return ask


def facts(spec: Spec, now: dict[str, float], before: dict[str, float]):
    return {each.name: each for each in kpi_facts(spec, answers(now, before), BEGIN, END)}


RATIO = "clicks_total[2h])) / (sum(increase("
COUNT = "sum(increase(streamrec_impressions_total[2h]))"


def test_a_kpi_is_asked_over_the_incident_and_over_the_same_time_a_week_before(streamrec):
    ctr = facts(streamrec, {RATIO: 0.02, COUNT: 10_000}, {RATIO: 0.03, COUNT: 10_000})["click_through_rate"]
    assert (ctr.title, ctr.during, ctr.week_before) == ("Click-through rate", 0.02, 0.03)
    assert (ctr.low, ctr.high) == (pytest.approx(-0.01432, abs=1e-4), pytest.approx(-0.00568, abs=1e-4))
    assert "[2h]" in ctr.query


def test_a_mean_has_no_interval_for_its_spread_is_not_known(streamrec):
    session = facts(streamrec, {"session_length": 300}, {"session_length": 400})["session_length"]
    assert (session.during, session.week_before, session.low) == (300, 400, None)


def test_without_the_week_before_there_is_no_comparison(streamrec):
    ctr = facts(streamrec, {RATIO: 0.02, COUNT: 10_000}, {})["click_through_rate"]
    assert (ctr.during, ctr.week_before, ctr.low, ctr.high) == (0.02, None, None, None)


def test_the_budget_is_asked_at_both_ends_and_unknown_ones_are_left_out(streamrec):
    def ask(query: str, moment: datetime) -> float | None:
        return {BEGIN: 0.9, END: 0.4}[moment] if 'sloth_slo="drift_compliance"' in query else None

    (budget,) = budget_facts(streamrec, ask, BEGIN, END)
    assert (budget.slo, budget.before, budget.after) == ("drift_compliance", 0.9, 0.4)


def test_kpis_and_errors_are_asked_over_time_and_unknown_ones_are_left_out(streamrec):
    def ask_over(query: str) -> list[Point]:
        return [Point(BEGIN, 0.1), Point(END, 0.2)] if "clicks_total" in query or "errors_total" in query else []

    lines = {line.name: line for line in line_facts(streamrec, ask_over, timedelta(hours=1))}
    assert set(lines) == {"click_through_rate", "error_rate"}
    assert (lines["error_rate"].title, lines["error_rate"].seconds) == ("Error rate", 3600)
    assert all("[1h]" in line.query for line in lines.values())


def test_figures_stay_when_they_cannot_be_asked_for_again(streamrec):
    kpis = tuple(kpi_facts(streamrec, answers({RATIO: 0.02}, {}), BEGIN, END))
    first = IncidentEvidence(incident="x", since=BEGIN, until=END, kpis=kpis)
    assert first.with_more(IncidentEvidence(incident="x", since=BEGIN, until=END)).kpis == kpis


def test_events_are_counted_over_the_incident_and_a_week_before_with_what_was_lost_an_hour(streamrec):
    revenue = "sum(increase(streamrec_revenue_dollars_total[2h]))"
    found = {each.name: each for each in event_facts(streamrec, answers({revenue: 100}, {revenue: 300}), BEGIN, END)}
    assert set(found) == {"revenue"}, "what is unknown is left out, and so are distinct items"
    assert (found["revenue"].unit, found["revenue"].lost_per_hour) == ("dollars", 100)
