"""One file of a log, opened once and scanned as often as it must be: batches of rows with their times.

Files hold Parquet, Feather (version 2), CSV with a header line or JSON lines, the latter two also compressed;
`mlvitals.exporters.reading.instants` says what counts as a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mlvitals.exporters.parts import Window
from mlvitals.exporters.paths import plain
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.instants import LARGEST_SECONDS, InstantError, Times, instants, may_be_within
from mlvitals.exporters.reading.text import Column, Columns, parsed, schema_to_read
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import LogFormat

BATCH_VALUES = 1 << 21
"""Values decoded at once, 16 MB of float64: with `_READAHEAD` it bounds memory whatever the size of the log."""
BATCH_ROWS, FEWEST_BATCH_ROWS = 131_072, 8_192
_READAHEAD = 4
"""Batches of text formats decoded ahead."""
_COLUMN_BUFFER = 1 << 18
"""Bytes of a Parquet column read at once. A whole row group, Arrow's own choice, is as large as its writer liked."""

FILE_FORMATS: dict[LogFormat, type[ds.FileFormat]] = {
    LogFormat.PARQUET: ds.ParquetFileFormat,
    LogFormat.CSV: ds.CsvFileFormat,
    LogFormat.JSONL: ds.JsonFileFormat,
    LogFormat.FEATHER: ds.IpcFileFormat,
}

