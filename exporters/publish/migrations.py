"""Migrations of the results database: the program opens what an older one has written, and loses nothing.

The definitions in `TABLES` are the newest version. What takes a database there from each older version is listed in
`MIGRATIONS`. All of it happens in one transaction, which both databases offer for their schemas too, and under a lock:
programs that start together wait for the first, and one that is interrupted leaves the database as it was.

Of our own rather than Alembic's: that would be one more dependency of every exporter, serves branches and downgrades
that we do not want, and would still need this lock and this transaction around it, since it has no lock, and SQLite's
driver commits each change of a schema by itself. Compared with it, a migration here is a function and nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from mlvitals.exporters.database import TABLES, DatabaseError, explain

_LOCK = 7_061_726_174  # any number, as long as every process takes the same; the first release took this one too

mlvitals_schema = Table(
    "mlvitals_schema",
    TABLES,
    # One row. Databases of the first release have no such table: they are version 1.
    Column("version", Integer, primary_key=True, autoincrement=False),
)

Migration: TypeAlias = Callable[[Connection], None]
"""Changes the tables from one version to the next.

It repeats names and types instead of importing definitions, which go on changing. It leaves missing tables alone: they
are created afterwards, as they are now. So it ends in the schema of a new database, which a test compares.
"""


def _add_wasserstein(connection: Connection) -> None:
    _add_columns(connection, "drift_features", {"wasserstein": Float(), "wasserstein_critical_value": Float()})


def _add_histories(connection: Connection) -> None:
    _add_columns(connection, "drift_gaps", {"settings": String(64), "history": Text()})
    if inspect(connection).has_table("drift_gaps"):
        for name, condition in {"by_end": "", "with_history": " WHERE settings IS NOT NULL"}.items():
            columns = "(system, reference_version, window_end)"
            connection.exec_driver_sql(
                f"CREATE INDEX IF NOT EXISTS drift_gaps_{name} ON drift_gaps {columns}{condition}"
            )


def _add_repeated_ratio(connection: Connection) -> None:
    _add_columns(connection, "drift_windows", {"repeated_ratio": Float()})


MIGRATIONS: tuple[Migration, ...] = (_add_wasserstein, _add_histories, _add_repeated_ratio)
"""From version 1 to 2, from 2 to 3 and so on. Only ever append: released migrations have run in databases elsewhere."""


def newest_version() -> int:
    """Return the version that this program writes."""
    return 1 + len(MIGRATIONS)


def upgrade(engine: Engine) -> None:
    """Bring the tables to the newest version, and create those that are missing; does nothing where all is there.

    Raises:
        DatabaseError: the database is newer than this program, or could not be changed: then it is as it was.
        SQLAlchemyError: it cannot be opened or read.
    """
    with engine.begin() as connection:
        if _is_current(connection):
            return
    try:
        with engine.begin() as connection:
            _lock(connection)
            if not _is_current(connection):  # else another process was faster
                _migrate(connection)
    except SQLAlchemyError as error:
        problem = f"The tables were not upgraded to version {newest_version()}; nothing was changed"
        advice = "Only a user who may alter them can upgrade them; the next run tries again"
        raise DatabaseError(f"{explain(engine, error)}. {problem}. {advice}") from error


def refuse_newer(engine: Engine) -> None:
    """Raise `DatabaseError` if the database is newer than this program. Changes nothing, unlike `upgrade`."""
    with engine.begin() as connection:
        _version(connection)


def _is_current(connection: Connection) -> bool:
    return _version(connection) == newest_version() and all(map(inspect(connection).has_table, TABLES.tables))


def _version(connection: Connection) -> int:
    """Return the version of the tables, which is not newer than this program's."""
    stored = None
    if inspect(connection).has_table(mlvitals_schema.name):
        stored = connection.execute(select(func.max(mlvitals_schema.c.version))).scalar()
    version, known = stored or 1, newest_version()
    if version > known:
        database = connection.engine.url.render_as_string(hide_password=True)
        problem = f"its tables have version {version}, but this mlvitals supports versions only up to {known}"
        raise DatabaseError(f"{database}: {problem}. Upgrade mlvitals here, or set results.url to another database")
    return version


def _lock(connection: Connection) -> None:
    """Wait until no other process changes tables. The end of the transaction releases the lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    else:
        # Python's driver starts no transaction for a change of the schema; without this one, each is committed alone.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    before = {*inspect(connection).get_table_names()}
    for migration in MIGRATIONS[_version(connection) - 1 :]:
        migration(connection)
    TABLES.create_all(connection)
    if connection.dialect.name == "postgresql":
        _grant_alike(connection, TABLES.tables.keys() - before - {mlvitals_schema.name})
        # Roles that may only use the tables got their rights table by table, before there was this one.
        connection.exec_driver_sql(f"GRANT SELECT ON {mlvitals_schema.name} TO PUBLIC")
    connection.execute(delete(mlvitals_schema))
    connection.execute(insert(mlvitals_schema), {"version": newest_version()})


def _grant_alike(connection: Connection, tables: Iterable[str]) -> None:
    """Grant on new tables what roles were granted on the table of windows, one by one."""
    granted = text(
        "SELECT grantee, privilege_type FROM information_schema.role_table_grants "
        "WHERE table_schema = current_schema() AND table_name = 'drift_windows' AND grantee <> current_user "
        "AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')"
    )
    rights = connection.execute(granted).all()
    quote = connection.dialect.identifier_preparer.quote_identifier
    for table in sorted(tables):
        for role, right in rights:
            grantee = "PUBLIC" if role == "PUBLIC" else quote(role)
            connection.exec_driver_sql(f"GRANT {right} ON {table} TO {grantee}")


def _add_columns(connection: Connection, table: str, types: dict[str, TypeEngine[Any]]) -> None:
    """Add columns that may be null; leaves alone those that are there, as where only `mlvitals_schema` was lost."""
    if not inspect(connection).has_table(table):
        return
    present = {column["name"] for column in inspect(connection).get_columns(table)}
    for name, type_ in types.items():
        if name not in present:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} {type_.compile(connection.dialect)}")
