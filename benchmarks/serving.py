"""What counting a request costs a serving application, beside plain prometheus_client calls for the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from time import process_time

from prometheus_client import CollectorRegistry, Counter, Histogram

from benchmarks.data import spec_of
from benchmarks.figures import ROUNDS, Figure, best_of
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator.contract import LATENCY_BUCKETS, SCORE_BUCKETS

FEATURES = 32
MODEL, ENDPOINT = "v1", "/predict"
LATENCY = {"feature_retrieval": 0.004, "inference": 0.011, "total": 0.017}
SCORES = (0.83,)
LIMIT_MICROSECONDS = 10


def figures(*, full: bool) -> list[Figure]:
    """Microseconds a request: alone, as one of several workers, and by prometheus_client."""
    requests = 100_000 if full else 20_000
    features: dict[str, float | None] = {f"f{index}": index / 7 for index in range(FEATURES)}
    features["f3"] = None
    with tempfile.TemporaryDirectory() as folder:
        ways = [_ours(features, None), _ours(features, Path(folder)), _plain(features)]
        tasks = [_repeated(way, requests) for way in ways]
        alone, worker, plain = (1e6 * seconds / requests for seconds in best_of(ROUNDS, *tasks, clock=process_time))
    other = "prometheus_client, labels looked up each time"
    target = f"under {LIMIT_MICROSECONDS} µs"
    subject = f"counting a request of {FEATURES} features, {len(LATENCY)} stages and a score"
    return [
        Figure(f"{subject}: one process", alone, other, plain, unit="µs", target=target),
        Figure(f"{subject}: one of several workers", worker, other, plain, unit="µs", target=target),
    ]


def _repeated(task: Callable[[], object], times: int) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(times):
            task()

    return repeat


def _ours(features: dict[str, float | None], workers: Path | None) -> Callable[[], object]:
    telemetry = PredictionTelemetry(spec_of(FEATURES), workers=workers)
    telemetry.model(MODEL, "numpy", datetime(2026, 3, 1, tzinfo=UTC))
    return lambda: telemetry.observe(MODEL, ENDPOINT, LATENCY, SCORES, features=features)


def _plain(features: dict[str, float | None]) -> Callable[[], object]:
    """The same figures as an application would write them by hand."""
    registry = CollectorRegistry()
    predictions = Counter("predictions", "Asked for.", ["model_version", "endpoint"], registry=registry)
    latency = Histogram("latency", "Time.", ["model_version", "stage"], buckets=LATENCY_BUCKETS, registry=registry)
    scores = Histogram("score", "Scores.", ["model_version"], buckets=SCORE_BUCKETS, registry=registry)
    rows = Counter("rows", "Rows.", registry=registry)
    nulls = Counter("null", "Nulls.", ["feature_name"], registry=registry)

    def observe() -> None:
        predictions.labels(MODEL, ENDPOINT).inc()
        for stage, seconds in LATENCY.items():
            latency.labels(MODEL, stage).observe(seconds)
        for score in SCORES:
            scores.labels(MODEL).observe(score)
        rows.inc()
        for name, value in features.items():
            if value is None or isnan(value):
                nulls.labels(name).inc()

    return observe