FORMAT_OF_SUFFIX = {
    ".parquet": LogFormat.PARQUET,
    ".pq": LogFormat.PARQUET,
    ".csv": LogFormat.CSV,
    ".jsonl": LogFormat.JSONL,
    ".ndjson": LogFormat.JSONL,
    ".feather": LogFormat.FEATHER,
    ".arrow": LogFormat.FEATHER,
}
TEXT_FORMATS = frozenset({LogFormat.CSV, LogFormat.JSONL})
"""Formats of which all is parsed, whichever columns and rows are wanted."""
_PER_MICROSECOND = {"milliseconds": (1000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1000)}
"""By Parquet's name of a unit of time, what turns it into microseconds: a factor and a divisor."""
_SECOND, _DAY = 1_000_000, 86_400_000_000
"""In microseconds."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class BrokenFileError(UserError):
    """A file cannot be read; the message says why, without its path."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one file.

    `columns` holds those of the wanted columns that the file has, each with `rows` values; `missing` names the
    rest. `times` says when each prediction was made, in UTC; it is None where no window asked for it and the file
    has no such column.
    """

    path: str
    rows: int
    columns: Mapping[str, Column]
    times: Times | None
    missing: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    """Columns of the file that were not asked for."""


class Batch(NamedTuple):
    """Rows as the file has them, and when each prediction was made."""

    rows: pa.RecordBatch
    times: Times | None


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """The times of a file's rows, in microseconds since 1970, and how many rows have none."""

    first: int | None = None
    last: int | None = None
    timeless: int = 0

    def may_hold(self, window: Window | None) -> bool:
        """False if no row lies in the window. Units of time are rounded differently, hence a second to either side."""
        if window is None:
            return True
        if self.first is None or self.last is None:
            return False
        start, end = ((moment - _EPOCH) // _MICROSECOND for moment in (window.start, window.end))
        return self.first <= end + _SECOND and self.last >= start - _SECOND

    def merge(self, other: Extent) -> Extent:
        """Return the extent of the rows of both."""
        firsts = [first for first in (self.first, other.first) if first is not None]
        lasts = [last for last in (self.last, other.last) if last is not None]
        return Extent(min(firsts, default=None), max(lasts, default=None), self.timeless + other.timeless)


class OpenFile:
    """A file that is open, to be scanned any number of times.

    Raises:
        BrokenFileError: it cannot be opened, or is not of its format. Scanning it raises it too.
    """

    def __init__(self, file: StoredFile, file_format: LogFormat, timestamp: str) -> None:
        self.file = file
        self.format = file_format
        self.timestamp = timestamp
        self._malformed: set[int | None] = set()
        with self._errors():
            self._fragment = self._opened()
            self._schema = self._fragment.physical_schema
        self.names = frozenset(self._schema.names)
        self.extent: Extent | None = None
        """The times of its rows, where they are known before any is read."""
        if isinstance(self._fragment, ds.ParquetFileFragment):
            self.extent = _extent_by_statistics(self._fragment.metadata, timestamp)

    @property
    def malformed(self) -> int:
        """Return the number of lines of CSV left out by the scans so far, each counted once."""
        return len(self._malformed)

    @property
    def rows(self) -> int | None:
        """Return how many rows there are, where that is known before any is read."""
        return self._fragment.metadata.num_rows if isinstance(self._fragment, ds.ParquetFileFragment) else None

    def batches(self, columns: Columns, window: Window | None) -> Iterator[Batch]:
        """Yield the wanted columns of all rows; of Parquet only row groups that may hold rows of the window."""
        with self._errors():
            schema = schema_to_read(self._schema, self.format, columns, self.timestamp)
            if window is not None and self.timestamp not in schema.names:
                raise BrokenFileError(f"has no time column {self.timestamp!r}; its rows belong to no window")
            wanted = [name for name in schema.names if name in columns or name == self.timestamp]
            for name, count in Counter(wanted).items():
                if count > 1:
                    raise BrokenFileError(f"has {count} columns named {name!r}")
            for rows in self._record_batches(schema, wanted, window):
                times = instants(rows.column(self.timestamp)) if self.timestamp in schema.names else None
                yield Batch(rows, times)

    def chunk(self, batch: Batch, columns: Columns, window: Window | None) -> Chunk | None:
        """Return those rows of a batch that lie in a window; None where none does."""
        rows, times = batch
        with self._errors():
            if window is not None and times is not None:
                inside = is_within(times, window)
                if not inside.true_count:
                    return None
                if inside.true_count < rows.num_rows:
                    wanted = [name for name in rows.schema.names if name in columns or name == self.timestamp]
                    rows, times = rows.select(wanted).filter(inside), times.filter(inside)
            return self._chunk(rows, times, columns)

    def _chunk(self, rows: pa.RecordBatch, times: Times | None, columns: Columns) -> Chunk:
        found: dict[str, Column] = {
            name: parsed(rows.column(name), columns[name], self.format) for name in rows.schema.names if name in columns
        }
        for key, value in self.file.partition.items():
            if key in columns and key != self.timestamp:
                text = pa.array([value] * rows.num_rows, pa.string())
                found[key] = parsed(text, columns[key], LogFormat.CSV)
        missing, others = frozenset(columns) - frozenset(found), self.names - {*columns, self.timestamp}
        return Chunk(self.file.path, rows.num_rows, found, times, missing, others)

    def _opened(self) -> ds.Fragment:
        """Return the file as Arrow reads it. Text is opened anew by each scan: readahead leaves a handle anywhere."""
        if self.format is LogFormat.CSV:
            options = pa_csv.ParseOptions(invalid_row_handler=self._leave_out)
            return ds.CsvFileFormat(parse_options=options).make_fragment(self.file.path, self.file.filesystem)
        if self.format in TEXT_FORMATS:
            return FILE_FORMATS[self.format]().make_fragment(self.file.path, self.file.filesystem)
        self._handle = self.file.filesystem.open_input_file(self.file.path)
        handle: Any = self._handle  # the stubs know Python's files only
        return FILE_FORMATS[self.format]().make_fragment(handle)

    def _leave_out(self, row: pa_csv.InvalidRow) -> Literal["skip"]:
        """Record a line of CSV that does not fit.

        Arrow reads the first block of a file once for each look at its columns and again for its rows: what is said of
        a line more than once has the same number.
        """
        self._malformed.add(row.number)
        return "skip"

    def _record_batches(self, schema: pa.Schema, wanted: list[str], window: Window | None) -> Iterator[pa.RecordBatch]:
        rows = min(max(BATCH_VALUES // max(len(wanted), 1), FEWEST_BATCH_ROWS), BATCH_ROWS)
        if isinstance(self._fragment, ds.ParquetFileFragment):
            yield from self._row_groups(self._fragment, schema, wanted, window, rows)
            return
        scanner = ds.Scanner.from_fragment(
            self._fragment,
            schema=schema,
            columns=wanted,
            batch_size=rows,
            batch_readahead=_READAHEAD,
            cache_metadata=False,
        )
        yield from scanner.to_batches()

    def _row_groups(
        self, fragment: ds.ParquetFileFragment, schema: pa.Schema, wanted: list[str], window: Window | None, rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield row groups that may hold rows of the window, streamed: a scanner would hold a whole one in memory."""
        if self.extent is not None and not self.extent.timeless and not self.extent.may_hold(window):
            return
        likely = None if window is None else may_be_within(self.timestamp, schema.field(self.timestamp).type, window)
        selected: Any = fragment
        if likely is not None:
            selected = fragment.subset(filter=likely | pc.field(self.timestamp).is_null())
        groups = [group.id for group in selected.row_groups]
        if groups:
            file = pq.ParquetFile(
                self._handle, metadata=fragment.metadata, buffer_size=_COLUMN_BUFFER, pre_buffer=False
            )
            yield from file.iter_batches(rows, row_groups=groups, columns=wanted)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what Arrow raises for a file into `BrokenFileError`."""
        try:
            yield
        except InstantError as error:
            raise BrokenFileError(f"time column {self.timestamp!r} {error}") from error
        except (OSError, pa.ArrowException) as error:
            raise BrokenFileError(plain(error)) from error


def is_within(times: Times, window: Window) -> pa.BooleanArray:
    """Mark the times that lie in a window."""
    start, end = (pa.scalar(bound, times.type) for bound in (window.start, window.end))
    inside: Any = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    mask: pa.BooleanArray = inside
    return mask


def extent_of(times: Times) -> Extent:
    """Return which times some rows have."""
    bounds: Any = pc.min_max(times.cast(pa.int64()))
    return Extent(bounds["min"].as_py(), bounds["max"].as_py(), times.null_count)


def _extent_by_statistics(metadata: pq.FileMetaData, timestamp: str) -> Extent | None:
    """Return what the statistics of all row groups say of the times; None where one of them does not say it."""
    places = [place for place in range(metadata.num_columns) if metadata.schema.column(place).path == timestamp]
    if len(places) != 1:
        return None
    scale = _scale(metadata.schema.column(places[0]))
    extent = Extent()
    for group in range(metadata.num_row_groups):
        statistics: Any = metadata.row_group(group).column(places[0]).statistics
        if scale is None or statistics is None or statistics.null_count is None:
            return None
        if not statistics.has_min_max:
            if statistics.num_values:
                return None
            extent = extent.merge(Extent(timeless=statistics.null_count))
            continue
        factor, divisor = scale
        first, last = (bound * factor // divisor for bound in (statistics.min_raw, statistics.max_raw))
        if factor == _SECOND and max(abs(first), abs(last)) >= LARGEST_SECONDS * _SECOND:
            return None  # no Unix time in seconds, which is for whoever reads it to report
        extent = extent.merge(Extent(first, last, statistics.null_count))
    return extent


def _scale(column: pq.ColumnSchema) -> tuple[int, int] | None:
    """Return what turns a Parquet column's integers into microseconds; None if not times that sort as integers."""
    kind = json.loads(column.logical_type.to_json())
    match kind["Type"]:
        case "Timestamp":
            return _PER_MICROSECOND.get(kind["timeUnit"])
        case "Date":
            return _DAY, 1
        case "None" if column.physical_type in ("INT32", "INT64"):
            return _SECOND, 1
        case "Int" if kind["isSigned"]:
            return _SECOND, 1
    return None
