"""The exporter process: measures every window as it becomes due, keeps the results and serves the last good ones."""

import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.listener import Page, Report
from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.json_log import JsonLog, Level
from mlvitals.exporters.process.pages import WINDOWS_FOLDER, ReportPages
from mlvitals.exporters.process.runs import Run, Runner, RunsApart, run_here
from mlvitals.exporters.process.server import Folders, Pages, PageServer
from mlvitals.exporters.publish.prometheus import CONTENT_TYPE, RunState, packed, render_state, render_window
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.reference.versions import ReferenceStore
from mlvitals.exporters.schedule import due_windows, gaps, newest_end, next_due
from mlvitals.exporters.sections.changes import Change
from mlvitals.exporters.sections.events.totals import logged_counters
from mlvitals.exporters.sections.freshness import Reading, newest
from mlvitals.generator.contract import CHANGES_SHOWN, Contract
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.model import Spec

Clock = Callable[[], datetime]
"""Gives the current time, aware."""

LONGEST_SLEEP = timedelta(seconds=30)
"""The loop looks at the clock at least this often, so that a clock that is set or a machine that slept is noticed."""
RETRY_AFTER = timedelta(minutes=1)
"""A window that failed is tried again after this, and until one succeeds."""
SHORTEST_STUCK = timedelta(minutes=10)
"""A measurement may take this long, and as long as the step, before the process calls itself stuck."""


def utc_now() -> datetime:
    """Return the present by the machine's clock."""
    return datetime.now(UTC)


