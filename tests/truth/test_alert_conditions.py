"""Evaluating the generated conditions here agrees with the cases that promtool passes with the same rules."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.alert_conditions import AlertConditions, Page, evaluate, page_of
from mlvitals.evaluation.expressions import UnknownSyntaxError
from mlvitals.generator.rules.alerts import AlertRule
from mlvitals.generator.rules.promtool_tests import beyond
from mlvitals.generator.signals.signal import Scenario


def page(scenario: Scenario) -> Page:
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for item in scenario.inputs:
        labels = frozenset((name, value) for name, value in item.labels.items() if value)
        samples.setdefault(item.metric, {})[labels] = item.value
    return samples


def raised(conditions: AlertConditions, rule: AlertRule, scenario: Scenario) -> list[Mapping[str, str]]:
    """The labels with which this very rule is raised."""
    alert = rule.alert
    return [
        found.labels
        for found in conditions.raised_by(page(scenario))
        if (found.name, found.severity, found.threshold) == (alert.name, alert.severity, alert.threshold)
    ]


def test_a_condition_holds_beyond_its_threshold_with_the_labels_of_the_alert(conditions):
    assert len(conditions.rules) > 15
    for rule in conditions.rules:
        scenario = rule.alert.scenario(beyond(rule.alert))
        assert raised(conditions, rule, scenario) == [scenario.labels], rule.alert.name


def test_a_condition_does_not_hold_at_its_threshold(conditions):
    for rule in conditions.rules:
        assert raised(conditions, rule, rule.alert.scenario(rule.alert.threshold)) == [], rule.alert.name


def test_a_gate_holds_an_alert_back(conditions):
    gated = [rule for rule in conditions.rules if rule.alert.gated]
    assert gated
    for rule in gated:
        assert raised(conditions, rule, rule.alert.gated(beyond(rule.alert))) == [], rule.alert.name


def test_every_alert_about_the_figures_of_a_window_is_evaluated(conditions):
    evaluated = {rule.alert.name for rule in conditions.rules}
    assert evaluated >= {"MLFeatureDrift", "MLScoreDrift", "MLNullRateHigh", "MLRequiredFeatureNull"}
    assert evaluated >= {"MLFeatureOutOfRange", "MLFeatureUnmeasurable", "MLWindowTooSmall", "MLLogFilesUnreadable"}


def test_an_expression_beyond_what_is_understood_is_an_error():
    with pytest.raises(UnknownSyntaxError):
        evaluate("topk(3, streamrec_drift_psi) > 1", {})


def test_series_without_a_label_and_with_an_empty_one_are_the_same():
    page = text_string_to_metric_families('x{a="",b="c"} 1\n')
    assert page_of(page) == {"x": {frozenset({("b", "c")}): 1.0}}
