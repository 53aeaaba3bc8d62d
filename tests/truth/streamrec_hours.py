"""Where the simulated log of these tests begins, and its hours with and without a fault."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from examples.replay import HOUR
from examples.streamrec.faults import March3
from examples.streamrec.simulate import simulate_hour

SEED = 1
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
"""The log begins where the training data ends."""


def log_hour(number: int, faults: Sequence[March3] = ()) -> pa.Table:
    """The rows of the hour with this number since the begin of the log."""
    return simulate_hour(BEGIN + number * HOUR, seed=SEED, faults=faults)
