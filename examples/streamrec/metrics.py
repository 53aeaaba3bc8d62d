"""What StreamRec's serving application would have published, of a history: its counters every five minutes.

`examples.streamrec.service` tells a real telemetry of every request; for two months of traffic the same figures are
counted here, an hour at a time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from examples.streamrec.faults import Conditions, Fault, conditions_at
from examples.streamrec.population import ITEMS, Floats, Integers
from examples.streamrec.serving import GPUS, SOUND, STAGE_SECONDS, business_events, stage_seconds, trained_at
from examples.streamrec.simulate import ENDPOINTS, FRAMEWORK, Traffic
from mlvitals.evaluation.metrics_log import LABELS, NAME, SCHEMA, TIMESTAMP, VALUE, labels_text
from mlvitals.generator.contract import SCORE_BUCKETS, TOTAL_STAGE, Contract, latency_buckets

STEP = timedelta(minutes=5)
STEPS = timedelta(hours=1) // STEP
_DRAWS = 2

_Series = tuple[str, str]
"""A series' name and its labels as text."""


class ServingMetrics:
    """Counts hour after hour; what it has counted so far goes on."""

    def __init__(self, contract: Contract, *, seed: int, traffic: Traffic) -> None:
        self._contract = contract
        self._seed = seed
        self._traffic = traffic
        self._totals: dict[_Series, float] = {}
        self._last_shown = np.full(ITEMS, -np.inf)
        serving = contract.spec.serving
        self._latency_bounds = np.array([*latency_buckets(contract.spec), np.inf])
        self._score_bounds = np.array([*SCORE_BUCKETS, np.inf])
        self._error_type = serving.error_types[0]

    def of_hour(self, start: datetime, rows: pa.Table, faults: Sequence[Fault]) -> pa.Table:
        """The samples of the hour that begins at `start`; `rows` is what was served, its outcomes as they happened."""
        generator = np.random.default_rng((self._seed, int(start.timestamp()) // 3600, _DRAWS))
        milliseconds = rows["timestamp"].cast(pa.int64()).to_numpy()
        steps = (milliseconds - 1000 * int(start.timestamp())) // (STEP // timedelta(milliseconds=1))
        conditions = [conditions_at(start + step * STEP, SOUND, faults) for step in range(STEPS)]
        grown: dict[_Series, Floats] = {}
        versions: list[Any] = rows["model_version"].unique().to_pylist()
        of_version = np.array(rows["model_version"].to_pylist()) if len(versions) > 1 else None
        for version in versions:
            hit = np.ones(rows.num_rows, bool) if of_version is None else of_version == version
            grown |= self._requests(generator, version, rows.filter(pa.array(hit)), steps[hit], conditions)
        grown |= self._features(rows, steps) | self._events(rows, steps)
        samples = {series: self._continued(series, increase) for series, increase in grown.items()}
        samples |= self._gauges(generator, start, rows, steps, versions)
        return _table(start, samples)

    def _continued(self, series: _Series, increase: Floats) -> Floats:
        values = self._totals.get(series, 0.0) + np.cumsum(increase)
        self._totals[series] = float(values[-1])
        return values

    def _series(self, short: str, labels: Mapping[str, str]) -> _Series:
        return self._contract.name(short), labels_text(labels)

    def _requests(
        self,
        generator: np.random.Generator,
        version: str,
        rows: pa.Table,
        steps: Integers,
        conditions: list[Conditions],
    ) -> dict[_Series, Floats]:
        """Predictions, errors, latencies and scores of one version of the model."""
        grown: dict[_Series, Floats] = {}
        answered = np.bincount(steps, minlength=STEPS)
        failed = generator.binomial(answered, [each.error_ratio for each in conditions])
        endpoints = np.array(rows["endpoint"].to_pylist())
        for endpoint in ENDPOINTS:
            count = np.bincount(steps[endpoints == endpoint], minlength=STEPS).astype(float)
            series = self._series("predictions_total", {"model_version": version, "endpoint": endpoint})
            grown[series] = count + failed if endpoint == ENDPOINTS[0] else count
        labels = {"model_version": version, "error_type": self._error_type}
        grown[self._series("prediction_errors_total", labels)] = failed.astype(float)
        slower = np.array([each.latency_factor for each in conditions])[steps, None]
        seconds = slower * stage_seconds(generator, rows.num_rows, SOUND)
        stages = {**dict(zip(STAGE_SECONDS, seconds.T, strict=True)), TOTAL_STAGE: seconds.sum(axis=1)}
        for stage, values in stages.items():
            labels = {"model_version": version, "stage": stage}
            grown |= self._histogram("prediction_latency_seconds", labels, values, steps, self._latency_bounds)
        scores = rows["score"].to_numpy()
        return grown | self._histogram(
            "prediction_score", {"model_version": version}, scores, steps, self._score_bounds
        )

    def _histogram(
        self, short: str, labels: Mapping[str, str], values: Floats, steps: Integers, bounds: Floats
    ) -> dict[_Series, Floats]:
        cells = np.searchsorted(bounds, values)
        counts = np.bincount(steps * len(bounds) + cells, minlength=STEPS * len(bounds)).reshape(STEPS, len(bounds))
        below = np.cumsum(counts, axis=1).astype(float)
        grown = {
            self._series(f"{short}_bucket", {**labels, "le": _bound(bound)}): below[:, index]
            for index, bound in enumerate(bounds)
        }
        grown[self._series(f"{short}_count", labels)] = below[:, -1]
        grown[self._series(f"{short}_sum", labels)] = np.bincount(steps, values, minlength=STEPS)
        return grown

    def _features(self, rows: pa.Table, steps: Integers) -> dict[_Series, Floats]:
        """The features that the application was handed, and those of them that were null."""
        served = np.bincount(steps, minlength=STEPS).astype(float)
        grown: dict[_Series, Floats] = {}
        for name in self._contract.spec.features:
            missing = rows[self._contract.spec.column(name)].is_null().to_numpy()
            labels = {"feature_name": name}
            grown[self._series("serving_feature_rows_total", labels)] = served
            nulls = np.bincount(steps[missing], minlength=STEPS).astype(float)
            grown[self._series("serving_feature_null_total", labels)] = nulls
        return grown

    def _events(self, rows: pa.Table, steps: Integers) -> dict[_Series, Floats]:
        cuts = np.searchsorted(steps, np.arange(STEPS + 1))
        parts = [business_events(rows.slice(cuts[step], cuts[step + 1] - cuts[step])) for step in range(STEPS)]
        return {
            (self._contract.event(event), labels_text({})): np.array([part[event] or 0.0 for part in parts])
            for event in parts[0]
        }

    def _gauges(
        self, generator: np.random.Generator, start: datetime, rows: pa.Table, steps: Integers, versions: list[str]
    ) -> dict[_Series, Floats]:
        newest = versions[-1] if versions else ""
        same = np.ones(STEPS)
        load = np.bincount(steps, minlength=STEPS) * STEPS / self._traffic.mean_per_hour
        gauges = {
            self._series("model_info", {"model_version": newest, "framework": FRAMEWORK}): same,
            self._series("model_trained_timestamp_seconds", {"model_version": newest}): same
            * trained_at(start).timestamp(),
            self._series("catalogue_items", {}): same * ITEMS,
            self._series("recommended_items", {}): self._recommended(start, rows["item_id"].to_numpy(), steps),
        }
        for gpu in GPUS:
            noisy = 0.5 * load + 0.04 * generator.standard_normal(STEPS)
            gauges[self._series("gpu_utilization_ratio", {"gpu": gpu})] = np.clip(noisy, 0, 1)
        return gauges

    def _recommended(self, start: datetime, items: Integers, steps: Integers) -> Floats:
        """Distinct items of the last hour, at the end of each step."""
        found = np.zeros(STEPS)
        for step in range(STEPS):
            end = (start + (step + 1) * STEP).timestamp()
            self._last_shown[items[steps == step]] = end
            found[step] = (self._last_shown > end - 3600).sum()
        return found


def _bound(bound: float) -> str:
    return "+Inf" if bound == np.inf else repr(float(bound))


def _table(start: datetime, samples: Mapping[_Series, Floats]) -> pa.Table:
    ends = np.array([int((start + (step + 1) * STEP).timestamp()) * 1000 for step in range(STEPS)])
    names, labels = zip(*samples, strict=True)
    columns = {
        TIMESTAMP: pa.array(np.tile(ends, len(samples))),
        NAME: pa.array(np.repeat(np.array(names, object), STEPS)),
        LABELS: pa.array(np.repeat(np.array(labels, object), STEPS)),
        VALUE: pa.array(np.concatenate([*samples.values()])),
    }
    return pa.table(columns).cast(SCHEMA)
