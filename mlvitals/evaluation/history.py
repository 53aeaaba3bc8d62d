"""A history folder as the series that Prometheus would contain.

They are the exporter's metrics of every window, those of the serving application, and the age of each source.
The folder: ``predictions/`` is the prediction log; ``outcomes/``, ``recomputed/`` and ``events/`` replace the paths of the
spec, ``training/`` the active reference; ``metrics/`` are the serving metrics (`evaluation.metrics_log`) and
``sources.parquet`` the updates of the sources. Only the log is required.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlvitals.evaluation.expressions import Floats, Labels, Vector
from mlvitals.evaluation.metrics_log import LABELS, NAME, SCHEMA, TIMESTAMP, VALUE, labels_of
from mlvitals.exporters.parts import Sample
from mlvitals.exporters.publish.prometheus import RunState, run_gauges, samples_of_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.model import Spec

SOURCES = "sources.parquet"


class HistoryError(UserError):
    """A history that cannot be replayed."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Regular times: the first is `start`, each is `step` after the previous one, and none is after `end`."""

    start: datetime
    end: datetime
    step: timedelta

    @property
    def count(self) -> int:
        """Their number."""
        return (self.end - self.start) // self.step + 1

    @property
    def times(self) -> Floats:
        """Their Unix times."""
        times: Floats = self.start.timestamp() + self.step.total_seconds() * np.arange(self.count, dtype=float)
        return times

    def at(self, moment: datetime) -> int:
        """Return the first step at or after a time; it may be outside."""
        return -((self.start - moment) // self.step)

    def moment(self, index: int) -> datetime:
        """Return the time of a step."""
        return self.start + index * self.step


@dataclass(slots=True)
class History:
    """Collects series; those that nothing reads are left out."""

    contract: Contract
    steps: Steps
    wanted: frozenset[str]
    series: dict[str, Vector] = field(default_factory=dict)
    _windows: int = 0
    _last: tuple[int, Mapping[str, Iterable[Sample]]] | None = None

    def hold(self, name: str, labels: Labels, start: int, end: int, value: float) -> None:
        """Set a series to a value from one step to before another."""
        if name in self.wanted and value is not None and np.isfinite(value) and end > max(0, start):
            self._of(name, labels)[max(0, start) : end] = value

    def _of(self, name: str, labels: Labels) -> Floats:
        found = self.series.setdefault(name, {})
        if labels not in found:
            found[labels] = np.full(self.steps.count, np.nan)
        return found[labels]

    def always(self, name: str, labels: Mapping[str, str], values: Floats) -> None:
        """Set the values of a series."""
        if name in self.wanted:
            self.series.setdefault(name, {})[_labels(labels)] = values

    # ---------------------------------------------------------------- the exporter

    def add(self, report: WindowReport) -> None:
        """Add the exporter's metrics of a window: from the window's end and grace until those of the next."""
        self.finish(report.window.end)
        moment = self._published(report.window.end)
        self._windows += 1
        state = RunState(runs=self._windows, last_run=moment, last_success=moment)
        self._last = (self.steps.at(moment), {**samples_of_window(self.contract, report), **run_gauges(state)})

    def finish(self, next_end: datetime) -> None:
        """Extend the metrics of the last window until those of the window that ends at `next_end`."""
        if self._last is None:
            return
        start, samples = self._last
        end = min(self.steps.at(self._published(next_end)), self.steps.count)
        for short, found in samples.items():
            name = self.contract.name(short)
            if name in self.wanted:
                of_family = self.contract.by_name[name].labels
                for values, value in found:
                    if value is not None:
                        self.hold(name, _labels(dict(zip(of_family, values, strict=True))), start, end, value)
        self._last = None

    def _published(self, end: datetime) -> datetime:
        return end + span(self.contract.spec.windows.grace)

    # ---------------------------------------------------------------- other sources

    def add_sources(self, updates: pa.Table) -> None:
        """Add the age of each source over time.

        Raises:
            HistoryError: the table lacks columns.
        """
        if not {"feature_source", "updated"} <= set(updates.column_names):
            raise HistoryError(f"{SOURCES} needs the columns feature_source and updated")
        times = self.steps.times
        for name, source in self.contract.spec.sources.items():
            labels = {"feature_source": name}
            of_source = updates.filter(pc.is_in(updates["feature_source"].cast(pa.string()), pa.array([name])))[
                "updated"
            ]
            moments = np.sort(of_source.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()) / 1000
            index = np.searchsorted(moments, times, side="right") - 1
            newest = np.where(index >= 0, moments[np.maximum(index, 0)], np.nan) if len(moments) else times * np.nan
            figures = {
                "data_freshness_timestamp_seconds": newest,
                "data_freshness_seconds": times - newest,
                "data_freshness_max_age_seconds": np.full(len(times), seconds(source.max_age)),
                "data_freshness_tolerance_seconds": np.full(len(times), seconds(source.tolerance)),
            }
            for short, values in figures.items():
                self.always(self.contract.name(short), labels, values)

    def add_metrics(self, samples: pa.Table) -> None:
        """Add samples of the serving application.

        Raises:
            HistoryError: a row's labels cannot be read.
        """
        for chunk in samples.to_batches():
            milliseconds_of = chunk[TIMESTAMP].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
            steps = np.ceil((milliseconds_of / 1000 - self.steps.start.timestamp()) / self.steps.step.total_seconds())
            values = chunk[VALUE].to_numpy()
            names, labels = _codes(chunk[NAME]), _codes(chunk[LABELS])
            keys = names[0] * len(labels[1]) + labels[0]
            order = np.lexsort((milliseconds_of, keys))
            cuts = np.flatnonzero(np.diff(keys[order], prepend=-1))
            for rows in np.split(order, cuts[1:]):
                name = names[1][names[0][rows[0]]]
                if name in self.wanted:
                    array = self._of(name, _read(labels[1][labels[0][rows[0]]]))
                    inside = (steps[rows] >= 0) & (steps[rows] < len(array))
                    array[steps[rows][inside].astype(int)] = values[rows][inside]

    def add_targets(self, jobs: Iterable[str]) -> None:
        """Mark the scrapes of these jobs as successful throughout."""
        for job in jobs:
            self.always("up", {"job": job, "instance": job}, np.ones(self.steps.count))


def _codes(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Encode a text column as numbers and the texts that they stand for."""
    encoded: Any = pc.dictionary_encode(column.cast(pa.string()))
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _read(text: str) -> Labels:
    try:
        return labels_of(text)
    except ValueError as error:
        raise HistoryError(f"the metrics contain invalid labels: {error}") from error


def _labels(named: Mapping[str, str]) -> Labels:
    return frozenset((name, value) for name, value in named.items() if value)


# ---------------------------------------------------------------- the folder


def spec_of_folder(spec: Spec, folder: Path) -> Spec:
    """Return the spec with its log, outcomes, recomputed features and business events in a history folder.

    Raises:
        HistoryError: the log is missing.
    """
    root = folder.absolute()
    if not (root / "predictions").is_dir():
        raise HistoryError(f"{folder} has no folder predictions with the log")
    log = msgspec.structs.replace(spec.prediction_log, path=str(root / "predictions"))
    if log.outcome and (root / "outcomes").is_dir():
        log = msgspec.structs.replace(log, outcome=msgspec.structs.replace(log.outcome, path=str(root / "outcomes")))
    skew = msgspec.structs.replace(
        spec.skew, path=str(root / "recomputed") if spec.skew.path and (root / "recomputed").is_dir() else None
    )
    business, events = spec.business, spec.business.events_log
    if events and (root / "events").is_dir():
        events = msgspec.structs.replace(events, path=str(root / "events"))
        business = msgspec.structs.replace(business, events_log=events)
    return msgspec.structs.replace(spec, prediction_log=log, skew=skew, business=business)


def add_folder(history: History, folder: Path) -> None:
    """Add the contents of a folder other than the log.

    Raises:
        HistoryError: one of its files cannot be read.
    """
    spec = history.contract.spec
    jobs = [spec.exporter_job]
    try:
        if (folder / SOURCES).exists():
            history.add_sources(pq.read_table(folder / SOURCES))
        if (folder / "metrics").is_dir():
            for samples in metrics_of(folder):
                history.add_metrics(samples)
            jobs.append(spec.serving_job)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise HistoryError(f"the history in {folder} cannot be read: {error}") from error
    history.add_targets(jobs)


def metrics_of(folder: Path) -> Iterator[pa.Table]:
    """Yield the samples of the serving application in a history folder, file by file.

    Raises:
        HistoryError: a file lacks columns.
    """
    for path in sorted((folder / "metrics").rglob("*.parquet")):
        table = pa_dataset.dataset(path).to_table()
        missing = [name for name in SCHEMA.names if name not in table.column_names]
        if missing:
            raise HistoryError(f"{path} lacks the columns {', '.join(missing)}")
        yield table.combine_chunks()
