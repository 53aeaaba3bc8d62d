"""Properties that hold for every distribution; most naive implementations break one of them."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from drift_samples import cells_of, column, counted, folded, outcome, random, report_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlvitals.exporters.statistics.distances import js, ks, psi
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.contract import UNMEASURABLE, Status
from mlvitals.generator.spec.model import FeatureType, Severity

EXAMPLES = settings(max_examples=60, deadline=None)

counts = st.lists(st.integers(0, 10_000), min_size=2, max_size=30).map(np.array)
paired_counts = st.integers(2, 30).flatmap(
    lambda size: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=size, max_size=size).map(np.array)] * 2)
)
numbers = st.one_of(
    st.floats(allow_nan=False, width=64),
    st.floats(-10, 10),
    st.integers(-20, 20).map(float),
    st.sampled_from([0.0, -0.0, 1e12]),
)
samples = st.lists(numbers, min_size=1, max_size=200).map(np.array)
pathological = st.lists(st.one_of(numbers, st.none(), st.just(float("nan"))), max_size=200)


@EXAMPLES
@given(counts)
def test_psi_and_js_of_a_distribution_with_itself_are_0(p):
    assert psi(p, p).value == 0
    assert js(p, p) == pytest.approx(0, abs=1e-15)


@EXAMPLES
@given(paired_counts)
def test_psi_and_js_are_symmetric_and_never_negative(pair):
    p, q = pair
    assert psi(p, q).value == pytest.approx(psi(q, p).value, abs=1e-12)
    assert js(p, q) == pytest.approx(js(q, p), abs=1e-12)
    assert psi(p, q).value >= 0
    assert 0 <= js(p, q) <= np.log(2)


@EXAMPLES
@given(counts, st.data())
def test_moving_mass_between_any_two_cells_raises_psi(p, data):
    source, target = data.draw(st.permutations(range(len(p))))[:2]
    assume(p[source] > 0)
    moved = p.copy()
    amount = data.draw(st.integers(1, int(p[source])))
    moved[source] -= amount
    moved[target] += amount
    assert psi(p, moved).value > 0


@EXAMPLES
@given(samples, pathological, st.data())
def test_the_order_of_the_rows_changes_nothing_bit_by_bit(before, now, data):
    cells = cells_of(before)
    shuffled = data.draw(st.permutations(now))
    one, other = (profile_column(pa.array(rows, pa.float64()), cells) for rows in (now, shuffled))
    assert one.counts.tolist() == other.counts.tolist()
    assert (one.rows, one.nulls, one.nans, one.infinities) == (other.rows, other.nulls, other.nans, other.infinities)
    assert repr(one.moments) == repr(other.moments)


@EXAMPLES
@given(samples, pathological, st.lists(st.integers(0, 200), max_size=5))
def test_any_split_of_the_rows_merges_to_the_same_counts_bit_by_bit(before, now, cuts):
    cells = cells_of(before)
    rows = pa.array(now, pa.float64())
    whole = profile_column(rows, cells)
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    merged = FeatureProfile.empty(cells)
    for start, end in pairwise(bounds):
        merged = merged.merge(profile_column(rows.slice(start, end - start), cells))
    assert merged.counts.tolist() == whole.counts.tolist()
    assert (merged.rows, merged.nulls, merged.nans, merged.infinities) == (
        whole.rows,
        whole.nulls,
        whole.nans,
        whole.infinities,
    )
    assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)


@EXAMPLES
@given(st.lists(st.sampled_from(["a", "b", "c", "", None]), max_size=100), st.integers(0, 100), st.booleans())
def test_categories_merge_alike_however_they_are_encoded(now, cut, encoded):
    cells = cells_of(["a"] * 50 + ["b"] * 50, FeatureType.CATEGORICAL)
    rows = pa.array(now, pa.string())
    whole = profile_column(rows.dictionary_encode() if encoded else rows, cells)
    parts = [profile_column(rows.slice(0, cut), cells), profile_column(rows.slice(min(cut, len(rows))), cells)]
    merged = parts[1].merge(parts[0])
    assert merged.counts.tolist() == whole.counts.tolist()
    assert (merged.rows, merged.nulls) == (whole.rows, whole.nulls)


@EXAMPLES
@given(st.sampled_from(["normal", "uniform", "poisson", "zero-inflated"]), st.floats(0, 1), st.floats(0, 1))
def test_replacing_a_larger_share_by_an_absurd_value_never_lowers_psi(shape, one, other):
    draw = random()
    values = {
        "normal": draw.normal(size=1000),
        "uniform": draw.random(1000),
        "poisson": draw.poisson(4, 1000).astype(float),
        "zero-inflated": np.where(draw.random(1000) < 0.6, 0, draw.exponential(size=1000)),
    }[shape]
    cells = cells_of(values)
    before = folded(values, cells)

    rows = draw.permutation(values)

    def drift(share):
        return psi(before, folded(np.where(np.arange(1000) < round(share * 1000), 1e12, rows), cells)).value

    low, high = map(drift, sorted((one, other)))
    assert high >= low - 1e-12


@EXAMPLES
@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=300),
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=300),
    st.sampled_from([lambda x: 8 * x, lambda x: x + 1e6, lambda x: x**3, np.arctan, lambda x: np.exp(x / 100)]),
)
def test_a_rising_transformation_of_both_sides_changes_no_statistic(before, now, transform):
    def statistics(p, q):
        cells = cells_of(p)
        before, now = counted(p, cells), counted(q, cells)
        return psi(cells.fold(before), cells.fold(now)).value, ks(before, now, cells.points)

    p, q = np.array(before, float), np.array(now, float)
    assert statistics(p, q) == statistics(transform(p), transform(q))


ROWS = 1000
REFERENCES = {
    FeatureType.FLOAT: random(1).normal(size=ROWS),
    FeatureType.INTEGER: random(1).poisson(3, ROWS),
    FeatureType.BOOLEAN: random(1).random(ROWS) < 0.3,
    FeatureType.CATEGORICAL: random(1).choice(["a", "b", "c"], ROWS),
}
COLUMNS = {
    "nan": np.full(ROWS, np.nan),
    "null": pa.nulls(ROWS),
    "null floats": pa.nulls(ROWS, pa.float64()),
    "empty": pa.array([], pa.float64()),
    "constant": np.full(ROWS, 12345.0),
    "strings": np.full(ROWS, "12"),
    "booleans": np.full(ROWS, True),
    "datetimes": np.full(ROWS, np.datetime64("2026-03-03T12:00", "us")),
    "dates": pa.array([0] * ROWS, pa.date32()),
    "infinite": np.full(ROWS, np.inf),
    "half infinite": np.repeat([np.inf, -np.inf], ROWS // 2),
    "lists": pa.array([[1.0]] * ROWS),
    "bytes": pa.array([b"x"] * ROWS),
    "durations": pa.array([5] * ROWS, pa.duration("s")),
    "half precision": pa.array([1.0] * ROWS, pa.float16()),
    "huge": np.full(ROWS, 1e308),
    "huge integers": pa.array([2**64 - 1] * ROWS, pa.uint64()),
    "decimals": pa.array(["99.5"] * ROWS).cast(pa.decimal128(10, 2)),
    "few": np.array([1.0]),
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("name", COLUMNS)
def test_every_odd_column_yields_a_state_or_drift_never_an_exception_and_never_0(kind, name):
    report = report_of(REFERENCES[kind], COLUMNS[name], kind)
    if report.status is Status.OK:
        assert report.psi is not None
        assert report.psi.value > report.psi.critical_value
    else:
        assert report.reason
        assert report.action
        assert (report.psi, report.ks, report.js, report.bins) == (None, None, None, ())
        assert report.quality is None or report.quality.severity is None
        assert report.status not in UNMEASURABLE or report.severity is Severity.CRITICAL


@pytest.mark.parametrize("name", COLUMNS)
def test_every_odd_column_yields_a_state_for_a_timestamp_feature(name):
    at = pa.array([1_772_524_800] * ROWS, pa.timestamp("s"))
    cells = cells_of(at, FeatureType.TIMESTAMP, at=at)
    found = outcome(column(COLUMNS[name]), cells, at)
    assert isinstance(found, FeatureProfile) == (name in {"null", "empty", "datetimes", "dates"})
