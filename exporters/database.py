"""Opens a SQL database that a spec names by a SQLAlchemy URL and, separately, a file with the password."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Column, DateTime, Dialect, Engine, MetaData, String, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from mlvitals.exporters.paths import PathError, first_line, read_secret, resolve
from mlvitals.generator.errors import UserError

CONNECT_SECONDS = 10
"""A PostgreSQL server that does not answer within this is away, unless the URL says otherwise."""
_LIBPQ_DRIVERS = ("psycopg", "psycopg2")
FILE = "file"
"""The key under which a connection's `info` has the number of its SQLite file: that of a new file is another one."""
_IDENTITY, _LOG_IDENTITY = "identity", "log identity"


class DatabaseError(UserError):
    """A database that cannot be opened, read or written. Its message holds no secret."""


def open_database(url: str, password_file: str | None, base_dir: Path, *, create: bool = False) -> Engine:
    """Return an engine for the database; nothing is connected yet.

    A relative SQLite file lies in the spec's folder. With `create` its folder is made, and the file when it is
    first written; without, the file has to exist, for SQLite would make an empty one.

    Raises:
        DatabaseError: no such kind of database or driver, an unreadable password file, or a missing SQLite file.
    """
    try:
        target = _target(make_url(url), base_dir, create=create)
        if password_file is not None:
            target = target.set(password=read_secret(password_file, base_dir))
        return _engine(target)
    except PathError as error:
        raise DatabaseError(f"password file {error}") from error
    except NoSuchModuleError as error:
        raise DatabaseError(f"no such kind of database: {url.split(':', 1)[0]}") from error
    except ArgumentError as error:
        raise DatabaseError("not a SQLAlchemy URL; write one like sqlite:///results.db") from error
    except ImportError as error:
        raise DatabaseError(f"the driver for {url.split(':', 1)[0]} is not installed: {error}") from error


def _target(url: URL, base_dir: Path, *, create: bool) -> URL:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return url
    file = resolve(url.database, base_dir)
    if create:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"cannot make the folder {file.parent}: {error.strerror}") from error
    elif not file.exists():
        raise DatabaseError(f"{file} does not exist")
    return url.set(database=str(file))


def _engine(target: URL) -> Engine:
    arguments: dict[str, Any] = {}
    if target.get_driver_name() in _LIBPQ_DRIVERS and "connect_timeout" not in target.query:
        arguments["connect_timeout"] = CONNECT_SECONDS  # by default, as long as the system waits, which is minutes
    engine = create_engine(target, pool_pre_ping=True, connect_args=arguments)
    if target.get_backend_name() == "sqlite" and target.database and target.database != ":memory:":
        _follow(engine, Path(target.database))
    return engine


def _follow(engine: Engine, file: Path) -> None:
    """Let no connection outlive its SQLite file: one that was deleted or replaced goes on answering, and loses all writes.

    The same holds for the write-ahead log next to it, which stays as long as a connection is open.
    """
    number, log = 0, file.with_name(f"{file.name}-wal")

    def remember(_: Any, record: ConnectionPoolEntry) -> None:
        record.info[_IDENTITY] = _identity(file)
        record.info[_LOG_IDENTITY] = None
        record.info[FILE] = number

    def check(_: Any, record: ConnectionPoolEntry, __: Any) -> None:
        nonlocal number
        is_other = False
        for key, place in ((_IDENTITY, file), (_LOG_IDENTITY, log)):
            found = _identity(place)
            record.info[key] = record.info[key] or found  # SQLite makes a new file when it is first used
            is_other |= record.info[key] != found
        if is_other:
            number += record.info[FILE] == number  # the inode of a deleted file may be that of the new one
            engine.pool.dispose()  # what is open would share the log that is gone with what is opened now
            raise DisconnectionError(f"{file} is another file now")

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", check)


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from another of the same name; None where there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def explain(engine: Engine, error: SQLAlchemyError) -> DatabaseError:
    """Return what went wrong, without SQL, parameters or password."""
    cause = getattr(error, "orig", None) or error
    return DatabaseError(f"{engine.url.render_as_string(hide_password=True)}: {first_line(cause)}")


TABLES = MetaData()
"""Every table; created together when the first is needed."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time; aware in Python, UTC in the database (SQLite has no zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write an aware time as UTC."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read UTC as an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def window_key() -> tuple[Column[Any], ...]:
    """Return new columns that identify a window; every table of results starts with them."""
    return (
        Column("system", String(40), primary_key=True),
        Column("window_start", UtcDateTime, primary_key=True),
        Column("window_end", UtcDateTime, primary_key=True),
    )
