"""Steps and variables as Grafana fills them in."""

from datetime import timedelta

import pytest

from mlvitals.verification.intervals import Span, filled, step_seconds
from mlvitals.verification.queries import Origin, Query


def query(expression: str = "x", **more: object) -> Query:
    return Query(Origin.PANEL, "p", expression, instant=False, **more)


def span(**length: float) -> Span:
    return Span(timedelta(**length), 15)


@pytest.mark.parametrize(
    ("asked", "over", "seconds"),
    [
        (query(), span(hours=1), 15),
        (query(), span(hours=24), 60),
        (query(width=12), span(hours=24), 120),
        (query(), span(days=30), 1800),
        (query(max_points=72), span(days=30), 43200),
        (query(least_step="2m"), span(hours=1), 120),
    ],
)
def test_a_step_is_a_pixel_of_time_and_never_shorter_than_a_scrape(asked, over, seconds):
    assert step_seconds(asked, over) == seconds


def test_rates_reach_over_four_scrapes_or_a_step_and_a_scrape():
    asked = query("rate(x[$__rate_interval])")
    assert filled(asked, span(hours=1), {}) == "rate(x[60s])"
    assert filled(asked, span(hours=24), {}) == "rate(x[75s])"


def test_variables_are_filled_in_every_way_of_writing_them():
    text = 'x{a=~"$feature", b="${feature:regex}", c="[[feature]]"}[$__range:${__interval}]'
    assert filled(query(text), span(hours=1), {"feature": ".+"}) == 'x{a=~".+", b=".+", c=".+"}[3600s:15s]'


def test_an_unknown_variable_stays_for_the_server_to_refuse():
    assert filled(query("x{a=$nothing}"), span(hours=1), {}) == "x{a=$nothing}"
