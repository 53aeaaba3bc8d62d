"""Results databases of older releases: brought up to date whole or not at all, once, and without loss."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from databases import Database
from exporter_samples import HOUR, NOON, OUTCOMES, SPEC, report
from msgspec.structs import replace
from sqlalchemy import Engine, event, inspect

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.migrations import newest_version, upgrade
from mlvitals.exporters.publish.results import Acceptance, ResultsStore, open_results
from mlvitals.exporters.sections.changes import ChangeKind
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.window.history import first_history
from mlvitals.exporters.window.report import WindowReport

FIXTURES = Path(__file__).parent / "fixtures"
FIRST = {
    "business_events": 6,
    "changes": 2,
    "drift_durations": 3,
    "drift_features": 14,
    "drift_gaps": 4,
    "drift_outcomes": 3,
    "drift_results": 30,
    "drift_windows": 4,
}
"""The tables of the first release, and the rows that the fixtures have."""
ADDED = {
    "drift_features": {"wasserstein", "wasserstein_critical_value"},
    "drift_gaps": {"settings", "history"},
    "drift_windows": {"repeated_ratio"},
}
"""The columns that these tables have got since."""
NEWEST_WINDOW = Window(NOON + HOUR, NOON + 2 * HOUR)


@pytest.fixture
def old(database: Database, request: pytest.FixtureRequest) -> Database:
    """A results database that the first release has written (see fixtures/write_results.py)."""
    if database.results.url.startswith("sqlite"):
        file = database.folder / "results.db"
        file.write_bytes(gzip.decompress((FIXTURES / "results-1.db.gz").read_bytes()))
    else:
        dump = (FIXTURES / "results-1.postgresql.sql").read_text()
        request.getfixturevalue("postgres").execute(dump, database.results.url.rpartition("/")[2])
    return database


on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@contextmanager
def engine_of(database: Database) -> Iterator[Engine]:
    engine = database.engine()
    try:
        yield engine
    finally:
        engine.dispose()


def upgraded(database: Database) -> Database:
    with engine_of(database) as engine:
        upgrade(engine)
    return database


def written(index: Any) -> dict[str, Any]:
    """An index, with its condition as text: SQLAlchemy's own object equals nothing but itself."""
    return {**index, "dialect_options": {name: str(value) for name, value in index.get("dialect_options", {}).items()}}


def schema(database: Database) -> dict[str, Any]:
    """All that a database knows of each of its tables; columns in their order."""
    with engine_of(database) as engine:
        found = inspect(engine)
        return {
            table: (
                [column | {"type": repr(column["type"])} for column in found.get_columns(table)],
                found.get_pk_constraint(table),
                sorted(map(written, found.get_indexes(table)), key=lambda index: index["name"]),
                found.get_unique_constraints(table),
                found.get_foreign_keys(table),
                found.get_check_constraints(table),
            )
            for table in sorted(found.get_table_names())
        }


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of the first release's tables, with the columns that they had then."""
    with engine_of(database) as engine, engine.begin() as connection:
        rows = {table: connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all() for table in FIRST}
    return {
        table: [{name: value for name, value in row.items() if name not in ADDED.get(table, ())} for row in found]
        for table, found in rows.items()
    }


def version(database: Database) -> list[tuple[int]]:
    return database.rows("SELECT version FROM mlvitals_schema")


def as_first_written(found: WindowReport) -> WindowReport:
    """A report with the statistics that the first release knew."""

    def known(feature: FeatureReport) -> FeatureReport:
        later = ("wasserstein", "reference_null_rate", "null_rate_increase", "out_of_range_increase")
        return replace(feature, **dict.fromkeys(later))

    return replace(
        found,
        features={name: known(feature) for name, feature in found.features.items()},
        score=known(found.score),
        score_count=replace(found.score_count, report=known(found.score_count.report)),
    )


def message_of(store: ResultsStore) -> str:
    """Why a report cannot be saved."""
    with closing(store), pytest.raises(DatabaseError) as failure:
        store.save(report())
    return str(failure.value)


# ---------------------------------------------------------------- up to date


def test_the_fixture_is_of_the_first_release_and_has_rows_in_each_of_its_tables(old: Database) -> None:
    assert {table: len(rows) for table, rows in contents(old).items()} == FIRST
    assert list(schema(old)) == list(FIRST)


def test_an_old_database_is_brought_up_to_date_without_loss(old: Database) -> None:
    before = contents(old)
    assert contents(upgraded(old)) == before
    assert version(old) == [(newest_version(),)]


