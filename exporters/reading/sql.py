"""A prediction log, or training data, that is a table of a SQL database: the wanted columns of a window as Arrow batches.

Rows stream from the database in small blocks, so that memory does not grow with the table. Names are quoted by
SQLAlchemy, values are bound. Values come as the database's driver gives them; `reading.instants` says what counts as
a time, and text of a SQLite column that should hold numbers is a type mismatch of that feature alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, collate, column, inspect, or_, select, table, types
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from mlvitals.exporters.database import DatabaseError, explain, open_database
from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.files import WIDEST_OFFSET
from mlvitals.exporters.reading.instants import LARGEST_SECONDS

BLOCK_ROWS = 16_384
"""Rows fetched at once. As Python values they take some thirty times the memory of the batch they become."""


@dataclass(frozen=True, slots=True)
class SqlTable:
    """A table or view of a database; ``schema.name`` where no table is called so as a whole."""

    url: str
    table: str
    base_dir: Path
    password_file: str | None = None

    @property
    def path(self) -> str:
        """Return what messages call it."""
        return f"table {self.table}"


def column_names(source: SqlTable) -> frozenset[str]:
    """Return the columns of the table.

    Raises:
        DatabaseError: the database cannot be read, or has no such table.
    """
    engine = open_database(source.url, source.password_file, source.base_dir)
    try:
        with engine.connect() as connection:
            return frozenset(_found(connection, source).types)
    except SQLAlchemyError as error:
        raise explain(engine, error) from error
    finally:
        engine.dispose()


def batches(
    source: SqlTable, wanted: Sequence[str], timestamp: str, window: Window | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield those of the wanted columns, and of the time column, that the table has, in one consistent read.

    With a window, the rows that may lie in it: the database leaves out what is clearly outside, and the caller
    decides about the rest.

    Raises:
        DatabaseError: the database cannot be read, or has no such table.
    """
    engine = open_database(source.url, source.password_file, source.base_dir)
    try:
        with engine.connect() as connection:
            found = _found(connection, source)
            names = [name for name in dict.fromkeys((*wanted, timestamp)) if name in found.types]
            statement: Any = select(*(column(name) for name in names)).select_from(
                table(found.name, *map(column, names), schema=found.schema)
            )
            if window is not None and timestamp in found.types:
                statement = statement.where(_may_be_within(timestamp, found.types[timestamp], window, connection))
            result = connection.execution_options(stream_results=True, yield_per=BLOCK_ROWS).execute(statement)
            for rows in result.partitions():
                yield _batch(names, rows)
    except SQLAlchemyError as error:
        raise explain(engine, error) from error
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    schema: str | None
    types: dict[str, TypeEngine[Any]]


def _found(connection: Connection, source: SqlTable) -> _Found:
    inspector = inspect(connection)
    schema, dot, name = source.table.partition(".")
    if inspector.has_table(source.table):
        schema, name = "", source.table
    elif not (dot and inspector.has_table(name, schema=schema)):
        raise DatabaseError(f"{connection.engine.url.render_as_string()}: there is no table {source.table!r}")
    columns = inspector.get_columns(name, schema=schema or None)
    return _Found(name, schema or None, {item["name"]: item["type"] for item in columns})


def _may_be_within(
    timestamp: str, kind: TypeEngine[Any], window: Window, connection: Connection
) -> ColumnElement[bool]:
    """Return a condition that lets every row of the window pass and few others, so that an index on the time is of use.

    Rows whose time cannot be determined here pass as well, so that they are seen and refused.
    """
    time: ColumnElement[Any] = column(timestamp)
    start, end = window.start - timedelta(seconds=1), window.end + timedelta(seconds=1)
    if isinstance(kind, types.Integer | types.Float | types.Numeric):
        return or_(time.between(int(start.timestamp()), int(end.timestamp())), time >= LARGEST_SECONDS)
    if connection.dialect.name == "sqlite" or isinstance(kind, types.String):  # SQLite keeps times as text
        return _text_may_be_within(time, start, end, connection)
    if isinstance(kind, types.DateTime):
        zone = UTC if kind.timezone else None
        return time.between(start.replace(tzinfo=zone), end.replace(tzinfo=zone))
    if isinstance(kind, types.Date):
        return time.between(start.date(), end.date())
    return time.is_not(None)


def _text_may_be_within(
    time: ColumnElement[Any], start: datetime, end: datetime, connection: Connection
) -> ColumnElement[bool]:
    """Return a condition on ISO 8601 text, which sorts by its day; no zone moves that by more than `WIDEST_OFFSET`."""
    text = collate(time, "C") if connection.dialect.name == "postgresql" else time
    first, behind = start - WIDEST_OFFSET, end + WIDEST_OFFSET + timedelta(days=1)
    by_day = text.between(first.date().isoformat(), behind.date().isoformat())
    return or_(by_day, time.not_like("____-__-__%"))


def _batch(names: Sequence[str], rows: Sequence[Any]) -> pa.RecordBatch:
    return pa.record_batch([_array(values) for values in zip(*rows, strict=True)], names=list(names))


def _array(values: Sequence[Any]) -> "pa.Array[Any]":
    """Return values of one column as the Arrow type that they suggest, or as text where they are of many kinds."""
    plain = [_plain(value) for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        if all(value is None or isinstance(value, int) for value in plain):
            wide = pa.decimal256(76, 0)
            return pa.array([None if value is None else Decimal(int(value)) for value in plain], wide)  # type: ignore[call-overload]
        return pa.array([None if value is None else str(value) for value in plain], pa.string())


def _plain(value: object) -> object:
    match value:
        case Decimal():
            is_integer = value.is_finite() and value == value.to_integral_value()
            return int(value) if is_integer else float(value)  # ids of NUMERIC(20, 0) stay what they are
        case UUID():
            return str(value)
    return value
