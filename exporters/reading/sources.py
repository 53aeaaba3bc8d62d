"""The files of a log, or the table that it is, each read for one reader or for several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import MappingProxyType

import pyarrow as pa

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading import sql as sql_log
from mlvitals.exporters.reading.files import ClosedFolder, FileState, Partition, StoredFile, partition_span
from mlvitals.exporters.reading.instants import InstantError, Times, read_instants
from mlvitals.exporters.reading.known import FileFacts, KnownOfLog
from mlvitals.exporters.reading.scan import (
    LONGEST_VALUE,
    TEXT_FORMATS,
    Batch,
    BrokenFileError,
    Chunk,
    Extent,
    Misfits,
    OpenFile,
    extent_of,
    is_within,
)
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reading.text import Column, Columns, converted, first_of
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import LogFormat


class LogError(UserError):
    """The log as a whole cannot be read."""


class Reader(ABC):
    """Takes rows of a log, file by file.

    Args:
        columns: what it wants of each row.
        window: whose rows it wants; None for all rows.
        patient: it only takes rows of files that are opened for other readers. What it was given while it was
            patient it is not given again.
    """

    def __init__(self, columns: Columns, window: Window | None, *, patient: bool = False) -> None:
        self.columns = columns
        self.window = window
        self.patient = patient
        self.failure: Exception | None = None
        """Why nothing more is read for it."""
        self._taken: set[str] = set()

    @abstractmethod
    def add(self, chunk: Chunk) -> None:
        """Take some rows.

        Raises:
            BrokenFileError: this reader rejects the rest of this file.
        """

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:  # noqa: B027 - most need not know
        """Learn that a file is over.

        Args:
            problems: what is wrong with it.
            broken: it could not be read to its end. How many of its rows came before depends on how threads met.
        """

    def wants(self, part: LogPart) -> bool:
        """True if this reader is to be served a file."""
        return self.failure is None and part.path not in self._taken

    def take(self, chunk: Chunk, path: str) -> bool:
        """Add rows of a file; False if this reader wants no more of it."""
        try:
            self.add(chunk)
        except BrokenFileError as error:
            self.break_off(path, error)
            return False
        except Exception as error:  # raised where the reader's results are awaited; the others go on
            self.failure = error
            return False
        return True

    def break_off(self, path: str, error: BrokenFileError) -> None:
        """End a file that is broken."""
        self.end_file([FileProblem(path=path, problem=str(error))], broken=True)

    def leave(self, path: str) -> None:
        """Remember a file that came while this reader was patient."""
        if self.patient:
            self._taken.add(path)


NO_TIME = "\0"
"""No column is called so: nothing is read as the time of a row."""


class LogPart(ABC):
    """A file or a table of a log."""

    partition: Partition = MappingProxyType({})
    """The values that the names of its folders give."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: Sequence[FileProblem] = ()
        """The problems of a part that can be read all the same, known once its chunks were read."""
        self.remarks: Sequence[FileProblem] = ()
        """Single values that cannot be read, and are missing instead; known likewise."""

    @abstractmethod
    def column_names(self) -> frozenset[str]:
        """Return the columns, those that a file's partition gives included.

        Raises:
            BrokenFileError: the file cannot be read.
            DatabaseError: the table cannot be read.
        """

    def present(self, names: frozenset[str]) -> frozenset[str]:
        """Return which of some columns it has.

        Raises:
            BrokenFileError: the file cannot be read.
            DatabaseError: the table cannot be read.
        """
        return self.column_names() & names

    @abstractmethod
    def chunks(self, columns: Columns) -> Iterator[Chunk]:
        """Return the wanted columns: the rows of the window that the log was asked for, or all rows without a window.

        The window includes its start and excludes its end. Rows without a time belong to no window, and lines of CSV
        that have too few or too many values, such as one still being written, are left out; both are problems.

        Raises:
            BrokenFileError: the file cannot be read. Chunks that came before do not count: how many there were
                depends on how threads met.
            LogError: the table cannot be read.
        """

    @abstractmethod
    def deliver(self, readers: Sequence[Reader]) -> None:
        """Give each reader its rows."""


class ClosedPart(LogPart):
    """A folder that cannot be listed: a file that cannot be read."""

    def __init__(self, folder: ClosedFolder) -> None:
        super().__init__(folder.problem.path)
        self.partition = folder.partition
        self._error = BrokenFileError(folder.problem.problem)

    def column_names(self) -> frozenset[str]:
        """Raise the error of the folder."""
        raise self._error

    def chunks(self, columns: Columns) -> Iterator[Chunk]:
        """Raise the error of the folder."""
        raise self._error

    def deliver(self, readers: Sequence[Reader]) -> None:
        """Report to each reader."""
        for reader in readers:
            if not reader.patient:
                reader.break_off(self.path, self._error)


