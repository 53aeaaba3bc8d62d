"""The two specs fit the systems they describe."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from examples.flights.data import CATEGORICAL, FEATURES
from examples.streamrec.service import STAGE_SECONDS, business_events
from examples.streamrec.simulate import ENDPOINTS, SOURCES, simulate_hour
from mlvitals.generator.spec.model import FeatureType, KpiKind

SPECS = Path(__file__).parents[2] / "specs"
MAX_AGES = {
    "user_batch_features": "6h",
    "item_batch_features": "12h",
    "user_streaming_features": "5m",
    "item_popularity_features": "1h",
    "model_embeddings": "24h",
}


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return simulate_hour(datetime(2026, 3, 3, 8, tzinfo=UTC), seed=1)


def feature_type(column: pa.DataType) -> FeatureType:
    if pa.types.is_dictionary(column):
        return FeatureType.CATEGORICAL
    if pa.types.is_boolean(column):
        return FeatureType.BOOLEAN
    return FeatureType.INTEGER if pa.types.is_integer(column) else FeatureType.FLOAT


@pytest.mark.parametrize("name", ["streamrec.yaml", "flights.yaml"])
def test_a_spec_tells_editors_its_schema(name):
    first_line = (SPECS / name).read_text().splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=../generator/spec/mlvitals.schema.json"


def test_streamrec_declares_each_feature_with_the_type_it_has_in_the_log(streamrec, log):
    assert len(streamrec.features) >= 32
    declared = {name: feature.type for name, feature in streamrec.features.items()}
    assert declared == {name: feature_type(log.schema.field(name).type) for name in declared}


def test_streamrec_declares_nullable_what_has_nulls(streamrec, log):
    nullable = {name for name, feature in streamrec.features.items() if feature.nullable}
    assert nullable == {name for name in streamrec.features if log[name].null_count}


def test_streamrec_values_lie_within_the_declared_ranges(streamrec, log):
    for name, feature in streamrec.features.items():
        if feature.minimum is not None:
            assert min(log[name].drop_null().to_pylist()) >= feature.minimum, name
        if feature.maximum is not None:
            assert max(log[name].drop_null().to_pylist()) <= feature.maximum, name


def test_streamrec_names_the_columns_of_its_log(streamrec, log):
    described = streamrec.prediction_log
    named = [described.timestamp, described.id, described.entity, described.score, described.model_version]
    named += [described.endpoint, described.outcome.column, described.outcome.timestamp, *described.segments]
    assert set(named) <= set(log.schema.names)


def test_streamrec_sources_are_those_the_simulation_updates(streamrec):
    assert {name: source.max_age for name, source in streamrec.sources.items()} == MAX_AGES
    assert set(SOURCES) == set(MAX_AGES)
    assert {feature.source for feature in streamrec.features.values()} == set(MAX_AGES)


def test_streamrec_serves_what_the_simulation_reports(streamrec):
    assert set(streamrec.serving.stages) == set(STAGE_SECONDS)
    assert set(streamrec.serving.endpoints) == set(ENDPOINTS)
    assert "timeout" in streamrec.serving.error_types


def test_streamrec_kpis_are_made_of_events_the_simulation_counts(streamrec, log):
    kpis = streamrec.business.kpis
    unique = {
        event for kpi in kpis.values() if kpi.kind is KpiKind.UNIQUE for event in (kpi.numerator, kpi.denominator)
    }
    assert set(kpis) == {
        "click_through_rate",
        "completion_rate",
        "session_length",
        "recommendation_coverage",
        "revenue_per_recommendation",
    }
    assert unique == {"recommended_items", "catalogue_items"}
    assert set(streamrec.business.events) == unique | set(business_events(log))


def test_streamrec_can_reach_somebody_at_each_level_of_escalation(streamrec):
    assert [level.after for level in streamrec.escalation] == ["0m", "15m", "30m", "1h"]
    assert len(streamrec.on_call.rotation) >= 3
    named = {contact for level in streamrec.escalation for contact in level.contacts}
    assert named | set(streamrec.on_call.rotation) <= set(streamrec.responders)


def test_flights_declares_the_features_of_the_model(flights):
    assert set(flights.features) == set(FEATURES)
    categorical = {name for name, feature in flights.features.items() if feature.type is FeatureType.CATEGORICAL}
    assert categorical == set(CATEGORICAL)
