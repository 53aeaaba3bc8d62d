"""How often chance alone exceeds what statistics say it exceeds once in a thousand windows.

`python -m benchmarks.false_alarms` prints the table that docs/truth.md shows; `--windows` and `--only` make it shorter.
Each window, and each reference where it is no larger than ten windows, is a new draw from one population.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from mlvitals.exporters.sections.outcomes.judge import MINIMUM_OF_A_KIND
from mlvitals.exporters.sections.outcomes.performance import Classes, auc, lowest_area
from mlvitals.exporters.statistics.distances import NOISE, psi, psi_critical_value
from mlvitals.exporters.statistics.distinct import LevelSamples, level_change, new_row_noise
from mlvitals.exporters.statistics.moments import Moments
from mlvitals.exporters.statistics.noise import Share, mean_noise, share_noise

Trial: TypeAlias = Callable[[np.random.Generator], bool]
"""Draws one window without change and tells whether a statistic exceeds its noise."""
UNLUCKY = 0.0005
"""How often a statistic that keeps its promise exceeds `most`."""


class Case(NamedTuple):
    """A statistic of windows from a population."""

    statistic: str
    population: str
    reference: int
    """Rows of the reference."""
    rows: int
    """Rows of a window."""
    trial: Trial

    def exceedances(self, windows: int, seed: int = 0) -> int:
        """Return how many windows exceed the noise."""
        random = np.random.default_rng((seed, self.reference, self.rows))
        return sum(self.trial(random) for _ in range(windows))

    @property
    def name(self) -> str:
        """What the case is called in tests."""
        return f"{self.statistic}: {self.population}, {self.rows} of {self.reference}"


def most(windows: int) -> int:
    """Return the exceedances that so many windows stay at or below, but for chance."""
    return int(binom.ppf(1 - UNLUCKY, windows, NOISE))


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights / weights.sum()


def _poisson(mean: float) -> NDArray[np.float64]:
    numbers = np.arange(30)
    return _shares(np.exp(numbers * np.log(mean) - np.array([np.log(np.arange(1, n + 1)).sum() for n in numbers])))


LEVELS = {
    "Poisson(1)": _poisson(1),
    "Poisson(3)": _poisson(3),
    "geometric(1/2)": _shares(0.5 ** np.arange(60)),
    "3,393 equal levels": _shares(np.ones(3393)),
    "400 levels, 1/rank": _shares(1 / np.arange(1, 401)),
    "4 levels and 3 very rare": _shares(np.array([1, 1, 1, 1, 1e-3, 1e-4, 3e-5])),
}
"""Shares of the levels of categories and of whole numbers."""
_LEVEL_SIZES = ((1_000, 300), (1_000, 1_000), (1_000, 5_000), (10_000, 1_000), (10_000, 10_000), (40_000, 100_000))


def level_samples(
    random: np.random.Generator,
    before: NDArray[np.float64],
    reference: int,
    now: NDArray[np.float64],
    rows: int,
) -> LevelSamples:
    """Draw a reference and a window of levels with given shares, and keep what the exporter keeps of them."""
    expected, found = random.multinomial(reference, before), random.multinomial(rows, now)
    known = expected > 0
    return LevelSamples(expected[known], found[known], float(np.count_nonzero(found[~known])), int(found[~known].sum()))


def cardinality_exceeds(levels: LevelSamples) -> bool:
    """Tell whether the number of distinct values is beyond its noise."""
    found = level_change(levels)
    return found is not None and abs(found.change) > found.noise


def new_rows_exceed(levels: LevelSamples) -> bool:
    """Tell whether the share of rows with new levels is beyond its noise."""
    return levels.new_rows / (levels.window.sum() + levels.new_rows) > new_row_noise(levels)


def _level_cases() -> Iterator[Case]:
    for statistic, exceeds in (("cardinality change", cardinality_exceeds), ("new categories", new_rows_exceed)):
        for name, shares in LEVELS.items():
            for reference, rows in _LEVEL_SIZES:
                yield Case(statistic, name, reference, rows, _levels_trial(exceeds, shares, reference, rows))


def _levels_trial(
    exceeds: Callable[[LevelSamples], bool], shares: NDArray[np.float64], reference: int, rows: int
) -> Trial:
    return lambda random: exceeds(level_samples(random, shares, reference, shares, rows))


Draw: TypeAlias = Callable[[np.random.Generator, int], NDArray[np.float64]]

NUMBERS: dict[str, Draw] = {
    "true in 0.03 %": lambda random, rows: (random.random(rows) < 0.0003).astype(float),
    "true in 0.3 %": lambda random, rows: (random.random(rows) < 0.003).astype(float),
    "true in 3 %": lambda random, rows: (random.random(rows) < 0.03).astype(float),
    "97 % zeros": lambda random, rows: np.where(random.random(rows) < 0.97, 0.0, random.exponential(size=rows)),
    "lognormal, sigma 1": lambda random, rows: random.lognormal(0, 1, rows),
    "lognormal, sigma 2": lambda random, rows: random.lognormal(0, 2, rows),
    "Student's t, 3 degrees": lambda random, rows: random.standard_t(3, rows),
    "normal": lambda random, rows: random.normal(size=rows),
}
_NUMBER_SIZES = ((100, 100), (1_000, 100), (20_000, 100), (1_000, 1_000), (300, 1_000))


def moments(values: NDArray[np.float64]) -> Moments:
    """Return the moments of values in any order."""
    return Moments.of(np.sort(values))


def mean_exceeds(before: Moments, now: Moments) -> bool:
    """Tell whether the distance of two means is beyond its noise."""
    return abs(now.mean - before.mean) > mean_noise(before, now)


def _mean_cases() -> Iterator[Case]:
    for name, draw in NUMBERS.items():
        for reference, rows in _NUMBER_SIZES:
            yield Case("mean shift", name, reference, rows, _mean_trial(draw, reference, rows))


def _mean_trial(draw: Draw, reference: int, rows: int) -> Trial:
    return lambda random: mean_exceeds(moments(draw(random, reference)), moments(draw(random, rows)))


def share_exceeds(before: Share, now: Share) -> bool:
    """Tell whether the change of a share is beyond its noise."""
    return abs(now.hits / now.rows / (before.hits / before.rows) - 1) > share_noise(before, now)


def fall_exceeds(before: Share, now: Share) -> bool:
    """Tell the same of a fall alone."""
    return now.hits / now.rows < before.hits / before.rows and share_exceeds(before, now)


_LABEL_RATES = (0.002, 0.01, 0.05, 0.3)
_LABEL_SIZES = ((100_000, 100), (100_000, 1_000), (1_000, 100), (1_000, 1_000), (300, 3_000))
_FEEDBACK_RATES = (0.05, 0.5, 0.9, 0.99)
_FEEDBACK_SIZES = ((100_000, 1_000), (1_000, 1_000), (200, 1_000), (1_000, 100_000))


def _share_cases() -> Iterator[Case]:
    for rate, (reference, rows) in product(_LABEL_RATES, _LABEL_SIZES):
        yield Case("label shift", f"rate {rate}", reference, rows, _share_trial(share_exceeds, rate, reference, rows))
    for rate, (reference, rows) in product(_FEEDBACK_RATES, _FEEDBACK_SIZES):
        yield Case("feedback fall", f"rate {rate}", reference, rows, _share_trial(fall_exceeds, rate, reference, rows))


def _share_trial(exceeds: Callable[[Share, Share], bool], rate: float, reference: int, rows: int) -> Trial:
    def trial(random: np.random.Generator) -> bool:
        before, now = (Share(int(random.binomial(size, rate)), size) for size in (reference, rows))
        return before.hits > 0 and exceeds(before, now)

    return trial


class Scores(NamedTuple):
    """How scores of positive and of negative outcomes are distributed."""

    positives: Draw
    negatives: Draw

    def sample(self, random: np.random.Generator, rows: int, rate: float) -> tuple[float, Classes] | None:
        """Return the area under the ROC curve of so many scores, and how many of each kind; None without five of each."""
        hits = int(random.binomial(rows, rate))
        if min(hits, rows - hits) < MINIMUM_OF_A_KIND:
            return None
        positives, negatives = np.sort(self.positives(random, hits)), np.sort(self.negatives(random, rows - hits))
        area = auc(positives, negatives)
        assert area is not None
        return area, Classes(hits, rows - hits)


def _normal(mean: float) -> Draw:
    return lambda random, rows: random.normal(mean, 1, rows)


def _mixed(share: float) -> Draw:
    return lambda random, rows: random.normal(0, 1, rows) + 5 * (random.random(rows) < share)


SCORES = {
    "normal scores, AUC 0.6": Scores(_normal(0.36), _normal(0)),
    "normal scores, AUC 0.76": Scores(_normal(1), _normal(0)),
    "normal scores, AUC 0.92": Scores(_normal(2), _normal(0)),
    "4 in 10 positives certain, AUC 0.7": Scores(_mixed(0.4), _normal(0)),
    "8 in 10 positives certain, AUC 0.9": Scores(_mixed(0.8), _normal(0)),
}
_AREA_SIZES = ((20_000, 100, 0.03), (20_000, 500, 0.01), (1_000, 1_000, 0.01), (20_000, 200, 0.97), (1_000, 300, 0.3))


def area_exceeds(before: tuple[float, Classes] | None, now: tuple[float, Classes] | None) -> bool:
    """Tell whether an area lies below what chance alone makes of another; not where either is of too few outcomes."""
    return before is not None and now is not None and now[0] < lowest_area(*before, now[1])


def _area_cases() -> Iterator[Case]:
    for (name, scores), (reference, rows, rate) in product(SCORES.items(), _AREA_SIZES):
        yield Case("AUC loss", name, reference, rows, _area_trial(scores, rate, reference, rows))


def _area_trial(scores: Scores, rate: float, reference: int, rows: int) -> Trial:
    shared = cache(lambda: scores.sample(np.random.default_rng(0), reference, rate))

    def trial(random: np.random.Generator) -> bool:
        # A large reference is the same for all windows: sorting its scores would take nearly all of the time.
        before = shared() if reference > 10 * rows else scores.sample(random, reference, rate)
        return area_exceeds(before, scores.sample(random, rows, rate))

    return trial


FEATURES = 100
_CELLS = {"10 equal cells": _shares(np.ones(10)), "cells of 62 % to 1 %": _shares(np.array([62, 20, 10, 5, 2, 1.0]))}
_CELL_SIZES = ((100_000, 300), (100_000, 3_000), (1_000, 1_000))


def any_psi_exceeds(
    random: np.random.Generator, shares: NDArray[np.float64], reference: int, rows: int, comparisons: int
) -> bool:
    """Tell whether in a window of unchanged features the PSI of any exceeds its noise."""
    before, now = (random.multinomial(size, shares, FEATURES) for size in (reference, rows))
    limits = psi_critical_value(reference, rows, len(shares), comparisons)
    return any(psi(*counts).value > limits for counts in zip(before, now, strict=True))


def _family_cases() -> Iterator[Case]:
    for (name, shares), (reference, rows) in product(_CELLS.items(), _CELL_SIZES):
        trial = partial(any_psi_exceeds, shares=shares, reference=reference, rows=rows, comparisons=FEATURES)
        yield Case(f"PSI of any of {FEATURES} features, noise_per: window", name, reference, rows, trial)


CASES = (*_level_cases(), *_mean_cases(), *_share_cases(), *_area_cases(), *_family_cases())


def table(cases: Iterable[Case], windows: int) -> Iterator[str]:
    """Yield the lines of the table, one for each statistic and population: the worst of the sizes, and all of them."""
    yield "| statistic | population | promised | seen | at worst, rows of reference | windows |"
    yield "|---|---|---:|---:|---|---:|"
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.statistic, case.population), []).append(case)
    for (statistic, population), group in groups.items():
        counts = {case: case.exceedances(windows) for case in group}
        worst = max(group, key=lambda case: counts[case])
        total = 1000 * sum(counts.values()) / windows / len(group)
        at_worst = f"{1000 * counts[worst] / windows:.1f} at {worst.rows:,} of {worst.reference:,}"
        yield f"| {statistic} | {population} | 1 | {total:.2f} | {at_worst} | {windows * len(group):,} |"


def main() -> None:
    """Print the table, in exceedances per thousand windows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--windows", type=int, default=4_000, help="windows of each case")
    parser.add_argument("--only", default="", help="statistics whose names begin with this")
    options = parser.parse_args()
    for line in table((case for case in CASES if case.statistic.startswith(options.only)), options.windows):
        print(line, flush=True)


if __name__ == "__main__":
    main()