class LogTable(LogPart):
    """A table that is the whole log, so that no part of it may be missing in silence."""

    def __init__(self, table: SqlTable, timestamp: str, window: Window | None = None) -> None:
        super().__init__(table.path)
        self._table = table
        self._timestamp = timestamp
        self._window = window

    def column_names(self) -> frozenset[str]:
        """Return the columns of the table."""
        return sql_log.column_names(self._table)

    def chunks(self, columns: Columns) -> Iterator[Chunk]:
        """Return chunks as of a file, in one consistent read."""
        given = _Given()
        yield from self._chunks(columns, self._window, given)
        self.remarks = given.problems(self.path)

    def deliver(self, readers: Sequence[Reader]) -> None:
        """Ask the database once for each reader: it finds the rows of a window by itself."""
        for reader in readers:
            if reader.patient:
                continue
            given = _Given()
            try:
                chunks = self._chunks(reader.columns, reader.window, given)
                complete = all(reader.take(chunk, self.path) for chunk in chunks)
            except LogError as error:
                reader.failure = error
            else:
                if complete:
                    reader.end_file(given.problems(self.path), broken=False)

    def _chunks(self, columns: Columns, window: Window | None, given: _Given) -> Iterator[Chunk]:
        timestamp = self._timestamp
        try:
            for rows in sql_log.batches(self._table, list(columns), timestamp, window):
                times = None
                if timestamp in rows.schema.names:
                    times, unread = read_instants(rows.column(timestamp))
                    if unread is not None:
                        given.note_times(_misfits(unread, rows.column(timestamp)))
                if window is not None:
                    if times is None:
                        raise LogError(f"{self.path} has no time column {timestamp!r}; its rows belong to no window")
                    inside = is_within(times, window)
                    rows, times = rows.filter(inside), times.filter(inside)  # noqa: PLW2901
                if rows.num_rows:
                    chunk = self._chunk(rows, times, columns)
                    given.note(chunk)
                    yield chunk
        except InstantError as error:
            raise LogError(f"{self.path}: time column {timestamp!r} {error}") from error
        except DatabaseError as error:
            raise LogError(f"{self.path} cannot be read: {error}") from error

    def _chunk(self, rows: pa.RecordBatch, times: Times | None, columns: Columns) -> Chunk:
        values: dict[str, Column] = {}
        misfits: dict[str, Misfits] = {}
        for name in rows.schema.names:
            if name in columns:
                values[name], unfit = converted(rows.column(name), columns[name], LogFormat.SQL)
                if unfit is not None:
                    misfits[name] = _misfits(unfit, rows.column(name))
        missing = frozenset(columns) - frozenset(values)
        return Chunk(self.path, rows.num_rows, values, times, missing, misfits=misfits)


def _misfits(unfit: pa.BooleanArray, written: Column) -> Misfits:
    return Misfits(unfit.true_count, str(written[first_of(unfit)].as_py())[:LONGEST_VALUE], None)


