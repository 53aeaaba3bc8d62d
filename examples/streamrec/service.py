"""StreamRec's serving application, simulated: it answers its traffic, logs it, and publishes its telemetry.

The traffic follows a simulated time that runs faster than the clock on the wall (a day in eight minutes by default),
so that a short demonstration sees mornings and evenings. What is written carries the wall's time, in UTC.
Outcomes are known at once, with the time at which a real user would have given them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from examples.partitions import hours, write_hour
from examples.streamrec.faults import FAULTS, Conditions, Fault, conditions_at
from examples.streamrec.population import ITEMS
from examples.streamrec.serving import GPUS, SOUND, STAGE_SECONDS, business_events, stage_seconds, trained_at
from examples.streamrec.simulate import ENDPOINTS, FRAMEWORK, MODEL_VERSION, USUAL, simulate
from examples.streamrec.write import RECOMPUTED_EVERY, categories, touch_sources, write_recomputed
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.serving.telemetry import PredictionTelemetry

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_GAP = timedelta(seconds=30)
SHOWN_WITHIN = timedelta(hours=1)
"""What the items recommended lately are counted over, in simulated time."""


@dataclass(frozen=True, slots=True)
class SimulatedTime:
    """Simulated time: equal to the wall's at `origin`, then `factor` times as fast."""

    origin: datetime
    factor: float

    def at(self, wall: datetime) -> datetime:
        """The simulated time at a moment on the wall."""
        return self.origin + (wall - self.origin) * self.factor


