"""A shop's spec and the telemetry of its application, for processes too that have no need of what measures."""

from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator.spec.model import (
    Business,
    Event,
    Exporter,
    Feature,
    FeatureType,
    Kpi,
    KpiKind,
    Outcome,
    PredictionLog,
    Serving,
    Source,
    Spec,
    System,
    Windows,
)

HOSTILE = 'we"ird\\{{ $name }} é\nx'
TRAINED = datetime(2026, 3, 1, tzinfo=UTC)
SPEC = Spec(
    version=1,
    system=System(name="shop"),
    prediction_log=PredictionLog(path="log", score="score", outcome=Outcome(column="clicked", timestamp="seen")),
    features={
        "age": Feature(type=FeatureType.INTEGER, source="batch"),
        "country": Feature(type=FeatureType.CATEGORICAL),
        HOSTILE: Feature(column="hostile"),
    },
    sources={"batch": Source(max_age="6h", path="batch"), "stream": Source(max_age="5m", path="stream")},
    serving=Serving(stages=("inference",), endpoints=("/home", "/search"), gpu=True),
    business=Business(
        events={"clicks": Event(), "revenue": Event(unit="dollars"), "shown_items": Event(), "items": Event()},
        kpis={
            "revenue_per_click": Kpi(kind=KpiKind.MEAN, numerator="revenue", denominator="clicks"),
            "coverage": Kpi(kind=KpiKind.UNIQUE, numerator="shown_items", denominator="items"),
        },
    ),
    windows=Windows(grace="5m"),
    exporter=Exporter(top_bins=2),
)


def telemetry_in(folder: Path) -> PredictionTelemetry:
    """The telemetry of a worker that has loaded a model and counts together with the others of a folder."""
    telemetry = PredictionTelemetry(SPEC, CollectorRegistry(), workers=folder)
    telemetry.model("v1", "lightgbm", TRAINED)
    return telemetry