class LogFile(LogPart):
    """A file, opened when it is read, and not where it is known to hold no row that is wanted.

    Args:
        file: where it is.
        file_format: how it is written.
        timestamp: the column that says when each prediction was made.
        window: whose rows are wanted by who reads its chunks.
        known: what was learnt of the log's files before; this one is added to it.
        decimal: the decimal mark of numbers in CSV.
    """

    def __init__(
        self,
        file: StoredFile,
        file_format: LogFormat,
        timestamp: str,
        window: Window | None = None,
        known: KnownOfLog | None = None,
        decimal: str = ".",
    ) -> None:
        super().__init__(file.path)
        self.partition = file.partition
        self.file = file
        self.format = file_format
        self.timestamp = timestamp
        self.window = window
        self._known = known
        self._decimal = decimal

    def column_names(self) -> frozenset[str]:
        """Return the columns of the file."""
        return frozenset(self.ordered_names()) | frozenset(self.partition)

    def present(self, names: frozenset[str]) -> frozenset[str]:
        """Return which of some columns the file has; no others are looked for, however late they come."""
        return names & (self.open().names_with(names) | frozenset(self.partition))

    def ordered_names(self) -> list[str]:
        """Return the columns that the file itself has, in their order.

        Raises:
            BrokenFileError: the file cannot be read.
        """
        return self.open().all_names()

    def open(self) -> OpenFile:
        """Open the file.

        Raises:
            BrokenFileError: it cannot be read.
        """
        return OpenFile(self.file, self.format, self.timestamp, self._decimal)

    def chunks(self, columns: Columns) -> Iterator[Chunk]:
        """Yield the wanted columns of its rows in the window."""
        facts = self.facts()
        if facts is not None and not facts.extent.may_hold(self.window):
            self.problems = self.problems_of(facts, self.window, found=False)
            return
        before = self.state_to_read()
        scan, given = _Scan(self.open(), columns, self.window), _Given()
        for batch in scan:
            chunk = scan.opened.chunk(batch, columns, self.window)
            if chunk is not None:
                given.note(chunk)
                yield chunk
        if disturbance := self.disturbance(before):
            raise disturbance
        self.learn(scan)
        self.problems = self.problems_of(scan, self.window, found=given.any_row)
        self.remarks = given.problems(self.path)

    def deliver(self, readers: Sequence[Reader]) -> None:
        """Open the file once for all readers that may have rows in it; for patient ones alone not at all."""
        facts, waiting = self.facts(), list[Reader]()
        for reader in readers:
            if facts is None or facts.extent.may_hold(reader.window):
                waiting.append(reader)
            else:
                reader.end_file(self.problems_of(facts, reader.window, found=False), broken=False)
        if all(reader.patient for reader in waiting):
            return
        _Visit(self).serve(waiting)
        for reader in waiting:
            reader.leave(self.path)

    def facts(self) -> FileFacts | None:
        """Return what is known of the file."""
        return self._known.find(self.file) if self._known is not None else None

    def learn(self, scan: _Scan) -> None:
        """Remember what a whole scan showed, where that gives the times of all rows."""
        extent = scan.opened.extent if scan.opened.rows is not None else scan.extent
        if scan.misfits is not None or scan.problems:
            return  # to be read, and located, in every window
        if self._known is not None and extent is not None and self.timestamp in scan.opened.names:
            self._known.learn(self.file, extent, scan.rows, scan.malformed)

    def state_to_read(self) -> FileState:
        """Return the state of the file that is opened next; of one that is gone none that it has later."""
        try:
            return self.file.state(now=False)
        except OSError:
            return FileState(None, None, None)

    def disturbance(self, before: FileState, *, failed: bool = False) -> BrokenFileError | None:
        """Return why what was read since some state of the file does not count, or `failed`; None where it does."""
        has_one_handle = self.format not in TEXT_FORMATS
        try:
            is_disturbed = before.is_disturbed(self.file.state(), has_one_handle=has_one_handle and not failed)
        except (OSError, pa.ArrowException):
            is_disturbed = failed or not has_one_handle
        if not is_disturbed:
            return None
        if self._known is not None:
            self._known.disturb()
            self._known.distrust(self.file)
        return BrokenFileError("was replaced, changed or removed while it was read")

    def distrust(self) -> None:
        """Learn nothing of the file: it is broken for some reader."""
        if self._known is not None:
            self._known.distrust(self.file)

    def problems_of(self, shown: FileFacts | _Scan, window: Window | None, *, found: bool) -> list[FileProblem]:
        """Return what is wrong with a readable file; `found` says whether the window has rows of it."""
        problems = []
        if shown.rows and not found and window is not None and self._belongs_into(window):
            problems.append(
                "holds no row of the time its folder is named for: are the folders named in local time? Use UTC"
            )
        if window is not None and shown.timeless:
            unread = shown.misfits if isinstance(shown, _Scan) else None
            detail = "" if unread is None else f"; times that cannot be read: {unread}"
            problems.append(f"rows without a time, which belong to no window: {shown.timeless}{detail}")
        if shown.malformed:
            problems.append(f"lines left out for too few or too many values: {shown.malformed}")
        if isinstance(shown, _Scan):
            problems += shown.problems
        return [FileProblem(path=self.path, problem=problem) for problem in problems]

    def _belongs_into(self, window: Window) -> bool:
        """True if the file's partition says that all of its rows lie in the window."""
        span = partition_span(self.partition)
        return span is not None and window.start <= span.start and span.end <= window.end


