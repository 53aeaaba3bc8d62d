"""The table of drift statistics agrees with the spec language and with what is drawn."""

from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from mlvitals.generator.contract import STATISTICS, Contract, Statistic
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.grafana.feature import page
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Place, Signal
from mlvitals.generator.spec.model import Feature, FeatureType, Levels, Severity, Spec

EACH = pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: statistic.name)


@EACH
def test_a_statistic_has_a_policy_and_levels_of_a_features_own(statistic: Statistic, streamrec: Spec):
    own = msgspec.convert({"thresholds": {statistic.name: {"warning": 0.5}}}, Feature)
    assert statistic.levels_of(own) == Levels(warning=0.5)
    assert statistic.policy_in(streamrec.alerts) is getattr(streamrec.alerts, f"feature_{statistic.name}")


def test_a_feature_may_name_exactly_the_measures_of_skew_in_the_table():
    [named] = (field.type for field in msgspec.structs.fields(Feature) if field.name == "skew")
    assert set(SKEW_MEASURES) == set(get_args(get_args(named)[0]))


@pytest.mark.parametrize(("kind", "has_it"), [(kind, kind is not FeatureType.CATEGORICAL) for kind in FeatureType])
def test_only_numbers_have_a_statistic_that_compares_numbers(kind: FeatureType, has_it: bool):
    assert {statistic.suits(kind) for statistic in STATISTICS if statistic.numeric} == {has_it}
    assert all(statistic.suits(kind) for statistic in STATISTICS if not statistic.numeric)


@EACH
def test_the_page_of_a_feature_draws_a_statistic_with_its_noise(statistic: Statistic, streamrec: Spec):
    contract = Contract(streamrec)
    drawn = [signal for row in page(streamrec).rows for signal in row.signals if signal.title == statistic.title]
    queried = {query.expression for signal in drawn for query in signal.queries}
    assert {f"max({contract.name(name)})" for name in (statistic.family, statistic.noise_family)} <= queried


# ---------------------------------------------------------------- Wasserstein


def feature_transport(spec: Spec) -> Signal:
    [signal] = (signal for signal in signals(spec) if signal.id == "feature_transport")
    return signal


def watching(spec: Spec) -> Spec:
    policy = replace(spec.alerts.feature_wasserstein, enabled=True)
    return replace(spec, alerts=replace(spec.alerts, feature_wasserstein=policy))


def test_the_wasserstein_distance_is_drawn_and_alerts_nobody_by_default(streamrec: Spec):
    signal = feature_transport(streamrec)
    assert (signal.alerts, signal.levels, signal.place) == ((), (), Place.DETAIL)
    assert signal.queries


def test_where_it_is_enabled_numbers_beyond_a_level_and_beyond_noise_alert(flights: Spec):
    signal = feature_transport(watching(flights))
    assert [(alert.name, alert.severity, alert.threshold) for alert in signal.alerts] == [
        ("MLFeatureDistance", Severity.WARNING, 0.25),
        ("MLFeatureDistance", Severity.CRITICAL, 0.5),
    ]
    for alert in signal.alerts:
        assert "(flights_drift_wasserstein > flights_drift_wasserstein_critical_value)" in alert.gate
        assert {name for name, feature in flights.features.items() if name in alert.expression} == {
            name for name, feature in flights.features.items() if feature.type is not FeatureType.CATEGORICAL
        }


def test_a_system_without_numbers_has_no_panel_of_it(flights: Spec):
    categories = {name: Feature(type=FeatureType.CATEGORICAL) for name in flights.features}
    assert "feature_transport" not in {signal.id for signal in signals(replace(flights, features=categories))}
