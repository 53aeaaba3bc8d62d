"""The system layer: availability, latency and errors of the serving application."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mlvitals.generator.contract import TOTAL_STAGE, Contract, latency_buckets
from mlvitals.generator.promql import number, selector
from mlvitals.generator.signals.building import at_levels
from mlvitals.generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Place,
    Query,
    Record,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, LabelOf, Value, text
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Severity, Spec, Timing

_HOUR, _WEEK, _TRAFFIC_PACE = "1h", "7d", "1m"
_panel = partial(Signal, layer=Layer.SYSTEM, incident=Incident.HIGH_LATENCY, height=7)
QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def system_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of the system layer."""
    contract = Contract(spec)
    yield _latency(spec, contract)
    yield _stage_latency(spec, contract)
    yield _throughput(spec, contract)
    yield _traffic(spec, contract)
    yield _error_rate(spec, contract)
    yield _latency_by_version(spec, contract)
    yield _throughput_by_version(spec, contract)
    yield _errors_by_version(spec, contract)
    yield _availability(spec)
    yield _model(contract)
    if spec.serving.gpu:
        yield _gpu(spec, contract)
    yield _processor(spec)
    yield _memory(spec)


def _quantile(quantile: float, buckets: str, counts: str, window: str, by: str) -> str:
    """Return PromQL for a latency quantile, absent rather than NaN if nothing was observed."""
    keep = f"by ({by}) " if by else ""
    inside = ", ".join(filter(None, (by, "le")))
    observed = f"and on ({by}) (sum {keep}(rate({counts}[{window}])) > 0)"
    return f"histogram_quantile({quantile}, sum by ({inside}) (rate({buckets}[{window}]))) {observed}"


def bucket_rates(value: float, bounds: Sequence[float], quantile: float = 0.99) -> dict[str, float]:
    """Return cumulative bucket rates (of one observation per second) whose interpolated quantile is `value`."""
    upper = next(bound for bound in bounds if value <= bound)
    lower = max((bound for bound in bounds if bound < upper), default=0.0)
    inside = (value - lower) / (upper - lower)
    if inside <= quantile:
        below, within = (quantile - inside) / (1 - inside) if inside < 1 else 0.0, 1.0
    else:
        below, within = 0.0, quantile / inside
    rates = {bound: below if bound <= lower else within if bound <= upper else 1.0 for bound in bounds}
    return {**{repr(bound): rate for bound, rate in rates.items()}, "+Inf": 1.0}


def _latency(spec: Spec, contract: Contract) -> Signal:
    window, policy = spec.telemetry.rate_window, spec.alerts.latency_p99
    family = contract.name("prediction_latency_seconds")
    buckets, counts = (selector(f"{family}_{part}", stage=TOTAL_STAGE) for part in ("bucket", "count"))
    records = {label: f"system:{family}:{label}_rate{window}" for _, label in QUANTILES}

    def scenario(value: float) -> Scenario:
        labels = {"stage": TOTAL_STAGE, "model_version": "1"}
        rates = bucket_rates(value, latency_buckets(spec))
        return Scenario(
            (
                *(Input(f"{family}_bucket", {**labels, "le": bound}, slope=rate) for bound, rate in rates.items()),
                Input(f"{family}_count", labels, slope=1),
            )
        )

    return _panel(
        id="latency",
        title="Prediction latency",
        description="Time from request to response. Normal: p99 below the first line. Above it: see in the next "
        "panel which stage became slower, and check for a rise in traffic or a deployment at the same time.",
        unit="s",
        queries=tuple(Query(record, label) for label, record in records.items()),
        width=7,
        height=9,
        levels=levels(policy),
        records=tuple(
            Record(records[label], _quantile(quantile, buckets, counts, window, "")) for quantile, label in QUANTILES
        ),
        alerts=at_levels(
            policy,
            name="MLLatencyHigh",
            expression=records["p99"],
            summary="The 99th percentile of prediction latency is too high.",
            describe=lambda exceeds: (
                f"The p99 latency of {spec.title} is ",
                Value(Format.DURATION),
                f", {exceeds}.",
            ),
            scenario=scenario,
            form=Format.DURATION,
        ),
    )


