import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from drift_samples import cells_of, random

from mlvitals.exporters.reading.columns import BLOCK_ROWS, ColumnTypeError
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.spec.model import FeatureType


def test_null_nan_and_infinities_are_counted_apart():
    cells = cells_of(np.arange(100.0))
    profile = profile_column(pa.array([1.0, None, np.nan, np.inf, -np.inf, -np.inf, 3.0]), cells)
    assert (profile.rows, profile.nulls, profile.nans, profile.values) == (7, 1, 1, 5)
    assert (profile.positive_infinities, profile.negative_infinities) == (1, 2)
    assert profile.null_rate == 2 / 7
    assert profile.counts.sum() == 5
    assert cells.fold(profile.counts)[[0, -1]].tolist() == [4, 1]


def test_figures_are_those_of_the_finite_values():
    profile = profile_column(pa.array([1.0, np.nan, np.inf, 3.0]), cells_of([2.0, 4.0]))
    assert (profile.minimum, profile.maximum, profile.mean) == (1.0, 3.0, 2.0)
    assert (profile.moments.count, profile.moments.variance) == (2, 1.0)


@pytest.mark.parametrize("values", [[], [None], [np.nan], [np.inf]])
def test_without_finite_values_there_is_no_mean(values):
    assert profile_column(pa.array(values, pa.float64()), cells_of([1.0, 2.0])).mean is None


def test_without_rows_there_is_no_null_rate():
    assert FeatureProfile.empty(cells_of([1.0, 2.0])).null_rate is None


def test_a_sum_that_overflows_is_no_mean():
    most = np.finfo(float).max
    profile = profile_column(pa.array([most, most, most / 2]), cells_of([-most, most]))
    assert profile.mean is None
    assert profile.values == 3


def test_a_float_column_may_arrive_as_integers_and_an_integer_column_as_floats():
    values = [1, 2, 3] * 40
    as_floats = cells_of([float(value) for value in values])
    as_integers = cells_of(values, FeatureType.INTEGER)
    assert profile_column(pa.array(values), as_floats).counts.sum() == 120
    floats = profile_column(pa.array([1.0, 2.0, None]), as_integers)
    assert as_integers.fold(floats.counts).tolist() == [1, 1, 0, 0]


def test_unix_times_in_nanoseconds_are_counted_above_the_range():
    cells = cells_of(range(366), FeatureType.INTEGER)
    profile = profile_column(pa.array([1_700_000_000_000_000_000, 2**63 - 1]), cells)
    assert cells.out_of_range(profile.counts) == 2


def test_truth_values_may_arrive_as_ones_and_zeros_but_not_as_other_numbers():
    cells = cells_of([True, False] * 50, FeatureType.BOOLEAN)
    for values in ([True, False, None], [1, 0, None], [1.0, 0.0, None], [1.0, 0.0, np.nan]):
        profile = profile_column(pa.array(values), cells)
        assert cells.fold(profile.counts).tolist() == [1, 1, 0]
        assert profile.null_rate == 1 / 3
    with pytest.raises(ColumnTypeError, match="the number 7; expected true and false"):
        profile_column(pa.array([0, 1, 7]), cells)


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["a", None, "b", "new", "a"]),
        pa.array(["a", None, "b", "new", "a"], pa.large_string()),
        pa.array(["a", None, "b", "new", "a"], pa.string_view()),
        pa.array(["a", None, "b", "new", "a"]).dictionary_encode(),
        pa.chunked_array([["a", None], [], ["b", "new", "a"]]),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, 0]), pa.array(["a", None, "b", "new", "unused"])),
    ],
)
def test_text_is_measured_however_it_is_stored(texts):
    cells = cells_of(["a"] * 60 + ["b"] * 40, FeatureType.CATEGORICAL)
    profile = profile_column(texts, cells)
    assert profile.counts.tolist() == [2, 1, 1]
    assert (profile.rows, profile.nulls, profile.nans) == (5, 1, 0)


def test_whole_numbers_as_categories_are_the_same_when_pandas_made_them_floats():
    cells = cells_of([1, 2] * 50, FeatureType.CATEGORICAL)
    assert cells.levels == ("1", "2")
    profile = profile_column(pa.array([1.0, 2.0, np.nan, None, 3.0]), cells)
    assert profile.counts.tolist() == [1, 1, 1]
    assert (profile.nulls, profile.nans) == (1, 1)
    encoded = profile_column(pa.array([1.0, 2.0, np.nan, None, 1.0]).dictionary_encode(), cells)
    assert encoded.counts.tolist() == [2, 1, 0]
    assert (encoded.nulls, encoded.nans) == (1, 1)


