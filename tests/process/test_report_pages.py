"""The exporter's pages for people."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from exporter_samples import HOUR, NOON, WINDOW, report

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.listener import Page
from mlvitals.exporters.process.pages import WINDOWS_FOLDER, ReportPages
from mlvitals.exporters.process.server import PageServer
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.exporters.window.summary import key_of
from mlvitals.generator.spec.model import Results


@pytest.fixture
def results(tmp_path: Path) -> Iterator[ResultsStore]:
    with closing(open_results(Results(url="sqlite:///results.db"), tmp_path)) as opened:
        yield opened


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pages(results: ResultsStore, clock: Clock) -> ReportPages:
    return ReportPages("shop", HOUR, results, clock)


def text(page: Page) -> str:
    return page.body.decode()


def test_the_history_leads_to_each_report_the_newest_and_the_metrics(pages: ReportPages, results: ResultsStore):
    results.save(report())
    page = pages.history()
    assert page.content_type == "text/html; charset=utf-8"
    for address in (f"{WINDOWS_FOLDER}{key_of(WINDOW)}", f"{WINDOWS_FOLDER}newest", "/metrics"):
        assert f'href="{address}"' in text(page)


@pytest.mark.parametrize("key", [key_of(WINDOW), "newest"])
def test_a_report_is_served_by_its_window(pages: ReportPages, results: ResultsStore, key: str):
    results.save(report())
    page = pages.report(key)
    assert page.status is HTTPStatus.OK
    assert "2026-03-03 11:00 to 2026-03-03 12:00 UTC" in text(page)
    assert 'href="/"' in text(page)


@pytest.mark.parametrize("key", ["", "newest", "..", "x" * 8000, "20260303T110000Z-20260303T130000Z"])
def test_a_window_that_is_not_kept_is_not_found(pages: ReportPages, key: str):
    assert pages.report(key).status is HTTPStatus.NOT_FOUND


def test_before_the_first_window_the_history_says_so(pages: ReportPages):
    assert "No window is kept yet" in text(pages.history())


def test_the_history_is_made_again_only_after_a_while(pages: ReportPages, results: ResultsStore, clock: Clock):
    pages.history()
    results.save(report())
    assert "No window is kept yet" in text(pages.history())
    clock.now += timedelta(minutes=1)
    assert "No window is kept yet" not in text(pages.history())


def test_a_database_that_fails_is_said_and_not_kept(
    pages: ReportPages, results: ResultsStore, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise DatabaseError("secret")

    with monkeypatch.context() as broken:
        broken.setattr(results, "end_of_newest", fail)
        page = pages.history()
    assert page.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert "secret" not in text(page)
    assert pages.history().status is HTTPStatus.OK


def test_while_the_database_hangs_everyone_else_is_answered_at_once(
    pages: ReportPages, results: ResultsStore, monkeypatch: pytest.MonkeyPatch
):
    asked, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        asked.set()
        go_on.wait(10)

    monkeypatch.setattr(results, "last_report", hang)
    first = threading.Thread(target=pages.report, args=("newest",))
    first.start()
    assert asked.wait(10)
    assert pages.report("newest").status is HTTPStatus.SERVICE_UNAVAILABLE
    go_on.set()
    first.join()


def test_over_http_a_folder_is_asked_for_what_stands_behind_its_slash(pages: ReportPages, results: ResultsStore):
    results.save(report())
    served = {"/": pages.history}
    with PageServer("127.0.0.1:0", served, print, folders={WINDOWS_FOLDER: pages.report}) as server:
        with urlopen(f"{server.url}/") as answer:
            page = answer.read()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"Found over time" in (gzip.decompress(page) if page[:2] == b"\x1f\x8b" else page)
        with urlopen(f"{server.url}{WINDOWS_FOLDER}newest") as answer:
            assert answer.status == HTTPStatus.OK
        for path in ("/windows", "/windows/a/b", "/windows/..%2f", "/elsewhere"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"{server.url}{path}")
