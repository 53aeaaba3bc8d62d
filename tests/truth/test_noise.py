"""Without change a statistic exceeds its critical value once in a thousand windows, whatever the kind of feature.

Each case is 2,000 windows of one feature, counted as the exporter counts them. Against a large reference the same one
serves all windows; where the reference is no larger than a window, each window has one of its own, for the law is about
both sides.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from mlvitals.exporters.statistics.cells import Cells, NumericCells, make_cells
from mlvitals.exporters.statistics.distances import (
    NOISE,
    js,
    js_critical_value,
    ks,
    ks_critical_value,
    psi,
    psi_critical_value,
)
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.generator.spec.model import FeatureType

WINDOWS = 2_000
LARGE = 200_000
TAIL = 0.0005
"""A bound on a count of exceedances is passed by chance this often, on either side."""

Draw = Callable[[np.random.Generator, int], pa.Array]


class Feature(NamedTuple):
    """A kind of feature, and rows of it."""

    type: FeatureType
    draw: Draw


def zipf(levels: int) -> Feature:
    """A category whose levels have shares of 1, 1/2, 1/3 ..."""
    shares = 1 / np.arange(1, levels + 1)
    names = pa.array([f"level {number}" for number in range(levels)])

    def draw(random: np.random.Generator, rows: int) -> pa.Array:
        places = np.searchsorted(np.cumsum(shares / shares.sum()), random.random(rows))
        return pa.DictionaryArray.from_arrays(np.minimum(places, levels - 1).astype(np.int32), names)

    return Feature(FeatureType.CATEGORICAL, draw)


FEATURES: Mapping[str, Feature] = {
    "continuous": Feature(FeatureType.FLOAT, lambda random, rows: pa.array(random.normal(size=rows))),
    "with an atom": Feature(
        FeatureType.FLOAT,
        lambda random, rows: pa.array(np.where(random.random(rows) < 0.62, 0, random.exponential(size=rows))),
    ),
    "discrete": Feature(FeatureType.INTEGER, lambda random, rows: pa.array(random.poisson(3, rows))),
    "categorical": zipf(50),
    "categorical with a long tail": zipf(5_000),
}


class Counts(NamedTuple):
    """How many of `WINDOWS` windows exceeded the critical value, by statistic."""

    psi: int
    js: int
    ks: int


class Reference(NamedTuple):
    """Cells and the reference's counts on them."""

    cells: Cells
    counts: np.ndarray

    @classmethod
    def of(cls, feature: Feature, rows: pa.Array) -> "Reference":
        cells = make_cells(rows, feature.type, bins=10, knots=1000)
        return cls(cells, profile_column(rows, cells).counts)

    def exceeded(self, rows: pa.Array) -> tuple[bool, bool, bool]:
        now = profile_column(rows, self.cells).counts
        coarse, fine = self.cells.fold(self.counts), self.counts
        sizes = int(fine.sum()), len(rows)
        occupied = int(np.count_nonzero(coarse))
        return (
            psi(coarse, self.cells.fold(now)).value > psi_critical_value(*sizes, occupied),
            js(coarse, self.cells.fold(now)) > js_critical_value(*sizes, occupied),
            isinstance(self.cells, NumericCells) and ks(fine, now, self.cells.points).value > ks_critical_value(*sizes),
        )


def exceedances(feature: Feature, size: int, *, large: bool) -> Counts:
    random = np.random.default_rng((size, large))
    shared = Reference.of(feature, feature.draw(random, LARGE)) if large else None
    found = np.array(
        [
            (shared or Reference.of(feature, feature.draw(random, size))).exceeded(feature.draw(random, size))
            for _ in range(WINDOWS)
        ]
    )
    return Counts(*map(int, found.sum(axis=0)))


CASES = list(product(FEATURES, [1_000, 10_000], [True, False]))


@pytest.fixture(scope="module")
def counted() -> dict[tuple[str, int, bool], Counts]:
    return {case: exceedances(FEATURES[case[0]], case[1], large=case[2]) for case in CASES}


def most(windows: int) -> int:
    """Exceedances that so many windows stay at or below, but for chance."""
    return int(binom.ppf(1 - TAIL, windows, NOISE))


def fewest(windows: int) -> int:
    """Exceedances that so many windows reach, but for chance."""
    return int(binom.ppf(TAIL, windows, NOISE))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_no_statistic_exceeds_its_critical_value_more_often_than_once_in_a_thousand(case, counted):
    assert max(counted[case]) <= most(WINDOWS)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 10_000])
def test_psi_and_js_exceed_theirs_once_in_a_thousand_over_all_kinds_of_features(size, counted):
    cases = [counts for case, counts in counted.items() if case[1] == size]
    windows = WINDOWS * len(cases)
    for statistic in ("psi", "js"):
        total = sum(getattr(counts, statistic) for counts in cases)
        assert fewest(windows) <= total <= most(windows), statistic
