"""A small shop of which everything is known: the rows, clicks and windows that there ought to be.

A fault is done to it, and the audit compares database, page and totals with the truth.
"""

import io
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from exporter_bench import Clock
from exporter_samples import HOUR, NOON, value, write_parquet

from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.process.runs import Runner
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.reference.stores import DirectoryStore, open_store
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Results, Spec

MINUTE, DAY, YEAR = timedelta(minutes=1), timedelta(days=1), timedelta(days=365)
ROWS, CLICKS = 120, 20
"""Of each hour."""
SPEC_TEXT = """\
version: 1
system: {name: shop}
serving: {enabled: false}
prediction_log: {path: log, score: score}
features: {age: {type: integer}, country: {type: categorical}}
windows: {length: 1h, grace: 5m, catch_up: 6, score_count: null}
sources: {batch: {path: log, max_age: 6h}}
business:
  events_log: {path: events, timestamp: at, event: kind}
  events: {clicks: {source: log, logged_as: click}}
"""
SPEC: Spec = parse_spec(SPEC_TEXT)


def predictions(begin: datetime, count: int = ROWS, *, seed: int = 0, length: timedelta = HOUR) -> pa.Table:
    """Rows of the prediction log, evenly spread."""
    generator = np.random.default_rng(seed)
    moments = [begin + length * (index / count) for index in range(count)]
    return pa.table(
        {
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "age": generator.integers(18, 90, count),
            "country": generator.choice(["de", "fr", "pl"], count),
            "score": generator.random(count),
        }
    )


def clicks(begin: datetime, count: int = CLICKS, *, length: timedelta = HOUR) -> pa.Table:
    """Rows of the events log, evenly spread."""
    moments = [begin + length * (index / count) for index in range(count)]
    return pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC")), "kind": ["click"] * count})


def later(end: datetime) -> bool:
    """True of windows that only a clock that is years ahead takes for past ones."""
    return end > NOON + YEAR


@cache
def reference() -> Reference:
    """What the shop's log was before all tests."""
    training = pa.concat_tables([predictions(NOON - hours * HOUR, seed=hours) for hours in range(30, 60)])
    return build_reference(SPEC, training, created=NOON - 30 * HOUR, source_hash="")


@dataclass
class Lab:
    """The shop: its folder, its clock, and the truth."""

    folder: Path
    spec: Spec = SPEC
    clock: Clock = field(default_factory=lambda: Clock(NOON + 5 * MINUTE))
    log: io.StringIO = field(default_factory=io.StringIO)
    rows: Counter[datetime] = field(default_factory=Counter)
    """The rows there are, by the end of their window; and the clicks."""
    clicks: Counter[datetime] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        store = DirectoryStore(self.folder / "references", "shop")
        store.promote(store.save(reference()), "production")
        (self.folder / "spec.yaml").write_text(SPEC_TEXT)

    def write(self, *hours: int) -> None:
        """Serve predictions in hours after noon, and have some clicked."""
        for hour in hours:
            begin = NOON + hour * HOUR
            end = begin + HOUR
            self.rows[end], self.clicks[end] = ROWS, CLICKS
            write_parquet(predictions(begin, seed=1000 + hour), self.log_file(hour))
            write_parquet(clicks(begin), self.folder / "events" / f"{begin:%Y%m%dT%H}.parquet")

    def log_file(self, hour: int) -> Path:
        return self.folder / "log" / f"{NOON + hour * HOUR:%Y%m%dT%H}.parquet"

    def reference(self) -> Reference:
        """The active reference."""
        return open_store("references", self.folder, "shop").load("production")

    def replace(self, **changes: object) -> None:
        """Change the spec."""
        self.spec = msgspec.structs.replace(self.spec, **changes)

    def start(self, runner: Runner | None = None) -> Exporter:
        """A new process, as it is after it restored what the one before it kept."""
        references, results = (
            open_store("references", self.folder, "shop"),
            open_results(self.spec.results, self.folder),
        )
        log = JsonLog(self.log, self.clock, "shop")
        exporter = Exporter(self.spec, self.folder, references, results, self.clock, log, runner)
        exporter.restore()
        return exporter

    def at(self, hour: float) -> None:
        """Set the clock to some hours after noon, and as long after that as a window's grace lasts."""
        self.clock.now = NOON + hour * HOUR + 5 * MINUTE

    def pass_hours(self, exporter: Exporter, *hours: int) -> None:
        """Serve predictions in hours, each of which is measured when it is over."""
        for hour in hours:
            self.write(hour)
            self.at(hour + 1)
            exporter.run_due()

    def events(self, name: str) -> list[dict[str, str]]:
        """What the process has logged under a name."""
        found = map(json.loads, self.log.getvalue().splitlines())
        return [event for event in found if event["event"] == name]

    # ---------------------------------------------------------------- audit

    def kept(self, results: Results | None = None) -> dict[datetime, int]:
        """Rows of the windows that are kept, by end."""
        with closing(open_results(results or self.spec.results, self.folder)) as store:
            kept = store.windows_between("shop", NOON - YEAR, NOON + 9 * YEAR)
        assert len({one.window for one in kept}) == len(kept)
        return {one.window.end: one.rows for one in kept}

    def total(self) -> float:
        """Clicks that are counted in the database."""
        with closing(open_results(self.spec.results, self.folder)) as store:
            return store.event_totals("shop", ["shop_clicks_total"])["shop_clicks_total"]

    def audit(self, exporter: Exporter | None = None, *, besides: Callable[[datetime], bool] | None = None) -> str:
        """Compare database, page and totals with the truth, and return what was found.

        `besides` says which windows may be kept in addition, such as empty ones of a clock that was wrong.
        """
        kept = {end: rows for end, rows in self.kept().items() if besides is None or not besides(end)}
        assert kept == dict(self.rows), "windows and rows of the database"
        assert self.total() == sum(self.clicks.values()), "clicks of the database"
        if exporter is not None:
            self.audit_page(exporter.metrics().body)
        return f"{len(kept)} windows, {sum(kept.values()):,} rows, {sum(self.clicks.values())} clicks"

    def audit_page(self, page: bytes) -> None:
        """Compare a page with the truth: the newest window, its rows, and all clicks up to it."""
        newest = max(self.rows)
        assert value(page, "shop_window_end_timestamp_seconds") == newest.timestamp()
        assert value(page, "shop_window_rows") == self.rows[newest]
        assert value(page, "shop_clicks_total") == sum(self.clicks.values())
