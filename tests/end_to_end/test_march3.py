"""March 3 in a real stack: StreamRec, the exporter and Prometheus, an hour passing in a minute.

The demo's own code runs; it fails when anything fires in the two windows before the fault, when no page comes, or when
another feature's alert fires too. An hour takes a minute and not 20 s as in the demo: the seconds that processes take,
and those a shared machine stands still, count as fewer minutes of the on-call's, as they do where an hour is an hour.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from examples.streamrec.demo import run_demo

pytestmark = [pytest.mark.slow, pytest.mark.realtime]
PAGE = re.compile(
    r"Feature days_since_last_interaction of StreamRec drifted: PSI (?P<psi>[\d.]+) is above the critical threshold 0\.25\."
    r" Top bin (?P<bin>.+): from (?P<reference>[\d.]+)% of the reference to (?P<current>[\d.]+)% now\."
    r".* Out of range: (?P<beyond>[\d.]+)% of its values\."
)
WINDOW_MINUTES = 60
COMPRESSION = 60


@pytest.mark.parametrize(
    ("share", "release"), [(0.4, "stable"), (1.0, "sid")], ids=["40 %, stable", "100 %, Prometheus 3"]
)
def test_the_corrupted_feature_pages_within_a_window_with_value_threshold_and_bin(
    share: float, release: str, servers: Callable[..., str], tmp_path: Path
):
    told = io.StringIO()
    run_demo(
        tmp_path,
        share=share,
        keep=False,
        prometheus=servers("prometheus", release),
        console=Console(file=told, width=1000),
        compression=COMPRESSION,
    )
    page = PAGE.search(told.getvalue())
    assert page, told.getvalue()
    assert float(page["psi"]) > 0.25
    # Once every row is corrupted, the bin that emptied contributes about as much as the one that filled.
    assert abs(float(page["current"]) - float(page["reference"])) > 30, "points that the top bin gained or lost"
    assert float(page["beyond"]) > 100 * share * 0.8
    after = re.search(r"the page came (\d+) simulated minutes after the change", told.getvalue())
    assert after
    assert int(after[1]) <= WINDOW_MINUTES + 25, "a window, its grace, a scrape and an evaluation"
    assert "two windows without a fault: nothing fires" in told.getvalue()
