"""Databases, references, textfiles and log files are away, full or damaged: the last good page stays, and nothing is lost."""

import errno
import io
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from exporter_samples import HOUR, NOON
from lab import MINUTE, Lab

from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.handover import PublishError, write_textfile
from mlvitals.exporters.publish.migrations import newest_version
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind

if TYPE_CHECKING:
    from postgres import Postgres

Happens = Callable[[str], None]


def lose(file: Path) -> None:
    """Put a folder in the place of a SQLite file, so that nothing can be read or written there."""
    for path in file.parent.glob(f"{file.name}*"):
        path.rename(path.with_name(f"away-{path.name}"))
    file.mkdir()


def find(file: Path) -> None:
    """Put the file back."""
    file.rmdir()
    for path in file.parent.glob(f"away-{file.name}*"):
        path.rename(path.with_name(path.name.removeprefix("away-")))


@pytest.mark.fault("storage", "SQLite away for some windows", "the page stays as it was; afterwards all is measured")
def test_a_database_that_is_away_leaves_the_last_good_page_wholly(lab: Lab, happens: Happens) -> None:
    exporter, file = lab.start(), lab.folder / "results.db"
    lab.pass_hours(exporter, -1, 0)
    page = exporter._window_page
    lose(file)
    lab.pass_hours(exporter, 1, 2, 3)
    assert exporter._window_page == page
    find(file)
    lab.pass_hours(exporter, 4)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "SQLite away while the process starts", "no window and no click is forgotten")
def test_a_restart_while_the_database_is_away_forgets_nothing(lab: Lab, happens: Happens) -> None:
    file = lab.folder / "results.db"
    lab.pass_hours(lab.start(), -1)
    lose(file)
    lab.write(0, 1, 2, 3, 4)
    lab.at(5)
    exporter = lab.start()
    exporter.run_due()
    find(file)
    lab.clock.now += 2 * MINUTE
    exporter.run_due()
    happens(lab.audit(exporter))
    assert len(lab.events("restore_failed")) == 1


@pytest.mark.fault("storage", "SQLite back for a moment while the process starts", "no window is forgotten")
def test_a_database_that_is_back_between_two_looks_forgets_nothing(lab: Lab, happens: Happens) -> None:
    file = lab.folder / "results.db"
    lab.pass_hours(lab.start(), -1)
    lose(file)
    lab.write(0, 1, 2)
    lab.at(3)
    exporter = lab.start()
    restore = exporter.restore
    exporter.restore = lambda: (restore(), find(file) if file.is_dir() else None)
    exporter.run_due()
    lab.clock.now += 2 * MINUTE
    assert exporter._should_run(lab.clock.now)
    exporter.run_due()
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "the SQLite file deleted while running", "noticed, reported, and made anew")
def test_a_deleted_database_is_made_anew(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1, 0)
    (lab.folder / "results.db").unlink()
    lab.rows.clear()
    lab.clicks.clear()
    exporter.refresh_changes()
    assert [event["level"] for event in lab.events("results_replaced")] == ["warning"]
    with open_results(lab.spec.results, lab.folder)._transaction():
        """It can be written."""
    change = Change(ChangeKind.DEPLOYMENT, "model", lab.clock.now, "v2", "ci")
    open_results(lab.spec.results, lab.folder).note("shop", change)
    exporter.refresh_changes()
    assert exporter._changes == (change,)
    lab.pass_hours(exporter, 1, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault(
    "storage", "SQLite's write-ahead log deleted while running", "noticed, reported; windows that it held are measured"
)
def test_a_deleted_write_ahead_log_is_noticed(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1, 0)
    for name in ("results.db-wal", "results.db-shm"):
        (lab.folder / name).unlink()
    lab.pass_hours(exporter, 1, 2, 3)
    assert [event["level"] for event in lab.events("results_replaced")] == ["warning"]
    happens(lab.audit(exporter))
    lab.audit(lab.start())


@pytest.mark.fault(
    "storage", "the SQLite file replaced by a backup while running", "windows since the backup are measured"
)
def test_what_a_backup_lacks_is_measured(lab: Lab, happens: Happens) -> None:
    exporter, file = lab.start(), lab.folder / "results.db"
    lab.pass_hours(exporter, -1, 0)
    exporter._results.close()
    shutil.copy(file, lab.folder / "backup.db")
    lab.pass_hours(exporter, 1, 2)
    (lab.folder / "backup.db").replace(file)
    for name in ("results.db-wal", "results.db-shm"):
        (lab.folder / name).unlink(missing_ok=True)
    exporter.refresh_changes()
    lab.pass_hours(exporter, 3)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "the database away for long", "/readyz says so, and is ok again afterwards")
