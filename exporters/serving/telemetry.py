"""What a serving application imports to publish its metrics: every serving family of its spec's contract.

```python
telemetry = PredictionTelemetry(load_spec("specs/streamrec.yaml"))
telemetry.model("v7", "lightgbm", trained_at)
telemetry.start_server(port=8000)
...
telemetry.observe("v7", "/recommend", {"inference": 0.012, "total": 0.021}, scores=[0.81], features=features)
telemetry.event("clicks")
```

All methods may be called from any thread. Where several processes answer (uvicorn --workers, gunicorn), each has a
telemetry of its own with the same `workers` folder, and a scrape of any of them shows the application as a whole.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from pathlib import Path
from threading import Lock
from time import process_time, time
from types import TracebackType
from typing import Any, Self
from weakref import WeakMethod

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from mlvitals.exporters.serving.places import ServingPlaces, series_of
from mlvitals.exporters.serving.tallies import Numbers, Reading, Series, Tally, TallyCollector
from mlvitals.generator.contract import TOTAL_STAGE, Contract, Family, MetricType, Producer
from mlvitals.generator.spec.model import Spec


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
        workers: a folder that the processes of the application share and use for nothing else, where several answer.
        clock: the Unix time.

    Raises:
        ValueError: the spec says that there is no serving application.
        OSError: the folder of the workers cannot be written.

    """

    def __init__(
        self,
        spec: Spec,
        registry: CollectorRegistry | None = None,
        *,
        workers: Path | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        if not spec.serving.enabled:
            raise ValueError("the spec says that there is no serving application; set serving.enabled: true")
        self.registry = CollectorRegistry() if registry is None else registry
        self._spec = spec
        self._contract = Contract(spec)
        self._workers = workers
        self._clock = clock
        self._stages = frozenset((*spec.serving.stages, TOTAL_STAGE))
        self._latency_bounds = self._family("prediction_latency_seconds").buckets
        self._score_bounds = self._family("prediction_score").buckets
        self._served: tuple[Series, ...] = ()
        self._open()
        # A registry that the application brings shows its processes its own way.
        producers = (Producer.SERVING, Producer.PROCESS) if registry is None and workers else (Producer.SERVING,)
        self.registry.register(TallyCollector(self._contract.of(*producers), self._read))
        if workers is not None:
            os.register_at_fork(after_in_child=_if_alive(WeakMethod(self._after_fork)))
        elif registry is None:
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
        info = self._series("model_info", model_version, framework)
        trained = self._series("model_trained_timestamp_seconds", model_version)
        with self._lock:
            for series in self._served:
                self._tally.set(series, 0.0, at=0.0)
            self._tally.set(info, 1.0, self._clock())
            self._tally.set(trained, trained_at.timestamp(), self._clock())
            self._served = (info, trained)
            self._places.version(model_version)

    def observe(
        self,
        model_version: str,
        endpoint: str,
        latency_seconds: Mapping[str, float],
        scores: Iterable[float] = (),
        error_type: str | None = None,
        features: Mapping[str, Any] | None = None,
    ) -> None:
        """Count one request, failed or not.

        Args:
            model_version: the version that answered.
            endpoint: where it was asked; a route, never a URL with ids in it.
            latency_seconds: by stage, how long it took; `total` is the whole request.
            scores: the scores it answered, at most those that users see. NaN and infinities are left out.
            error_type: the kind of failure; None where the request succeeded.
            features: what the model was given, by feature. A feature of the spec that is None, NaN or not there
                counts as null; what the spec does not know is ignored.

        Raises:
            ValueError: a stage that the spec does not name. Nothing is counted then.

        """
        if not latency_seconds.keys() <= self._stages:
            unknown = next(stage for stage in latency_seconds if stage not in self._stages)
            known = ", ".join((*self._spec.serving.stages, TOTAL_STAGE))
            raise ValueError(f"unknown stage {unknown!r}; the spec names {known}")
        nulls = () if features is None else self._places.nulls_in(features)
        with self._lock:
            version = self._places.version(model_version)
            prediction = version.predictions[endpoint]
            failure = None if error_type is None else version.errors[error_type]
            values = self._tally.values  # looked up after the places: a new one may have made it another
            values[prediction] += 1
            if failure is not None:
                values[failure] += 1
            for stage, seconds in latency_seconds.items():
                if 0 <= seconds < inf:
                    _observe(values, version.latency[stage], self._latency_bounds, float(seconds))
            for score in scores:
                if -inf < score < inf:
                    _observe(values, version.scores, self._score_bounds, float(score))
            if features is not None:
                values[self._places.rows] += 1
                for place in nulls:
                    values[place] += 1
            if self._workers is not None:
                values[self._places.processor] = self._processor_before + process_time()

    def event(self, name: str, amount: float = 1) -> None:
        """Add to a business event of the spec.

        Raises:
            ValueError: no such event, one that is not counted here, or a negative or undefined amount.

        """
        counted = self._places.events
        if name not in counted:
            self._refuse_logged(name)
            raise _no_event(name, counted, "set_unique" if name in self._spec.business.events else None)
        if not 0 <= amount < inf:
            raise ValueError(f"event {name!r} cannot grow by {amount}")
        with self._lock:
            self._tally.values[counted[name]] += float(amount)

    def set_unique(self, name: str, value: float) -> None:
        """Set how many distinct items a business event of the spec stands at. It is absent until then.

        Raises:
            ValueError: no such event, or one that is counted or comes from the events log.

        """
        self._refuse_logged(name)
        counted, business = self._places.events, self._spec.business
        unique = [event for event in business.events if event not in counted and event not in business.logged]
        if name not in unique:
            raise _no_event(name, unique, "event" if name in counted else None)
        with self._lock:
            self._tally.set(self._series(name), value, self._clock())

    def gpu(self, gpu: str, ratio: float) -> None:
        """Set the share of time, 0 to 1, that a GPU was busy.

        Raises:
            ValueError: the spec says that the application has no GPU.

        """
        if not self._spec.serving.gpu:
            raise ValueError("the spec says that there is no GPU; set serving.gpu: true")
        with self._lock:
            self._tally.set(self._series("gpu_utilization_ratio", gpu), ratio, self._clock())

    def start_server(self, host: str = "127.0.0.1", port: int = 0) -> TelemetryServer:
        """Serve /metrics from a thread; port 0 takes any free one.

        Raises:
            OSError: the address cannot be listened on.

        """
        return TelemetryServer(self.registry, host, port)

    def _refuse_logged(self, name: str) -> None:
        """An event of the log has its family from the exporter: two that publish it would count it twice."""
        if name in self._spec.business.logged:
            raise ValueError(
                f"business event {name!r} comes from business.events_log, where the exporter counts it; "
                "remove this call, or source: log from the event"
            )

    def _open(self) -> None:
        """Begin to count in this process."""
        self._lock = Lock()
        self._tally = Tally() if self._workers is None else _worker_tally(self._workers)
        self._places = ServingPlaces(self._spec, self._contract, self._tally)
        self._processor_before = self._tally.values[self._places.processor] - process_time()
        self._tell_memory()

    def _read(self) -> list[Reading]:
        self._tell_memory()
        return self._tally.readings()

    def _tell_memory(self) -> None:
        """Say, as one of several workers, how much memory this one has: they are summed."""
        if self._workers is not None:
            memory = series_of(self._contract.by_name["process_resident_memory_bytes"], str(os.getpid()))
            with self._lock:
                self._tally.set(memory, _resident_bytes(), self._clock())

    def _after_fork(self) -> None:
        """Count apart from the parent, in a forked worker that serves what the parent loaded."""
        gauges = [(series, numbers) for series, numbers in self._tally.own().items() if series.type is MetricType.GAUGE]
        self._tally.abandon()
        self._open()
        for series, (value, at) in gauges:
            self._tally.set(series, value, at)

    def _series(self, short: str, *labels: str) -> Series:
        return series_of(self._family(short), *labels)

    def _family(self, short: str) -> Family:
        return self._contract.by_name[self._contract.name(short)]


def _if_alive(method: WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    """Calls a method as long as its object is in use."""

    def call() -> None:
        if (bound := method()) is not None:
            bound()

    return call


def _resident_bytes() -> int:
    """The memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _worker_tally(folder: Path) -> Tally:
    from mlvitals.exporters.serving.workers import WorkerTally  # noqa: PLC0415  (its locks are those of Unix)

    return WorkerTally(folder)


def _observe(values: Numbers, place: int, bounds: Sequence[float], value: float) -> None:
    """Add a value to a histogram."""
    values[place + bisect_left(bounds, value)] += 1
    values[place + len(bounds) + 1] += value


def _no_event(name: str, known: Iterable[str], instead: str | None) -> ValueError:
    if instead is not None:
        return ValueError(f"use {instead} for business event {name!r}")
    return ValueError(f"no business event {name!r}; the spec has {', '.join(known) or 'none'}")
