import numpy as np
import pytest
from drift_samples import cells_of, counted, folded, random
from scipy import stats
from scipy.special import rel_entr

from mlvitals.exporters.statistics.distances import (
    benjamini_hochberg,
    js,
    js_critical_value,
    ks,
    ks_critical_value,
    ks_pvalue,
    psi,
    psi_critical_value,
)
from mlvitals.generator.spec.model import FeatureType

ROWS = 20_000


def shapes():
    """Name, reference and window of many shapes."""
    draw = random(3)
    zeros = draw.random(ROWS) < 0.62
    return {
        "normal shifted": (draw.normal(size=ROWS), draw.normal(0.3, 1, ROWS)),
        "unchanged": (draw.normal(size=ROWS), draw.normal(size=ROWS)),
        "heavy tails": (draw.standard_cauchy(ROWS), 1.2 * draw.standard_cauchy(ROWS // 3)),
        "zero-inflated": (np.where(zeros, 0, draw.exponential(size=ROWS)), draw.exponential(size=ROWS)),
        "two atoms in a continuum": (
            np.where(zeros, draw.integers(0, 2, ROWS), draw.normal(size=ROWS)),
            draw.random(ROWS),
        ),
        "counts": (draw.poisson(3, ROWS).astype(float), draw.poisson(4, ROWS).astype(float)),
        "many integers": (draw.integers(0, 5000, ROWS).astype(float), draw.integers(0, 4000, ROWS).astype(float)),
        "rounded": (np.round(draw.normal(size=ROWS), 1), np.round(draw.normal(0.1, 1, ROWS), 1)),
        "apart": (draw.random(ROWS), draw.random(ROWS) + 2),
        "between two knots": (draw.random(200), np.full(500, 0.50001)),
        "few rows": (draw.normal(size=150), draw.normal(size=130)),
        "lognormal": (draw.lognormal(0, 4, ROWS), draw.lognormal(0.2, 4, ROWS)),
    }


@pytest.mark.parametrize("shape", shapes())
@pytest.mark.parametrize("knots", [100, 1000])
def test_d_agrees_with_scipy_on_the_raw_values_within_the_stated_bound(shape, knots):
    before, now = shapes()[shape]
    cells = cells_of(before, knots=knots)
    found = ks(counted(before, cells), counted(now, cells), cells.points)
    true = stats.ks_2samp(before, now).statistic
    assert found.value - 1e-12 <= true <= found.value + found.error_bound + 1e-12


@pytest.mark.parametrize("shape", shapes())
def test_the_stated_bound_of_d_is_about_one_knot(shape):
    before, now = shapes()[shape]
    cells = cells_of(before)
    assert ks(counted(before, cells), counted(now, cells), cells.points).error_bound <= max(2 / 1000, 1 / len(before))


@pytest.mark.parametrize("shape", ["counts", "many integers", "rounded"])
def test_d_is_exact_where_every_value_is_frequent_enough_to_be_kept(shape):
    before, now = shapes()[shape]
    cells = cells_of(before, knots=10_000)
    found = ks(counted(before, cells), counted(now, cells), cells.points)
    assert found.error_bound <= 1e-12
    assert found.value == pytest.approx(stats.ks_2samp(before, now).statistic, abs=1e-12)


@pytest.mark.parametrize("shape", shapes())
def test_psi_and_js_are_the_plain_formulas_on_the_same_cells(shape):
    before, now = shapes()[shape]
    cells = cells_of(before)
    n, m = folded(before, cells), folded(now, cells)
    kept = (n + m) > 0
    p = (n[kept] + 0.5) / (n[kept] + 0.5).sum()
    q = (m[kept] + 0.5) / (m[kept] + 0.5).sum()
    assert psi(n, m).value == pytest.approx(sum((q - p) * np.log(q / p)), abs=1e-9)
    middle = (p + q) / 2
    assert js(n, m) == pytest.approx((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2, abs=1e-9)


def test_contributions_add_up_to_psi():
    found = psi(np.array([10, 20, 30]), np.array([30, 20, 10]))
    assert found.contributions.sum() == pytest.approx(found.value)
    assert (found.contributions >= 0).all()


def test_a_cell_that_is_empty_on_both_sides_changes_nothing():
    before, now = np.array([1_000_000, 2_000_000]), np.array([40, 60])
    assert psi(np.append(before, 0), np.append(now, 0)).value == psi(before, now).value
    assert js(np.append(before, 0), np.append(now, 0)) == js(before, now)


def test_no_counts_at_all_are_no_drift_and_no_warning():
    nothing = np.zeros(3, np.int64)
    assert psi(nothing, nothing).value == 0
    assert js(nothing, nothing) == 0


def test_an_empty_cell_costs_what_the_sample_size_supports():
    assert psi(np.array([95, 5]), np.array([100, 0])).value < 0.13


def test_js_is_at_most_ln_2_and_an_eighth_of_psi_for_small_shifts():
    assert js(np.array([10**9, 0]), np.array([0, 10**9])) == pytest.approx(np.log(2), abs=1e-6)
    before, now = np.array([1000, 1000, 1000]), np.array([1050, 1000, 950])
    assert js(before, now) == pytest.approx(psi(before, now).value / 8, rel=0.01)


@pytest.mark.parametrize(
    ("share", "wanted", "tolerance"), [(0.01, 0.001, 0.0005), (0.1, 0.068, 0.004), (0.4, 0.742, 0.01)]
)
def test_march_3_shows_as_far_as_rows_are_corrupted(share, wanted, tolerance):
    days = np.repeat(np.arange(366), 1000)
    corrupted = days.copy()
    random().shuffle(corrupted)
    corrupted[: round(share * len(days))] = 1_772_524_800
    cells = cells_of(days, FeatureType.INTEGER)
    assert psi(folded(days, cells), folded(corrupted, cells)).value == pytest.approx(wanted, abs=tolerance)


def drift(before, now, kind=FeatureType.FLOAT):
    cells = cells_of(before, kind)
    return psi(folded(before, cells), folded(now, cells)).value


def test_march_3_in_every_row_is_drift_without_bound():
    days = np.repeat(np.arange(366), 1000)
    assert drift(days, np.full(len(days), 1_772_524_800), FeatureType.INTEGER) > 3.6


def test_zeros_replaced_by_small_numbers_are_drift():
    draw = random()
    zeros = draw.random(ROWS) < 0.62
    values = draw.exponential(size=ROWS)
    assert drift(np.where(zeros, 0, values), np.where(zeros, draw.random(ROWS) / 2, values)) > 1


def test_a_flag_from_5_to_95_percent_is_drift():
    draw = random()
    before, now = draw.random(ROWS) < 0.05, draw.random(ROWS) < 0.95
    assert drift(before, now, FeatureType.BOOLEAN) == pytest.approx(5.3, abs=0.2)
    assert drift(before.astype(int), now.astype(int), FeatureType.INTEGER) == pytest.approx(5.3, abs=0.2)
    assert drift(before.astype(str), now.astype(str), FeatureType.CATEGORICAL) == pytest.approx(5.3, abs=0.2)


def test_a_constant_that_moves_is_drift():
    assert drift(np.full(1000, 5.0), np.full(1000, 6.0)) > 10


def test_a_digit_that_becomes_its_neighbour_is_drift():
    digits = np.repeat(np.arange(10), 1000)
    assert drift(digits, np.where(digits == 9, 8, digits), FeatureType.INTEGER) > 0.7


def test_tails_that_stretch_are_seen_by_d_where_psi_is_blind():
    before = random().normal(size=ROWS)
    now = np.where(before > np.quantile(before, 0.95), 5 * before, before)
    cells = cells_of(before)
    assert psi(folded(before, cells), folded(now, cells)).value < 0.001
    distance = ks(counted(before, cells), counted(now, cells), cells.points).value
    assert distance == pytest.approx(stats.ks_2samp(before, now).statistic, abs=0.001)
    assert distance > ks_critical_value(ROWS, ROWS)
    assert cells.out_of_range(counted(now, cells)) / ROWS > 0.04


def test_a_zipf_category_without_drift_stays_under_its_critical_value():
    draw = random()
    levels = np.array([f"level {rank}" for rank in range(50)])
    weights = 1 / np.arange(1, 51)
    before = draw.choice(levels, 100_000, p=weights / weights.sum())
    cells = cells_of(before, FeatureType.CATEGORICAL)
    counts = folded(before, cells)
    limit = psi_critical_value(counts.sum(), 200, np.count_nonzero(counts))
    found = [psi(counts, folded(draw.choice(levels, 200, p=weights / weights.sum()), cells)).value for _ in range(200)]
    assert sum(value > limit for value in found) <= 2
    assert np.mean(found) < 0.1


@pytest.mark.parametrize(("size", "limit"), [(200, 0.1394), (1000, 0.0279), (10_000, 0.00279)])
def test_critical_values_of_psi_are_the_published_ones(size, limit):
    assert psi_critical_value(10**9, size, 10) == pytest.approx(limit, rel=0.005)
    assert js_critical_value(10**9, size, 10) == psi_critical_value(10**9, size, 10) / 8


def test_the_critical_value_of_d_has_a_pvalue_of_a_thousandth():
    assert ks_critical_value(5000, 1000) == pytest.approx(1.95 * np.sqrt(6000 / 5_000_000), rel=0.001)
    assert ks_pvalue(ks_critical_value(5000, 1000), 5000, 1000) == pytest.approx(0.001, rel=0.001)


def test_the_pvalue_is_the_asymptotic_one_of_scipy():
    draw = random()
    before, now = draw.normal(size=3000), draw.normal(0.05, 1, 2000)
    wanted = stats.ks_2samp(before, now, method="asymp")
    assert ks_pvalue(wanted.statistic, 3000, 2000) == pytest.approx(wanted.pvalue, rel=0.1)


def test_pvalues_are_adjusted_as_scipy_does_it():
    pvalues = [0.01, 0.04, 0.03, 0.005, 0.5, 1.0, 0.0]
    assert benjamini_hochberg(pvalues) == pytest.approx(stats.false_discovery_control(pvalues).tolist())
    assert benjamini_hochberg([]) == []