class Exporter:
    """The state of one exporter: the report it publishes, the health of its runs, and the age of its sources.

    Its pages may be asked for from any thread while one thread runs the loop.
    """

    def __init__(
        self,
        spec: Spec,
        base_dir: Path,
        references: ReferenceStore,
        results: ResultsStore,
        clock: Clock,
        log: JsonLog,
        runner: Runner | None = None,
    ) -> None:
        self._spec = spec
        self._base_dir = base_dir
        self._results = results
        self._run_window = runner or partial(run_here, spec, base_dir, references, results)
        self._clock = clock
        self._log = log
        self._contract = Contract(spec)
        self._length, self._step, self._grace = (
            span(duration) for duration in (spec.windows.length, spec.step, spec.windows.grace)
        )
        self._reports = ReportPages(spec.system.name, self._step, results, clock)
        self._window_page = packed(render_window(self._contract, None))
        self._ready = False
        self._state = RunState()
        self._freshness: dict[str, Reading] = {}
        self._changes: tuple[Change, ...] = ()
        self._last_end: datetime | None = None
        self._failed: set[Window] = set()
        self._differences: tuple[str, ...] = ()
        self._tried_end: datetime | None = None
        self._tried_at: datetime | None = None
        self._alive_at = clock()

    def restore(self) -> None:
        """Publish the last stored report, so that a restart leaves no gap, and find the windows that failed before it."""
        system, reach = self._spec.system.name, self._spec.windows.catch_up * self._step
        try:
            report = self._results.last_report(system)
            totals = self._kept_totals() if report is None or report.events is None else {}
            if report is not None:
                kept = self._results.windows_between(system, report.window.end - reach, report.window.end)
                duration = self._results.duration(system, report.window)
                self._failed = gaps((stored.window for stored in kept), self._length, self._step)
        except DatabaseError as error:
            self._log("restore_failed", level=Level.ERROR, error=str(error))
            return
        page = packed(render_window(self._contract, report, totals))
        if report is None:
            self._window_page = page
        else:
            self._publish(page)
            self._last_end = report.window.end
            self._state = RunState(
                last_run=report.measured_at,
                last_success=report.measured_at,
                duration_seconds=duration,
            )

    def run_due(self) -> None:
        """Measure the windows that are due, oldest first, and publish the newest; does nothing where none is.

        Windows that failed although a newer one succeeded are due too, until `catch_up` gives them up.
        """
        now = self._clock()
        newest_now, catch_up = newest_end(now, self._step, self._grace), self._spec.windows.catch_up
        if self._ran_ahead(newest_now):
            ahead = self._last_end and self._last_end.isoformat()
            self._log("clock_set_back", level=Level.WARNING, last_window_end=ahead)
            self._last_end = None
            self._failed = {window for window in self._failed if window.end <= newest_now}
        due = due_windows(self._last_end, now, self._length, self._step, self._grace, catch_up)
        lost = {window for window in self._failed if window.end >= newest_now - catch_up * self._step}
        self._failed.clear()
        before, windows = self._last_end, sorted({*due, *lost}, key=lambda window: window.end)
        runs = [self._run(window) for window in windows]
        pages = [(run.page_end, run.page) for run in runs if run.page_end is not None and run.page is not None]
        pages.sort(key=itemgetter(0))
        if pages and (before is None or pages[-1][0] >= before):
            self._publish(pages[-1][1])
        self._tried_end, self._tried_at = newest_now, now

    def loop(self, stop: threading.Event) -> None:
        """Run what is due, then sleep, until `stop` is set."""
        while not stop.is_set():
            self._alive_at = self._clock()
            if self._should_run(self._alive_at):
                self.run_due()
            now = self._clock()
            pause = min(next_due(now, self._step, self._grace) - now, LONGEST_SLEEP)
            stop.wait(pause.total_seconds())

    def refresh_freshness(self, source: str) -> None:
        """Look up how old a source's newest data is."""
        before = self._freshness.get(source)
        reading = newest(self._spec.sources[source], self._base_dir)
        self._freshness[source] = reading
        if reading.newest is None and reading != before:
            self._log("source_age_unknown", level=Level.WARNING, source=source, reason=reading.reason)

    def refresh_changes(self) -> None:
        """Look up which deployments and pipeline changes were recorded."""
        try:
            self._changes = self._results.newest_changes(self._spec.system.name, CHANGES_SHOWN)
        except DatabaseError as error:
            self._log("changes_unknown", level=Level.WARNING, error=str(error))

    def pages(self) -> Pages:
        """Return what the process serves."""
        reports = self._reports.history
        return {"/": reports, "/metrics": self.metrics, "/healthz": self.health, "/readyz": self.readiness}

    def folders(self) -> Folders:
        """Return what the process serves by the name of a window."""
        return {WINDOWS_FOLDER: self._reports.report}

    def metrics(self) -> Page:
        """Return the last good values, and the process's own health now."""
        state = render_state(self._contract, self._state, self._freshness, self._clock(), self._changes)
        return Page(state, content_type=CONTENT_TYPE, packed=self._window_page)

    def health(self) -> Page:
        """True if the loop still turns."""
        since = self._clock() - self._alive_at
        if since > max(self._step, SHORTEST_STUCK):
            return Page(f"stuck: nothing moved for {since}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Page(b"ok\n")

    def readiness(self) -> Page:
        """True if there is something to publish."""
        if not self._ready:
            reason = (
                "every run failed so far; the log says why" if self._state.failures else "no window is measured yet"
            )
            return Page(f"not ready: {reason}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Page(b"ok\n")

    def _kept_totals(self) -> dict[str, float]:
        """Return the running totals of events before any step is counted, so that the first one is seen as a rise."""
        counters = logged_counters(self._spec)
        totals = self._results.event_totals(self._spec.system.name, counters.values()) if counters else {}
        return {name: totals[counter] for name, counter in counters.items()}

    def _should_run(self, now: datetime) -> bool:
        newest_now = newest_end(now, self._step, self._grace)
        if newest_now != self._tried_end:
            return True
        failed = self._last_end is None or self._last_end < newest_now
        return failed and self._tried_at is not None and now - self._tried_at >= RETRY_AFTER

    def _ran_ahead(self, newest_now: datetime) -> bool:
        """True if the newest window, empty and ending after what is due, is of a clock that was ahead and is set back.

        One that holds rows says that the clock is behind now, and nothing is measured until it is right again.
        """
        if self._last_end is None or self._last_end <= newest_now + self._step:
            return False
        try:
            ahead = self._results.windows_between(self._spec.system.name, newest_now + self._step, self._last_end)
        except DatabaseError:
            return False
        return bool(ahead) and not ahead[-1].rows

    def _run(self, window: Window) -> Run:
        """Run one window, and count it."""
        begin = self._alive_at = self._clock()
        run = self._run_window(window, begin)
        failed = bool(run.error)
        if failed:
            self._log("run_failed", level=Level.ERROR, **_bounds(window), error=run.error)
        self._log_differences(window, run.differences)
        end = self._clock()
        if not failed:
            self._log("window_measured", **_bounds(window), seconds=round((end - begin).total_seconds(), 3))
        self._state = RunState(
            runs=self._state.runs + 1,
            failures=self._state.failures + failed,
            last_run=end,
            last_success=self._state.last_success if failed else end,
            duration_seconds=self._state.duration_seconds if failed else (end - begin).total_seconds(),
        )
        if failed:
            self._failed.add(window)
        elif self._last_end is None or self._last_end < window.end:
            self._last_end = window.end
        return run

    def _log_differences(self, window: Window, differences: tuple[str, ...]) -> None:
        """Name the columns that differ, when they start to."""
        if differences and differences != self._differences:
            self._log("schema_differences", level=Level.WARNING, window_end=window.end.isoformat(), columns=differences)
        self._differences = differences

    def _publish(self, page: bytes) -> None:
        self._window_page = page
        self._ready = True


def _bounds(window: Window) -> dict[str, Any]:
    return {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}


def run_exporter(
    spec: Spec,
    base_dir: Path,
    *,
    stop: threading.Event,
    log_to: TextIO,
    clock: Clock = utc_now,
    listen: str | None = None,
    log_file: Path | None = None,
) -> None:
    """Serve and measure until `stop` is set or, in the main thread, SIGTERM or SIGINT arrives.

    Args:
        spec: the system's spec.
        base_dir: where its relative paths start.
        stop: ends the process when set.
        log_to: where events are written, one line of JSON each.
        clock: gives the current time.
        listen: HOST:PORT instead of the spec's.
        log_file: where events are written too; see `JsonLog`.

    Raises:
        ArtifactError: the spec names a kind of reference store that there is not.
        DatabaseError: the spec's results database cannot be opened.
        ListenError: the address cannot be listened on.
        LogFileError: the log file cannot be written.

    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    references = open_store(spec.reference.store, base_dir, spec.system.name)
    results = open_results(spec.results, base_dir)
    with JsonLog(log_to, clock, spec.system.name, file=log_file) as log:
        with closing(results), closing(RunsApart(spec, base_dir)) as runner:
            exporter = Exporter(spec, base_dir, references, results, clock, log, runner)
            with suppress(KeyboardInterrupt):
                exporter.restore()
                pages = exporter.pages()
                with PageServer(
                    listen or spec.exporter.listen, pages, _report_to(log), folders=exporter.folders()
                ) as server:
                    log("listening", url=server.url)
                    _watch(spec, exporter, partial(_look_at, server, log), stop)
                    exporter.loop(stop)
            stop.set()
        log("stopped")


def _report_to(log: JsonLog) -> Report:
    return lambda problem: log("http_failed", level=Level.ERROR, problem=problem)


def _look_at(server: PageServer, log: JsonLog) -> None:
    """Report in the log that no page is answered: where none comes, the log is all that is left to say so."""
    if not server.is_answering("/healthz"):
        log("http_silent", level=Level.ERROR, problem="the process's own pages are not answered")


def _watch(spec: Spec, exporter: Exporter, look_at_server: Callable[[], None], stop: threading.Event) -> None:
    """Watch the server, the changes and each source from threads of their own: none that hangs ages the others."""
    interval = seconds(spec.exporter.freshness_interval)

    def watch(look: Callable[[], None]) -> None:
        while not stop.is_set():
            look()
            stop.wait(interval)

    looks = {f"freshness-{source}": partial(exporter.refresh_freshness, source) for source in spec.sources}
    for name, look in {**looks, "changes": exporter.refresh_changes, "http-watch": look_at_server}.items():
        threading.Thread(target=watch, args=(look,), name=name, daemon=True).start()