def test_readiness_says_that_the_database_is_away(lab: Lab, happens: Happens) -> None:
    exporter, file = lab.start(), lab.folder / "results.db"
    lab.pass_hours(exporter, -1)
    lose(file)
    exporter.refresh_changes()
    assert exporter.readiness().status is HTTPStatus.OK
    lab.clock.now += timedelta(minutes=11)
    exporter.refresh_changes()
    page = exporter.readiness()
    assert page.status is HTTPStatus.SERVICE_UNAVAILABLE
    happens(page.body.decode().strip().partition(" since ")[0])
    find(file)
    exporter.refresh_changes()
    assert exporter.readiness().status is HTTPStatus.OK


@pytest.mark.fault("storage", "references away for long", "/readyz says so after two steps")
def test_readiness_says_that_nothing_is_measured(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    (lab.folder / "references").rename(lab.folder / "away")
    lab.pass_hours(exporter, 0, 1, 2, 3)
    page = exporter.readiness()
    assert page.status is HTTPStatus.SERVICE_UNAVAILABLE
    happens(page.body.decode().strip().partition(" since ")[0])
    (lab.folder / "away").rename(lab.folder / "references")
    lab.pass_hours(exporter, 4)
    assert exporter.readiness().status is HTTPStatus.OK
    happens(lab.audit(exporter))


@pytest.mark.fault("process", "stopped for some windows", "the page changes with each window that is caught up")
def test_a_catch_up_shows_each_window(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.write(0, 1, 2, 3)
    lab.at(4)
    shown, run = [], exporter._run

    def running(window):
        shown.append(exporter._page_end)
        return run(window)

    exporter._run = running
    exporter.run_due()
    assert shown == [NOON + hour * HOUR for hour in range(4)]
    happens(lab.audit(exporter))


# ---------------------------------------------------------------- SQLite


def every_connection(lab: Lab, statement: str) -> Callable[[], None]:
    """Let every new connection to the database run a statement first, and return what ends that."""
    from sqlalchemy import Engine, event

    def prepare(connection: Any, _: object) -> None:
        with suppress(sqlite3.Error):
            connection.execute(statement).close()

    event.listen(Engine, "connect", prepare)
    return lambda: event.remove(Engine, "connect", prepare)


@pytest.mark.fault(
    "storage", "no room on SQLite's disk for some windows", "nothing is stored in part; all is measured later"
)
def test_a_full_disk(lab: Lab, happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    has_room = every_connection(lab, "PRAGMA max_page_count=1")
    exporter = lab.start()
    lab.pass_hours(exporter, 0, 1)
    has_room()
    assert "full" in lab.events("run_failed")[0]["error"]
    assert lab.kept() == {NOON: lab.rows[NOON]}
    exporter = lab.start()
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "SQLite read only for some windows", "the log says so; all is measured later")
def test_a_read_only_database(lab: Lab, happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    may_write = every_connection(lab, "PRAGMA query_only=1")
    exporter = lab.start()
    lab.pass_hours(exporter, 0, 1)
    may_write()
    assert "readonly" in lab.events("run_failed")[0]["error"]
    exporter = lab.start()
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "SQLite locked by another program for longer than anybody waits", "measured later")
def test_a_locked_database(lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    impatient = every_connection(lab, "PRAGMA busy_timeout=50")
    exporter = lab.start()
    with closing(sqlite3.connect(lab.folder / "results.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        lab.pass_hours(exporter, 0, 1)
    impatient()
    assert "locked" in lab.events("run_failed")[0]["error"]
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "bytes of the SQLite file overwritten with garbage", "the log says so; a backup heals it")
def test_a_database_that_is_garbage(lab: Lab, happens: Happens) -> None:
    exporter, file = lab.start(), lab.folder / "results.db"
    lab.pass_hours(exporter, -1)
    exporter._results.close()
    backup = file.read_bytes()
    file.unlink()
    file.write_bytes(b"garbage" * 1000)
    exporter = lab.start()
    lab.pass_hours(exporter, 0)
    assert "not a database" in lab.events("run_failed")[0]["error"]
    happens(lab.events("run_failed")[0]["error"].rpartition(": ")[2])
    file.unlink()
    file.write_bytes(backup)
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "a database of a newer release", "refused in one sentence; nothing is changed")
def test_a_database_of_a_newer_release(lab: Lab, happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    with closing(sqlite3.connect(lab.folder / "results.db")) as database, database:
        database.execute("UPDATE mlvitals_schema SET version = 99")
    exporter = lab.start()
    lab.pass_hours(exporter, 0)
    (event,) = lab.events("run_failed")
    assert "Upgrade mlvitals here" in event["error"]
    with closing(sqlite3.connect(lab.folder / "results.db")) as database, database:
        assert database.execute("SELECT count(*) FROM drift_windows").fetchone() == (1,)
        database.execute(f"UPDATE mlvitals_schema SET version = {newest_version()}")
    exporter = lab.start()
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


# ---------------------------------------------------------------- references


@pytest.mark.fault("storage", "the active reference damaged for some windows", "the log says so; all is measured later")
def test_a_damaged_reference(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    (artifact,) = (lab.folder / "references").rglob("reference.json")
    sound = artifact.read_bytes()
    artifact.write_bytes(sound[: len(sound) // 2])
    lab.pass_hours(exporter, 0, 1)
    assert len(lab.events("run_failed")) >= 2
    artifact.write_bytes(sound)
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "the alias of the active reference damaged", "the log says what to do")
def test_a_damaged_alias(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    alias = lab.folder / "references" / "shop" / "aliases" / "production"
    version = alias.read_text()
    alias.write_bytes(b"\xff\x00garbage")
    lab.pass_hours(exporter, 0)
    assert lab.events("run_failed")[0]["error"].endswith('promote a version to "production" again') or (
        "promote a version" in lab.events("run_failed")[0]["error"]
    )
    alias.write_text(version)
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


# ---------------------------------------------------------------- files that are written


@pytest.mark.fault(
    "storage", "no room for the textfile of a job of cron", "exit code 1, one sentence, the old file stays"
)
def test_no_room_for_a_textfile(lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    target = lab.folder / "shop.prom"
    target.write_bytes(b"old 1\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PublishError) as raised:
        write_textfile(b"new 1\n", target)
    assert target.read_bytes() == b"old 1\n"
    assert [path.name for path in lab.folder.iterdir() if path.name.endswith(".tmp")] == []
    happens(str(raised.value).rpartition("/")[2])


@pytest.mark.fault("storage", "no room for the log file", "the exporter goes on; stderr has every line")
def test_no_room_for_the_log_file(lab: Lab, capsys: pytest.CaptureFixture[str], happens: Happens) -> None:
    stream = io.StringIO()
    with JsonLog(stream, lab.clock, "shop", file=Path("/dev/full")) as log:
        log("one")
        log("two")
    assert stream.getvalue().count("\n") == 2
    assert "No space left" in capsys.readouterr().err
    happens("No space left on device, on stderr")


@pytest.mark.fault("storage", "stderr closed by whoever read it", "the exporter goes on")
def test_a_closed_stderr(lab: Lab, happens: Happens) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    exporter = lab.start()
    exporter._log = JsonLog(stream, lab.clock, "shop")
    lab.pass_hours(exporter, -1, 0)
    happens(lab.audit(exporter))
    with suppress(BrokenPipeError):
        stream.close()


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def on_postgres(lab: Lab, postgres: "Postgres") -> "Postgres":
    """The shop keeps its results in PostgreSQL."""
    name = f"fault_{uuid4().hex}"
    postgres.create(name)
    lab.replace(results=postgres.results(name))
    return postgres


def database_of(lab: Lab) -> str:
    return lab.spec.results.url.rpartition("/")[2]


def cut_connections(server: "Postgres", name: str) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        parameters=(name,),
    )


@pytest.mark.fault("storage", "PostgreSQL's connections cut between windows", "nobody notices")
def test_connections_cut(lab: Lab, on_postgres: "Postgres", happens: Happens) -> None:
    exporter = lab.start()
    for hour in range(-1, 5):
        lab.pass_hours(exporter, hour)
        cut_connections(on_postgres, database_of(lab))
    assert lab.events("run_failed") == []
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "PostgreSQL's connections cut while a window is kept", "all of it is kept, or nothing")
@pytest.mark.parametrize("place", [2, *(pytest.param(place, marks=pytest.mark.endurance) for place in (1, 3, 4, 5))])
def test_connections_cut_in_the_middle(
    lab: Lab, on_postgres: "Postgres", place: int, monkeypatch: pytest.MonkeyPatch, happens: Happens
) -> None:
    from sqlalchemy import Engine, event

    exporter, name = lab.start(), database_of(lab)
    lab.pass_hours(exporter, -1)
    countdown = [4 * place]

    def cut(*_: object) -> None:
        countdown[0] -= 1
        if countdown[0] == 0:
            cut_connections(on_postgres, name)

    event.listen(Engine, "before_cursor_execute", cut)
    lab.pass_hours(exporter, 0)
    event.remove(Engine, "before_cursor_execute", cut)
    lab.pass_hours(exporter, 1, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "PostgreSQL refuses to write for some windows", "the page stays; all is measured later")
def test_a_database_in_recovery(lab: Lab, on_postgres: "Postgres", happens: Happens) -> None:
    exporter, name = lab.start(), database_of(lab)
    lab.pass_hours(exporter, -1)
    page = exporter._window_page
    on_postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut_connections(on_postgres, name)
    lab.pass_hours(exporter, 0, 1)
    assert exporter._window_page == page
    assert "read-only" in lab.events("run_failed")[0]["error"]
    on_postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    cut_connections(on_postgres, name)
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "PostgreSQL's password changed", "the log says so without it; all is measured later")
def test_a_password_that_changed(lab: Lab, on_postgres: "Postgres", happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    secret = on_postgres.password_file.read_text()
    wrong = lab.folder / "wrong"
    wrong.write_text("n0t-the-password")
    right = lab.spec.results
    lab.replace(results=msgspec.structs.replace(right, password_file=str(wrong)))
    exporter = lab.start()
    lab.pass_hours(exporter, 0)
    (event,) = lab.events("run_failed")[:1]
    assert "password authentication failed" in event["error"]
    assert "n0t-the-password" not in lab.log.getvalue()
    assert secret.strip() not in lab.log.getvalue()
    lab.replace(results=right)
    exporter = lab.start()
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault(
    "storage", "PostgreSQL behind a network that swallows everything", "given up after 10 s; measured later"
)
@pytest.mark.endurance
def test_a_network_that_swallows(lab: Lab, on_postgres: "Postgres", happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    right = lab.spec.results
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        url = right.url.replace(f":{on_postgres.port}/", f":{port}/")
        lab.replace(results=msgspec.structs.replace(right, url=url))
        begin = monotonic()
        exporter = lab.start()
        lab.pass_hours(exporter, 0)
        assert monotonic() - begin < 70
    lab.replace(results=right)
    exporter = lab.start()
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault("storage", "PostgreSQL's tables dropped while running", "the log says so; a restart makes them anew")
def test_tables_that_are_dropped(lab: Lab, on_postgres: "Postgres", happens: Happens) -> None:
    exporter, name = lab.start(), database_of(lab)
    lab.pass_hours(exporter, -1)
    page = exporter._window_page
    on_postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database=name)
    lab.pass_hours(exporter, 0)
    assert exporter._window_page == page
    lab.rows.clear()
    lab.clicks.clear()
    exporter = lab.start()
    lab.pass_hours(exporter, 1, 2)
    happens(lab.audit(exporter))
