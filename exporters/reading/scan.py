"""One file of a log, opened once and scanned as often as it must be: batches of rows with their times.

Files hold Parquet, Feather (version 2), CSV with a header line or JSON lines, the latter two also compressed;
`mlvitals.exporters.reading.instants` says what counts as a time, `mlvitals.exporters.reading.text` as what values are read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mlvitals.exporters.parts import Window
from mlvitals.exporters.paths import first_line, plain
from mlvitals.exporters.reading.columns import ColumnTypeError, comparable, readable
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.formats.delimited import DelimitedFile
from mlvitals.exporters.reading.formats.feather import FeatherFile
from mlvitals.exporters.reading.formats.json_lines import JsonLinesFile
from mlvitals.exporters.reading.formats.streams import HEAD, FormatError, kind_of
from mlvitals.exporters.reading.instants import LARGEST_SECONDS, InstantError, Times, may_be_within, read_instants
from mlvitals.exporters.reading.text import Column, Columns, converted, first_of, json_type
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import FeatureType, LogFormat

BATCH_VALUES = 1 << 21
"""Values decoded at once, 16 MB of float64: it bounds memory whatever the size of the log."""
BATCH_ROWS, FEWEST_BATCH_ROWS = 131_072, 8_192
_COLUMN_BUFFER = 1 << 18
"""Bytes of a Parquet column read at once. A whole row group, Arrow's own choice, is as large as its writer liked."""

_FORMAT_OF_SUFFIX = {
    ".parquet": LogFormat.PARQUET,
    ".parq": LogFormat.PARQUET,
    ".pq": LogFormat.PARQUET,
    ".csv": LogFormat.CSV,
    ".tsv": LogFormat.CSV,
    ".json": LogFormat.JSONL,
    ".jsonl": LogFormat.JSONL,
    ".ndjson": LogFormat.JSONL,
    ".feather": LogFormat.FEATHER,
    ".arrow": LogFormat.FEATHER,
}
KNOWN_SUFFIXES = tuple(_FORMAT_OF_SUFFIX)
_COMPRESSION_SUFFIXES = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2", ".lz4", ".xz", ".zip"})
TEXT_FORMATS = frozenset({LogFormat.CSV, LogFormat.JSONL})
"""Formats of which all is parsed, whichever columns and rows are wanted."""
_PER_MICROSECOND = {"milliseconds": (1000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1000)}
"""By Parquet's name of a unit of time, what turns it into microseconds: a factor and a divisor."""
_SECOND, _DAY = 1_000_000, 86_400_000_000
"""In microseconds."""
_INT96_UNIT = "us"
"""Times of 96 bits reach further than nanoseconds of 64, to which Arrow turns them by default."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


LONGEST_VALUE, _MOST_NAMES = 80, 20
"""Characters of a value, and names of columns, that a message shows."""


INDEX_NAMES = frozenset({"", "Unnamed: 0", "__index_level_0__"})
"""Names of the column in which pandas writes the numbers of rows unless it is asked not to."""


class BrokenFileError(UserError):
    """A file cannot be read; the message says why, without its path."""


def format_of(path: str) -> LogFormat | None:
    """Return the format that a file's name stands for, also before the suffix of a compression; None if none."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    while suffixes and suffixes[-1] in _COMPRESSION_SUFFIXES:
        suffixes.pop()
    return _FORMAT_OF_SUFFIX.get(suffixes[-1]) if suffixes else None


@dataclass(frozen=True, slots=True)
class Misfits:
    """Values that cannot be read as what their column is measured as."""

    count: int
    text: str
    """The first of them."""
    line: int | None
    """The line of the first one, in a format that has lines."""

    def merge(self, later: Misfits) -> Misfits:
        """Return those of both; the other ones come later in the file."""
        return replace(self, count=self.count + later.count)

    def __str__(self) -> str:
        place = "" if self.line is None else f" in line {self.line}"
        return f"{self.count}, the first {self.text!r}{place}"


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
    misfits: Mapping[str, Misfits] = field(default_factory=dict)
    """By column, the values that cannot be read and are null instead."""


