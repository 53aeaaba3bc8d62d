"""A log, one window at a time: its files, or the table that it is, for one reader or for several in one pass.

Every file stands alone: what is wrong with one is a problem of that file, and the others are still read. A log that
is a table of a SQL database stands for one file, except that what is wrong with it is wrong with the log as a whole.
See `mlvitals.exporters.reading.files` for which files a folder offers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import pyarrow as pa

from mlvitals.exporters.parts import Window
from mlvitals.exporters.paths import PathError, first_line, locate
from mlvitals.exporters.reading.files import ClosedFolder, Keep, Tree, keep_all, within
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.sources import ClosedPart, LogError, LogFile, LogPart, LogTable, Reader
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.generator.spec.model import LogFormat

T = TypeVar("T")


class LogSection(Protocol):
    """The spec's description of a log."""

    @property
    def path(self) -> str:
        """Return the path of a file or folder, or the URL of either or of a database."""

    @property
    def format(self) -> LogFormat:
        """Return the format in which rows are written."""

    @property
    def timestamp(self) -> str:
        """Return the column that says when a row was made."""

    @property
    def table(self) -> str | None:
        """Return the table, of a database."""

    @property
    def password_file(self) -> str | None:
        """Return the file that holds the password, of a database."""

    @property
    def decimal(self) -> str:
        """Return the decimal mark of numbers in CSV."""


class Place(NamedTuple):
    """A log that has no section of its own in the spec."""

    path: str
    format: LogFormat
    timestamp: str
    table: str | None = None
    password_file: str | None = None
    decimal: str = "."


class ListingError(LogError):
    """There is no log at its path, or its files cannot be listed; `reason` is what the system says."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


Plan: TypeAlias = Generator[Sequence[Reader], None, T]
"""A computation on a log: it yields the readers that it needs served, goes on once they are, and returns its result."""


class Task(Generic[T]):
    """A plan on its way through `Log.serve`, and its result in the end."""

    result: T

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan
        self.readers: Sequence[Reader] = ()

    def advance(self) -> None:
        """Go on with what was read. What failed meanwhile is raised where the plan waits for it."""
        failure = next((reader.failure for reader in self.readers if reader.failure is not None), None)
        try:
            self.readers = next(self._plan) if failure is None else self._plan.throw(failure)
        except StopIteration as end:
            self.readers = ()
            self.result = end.value

    def close(self) -> None:
        """Give up."""
        self._plan.close()


class Log:
    """Rows recorded at one place.

        log = Log(spec.prediction_log, base_dir)
        for file in log.files(window):                     # for one who counts whole files or nothing
            tally.merge(count(file.chunks(columns)))       # BrokenFileError ends this file
        log.serve(Task(one_plan), Task(another))           # for several in one pass over the files

    Its folders are listed once, so that one log belongs to the measurement of one window.

    Args:
        section: where and how rows are recorded.
        base_dir: where a relative path starts.
        name: the spec's section, for messages.
        known: what was learnt of the files before; more is added to it.
        keep: which partitions may hold rows of a window.
    """

    def __init__(
        self,
        section: LogSection,
        base_dir: Path,
        *,
        name: str = "prediction_log",
        known: KnownFiles | None = None,
        keep: Callable[[Window], Keep] = within,
    ) -> None:
        self._section = section
        self._base_dir = base_dir
        self._name = name
        log = f"{section.path}\n{section.format}\n{section.timestamp}"
        self._known = (known or KnownFiles()).of(log)
        self._keep = keep
        self._tree: Tree | None = None

    def files(self, window: Window | None) -> Iterator[LogPart]:
        """Return the files, or the table, that may hold rows of the window.

        Raises:
            LogError: there is no log at its path, or it cannot be opened at all.
        """
        return self._parts(self._keep_for(window), window)

    def read(self, *readers: Reader) -> None:
        """Serve readers in one pass.

        Raises:
            LogError: the log as a whole cannot be read.
        """
        self._serve(readers)
        for reader in readers:
            if reader.failure is not None:
                raise reader.failure

    def serve(self, *tasks: Task[Any]) -> None:
        """Bring tasks to their ends side by side: what they wait for at the same time is read in one pass."""
        try:
            for task in tasks:
                task.advance()
            while waiting := [task for task in tasks if task.readers]:
                self._serve([reader for task in waiting for reader in task.readers])
                for task in waiting:
                    task.advance()
        finally:
            for task in tasks:
                task.close()

    def _serve(self, readers: Sequence[Reader]) -> None:
        """Pass once over the files that at least one reader asks for. What fails fails for its reader alone."""
        keeps = {reader: self._keep_for(reader.window) for reader in readers}
        asking = [keep for reader, keep in keeps.items() if not reader.patient]
        try:
            for part in self._parts(lambda partition: any(keep(partition) for keep in asking)):
                part.deliver([reader for reader in readers if reader.wants(part) and keeps[reader](part.partition)])
        except LogError as error:
            for reader in readers:
                reader.failure = error

    def _keep_for(self, window: Window | None) -> Keep:
        return keep_all if window is None else self._keep(window)

    def _parts(self, keep: Keep, window: Window | None = None) -> Iterator[LogPart]:
        section, name = self._section, self._name
        if section.format is LogFormat.SQL:
            if section.table is None:
                raise LogError(f"{name}.format sql needs {name}.table")
            table = SqlTable(section.path, section.table, self._base_dir, section.password_file)
            yield LogTable(table, section.timestamp, window)
            return
        try:
            if self._tree is None:
                self._tree = Tree(*locate(section.path, self._base_dir))
            closed: list[ClosedFolder] = []
            for file in self._tree.walk(keep, closed.append):
                yield from map(ClosedPart, closed)
                closed.clear()
                yield LogFile(file, section.format, section.timestamp, window, self._known, section.decimal)
            yield from map(ClosedPart, closed)
        except FileNotFoundError as error:
            reason = first_line(error)
            raise ListingError(f"{name}.path {section.path} does not exist: {reason}", reason) from error
        except (PathError, OSError, pa.ArrowException) as error:
            reason = first_line(error)
            raise ListingError(f"{name}.path {section.path} cannot be read: {reason}", reason) from error
