"""Model servers in the words of the contract: which of a server's own metrics are which of our series.

Every series is recorded as the server has it, one for one, so that a counter that starts anew is still one. What a server does
not publish is left out, with the reason; nothing is made up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mlvitals.generator.contract.serving import TOTAL_STAGE
from mlvitals.generator.spec.model import ServerPreset

SERVER = "@"
"""Stands for the matchers of the server's job in an expression."""
CLIENT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets of the Python client of Prometheus, where a server sets none."""
_RAY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 1000, 2000, 5000, 10000, 60000, 120000, 300000, 600000)
_VLLM_BOUNDS = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)
_LATENCY, _PREDICTIONS, _ERRORS, _GPU = (
    "prediction_latency_seconds",
    "predictions_total",
    "prediction_errors_total",
    "gpu_utilization_ratio",
)
_VERSION = "model_version"


class Mapped(NamedTuple):
    """One of our series, by its short name, and what it is of the server's."""

    series: str
    expression: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A model server: its metrics as ours, and what it does not say."""

    title: str
    mapped: tuple[Mapped, ...]
    silent: Mapping[str, str] = field(default_factory=dict)
    """Metrics that the server does not publish, and the reason or the remedy of each."""
    bounds: tuple[float, ...] = ()
    """The bounds in seconds of its latency histogram, as far as they are known."""

    @property
    def series(self) -> frozenset[str]:
        """The short names of our series that it has."""
        return frozenset(one.series for one in self.mapped)

    @property
    def stages(self) -> frozenset[str]:
        """The stages of which it has a histogram."""
        return frozenset(value for one in self.mapped for name, value in one.labels if name == "stage")

    @property
    def counts_errors(self) -> bool:
        """True if it counts failed predictions."""
        return _ERRORS in self.series

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on the metrics that the server does not publish."""
        return tuple(f"{self.title} does not publish {what}: {why}." for what, why in self.silent.items())


def server_of(preset: ServerPreset) -> ModelServer:
    """Return what is known of a model server."""
    return _SERVERS[preset]


# ---------------------------------------------------------------- parts


def _named(expression: str, new: str, old: str) -> str:
    return f'label_replace({expression}, "{new}", "$1", "{old}", "(.*)")'


def _latency(family: str, version: str, stage: str = TOTAL_STAGE, more: str = "") -> Iterator[Mapped]:
    """Yield the series of a stage from a histogram in seconds."""
    for part in ("bucket", "count", "sum"):
        source = _named(f"{family}_{part}{{{SERVER}{more}}}", _VERSION, version)
        yield Mapped(f"{_LATENCY}_{part}", source, (("stage", stage),))


def _latency_in_milliseconds(family: str, version: str, bounds: tuple[int, ...]) -> Iterator[Mapped]:
    """Yield the series of the whole request from a histogram in milliseconds, bucket by bucket: labels cannot be divided."""
    total = ("stage", TOTAL_STAGE)
    for bound in bounds:
        source = _named(f'{family}_bucket{{{SERVER}, le=~"{bound}([.]0)?"}}', _VERSION, version)
        yield Mapped(f"{_LATENCY}_bucket", source, (total, ("le", repr(bound / 1000))))
    every = _named(f'{family}_bucket{{{SERVER}, le="+Inf"}}', _VERSION, version)
    yield Mapped(f"{_LATENCY}_bucket", every, (total, ("le", "+Inf")))
    yield Mapped(f"{_LATENCY}_count", _named(f"{family}_count{{{SERVER}}}", _VERSION, version), (total,))
    yield Mapped(f"{_LATENCY}_sum", _named(f"{family}_sum{{{SERVER}}} / 1000", _VERSION, version), (total,))


def _requests(success: str, failure: str, version: str) -> Iterator[Mapped]:
    """Yield requests and errors from two counters, of which one may not exist yet."""
    both = f"({success} + {failure}) or {failure} or {success}"
    yield Mapped(_PREDICTIONS, _named(f"({both})", _VERSION, version))
    yield Mapped(_ERRORS, _named(failure, _VERSION, version), (("error_type", "failure"),))


def _no_errors(requests: str) -> Mapped:
    """Return errors of which none has happened: a counter that appears with the first one leaves no ratio before it."""
    return Mapped(_ERRORS, f"0 * {requests}", (("error_type", "none"),))


_DCGM = Mapped(
    _GPU,
    # A card that is divided (MIG) has no utilisation of its own; its engine's activity is that of its parts.
    "DCGM_FI_DEV_GPU_UTIL / 100 or DCGM_FI_PROF_GR_ENGINE_ACTIVE",
)
"""Of every GPU that NVIDIA's exporter reports to this Prometheus: its job is not the server's."""
_NO_SCORES = {"scores and features": "they are measured from the prediction log"}
_NO_ENDPOINTS = {"when the model was trained": "an objective on the model's age needs PredictionTelemetry"}
_COMMON = {**_NO_SCORES, **_NO_ENDPOINTS}

