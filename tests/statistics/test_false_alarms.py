"""Statistics that promise to exceed their noise once in a thousand windows keep it, and still see what changes."""

from itertools import groupby

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from benchmarks.false_alarms import (
    CASES,
    LEVELS,
    NUMBERS,
    Case,
    any_psi_exceeds,
    area_exceeds,
    cardinality_exceeds,
    fall_exceeds,
    level_samples,
    mean_exceeds,
    moments,
    most,
    new_rows_exceed,
    share_exceeds,
)
from mlvitals.exporters.sections.outcomes.performance import Classes
from mlvitals.exporters.statistics.distances import NOISE
from mlvitals.exporters.statistics.noise import (
    Share,
    binomial_hits,
    drawn_hits,
    known_share_noise,
    mean_noise,
    share_noise,
)

WINDOWS = 250
STATISTICS = {name: list(cases) for name, cases in groupby(CASES, key=lambda case: case.statistic)}


@pytest.fixture(scope="module")
def counted() -> dict[Case, int]:
    return {case: case.exceedances(WINDOWS) for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_change_no_population_and_no_size_exceeds_the_noise_more_often_than_promised(case, counted):
    assert counted[case] <= most(WINDOWS)


@pytest.mark.slow
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_statistic_keeps_its_promise_over_all_its_populations_and_sizes(statistic, counted):
    cases = STATISTICS[statistic]
    assert sum(counted[case] for case in cases) <= most(WINDOWS * len(cases))


def found_in(exceeds, before, reference, now, rows, windows=40) -> float:
    """The share of changed windows in which a statistic exceeds its noise."""
    random = np.random.default_rng(1)
    before, now = np.asarray(before, float), np.asarray(now, float)
    samples = (level_samples(random, before / before.sum(), reference, now / now.sum(), rows) for _ in range(windows))
    return sum(map(exceeds, samples)) / windows


@pytest.mark.parametrize(("reference", "rows"), [(100_000, 8_000), (10_000, 1_000), (2_000, 2_000), (2_000, 10_000)])
def test_a_category_that_loses_its_rarer_half_is_found(reference, rows):
    equal = np.ones(100)
    assert found_in(cardinality_exceeds, equal, reference, np.where(np.arange(100) < 50, 1.0, 0.0), rows) == 1


def test_a_long_tail_that_loses_every_third_level_is_found():
    tail = LEVELS["400 levels, 1/rank"]
    assert found_in(cardinality_exceeds, tail, 10_000, np.where(np.arange(400) % 3, tail, 0), 1_000) > 0.9


@pytest.mark.parametrize(("reference", "rows"), [(100_000, 8_000), (10_000, 10_000), (2_000, 20_000)])
def test_one_new_country_among_four_is_found_in_both(reference, rows):
    before, now = [1, 1, 1, 1, 0], [1, 1, 1, 1, 0.08]
    assert found_in(cardinality_exceeds, before, reference, now, rows) == 1
    assert found_in(new_rows_exceed, before, reference, now, rows) == 1


def test_new_values_that_are_all_different_are_found():
    before = np.append(np.full(4, 0.25), np.zeros(3000))
    now = np.append(np.full(4, 0.97 / 4), np.full(3000, 0.03 / 3000))
    assert found_in(new_rows_exceed, before, 10_000, now, 1_000) == 1
    assert found_in(cardinality_exceeds, before, 10_000, now, 1_000) == 1


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(("reference", "rows"), [(20_000, 100), (1_000, 1_000), (300, 1_000)])
def test_a_mean_that_moves_two_standard_deviations_is_found_whatever_the_population(name, reference, rows):
    random, draw = np.random.default_rng(2), NUMBERS[name]
    before = draw(random, reference)
    moved = moments(draw(random, rows) + 2 * max(before.std(), 0.01))
    assert mean_exceeds(moments(before), moved)


def test_a_flag_that_is_true_ten_times_as_often_is_found():
    random = np.random.default_rng(3)
    before, now = (
        moments((random.random(rows) < rate).astype(float)) for rows, rate in ((20_000, 0.003), (1000, 0.03))
    )
    assert mean_exceeds(before, now)


def test_one_absurd_value_is_within_the_noise_of_the_mean_and_fifty_are_not():
    values = np.random.default_rng(4).normal(size=25_000)
    one, fifty = values[20_000:].copy(), values[20_000:].copy()
    one[0], fifty[:50] = 1e9, 1e9
    assert not mean_exceeds(moments(values[:20_000]), moments(one))
    assert mean_exceeds(moments(values[:20_000]), moments(fifty))


def test_a_constant_has_no_noise_and_a_sum_that_overflows_no_bound():
    constant = moments(np.full(1000, 3.0))
    assert mean_noise(constant, constant) == 0
    assert mean_noise(constant, moments(np.array([1e200, 2e200]))) == np.inf


@pytest.mark.parametrize("reference", [100_000, 10_000])
def test_outcomes_half_or_twice_as_frequent_are_found(reference):
    before = Share(reference // 20, reference)
    assert share_exceeds(before, Share(25, 1000))
    assert share_exceeds(before, Share(100, 1000))
    assert not share_exceeds(before, Share(40, 1000))


def test_no_positives_where_ten_are_expected_are_found():
    assert share_exceeds(Share(1_000, 100_000), Share(0, 1_000))
    assert not share_exceeds(Share(500, 100_000), Share(0, 1_000)), "five fewer than five are chance"


def test_a_fifth_of_the_feedback_lost_is_found_and_a_reference_of_few_rows_proves_less():
    assert fall_exceeds(Share(90_000, 100_000), Share(720, 1000))
    assert share_noise(Share(18, 20), Share(720, 1000)) > 2 * share_noise(Share(90_000, 100_000), Share(720, 1000))


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_a_rate_that_the_spec_gives_is_known_better_than_one_that_a_reference_shows(share):
    found = Share(round(700 * share), 1000)
    assert known_share_noise(share, found) < share_noise(Share(round(2000 * share), 2000), found)


@pytest.mark.parametrize(
    ("area", "positives", "rows", "found"), [(0.76, 50, 1000, True), (0.92, 10, 1000, True), (0.76, 5, 1000, False)]
)
def test_scores_that_tell_nothing_any_more_are_found_where_there_are_positives_enough(area, positives, rows, found):
    assert area_exceeds((area, Classes(1_000, 19_000)), (0.5, Classes(positives, rows - positives))) is found


@pytest.mark.parametrize("hits", [0, 3, 500, 1000])
def test_drawn_hits_are_those_of_the_hypergeometric_law(hits):
    limits = drawn_hits(hits, 1000, 100)
    law = hypergeom(1000, hits, 100)
    assert law.cdf(limits.low - 1) <= NOISE / 2 < law.cdf(limits.low)
    assert law.sf(limits.high) <= NOISE / 2
    assert limits.high == 0 or law.sf(limits.high - 1) > NOISE / 2


@pytest.mark.parametrize(("share", "rows"), [(0.01, 100), (0.99, 100), (0.5, 10_000)])
def test_hits_at_a_given_rate_are_those_of_the_binomial_law(share, rows):
    limits, law = binomial_hits(share, rows), binom(rows, share)
    assert law.cdf(limits.low - 1) <= NOISE / 2 < law.cdf(limits.low)
    assert law.sf(limits.high) <= NOISE / 2 < law.sf(limits.high - 1)


def test_a_rate_of_all_or_none_leaves_no_choice():
    assert (binomial_hits(0.0, 10), binomial_hits(1.0, 10)) == ((0, 0), (10, 10))


def test_a_hundred_unchanged_features_exceed_their_own_noise_in_one_window_of_ten():
    random, shares = np.random.default_rng(5), np.full(10, 0.1)
    found = sum(any_psi_exceeds(random, shares, 100_000, 300, comparisons=1) for _ in range(100))
    assert 3 <= found <= 20
