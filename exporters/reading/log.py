"""The prediction log, one window at a time and one file at a time.

Every file stands alone: what is wrong with one is reported, and the others are still read. Files hold Parquet,
Feather (version 2), CSV with a header line or JSON lines, the latter two also compressed; see
`reading.files` for which files a folder offers and `reading.instants` for what counts as a time. A log that is a table of
a SQL database stands for one file, except that what is wrong with it is wrong with the log as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import PathError, first_line, locate, plain
from mlvitals.exporters.reading import sql as sql_log
from mlvitals.exporters.reading.files import StoredFile, partition_span, walk, within
from mlvitals.exporters.reading.instants import InstantError, Times, instants, may_be_within
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reading.text import Column, Columns, parsed, schema_to_read
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import EventsLog, LogFormat, PredictionLog

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


class LogError(UserError):
    """The prediction log as a whole cannot be read."""


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


def files_of_window(
    log: PredictionLog | EventsLog, base_dir: Path, window: Window, section: str = "prediction_log"
) -> Iterator[StoredFile | SqlTable | FileProblem]:
    """The files or the table that may hold rows of the window, and folders that cannot be listed.

    Args:
        log: where rows are recorded.
        base_dir: where relative paths start.
        window: the stretch of time.
        section: the spec's section that describes the log, for messages.

    Raises:
        LogError: there is no log at its path, or it cannot be opened at all.
    """
    if log.format is LogFormat.SQL:
        if log.table is None:
            raise LogError(f"{section}.format sql needs {section}.table")
        yield SqlTable(log.path, log.table, base_dir, log.password_file)
        return
    try:
        filesystem, root = locate(log.path, base_dir)
        yield from walk(filesystem, root, within(window))
    except FileNotFoundError as error:
        raise LogError(f"{section}.path {log.path} does not exist: {first_line(error)}") from error
    except (PathError, OSError, pa.ArrowException) as error:
        raise LogError(f"{section}.path {log.path} cannot be read: {first_line(error)}") from error


def read_file(
    file: StoredFile | SqlTable, file_format: LogFormat, columns: Columns, timestamp: str, window: Window | None = None
) -> Iterator[Chunk | FileProblem]:
    """The wanted columns of one file: its rows in the window, or all of them where there is none.

    The window includes its begin and excludes its end. Rows without a time belong to no window, and lines of CSV that
    have too few or too many values, such as one still being written, are left out; both are told as a problem at the
    end.

    Raises:
        BrokenFileError: the file cannot be read. Chunks that came before do not count: how many there were depends
            on how threads met.
        LogError: the table cannot be read.

    """
    if isinstance(file, SqlTable):
        yield from _read_table(file, columns, timestamp, window)
        return
    malformed: set[int | None] = set()
    timeless: list[int] = []
    misplaced = window is not None and _belongs_into(file, window)
    try:
        fragment = _fragment(file, file_format, malformed)
        schema = schema_to_read(fragment.physical_schema, file_format, columns, timestamp)
        if window is not None and timestamp not in schema.names:
            raise BrokenFileError(f"has no time column {timestamp!r}; its rows belong to no window")
        for rows, times in _scan(fragment, schema, columns, timestamp, window, timeless):
            misplaced = False
            chunk = _chunk(file, file_format, rows, times, columns)
            yield replace(chunk, others=frozenset(fragment.physical_schema.names) - {*columns, timestamp})
        misplaced = misplaced and fragment.count_rows() > 0
    except InstantError as error:
        raise BrokenFileError(f"time column {timestamp!r} {error}") from error
    except (OSError, pa.ArrowException) as error:
        raise BrokenFileError(plain(error)) from error
    if misplaced:
        problem = "holds no row of the time its folder is named for: are the folders named in local time? Use UTC"
        yield FileProblem(path=file.path, problem=problem)
    if any(timeless):
        problem = f"rows without a time, which belong to no window: {sum(timeless)}"
        yield FileProblem(path=file.path, problem=problem)
    if malformed:
        problem = f"lines left out for too few or too many values: {len(malformed)}"
        yield FileProblem(path=file.path, problem=problem)


def _belongs_into(file: StoredFile, window: Window) -> bool:
    """Whether the file's partition says that all of its rows lie in the window."""
    span = partition_span(file.partition)
    return span is not None and window.start <= span.start and span.end <= window.end


def _read_table(table: SqlTable, columns: Columns, timestamp: str, window: Window | None) -> Iterator[Chunk]:
    """As `read_file`; a table is the whole log, so that no part of it may be missing in silence."""
    try:
        for rows in sql_log.batches(table, list(columns), timestamp, window):
            times = instants(rows.column(timestamp)) if timestamp in rows.schema.names else None
            if window is not None:
                if times is None:
                    raise LogError(f"{table.path} has no time column {timestamp!r}; its rows belong to no window")
                inside = _is_within(times, window)
                rows, times = rows.filter(inside), times.filter(inside)  # noqa: PLW2901
            if rows.num_rows:
                found = {name: rows.column(name) for name in rows.schema.names if name in columns}
                values = {name: parsed(column, columns[name], LogFormat.SQL) for name, column in found.items()}
                yield Chunk(table.path, rows.num_rows, values, times, frozenset(columns) - frozenset(found))
    except InstantError as error:
        raise LogError(f"{table.path}: time column {timestamp!r} {error}") from error
    except DatabaseError as error:
        raise LogError(f"{table.path} cannot be read: {error}") from error


