"""An interval of a log, copied hour by hour, so that a fault can be put into the copy and taken out again."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlvitals.evaluation.faults.catalogue import Fault, FaultError
from mlvitals.evaluation.faults.strike import Seconds, strike_rows
from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.files import partition_span
from mlvitals.exporters.reading.instants import instants
from mlvitals.exporters.reading.log import Log, Place
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.sources import LogPart
from mlvitals.exporters.reading.text import Columns
from mlvitals.exporters.sections.outcomes.columns import label_columns, prediction_columns
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, LogFormat, Spec

HOUR = timedelta(hours=1)
_STAMP = pa.timestamp("us", tz="UTC")
_TIMELESS = "timeless"
"""The file of outcomes of which no time is known."""


def newest_row(spec: Spec, base_dir: Path) -> datetime:
    """Return the time of the newest row of the log; where folders are named by time, only the last ones are read.

    Raises:
        FaultError: the log holds no row with a time.
        LogError: the log cannot be read.
    """
    parts = list(Log(spec.prediction_log, base_dir).files(None))
    spans = [partition_span(part.partition) for part in parts]
    dated = sorted({known.end for known in spans if known is not None})
    groups: Iterable[list[LogPart]] = (
        ([part for part, known in zip(parts, spans, strict=True) if known and known.end == end] for end in dated[::-1])
        if dated and None not in spans
        else [parts]
    )
    for group in groups:
        newest = [moment for part in group if (moment := _newest(part)) is not None]
        if newest:
            return max(newest)
    raise FaultError(f"prediction_log.path {spec.prediction_log.path} holds no row with a time")


def _newest(part: LogPart) -> datetime | None:
    try:
        times = [chunk.times for chunk in part.chunks({}) if chunk.times is not None]
    except BrokenFileError:
        return None
    moments = [known for column in times if (known := pa.compute.max(column).as_py()) is not None]
    return max((moment.astimezone(UTC) for moment in moments), default=None)


class _Kept(NamedTuple):
    """One log that was copied: rows of predictions, or outcomes in files of their own."""

    name: str
    timestamp: str | None
    """The column of their times; None where they have none."""


class Excerpt:
    """The predictions and outcomes of an interval.

    `spec` is the spec of the copy, as it is played: its outcomes and its log are below the folder.

    Raises:
        FaultError: the log has no row in the interval.
        LogError: the log cannot be read.
    """

    def __init__(self, spec: Spec, base_dir: Path, interval: Window, folder: Path) -> None:
        self._original = spec
        self._folder = folder
        self._parts = [_Kept("predictions", spec.prediction_log.timestamp)]
        log, outcome = spec.prediction_log, spec.prediction_log.outcome
        found = _rows(Log(log, base_dir), _columns(spec), log.timestamp, interval)
        self.rows = self._keep(self._parts[0], found)
        """The number of predictions."""
        if found is None or not self.rows:
            raise FaultError(f"the log holds no row from {interval.start:%FT%H:%MZ} to {interval.end:%FT%H:%MZ}")
        self.oldest: datetime = found[log.timestamp][0].as_py()
        """The time of the first prediction."""
        if outcome and outcome.path:
            place = Place(
                outcome.path,
                outcome.format or log.format,
                outcome.timestamp or "",
                outcome.table,
                outcome.password_file,
                outcome.decimal or log.decimal,
            )
            self._parts.append(_Kept("outcomes", outcome.timestamp))
            columns = {**label_columns(log), **_named(FeatureType.CATEGORICAL, outcome.id or log.id)}
            later = Window(interval.start, interval.end + span(outcome.max_delay)) if outcome.timestamp else None
            self._keep(self._parts[1], _rows(Log(place, base_dir), columns, outcome.timestamp, later))
        self.spec = self._spec_of_copy()

    def _spec_of_copy(self) -> Spec:
        log = msgspec.structs.replace(
            self._original.prediction_log,
            path=str(self._folder / "played" / "predictions"),
            format=LogFormat.PARQUET,
            table=None,
            password_file=None,
        )
        if log.outcome and log.outcome.path:
            path = str(self._folder / "played" / "outcomes")
            outcome = msgspec.structs.replace(
                log.outcome, path=path, format=LogFormat.PARQUET, table=None, password_file=None
            )
            log = msgspec.structs.replace(log, outcome=outcome)
        return msgspec.structs.replace(self._original, prediction_log=log)

    def _keep(self, part: _Kept, rows: pa.Table | None) -> int:
        if rows is None:
            return 0
        for name, of_hour in _by_hour(rows, part.timestamp):
            _write(self._folder / "kept" / part.name / name, of_hour)
            _write(self._folder / "played" / part.name / name, of_hour)
        return rows.num_rows

    def play(self, fault: Fault, since: datetime | None = None) -> None:
        """Write the rows as the fault leaves them; only hours that `since` lies in or before are written anew."""
        for part in self._parts:
            root = self._folder / "kept" / part.name
            for path in sorted(root.rglob("*.parquet")):
                name = path.relative_to(root)
                if since is None or _hour_end(name) > since:
                    rows = pq.read_table(path, partitioning=None)
                    struck = strike_rows(self._original, fault, rows, _seconds(rows, part.timestamp, fault))
                    _write(self._folder / "played" / part.name / name, struck)

    def kept(self) -> Iterator[pa.Table]:
        """Yield the predictions as they really were, hour by hour."""
        for path in sorted((self._folder / "kept" / "predictions").rglob("*.parquet")):
            yield pq.read_table(path, partitioning=None)


def _columns(spec: Spec) -> Columns:
    """Return every column that the spec names, and how each is read."""
    log, outcome = spec.prediction_log, spec.prediction_log.outcome
    types = {spec.column(name): feature.type for name, feature in spec.features.items()}
    more = {
        **_named(FeatureType.FLOAT, log.score),
        **prediction_columns(log),
        **label_columns(log),
        **_named(FeatureType.TIMESTAMP, outcome.timestamp if outcome else None),
        **_named(
            FeatureType.CATEGORICAL,
            log.id,
            log.entity,
            log.model_version,
            log.endpoint,
            *log.segments,
            *log.other_columns,
        ),
    }
    return {**more, **types}


def _named(kind: FeatureType, *names: str | None) -> dict[str, FeatureType]:
    return {name: kind for name in names if name is not None}


def _rows(log: Log, columns: Columns, timestamp: str | None, interval: Window | None) -> pa.Table | None:
    """Read rows with their times in one type; files that are broken are left out, as a measurement leaves them out."""
    tables = []
    for part in log.files(interval):
        found = []
        try:
            for chunk in part.chunks(columns):
                arrays = {name: column for name, column in chunk.columns.items() if name != timestamp}
                if timestamp and chunk.times is not None:
                    arrays[timestamp] = chunk.times.cast(_STAMP)
                found.append(pa.table(arrays))
        except BrokenFileError:
            continue
        tables += found
    if not tables:
        return None
    rows = pa.concat_tables(tables, promote_options="permissive")
    return rows.sort_by(timestamp) if timestamp else rows


def _by_hour(rows: pa.Table, timestamp: str | None) -> Iterator[tuple[Path, pa.Table]]:
    """Yield rows, which are sorted by time, by the file they belong into."""
    if timestamp is None:
        yield Path(f"{_TIMELESS}.parquet"), rows
        return
    hours = rows[timestamp].cast(pa.int64()).to_numpy() // (HOUR // timedelta(microseconds=1))
    numbers, first = np.unique(hours, return_index=True)
    for number, begin, end in zip(numbers, first, [*first[1:], rows.num_rows], strict=True):
        hour = datetime.fromtimestamp(int(number) * 3600, UTC)
        yield Path(f"date={hour:%Y-%m-%d}", f"hour={hour:%H}", "part-0.parquet"), rows.slice(begin, end - begin)


def _hour_end(name: Path) -> datetime:
    """Return when the hour of a file is over; what has no time is never over."""
    keys = dict(part.split("=", 1) for part in name.parts[:-1])
    known = partition_span(keys)
    return known.end if known else datetime.max.replace(tzinfo=UTC)


def _seconds(rows: pa.Table, timestamp: str | None, fault: Fault) -> Seconds:
    """Return the time of each row; rows without one belong to the time of the fault."""
    if timestamp is None:
        return np.full(rows.num_rows, fault.start.timestamp())
    micros: Any = instants(rows[timestamp].combine_chunks()).cast(pa.int64())
    return micros.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6  # type: ignore[no-any-return]


def _write(path: Path, rows: pa.Table) -> None:
    """Write a file in one step; readers see the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    pq.write_table(rows, unfinished, compression="zstd")
    unfinished.replace(path)