def _stage_latency(spec: Spec, contract: Contract) -> Signal:
    window = spec.telemetry.rate_window
    family = contract.name("prediction_latency_seconds")
    stages = f'{{stage!="{TOTAL_STAGE}"}}'
    record = f"stage:{family}:p99_rate{window}"
    expression = _quantile(0.99, f"{family}_bucket{stages}", f"{family}_count{stages}", window, "stage")
    return _panel(
        id="stage_latency",
        title="Latency by stage (p99)",
        description="The 99th percentile of each stage of a prediction. Normal: flat. Look at the stage that "
        "grows; the percentiles of the stages do not add up to that of the total.",
        unit="s",
        queries=(Query(record, "{{stage}}"),),
        width=7,
        height=9,
        records=(Record(record, expression),),
    )


def _latency_by_version(spec: Spec, contract: Contract) -> Signal:
    window, family = spec.telemetry.rate_window, contract.name("prediction_latency_seconds")
    buckets, counts = (selector(f"{family}_{part}", stage=TOTAL_STAGE) for part in ("bucket", "count"))
    return _by_version(
        Record(f"{_VERSION}:{family}:p99_rate{window}", _quantile(0.99, buckets, counts, window, _VERSION)),
        id="latency_by_version",
        title="Latency by model version (p99)",
        description="The 99th percentile of a whole prediction, by the version that served it. Normal: similar for "
        "all versions, below the first line. If a version is slower than the one before it, roll it back before it "
        "takes all traffic.",
        unit="s",
        levels=levels(spec.alerts.latency_p99),
    )


def _throughput_by_version(spec: Spec, contract: Contract) -> Signal:
    window, family = spec.telemetry.rate_window, contract.name("predictions")
    return _by_version(
        Record(f"{_VERSION}:{family}:rate{window}", f"sum by ({_VERSION}) (rate({family}_total[{window}]))"),
        id="throughput_by_version",
        title="Throughput by model version",
        description="Predictions per second requested from each version. Normal: one version, or two in the shares "
        "that the deployment intends.",
        unit="reqps",
    )


def _errors_by_version(spec: Spec, contract: Contract) -> Signal:
    window, family = spec.telemetry.rate_window, contract.name("prediction_errors")
    failed, asked = (
        f"sum by ({_VERSION}) (rate({contract.name(name)}[{window}]))"
        for name in ("prediction_errors_total", "predictions_total")
    )
    return _by_version(
        Record(f"{_VERSION}:{family}:ratio_rate{window}", f"{failed} / ({asked} > 0)"),
        id="errors_by_version",
        title="Error rate by model version",
        description="Share of predictions that failed, by the version requested. Normal: similar for all versions, "
        "below the first line.",
        unit="percentunit",
        decimals=2,
        levels=levels(spec.alerts.error_rate),
    )


_VERSION = "model_version"


def _by_version(record: Record, **shown: Any) -> Signal:
    """Return a metric by version that the main dashboard shows over all versions."""
    return _panel(
        **shown,
        queries=(Query(record.name, f"{{{{{_VERSION}}}}}"),),
        place=Place.DETAIL,
        records=(record,),
        height=8,
    )


def throughput_record(spec: Spec) -> str:
    """Return the recorded series of predictions per second."""
    return f"system:{Contract(spec).name('predictions')}:rate{spec.telemetry.rate_window}"


def _throughput(spec: Spec, contract: Contract) -> Signal:
    window, family, record = spec.telemetry.rate_window, contract.name("predictions_total"), throughput_record(spec)
    up = selector("up", job=spec.serving_job)

    def scenario(value: float, reached: float = 1) -> Scenario:
        published = () if value else (Input(family, {"model_version": "1", "endpoint": "/predict"}, 7),)
        return Scenario((Input("up", {"job": spec.serving_job, "instance": "localhost"}, reached), *published))

    alert = Alert(
        name="MLPredictionsUncounted",
        severity=Severity.CRITICAL,
        expression=f"max(absent({family}))",
        comparison="==",
        threshold=1,
        gate=f"and on () max({up}) == 1",
        gated=lambda value: scenario(value, reached=0),
        summary="The serving application is up but exposes no predictions: its latency and errors go undetected.",
        description=text(
            f"Prometheus reaches the serving application of {spec.title} but finds no {family}: the application is "
            "not instrumented, or never passed its model to PredictionTelemetry."
        ),
        timing=spec.alerts.monitoring,
        scenario=scenario,
    )
    return _panel(
        id="throughput",
        title="Throughput",
        description="Predictions per second. Normal: the daily and weekly rhythm. A drop to zero is an outage here "
        "or upstream.",
        unit="reqps",
        queries=(Query(record, "Predictions"),),
        width=5,
        records=(Record(record, f"sum(rate({family}[{window}]))"),),
        alerts=(alert,),
        height=8,
    )


