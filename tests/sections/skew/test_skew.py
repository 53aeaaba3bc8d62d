"""Training-serving skew: which rows belong together, and what is said of one feature."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from exporter_samples import NOON

from mlvitals.exporters.reading.columns import comparable
from mlvitals.exporters.sections.skew.pairs import (
    Counted,
    Matches,
    compare_feature,
    differences,
    in_same_precision,
    matched,
    superseded,
)
from mlvitals.exporters.sections.skew.report import FeatureSkew
from mlvitals.exporters.statistics.cells import make_cells
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.generator.contract import SkewStatus
from mlvitals.generator.spec.model import Alerts, Feature, FeatureType, SkewJoin

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FLOAT = Feature()
ANY = np.random.default_rng(0).normal(size=1000)


def text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def at(*minutes: int) -> pa.Array:
    return pa.array([NOON + minute * MINUTE for minute in minutes], pa.timestamp("us", "UTC"))


def pairs(
    predictions: tuple[pa.Array, pa.Array], offline: tuple[pa.Array, pa.Array], join: SkewJoin = SkewJoin.ENTITY
) -> list[tuple[int, int]]:
    keys, times = zip(predictions, offline, strict=True)
    found = matched(keys, times, join, DAY)
    return list(zip(found.serving.tolist(), found.offline.tolist(), strict=True))


# ---------------------------------------------------------------- which rows belong together


def test_a_prediction_meets_its_entitys_latest_row_at_or_before_it():
    offline = (text("ann", "ann", "ann", "bob"), at(-90, -30, 30, -5))
    assert pairs((text("ann", "ann", "bob"), at(0, 45, 0)), offline) == [(0, 1), (1, 2), (2, 3)]


def test_a_row_of_the_very_moment_counts_and_one_of_the_next_microsecond_does_not():
    later = pa.array([NOON + timedelta(microseconds=1)], pa.timestamp("us", "UTC"))
    assert pairs((text("ann"), at(0)), (text("ann"), at(0))) == [(0, 0)]
    assert pairs((text("ann"), at(0)), (text("ann"), later)) == []


def test_a_row_older_than_the_limit_is_no_match():
    assert pairs((text("ann", "ann"), at(0, 1)), (text("ann"), at(-24 * 60))) == [(0, 0)]


def test_another_entitys_row_is_no_match():
    assert pairs((text("ann", "cid"), at(0, 0)), (text("bob"), at(-5))) == []


def test_of_two_rows_of_one_entity_and_moment_the_last_counts():
    assert pairs((text("ann"), at(0)), (text("ann", "ann"), at(-5, -5))) == [(0, 1)]


def test_a_null_key_matches_nothing():
    assert pairs((text(None, "ann"), at(0, 0)), (text(None, "ann"), at(-5, -5))) == [(1, 1)]


def test_by_id_the_time_of_the_offline_row_does_not_matter():
    offline = (text("p2", "p1"), at(500, -500))
    assert pairs((text("p1", "p2", "p3"), at(0, 0, 0)), offline, SkewJoin.ID) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("join", [SkewJoin.ID, SkewJoin.ENTITY])
def test_nothing_offline_matches_nothing(join: SkewJoin):
    assert pairs((text("ann"), at(0)), (text(), at()), join) == []
    assert pairs((text(), at()), (text("ann"), at(0)), join) == []


def test_matching_agrees_with_looking_at_every_pair():
    generator = np.random.default_rng(1)
    users = [f"u{number}" for number in generator.integers(0, 20, 400)]
    minutes = generator.integers(-3000, 0, 400).tolist()
    predictions, offline = (users[:200], minutes[:200]), (users[200:], minutes[200:])
    expected = []
    for row, (user, minute) in enumerate(zip(*predictions, strict=True)):
        fit = [
            (since, place)
            for place, (other, since) in enumerate(zip(*offline, strict=True))
            if other == user and since <= minute <= since + 24 * 60
        ]
        expected += [(row, max(fit)[1])] if fit else []
    assert pairs(*((text(*names), at(*moments)) for names, moments in (predictions, offline))) == expected


def test_rows_that_no_prediction_of_the_window_can_meet_are_superseded():
    keys, times = text("ann", "ann", "bob", "ann", "ann"), at(-90, -60, -90, 0, 5)
    assert superseded(keys, times, NOON).tolist() == [True, True, False, False, False]


# ---------------------------------------------------------------- two values


@pytest.mark.parametrize(
    ("kind", "serving", "offline", "expected"),
    [
        (FeatureType.FLOAT, 100.0, 100.0, 0),
        (FeatureType.FLOAT, 100.0, 101.0, 1 / 101),
        (FeatureType.FLOAT, -1.0, 1.0, 2),
        (FeatureType.FLOAT, None, None, 0),
        (FeatureType.FLOAT, None, float("nan"), 0),
        (FeatureType.FLOAT, None, 0.0, np.inf),
        (FeatureType.FLOAT, float("inf"), float("inf"), 0),
        (FeatureType.FLOAT, float("inf"), 1.0, np.inf),
        (FeatureType.INTEGER, 0, 5, 1),
        (FeatureType.BOOLEAN, True, True, 0),
        (FeatureType.BOOLEAN, True, False, 1),
        (FeatureType.CATEGORICAL, "de", "de", 0),
        (FeatureType.CATEGORICAL, "de", "fr", np.inf),
        (FeatureType.CATEGORICAL, None, None, 0),
        (FeatureType.CATEGORICAL, None, "de", np.inf),
        (FeatureType.CATEGORICAL, 501, "501", 0),
        (FeatureType.TIMESTAMP, NOON, NOON, 0),
    ],
)
def test_two_values_are_as_far_apart_as_their_type_says(kind: FeatureType, serving: Any, offline: Any, expected: float):
    sides = (comparable(pa.array([value]), kind) for value in (serving, offline))
    assert differences(*in_same_precision(*sides), kind).tolist() == [pytest.approx(expected)]


def test_single_precision_on_one_side_is_no_difference():
    sides = comparable(pa.array([0.1], pa.float32()), FeatureType.FLOAT), comparable(pa.array([0.1]), FeatureType.FLOAT)
    assert differences(*in_same_precision(*sides), FeatureType.FLOAT).tolist() == [0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "rounded"])
def test_the_same_instants_in_another_unit_or_zone_are_no_difference(unit: str, zone: str | None, cut: bool):
    moments = (1_772_000_000_000_000 + np.random.default_rng(1).integers(0, 10**12, 500)).astype("datetime64[us]")
    half = np.timedelta64(0, "us") if cut else np.timedelta64(1, unit).astype("timedelta64[us]") // 2
    written = pa.array((moments + half).astype(f"datetime64[{unit}]")).cast(pa.timestamp(unit, zone and "UTC"))
    sides = [comparable(column, FeatureType.TIMESTAMP) for column in (pa.array(moments), written)]
    for serving, offline in (sides, sides[::-1]):
        assert not differences(serving, offline, FeatureType.TIMESTAMP).any()


def test_times_that_are_a_unit_apart_differ():
    moments = pa.array([NOON + timedelta(milliseconds=number) for number in range(1000)])
    later = pa.array([NOON + timedelta(milliseconds=number + 1) for number in range(1000)])
    sides = [comparable(column, FeatureType.TIMESTAMP) for column in (moments, later)]
    assert differences(*sides, FeatureType.TIMESTAMP).all()


@pytest.mark.parametrize("kind", [FeatureType.FLOAT, FeatureType.INTEGER])
def test_what_one_side_computed_in_single_precision_is_no_difference(kind: FeatureType):
    values = np.random.default_rng(2).lognormal(0, 5, 1000)
    single = np.nextafter(values.astype(np.float32), np.float32(np.inf))
    sides = [comparable(pa.array(column), kind) for column in (values, single)]
    assert not differences(*in_same_precision(*sides), kind).any()
    other = comparable(pa.array((values * (1 + 1e-6)).astype(np.float32)), kind)
    assert differences(*in_same_precision(sides[0], other), kind).all()


# ---------------------------------------------------------------- one feature


def compared(
    serving: Any, offline: Any, feature: Feature = FLOAT, *, tolerance: float = 1e-6, rows: bool = True
) -> FeatureSkew:
    """Two columns of one feature, matched row by row; its cells come from the offline side."""
    sides = [comparable(pa.array(values), feature.type) for values in (serving, offline)]
    cells = make_cells(sides[1], feature.type, bins=10, knots=1000)
    moments = at(*range(len(sides[0])))
    keys = text(*(f"user {number}" for number in range(len(sides[0]))))
    return compare_feature(
        feature,
        Alerts(),
        cells=cells,
        counted=Counted(*(profile_column(side, cells) for side in sides)),
        matches=Matches(keys, moments, *sides) if rows else None,
        tolerance=tolerance,
    )


def test_equal_values_are_ok():
    found = compared(ANY, ANY)
    assert (found.status, found.mismatch_ratio, found.distance.value) == (SkewStatus.OK, 0, 0)
    assert found.offenders == ()


def test_a_few_rows_that_differ_are_named_though_the_distributions_agree():
    serving = ANY.copy()
    serving[100:150] = ANY[150:200]
    found = compared(serving, ANY)
    assert (found.status, found.mismatches, found.mismatch_ratio) == (SkewStatus.INVESTIGATE, 50, 0.05)
    assert found.distance.severity is None
    assert len(found.offenders) == 5


def test_more_than_a_tenth_of_the_rows_alerts():
    assert compared(np.where(np.arange(1000) < 150, 99.0, ANY), ANY).status is SkewStatus.ALERT


def test_the_largest_difference_comes_first():
    serving = ANY.copy()
    serving[[3, 7]] = ANY[3] * 1.01, None
    first, second = compared(serving, ANY).offenders
    assert (first.key, first.time, first.serving) == ("user 7", NOON + 7 * MINUTE, None)
    assert (second.key, second.serving, second.offline) == ("user 3", f"{serving[3]:.15g}", f"{ANY[3]:.15g}")


def test_a_difference_within_the_tolerance_is_none():
    assert compared(ANY * 1.0009, ANY, tolerance=1e-3).mismatches == 0
    assert compared(ANY * 1.0011, ANY, tolerance=1e-3).mismatches == 1000


def test_whole_numbers_must_be_equal():
    times = np.arange(1000) + 1_772_000_000
    assert compared(times + 1, times, Feature(type=FeatureType.INTEGER)).mismatches == 1000


@pytest.mark.parametrize(
    ("shift", "status"), [(0.0, SkewStatus.OK), (0.45, SkewStatus.INVESTIGATE), (0.8, SkewStatus.ALERT)]
)
@pytest.mark.parametrize("measure", ["psi", "ks"])
def test_without_matched_rows_the_distributions_decide(measure: str, shift: float, status: SkewStatus):
    found = compared(ANY + shift, ANY, Feature(skew=measure), rows=False)
    assert (found.measure, found.status, found.mismatch_ratio) == (measure, status, None)


@pytest.mark.parametrize(("germans", "status"), [(500, "ok"), (150, "investigate"), (10, "alert")])
def test_categories_are_compared_by_js(germans: int, status: str):
    offline, serving = (np.where(np.arange(1000) < share, "de", "fr") for share in (500, germans))
    feature = Feature(type=FeatureType.CATEGORICAL, skew="js")
    assert compared(serving, offline, feature, rows=False).status == status


def test_fewer_than_a_hundred_values_on_either_side_are_insufficient_data():
    found = compared(ANY[:99], ANY[:99])
    assert (found.status, found.distance, found.mismatch_ratio) == (SkewStatus.INSUFFICIENT_DATA, None, None)
    assert found.reason == "99 values at serving; at least 100 are needed"


def test_a_feature_that_is_null_at_serving_alone_alerts():
    found = compared(pa.nulls(1000, pa.float64()), ANY)
    assert (found.status, found.mismatch_ratio, found.distance) == (SkewStatus.ALERT, 1, None)


def test_a_distance_within_its_noise_is_ok():
    generator = np.random.default_rng(3)
    found = compared(generator.normal(size=110), generator.normal(size=110), rows=False)
    assert found.distance.value > 0.10
    assert (found.status, found.distance.severity) == (SkewStatus.OK, None)


def test_a_feature_the_reference_does_not_have_is_still_compared_row_by_row():
    sides = [comparable(pa.array(values), FeatureType.FLOAT) for values in (ANY + 1, ANY)]
    matches = Matches(text(*map(str, range(1000))), at(*range(1000)), *sides)
    found = compare_feature(Feature(), Alerts(), cells=None, counted=None, matches=matches, tolerance=0)
    assert (found.status, found.mismatch_ratio, found.distance) == (SkewStatus.ALERT, 1, None)
    assert "the reference does not have it" in found.reason
