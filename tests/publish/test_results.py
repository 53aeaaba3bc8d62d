import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta, timezone
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import msgspec
import pytest
from databases import Database
from exporter_samples import HOSTILE, HOUR, NOON, WINDOW, measured, report, too_little
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import ResultsStore, drift_windows, open_results
from mlvitals.exporters.sections.features.report import Bin
from mlvitals.exporters.sections.features.views import drift_features, drift_results
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Results, Spec

TABLES = (drift_windows, drift_features, drift_results)


@pytest.fixture
def store(database: Database) -> Iterator[ResultsStore]:
    with closing(database.open()) as opened:
        yield opened


def counts(database: Database) -> dict[str, int]:
    return {table.name: database.count(table.name) for table in TABLES}


def test_a_report_comes_back_as_it_was(store: ResultsStore) -> None:
    store.save(report())
    assert store.last_report("shop") == report()


def test_a_window_has_a_row_for_each_feature_and_each_bin(store: ResultsStore, database: Database) -> None:
    store.save(report())
    assert counts(database) == {"drift_windows": 1, "drift_features": 4, "drift_results": 9}


def test_a_view_of_many_windows_reads_the_newest_of_an_interval_oldest_first(store: ResultsStore) -> None:
    ends = [NOON + hours * HOUR for hours in range(5)]
    for end in ends:
        store.save(report(window=Window(end - HOUR, end)))
    store.save(report(system="other", window=Window(NOON + 9 * HOUR, NOON + 10 * HOUR)))
    assert store.end_of_newest("shop") == ends[-1]
    assert store.end_of_newest("nobody") is None
    assert [item.window.end for item in store.summaries_between("shop", ends[0], ends[-2], 9)] == ends[1:-1]
    assert [item.window.end for item in store.summaries_between("shop", ends[0], ends[-1], 2)] == ends[-2:]


def test_a_report_is_found_by_its_window(store: ResultsStore) -> None:
    store.save(report())
    assert store.report_of("shop", WINDOW) == report()
    assert store.report_of("shop", Window(NOON, NOON + HOUR)) is None


def test_saving_a_window_again_replaces_it(store: ResultsStore, database: Database) -> None:
    store.save(report())
    store.save(report(rows=2000, features={"age": measured(0.5)}, score=None))
    assert counts(database) == {"drift_windows": 1, "drift_features": 1, "drift_results": 3}
    assert store.last_report("shop").rows == 2000


def test_a_save_that_breaks_leaves_the_window_as_it_was(store: ResultsStore, database: Database) -> None:
    store.save(report())
    broken = Bin(label="no ratio", reference=None, current=0.1, psi=0.1)  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match=r"(?i)not-?.null"):
        store.save(report(rows=2000, score=measured(bins=(broken,))))
    assert counts(database) == {"drift_windows": 1, "drift_features": 4, "drift_results": 9}
    assert store.last_report("shop") == report()


def later(hours: int, **changes: object) -> WindowReport:
    return report(window=Window(WINDOW.start + hours * HOUR, WINDOW.end + hours * HOUR), **changes)


def test_a_report_and_those_that_it_changes_are_kept_together_or_not_at_all(store: ResultsStore) -> None:
    store.save(report())
    broken = Bin(label="no ratio", reference=None, current=0.1, psi=0.1)  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match=r"(?i)not-?.null"):
        store.save(report(rows=2000), changed=[later(1, score=measured(bins=(broken,)))])
    assert store.last_report("shop") == report()


def test_the_reports_after_a_window_are_those_of_its_reference_oldest_first(
    store: ResultsStore, database: Database
) -> None:
    hours = [later(hour) for hour in range(4)]
    for one in (*reversed(hours), later(5, reference_version="another"), later(6, system="other")):
        store.save(one)
    assert store.reports_after(hours[0], until=NOON + 9 * HOUR) == hours[1:]
    assert store.reports_after(hours[0], until=NOON + 2 * HOUR) == hours[1:3]
    database.rows("UPDATE drift_windows SET report = replace(report, 'mlvitals.drift/1', 'mlvitals.drift/9')")
    assert store.reports_after(hours[0], until=NOON + 9 * HOUR) == []


KILLED_WHILE_SAVING = """
import os, sys
from pathlib import Path
import msgspec
from sqlalchemy import event
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Results, Spec

store = open_results(msgspec.json.decode(sys.argv[2], type=Results), Path(sys.argv[1]))

@event.listens_for(store._engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.startswith("INSERT INTO drift_features"):
        os.kill(os.getpid(), 9)

store.save(WindowReport.from_json(sys.stdin.read()))
"""


@pytest.mark.slow
def test_a_process_killed_while_saving_leaves_the_window_as_it_was(store: ResultsStore, database: Database) -> None:
    store.save(report())
    arguments = [database.folder, msgspec.json.encode(database.results)]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, *arguments], input=report(rows=2000).to_json(), check=False
    )
    assert ended.returncode == -9
    assert store.last_report("shop") == report()
    assert counts(database) == {"drift_windows": 1, "drift_features": 4, "drift_results": 9}