def test_fractions_are_no_categories():
    with pytest.raises(ColumnTypeError, match="not whole; expected texts"):
        profile_column(pa.array([0.5]), cells_of(["a"], FeatureType.CATEGORICAL))


def test_a_timestamp_is_measured_as_its_age_at_the_prediction_in_seconds():
    now = datetime(2026, 3, 3, 12, tzinfo=UTC)
    at = pa.array([now] * 4)
    seen = [now - timedelta(hours=1), now - timedelta(days=1), None, now + timedelta(seconds=5)]
    cells = cells_of(pa.array(seen[:2] * 50), FeatureType.TIMESTAMP, at=pa.array([now] * 100))
    assert cells.labels == ("= 3600", "= 86400", "unseen values")
    profile = profile_column(pa.array(seen), cells, at)
    assert cells.fold(profile.counts).tolist() == [1, 1, 1]
    assert (profile.nulls, profile.minimum) == (1, -5.0)


@pytest.mark.parametrize(
    "kind",
    [pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "Asia/Tokyo"), pa.date32()],
)
def test_timestamps_of_any_unit_and_zone_have_the_same_age(kind):
    at = pa.array([datetime(2026, 3, 3, tzinfo=UTC)] * 2, pa.timestamp("ns"))
    seen = pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * 2, pa.timestamp("s", "UTC")).cast(kind)
    assert profile_column(seen, cells_of(seen, FeatureType.TIMESTAMP, at=at), at).mean == 2 * 86400.0


def test_prediction_times_need_not_be_chunked_like_the_column():
    at = pa.chunked_array([pa.array([10, 20, 30], pa.timestamp("s")), pa.array([40], pa.timestamp("s"))])
    seen = pa.chunked_array([pa.array([9], pa.timestamp("s")), pa.array([18, 27, 36], pa.timestamp("s"))])
    profile = profile_column(seen, cells_of(seen, FeatureType.TIMESTAMP, at=at), at)
    assert (profile.minimum, profile.maximum, profile.mean) == (1.0, 4.0, 2.5)


def test_times_too_far_away_are_refused():
    at = pa.array([0], pa.timestamp("s"))
    with pytest.raises(ColumnTypeError, match="beyond what microseconds can count"):
        profile_column(pa.array([2**62], pa.timestamp("s")), cells_of(at, FeatureType.TIMESTAMP, at=at), at)


@pytest.mark.parametrize("kind", [kind for kind in FeatureType if kind is not FeatureType.TIMESTAMP])
def test_a_column_of_the_null_type_is_all_null(kind):
    cells = cells_of([1, 0] * 5, kind)
    profile = profile_column(pa.nulls(7), cells)
    assert (profile.rows, profile.nulls, profile.null_rate) == (7, 7, 1.0)


def test_a_mismatch_says_what_was_found_and_what_is_expected():
    told = re.escape("holds string values such as '1.5'; expected numbers for a feature of type float")
    with pytest.raises(ColumnTypeError, match=told):
        profile_column(pa.array(["1.5"]), cells_of([1.0, 2.0]))


def test_a_mismatch_of_numbers_with_a_decimal_comma_says_what_to_declare():
    said = re.escape("""such as '1,5' (a decimal comma? In CSV, declare it: decimal: ","); expected numbers""")
    with pytest.raises(ColumnTypeError, match=said):
        profile_column(pa.array(["1,5", "1.234,5"]), cells_of([1.0, 2.0]))


def test_a_column_larger_than_a_block_is_counted_whole():
    values = random().normal(size=2 * BLOCK_ROWS + 17)
    cells = cells_of(values[:1000])
    wanted = np.diff(np.searchsorted(np.sort(values), cells.edges, side="right"), prepend=0, append=len(values))
    profile = profile_column(pa.array(values), cells)
    assert profile.counts.tolist() == wanted.tolist()
    assert profile.mean == pytest.approx(values.mean(), rel=1e-12)


def test_the_column_itself_is_left_as_it_was():
    values = np.array([3.0, 1.0, 2.0])
    profile_column(pa.array(values), cells_of(values))
    assert values.tolist() == [3.0, 1.0, 2.0]


def test_profiles_on_different_cells_do_not_merge():
    with pytest.raises(ValueError, match="different cells"):
        FeatureProfile.empty(cells_of([1.0, 2.0])).merge(FeatureProfile.empty(cells_of([1.0])))