def live_rows(begin: datetime, end: datetime, time: SimulatedTime, *, seed: int, faults: tuple[Fault, ...]) -> pa.Table:
    """The log rows between two moments on the wall, stamped with the wall's time.

    Outcomes keep the delay a user really has. Ids name the origin, so that two runs of the service never share one.
    """
    rows = simulate(time.at(begin), time.at(end), seed=seed, faults=faults)
    origin = _milliseconds(time.origin)
    simulated = rows["timestamp"].cast(pa.int64()).to_numpy()
    wall = (origin + (simulated - origin) / time.factor).astype(np.int64)
    outcome: Any = pc.add(rows["outcome_timestamp"].cast(pa.int64()), pa.array(wall - simulated))
    ids: Any = rows["prediction_id"]
    ids = pc.binary_join_element_wise(ids, pa.scalar(f"{origin:x}"), pa.scalar("-"))
    stamp = pa.timestamp("ms", tz="UTC")
    for name, column in (
        ("prediction_id", ids),
        ("timestamp", pa.array(wall).cast(stamp)),
        ("outcome_timestamp", outcome.cast(stamp)),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def _milliseconds(moment: datetime) -> int:
    return (moment - _ALWAYS) // timedelta(milliseconds=1)


def parse_faults(text: str | bytes) -> tuple[Fault, ...]:
    """The faults a fault file switches on, by name and strength: ``{"march3": 0.4}``; ``{}`` is none.

    Raises:
        ValueError: the text is not such JSON.
    """
    try:
        switched = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(switched, dict) or switched.keys() - FAULTS.keys():
        raise ValueError(f'write {{"march3": 0.4}} for a fault and its strength, or {{}}; faults: {", ".join(FAULTS)}')
    for name, strength in switched.items():
        if type(strength) not in (int, float):
            raise ValueError(f"the strength of {name} must be a number")
    return tuple(FAULTS[name](_ALWAYS, strength) for name, strength in switched.items())


@dataclass(slots=True)
class FaultFile:
    """The switch for faults: a file that is read at every tick. A file that makes no sense changes nothing."""

    path: Path | None
    report: Callable[[str], None]
    _text: bytes = b"{}"
    _faults: tuple[Fault, ...] = ()

    def read(self) -> tuple[Fault, ...]:
        """The faults that are on; each change is reported once."""
        try:
            text = self.path.read_bytes() if self.path else b"{}"
        except FileNotFoundError:
            text = b"{}"
        if text != self._text:
            self._text = text
            try:
                self._faults = parse_faults(text)
            except ValueError as error:
                self.report(f"{self.path}: {error}")
            else:
                self.report(f"faults now: {text.decode().strip()}")
        return self._faults


class Service:
    """The running application: what it serves between two ticks, it logs and publishes."""

    def __init__(
        self,
        telemetry: PredictionTelemetry,
        time: SimulatedTime,
        log: Path,
        sources: tuple[Path, ...],
        *,
        seed: int,
        recomputed: Path | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._time = time
        self._log = log
        self._sources = sources
        self._recomputed = recomputed
        self._recomputed_until = _ALWAYS
        self._seed = seed
        self._served = ("", _ALWAYS)
        self._generator = np.random.default_rng(seed)
        self._last_shown = np.full(ITEMS, -np.inf)
        # An application that starts again still knows what it showed: else coverage would fall at every start.
        before = simulate(time.origin - SHOWN_WITHIN, time.origin, seed=seed)
        self._last_shown[before["item_id"].to_numpy()] = before["timestamp"].cast(pa.int64()).to_numpy() / 1000
        self._serve_model(MODEL_VERSION, trained_at(time.origin))
        telemetry.set_unique("catalogue_items", ITEMS)

    def serve(self, begin: datetime, end: datetime, faults: tuple[Fault, ...]) -> int:
        """Serve what arrives between two moments on the wall; return the number of predictions logged."""
        rows = live_rows(begin, end, self._time, seed=self._seed, faults=faults)
        conditions = conditions_at(self._time.at(begin), SOUND, faults)
        touch_sources(source for source in self._sources if source.name not in conditions.stale_sources)
        self._recompute(begin)
        for hour, part in hours(rows):
            write_hour(self._log, hour, part, f"part-{_milliseconds(end):x}", categories(rows))
        self.publish(rows, begin, end, conditions)
        return rows.num_rows

    def publish(self, rows: pa.Table, begin: datetime, end: datetime, conditions: Conditions = SOUND) -> None:
        """Report to the telemetry what was served between two moments on the wall."""
        self._publish_requests(rows, end, conditions)
        self._publish_business(rows, self._time.at(end).timestamp())
        for gpu in GPUS:
            load = 0.5 * rows.num_rows / max(1.0, self._usual_rows(end - begin))
            self._telemetry.gpu(gpu, float(np.clip(load + 0.04 * self._generator.standard_normal(), 0, 1)))

    def _recompute(self, wall: datetime) -> None:
        """Once a simulated day, write the users' features as the offline pipeline computes them."""
        if self._recomputed is not None and self._time.at(wall) >= self._recomputed_until:
            write_recomputed(self._recomputed, wall, seed=self._seed)
            self._recomputed_until = self._time.at(wall) + RECOMPUTED_EVERY

    def _usual_rows(self, length: timedelta) -> float:
        return USUAL.mean_per_hour * self._time.factor * length / timedelta(hours=1)

    def _serve_model(self, version: str, trained: datetime) -> None:
        """Tell which model answers, once for each that does, and again when it was trained anew."""
        if self._served != (version, trained):
            self._served = (version, trained)
            self._telemetry.model(version, FRAMEWORK, trained)

    def _publish_requests(self, rows: pa.Table, wall: datetime, conditions: Conditions) -> None:
        """Report every request by itself, as an application would, and those that failed."""
        failed = int(self._generator.binomial(rows.num_rows, conditions.error_ratio))
        versions: list[Any] = rows["model_version"].to_pylist()
        newest = versions[-1] if versions else self._served[0]
        self._serve_model(newest, trained_at(wall))
        stages = stage_seconds(self._generator, rows.num_rows + failed, conditions)
        latencies = [dict(zip(STAGE_SECONDS, row, strict=True), total=sum(row)) for row in stages.tolist()]
        for row, latency in zip(rows.to_pylist(), latencies[failed:], strict=True):
            version, endpoint, score = row["model_version"], row["endpoint"], row["score"]
            self._telemetry.observe(version, endpoint, latency, scores=(score,), features=row)
        for latency in latencies[:failed]:
            self._telemetry.observe(newest, ENDPOINTS[0], latency, error_type="timeout")

    def _publish_business(self, rows: pa.Table, simulated_seconds: float) -> None:
        """Add to the events, and count the items shown lately."""
        for event, amount in business_events(rows).items():
            self._telemetry.event(event, amount)
        self._last_shown[rows["item_id"].to_numpy()] = simulated_seconds
        recent = self._last_shown > simulated_seconds - SHOWN_WITHIN.total_seconds()
        self._telemetry.set_unique("recommended_items", int(recent.sum()))


def run(
    service: Service,
    faults: FaultFile,
    *,
    tick: timedelta,
    stop: Event,
    clock: Callable[[], datetime],
    begin: datetime,
    events: JsonLog,
) -> None:
    """Serve in ticks from `begin` until `stop` is set; of a long gap (a sleeping machine) only the last half minute."""
    while not stop.wait(max(0.0, (begin + tick - clock()).total_seconds())):
        end = clock()
        predictions = service.serve(max(begin, end - _LONGEST_GAP), end, faults.read())
        events("served", predictions=predictions, seconds=round((end - begin).total_seconds(), 3))
        begin = end