class _Scan:
    """One pass over an open file, and what it shows of the file."""

    def __init__(self, opened: OpenFile, columns: Columns, window: Window | None) -> None:
        self.opened = opened
        self.done = 0
        """Rows of the batches that are dealt with."""
        self.extent = Extent()
        self.misfits: Misfits | None = None
        """Times that cannot be read."""
        self._batches = opened.batches(columns, window)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            yield batch
            self.done += batch.rows.num_rows
            if batch.times is not None:
                self.extent = self.extent.merge(extent_of(batch.times))
            if batch.timeless is not None:
                self.misfits = self.misfits.merge(batch.timeless) if self.misfits else batch.timeless

    @property
    def rows(self) -> int:
        """Return all rows of the file, once the pass is over."""
        return self.done if self.opened.rows is None else self.opened.rows

    @property
    def timeless(self) -> int:
        """Return the number of rows without a time."""
        return self.extent.timeless

    @property
    def malformed(self) -> int:
        """Return the number of lines left out."""
        return self.opened.malformed

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what else is wrong with the file."""
        return self.opened.problems


class _Given:
    """The rows of a part that one reader was given, as far as they are worth a remark."""

    def __init__(self) -> None:
        self.any_row = False
        self._times: Misfits | None = None
        self._misfits: dict[str, Misfits] = {}

    def note_times(self, misfits: Misfits) -> None:
        """Add rows whose time cannot be read."""
        self._times = misfits if self._times is None else self._times.merge(misfits)

    def note(self, chunk: Chunk) -> None:
        """Add some rows."""
        self.any_row = True
        for name, misfits in chunk.misfits.items():
            self._misfits[name] = self._misfits[name].merge(misfits) if name in self._misfits else misfits

    def problems(self, path: str) -> list[FileProblem]:
        """Return the columns of which some values cannot be read."""
        problems = [
            f"column {name!r}: values that cannot be read, counted as missing: {misfits}"
            for name, misfits in self._misfits.items()
        ]
        if self._times is not None:
            problems.insert(0, f"rows without a time that can be read, which belong to no window: {self._times}")
        return [FileProblem(path=path, problem=problem) for problem in problems]


class _Visit:
    """One opening of a file for several readers."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._before = file.state_to_read()
        self._given: defaultdict[Reader, _Given] = defaultdict(_Given)
        self._scan: _Scan | None = None

    def serve(self, readers: Sequence[Reader]) -> None:
        """Serve readers, and remember the file where none of them found it broken."""
        try:
            opened = self._file.open()
        except BrokenFileError as error:
            self._break_off(readers, error)
            return
        for group in _groups(readers, self._file.format):
            self._serve(opened, group)
        if self._scan is not None:
            self._file.learn(self._scan)

    def _serve(self, opened: OpenFile, readers: Sequence[Reader], done: int = 0) -> None:
        """Serve readers in one scan; they already have had that many rows of the file."""
        columns = {name: kind for reader in readers for name, kind in reader.columns.items()}
        scan = _Scan(opened, columns, readers[0].window)
        active = list(readers)
        try:
            for batch in scan:
                if scan.done < done:
                    continue
                chunks = [(reader, opened.chunk(batch, reader.columns, reader.window)) for reader in active]
                active = [reader for reader, chunk in chunks if chunk is None or self._give(reader, chunk)]
                if not active:
                    return
        except BrokenFileError as error:
            # What breaks a column breaks it for who wants that column; each of several readers goes on by itself.
            if len(readers) > 1:
                for reader in active:
                    self._serve(opened, [reader], scan.done)
                return
            self._file.distrust()
            self._break_off(active, error)
            return
        if disturbance := self._file.disturbance(self._before):
            self._break_off(active, disturbance)
            return
        self._scan = scan
        for reader in active:
            given = self._given[reader]
            problems = self._file.problems_of(scan, reader.window, found=given.any_row)
            reader.end_file([*problems, *given.problems(self._file.path)], broken=False)

    def _break_off(self, readers: Sequence[Reader], error: BrokenFileError) -> None:
        cause = self._file.disturbance(self._before, failed=True) or error
        for reader in readers:
            reader.break_off(self._file.path, cause)

    def _give(self, reader: Reader, chunk: Chunk) -> bool:
        self._given[reader].note(chunk)
        if reader.take(chunk, self._file.path):
            return True
        self._file.distrust()
        return False


def _groups(readers: Sequence[Reader], file_format: LogFormat) -> list[list[Reader]]:
    """Group readers that share a scan: of text those that read each column alike, of other formats none.

    There each column is decoded by itself, and a column or a row group that is damaged concerns only who wants it.
    """
    if file_format not in TEXT_FORMATS:
        return [[reader] for reader in readers]
    groups: list[list[Reader]] = []
    for reader in readers:
        for group in groups:
            if all(_read_alike(reader, other) for other in group):
                group.append(reader)
                break
        else:
            groups.append([reader])
    return groups


def _read_alike(one: Reader, other: Reader) -> bool:
    return (one.window is None) == (other.window is None) and all(
        other.columns[name] is kind for name, kind in one.columns.items() if name in other.columns
    )
