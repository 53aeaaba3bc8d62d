"""What is chosen at the top reaches the selectors it concerns, and no others."""

from dataclasses import replace

import promql_parser
import pytest

from mlvitals.generator.contract import Contract
from mlvitals.generator.grafana.variables import (
    chosen_feature,
    chosen_features,
    chosen_jobs,
    chosen_servers,
    of_environment,
    restricted,
    with_matchers,
)
from mlvitals.generator.signals.signal import Incident, Layer, Query, Record, Signal

WANTED = {"streamrec_drift_psi": "feature_name=~`x`", "feature_name:streamrec_drift_psi:max": "feature_name=~`x`"}
SIGNAL = Signal(
    id="any",
    layer=Layer.MODEL,
    title="Any",
    description="Any.",
    unit="none",
    queries=(),
    incident=Incident.FEATURE_DRIFT,
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("max(streamrec_drift_psi)", "max(streamrec_drift_psi{feature_name=~`x`})"),
        ('streamrec_drift_psi{rank="1"}[5m]', 'streamrec_drift_psi{feature_name=~`x`,rank="1"}[5m]'),
        ("feature_name:streamrec_drift_psi:max", "feature_name:streamrec_drift_psi:max{feature_name=~`x`}"),
        ("streamrec_drift_psi_other", "streamrec_drift_psi_other"),
        ('x{y="streamrec_drift_psi"}', 'x{y="streamrec_drift_psi"}'),
        ("x{y=`streamrec_drift_psi`}", "x{y=`streamrec_drift_psi`}"),
        (r'x{y="\"streamrec_drift_psi"}', r'x{y="\"streamrec_drift_psi"}'),
    ],
)
def test_matchers_reach_selectors_of_the_wanted_metrics_only(expression, expected):
    assert with_matchers(expression, WANTED) == expected
    if "[" not in expected:
        promql_parser.parse(expected)


@pytest.fixture(scope="module")
def contract(streamrec):
    return Contract(streamrec)


def shown(contract, expression, records=()):
    variables = (*chosen_servers(contract), *chosen_features(contract))
    [signal] = restricted([replace(SIGNAL, queries=(Query(expression),), records=records)], variables, contract)
    return signal.queries[0].expression


def test_what_is_scraped_follows_the_chosen_job_and_what_rules_record_does_not(contract):
    matcher = "{job=~`${job:regex}`}"
    variables = chosen_jobs(contract)

    def drawn(expression):
        [signal] = restricted([replace(SIGNAL, queries=(Query(expression),))], variables, contract)
        return signal.queries[0].expression

    for series in ("streamrec_drift_psi", "streamrec_predictions_total", "process_resident_memory_bytes"):
        assert drawn(series) == series + matcher
    for series in ("system:streamrec_predictions:rate5m", 'up{job="streamrec-exporter"}', "ALERTS"):
        assert drawn(series) == series


def test_the_jobs_to_choose_from_are_those_that_publish_the_systems_series(contract):
    (variable,) = chosen_jobs(contract)
    published = '__name__=~"streamrec_feature_info|streamrec_predictions_total"'
    assert variable.query == f"label_values({{{published}}}, job)"


def test_the_matchers_of_an_environment_are_replaced_by_the_chosen_one_wherever_they_stand():
    labels = {"env": 'a"b', "zone": "eu"}
    fixed = r'max(m{env="a\"b",zone="eu",x="zone=\"eu\""}) / n{zone="eu",env="a\"b"} + o{env="other"}'
    assert of_environment(fixed, labels) == (
        r"max(m{env=~`${env:regex}`,zone=~`${zone:regex}`,x="
        r'"zone=\"eu\""}) / n{zone=~`${zone:regex}`,env=~`${env:regex}`} + o{env="other"}'
    )


def test_a_figure_of_features_follows_the_chosen_features(contract):
    assert shown(contract, "streamrec_drift_psi") == "streamrec_drift_psi{feature_name=~`${feature_name:regex}`}"


def test_a_record_by_feature_follows_them_too(contract):
    record = Record("feature_name:streamrec_drift_psi:max", "max by (feature_name) (streamrec_drift_psi)")
    expected = "feature_name:streamrec_drift_psi:max{feature_name=~`${feature_name:regex}`}"
    assert shown(contract, record.name, (record,)) == expected


def test_what_the_application_serves_follows_the_chosen_version_and_instance(contract):
    expression = shown(contract, "streamrec_prediction_score_bucket")
    assert "model_version=~`${model_version:regex}`" in expression
    assert "instance=~`${instance:regex}`" in expression


def test_whether_the_exporter_is_up_does_not_depend_on_the_chosen_serving_instance(contract):
    assert shown(contract, 'up{job="exporter"}') == 'up{job="exporter"}'


def test_a_chosen_source_leaves_its_features_to_choose_from(contract):
    source, feature = chosen_features(contract)
    assert source.label == "feature_source"
    assert source.matcher in feature.query
    assert "allValue" not in feature.document()


def test_all_sources_include_features_without_one(contract):
    source, _ = chosen_features(contract)
    assert source.document()["allValue"] == "(?s).*"


def test_of_one_feature_there_is_no_all(contract):
    [feature] = chosen_feature(contract)
    document = feature.document()
    assert (document["multi"], document["includeAll"]) == (False, False)
