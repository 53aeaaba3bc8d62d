"""Databases, references, textfiles and log files are away, full or damaged: the last good page stays, and nothing is lost."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from exporter_samples import HOUR, NOON
from lab import MINUTE, Lab

from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind

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
