"""The measured windows of the results database, for a view of many of them.

Separate from `results`, which knows every section: what that needs takes longer to load than a month takes to read.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Engine, Float, Index, String, Table, Text, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import FILE, TABLES, DatabaseError, UtcDateTime, explain, open_database, window_key
from mlvitals.exporters.publish.migrations import refuse_newer
from mlvitals.exporters.window.summary import WindowSummary
from mlvitals.generator.spec.model import RESULTS_IN, Results

drift_windows = Table(
    "drift_windows",
    TABLES,
    *window_key(),
    Column("measured_at", UtcDateTime, nullable=False),
    Column("reference_version", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("severity", String(16)),
    Column("report", Text, nullable=False),
    Column("repeated_ratio", Float),
    Index("drift_windows_by_end", "system", "window_end"),
)

_REPORTS_AT_ONCE = 50
"""Reports that are fetched together where only a part of each is kept."""


def open_past_windows(results: Results, base_dir: Path) -> "PastWindows":
    """Return the windows in the database that a spec names, for reading only.

    Raises:
        DatabaseError: neither SQLite nor PostgreSQL, no driver, an unreadable password file, or a missing SQLite file.
    """
    return PastWindows(open_engine(results, base_dir, create=False), refuse_newer)


def open_engine(results: Results, base_dir: Path, *, create: bool) -> Engine:
    """Return an engine for the database that a spec names; see `open_results`."""
    engine = open_database(results.url, results.password_file, base_dir, create=create)
    if engine.dialect.name not in RESULTS_IN:
        raise DatabaseError(f"results are kept in SQLite or PostgreSQL, not in {engine.dialect.name}")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _let_readers_read_while_writing)
    return engine


def _let_readers_read_while_writing(connection: Any, _: object) -> None:
    with suppress(sqlite3.OperationalError):  # locked by a process that starts at the same time and does the same
        connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=NORMAL").close()


class PastWindows:
    """The measured windows of any number of systems. Every method raises `DatabaseError` where the database fails."""

    def __init__(self, engine: Engine, make_ready: Callable[[Engine], None]) -> None:
        """Take what `make_ready` does to the tables before they are first used: `upgrade` or `refuse_newer`."""
        self._engine = engine
        self._make_ready = make_ready
        self._ready: set[object] = set()
        """The file that `make_ready` was done to; of a database that is no file, None."""
        self.times_replaced = 0
        """The number of times that the database turned out to be another file than before: deleted and made anew, or a backup."""

    def end_of_newest(self, system: str, count: int = 1) -> datetime | None:
        """Return when the oldest of the `count` newest windows ended; None where fewer are kept."""
        ended = drift_windows.c.window_end
        query = select(ended).filter_by(system=system).order_by(ended.desc()).offset(count - 1).limit(1)
        with self._transaction() as connection:
            return connection.execute(query).scalar_one_or_none()

    def summaries_between(self, system: str, start: datetime, end: datetime, most: int) -> list[WindowSummary]:
        """Return what views of many windows show of those that ended after `start` and not after `end`: the newest `most`.

        Oldest first. Those that this version cannot read are left out. Few reports are in memory at once.
        """
        of = drift_windows.c
        query = select(of.report).filter_by(system=system).where(of.window_end > start, of.window_end <= end)
        query = query.order_by(of.window_end.desc(), of.window_start.desc()).limit(most)
        found: list[WindowSummary] = []
        with self._transaction() as connection:
            for stored in connection.execution_options(yield_per=_REPORTS_AT_ONCE).scalars(query):
                with suppress(msgspec.DecodeError):
                    found.append(WindowSummary.from_json(stored))
        return found[::-1]

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writing: bool = False) -> Iterator[Connection]:
        """Open a transaction; with `writing`, in SQLite, one that sees nothing that another process still changes."""
        try:
            with self._connected() as connection, connection.begin():
                if writing and self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except SQLAlchemyError as error:
            raise explain(self._engine, error) from error

    def _connected(self) -> Connection:
        """Return a connection to a database whose tables are ready."""
        while True:
            connection = self._engine.connect()
            file = connection.info.get(FILE)
            if file in self._ready:
                return connection
            connection.close()
            self._make_ready(self._engine)
            self.times_replaced += bool(self._ready)
            self._ready = {file}
