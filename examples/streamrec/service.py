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
from examples.streamrec.faults import Fault, March3
from examples.streamrec.population import ITEMS
from examples.streamrec.simulate import ENDPOINTS, FRAMEWORK, MODEL_VERSION, USUAL, simulate
from examples.streamrec.write import RECOMPUTED_EVERY, categories, touch_sources, write_recomputed
from exporters.serving import PredictionTelemetry

ERROR_RATIO = 0.0002
GPUS = ("0", "1")
STAGE_SECONDS = {"feature_retrieval": 0.009, "inference": 0.014, "reranking": 0.006}
"""Median latency of each stage; with the spread of 0.3 the whole request has its p99 near 45 ms."""

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_MODEL_AGE = timedelta(days=2)
_LONGEST_GAP = timedelta(seconds=30)


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
    """The faults a fault file switches on: ``{"march3": 0.4}``; ``{}`` is none.

    Raises:
        ValueError: the text is not such JSON.
    """
    try:
        switched = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(switched, dict) or switched.keys() - {"march3"}:
        raise ValueError(
            'write {"march3": 0.4} for the fault at a share of 0.4, or {} for none; there is no other fault'
        )
    if not all(type(share) in (int, float) for share in switched.values()):
        raise ValueError("the share of march3 must be a number from 0 to 1")
    return tuple(March3(_ALWAYS, share) for share in switched.values())


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
        self._generator = np.random.default_rng(seed)
        self._last_shown = np.full(ITEMS, -np.inf)
        telemetry.model(MODEL_VERSION, FRAMEWORK, time.origin - _MODEL_AGE)
        telemetry.set_unique("catalogue_items", ITEMS)

    def serve(self, begin: datetime, end: datetime, faults: tuple[Fault, ...]) -> int:
        """Serve what arrives between two moments on the wall; return the number of predictions logged."""
        rows = live_rows(begin, end, self._time, seed=self._seed, faults=faults)
        touch_sources(self._sources)
        self._recompute(begin)
        for hour, part in hours(rows):
            write_hour(self._log, hour, part, f"part-{_milliseconds(end):x}", categories(rows))
        self.publish(rows, begin, end)
        return rows.num_rows

    def publish(self, rows: pa.Table, begin: datetime, end: datetime) -> None:
        """Report to the telemetry what was served between two moments on the wall."""
        self._publish_requests(rows)
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

    def _publish_requests(self, rows: pa.Table) -> None:
        """Report every request by itself, as an application would, and a few that failed."""
        failed = int(self._generator.binomial(rows.num_rows, ERROR_RATIO))
        spread = self._generator.normal(0.0, 0.3, (rows.num_rows + failed, len(STAGE_SECONDS)))
        stages = np.array(list(STAGE_SECONDS.values())) * np.exp(spread)
        latencies = [dict(zip(STAGE_SECONDS, row, strict=True), total=sum(row)) for row in stages.tolist()]
        endpoints: list[Any] = rows["endpoint"].to_pylist()
        scores: list[Any] = rows["score"].to_pylist()
        for endpoint, score, latency in zip(endpoints, scores, latencies[failed:], strict=True):
            self._telemetry.observe(MODEL_VERSION, endpoint, latency, scores=(score,))
        for latency in latencies[:failed]:
            self._telemetry.observe(MODEL_VERSION, ENDPOINTS[0], latency, error_type="timeout")

    def _publish_business(self, rows: pa.Table, simulated_seconds: float) -> None:
        """Add to the events, and count the items shown within the last simulated hour."""
        for event, amount in business_events(rows).items():
            self._telemetry.event(event, amount)
        self._last_shown[rows["item_id"].to_numpy()] = simulated_seconds
        self._telemetry.set_unique("recommended_items", int((self._last_shown > simulated_seconds - 3600).sum()))


def business_events(rows: pa.Table) -> dict[str, float]:
    """What the business counts of some log rows, by event."""

    def total(column: str) -> Any:
        return pc.sum(rows[column], min_count=0).as_py()

    return {
        "impressions": rows.num_rows,
        "clicks": total("clicked"),
        "starts": total("started"),
        "completions": total("completed"),
        "sessions": rows.num_rows - rows["session_length_seconds"].null_count,
        "session_length": total("session_length_seconds"),
        "revenue": total("revenue_dollars"),
    }


def run(
    service: Service, faults: FaultFile, *, tick: timedelta, stop: Event, clock: Callable[[], datetime], begin: datetime
) -> None:
    """Serve in ticks from `begin` until `stop` is set; of a long gap (a sleeping machine) only the last half minute."""
    while not stop.wait(max(0.0, (begin + tick - clock()).total_seconds())):
        end = clock()
        service.serve(max(begin, end - _LONGEST_GAP), end, faults.read())
        begin = end
