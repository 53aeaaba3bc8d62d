"""The exporter's pages for people: the history of the newest windows, and the report of each, read-only.

They come from the results database. One is made at a time, and whoever asks meanwhile is asked to try again: a database
that hangs, or many readers, must never take the threads that answer scrapes.
"""

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from threading import Lock

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.listener import Page
from mlvitals.exporters.publish.html.history import Links, history_page
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.window.summary import key_of, window_of_key

WINDOWS_FOLDER = "/windows/"
"""The reports, each by the key of its window."""
NEWEST = "newest"
"""The key of the newest window's report."""
_PERIOD = timedelta(days=30)
_MOST_WINDOWS = 1_500
_KEPT_FOR = timedelta(seconds=15)
"""The history is not made again before this is over, however often it is asked for."""
_HTML = "text/html; charset=utf-8"
_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"))


class ReportPages:
    """Pages of one system, which may be asked for from any thread."""

    def __init__(self, system: str, step: timedelta, results: ResultsStore, clock: Callable[[], datetime]) -> None:
        self._system = system
        self._step = step
        self._results = results
        self._clock = clock
        self._busy = Lock()
        self._kept: tuple[datetime, Page] | None = None

    def history(self) -> Page:
        """Return the history of 30 days up to the newest window."""
        kept, now = self._kept, self._clock()
        if kept and abs(now - kept[0]) < _KEPT_FOR:
            return kept[1]
        page = self._alone(self._history)
        if page.status is HTTPStatus.OK:
            self._kept = now, page
        return page

    def report(self, key: str) -> Page:
        """Return the report of the window that a key names."""
        return self._alone(lambda: self._report(key))

    def _alone(self, make: Callable[[], Page]) -> Page:
        if not self._busy.acquire(blocking=False):
            busy = b"another page is being made; try again in a moment\n"
            return Page(busy, HTTPStatus.SERVICE_UNAVAILABLE, headers=(("Retry-After", "1"),))
        try:
            return make()
        except DatabaseError:
            return Page(b"the results database cannot be read now\n", HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self._busy.release()

    def _history(self) -> Page:
        end = self._results.end_of_newest(self._system)
        windows = self._results.summaries_between(self._system, end - _PERIOD, end, _MOST_WINDOWS) if end else []
        newest = (("Newest report", f"{WINDOWS_FOLDER}{NEWEST}"),) if windows else ()
        others = (*newest, ("Metrics", "/metrics"), ("Health", "/healthz"), ("Readiness", "/readyz"))
        links = Links(report=lambda window: f"{WINDOWS_FOLDER}{key_of(window)}", others=others)
        return _html(history_page(self._system, windows, self._step, links))

    def _report(self, key: str) -> Page:
        window = window_of_key(key)
        if key == NEWEST:
            report = self._results.last_report(self._system)
        else:
            report = self._results.report_of(self._system, window) if window else None
        if report is None:
            return Page(b"no report of such a window is kept; all there are: /\n", HTTPStatus.NOT_FOUND)
        return _html(html_page(report, home="/"))


def _html(page: str) -> Page:
    return Page(b"", content_type=_HTML, packed=gzip.compress(page.encode(), compresslevel=4), headers=_HEADERS)
