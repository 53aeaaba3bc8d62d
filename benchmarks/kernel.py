"""How much the drift kernel costs beyond sorting: 30 float columns of a million rows against numpy.sort of the same.

Run as ``python benchmarks/kernel.py``. One core; the reference is built beforehand. Prints both times and the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from exporters.cells import Cells, NumericCells, make_cells
from exporters.columns import Counts
from exporters.profile import profile_column
from exporters.statistics import js, ks, psi
from generator.spec.model import FeatureType

COLUMNS, ROWS, ROUNDS = 30, 1_000_000, 3


def best_of(rounds: int, task: Callable[[], object]) -> float:
    """The shortest of a few runs, in seconds: the one the machine disturbed least."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        task()
        times.append(perf_counter() - start)
    return min(times)


def measure(column: pa.Array[Any], cells: Cells, expected: Counts) -> tuple[float, float, float]:
    """PSI, D and JS of one column, as the exporter computes them."""
    found = profile_column(column, cells).counts
    before, now = cells.fold(expected), cells.fold(found)
    assert isinstance(cells, NumericCells)
    return psi(before, now).value, ks(expected, found, cells.points).value, js(before, now)


def main() -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    values = [random.normal(index, 1 + index, ROWS) for index in range(COLUMNS)]
    columns = [pa.array(column) for column in values]
    cells = [make_cells(column, FeatureType.FLOAT, bins=10, knots=1000) for column in columns]
    expected = [profile_column(column, made).counts for column, made in zip(columns, cells, strict=True)]
    floor = best_of(ROUNDS, lambda: [np.sort(column) for column in values])
    kernel = best_of(ROUNDS, lambda: list(map(measure, columns, cells, expected)))
    print(f"{COLUMNS} columns x {ROWS:,} rows, one core")
    print(f"numpy.sort          {floor:7.3f} s")
    print(f"PSI + KS + JS       {kernel:7.3f} s")
    print(f"ratio               {kernel / floor:7.2f}")


if __name__ == "__main__":
    main()