def _traffic(spec: Spec, contract: Contract) -> Signal:
    """Return the predictions of an hour compared with the same hour a week before: days and weeks have their rhythm."""
    policy, minimum = spec.alerts.traffic_fall, spec.alerts.traffic_minimum
    hourly, fall = (f"system:{contract.name('predictions')}:{what}" for what in (f"rate{_HOUR}", f"fall_{_WEEK}"))
    before = f"({hourly} offset {_WEEK} > {number(minimum / seconds(_HOUR))})"

    def scenario(value: float) -> Scenario:
        return Scenario((Input(fall, {}, value),))

    return _panel(
        id="traffic",
        title="Traffic compared with a week before",
        description="Fall of the predictions of an hour compared with the same hour a week before; below 0 it is a rise. "
        "Normal: near 0. Near 100% hardly anybody asks: the application may be healthy and out of reach.",
        unit="percentunit",
        minimum=None,
        queries=(Query(fall, "Fall"),),
        place=Place.DETAIL,
        width=12,
        levels=levels(policy),
        records=(
            Record(hourly, f"avg_over_time({throughput_record(spec)}[{_HOUR}])", every=_TRAFFIC_PACE),
            Record(fall, f"1 - {hourly} / {before}", every=_TRAFFIC_PACE),
        ),
        alerts=at_levels(
            policy,
            name="MLTrafficFall",
            expression=fall,
            summary="Far fewer predictions are requested than in the same hour a week before.",
            describe=lambda exceeds: (
                f"Predictions of {spec.title} within the last {_HOUR} are ",
                Value(Format.PERCENT),
                f" fewer than {_WEEK} before, {exceeds}.",
            ),
            scenario=scenario,
            form=Format.PERCENT,
        ),
    )


def _error_rate(spec: Spec, contract: Contract) -> Signal:
    window, policy = spec.telemetry.rate_window, spec.alerts.error_rate
    errors, total = contract.name("prediction_errors_total"), contract.name("predictions_total")
    record = f"system:{contract.name('prediction_errors')}:ratio_rate{window}"

    def scenario(value: float, predictions: float = 1000) -> Scenario:
        return Scenario(
            (
                Input(errors, {"model_version": "1", "error_type": "internal"}, slope=predictions * value),
                Input(total, {"model_version": "1", "endpoint": "/predict"}, slope=predictions),
            )
        )

    return _panel(
        id="error_rate",
        title="Error rate",
        description="Share of predictions that failed. Normal: below the first line. Above it: the error types "
        "show if the inputs, a dependency or the model itself is at fault.",
        unit="percentunit",
        decimals=2,
        queries=(Query(record, "Failed"),),
        width=5,
        levels=levels(policy),
        records=(Record(record, f"sum(rate({errors}[{window}])) / (sum(rate({total}[{window}])) > 0)"),),
        alerts=at_levels(
            policy,
            name="MLErrorRateHigh",
            expression=record,
            gate=f"and on () sum(increase({errors}[{window}])) >= {spec.alerts.error_rate_minimum}",
            gated=lambda value: scenario(value, predictions=0.5 / (value * seconds(window))),
            summary="Too many predictions fail.",
            describe=lambda exceeds: (
                f"Of the predictions of {spec.title} ",
                Value(Format.PERCENT),
                f" fail, {exceeds}.",
            ),
            scenario=scenario,
            form=Format.PERCENT,
        ),
        height=8,
    )


