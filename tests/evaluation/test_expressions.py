"""PromQL over time gives what Prometheus gives, and an error for what is not understood."""

import math
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pytest

from examples.alert_conditions import AlertConditions
from mlvitals.evaluation.alerts import Recorded
from mlvitals.evaluation.expressions import Evaluator, UnknownSyntaxError, Vector
from mlvitals.generator.rules.promtool_tests import beyond
from mlvitals.generator.signals.signal import Scenario

STEP = timedelta(minutes=5)
NO = math.nan


def labels(**named: str) -> frozenset[tuple[str, str]]:
    return frozenset(named.items())


def evaluated(expression: str, series: Mapping[str, Vector], records=None) -> dict[frozenset, list[float]]:
    count = len(next(iter(next(iter(series.values())).values()))) if series else 4
    arrays = {name: {key: np.array(values, float) for key, values in found.items()} for name, found in series.items()}
    store = Recorded(300.0 * np.arange(count), STEP, arrays, records or {})
    found = Evaluator(store).vector(expression)
    return {key: [None if math.isnan(value) else round(value, 9) for value in values] for key, values in found.items()}


def one(expression: str, *values: float) -> list[float] | None:
    """The single series that an expression on the series x gives."""
    found = evaluated(expression, {"x": {labels(): list(values)}})
    return next(iter(found.values())) if found else None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x > 1", [None, 2, 3, None]),
        ("x > bool 1", [0, 1, 1, None]),
        ("1 - x / 2", [0.5, 0, -0.5, None]),
        ("-x", [-1, -2, -3, None]),
        ("x offset 5m", [None, 1, 2, 3]),
        ("time() - x", [-1, 298, 597, None]),
        ("x or vector(9)", None),
        ("max_over_time(x[10m])", [1, 2, 3, 3]),
        ("max_over_time(x[15m])", [1, 2, 3, 3]),
        ("min_over_time(x[15m])", [1, 1, 1, 2]),
        ("min_over_time(x[10m])", [1, 1, 2, 3]),
        ("avg_over_time(x[10m])", [1, 1.5, 2.5, 3]),
        ("count_over_time(x[10m])", [1, 2, 2, 1]),
        ("sum_over_time(x[10m:5m])", [1, 3, 5, 3]),
        ("last_over_time(x[10m])", [1, 2, 3, 3]),
        ("absent(x)", [None, None, None, 1]),
        ("clamp_max(x, 2)", [1, 2, 2, None]),
        ("abs(0 - x)", [1, 2, 3, None]),
    ],
)
def test_an_expression_gives_its_values_step_by_step(expression, expected):
    found = one(expression, 1, 2, 3, NO)
    assert found == (expected or [1, 2, 3, 9])


def test_an_increase_is_the_growth_between_the_ends_of_its_range():
    assert one("increase(x[10m])", 1, 4, 9, 16) == [None, 3, 8, 12]
    assert one("rate(x[5m])", 0, 300, 300, 900) == [None, 1, 0, 2]


def test_a_counter_that_starts_anew_has_not_fallen():
    assert one("increase(x[5m])", 10, 12, 3, 4) == [None, 2, 3, 1]


def test_a_range_that_is_no_number_of_steps_is_an_error():
    with pytest.raises(UnknownSyntaxError, match="not a multiple of the step"):
        one("increase(x[7m])", 1, 2)


@pytest.mark.parametrize("expression", ["predict_linear(x[5m], 60)", "topk(3, x)", "x @ 5", "x > scalar(x)"])
def test_what_is_not_understood_is_an_error(expression):
    with pytest.raises(UnknownSyntaxError):
        one(expression, 1, 2)


SIDES = {
    "a": {labels(f="p", g="1"): [1, 2], labels(f="q", g="1"): [5, NO]},
    "b": {labels(f="p"): [10, 20], labels(f="r"): [1, 1]},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a * on (f) group_left () b", {labels(f="p", g="1"): [10, 40]}),
        ("a + on (f) b", {labels(f="p"): [11, 22]}),
        ("a and on (f) b", {labels(f="p", g="1"): [1, 2]}),
        ("a unless on (f) b", {labels(f="q", g="1"): [5, None]}),
        ("sum by (g) (a)", {labels(g="1"): [6, 2]}),
        ("count(a)", {labels(): [2, 1]}),
        ("avg without (f) (a)", {labels(g="1"): [3, 2]}),
        ('b{f=~"p|x"}', {labels(f="p"): [10, 20]}),
        ('label_replace(b{f="p"}, "h", "<$1>", "f", "(.*)")', {labels(f="p", h="<p>"): [10, 20]}),
        ("count(a unless on (f) b) or vector(0)", {labels(): [1, 0]}),
        ("a unless a", {}),
    ],
)
def test_series_meet_by_their_labels(expression, expected):
    assert evaluated(expression, SIDES) == expected


def test_many_partners_at_one_step_are_an_error():
    series = {"a": {labels(f="p"): [1.0]}, "b": {labels(f="p", i="1"): [1.0], labels(f="p", i="2"): [2.0]}}
    with pytest.raises(UnknownSyntaxError, match="several series match one"):
        evaluated("a * on (f) b", series)


def test_a_quantile_is_interpolated_within_its_bucket():
    buckets = {"h": {labels(le="0.1"): [50, 0], labels(le="0.2"): [100, 0], labels(le="+Inf"): [100, 0]}}
    assert evaluated("histogram_quantile(0.75, h)", buckets) == {labels(): [0.15, None]}


def test_a_quantile_beyond_the_last_bound_is_that_bound():
    buckets = {"h": {labels(le="0.1"): [50], labels(le="+Inf"): [100]}}
    assert evaluated("histogram_quantile(0.9, h)", buckets) == {labels(): [0.1]}


def test_a_recorded_series_is_evaluated_with_its_labels():
    records = {"r": [{"record": "r", "expr": "x * 2", "labels": {"slo": "a"}}]}
    found = evaluated('r{slo="a"} > 2', {"x": {labels(): [1, 2]}}, records)
    assert found == {labels(slo="a"): [None, 4]}


def vectors(scenario: Scenario) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for item in scenario.inputs:
        key = frozenset((name, value) for name, value in item.labels.items() if value)
        found.setdefault(item.metric, {})[key] = [item.value] * 3
    return found


def test_the_conditions_on_a_window_hold_beyond_their_threshold_and_not_at_it(streamrec):
    rules = AlertConditions(streamrec).rules
    assert len(rules) > 15
    for rule in rules:
        alert = rule.alert
        above, at = (alert.scenario(value) for value in (beyond(alert), alert.threshold))
        assert list(evaluated(alert.rule, vectors(above))) == [frozenset(above.labels.items())], alert.name
        assert evaluated(alert.rule, vectors(at)) == {}, alert.name
