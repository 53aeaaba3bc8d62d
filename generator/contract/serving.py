"""Metric families of a serving application: its predictions and its process."""

from collections.abc import Iterator
from enum import StrEnum

from mlvitals.generator.contract.family import Family, MetricType, Producer, counter, gauge
from mlvitals.generator.spec.model import SloKind, Spec

SCORE_BUCKETS = tuple(round(step / 10, 1) for step in range(1, 11))
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
TOTAL_STAGE = "total"
"""The stage label of a whole request; it contains the other stages, so never sum over stage."""

OPEN_LABELS = ("endpoint", "error_type", "framework", "gpu", "model_version")
"""Labels whose values the application chooses."""


class TelemetryFailure(StrEnum):
    """Operations at which the instrumentation of a serving application can fail without the application noticing."""

    STORE = "store"
    READ = "read"


def latency_buckets(spec: Spec) -> tuple[float, ...]:
    """Return bucket bounds in seconds, with a bound at every latency threshold and objective of the spec."""
    policy = spec.alerts.latency_p99
    alerts = (policy.info, policy.warning, policy.critical)
    objectives = (slo.threshold for slo in spec.slos.values() if slo.kind is SloKind.LATENCY)
    wanted = {bound for bound in (*alerts, *objectives) if bound}
    # A quantile is interpolated within finite buckets: one above the highest threshold makes it possible to exceed it.
    highest = max(wanted, default=0.0)
    beyond = {2 * highest} if highest >= LATENCY_BUCKETS[-1] else set()
    return tuple(sorted({*LATENCY_BUCKETS, *wanted, *beyond}))


def serving_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of a system with a serving application."""
    if not spec.serving.enabled:
        return
    by, version = Producer.SERVING, "model_version"
    yield counter(
        "predictions_total", "Predictions requested, including failed ones.", version, "endpoint", producer=by
    )
    yield counter(
        "prediction_errors_total", "Predictions that failed, by error type.", version, "error_type", producer=by
    )
    yield Family(
        "prediction_latency_seconds",
        MetricType.HISTOGRAM,
        "Duration of a request by stage; the stage total is the whole request and contains the others.",
        (version, "stage"),
        by,
        latency_buckets(spec),
    )
    yield Family("prediction_score", MetricType.HISTOGRAM, "Scores returned, 0 to 1.", (version,), by, SCORE_BUCKETS)
    yield counter("serving_feature_rows_total", "Predictions whose features were passed to the telemetry.", producer=by)
    yield counter(
        "serving_feature_null_total",
        "Predictions whose feature was null, NaN or missing.",
        "feature_name",
        producer=by,
    )
    yield counter(
        "serving_label_overflow_total",
        "Values of a label counted as other, for the spec names them not and there is no room for more.",
        "label_name",
        producer=by,
    )
    yield counter(
        "serving_telemetry_failures_total",
        "Series that a worker could not store, and stored ones that could not be read.",
        "operation",
        producer=by,
    )
    yield gauge("model_info", "The model being served; always 1.", version, "framework", producer=by)
    yield gauge(
        "model_trained_timestamp_seconds",
        "Time when the model being served was trained, as a Unix timestamp.",
        version,
        producer=by,
    )
    if spec.serving.gpu:
        yield gauge("gpu_utilization_ratio", "Share of time the GPU was busy, 0 to 1.", "gpu", producer=by)


PROCESS_FAMILIES = (
    counter("process_cpu_seconds_total", "CPU time used.", producer=Producer.PROCESS),
    gauge("process_resident_memory_bytes", "Memory in use.", producer=Producer.PROCESS),
)
"""Families that the client library adds; the names are the same in every system."""
