"""What is published beside what was estimated: the estimate is an upper bound, of every family."""

from collections import Counter

import numpy as np
import pytest
from drift_samples import compared, reference_of, spec_of
from prometheus_client.parser import text_string_to_metric_families

from mlvitals.exporters.publish.prometheus import render_window
from mlvitals.generator.contract import Contract
from mlvitals.generator.estimate import family_series

ROWS = 5_000
PIECE = ROWS // 100
COLUMNS = {
    "category of 40 levels": ("categorical", [f"level {row % 40}" for row in range(ROWS)]),
    "category of 50 levels": ("categorical", [f"level {row % 50}" for row in range(ROWS)]),
    "category of 500 levels": ("categorical", [f"level {row % 500 if row % 2 else row % 48}" for row in range(ROWS)]),
    "integer of 19 values": ("integer", [row % 19 for row in range(ROWS)]),
    "integer of 20 values": ("integer", [row % 20 for row in range(ROWS)]),
    "integer of 21 values": ("integer", [row % 21 for row in range(ROWS)]),
    "truth values": ("boolean", [row % 2 == 0 for row in range(ROWS)]),
    "continuous": ("float", np.linspace(0, 1, ROWS).tolist()),
    "frequent values with others between": (
        "float",
        [*np.repeat(range(8), 10 * PIECE + 1), *np.linspace(-1, 8, ROWS - 8 * (10 * PIECE + 1))],
    ),
}


@pytest.mark.parametrize("bins", [2, 10, 30])
@pytest.mark.parametrize("name", COLUMNS)
def test_no_family_publishes_more_series_of_a_feature_than_were_estimated(name: str, bins: int):
    kind, values = COLUMNS[name]
    spec = spec_of({"x": {"type": kind, "bins": bins}})
    report = compared(spec, reference_of(spec, {"x": values}), {"x": values})

    page = render_window(Contract(spec), report).decode()

    published = Counter(sample.name for family in text_string_to_metric_families(page) for sample in family.samples)
    estimated = {item.family: item.series for item in family_series(spec)}
    assert published["shop_drift_bin_psi"] > 1
    assert {family: count for family, count in published.items() if count > estimated[family]} == {}
