"""Rows of a storm, a batch or a session go up and down together: a PSI of many of them is as noisy as one of few."""

import numpy as np
import pyarrow as pa
import pytest
from drift_samples import reference_of, spec_of

from mlvitals.exporters.sections.features.drift import sides_of
from mlvitals.exporters.statistics.dependence import INDEPENDENT, group_effect
from mlvitals.exporters.statistics.distances import statistics_of
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.generator.spec.model import Spec

SIZE = 20
"""Rows of a group."""


def numbers(generator: np.random.Generator, groups: int, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of groups, with the correlation of two rows of one group; and the group of each."""
    shared = np.repeat(generator.normal(size=groups), SIZE)
    own = generator.normal(size=groups * SIZE)
    return np.sqrt(alike) * shared + np.sqrt(1 - alike) * own, np.repeat(np.arange(groups, dtype=np.uint64), SIZE)


def spec(group: str | None) -> Spec:
    return spec_of({"x": {"type": "float"}}, prediction_log={"group": group} if group else {})


def exceedances(alike: float, group: str | None, windows: int = 1000) -> dict[str, float]:
    """Share of windows of 100 groups, without change, in which each statistic exceeds its noise."""
    generator = np.random.default_rng(7)
    values, groups = numbers(generator, 1000, alike)
    normal = reference_of(spec(group), {"x": values, "storm": groups.astype(np.int64)}).features["x"]
    found = {"psi": 0, "js": 0, "ks": 0, "wasserstein": 0}
    for _ in range(windows):
        window = pa.chunked_array([pa.array(numbers(generator, 100, alike)[0])])
        sides = sides_of(normal, normal.total, profile_column(window, normal.cells), 1, 100)
        for name, statistic in statistics_of(sides).items():
            found[name] += statistic.value > statistic.critical_value
    return {name: count / windows for name, count in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.3, 0.9])
def test_floors_count_groups_where_the_spec_names_them(alike: float):
    assert all(share <= 0.008 for share in exceedances(alike, "storm").values())


@pytest.mark.slow
def test_without_their_name_rows_that_depend_break_the_promise():
    assert exceedances(0.3, None, windows=200)["psi"] > 0.1


def test_the_effect_is_that_of_kish():
    values, groups = numbers(np.random.default_rng(1), 5000, 1.0)
    same = group_effect(pa.array(values), groups)
    assert (same.mean, same.largest) == pytest.approx((SIZE, SIZE), rel=0.15)
    assert same.spread == pytest.approx(0, abs=0.05)
    values, groups = numbers(np.random.default_rng(1), 5000, 0.0)
    apart = group_effect(pa.array(values), groups)
    assert (apart.mean, apart.largest) == pytest.approx((1, 1), abs=0.15)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None] * 40, pa.float64()),
        pa.array([True, False] * 20),
        pa.array(["a", None] * 20),
        pa.array([1.0] * 40),
        pa.array([], pa.int64()),
    ],
)
def test_any_column_has_an_effect(column: pa.Array):
    found = group_effect(column, np.repeat(np.arange(len(column) // 4, dtype=np.uint64), 4))
    assert 1 <= found.mean < 1.5
    assert found.spread >= 0
    assert found.largest >= 1


def test_the_order_of_rows_changes_nothing():
    generator = np.random.default_rng(3)
    values, groups = numbers(generator, 50, 0.5)
    order = generator.permutation(len(values))
    assert group_effect(pa.array(values), groups) == group_effect(pa.array(values[order]), groups[order])


def test_a_reference_keeps_it_and_one_without_groups_has_none():
    values, groups = numbers(np.random.default_rng(1), 100, 0.5)
    columns = {"x": values, "storm": groups.astype(np.int64)}
    assert reference_of(spec("storm"), columns).features["x"].group_effect.largest > 5
    assert reference_of(spec(None), columns).features["x"].group_effect == INDEPENDENT
