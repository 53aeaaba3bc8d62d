"""Presets of model servers: their own metrics are ours, and what they do not publish is not drawn, watched or promised."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.contract.presets import server_of
from mlvitals.generator.promql import metric_names
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import SpecError, parse_spec
from mlvitals.generator.spec.model import ServerPreset, Spec

SPEC = """\
version: 1
system: {{name: fraud}}
prediction_log: {{path: log, score: score}}
features: {{amount: {{}}, country: {{type: categorical}}}}
serving: {{preset: {preset}, gpu: {gpu}}}
{slos}
"""
every_preset = pytest.mark.parametrize("preset", list(ServerPreset))
JOB = 'job="fraud-serving", instance="a:8000"'
CLIENT = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def histogram(name: str, labels: str, within: float, bounds: tuple[float, ...], form: str = "{}") -> dict[str, float]:
    """A histogram of one request a second, all of them within a bound: series to growth a second."""
    buckets = {
        f'{name}_bucket{{{JOB}, {labels}, le="{form.format(bound)}"}}': float(bound >= within) for bound in bounds
    }
    total = {f'{name}_bucket{{{JOB}, {labels}, le="+Inf"}}': 1.0, f"{name}_count{{{JOB}, {labels}}}": 1.0}
    return {**buckets, **total, f"{name}_sum{{{JOB}, {labels}}}": within}


# What each server's /metrics shows, as growth a second: names, labels and buckets as its source has them.
EXPOSED: dict[ServerPreset, dict[str, float]] = {
    ServerPreset.KSERVE: {
        **histogram("request_predict_seconds", 'model_name="m"', 0.05, CLIENT),
        **histogram("request_preprocess_seconds", 'model_name="m"', 0.005, CLIENT),
    },
    ServerPreset.SELDON: {
        f'seldon_model_infer_total{{{JOB}, model="m", model_internal="m_1", method_type="rest", code="200"}}': 0.9,
        f'seldon_model_infer_total{{{JOB}, model="m", model_internal="m_1", method_type="rest", code="500"}}': 0.1,
        **histogram(
            "seldon_model_infer_api_seconds", 'server="s", server_replica="0", method="rest", code="200"', 0.05, CLIENT
        ),
    },
    ServerPreset.MLSERVER: {
        f'model_infer_request_success_total{{{JOB}, model="m", version="1"}}': 0.9,
        f'model_infer_request_failure_total{{{JOB}, model="m", version="1"}}': 0.1,
        **histogram(
            "rest_server_request_duration_seconds",
            'method="POST", path="/v2/models/m/infer", status_code="200"',
            0.05,
            CLIENT,
        ),
    },
    ServerPreset.TRITON: {
        f'nv_inference_request_success{{{JOB}, model="m", version="1"}}': 0.9,
        f'nv_inference_request_failure{{{JOB}, model="m", version="1", reason="BACKEND"}}': 0.06,
        f'nv_inference_request_failure{{{JOB}, model="m", version="1", reason="REJECTED"}}': 0.04,
    },
    ServerPreset.BENTOML: {
        f'bentoml_service_request_total{{{JOB}, endpoint="/p", service_version="v", http_response_code="200"}}': 0.9,
        f'bentoml_service_request_total{{{JOB}, endpoint="/p", service_version="v", http_response_code="503"}}': 0.1,
        **histogram("bentoml_service_request_duration_seconds", 'endpoint="/p", service_version="v"', 0.05, CLIENT),
    },
    ServerPreset.RAY_SERVE: {
        f'ray_serve_deployment_request_counter_total{{{JOB}, deployment="d", replica="r"}}': 1.0,
        f'ray_serve_deployment_error_counter_total{{{JOB}, deployment="d", replica="r"}}': 0.1,
        **histogram(
            "ray_serve_deployment_processing_latency_ms",
            'deployment="d", replica="r"',
            50.0,
            (1.0, 20.0, 50.0, 100.0),
            "{}",
        ),
    },
    ServerPreset.TORCHSERVE: {
        f'ts_inference_requests_total{{{JOB}, model_name="m", model_version="1", hostname="h"}}': 1.0,
        f'Requests5XX{{{JOB}, Level="Host", Hostname="h"}}': 0.1,
    },
    ServerPreset.VLLM: {
        f'vllm:request_success_total{{{JOB}, model_name="m", engine="0", finished_reason="stop"}}': 0.9,
        f'vllm:request_success_total{{{JOB}, model_name="m", engine="0", finished_reason="length"}}': 0.1,
        **histogram("vllm:e2e_request_latency_seconds", 'model_name="m", engine="0"', 0.5, (0.3, 0.5, 0.8, 1.0, 1.5)),
    },
}


@cache
def spec_of(preset: ServerPreset, gpu: bool = False, slos: str = "") -> Spec:
    return parse_spec(SPEC.format(preset=preset.value, gpu=str(gpu).lower(), slos=slos))


def recorded(name: str, expression: str, expected: float | None) -> dict:
    samples = [] if expected is None else [{"labels": "{}", "value": expected}]
    return {"expr": f"round({expression}, 0.0001)", "eval_time": "20m", "exp_samples": samples}


@every_preset
def test_promtool_reads_throughput_errors_and_latency_from_what_the_server_exposes(preset, stable_promtool, tmp_path):
    server = server_of(preset)
    groups = yaml.safe_load(compile_spec(spec_of(preset))["alert_rules/fraud.rules.yml"])["groups"]
    groups = [group for group in groups if group["name"].startswith("fraud-system-recording")]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    p99 = 0.5 if preset is ServerPreset.VLLM else 0.05
    wanted = {
        "system:fraud_predictions:rate5m": 1.0,
        "system:fraud_prediction_errors:ratio_rate5m": 0.1 if server.counts_errors else None,
    }
    tests = [recorded(name, f"sum({name})", value) for name, value in wanted.items()]
    p99_is_near = f"sum(system:fraud_prediction_latency_seconds:p99_rate5m <= bool {p99}) * sum(" \
        f"system:fraud_prediction_latency_seconds:p99_rate5m > bool {p99 / 2})"  # fmt: skip
    tests.append(recorded("p99", p99_is_near, 1.0 if server.stages else None))
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": one, "values": f"0+{60 * rate}x30"} for one, rate in EXPOSED[preset].items()
                ],
                "promql_expr_test": tests,
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [stable_promtool, "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@every_preset
def test_every_metric_that_a_preset_reads_is_one_that_the_server_exposes(preset):
    """And the other way round: what is exposed here is read."""
    exposed = {one.partition("{")[0] for one in EXPOSED[preset]}
    read = {name for one in server_of(preset).mapped for name in metric_names(one.expression.replace("@", 'job="x"'))}
    assert exposed <= read


@every_preset
def test_nothing_is_drawn_or_watched_that_the_server_does_not_publish(preset):
    spec = spec_of(preset, gpu=True)
    contract, server = Contract(spec), server_of(preset)
    published = {series for family in contract.of(Producer.SERVING) for series in family.series_names}
    unknown = published - {contract.name(series) for series in (*server.series, "model_info")}
    names = {
        name
        for signal in signals(spec)
        for text in (*(record.expression for record in signal.records), *(alert.rule for alert in signal.alerts))
        for name in metric_names(text)
    }
    assert unknown
    assert not names & unknown


@every_preset
def test_what_is_left_out_is_said_where_the_throughput_is_drawn(preset):
    [throughput] = [signal for signal in signals(spec_of(preset)) if signal.id == "throughput"]
    for sentence in server_of(preset).sentences:
        assert sentence in throughput.description


@pytest.mark.parametrize(
    ("preset", "objective", "words"),
    [
        ("triton", "{kind: latency, objective: 0.99, threshold: 0.05}", "needs a histogram of latency, which Triton"),
        ("kserve", "{kind: availability, objective: 0.99}", "needs failed predictions, which KServe does not count"),
        ("seldon", "{kind: latency, objective: 0.99, threshold: 0.06}", "is no bound of the buckets of Seldon Core 2"),
        ("bentoml", "{kind: model_staleness, objective: 0.99, threshold: 7}", "needs the time of training"),
    ],
)
def test_an_objective_that_the_server_cannot_be_measured_by_is_refused_with_a_remedy(preset, objective, words):
    with pytest.raises(SpecError) as caught:
        parse_spec(SPEC.format(preset=preset, gpu="false", slos=f"slos: {{one: {objective}}}"))
    assert words in str(caught.value)
    assert re.search(r":6:\d+: error", str(caught.value))


def test_every_preset_is_described():
    page = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text()
    for preset in ServerPreset:
        assert f"| `{preset}` |" in page
