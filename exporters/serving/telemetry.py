"""The instrumentation that a serving application imports: every serving family of its spec's contract.

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

import logging
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from math import inf
from pathlib import Path
from threading import Lock, RLock
from time import process_time, time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from weakref import WeakMethod

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from mlvitals.exporters.serving.places import ServingPlaces, nulls_in, series_of
from mlvitals.exporters.serving.tallies import Reading, Series, Tally, TallyCollector
from mlvitals.generator.contract import TOTAL_STAGE, Contract, Family, MetricType, Producer, TelemetryFailure
from mlvitals.generator.spec.model import Spec

if TYPE_CHECKING:
    from mlvitals.exporters.listener import Listener, Page, Request

_LOG = logging.getLogger(__name__)
_MEMORY = "process_resident_memory_bytes"
"""Of each worker its own: its label is the worker, and no other takes it over."""


class PredictionTelemetry:
    """The serving metrics of one system.

    Args:
        spec: the system's spec.
        registry: where to register; by default a registry of its own, with the process's CPU and memory.
        workers: a folder that the processes of the application share and use for nothing else, where several answer.
            While it cannot be written, this process counts in memory, and stores that once it can.
        clock: the Unix time.

    Raises:
        ValueError: the spec says that there is no serving application.

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
        self._latency_sum, self._score_sum = len(self._latency_bounds) + 1, len(self._score_bounds) + 1
        self._features = tuple(spec.features)
        self._served: tuple[Series, ...] = ()
        self._open()
        # A registry that the application brings shows its processes its own way.
        producers = (Producer.SERVING, Producer.PROCESS) if registry is None and workers else (Producer.SERVING,)
        self.registry.register(TallyCollector(self._contract.of(*producers), self._read))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_if_alive(WeakMethod(self._forked)))
        if workers is None and registry is None:
            ProcessCollector(registry=self.registry)

    def model(self, model_version: str, framework: str, trained_at: datetime) -> None:
        """Set which model is served from now on; the one before is no longer shown as served.

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
            version = self._places.announce(model_version)
            info = self._series("model_info", version, self._places.values["framework"].admit(framework))
            trained = self._series("model_trained_timestamp_seconds", version)
            for series in self._served:
                self._tally.set(series, 0.0, at=0.0)
            self._tally.set(info, 1.0, self._clock())
            self._tally.set(trained, trained_at.timestamp(), self._clock())
            self._served = (info, trained)

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
            model_version: the version that answered, as `model` announced it.
            endpoint: where it was asked; a route, never a URL with ids in it.
            latency_seconds: by stage, how long it took; `total` is the whole request.
            scores: the scores it answered, at most those that users see. NaN and infinities are left out.
            error_type: the kind of failure; None where the request succeeded.
            features: what the model was given, by feature. A feature of the spec that is None, NaN or not there
                counts as null; what the spec does not know is ignored.

        Raises:
            ValueError: a stage that the spec does not name. Nothing is counted then.
            TypeError: a score or a latency is no number. Nothing is counted then either.

        """
        if not latency_seconds.keys() <= self._stages:
            unknown = next(stage for stage in latency_seconds if stage not in self._stages)
            known = ", ".join((*self._spec.serving.stages, TOTAL_STAGE))
            raise ValueError(f"unknown stage {unknown!r}; the spec names {known}")
        # All that the caller's objects do comes before the lock, and before anything is counted.
        times, buckets = self._latency_bounds, self._score_bounds
        taken = [
            (stage, bisect_left(times, seconds), float(seconds))
            for stage, seconds in latency_seconds.items()
            if 0 <= seconds < inf
        ]
        answered = [(bisect_left(buckets, score), float(score)) for score in scores if -inf < score < inf]
        nulls = () if features is None else nulls_in(self._features, features)
        with self._lock:
            places = self._places
            version = places.versions[model_version]
            prediction = version.predictions[endpoint]
            failure = None if error_type is None else version.errors[error_type]
            values = self._tally.values  # looked up after the places: a new one may have made it another
            values[prediction] += 1
            if failure is not None:
                values[failure] += 1
            latency, scored = version.latency, version.scores
            for stage, bucket, seconds in taken:
                place = latency[stage]
                values[place + bucket] += 1
                values[place + self._latency_sum] += seconds
            for bucket, score in answered:
                values[scored + bucket] += 1
                values[scored + self._score_sum] += score
            if features is not None:
                values[places.rows] += 1
                for name in nulls:
                    values[places.nulls[name]] += 1
            if self._workers is not None:
                values[places.processor] = self._processor_before + process_time()

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
            self._tally.values[self._places.events[name]] += float(amount)

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
            series = self._series("gpu_utilization_ratio", self._places.values["gpu"].admit(gpu))
            self._tally.set(series, ratio, self._clock())

    def start_server(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        """Serve /metrics from threads of its own until it is closed; port 0 takes any free one.

        Raises:
            OSError: the address cannot be listened on.

        """
        from mlvitals.exporters.listener import Listener  # noqa: PLC0415  (not for who has a route of their own)

        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return Listener(address, self._page, "telemetry", _LOG.warning)

    def _page(self, request: Request) -> Page:
        from mlvitals.exporters.listener import Page  # noqa: PLC0415

        if request.method not in ("GET", "HEAD") or request.path != "/metrics":
            return Page(b"not found; here is GET /metrics\n", HTTPStatus.NOT_FOUND)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        names = parse_qs(request.query).get("name[]")
        shown = self.registry.restricted_registry(names) if names else self.registry
        return Page(encode(shown), content_type=content_type)

    def _refuse_logged(self, name: str) -> None:
        """Refuse an event of the log, whose family the exporter publishes: two that publish it would count it twice."""
        if name in self._spec.business.logged:
            raise ValueError(
                f"business event {name!r} comes from business.events_log, where the exporter counts it; "
                "remove this call, or source: log from the event"
            )

    def _open(self) -> None:
        """Start to count in this process."""
        self._lock = RLock()
        self._healing = Lock()
        self._count_in(Tally() if self._workers is None else _worker_tally(self._workers))
        if problem := self._tally.problem():
            _LOG.warning("telemetry counts in memory for now: %s", problem)

    def _count_in(self, tally: Tally) -> None:
        self._tally = tally
        self._places = ServingPlaces(self._spec, self._contract, tally)
        self._processor_before = tally.values[self._places.processor] - process_time()
        self._tell_memory()

    def _read(self) -> list[Reading]:
        self._heal()
        readings = self._tally.readings()
        with self._lock:
            unreadable = sum(reading.unreadable for reading in readings)
            self._tally.values[self._places.failures[TelemetryFailure.READ]] += unreadable
            self._tell_memory()
        return readings

    def _heal(self) -> None:
        """Store what could not be stored, where that has become possible."""
        if not self._healing.acquire(blocking=False):
            return  # another scrape does
        try:
            if self._workers is not None and self._tally.problem():
                found = _worker_tally(self._workers)  # outside the lock: it may wait for another worker
                with self._lock:
                    if not found.problem():
                        self._move_to(found)
            with self._lock:
                if self._tally.unstored:
                    self._place_again()
        finally:
            self._healing.release()

    def _move_to(self, tally: Tally) -> None:
        own = self._tally
        self._tally = tally
        tally.unstored += own.unstored
        tally.take_over({series: numbers for series, numbers in own.own().items() if series.family != _MEMORY})
        self._count_in(tally)
        own.abandon()

    def _place_again(self) -> None:
        """Count what could not be stored, and try once more to have a place for it."""
        failed, self._tally.unstored = self._tally.unstored, 0
        self._places = ServingPlaces(self._spec, self._contract, self._tally)
        self._tally.values[self._places.failures[TelemetryFailure.STORE]] += failed

    def _tell_memory(self) -> None:
        """Report, as one of several workers, how much memory this one has: they are summed."""
        if self._workers is not None:
            memory = series_of(self._contract.by_name[_MEMORY], self._tally.name)
            with self._lock:
                self._tally.set(memory, _resident_bytes(), self._clock())

    def _forked(self) -> None:
        """Count separately from the parent, in a forked process that serves what the parent loaded."""
        if self._workers is None:
            self._lock, self._healing = RLock(), Lock()  # a thread that the child has not may have held them
            return
        parent = self._tally
        parent.abandon()
        self._open()
        for series, numbers in parent.own().items():
            if series.type is MetricType.GAUGE and series.family != _MEMORY:
                self._tally.set(series, *numbers)

    def _series(self, short: str, *labels: str) -> Series:
        return series_of(self._family(short), *labels)

    def _family(self, short: str) -> Family:
        return self._contract.by_name[self._contract.name(short)]


def _if_alive(method: WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    """Return a function that calls a method as long as its object is in use."""

    def call() -> None:
        if (bound := method()) is not None:
            bound()

    return call


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _worker_tally(folder: Path) -> Tally:
    from mlvitals.exporters.serving import workers  # noqa: PLC0415  (its locks are those of Unix)

    try:
        return workers.WorkerTally(folder)
    except OSError as error:
        return workers.UnstoredTally(folder, error)


def _no_event(name: str, known: Iterable[str], instead: str | None) -> ValueError:
    if instead is not None:
        return ValueError(f"use {instead} for business event {name!r}")
    return ValueError(f"no business event {name!r}; the spec has {', '.join(known) or 'none'}")