def up_alert(
    spec: Spec,
    *,
    name: str,
    job: str,
    summary: str,
    what: str,
    severity: Severity = Severity.CRITICAL,
    timing: Timing | None = None,
) -> Alert:
    """Return an alert for a scrape target that is down or not scraped; its timing is that of monitoring if not given."""
    up = selector("up", job=job)
    return Alert(
        name=name,
        severity=severity,
        expression=f"(max({up}) or vector(0))",
        comparison="<",
        threshold=1,
        resolution=1,
        summary=summary,
        description=text(f"Prometheus cannot reach any instance of {what} of {spec.title} (job {job})."),
        timing=timing or spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input("up", {"job": job, "instance": "localhost"}, value),)),
        fires_without_data=True,
        policy="monitoring" if timing else "",
    )


def _availability(spec: Spec) -> Signal:
    up = selector("up", job=spec.serving_job)
    alert = up_alert(
        spec,
        name="MLServingDown",
        job=spec.serving_job,
        summary="The serving application cannot be reached.",
        what="the serving application",
    )
    return _panel(
        id="availability",
        title="Instances up",
        description="Instances of the serving application that Prometheus can reach. Normal: all of them.",
        unit="short",
        queries=(Query(f"sum({up}) or vector(0)", "Up", instant=True),),
        view=View.STAT,
        width=4,
        levels=(Level(Severity.CRITICAL, 1),),
        below=True,
        alerts=(alert, *_missing_replicas(spec, up)),
    )


def _missing_replicas(spec: Spec, up: str) -> Iterator[Alert]:
    expected = spec.serving.replicas
    if expected is None or expected == 1:
        return
    job = spec.serving_job
    yield Alert(
        name="MLReplicasMissing",
        severity=Severity.WARNING,
        expression=f"sum({up})",
        comparison="<",
        threshold=expected,
        resolution=1 / expected,
        summary="Fewer instances of the serving application are up than expected.",
        description=text(
            Value(Format.NUMBER), f" of {expected} instances of the serving application of {spec.title} can be reached."
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input("up", {"job": job, "instance": "localhost"}, value),)),
    )


def _model(contract: Contract) -> Signal:
    info, trained = contract.name("model_info"), contract.name("model_trained_timestamp_seconds")
    joined = (
        f"(time() - max by (model_version) ({trained})) "
        f"* on (model_version) group_left (framework) max by (model_version, framework) ({info})"
    )
    return _panel(
        id="model",
        title="Model",
        description="The versions being served and the time since each was trained. Two versions at once are a "
        "deployment in progress.",
        unit="s",
        decimals=0,
        queries=(Query(joined, "{{model_version}} ({{framework}})", instant=True),),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STAT,
        width=4,
    )


def _gpu(spec: Spec, contract: Contract) -> Signal:
    policy, metric = spec.alerts.gpu_utilization, contract.name("gpu_utilization_ratio")

    return _panel(
        id="gpu",
        title="GPU utilisation",
        description="Share of time each GPU was busy. Normal: follows traffic. Sustained full load means that "
        "requests queue; idle under traffic means that the work runs elsewhere.",
        unit="percentunit",
        maximum=1,
        queries=(Query(f"max by (gpu) ({metric})", "GPU {{gpu}}"),),
        width=5,
        levels=levels(policy),
        alerts=at_levels(
            policy,
            name="MLGpuSaturated",
            expression=f"max by (gpu) ({metric})",
            summary="A GPU is saturated: requests are queueing.",
            describe=lambda exceeds: (
                "GPU ",
                LabelOf("gpu"),
                f" of {spec.title} is busy ",
                Value(Format.PERCENT),
                f" of the time, {exceeds}.",
            ),
            scenario=lambda value: Scenario((Input(metric, {"gpu": "0"}, value),), {"gpu": "0"}),
            form=Format.PERCENT,
        ),
    )


def _processor(spec: Spec) -> Signal:
    used = selector("process_cpu_seconds_total", job=spec.serving_job)
    return _panel(
        id="processor",
        title="CPU cores",
        description="CPU cores that each serving process uses. Normal: follows traffic.",
        unit="short",
        queries=(Query(f"sum by (instance) (rate({used}[$__rate_interval]))", "{{instance}}"),),
        width=6,
    )


def _memory(spec: Spec) -> Signal:
    used = selector("process_resident_memory_bytes", job=spec.serving_job)
    return _panel(
        id="memory",
        title="Memory",
        description="Resident memory of each serving process. Normal: flat. A steady climb is a leak.",
        unit="bytes",
        queries=(Query(f"sum by (instance) ({used})", "{{instance}}"),),
        width=5,
    )
