from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from drift_samples import NOON, counted, random, reference_of, spec_of
from scipy.stats import ks_2samp

from mlvitals.exporters.reference.diff import carried_over, diff_references
from mlvitals.exporters.statistics.distances import psi


def references(before, now, kind="float", later_kind=None):
    old = reference_of(spec_of({"x": {"type": kind}}), {"x": before})
    new = reference_of(spec_of({"x": {"type": later_kind or kind}}), {"x": now})
    return old, msgspec.structs.replace(new, created=NOON + timedelta(days=30), model_version="2")


def difference(before, now, kind="float", later_kind=None):
    return diff_references(*references(before, now, kind, later_kind)).features["x"]


def test_a_reference_does_not_differ_from_itself():
    values = random().normal(size=5000)
    found = difference(values, values)
    assert (found.status, found.psi.value, found.ks.value, found.js.value) == ("compared", 0, 0, 0)
    assert (found.cells_added, found.cells_removed) == ((), ())


def test_without_a_change_the_statistics_stay_below_their_critical_values():
    found = difference(random(1).normal(size=20_000), random(2).normal(size=20_000))
    assert found.psi.value < found.psi.critical_value
    assert found.ks.value < found.ks.critical_value
    assert found.js.value < found.js.critical_value
    assert len(found.cells_added) == found.cells == 10


SHIFTED = {
    "normal": (random(1).normal(size=20_000), random(2).normal(0.5, 1.2, size=20_000)),
    "few values": (random(1).integers(0, 8, 20_000) * 1.0, random(2).integers(2, 11, 20_000) * 1.0),
    "many zeros": (
        np.where(random(1).random(20_000) < 0.6, 0.0, random(1).exponential(size=20_000)),
        np.where(random(2).random(20_000) < 0.3, 0.0, random(2).exponential(2, size=20_000)),
    ),
    "far beyond": (random(1).normal(size=20_000), random(2).normal(1e9, 1, size=20_000)),
    "tenths, now float32": (
        random(1).integers(0, 60, 20_000) / 10,
        (random(2).integers(0, 90, 20_000) / 10).astype(np.float32),
    ),
    "tenths, once float32": (
        (random(1).integers(0, 60, 20_000) / 10).astype(np.float32),
        random(2).integers(0, 90, 20_000) / 10,
    ),
}


@pytest.mark.parametrize("case", SHIFTED)
def test_statistics_from_counts_are_those_of_the_rows(case):
    before, now = SHIFTED[case]
    old, new = (side.features["x"] for side in references(before, now))
    found = difference(before, now)
    cells = old.cells
    of_rows = psi(cells.fold(counted(before, cells)), cells.fold(counted(now, cells))).value
    assert found.psi.value == pytest.approx(of_rows, rel=0.02, abs=2e-4)
    rounded = [side.astype(np.float32) if "float32" in case else side for side in (before, now)]
    assert found.ks.value == pytest.approx(ks_2samp(*rounded).statistic, abs=0.003)
    assert carried_over(new, cells).sum() == new.total.sum()


def test_categories_carry_over_exactly():
    before, now = random(1).choice(list("abc"), 3000), random(2).choice(list("bcd"), 3000)
    old, new = (side.features["x"] for side in references(before, now, "categorical"))
    assert carried_over(new, old.cells).tolist() == counted(now, old.cells).tolist()
    found = difference(before, now, "categorical")
    assert (found.cells_removed, found.cells_added, found.ks) == (("a",), ("d",), None)
    assert found.psi.value > 1


def test_new_removed_and_retyped_features_are_named():
    rows = np.arange(500.0)
    old = reference_of(spec_of({"a": {}, "b": {}}), {"a": rows, "b": rows})
    new = reference_of(spec_of({"b": {"type": "integer"}, "c": {}}), {"b": rows.astype(int), "c": rows})
    features = diff_references(old, new).features
    assert {name: found.status for name, found in features.items()} == {
        "a": "removed",
        "b": "type_changed",
        "c": "new",
    }
    assert (features["b"].old_type, features["b"].new_type, features["b"].psi) == ("float", "integer", None)


def test_too_few_values_give_no_number():
    found = difference(np.arange(5000.0), np.arange(99.0))
    assert (found.status, found.psi, found.ks, found.js) == ("insufficient_data", None, None, None)


def test_a_feature_that_became_null_throughout_gives_no_number():
    found = difference(np.arange(500.0), pa.nulls(500, pa.float64()))
    assert (found.status, found.old_null_rate, found.new_null_rate) == ("insufficient_data", 0, 1)


def test_facts_of_both_sides_are_told():
    old, new = references(np.arange(500.0), np.arange(600.0))
    diff = diff_references(old, new)
    assert (diff.old.version, diff.old.rows, diff.old.model_version) == (old.version, 500, None)
    assert (diff.new.version, diff.new.rows, diff.new.model_version) == (new.version, 600, "2")
    assert diff.new.created - diff.old.created == timedelta(days=30)


def test_references_of_different_conditions_are_compared_over_all_rows():
    times = np.datetime64("2026-01-05T00:00", "us") + np.arange(2016) * np.timedelta64(600, "s")
    data = {"x": random().normal(size=2016), "timestamp": times}
    plain, hourly = (
        reference_of(spec_of({"x": {}}, reference={"condition": condition}), data)
        for condition in ("none", "hour_of_day")
    )
    diff = diff_references(plain, hourly)
    assert diff.features["x"].psi.value == 0
    assert (diff.old.condition, diff.new.condition) == ("none", "hour_of_day")