_SERVERS: Mapping[ServerPreset, ModelServer] = {
    ServerPreset.KSERVE: ModelServer(
        "KServe",
        (
            Mapped(_PREDICTIONS, _named(f"request_predict_seconds_count{{{SERVER}}}", _VERSION, "model_name")),
            *_latency("request_predict_seconds", "model_name"),
            *_latency("request_preprocess_seconds", "model_name", "preprocess"),
            *_latency("request_postprocess_seconds", "model_name", "postprocess"),
            _DCGM,
        ),
        {"failed predictions": "count them at the ingress, with an objective of kind query", **_COMMON},
        CLIENT_BOUNDS,
    ),
    ServerPreset.SELDON: ModelServer(
        "Seldon Core 2",
        (
            Mapped(_PREDICTIONS, _named(f"seldon_model_infer_total{{{SERVER}}}", _VERSION, "model_internal")),
            Mapped(
                _ERRORS,
                _named(
                    _named(f'seldon_model_infer_total{{{SERVER}, code!~"200|OK"}}', _VERSION, "model_internal"),
                    "error_type",
                    "code",
                ),
            ),
            _no_errors(_named(f"seldon_model_infer_total{{{SERVER}}}", _VERSION, "model_internal")),
            *_latency("seldon_model_infer_api_seconds", "server"),
            _DCGM,
        ),
        {"latency by model": "its histogram is of a server, which stands in place of the version", **_COMMON},
        CLIENT_BOUNDS,
    ),
    ServerPreset.MLSERVER: ModelServer(
        "Seldon MLServer",
        (
            *_requests(
                f"model_infer_request_success_total{{{SERVER}}}", f"model_infer_request_failure_total{{{SERVER}}}", "version"
            ),
            *_latency("rest_server_request_duration_seconds", "app_name", more=', path=~".*/infer"'),
            _DCGM,
        ),
        {"latency of gRPC, or by version": "its histogram is of requests by REST", **_COMMON},
        CLIENT_BOUNDS,
    ),
    ServerPreset.TRITON: ModelServer(
        "Triton",
        (
            # Newer releases split failures by reason; all of them start anew together, with the process.
            *_requests(
                f"nv_inference_request_success{{{SERVER}}}",
                f"sum without (reason) (nv_inference_request_failure{{{SERVER}}})",
                "version",
            ),
            Mapped(_GPU, _named(f"nv_gpu_utilization{{{SERVER}}}", "gpu", "gpu_uuid")),
        ),
        {
            "a histogram of latency": "it adds up durations, of which no percentile can be computed; "
            "measure it at the ingress, with an objective of kind query",
            **_COMMON,
        },
    ),
    ServerPreset.BENTOML: ModelServer(
        "BentoML",
        (
            Mapped(_PREDICTIONS, _named(f"bentoml_service_request_total{{{SERVER}}}", _VERSION, "service_version")),
            Mapped(
                _ERRORS,
                _named(
                    _named(
                        f'bentoml_service_request_total{{{SERVER}, http_response_code=~"5.."}}', _VERSION, "service_version"
                    ),
                    "error_type",
                    "http_response_code",
                ),
            ),
            _no_errors(_named(f"bentoml_service_request_total{{{SERVER}}}", _VERSION, "service_version")),
            *_latency("bentoml_service_request_duration_seconds", "service_version"),
            _DCGM,
        ),
        _COMMON,
    ),
    ServerPreset.RAY_SERVE: ModelServer(
        "Ray Serve",
        (
            Mapped(
                _PREDICTIONS,
                _named(
                    f"(ray_serve_deployment_request_counter_total{{{SERVER}}} or "
                    f"ray_serve_deployment_request_counter{{{SERVER}}})",
                    _VERSION,
                    "deployment",
                ),
            ),
            Mapped(
                _ERRORS,
                _named(
                    f"(ray_serve_deployment_error_counter_total{{{SERVER}}} or ray_serve_deployment_error_counter{{{SERVER}}})",
                    _VERSION,
                    "deployment",
                ),
                (("error_type", "exception"),),
            ),
            _no_errors(_named(f"ray_serve_deployment_processing_latency_ms_count{{{SERVER}}}", _VERSION, "deployment")),
            *_latency_in_milliseconds("ray_serve_deployment_processing_latency_ms", "deployment", _RAY_BOUNDS_MS),
            _DCGM,
        ),
        {"time in the queue as a histogram": "only processing is measured", **_COMMON},
        tuple(bound / 1000 for bound in _RAY_BOUNDS_MS),
    ),
    ServerPreset.TORCHSERVE: ModelServer(
        "TorchServe",
        (
            Mapped(_PREDICTIONS, f"ts_inference_requests_total{{{SERVER}}}"),
            Mapped(_ERRORS, f"Requests5XX{{{SERVER}}}", (("error_type", "5xx"), (_VERSION, "all"))),
            _no_errors(f"ts_inference_requests_total{{{SERVER}}}"),
            Mapped(_GPU, _named(f"GPUUtilization{{{SERVER}}} / 100", "gpu", "DeviceId")),
        ),
        {
            "a histogram of latency": "it adds up durations, of which no percentile can be computed; "
            "measure it at the ingress, with an objective of kind query",
            "failed predictions by model": "errors are counted for the whole server",
            **_COMMON,
        },
    ),
    ServerPreset.VLLM: ModelServer(
        "vLLM",
        (
            Mapped(_PREDICTIONS, _named(f"vllm:request_success_total{{{SERVER}}}", _VERSION, "model_name")),
            *_latency("vllm:e2e_request_latency_seconds", "model_name"),
            *_latency("vllm:request_queue_time_seconds", "model_name", "queue"),
            *_latency("vllm:request_prefill_time_seconds", "model_name", "prefill"),
            *_latency("vllm:request_decode_time_seconds", "model_name", "decode"),
            _DCGM,
        ),
        {
            "failed requests": "it counts the finished ones only; count them at the ingress, with an objective of kind query",
            **_COMMON,
        },
        _VLLM_BOUNDS,
    ),
}  # fmt: skip