def _fragment(file: StoredFile, file_format: LogFormat, malformed: set[int | None]) -> ds.Fragment:
    """The file as Arrow reads it; the numbers of CSV lines that do not fit are added to `malformed`.

    Arrow reads the first block of a file once for each look at its columns and again for its rows: what is told of a
    line more than once has the same number.
    """
    if file_format is not LogFormat.CSV:
        return FILE_FORMATS[file_format]().make_fragment(file.path, file.filesystem)

    def leave_out(row: pa_csv.InvalidRow) -> Literal["skip"]:
        malformed.add(row.number)
        return "skip"

    options = pa_csv.ParseOptions(invalid_row_handler=leave_out)
    return ds.CsvFileFormat(parse_options=options).make_fragment(file.path, file.filesystem)


def column_names(file: StoredFile | SqlTable, file_format: LogFormat) -> frozenset[str]:
    """The columns of a file, those that its partition gives included.

    Raises:
        OSError: the file cannot be read.
        pyarrow.ArrowException: it is not of this format.
        DatabaseError: the table cannot be read.
    """
    if isinstance(file, SqlTable):
        return sql_log.column_names(file)
    fragment = _fragment(file, file_format, set())
    return frozenset(fragment.physical_schema.names) | frozenset(file.partition)


def _scan(
    fragment: ds.Fragment,
    schema: pa.Schema,
    columns: Columns,
    timestamp: str,
    window: Window | None,
    timeless: list[int],
) -> Iterator[tuple[pa.RecordBatch, Times | None]]:
    """Batches of the window with their times; how many rows have none is added to `timeless`."""
    wanted = [name for name in schema.names if name in columns or name == timestamp]
    for name, count in Counter(wanted).items():
        if count > 1:
            raise BrokenFileError(f"has {count} columns named {name!r}")
    likely = None if window is None else may_be_within(timestamp, schema.field(timestamp).type, window)
    if likely is not None:
        likely = likely | pc.field(timestamp).is_null()
    for batch in _batches(fragment, schema, wanted, likely):
        times = instants(batch.column(timestamp)) if timestamp in schema.names else None
        if window is None or times is None:
            yield batch, times
            continue
        timeless.append(times.null_count)
        inside = _is_within(times, window)
        if inside.true_count == batch.num_rows:
            yield batch, times
        elif inside.true_count:
            yield batch.filter(inside), times.filter(inside)


def _batches(
    fragment: ds.Fragment, schema: pa.Schema, wanted: list[str], likely: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """The wanted columns of a file, leaving out what `likely` surely excludes."""
    rows = min(max(BATCH_VALUES // max(len(wanted), 1), FEWEST_BATCH_ROWS), BATCH_ROWS)
    if isinstance(fragment, ds.ParquetFileFragment):
        yield from _parquet_batches(fragment, wanted, likely, rows)
        return
    scanner = ds.Scanner.from_fragment(
        fragment,
        schema=schema,
        columns=wanted,
        filter=likely,
        batch_size=rows,
        batch_readahead=_READAHEAD,
        cache_metadata=False,
    )
    yield from scanner.to_batches()


def _parquet_batches(
    fragment: ds.ParquetFileFragment, wanted: list[str], likely: pc.Expression | None, rows: int
) -> Iterator[pa.RecordBatch]:
    """Row groups that may hold likely rows, streamed: a scanner would hold the whole row group in memory."""
    selected: Any = fragment if likely is None else fragment.subset(filter=likely)
    groups = [group.id for group in selected.row_groups]
    if not groups:
        return
    with pq.ParquetFile(
        fragment.path,
        filesystem=fragment.filesystem,
        metadata=fragment.metadata,
        buffer_size=_COLUMN_BUFFER,
        pre_buffer=False,
    ) as file:
        yield from file.iter_batches(rows, row_groups=groups, columns=wanted)


def _is_within(times: Times, window: Window) -> pa.BooleanArray:
    start, end = (pa.scalar(bound, times.type) for bound in (window.start, window.end))
    inside: Any = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    mask: pa.BooleanArray = inside
    return mask


def _chunk(
    file: StoredFile, file_format: LogFormat, rows: pa.RecordBatch, times: Times | None, columns: Columns
) -> Chunk:
    found: dict[str, Column] = {
        name: parsed(rows.column(name), columns[name], file_format) for name in rows.schema.names if name in columns
    }
    for key, value in file.partition.items():
        if key in columns and key not in found:
            text = pa.array([value] * rows.num_rows, pa.string())
            found[key] = parsed(text, columns[key], LogFormat.CSV)
    return Chunk(file.path, rows.num_rows, found, times, frozenset(columns) - frozenset(found))