def test_a_feature_named_like_the_score_is_kept_apart_from_it(store: ResultsStore, database: Database) -> None:
    store.save(report(features={"prediction_score": measured(0.5)}, score=measured(0.02)))
    found = database.rows("SELECT is_score, psi FROM drift_features WHERE feature_name = 'prediction_score'")
    assert sorted(found) == [(0, 0.5), (1, 0.02)]


def test_the_last_report_is_that_of_the_newest_window(store: ResultsStore) -> None:
    backfilled = Window(WINDOW.start - HOUR, WINDOW.end - HOUR)
    store.save(report())
    store.save(report(window=backfilled, measured_at=NOON + HOUR))
    assert store.last_report("shop").window == WINDOW


def test_another_system_in_the_same_database_is_another_matter(store: ResultsStore) -> None:
    store.save(report(system="other"))
    assert store.last_report("shop") is None


def test_a_report_of_another_schema_version_is_none(store: ResultsStore, database: Database) -> None:
    store.save(report())
    database.rows("UPDATE drift_windows SET report = replace(report, 'mlvitals.drift/1', 'mlvitals.drift/9')")
    assert store.last_report("shop") is None


def test_times_are_stored_in_utc_whatever_zone_they_came_in(store: ResultsStore, database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    store.save(report(window=Window(WINDOW.start.astimezone(tokyo), WINDOW.end.astimezone(tokyo))))
    ((stored,),) = database.rows("SELECT CAST(window_end AS TEXT) FROM drift_windows")
    assert stored in ("2026-03-03 12:00:00.000000", "2026-03-03 21:00:00+09")  # SQLite; a server in Tokyo
    assert store.windows_between("shop", WINDOW.start, WINDOW.end)[0].window == WINDOW


def test_windows_between_come_oldest_first_and_exclude_the_begin(store: ResultsStore) -> None:
    for hours in (2, 0, 1):
        store.save(report(window=Window(WINDOW.start + hours * HOUR, WINDOW.end + hours * HOUR)))
    found = store.windows_between("shop", NOON, NOON + 2 * HOUR)
    assert [stored.window.end for stored in found] == [NOON + HOUR, NOON + 2 * HOUR]
    assert (found[0].rows, found[0].severity, found[0].reference_version) == (1000, "critical", "0123456789abcdef")


def test_the_top_bins_are_those_that_contributed_most_in_the_newest_window(store: ResultsStore) -> None:
    store.save(report(window=Window(NOON - 2 * HOUR, NOON - HOUR), features={"age": measured(9.0)}))
    store.save(report())
    store.save(report(system="other", window=Window(NOON, NOON + HOUR), features={"age": measured(9.0)}))
    top = store.top_bins("shop", limit=2)
    assert [(found.feature_name, found.bin, found.psi_contribution) for found in top] == [
        ("age", "(60, +inf)", 0.25),
        ("age", "(-inf, 30]", 0.1),
    ]
    assert (top[0].reference_ratio, top[0].current_ratio) == (0.1, 0.4)
    assert (top[0].is_score, top[0].window_end) == (False, NOON)


def test_a_newest_window_without_bins_does_not_show_those_of_an_older_one(store: ResultsStore) -> None:
    store.save(report())
    store.save(report(window=Window(NOON, NOON + HOUR), features={"country": too_little()}, score=None))
    assert store.top_bins("shop") == []


def test_the_exporter_and_the_runbook_ask_the_same_question(
    store: ResultsStore, database: Database, streamrec: Spec
) -> None:
    store.save(report(system="streamrec"))
    pages = runbook_pages(streamrec, signals(streamrec), "")
    queries = {query for page in pages.values() for query in re.findall(r"```sql\n(.*?);\n```", page, re.DOTALL)}
    history, top_bins = sorted(queries, key=lambda query: "WHERE system = 'streamrec'\n" in query)
    assert f"```sql\n{top_bins};\n```" in pages["feature-drift/MLFeatureDrift.md"]
    found = [(name, bool(score), *rest) for name, score, *rest, _, _ in database.rows(top_bins)]
    assert found == [row[:6] for row in store.top_bins("streamrec")]
    assert found[0] == ("age", False, "(60, +inf)", 0.1, 0.4, 0.25)
    of_bin = database.rows(history.replace("FEATURE", "age").replace("BIN", "(60, +inf)"))
    assert [row[1:] for row in of_bin] == [(0.1, 0.4, 0.25)]


def test_what_is_older_than_the_retention_is_forgotten(store: ResultsStore, database: Database) -> None:
    store.save(report(window=Window(NOON - 3 * HOUR, NOON - 2 * HOUR)))
    store.save(report())
    assert store.forget_before("shop", NOON - HOUR) == 1
    assert counts(database) == {"drift_windows": 1, "drift_features": 4, "drift_results": 9}


def test_a_hostile_feature_name_survives(store: ResultsStore, database: Database) -> None:
    store.save(report())
    assert database.rows("SELECT psi FROM drift_features WHERE feature_name = :name", name=HOSTILE) == [(0.1,)]


def test_readers_are_not_locked_out_while_a_report_is_written(tmp_path: Path) -> None:
    database = Database(Results(), tmp_path)
    database.open().save(report())
    assert database.rows("PRAGMA journal_mode") == [("wal",)]


def test_a_relative_database_lies_in_the_spec_folder_which_is_made(tmp_path: Path) -> None:
    open_results(Results(url="sqlite:///state/drift.db"), tmp_path).save(report())
    assert (tmp_path / "state" / "drift.db").exists()


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(DatabaseError, match=r"folder\.db: unable to open database file"):
        open_results(Results(url="sqlite:///folder.db"), tmp_path).save(report())


def test_a_missing_driver_is_named_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    with pytest.raises(DatabaseError, match="the driver for mssql is not installed") as failure:
        open_results(Results(url="mssql://drift@db/drift", password_file="password"), tmp_path)
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (Results(url="results.db"), "not a SQLAlchemy URL"),
        (Results(url="postgers://db/drift"), "no such kind of database: postgers"),
        (Results(url="sqlite:///x.db", password_file="nowhere"), "nowhere: No such file or directory"),
        (Results(url="sqlite:///x.db", password_file="/dev/null"), "password file /dev/null: is empty"),
    ],
)
def test_a_wrong_setting_is_told_at_the_start(results: Results, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=message):
        open_results(results, tmp_path)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_tables_exist_in_both_databases_with_times_that_know_their_zone(table) -> None:
    assert "TIMESTAMP WITH TIME ZONE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "DATETIME" in str(CreateTable(table).compile(dialect=sqlite.dialect()))


