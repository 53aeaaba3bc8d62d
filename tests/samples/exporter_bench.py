"""A folder with a spec's log, references and results, in which exporters of a test start and stop."""

import io
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from exporter_samples import HOUR, NOON, SPEC, log_rows, value, write_parquet

from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.reference.stores import DirectoryStore, open_store
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.model import Results, Spec

MINUTE = timedelta(minutes=1)
TRAINING = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000)
REFERENCE = build_reference(SPEC, TRAINING, created=NOON - 30 * HOUR, source_hash="")


@dataclass
class Clock:
    """A clock that a test sets."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Bench:
    """A folder with a spec's log, references and results, in which exporters start and stop."""

    folder: Path
    clock: Clock
    log: io.StringIO = field(default_factory=io.StringIO)

    def start(self, spec: Spec = SPEC) -> Exporter:
        """A new process, as it is after it restored what the one before it kept."""
        references = open_store(spec.reference.store, self.folder, "shop")
        results = open_results(spec.results, self.folder)
        exporter = Exporter(
            spec, self.folder, references, results, self.clock, JsonLog(self.log, self.clock, spec.system.name)
        )
        exporter.restore()
        return exporter

    def promote(self, reference: Reference) -> str:
        store = DirectoryStore(self.folder / "references", "shop")
        version = store.save(reference)
        store.promote(version, "production")
        return version

    def write(self, begin: datetime, **columns: object) -> None:
        """An hour of the log."""
        write_parquet(log_rows(begin, begin + HOUR, **columns), self.folder / "log" / f"{begin:%Y%m%dT%H}.parquet")

    def events(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def ends_kept(self) -> list[datetime]:
        results = open_results(Results(), self.folder)
        return [stored.window.end for stored in results.windows_between("shop", NOON - 99 * HOUR, NOON + 99 * HOUR)]


def window_end(exporter: Exporter) -> float | None:
    return value(exporter.metrics().body, "shop_window_end_timestamp_seconds")


def failures(exporter: Exporter) -> float | None:
    return value(exporter.metrics().body, "shop_exporter_run_failures_total")
