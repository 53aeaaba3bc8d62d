"""The Wasserstein distance from counts: the area between two distribution functions, in standard deviations."""

from collections.abc import Callable

import numpy as np
import pytest
from drift_samples import cells_of, counted, random
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from mlvitals.exporters.statistics.distances import STATISTICS, Sides, Statistic
from mlvitals.generator.spec.model import FeatureType

KNOTS = 1000
LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda generator, size: generator.normal(size=size),
    "uniform": lambda generator, size: generator.random(size),
    "lognormal": lambda generator, size: generator.lognormal(size=size),
    "zero-inflated": lambda generator, size: np.where(
        generator.random(size) < 0.62, 0, generator.exponential(size=size)
    ),
    "few levels": lambda generator, size: generator.poisson(1, size).astype(float),
    "a flag set in 5 %": lambda generator, size: (generator.random(size) < 0.05).astype(float),
    "a flag set in 0.3 %": lambda generator, size: (generator.random(size) < 0.003).astype(float),
}


def distance(before: np.ndarray, now: np.ndarray) -> Statistic:
    cells = cells_of(before, knots=KNOTS)
    found = STATISTICS["wasserstein"](Sides(cells, counted(before, cells), counted(now, cells), float(before.std())))
    assert found is not None
    return found


@pytest.mark.parametrize("law", ["normal", "uniform", "lognormal", "zero-inflated"])
@pytest.mark.parametrize("shrink", [0.3, 0.9, 1.0])
def test_it_is_scipys_distance_up_to_the_width_of_the_intervals(law, shrink):
    before, now = LAWS[law](random(1), 20_000), shrink * LAWS[law](random(2), 5_000)
    now = now.clip(before.min(), before.max())
    exact = wasserstein_distance(before, now) / before.std()
    assert distance(before, now).value == pytest.approx(exact, rel=0.02, abs=0.003)


@pytest.mark.parametrize(("before", "now"), [(0.05, 0.05), (0.05, 0.2), (0.003, 0.5), (0.5, 0.0)])
def test_it_is_scipys_distance_between_levels(before, now):
    before, now = random(1).random(20_000) < before, random(2).random(5_000) < now
    before, now = before.astype(float), now.astype(float)
    exact = wasserstein_distance(before, now) / before.std()
    assert distance(before, now).value == pytest.approx(exact, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shift", [0.1, 0.5, 1.0])
def test_a_shift_is_measured_in_standard_deviations(shift):
    before = random(3).normal(5, 4, 20_000)
    now = random(4).normal(5 + 4 * shift, 4, 20_000)
    assert distance(before, now).value == pytest.approx(shift, abs=0.03)


def test_values_beyond_the_reference_count_as_lying_at_its_ends():
    before = random(5).random(20_000)
    assert distance(before, np.full(1_000, 1e12)).value == pytest.approx(distance(before, np.full(1_000, 2.0)).value)


def test_one_value_far_away_moves_it_hardly():
    before, now = random(6).normal(size=20_000), random(7).normal(size=2_000)
    far = np.append(now[:-1], 1e12)
    assert distance(before, far).value == pytest.approx(distance(before, now).value, abs=0.005)


def test_the_same_sample_has_no_distance():
    values = random(8).normal(size=1_000)
    assert distance(values, values).value == 0


def test_categories_and_constants_have_none():
    levels = np.array(["a", "b"] * 100)
    cells = cells_of(levels, FeatureType.CATEGORICAL)
    assert STATISTICS["wasserstein"](Sides(cells, counted(levels, cells), counted(levels, cells))) is None
    constant = np.full(200, 5.0)
    cells = cells_of(constant)
    assert STATISTICS["wasserstein"](Sides(cells, counted(constant, cells), counted(constant, cells), 0.0)) is None


@given(
    st.lists(st.floats(-100, 100, allow_nan=False), min_size=2, max_size=50),
    st.lists(st.floats(-100, 100, allow_nan=False), min_size=1, max_size=50),
)
def test_it_is_not_negative_and_at_most_the_span_of_the_reference(before, now):
    sample = np.array(before)
    if not sample.std() > 1e-6:
        return
    value = distance(sample, np.array(now)).value
    assert 0 <= value <= (sample.max() - sample.min()) / sample.std() * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("size", [300, 3_000])
def test_noise_alone_exceeds_the_critical_value_about_once_in_a_thousand_windows(law, size):
    generator = random(9)
    exceeded = 0
    for _ in range(20):
        before = law(generator, 20_000)
        cells = cells_of(before, knots=200)
        counts, deviation = counted(before, cells), float(before.std())
        for _ in range(50):
            found = STATISTICS["wasserstein"](Sides(cells, counts, counted(law(generator, size), cells), deviation))
            exceeded += found.value > found.critical_value
    assert exceeded <= 6  # at 1 in 1000, more than 6 come once in 12,000 times


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_critical_value_is_no_more_than_a_few_standard_errors(law):
    before = law(random(10), 20_000)
    found = distance(before, law(random(11), 5_000))
    assert found.critical_value <= 7 * np.sqrt(1 / 20_000 + 1 / 5_000)
