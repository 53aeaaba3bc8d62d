"""Objectives that could not be measured, or that no alert could watch, are refused at the value to blame."""

import pytest
from test_section_rules import SMALL, errors, is_sound

QUICK = "it needs more than 13.44 x 0.1 = 1.344 of all events to fail"


@pytest.mark.parametrize(
    ("slo", "expected"),
    [
        (
            "{kind: availability, objective: 0.9}",
            f"5:43 slos.a.objective 0.9 never lets page_quick fire: {QUICK}; "
            "leave page_quick out of burn_alerts, or change alerts.burn_rate.page_quick",
        ),
        (
            "{kind: availability, objective: 0.99, period: 2d}",
            "5:57 slos.a.period 2d is shorter than the 3d that ticket_slow looks back; "
            "leave ticket_slow out of burn_alerts, or change alerts.burn_rate.ticket_slow",
        ),
        (
            "{kind: latency, objective: 0.99}",
            "5:18 slos.a.kind is latency, which needs a threshold above 0 in seconds",
        ),
        ("{kind: drift, objective: 0.99}", "5:18 slos.a.kind is drift, which needs a threshold above 0 in PSI"),
        (
            "{kind: availability, objective: 0.99, threshold: 2}",
            "5:60 slos.a.threshold has no effect if kind is availability",
        ),
        ("{kind: freshness, objective: 0.99}", "5:18 slos.a.kind is freshness, but no sources are defined"),
        (
            "{kind: drift, objective: 0.99, threshold: 0.2, direction: at_least}",
            "5:69 slos.a.direction at_least has an effect only if kind is model_staleness",
        ),
        (
            "{kind: availability, objective: 0.99}}\nserving: {enabled: false",
            "5:18 slos.a.kind is availability, measured at the serving application, which serving.enabled: false turns off",
        ),
        ("{kind: availability, objective: 1}", "5:43 slos.a.objective must be above 0 and below 1, not the number 1"),
        (
            "{kind: availability, objective: 1.0}",
            "5:43 slos.a.objective must be above 0 and below 1, not the number 1.0",
        ),
    ],
)
def test_an_objective_that_cannot_be_kept_watch_over_is_refused(slo: str, expected: str):
    assert errors(SMALL + f"slos: {{a: {slo}}}") == [expected]


def test_a_tier_that_could_never_fire_may_be_left_out():
    assert is_sound(
        SMALL + "slos: {a: {kind: availability, objective: 0.9, burn_alerts: [page_slow, ticket_quick, ticket_slow]}}"
    )


def test_the_short_window_is_shorter_than_the_long_one():
    assert errors(SMALL + "alerts: {burn_rate: {page_quick: {short: 2h}}}") == [
        "5:42 alerts.burn_rate.page_quick.short 2h is not shorter than long 1h"
    ]


def test_a_floor_that_nothing_falls_below_is_refused():
    kpis = "business: {events: {a: {}, b: {}}, kpis: {k: {numerator: a, denominator: b, floor: 0}}}"
    assert errors(SMALL + kpis) == ["5:84 business.kpis.k.floor must be above 0, not the number 0"]