def test_what_an_old_database_holds_is_read_as_before(old: Database) -> None:
    with closing(old.open()) as store:
        newest = store.last_report("shop")
        assert (newest.window, newest.rows, newest.outcomes) == (NEWEST_WINDOW, 1000, OUTCOMES)
        assert store.last_report("other") == as_first_written(report(system="other"))
        assert store.duration("shop", NEWEST_WINDOW) == 3.5
        assert len(store.windows_between("shop", NOON - HOUR, NOON + 2 * HOUR)) == 3
        assert [past.sample.gap for past in store.past_windows("shop", newest.reference_version)] == [0.0625] * 3
        assert store.top_bins("shop", limit=1)[0].psi_contribution == pytest.approx(0.125)
        totals = store.event_totals("shop", ["shop_clicks_total", "shop_revenue_total"])
        assert totals == {"shop_clicks_total": 34.5, "shop_revenue_total": 3e9}
        assert [change.kind for change in store.newest_changes("shop", 9)] == [
            ChangeKind.PIPELINE,
            ChangeKind.DEPLOYMENT,
        ]


def test_an_old_database_takes_new_windows_and_replaces_its_own(old: Database) -> None:
    with closing(old.open()) as store:
        store.save(report(window=Window(NOON + 2 * HOUR, NOON + 3 * HOUR)))
        store.save(report(window=NEWEST_WINDOW, rows=2000))
    assert old.count("drift_windows") == FIRST["drift_windows"] + 1
    assert old.rows("SELECT rows FROM drift_windows WHERE rows <> 1000") == [(2000,)]


def test_columns_that_an_old_database_did_not_have_are_null_in_its_rows(old: Database) -> None:
    found = upgraded(old).rows("SELECT DISTINCT wasserstein, wasserstein_critical_value FROM drift_features")
    assert found == [(None, None)]


def test_an_old_database_ends_with_the_schema_of_a_new_one(
    old: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    new = Database(old.results, tmp_path / "new")
    if not old.results.url.startswith("sqlite"):
        server, name = request.getfixturevalue("postgres"), f"{old.results.url.rpartition('/')[2]}_new"
        server.create(name)
        new = Database(server.results(name), tmp_path)
    assert schema(upgraded(old)) == schema(upgraded(new))
    assert version(new) == version(old)


def test_a_database_that_is_up_to_date_is_only_read(old: Database) -> None:
    with engine_of(upgraded(old)) as engine:
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2].split()[0]))
        upgrade(engine)
    assert set(statements) <= {"SELECT", "PRAGMA"}


def test_a_database_whose_version_was_lost_is_brought_up_to_date_again(old: Database) -> None:
    expected = schema(upgraded(old))
    old.rows("DROP TABLE mlvitals_schema")
    assert schema(upgraded(old)) == expected
    assert version(old) == [(newest_version(),)]


@pytest.mark.parametrize("lost", ["drift_features", "changes"])
def test_a_table_that_is_missing_is_created_as_it_is_now(old: Database, lost: str) -> None:
    old.rows(f"DROP TABLE {lost}")
    with closing(old.open()) as store:
        store.save(report())
    expected = schema(old)
    old.rows(f"DROP TABLE {lost}")
    assert schema(upgraded(old)) == expected


# ---------------------------------------------------------------- at once, interrupted


def test_of_programs_that_start_at_once_one_brings_the_database_up_to_date_and_the_others_wait(old: Database) -> None:
    before, alterations = contents(old), []
    all_saw_the_old_version = threading.Barrier(3, timeout=60)

    def start() -> None:
        with engine_of(old) as engine:

            @event.listens_for(engine, "before_cursor_execute")
            def follow(connection: object, cursor: object, statement: str, *rest: object) -> None:
                if statement == "BEGIN IMMEDIATE" or "advisory" in statement:
                    all_saw_the_old_version.wait()
                if statement.startswith("ALTER TABLE"):
                    alterations.append(statement)

            upgrade(engine)

    with ThreadPoolExecutor(3) as threads:
        for started in [threads.submit(start) for _ in range(3)]:
            started.result(timeout=60)
    assert len(alterations) == len(set(alterations)) > 0
    assert version(old) == [(newest_version(),)]
    assert contents(old) == before


