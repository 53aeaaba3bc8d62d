"""Statistics that promise to exceed their noise once in a thousand windows keep it, and still see what changes."""

from itertools import groupby

import numpy as np
import pytest

from benchmarks.false_alarms import (
    CASES,
    LEVELS,
    NUMBERS,
    Case,
    cardinality_exceeds,
    level_samples,
    mean_exceeds,
    moments,
    most,
    new_rows_exceed,
)
from mlvitals.exporters.statistics.noise import mean_noise

WINDOWS = 250
STATISTICS = {name: list(cases) for name, cases in groupby(CASES, key=lambda case: case.statistic)}


@pytest.fixture(scope="module")
def counted() -> dict[Case, int]:
    return {case: case.exceedances(WINDOWS) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_change_no_population_and_no_size_exceeds_the_noise_more_often_than_promised(case, counted):
    assert counted[case] <= most(WINDOWS)


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
