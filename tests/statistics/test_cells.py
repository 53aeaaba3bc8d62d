import decimal

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from drift_samples import cells_of, counted, folded, random

from mlvitals.exporters.reading.columns import ColumnTypeError
from mlvitals.exporters.statistics.cells import MAX_LEVELS, CategoricalCells, Cells, NumericCells
from mlvitals.generator.spec.model import FeatureType


def shares(values, cells):
    return dict(zip(cells.labels, (folded(values, cells) / len(values)).tolist(), strict=True))


def test_a_continuous_feature_has_as_many_quantile_cells_as_asked_for_open_at_both_ends():
    values = random().normal(size=10_000)
    cells = cells_of(values)
    assert folded(values, cells).tolist() == [1000] * 10
    assert cells.labels[0].startswith("<= ")
    assert cells.labels[-1].startswith("> ")


def test_cells_are_right_closed():
    cells = cells_of(np.arange(100.0), bins=4)
    assert cells.labels == ("<= 24", "(24, 49]", "(49, 74]", "> 74")
    assert folded([24.0, 24.5, 49.0], cells).tolist() == [1, 2, 0, 0]


def test_a_value_with_more_than_a_cells_share_of_the_mass_is_a_cell_and_the_rest_is_cut_in_proportion():
    values = np.concatenate([np.zeros(620), np.linspace(0.001, 1, 380)])
    cells = cells_of(values)
    found = shares(values, cells)
    assert found.pop("= 0") == 0.62
    assert found.pop("other values") == 0.0
    assert len(found) == 4
    assert all(share == pytest.approx(0.095, abs=0.001) for share in found.values())


def test_a_value_a_hair_beside_a_frequent_one_is_not_counted_with_it():
    values = np.concatenate([np.zeros(620), np.linspace(0.001, 1, 380)])
    cells = cells_of(values)
    assert shares([np.nextafter(0, 1)] * 10, cells)["= 0"] == 0.0
    assert shares([-np.nextafter(0, 1)] * 10, cells)["other values"] == 1.0
    assert shares([-0.0] * 10, cells)["= 0"] == 1.0


def test_gaps_too_light_for_a_cell_of_their_own_share_one():
    values = np.concatenate(
        [np.full(500, 1.0), np.full(480, 2.0), np.linspace(1.1, 1.9, 10), np.linspace(3, 4, 10), [5.0]]
    )
    found = shares(values, cells_of(values))
    assert set(found) == {"= 1", "= 2", "other values"}
    assert found["other values"] == pytest.approx(21 / 1001)


def test_few_distinct_values_have_a_cell_each_the_rare_share_one_and_the_unseen_have_none_of_the_mass():
    values = [1] * 60 + [2] * 38 + [3] + [4]
    cells = cells_of(values, FeatureType.INTEGER)
    assert shares(values, cells) == {"= 1": 0.6, "= 2": 0.38, "rare values": 0.02, "unseen values": 0.0}
    assert shares([0, 5, 3], cells)["unseen values"] == pytest.approx(2 / 3)


def test_a_constant_is_one_value_and_everything_else():
    cells = cells_of([5.0] * 100)
    assert cells.labels == ("= 5", "unseen values")
    assert folded([5.0, np.nextafter(5, 6), np.nextafter(5, 4), np.inf, -np.inf], cells).tolist() == [1, 4]


def test_a_boolean_has_its_truth_values_as_cells():
    assert cells_of([True] * 5 + [False] * 5, FeatureType.BOOLEAN).labels == ("false", "true", "unseen values")


def test_whole_numbers_are_written_in_full_and_close_fractions_stay_apart():
    assert cells_of(range(1_700_000_000, 1_700_000_100), FeatureType.INTEGER, bins=2).labels == (
        "<= 1700000049",
        "> 1700000049",
    )
    close = 1 + np.arange(100) * 1e-9
    labels = cells_of(close, bins=5).labels
    assert len(set(labels)) == 5
    assert labels[0] == "<= 1.00000002"


def test_the_sound_range_is_that_of_the_reference():
    values = np.arange(1000.0)
    cells = cells_of(values)
    assert cells.out_of_range(counted(values, cells)) == 0
    assert cells.out_of_range(counted([-0.001, 999.001, np.inf, -np.inf, 0.0, 999.0], cells)) == 4


def test_the_spec_may_set_the_sound_range():
    cells = cells_of(np.arange(1000.0), minimum=100.0, maximum=2000.0)
    assert cells.out_of_range(counted([99.9, 100.0, 1500.0, 2000.0, 2000.1], cells)) == 2


def test_infinities_in_the_reference_fall_in_the_outer_cells():
    values = np.concatenate([np.arange(98.0), [np.inf, -np.inf]])
    cells = cells_of(values, bins=2)
    assert np.isfinite(cells.edges).all()
    assert folded([np.inf, -np.inf], cells).tolist() == [1, 1]


@pytest.mark.parametrize("values", [[], [None, None], [np.nan, np.nan], [np.inf, -np.inf]])
def test_a_reference_without_finite_values_has_one_cell_and_no_range(values):
    cells = cells_of(pa.array(values, pa.float64()), minimum=0.0, maximum=1.0)
    assert cells.labels == ("all values",)
    assert cells.out_of_range(counted([5.0], cells)) is None


def test_the_largest_floats_make_finite_edges():
    most = np.finfo(float).max
    cells = cells_of([-most, 0.0, most] * 10)
    assert np.isfinite(cells.edges).all()
    assert folded([-most, 0.0, most], cells).tolist() == [1, 1, 1, 0]


