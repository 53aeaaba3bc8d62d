"""A serving application that counts every prediction: WSGI for gunicorn, ASGI for uvicorn."""

import os
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from mlvitals import PredictionTelemetry
from mlvitals.generator.spec.load import parse_spec

SPEC = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {}}
"""
telemetry = PredictionTelemetry(parse_spec(SPEC), workers=Path(os.environ["FAULT_WORKERS"]))
telemetry.model("v1", "by hand", trained_at=datetime(2026, 3, 1, tzinfo=UTC))


def answer(path: str) -> bytes:
    if path == "/metrics":
        return generate_latest(telemetry.registry)
    telemetry.observe("v1", "/predict", {"total": 0.01}, scores=[0.5], features={"age": 40})
    return b"0.5"


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any], receive: Callable[..., Awaitable[object]], send: Callable[..., Awaitable[object]]
) -> None:
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    body = answer(scope["path"])
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
