import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, spoil, value, write_parquet

from mlvitals.exporters.listener import Page
from mlvitals.exporters.process.runs import Run, RunsApart, run_here
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.stores import DirectoryStore, open_store
from mlvitals.exporters.training.build import build_reference

MEASURED_AT = NOON + timedelta(minutes=5)
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a spec's log and reference."""
    training = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000)
    store = DirectoryStore(tmp_path / "references", "shop")
    version = store.save(build_reference(SPEC, training, created=NOON - 30 * HOUR, source_hash=""))
    store.promote(version, "production")
    write_parquet(log_rows(WINDOW.start, WINDOW.end), tmp_path / "log" / "a.parquet")
    return tmp_path


@pytest.fixture
def runs(folder: Path) -> Iterator[RunsApart]:
    with closing(RunsApart(SPEC, folder)) as apart:
        yield apart


def here(folder: Path) -> Run:
    references, results = open_store(SPEC.reference.store, folder, "shop"), open_results(SPEC.results, folder)
    return run_here(SPEC, folder, references, results, WINDOW, MEASURED_AT)


def text(run: Run) -> bytes:
    return Page(b"", packed=run.page).body


def test_a_process_of_its_own_measures_and_keeps_the_same(folder: Path, runs: RunsApart) -> None:
    apart = runs(WINDOW, MEASURED_AT)
    (kept,) = open_results(SPEC.results, folder).windows_between("shop", WINDOW.start, WINDOW.end)
    assert (kept.window, kept.measured_at) == (WINDOW, MEASURED_AT)
    assert value(text(apart), "shop_window_rows") == 1000
    assert apart == here(folder)


def test_a_failure_in_a_process_of_its_own_says_the_same(folder: Path, runs: RunsApart) -> None:
    (folder / "log").rename(folder / "gone")
    apart = runs(WINDOW, MEASURED_AT)
    assert "prediction_log.path log does not exist" in apart.error
    assert apart == here(folder)


def test_a_process_that_dies_is_a_run_that_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = folder / "killed"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    with closing(RunsApart(SPEC, folder)) as runs:
        run = runs(WINDOW, MEASURED_AT)
    assert run == Run(None, "the measuring process ended with code -9 (-9: killed, out of memory?)")


def test_windows_run_one_after_the_other_each_in_a_process_that_waited_for_it(folder: Path, runs: RunsApart) -> None:
    assert runs(WINDOW, MEASURED_AT) == runs(WINDOW, MEASURED_AT) == here(folder)


def test_a_process_opens_no_file_of_other_times_that_one_before_it_opened(folder: Path, runs: RunsApart) -> None:
    old = write_parquet(log_rows(NOON - 90 * HOUR, NOON - 89 * HOUR), folder / "log" / "old.parquet")
    runs(WINDOW, MEASURED_AT)
    spoil(old)
    assert value(text(runs(WINDOW, MEASURED_AT)), "shop_log_files_unreadable") == 0
    assert value(text(here(folder)), "shop_log_files_unreadable") == 1, "who has not opened it before finds it broken"


def test_what_is_known_of_files_outlives_a_process_that_dies(folder: Path, runs: RunsApart) -> None:
    old = write_parquet(log_rows(NOON - 90 * HOUR, NOON - 89 * HOUR), folder / "log" / "old.parquet")
    runs(WINDOW, MEASURED_AT)
    spoil(old)
    runs._waiting.kill()
    runs._waiting.wait()
    assert runs(WINDOW, MEASURED_AT).error
    assert value(text(runs(WINDOW, MEASURED_AT)), "shop_log_files_unreadable") == 0


def test_a_waiting_process_that_was_killed_is_a_run_that_failed_and_the_next_succeeds(runs: RunsApart) -> None:
    runs._waiting.kill()
    runs._waiting.wait()
    assert "ended with code -9" in runs(WINDOW, MEASURED_AT).error
    assert runs(WINDOW, MEASURED_AT).error == ""


# ---------------------------------------------------------------- a system without room for a process


def no_room(*_: object, **__: object) -> None:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_a_run_is_kept_although_no_process_can_be_started_after_it(
    folder: Path, runs: RunsApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", no_room)
        assert runs(WINDOW, MEASURED_AT) == here(folder)
    assert runs(WINDOW, MEASURED_AT).error == ""


def test_a_window_for_which_no_process_can_be_started_is_a_run_that_failed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", no_room)
    with closing(RunsApart(SPEC, folder)) as runs:
        run = runs(WINDOW, MEASURED_AT)
    assert run == Run(None, f"no process to measure in: [Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}")