def test_edges_increase_strictly():
    for values in (
        random().normal(size=5000),
        random().poisson(30, 5000),
        np.round(random().exponential(size=5000), 2),
    ):
        assert (np.diff(cells_of(values).edges) > 0).all()


@pytest.mark.parametrize(
    ("stored", "served"), [(np.float64, np.float32), (np.float32, np.float64), (np.float32, np.float32)]
)
def test_single_precision_on_either_side_does_not_move_values_out_of_their_cells(stored, served):
    tenths = np.repeat(np.arange(1, 8) / 10, 100)
    assert folded(tenths.astype(served), cells_of(tenths.astype(stored))).tolist() == [100] * 7 + [0]
    prices = np.round(random().exponential(100, 5000), 1)
    cells = cells_of(prices.astype(stored))
    assert counted(prices.astype(served), cells).tolist() == counted(prices.astype(stored), cells).tolist()


def test_a_bound_of_the_spec_is_met_by_values_rounded_to_single_precision():
    values = np.repeat(np.float32([0.1, 0.7]), 100)
    cells = cells_of(values, minimum=0.1, maximum=0.7)
    assert cells.out_of_range(counted(values, cells)) == 0
    wide = cells_of(values, maximum=1e300)
    assert wide.out_of_range(counted(values, wide)) == 0


def test_the_spread_of_number_types_is_measured_alike():
    wanted = cells_of([1.0, 2.0] * 50)
    for values in (
        pa.array([1, 2] * 50, pa.uint64()),
        pa.array([1, 2] * 50, pa.int8()),
        pa.array([decimal.Decimal(1), decimal.Decimal(2)] * 50),
        pa.array([1.0, 2.0] * 50).dictionary_encode(),
    ):
        assert cells_of(values) == wanted


def test_integers_that_floats_cannot_tell_apart_are_refused_with_the_remedy():
    with pytest.raises(ColumnTypeError, match=r"beyond 2\*\*53.*categorical"):
        cells_of([2**60, 2**60 + 1], FeatureType.INTEGER)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["1"]),
        pa.array([0], pa.timestamp("s")),
        pa.array([1.0], pa.float16()),
        pa.array([[1.0]]),
        pa.array([b"1"]),
    ],
)
def test_a_numeric_feature_refuses_what_is_no_number(values):
    with pytest.raises(ColumnTypeError, match="expected numbers"):
        cells_of(values)


def test_levels_are_ordered_by_count_then_name_and_the_rare_share_a_cell():
    cells = cells_of(["b"] * 98 + ["a"] * 98 + ["d"] * 2 + ["c"] * 2, FeatureType.CATEGORICAL)
    assert cells.levels == ("a", "b", "c", "d")
    assert cells.labels == ("a", "b", "rare values", "unseen values")
    assert folded(["a", "c", "d", "new"], cells).tolist() == [1, 0, 2, 1]


def test_levels_beyond_the_cap_count_like_unseen_ones_on_both_sides():
    levels = 2 * [f"user {number}" for number in range(MAX_LEVELS + 500)]
    cells = cells_of(levels, FeatureType.CATEGORICAL)
    assert len(cells.levels) == MAX_LEVELS
    assert cells.labels == ("rare values", "other values")
    assert folded(levels, cells).tolist() == [2 * MAX_LEVELS, 1000]


def test_where_unseen_levels_are_to_be_expected_they_count_with_the_rare_ones():
    cells = cells_of(["a"] * 60 + ["b"] * 39 + ["seen once"], FeatureType.CATEGORICAL)
    assert cells.labels == ("a", "b", "rare or unseen values")
    assert folded(["a", "seen once", "new"], cells).tolist() == [1, 0, 2]


def test_a_single_odd_level_among_very_many_rows_does_not_make_unseen_ones_expected():
    cells = cells_of(["a"] * 60_000 + ["b"] * 39_999 + ["seen once"], FeatureType.CATEGORICAL)
    assert cells.labels == ("a", "b", "rare values", "unseen values")


def test_labels_of_levels_are_short_and_never_alike():
    long = "x" * 500
    cells = cells_of([long + "1"] * 5 + [long + "2"] * 5 + ["unseen values"] * 5 + [""] * 5, FeatureType.CATEGORICAL)
    assert len(set(cells.labels)) == 5
    assert max(map(len, cells.labels)) < 90
    assert '""' in cells.labels


def test_text_that_is_not_utf8_is_refused():
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")]
    )
    with pytest.raises(ColumnTypeError, match="UTF-8"):
        cells_of(broken, FeatureType.CATEGORICAL)


@pytest.mark.parametrize(
    "cells",
    [
        cells_of(random().normal(size=1000) * 1e-300),
        cells_of(random().poisson(2, 1000), FeatureType.INTEGER),
        cells_of(['we"ird\\{{ $name }} é\nx', "b"], FeatureType.CATEGORICAL),
    ],
)
def test_cells_survive_json_bit_by_bit(cells):
    assert msgspec.json.decode(msgspec.json.encode(cells), type=Cells) == cells


def test_the_two_kinds_of_cells_are_told_apart_in_json():
    numeric, categorical = cells_of([1.0, 2.0]), cells_of(["a"], FeatureType.CATEGORICAL)
    assert isinstance(msgspec.json.decode(msgspec.json.encode(numeric), type=Cells), NumericCells)
    assert isinstance(msgspec.json.decode(msgspec.json.encode(categorical), type=Cells), CategoricalCells)
