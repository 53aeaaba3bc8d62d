"""A model behind FastAPI, monitored: the lines marked with # telemetry are all that monitoring adds.

MLVITALS_WORKERS=/dev/shm/example uvicorn examples.fastapi_app.app:app --workers 2
"""

import os
from datetime import UTC, datetime
from math import exp
from pathlib import Path
from time import perf_counter

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mlvitals import PredictionTelemetry, load_spec

MODEL, ENDPOINT = "2026-03-01", "/predict"
WEIGHTS = {"age": 0.02, "balance": -0.0005, "visits": 0.1}
DEFAULTS = {"age": 40.0, "balance": 0.0, "visits": 0.0}
WORKERS = os.environ.get("MLVITALS_WORKERS")

spec = load_spec(Path(__file__).with_name("churn.yaml"))
telemetry = PredictionTelemetry(spec, workers=Path(WORKERS) if WORKERS else None)  # telemetry
telemetry.model(MODEL, "by hand", trained_at=datetime(2026, 3, 1, tzinfo=UTC))  # telemetry
app = FastAPI()


def score_of(features: dict[str, float | None]) -> float:
    """The chance that a customer leaves; a feature that is null takes its default."""
    values = {name: DEFAULTS[name] if (value := features.get(name)) is None else value for name in WEIGHTS}
    return 1 / (1 + exp(-sum(weight * values[name] for name, weight in WEIGHTS.items())))


@app.post(ENDPOINT)
def predict(features: dict[str, float | None]) -> dict[str, float]:
    """Score one customer."""
    start = perf_counter()
    try:
        score = score_of(features)
    except OverflowError:
        latency = {"total": perf_counter() - start}
        telemetry.observe(MODEL, ENDPOINT, latency, error_type="invalid_input", features=features)  # telemetry
        raise HTTPException(422, "a feature is far too large") from None
    latency = {"total": perf_counter() - start}
    telemetry.observe(MODEL, ENDPOINT, latency, scores=[score], features=features)  # telemetry
    return {"score": score}


@app.post("/contacted")
def contacted(customers: int, renewed: int) -> None:
    """Take note of customers who were called, and of those who stayed."""
    telemetry.event("contacts", customers)  # telemetry
    telemetry.event("renewals", renewed)  # telemetry


@app.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """What Prometheus scrapes; any worker answers for all."""
    return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)  # telemetry