SAVED_BY_MANY = """
import sys
from pathlib import Path
import msgspec
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Results

store = open_results(msgspec.json.decode(sys.argv[2], type=Results), Path(sys.argv[1]))
print("ready", flush=True)
report = WindowReport.from_json(sys.stdin.read())
for _ in range(20):
    store.save(report)
"""


@pytest.mark.slow
def test_processes_that_save_the_same_window_at_once_leave_one_whole_report(database: Database) -> None:
    arguments = [sys.executable, "-c", SAVED_BY_MANY, database.folder, msgspec.json.encode(database.results)]
    sizes = {1000: {"age": measured()}, 2000: {"age": measured(), "country": measured()}, 3000: {"country": measured()}}
    writers = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in sizes]
    for writer, (count, features) in zip(writers, sizes.items(), strict=True):
        writer.stdout.readline()
        writer.stdin.write(report(rows=count, features=features, score=None).to_json())
    for writer in writers:  # all at once, on a database that has no tables yet
        writer.stdin.close()
    for writer in writers:
        assert writer.wait(timeout=60) == 0
        writer.stdout.close()
    with closing(database.open()) as store:
        kept = store.last_report("shop")
    assert kept.features == sizes[kept.rows]
    assert counts(database) == {
        "drift_windows": 1,
        "drift_features": len(kept.features),
        "drift_results": 3 * len(kept.features),
    }


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.db").write_text("not a database, however long it may be" * 50)
    with pytest.raises(DatabaseError, match=r"results\.db: file is not a database"):
        open_results(Results(), tmp_path).save(report())


def test_another_kind_of_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ModuleType("pymysql")
    driver.paramstyle = "format"
    monkeypatch.setitem(sys.modules, "pymysql", driver)
    with pytest.raises(DatabaseError, match="results are kept in SQLite or PostgreSQL, not in mysql"):
        open_results(Results(url="mysql+pymysql://db/drift"), tmp_path)


# ---------------------------------------------------------------- PostgreSQL alone


def message_of(database: Database, **changes: object) -> str:
    """Why the database cannot be used."""
    with pytest.raises(DatabaseError) as failure:
        open_results(msgspec.structs.replace(database.results, **changes), database.folder).save(report())
    return str(failure.value)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_wrong_password_is_told_but_never_shown(database: Database) -> None:
    (database.folder / "wrong").write_text("hunter2\n")
    message = message_of(database, password_file="wrong")
    assert "password authentication failed" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_password_in_the_url_is_not_shown(database: Database) -> None:
    url = database.results.url.replace("tester@", "tester:hunter2@")
    message = message_of(database, url=url, password_file=None)
    assert "tester:***@" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_database_that_is_not_there_is_told(database: Database) -> None:
    server = database.results.url.rpartition("/")[0]
    assert 'database "nowhere" does not exist' in message_of(database, url=f"{server}/nowhere")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_user_who_may_not_create_tables_uses_those_that_exist(database: Database) -> None:
    with closing(database.open()) as store:
        store.save(report())
    for statement in (
        f"CREATE ROLE {(role := f'writer_{uuid4().hex}')} LOGIN PASSWORD 'writer'",
        "REVOKE CREATE ON SCHEMA public FROM public",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    ):
        database.rows(statement)
    (database.folder / "writer").write_text("writer")
    url = database.results.url.replace("tester@", f"{role}@")
    with closing(open_results(Results(url=url, password_file="writer"), database.folder)) as store:
        store.save(report(rows=2000))
        assert store.last_report("shop").rows == 2000