KILLED_WHILE_MIGRATING = """
import os, sys
from pathlib import Path
import msgspec
from sqlalchemy import event
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Results

store = open_results(msgspec.json.decode(sys.argv[2], type=Results), Path(sys.argv[1]))

@event.listens_for(store._engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if sys.argv[3] in statement:
        os.kill(os.getpid(), 9)

store.last_report("shop")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "last",
    [
        "ADD COLUMN wasserstein ",
        "ADD COLUMN wasserstein_critical_value ",
        "CREATE TABLE mlvitals_schema",
        "INSERT INTO mlvitals_schema",
    ],
)
def test_a_process_killed_while_migrating_leaves_the_old_database_which_the_next_brings_up_to_date(
    old: Database, last: str
) -> None:
    old_schema, before = schema(old), contents(old)
    arguments = [old.folder, msgspec.json.encode(old.results), last]
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_MIGRATING, *arguments], check=False)
    assert killed.returncode == -9
    assert (schema(old), contents(old)) == (old_schema, before)
    assert contents(upgraded(old)) == before
    assert version(old) == [(newest_version(),)]


@on_sqlite
def test_a_full_disk_leaves_the_old_database_and_is_reported(old: Database) -> None:
    old_schema, before = schema(old), contents(old)
    with engine_of(old) as engine:
        # As many pages as the file has: the table of the version needs one more.
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1").close())
        with pytest.raises(DatabaseError) as failure:
            upgrade(engine)
    assert str(failure.value).endswith(
        "results.db: database or disk is full. "
        f"The tables were not upgraded to version {newest_version()}; nothing was changed. "
        "Only a user who may alter them can upgrade them; the next run tries again"
    )
    assert (schema(old), contents(old)) == (old_schema, before)
    assert contents(upgraded(old)) == before


# ---------------------------------------------------------------- newer, or not ours to change


def make_newer(database: Database) -> None:
    upgraded(database).rows("UPDATE mlvitals_schema SET version = 99")


@pytest.mark.parametrize("create", [True, False], ids=["to write", "to read"])
def test_a_newer_database_is_refused_with_its_version_and_what_to_do(old: Database, create: bool) -> None:
    make_newer(old)
    message = message_of(open_results(old.results, old.folder, create=create))
    assert message.endswith(
        f": its tables have version 99, but this mlvitals supports versions only up to {newest_version()}. "
        "Upgrade mlvitals here, or set results.url to another database"
    )
    assert old.results.url.rpartition("/")[2] in message


def test_a_newer_database_is_left_as_it_is(old: Database) -> None:
    make_newer(old)
    before = contents(old)
    message_of(old.open())
    assert (contents(old), version(old)) == (before, [(99,)])


def test_a_program_that_only_reads_reads_an_old_database_and_leaves_it_old(old: Database) -> None:
    old_schema = schema(old)
    with closing(open_results(old.results, old.folder, create=False)) as store:
        assert len(store.past_windows("shop", "0123456789abcdef")) == 3
    assert schema(old) == old_schema


@on_sqlite
def test_a_user_who_may_not_write_reads_what_is_up_to_date_and_is_told_of_what_is_not(old: Database) -> None:
    def refused() -> str:
        with engine_of(old) as engine:
            event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON").close())
            try:
                upgrade(engine)
            except DatabaseError as error:
                return str(error)
        return ""

    assert "results.db: attempt to write a readonly database. The tables were not upgraded" in refused()
    upgraded(old)
    assert refused() == ""


@on_postgresql
def test_a_role_that_owns_no_tables_is_told_who_can_upgrade_them_and_keeps_its_rights(
    old: Database, request: pytest.FixtureRequest
) -> None:
    server, name = request.getfixturevalue("postgres"), old.results.url.rpartition("/")[2]
    server.execute("CREATE ROLE writer LOGIN PASSWORD 'choose one'")
    server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(FIRST)} TO writer", name)
    (old.folder / "writer").write_text("choose one\n")
    url = old.results.url.replace("tester@", "writer@")
    of_writer = msgspec.structs.replace(old.results, url=url, password_file="writer")
    try:
        assert message_of(open_results(of_writer, old.folder)) == (
            f"{url.replace('@', ':***@')}: must be owner of table drift_features. "
            f"The tables were not upgraded to version {newest_version()}; nothing was changed. "
            "Only a user who may alter them can upgrade them; the next run tries again"
        )
        upgraded(old)
        with closing(open_results(of_writer, old.folder)) as store:
            store.save(report())
            assert store.last_report("shop").window == NEWEST_WINDOW
            assert store.history("shop", first_history(SPEC, "v1"), until=NOON).last is None
            moment = NEWEST_WINDOW.end
            store.accept_gap("shop", "v1", Acceptance(since=moment, accepted_at=moment, author="", reason=""))
    finally:
        server.execute("DROP OWNED BY writer", name)
        server.execute("DROP ROLE writer")