class Batch(NamedTuple):
    """Rows as the file has them, and when each prediction was made."""

    rows: pa.RecordBatch
    times: Times | None
    first: int = 0
    """The number of the first row in the file, where the format has lines."""
    timeless: Misfits | None = None
    """Times that cannot be read."""


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

    def __init__(self, file: StoredFile, file_format: LogFormat, timestamp: str, decimal: str = ".") -> None:
        self.file = file
        self.format = file_format
        self.timestamp = timestamp
        self._decimal = decimal
        self._overruled: set[str] = set()
        """Columns that say something else than the names of the file's folders."""
        self.extent: Extent | None = None
        """The times of its rows, where they are known before any is read."""
        with self._errors():
            self._text = self._opened_text()
            if self._text is None:
                self._fragment = self._opened()
                self._schema = self._fragment.physical_schema
                if isinstance(self._fragment, ds.ParquetFileFragment):
                    self.extent = _extent_by_statistics(self._fragment.metadata, timestamp)

    @property
    def names(self) -> frozenset[str]:
        """Return the columns. A key of JSON lines that comes late is one of them once it was asked for."""
        return frozenset(self._names)

    @property
    def _names(self) -> list[str]:
        return self._schema.names if self._text is None else self._text.names

    def names_with(self, wanted: frozenset[str]) -> frozenset[str]:
        """Return the columns, and of those that come late the wanted ones."""
        with self._errors():
            if isinstance(self._text, JsonLinesFile):
                self._text.look_for(wanted)
            return self.names

    def all_names(self) -> list[str]:
        """Return the columns in their order, however late they come."""
        with self._errors():
            return self._text.all_names() if isinstance(self._text, JsonLinesFile) else self._names

    @property
    def malformed(self) -> int:
        """Return the number of lines of CSV left out by the last scan."""
        return self._text.malformed if isinstance(self._text, DelimitedFile) else 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what else the last scan found."""
        overruled = (
            f"column {name!r} differs from the name of the folder, which counts" for name in sorted(self._overruled)
        )
        return (*(() if self._text is None else self._text.problems), *overruled)

    @property
    def rows(self) -> int | None:
        """Return how many rows there are, where that is known before any is read."""
        if self._text is None and isinstance(self._fragment, ds.ParquetFileFragment):
            return self._fragment.metadata.num_rows
        return None

    def batches(self, columns: Columns, window: Window | None) -> Iterator[Batch]:
        """Yield the wanted columns of all rows; of Parquet only row groups that may hold rows of the window."""
        with self._errors():
            if isinstance(self._text, JsonLinesFile):
                self._text.look_for({*columns, self.timestamp})
            is_empty = self._text is not None and self._text.is_empty
            if window is not None and not is_empty and self.timestamp not in self._names:
                raise BrokenFileError(
                    f"has no time column {self.timestamp!r}; its rows belong to no window{self._header()}"
                )
            wanted = [name for name in self._names if name in columns or name == self.timestamp]
            for name, count in Counter(wanted).items():
                if count > 1:
                    raise BrokenFileError(f"has {count} columns named {name!r}")
            first = 0
            for rows in map(_computable, self._record_batches(wanted or self._names[:1], columns, window)):
                times, timeless = None, None
                if self.timestamp in wanted:
                    written = rows.column(self.timestamp)
                    times, misfits = read_instants(written)
                    timeless = None if misfits is None else self._located(misfits, written, first)
                yield Batch(rows, times, first, timeless)
                first += rows.num_rows

    def chunk(self, batch: Batch, columns: Columns, window: Window | None) -> Chunk | None:
        """Return those rows of a batch that lie in a window; None where none does."""
        rows, times = batch.rows, batch.times
        with self._errors():
            if window is None or times is None:
                return self._chunk(rows, times, columns, batch.first, None)
            inside = is_within(times, window)
            if not inside.true_count:
                return None
            if inside.true_count == rows.num_rows:
                return self._chunk(rows, times, columns, batch.first, None)
            wanted = [name for name in rows.schema.names if name in columns or name == self.timestamp]
            return self._chunk(rows.select(wanted).filter(inside), times.filter(inside), columns, batch.first, inside)

    def _chunk(
        self, rows: pa.RecordBatch, times: Times | None, columns: Columns, first: int, kept: pa.BooleanArray | None
    ) -> Chunk:
        """Return rows as they are measured; `kept` says which of the rows from `first` on they are, None of all."""
        found: dict[str, Column] = {}
        misfits: dict[str, Misfits] = {}
        for name in rows.schema.names:
            if name in columns and not self._is_overruled(name):
                written = rows.column(name)
                found[name], unfit = converted(written, columns[name], self.format, self._decimal)
                if unfit is not None:
                    misfits[name] = self._located(unfit, written, first, kept)
        for key, value in self.file.partition.items():
            if key in columns and key != self.timestamp:
                text = pa.array([value] * rows.num_rows, pa.string())
                found[key] = converted(text, columns[key], LogFormat.CSV).values
                if key in rows.schema.names and not self._agree(rows.column(key), found[key], columns[key]):
                    self._overruled.add(key)
        missing, others = frozenset(columns) - frozenset(found), self.names - {*columns, self.timestamp} - INDEX_NAMES
        return Chunk(self.file.path, rows.num_rows, found, times, missing, others, misfits)

    def _is_overruled(self, name: str) -> bool:
        """True if the name of the file's folder gives a column, as Hive and Spark read it; the time is the row's own."""
        return name in self.file.partition and name != self.timestamp

    def _agree(self, written: Column, named: Column, kind: FeatureType | None) -> bool:
        """True if a column of the file says what the folder's name says."""
        if kind is None:
            return True
        try:
            values: Any = comparable(converted(written, kind, self.format, self._decimal).values, kind)
            others: Any = comparable(named, kind)
        except ColumnTypeError:
            return False
        neither: Any = pc.and_(pc.is_null(values), pc.is_null(others))
        equal: Any = pc.if_else(neither, pa.scalar(True), pc.fill_null(pc.equal(values, others), False))
        return bool(pc.all(equal, min_count=0).as_py())

    def _located(
        self, unfit: pa.BooleanArray, written: Column, first: int, kept: pa.BooleanArray | None = None
    ) -> Misfits:
        place = first_of(unfit)
        row = place if kept is None else int(np.flatnonzero(kept.to_numpy(zero_copy_only=False))[place])
        line = None if self._text is None else self._text.line_of(first + row)
        return Misfits(unfit.true_count, str(written[place].as_py())[:LONGEST_VALUE], line)

    def _header(self) -> str:
        """Return what was read as the header, for a message."""
        if self._text is None:
            return ""
        names = [name[:LONGEST_VALUE] for name in self._names]
        shown = ", ".join(map(repr, names[:_MOST_NAMES])) + (", ..." if len(names) > _MOST_NAMES else "")
        return f"; as columns were read: {shown or 'none'}"

    def _opened_text(self) -> DelimitedFile | JsonLinesFile | None:
        match self.format:
            case LogFormat.CSV:
                return DelimitedFile(self.file, self.timestamp)
            case LogFormat.JSONL:
                return JsonLinesFile(self.file)
        return None

    def _opened(self) -> ds.Fragment | FeatherFile:
        """Return a file of columns as Arrow reads it."""
        self._handle = self.file.filesystem.open_input_file(self.file.path)
        handle: Any = self._handle  # the stubs know Python's files only
        try:
            if self.format is LogFormat.PARQUET:
                options = ds.ParquetReadOptions(dictionary_columns=None, coerce_int96_timestamp_unit=_INT96_UNIT)
                fragment = ds.ParquetFileFormat(read_options=options).make_fragment(handle)
                _ = fragment.physical_schema  # of a file that is none it raises
                return fragment
            return FeatherFile(handle)
        except (pa.ArrowInvalid, OSError) as error:
            name = "Parquet" if self.format is LogFormat.PARQUET else "Feather"
            raise FormatError(f"{_refusal(error, name)}{_other_format(self._handle)}") from error

    def _record_batches(self, wanted: list[str], columns: Columns, window: Window | None) -> Iterator[pa.RecordBatch]:
        rows = min(max(BATCH_VALUES // max(len(wanted), 1), FEWEST_BATCH_ROWS), BATCH_ROWS)
        match self._text:
            case DelimitedFile():
                yield from self._text.batches(wanted)
            case JsonLinesFile():
                yield from self._text.batches(
                    wanted, lambda name, found: json_type(name, found, columns, self.timestamp)
                )
            case _ if isinstance(self._fragment, ds.ParquetFileFragment):
                yield from self._row_groups(self._fragment, wanted, window, rows)
            case _ if isinstance(self._fragment, FeatherFile):
                yield from self._fragment.batches(wanted, rows)

    def _row_groups(
        self, fragment: ds.ParquetFileFragment, wanted: list[str], window: Window | None, rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield row groups that may hold rows of the window, streamed: a scanner would hold a whole one in memory."""
        if self.extent is not None and not self.extent.timeless and not self.extent.may_hold(window):
            return
        likely = (
            None if window is None else may_be_within(self.timestamp, self._schema.field(self.timestamp).type, window)
        )
        selected: Any = fragment
        # Of a file whose times are known, a single row group needs no choice.
        if likely is not None and (self.extent is None or fragment.num_row_groups > 1):
            selected = fragment.subset(filter=likely | pc.field(self.timestamp).is_null())
        groups = [group.id for group in selected.row_groups]
        if groups:
            file = pq.ParquetFile(
                self._handle,
                metadata=fragment.metadata,
                buffer_size=_COLUMN_BUFFER,
                pre_buffer=False,
                coerce_int96_timestamp_unit=_INT96_UNIT,
                page_checksum_verification=True,
            )
            left = sum(fragment.metadata.row_group(group).num_rows for group in groups)
            for batch in file.iter_batches(rows, row_groups=groups, columns=wanted):
                left -= batch.num_rows
                yield batch
            if left:
                raise BrokenFileError(f"lacks {left} of the rows that it says it holds")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what Arrow raises for a file into `BrokenFileError`, whatever it is: no file takes the others with it."""
        try:
            yield
        except BrokenFileError:
            raise
        except InstantError as error:
            raise BrokenFileError(f"time column {self.timestamp!r} {error}") from error
        except FormatError as error:
            raise BrokenFileError(str(error)) from error
        except (OSError, pa.ArrowException) as error:
            raise BrokenFileError(plain(error)) from error
        except UnicodeDecodeError as error:
            raise BrokenFileError("names a column in bytes that are no UTF-8") from error
        except Exception as error:
            raise BrokenFileError(f"cannot be read: {type(error).__name__}: {first_line(error)}") from error


def _refusal(error: Exception, name: str) -> str:
    said = plain(error).rstrip(".")
    return said if said.startswith("cannot be") else f"cannot be read as {name}: {said}"


def _other_format(handle: pa.NativeFile) -> str:
    """Return what a file looks like that is not of its format; empty where that is not known."""
    handle.seek(0)
    kind = kind_of(handle.read(HEAD))
    return f"; it looks like {kind}" if kind else ""


def _computable(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows that can be filtered."""
    if any(pa.types.is_string_view(kind) or pa.types.is_run_end_encoded(kind) for kind in rows.schema.types):
        return pa.record_batch([readable(column) for column in rows.columns], names=rows.schema.names)
    return rows


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
