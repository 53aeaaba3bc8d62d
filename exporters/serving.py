"""What a serving application imports to publish its metrics: every serving family of its spec's contract.

```python
telemetry = PredictionTelemetry(load_spec("specs/streamrec.yaml"))
telemetry.model("v7", "lightgbm", trained_at)
telemetry.start_server(port=8000)
...
telemetry.observe("v7", "/recommend", {"inference": 0.012, "total": 0.021}, scores=[0.81, 0.64])
telemetry.event("clicks")
```

All methods may be called from any thread.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from generator.contract import TOTAL_STAGE, Contract, Family, Producer
from generator.spec.model import Spec


class TelemetryServer:
    """Serves a registry under /metrics until it is closed."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host, registry)

    @property
    def port(self) -> int:
        """The port in use, also where port 0 asked for any."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PredictionTelemetry:
    """The serving metrics of one system.

    Args:
        spec: the system's spec.
        registry: where to register; by default a registry of its own, with the process's CPU and memory.

    Raises:
        ValueError: the spec says that there is no serving application.

    """

    def __init__(self, spec: Spec, registry: CollectorRegistry | None = None) -> None:
        if not spec.serving.enabled:
            raise ValueError("the spec says that there is no serving application; set serving.enabled: true")
        contract = Contract(spec)
        families = {family.name: family for family in contract.of(Producer.SERVING)}
        self.registry = CollectorRegistry() if registry is None else registry
        self._serving = spec.serving
        self._stages = (*spec.serving.stages, TOTAL_STAGE)
        self._predictions = _counter(families[contract.name("predictions_total")])
        self._errors = _counter(families[contract.name("prediction_errors_total")])
        self._latency = _histogram(families[contract.name("prediction_latency_seconds")])
        self._scores = _histogram(families[contract.name("prediction_score")])
        self._info = _gauge(families[contract.name("model_info")])
        self._trained = _gauge(families[contract.name("model_trained_timestamp_seconds")])
        self._gpus = _gauge(families[contract.name("gpu_utilization_ratio")]) if spec.serving.gpu else None
        counted = {event: families.get(contract.event(event)) for event in spec.business.events}
        self._events = {event: _counter(family) for event, family in counted.items() if family is not None}
        self._unique = {event: families[contract.name(event)] for event in counted if event not in self._events}
        self._unique_gauges: dict[str, Gauge] = {}
        self._lock = Lock()
        self._versions: set[str] = set()
        self.registry.register(_WithoutCreated(self._metrics))
        if registry is None:
            ProcessCollector(registry=self.registry)

    def model(self, model_version: str, framework: str, trained_at: datetime) -> None:
        """Say which model is served from now on; the one before is no longer shown as served.

        Args:
            model_version: the version, as `observe` gets it.
            framework: what it was made with, such as ``lightgbm``.
            trained_at: when it was trained, aware.

        Raises:
            ValueError: `trained_at` has no time zone.

        """
        if trained_at.tzinfo is None:
            raise ValueError("trained_at must carry a time zone, such as datetime.UTC")
        with self._lock:
            self._info.clear()
            self._trained.clear()
            self._info.labels(model_version, framework).set(1)
            self._trained.labels(model_version).set(trained_at.timestamp())
        self._start_at_zero(model_version)

    def observe(
        self,
        model_version: str,
        endpoint: str,
        latency_seconds: Mapping[str, float],
        scores: Iterable[float] = (),
        error_type: str | None = None,
    ) -> None:
        """Count one request, failed or not.

        Args:
            model_version: the version that answered.
            endpoint: where it was asked; a route, never a URL with ids in it.
            latency_seconds: by stage, how long it took; `total` is the whole request.
            scores: the scores it answered, at most those that users see. NaN and infinities are left out.
            error_type: the kind of failure; None where the request succeeded.

        Raises:
            ValueError: a stage that the spec does not name. Nothing is counted then.

        """
        unknown = [stage for stage in latency_seconds if stage not in self._stages]
        if unknown:
            raise ValueError(f"unknown stage {unknown[0]!r}; the spec names {', '.join(self._stages)}")
        self._start_at_zero(model_version)
        self._predictions.labels(model_version, endpoint).inc()
        if error_type is not None:
            self._errors.labels(model_version, error_type).inc()
        for stage, seconds in latency_seconds.items():
            if seconds >= 0 and math.isfinite(seconds):
                self._latency.labels(model_version, stage).observe(seconds)
        histogram = self._scores.labels(model_version)
        for score in scores:
            if math.isfinite(score):
                histogram.observe(score)

    def event(self, name: str, amount: float = 1) -> None:
        """Add to a business event of the spec.

        Raises:
            ValueError: no such event, one that is not counted, or a negative or undefined amount.

        """
        if name not in self._events:
            raise _no_event(name, self._events, "set_unique" if name in self._unique else None)
        if not (amount >= 0 and math.isfinite(amount)):
            raise ValueError(f"event {name!r} cannot grow by {amount}")
        self._events[name].inc(amount)

    def set_unique(self, name: str, value: float) -> None:
        """Set how many distinct items a business event of the spec stands at. It is absent until then.

        Raises:
            ValueError: no such event, or one that is counted.

        """
        if name not in self._unique:
            raise _no_event(name, self._unique, "event" if name in self._events else None)
        with self._lock:
            if name not in self._unique_gauges:
                self._unique_gauges[name] = _gauge(self._unique[name])
        self._unique_gauges[name].set(value)

    def gpu(self, gpu: str, ratio: float) -> None:
        """Set the share of time, 0 to 1, that a GPU was busy.

        Raises:
            ValueError: the spec says that the application has no GPU.

        """
        if self._gpus is None:
            raise ValueError("the spec says that there is no GPU; set serving.gpu: true")
        self._gpus.labels(gpu).set(ratio)

    def start_server(self, host: str = "127.0.0.1", port: int = 0) -> TelemetryServer:
        """Serve /metrics from a thread; port 0 takes any free one.

        Raises:
            OSError: the address cannot be listened on.

        """
        return TelemetryServer(self.registry, host, port)

    def _start_at_zero(self, model_version: str) -> None:
        """Let every known series of a new version begin at 0, so that its first count is seen as a rise."""
        if model_version in self._versions:
            return
        self._versions.add(model_version)
        for endpoint in self._serving.endpoints:
            self._predictions.labels(model_version, endpoint)
        for error_type in self._serving.error_types:
            self._errors.labels(model_version, error_type)
        for stage in self._stages:
            self._latency.labels(model_version, stage)
        self._scores.labels(model_version)

    def _metrics(self) -> Iterator[Counter | Gauge | Histogram]:
        yield from (self._predictions, self._errors, self._latency, self._scores, self._info, self._trained)
        if self._gpus is not None:
            yield self._gpus
        yield from self._events.values()
        yield from list(self._unique_gauges.values())


class _WithoutCreated(Collector):
    """Metrics that have samples, without the `_created` series that prometheus_client adds to each of them.

    Done here and not by `disable_created_metrics`, which would change the application's own metrics too.
    """

    def __init__(self, metrics: Callable[[], Iterable[Counter | Gauge | Histogram]]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics():
            for family in metric.collect():
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
                if family.samples:
                    yield family


def _counter(family: Family) -> Counter:
    return Counter(family.name, family.help, family.labels, registry=None)


def _gauge(family: Family) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=None)


def _histogram(family: Family) -> Histogram:
    return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=None)


def _no_event(name: str, known: Iterable[str], instead: str | None) -> ValueError:
    if instead is not None:
        return ValueError(f"use {instead} for business event {name!r}")
    return ValueError(f"no business event {name!r}; the spec has {', '.join(known) or 'none'}")
