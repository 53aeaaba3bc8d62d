"""Quality figures, one situation each: what moved, what is new, what is gone, and what sampling alone does."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from drift_samples import NOON, WINDOW, compared, random, reference_of, report_of, spec_of

from mlvitals.exporters.sections.features.report import Quality
from mlvitals.exporters.statistics.distinct import Abundances, rarefied
from mlvitals.exporters.statistics.moments import PIECE, Moments
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import FeatureType, Severity

NORMAL = random(1).normal(10, 2, 20_000)
SAME = random(2).normal(10, 2, 5000)
PLANS = ["free"] * 700 + ["basic"] * 200 + ["family"] * 60 + ["premium"] * 40


def quality(before, now, kind: FeatureType = FeatureType.FLOAT, **feature) -> Quality:
    found = report_of(before, now, kind, **feature).quality
    assert found is not None
    return found


def sampled(size: int, seed: int, levels: int = 400) -> list[str]:
    """Texts whose frequencies fall as 1/rank."""
    weights = 1 / np.arange(1, levels + 1)
    return random(seed).choice([f"v{level}" for level in range(levels)], size, p=weights / weights.sum()).tolist()


def test_a_window_without_change_has_every_figure_and_no_severity():
    found = quality(NORMAL, SAME)
    assert found.severity is None
    assert abs(found.mean_shift.value) < found.mean_shift.critical_value < 0.1
    assert abs(found.median_shift.value) < found.median_shift.critical_value < 0.1
    assert 1 / found.variance_ratio.critical_value < found.variance_ratio.value < found.variance_ratio.critical_value
    assert found.infinite_ratio == 0
    assert found.standard_deviation == pytest.approx(SAME.std())


def test_a_mean_that_moves_three_standard_deviations_warns():
    report = report_of(NORMAL, SAME + 6)
    assert report.quality.mean_shift.value == pytest.approx(3, abs=0.1)
    assert report.quality.mean_shift.severity is Severity.WARNING
    assert report.quality.median_shift.value == pytest.approx(3, abs=0.1)
    assert report.quality.median_shift.severity is Severity.WARNING


def test_a_shift_downwards_has_a_sign_and_warns_too():
    found = quality(NORMAL, SAME - 6)
    assert found.mean_shift.value == pytest.approx(-3, abs=0.1)
    assert found.mean_shift.severity is Severity.WARNING


def test_a_few_absurd_values_move_the_mean_but_neither_the_median_nor_beyond_what_they_prove():
    one = np.append(SAME, 1e9)
    found = quality(NORMAL, one)
    assert found.mean_shift.value > 1000
    assert found.mean_shift.severity is None, "one row of 5000 is within the noise of its own variance"
    assert abs(found.median_shift.value) < 0.1
    assert found.range_excess > 10
    assert found.severity is Severity.INFO


def test_march_3_at_one_percent_moves_the_mean_beyond_its_noise():
    days = random(3).integers(0, 366, 40_000)
    now = np.where(np.arange(5000) % 100 == 0, 1_772_524_800, days[:5000])
    assert quality(days, now, FeatureType.INTEGER).mean_shift.severity is Severity.WARNING


def test_a_variance_that_doubles_and_more_warns():
    found = quality(NORMAL, 10 + 1.6 * (SAME - 10))
    assert found.variance_ratio.value == pytest.approx(2.56, abs=0.2)
    assert found.variance_ratio.severity is Severity.WARNING
    assert found.mean_shift.severity is None


def test_a_feature_that_becomes_constant_has_no_variance_left():
    found = quality(NORMAL, np.full(5000, 10.0))
    assert found.variance_ratio.value == 0
    assert found.variance_ratio.severity is Severity.WARNING


def test_a_constant_far_away_has_no_variance_either():
    assert quality(NORMAL, np.full(300_000, 1.772e18)).variance_ratio.value == 0


def test_a_constant_reference_has_no_standard_deviation_to_count_in():
    found = quality(np.full(1000, 5.0), np.full(1000, 6.0))
    assert (found.mean_shift, found.median_shift, found.variance_ratio) == (None, None, None)
    assert report_of(np.full(1000, 5.0), np.full(1000, 6.0)).psi.severity is Severity.CRITICAL


def test_a_doubled_variance_of_few_rows_is_within_its_noise():
    few = random(4).normal(10, 2 * 1.5, 120)
    heavy = random(5).lognormal(0, 1.5, 20_000)
    assert quality(heavy, random(6).lognormal(0, 1.5, 300)).variance_ratio is None
    assert quality(NORMAL, few).variance_ratio.critical_value > 1.4


def test_fewer_than_a_hundred_values_are_no_shift():
    found = quality(NORMAL, SAME[:99] + 100)
    assert (found.mean_shift, found.median_shift, found.variance_ratio) == (None, None, None)
    assert found.minimum == pytest.approx(SAME[:99].min() + 100)


@pytest.mark.parametrize("seed", range(5))
def test_the_median_is_within_its_stated_error(seed):
    values = random(seed).gamma(2, 3, 4001)
    found = quality(random(9).gamma(2, 3, 20_000), values)
    assert abs(found.median - np.median(values)) <= found.median_error
    assert found.median_error < 0.05


def test_the_median_of_few_distinct_values_is_exact():
    found = quality([1, 2, 3, 4] * 100, [1, 2, 3, 3, 3] * 100, FeatureType.INTEGER)
    assert (found.median, found.median_error) == (3, 0)


def test_infinite_values_are_the_outermost_of_the_quantiles_and_leave_the_mean_alone():
    found = report_of(NORMAL, np.append(SAME, [np.inf] * len(SAME)))
    assert found.mean == pytest.approx(SAME.mean())
    assert found.quality.quantiles["50"] == pytest.approx(SAME.max(), rel=0.01)
    assert found.quality.quantiles["5"] == pytest.approx(np.quantile(SAME, 0.1), rel=0.01)
    quantile = Contract(spec_of({"x": {}})).by_name["shop_feature_quantile"]
    assert "infinite ones as the outermost" in quantile.help


def test_infinite_values_are_a_share_of_their_own():
    found = quality(NORMAL, np.append(SAME[:990], [np.inf] * 10))
    assert found.infinite_ratio == pytest.approx(0.01)
    assert found.severity is Severity.WARNING


def test_a_new_country_is_a_new_category_and_counts_in_the_cardinality():
    countries = [country for country in ("de", "fr", "it", "pl") for _ in range(5000)]
    now = countries[::5] + ["xx"] * 200
    found = quality(countries, now, FeatureType.CATEGORICAL)
    assert found.new_category_ratio.value == pytest.approx(200 / 4200)
    assert found.new_category_ratio.severity is Severity.WARNING
    assert (found.distinct, found.expected_distinct) == (5, pytest.approx(4))
    assert found.cardinality_change.value == pytest.approx(0.25)
    assert found.cardinality_change.severity is Severity.WARNING


def test_a_vanished_plan_is_named():
    report = report_of(PLANS * 10, [plan for plan in PLANS if plan != "family"] * 2, FeatureType.CATEGORICAL)
    assert report.quality.vanished == ("family",)
    assert report.quality.cardinality_change.value == pytest.approx(-0.25)
    assert report.quality.severity is Severity.WARNING


def test_a_rare_plan_that_a_small_window_lacks_has_not_vanished():
    now = ["free"] * 80 + ["basic"] * 22
    assert quality(PLANS * 10, now, FeatureType.CATEGORICAL).vanished == ()
    assert quality(PLANS * 10, now * 2, FeatureType.CATEGORICAL).vanished == ("family", "premium")


@pytest.mark.parametrize("rows", [500, 2000, 10_000, 50_000, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_an_unchanged_cardinality_does_not_alarm_whatever_the_size_of_the_window(rows, seed):
    found = quality(sampled(100_000, 100), sampled(rows, seed), FeatureType.CATEGORICAL)
    assert found.cardinality_change.severity is None
    assert found.new_category_ratio.severity is None
    assert found.distinct == pytest.approx(found.expected_distinct, abs=40)


def test_a_window_that_lost_a_third_of_its_levels_alarms_at_its_own_size():
    fewer = [text for text in sampled(8000, 7) if int(text[1:]) % 3]
    assert quality(sampled(100_000, 100), fewer, FeatureType.CATEGORICAL).cardinality_change.severity


def test_rarefaction_is_what_drawing_without_putting_back_gives():
    counts = np.array([50, 30, 15, 4, 1])
    rows = np.repeat(np.arange(5), counts)
    drawn = [len(set(random(seed).choice(rows, 20, replace=False).tolist())) for seed in range(3000)]
    levels = Abundances(counts.astype(float), np.ones(5))
    assert rarefied(levels, 20) == pytest.approx(np.mean(drawn), abs=0.05)
    assert rarefied(levels, 100) == pytest.approx(5)


def test_a_window_larger_than_a_reference_that_may_not_know_every_level_has_no_cardinality():
    ids = [f"id{number}" for number in range(500)]
    assert quality(ids, sampled(1000, 1), FeatureType.CATEGORICAL).cardinality_change is None


def test_many_thousand_new_levels_are_estimated():
    ids = [f"id{number}" for number in range(20_000)]
    found = quality(["a", "b"] * 50_000, ids, FeatureType.CATEGORICAL)
    assert found.distinct == pytest.approx(20_000, rel=0.15)
    assert found.new_category_ratio.value == 1


def test_an_integer_of_few_values_has_a_cardinality_too():
    found = quality([1, 2, 3] * 2000, [1, 2, 3, 7] * 500, FeatureType.INTEGER)
    assert (found.distinct, found.new_category_ratio.value) == (4, 0.25)


def test_a_continuous_feature_has_no_cardinality():
    found = quality(NORMAL, SAME)
    assert (found.distinct, found.cardinality_change, found.new_category_ratio, found.vanished) == (None,) * 4


def test_a_features_own_thresholds_come_before_the_systems():
    moved = 12 + 1.2 * (SAME - 10)
    assert quality(NORMAL, moved).mean_shift.severity is None
    strict = quality(NORMAL, moved, thresholds={"mean_shift": {"critical": 0.5}, "variance_ratio": [0.5, 1.2]})
    assert strict.mean_shift.severity is Severity.CRITICAL
    assert strict.variance_ratio.severity is Severity.WARNING


def test_a_conditioned_reference_compares_the_mean_with_the_same_hours():
    spec = spec_of({"x": {}}, reference={"condition": "hour_of_day"})
    hours = np.arange(24).repeat(1000)
    times = pa.array([NOON.replace(hour=0) + timedelta(hours=int(hour)) for hour in hours])
    rng = random(8)
    reference = reference_of(spec, {"x": rng.normal(hours * 10.0, 1), "timestamp": times})
    found = compared(spec, reference, {"x": rng.normal(WINDOW.start.hour * 10.0, 1, 2000)}).features["x"].quality
    assert found.severity is None
    assert found.reference_standard_deviation == pytest.approx(1, abs=0.1)


def test_moments_of_more_values_than_are_summed_at_once_are_those_of_all():
    values = np.sort(random(13).gamma(2, 3, 3 * PIECE + 17))
    found = Moments.of(values)
    distances = values - values.mean()
    assert (found.count, found.mean) == (values.size, values.mean())
    assert (found.squares, found.cubes, found.fourths) == pytest.approx(
        [(distances**power).sum() for power in (2, 3, 4)], rel=1e-13
    )


def test_moments_merge_to_those_of_the_whole():
    values = np.sort(random(11).gamma(2, 3, 5000)) + 1e6
    cut = random(12).permutation(values)
    merged = Moments()
    for part in np.split(cut, [10, 11, 700, 3000]):
        merged = merged.merge(Moments.of(np.sort(part)))
    whole = Moments.of(values)
    assert merged.count == whole.count
    assert merged.mean == pytest.approx(whole.mean, rel=1e-14)
    assert merged.variance == pytest.approx(values.var(), rel=1e-9)
    assert merged.kurtosis == pytest.approx(whole.kurtosis, rel=1e-6)


def test_quantiles_lie_beside_those_of_the_reference():
    found = quality(NORMAL, SAME + 1)
    exact = np.percentile(SAME + 1, [5, 50, 95])
    assert list(found.quantiles.values()) == pytest.approx(exact.tolist(), abs=0.1)
    assert found.reference_quantiles["50"] == found.reference_median
    assert found.quantiles["50"] == found.median


def test_a_category_has_no_quantiles():
    assert quality(["a", "b"] * 200, ["a", "b"] * 200, FeatureType.CATEGORICAL).quantiles == {}
