"""What is to be seen of StreamRec besides its log: outcomes in files of their own, metrics, events, source updates."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from examples.partitions import hours, write_file, write_hour
from examples.streamrec.faults import Fault, FeedbackLoss, conditions_at
from examples.streamrec.metrics import ServingMetrics
from examples.streamrec.serving import SOUND, business_events
from examples.streamrec.simulate import Traffic, simulate_hour
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.durations import span

_HOUR = timedelta(hours=1)
_INSTANT = timedelta(milliseconds=1)
_LAST_HOUR = 23


class OutcomeFiles:
    """Outcomes apart from the log, in the partition of the hour in which each became known."""

    columns = ("prediction_id", "clicked", "outcome_timestamp")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[datetime, list[pa.Table]] = {}

    def add(self, rows: pa.Table, now: datetime) -> None:
        """Take the outcomes of some rows, and write those hours that are over: no row after `now` is told of before."""
        known = rows.select([*self.columns]).filter(pc.is_valid(rows["clicked"])).sort_by("outcome_timestamp")
        for hour, part in hours(known, "outcome_timestamp"):
            self._waiting.setdefault(hour, []).append(part)
        self._write([hour for hour in self._waiting if hour < now])

    def close(self) -> None:
        """Write what is left: outcomes that become known after the log's end."""
        self._write([*self._waiting])

    def _write(self, done: list[datetime]) -> None:
        for hour in done:
            write_hour(self._folder, hour, pa.concat_tables(self._waiting.pop(hour)).sort_by("outcome_timestamp"))


class ServingRecord:
    """What was to be seen of StreamRec over time besides its log."""

    def __init__(
        self, folder: Path, contract: Contract, begin: datetime, *, seed: int, faults: Sequence[Fault], traffic: Traffic
    ) -> None:
        self._folder = folder
        self._contract = contract
        self._begin = begin
        self._seed = seed
        self._faults = faults
        self._traffic = traffic
        self._metrics = ServingMetrics(contract, seed=seed, traffic=traffic)
        self._day: list[pa.Table] = []
        self._events: list[dict[str, object]] = []

    def add(self, start: datetime, rows: pa.Table) -> None:
        """Record an hour."""
        happened = self._happened(start, rows)
        self._day.append(self._metrics.of_hour(start, happened, self._faults))
        self._events += [
            {"timestamp": start, "event": event, "amount": float(amount)}
            for event, amount in business_events(happened).items()
        ]
        if start.hour == _LAST_HOUR:
            self._write_day(start)

    def close(self, end: datetime) -> None:
        """Write what is left, and the updates of the sources."""
        if self._day:
            self._write_day(end - _HOUR)
        write_file(pa.Table.from_pylist(self._events), self._folder / "events.parquet", ["event"])
        write_file(self._updates(end), self._folder / "sources.parquet", ["feature_source"])

    def _happened(self, start: datetime, rows: pa.Table) -> pa.Table:
        """The rows with the outcomes that the service itself counts, whatever is lost on the way to the log."""
        losing = [fault for fault in self._faults if isinstance(fault, FeedbackLoss)]
        if not any(fault.is_on(start) or fault.is_on(start + _HOUR - _INSTANT) for fault in losing):
            return rows
        others = [fault for fault in self._faults if fault not in losing]
        return simulate_hour(start, seed=self._seed, faults=others, traffic=self._traffic)

    def _write_day(self, hour: datetime) -> None:
        samples = pa.concat_tables(self._day).unify_dictionaries().combine_chunks()
        write_hour(self._folder / "metrics", hour, samples, categories=["name", "labels"])
        self._day = []

    def _updates(self, end: datetime) -> pa.Table:
        """Each source is updated twice as often as it must be, except while a fault stops it."""
        found = [
            (name, moment)
            for name, source in self._contract.spec.sources.items()
            for moment in _every(span(source.max_age) / 2, self._begin, end)
            if name not in conditions_at(moment, SOUND, self._faults).stale_sources
        ]
        names, moments = zip(*found, strict=True)
        updated = pa.array(moments, pa.timestamp("ms", tz="UTC"))
        return pa.table({"feature_source": pa.array(names), "updated": updated})


def _every(interval: timedelta, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Moments from one interval before `begin` to before `end`."""
    moment = begin - interval
    while moment < end:
        yield moment
        moment += interval
