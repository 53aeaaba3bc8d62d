"""How StreamRec serves while nothing is wrong, and what the business counts of what it served."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from examples.streamrec.faults import Conditions
from examples.streamrec.population import Floats

SOUND = Conditions(error_ratio=0.0002)
"""How the service is without a fault."""
GPUS = ("0", "1")
STAGE_SECONDS = {"feature_retrieval": 0.009, "inference": 0.014, "reranking": 0.006}
"""Median latency of each stage; with the spread of 0.3 the whole request has its p99 near 45 ms."""

RETRAINED_EVERY = timedelta(days=5)


def trained_at(moment: datetime) -> datetime:
    """When the model that serves at a moment was trained: the last time that its regular training came round."""
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % RETRAINED_EVERY


def stage_seconds(generator: np.random.Generator, count: int, conditions: Conditions) -> Floats:
    """How long each stage of requests took, a row for each request and a column for each of `STAGE_SECONDS`."""
    spread = generator.normal(0.0, 0.3, (count, len(STAGE_SECONDS)))
    seconds: Floats = conditions.latency_factor * np.array(list(STAGE_SECONDS.values())) * np.exp(spread)
    return seconds


def business_events(rows: pa.Table) -> dict[str, float]:
    """What the business counts of some log rows, by event."""

    def total(column: str) -> Any:
        return pc.sum(rows[column], min_count=0).as_py()

    return {
        "impressions": rows.num_rows,
        "clicks": total("clicked"),
        "starts": total("started"),
        "completions": total("completed"),
        "sessions": rows.num_rows - rows["session_length_seconds"].null_count,
        "session_length": total("session_length_seconds"),
        "revenue": total("revenue_dollars"),
    }
