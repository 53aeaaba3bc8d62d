"""The table of drift statistics agrees with the spec language and with what is drawn."""

from typing import get_args

import msgspec
import pytest

from mlvitals.generator.contract import STATISTICS, Contract, Statistic
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.grafana.feature import page
from mlvitals.generator.spec.model import Feature, FeatureType, Levels, Spec

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
