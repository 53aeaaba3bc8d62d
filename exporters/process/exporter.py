"""The exporter process: measures every window as it becomes due, keeps the results and serves the last good ones."""

import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

import msgspec

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.listener import Page, Report
from mlvitals.exporters.parts import Samples, Window
from mlvitals.exporters.process.json_log import JsonLog, Level
from mlvitals.exporters.process.pages import WINDOWS_FOLDER, ReportPages
from mlvitals.exporters.process.progress import Progress
from mlvitals.exporters.process.runs import Run, Runner, RunsApart, run_here
from mlvitals.exporters.process.server import Folders, Pages, PageServer
from mlvitals.exporters.publish.prometheus import CONTENT_TYPE, RunState, packed, render_state, render_window
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.reference.versions import ReferenceStore
from mlvitals.exporters.schedule import schedule_of
from mlvitals.exporters.sections.changes import Change
from mlvitals.exporters.sections.events.totals import logged_counters
from mlvitals.exporters.sections.freshness import Reading, newest
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.row_times import row_times
from mlvitals.generator.contract import CHANGES_SHOWN, Contract
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.model import Spec

MoreGauges = Callable[[], Samples]
"""Looks up metrics, by the short names of their families."""
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
        more: MoreGauges | None = None,
    ) -> None:
        self._spec = spec
        self._base_dir = base_dir
        self._results = results
        self._run_window = runner or partial(run_here, spec, base_dir, references, results)
        self._clock = clock
        self._log = log
        self._contract = Contract(spec)
        self._step = span(spec.step)
        self._schedule = schedule_of(spec, row_times(spec.prediction_log, base_dir))
        self._progress = Progress(self._schedule, spec.windows.catch_up)
        self._reports = ReportPages(spec.system.name, self._step, results, clock)
        self._window_page = packed(render_window(self._contract, None))
        self._page_end: datetime | None = None
        """The end of the page's window; None where no window is published."""
        self._page_is_kept = False
        self._state = RunState()
        self._freshness: dict[str, Reading] = {}
        self._changes: tuple[Change, ...] = ()
        self._look_for_more = more
        self._more: Samples = {}
        self._differences: tuple[str, ...] = ()
        self._tried_end: datetime | None = None
        self._tried_at: datetime | None = None
        self._reported: dict[str, object] = {}
        """By event that is reported once, its detail."""
        self._times_replaced = 0
        self._unkept_since: datetime | None = None
        self._database_lost_since: datetime | None = None
        self._alive_at = clock()

    def restore(self) -> None:
        """Publish the last stored report, so that a restart leaves no gap, and find the windows that failed before it.

        Where the database is away this is tried again with every run, until it succeeds: nothing is forgotten meanwhile.
        """
        now, system = self._clock(), self._spec.system.name
        try:
            kept = self._progress.look(self._results, system, now)
            newest_now = self._progress.newest_end(now)
            report = self._results.last_report(system, until=max(kept.last_end or newest_now, newest_now))
            totals = self._kept_totals() if report is None or report.events is None else {}
            duration = None if report is None else self._results.duration(system, report.window)
        except DatabaseError as error:
            self._report_once("restore_failed", str(error), level=Level.ERROR, error=str(error))
            return
        self._report_once("restore_failed", None)
        if kept.ahead_until is not None and self._progress.is_ahead(kept.ahead_until, now):
            ahead = kept.ahead_until.isoformat()
            self._report_once("clock_set_back", ahead, level=Level.WARNING, last_window_end=ahead)
        if report is not None:
            self._show_kept(report, totals, duration)
        elif self._page_end is None:
            self._window_page = packed(render_window(self._contract, None, totals))

    def run_due(self) -> None:
        """Measure the windows that are due, oldest first, and publish each; does nothing where none is.

        Windows that failed although a newer one succeeded are due too, until `catch_up` gives them up.
        """
        now = self._clock()
        self._notice_replaced()
        if self._progress.must_look(now):
            self.restore()
        for window in self._progress.owed(now):
            if window.end > self._progress.newest_end(self._clock()):
                break  # the clock was set back meanwhile
            self._publish(self._run(window))
        self._tried_end, self._tried_at = self._progress.newest_end(now), now

    def loop(self, stop: threading.Event) -> None:
        """Run what is due, then sleep, until `stop` is set."""
        while not stop.is_set():
            self._alive_at = self._clock()
            if self._should_run(self._alive_at):
                self.run_due()
            now = self._clock()
            pause = min(self._schedule.next_due(now) - now, LONGEST_SLEEP)
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
            self._database_lost_since = None
            self._notice_replaced()
        except DatabaseError as error:
            self._database_lost_since = self._database_lost_since or self._clock()
            self._log("changes_unknown", level=Level.WARNING, error=str(error))

    def refresh_more(self) -> None:
        """Look up the metrics that others contribute; what was known stays while that fails."""
        if self._look_for_more is None:
            return
        try:
            self._more = self._look_for_more()
        except (UserError, OSError) as error:
            self._log("more_unknown", level=Level.WARNING, error=str(error))

    def pages(self) -> Pages:
        """Return what the process serves."""
        reports = self._reports.history
        return {"/": reports, "/metrics": self.metrics, "/healthz": self.health, "/readyz": self.readiness}

    def folders(self) -> Folders:
        """Return what the process serves by the name of a window."""
        return {WINDOWS_FOLDER: self._reports.report}

    def metrics(self) -> Page:
        """Return the last good values, and the process's own health now."""
        state = render_state(self._contract, self._state, self._freshness, self._clock(), self._changes, self._more)
        return Page(state, content_type=CONTENT_TYPE, packed=self._window_page)

    def health(self) -> Page:
        """True if the loop still turns."""
        since = self._clock() - self._alive_at
        if since > max(self._step, SHORTEST_STUCK):
            return Page(f"stuck: nothing moved for {since}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Page(b"ok\n")

    def readiness(self) -> Page:
        """True if there is something to publish, and it is not long ago that something could be measured and kept."""
        now = self._clock()
        if self._page_end is None:
            reason = (
                "every run failed so far; the log says why" if self._state.failures else "no window is measured yet"
            )
        elif _is_over(self._unkept_since, max(2 * self._step, SHORTEST_STUCK), now):
            reason = f"no window was measured and kept since {self._unkept_since}; the log says why"
        elif _is_over(self._database_lost_since, SHORTEST_STUCK, now):
            reason = f"the results database cannot be reached since {self._database_lost_since}; the log says why"
        else:
            return Page(b"ok\n")
        return Page(f"not ready: {reason}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)

    def _notice_replaced(self) -> None:
        """Report that the results database was deleted or replaced, and go on from what the one there is now holds."""
        if self._results.times_replaced != self._times_replaced:
            self._times_replaced = self._results.times_replaced
            self._progress.distrust()
            self._log("results_replaced", level=Level.WARNING, problem="the file of the results is another one")

    def _kept_totals(self) -> dict[str, float]:
        """Return the running totals of events before any step is counted, so that the first one is seen as a rise."""
        counters = logged_counters(self._spec)
        totals = self._results.event_totals(self._spec.system.name, counters.values()) if counters else {}
        return {name: totals[counter] for name, counter in counters.items()}

    def _should_run(self, now: datetime) -> bool:
        if self._progress.newest_end(now) != self._tried_end:
            return True
        is_time = self._tried_at is not None and now - self._tried_at >= RETRY_AFTER
        return is_time and self._progress.is_behind(now)

    def _is_shown_too_early(self) -> bool:
        """True if the page is of a window that is not over: the clock was ahead when it was measured."""
        return self._page_end is not None and self._page_end > self._progress.newest_end(self._clock())

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
            self._progress.failed(window)
            self._unkept_since = self._unkept_since or begin
        else:
            self._progress.measured(window)
            self._unkept_since = None
        return run

    def _log_differences(self, window: Window, differences: tuple[str, ...]) -> None:
        """Name the columns that differ, when they start to."""
        if differences and differences != self._differences:
            self._log("schema_differences", level=Level.WARNING, window_end=window.end.isoformat(), columns=differences)
        self._differences = differences

    def _publish(self, run: Run) -> None:
        """Show a run's page where it is newer. One that could not be kept lacks what the database knows.

        It is better than none, and never takes the place of one that was kept.
        """
        if run.page is None or run.page_end is None or (run.error and self._page_is_kept):
            return
        if self._page_end is None or run.page_end >= self._page_end or self._is_shown_too_early():
            self._show(run.page, run.page_end, is_kept=not run.error)

    def _show_kept(self, report: WindowReport, totals: dict[str, float], duration: float | None) -> None:
        """Show a report that is kept, unless one that is as new is shown."""
        end, shown = report.window.end, self._page_end
        is_newer = shown is None or end > shown or (end == shown and not self._page_is_kept)
        if not is_newer and not self._is_shown_too_early():
            return
        self._show(packed(render_window(self._contract, report, totals)), end, is_kept=True)
        if self._state.last_success is None:
            last_run = self._state.last_run or report.measured_at
            self._state = msgspec.structs.replace(
                self._state, last_run=last_run, last_success=report.measured_at, duration_seconds=duration
            )

    def _show(self, page: bytes, end: datetime, *, is_kept: bool) -> None:
        self._window_page, self._page_end, self._page_is_kept = page, end, is_kept

    def _report_once(self, event: str, detail: object, level: Level = Level.INFO, **details: object) -> None:
        """Write an event unless it was written with the same detail before; a detail of None ends it silently."""
        if detail is not None and self._reported.get(event) != detail:
            self._log(event, level=level, **details)
        self._reported[event] = detail


def _is_over(since: datetime | None, limit: timedelta, now: datetime) -> bool:
    return since is not None and now - since > limit


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
    more: MoreGauges | None = None,
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
        more: metrics of the contract that are not the exporter's own to know, such as those of incidents.

    Raises:
        ArtifactError: the spec names a kind of reference store that there is not.
        DatabaseError: the spec's results database cannot be opened.
        ListenError: the address cannot be listened on.
        LogFileError: the log file cannot be written.

    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        references = open_store(spec.reference.store, base_dir, spec.system.name)
        results = open_results(spec.results, base_dir)
        with JsonLog(log_to, clock, spec.system.name, file=log_file) as log:
            with closing(results), closing(RunsApart(spec, base_dir)) as runner:
                exporter = Exporter(spec, base_dir, references, results, clock, log, runner, more)
                with suppress(KeyboardInterrupt):
                    exporter.restore()
                    with PageServer(
                        listen or spec.exporter.listen, exporter.pages(), _report_to(log), folders=exporter.folders()
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
    for name, look in {
        **looks,
        "changes": exporter.refresh_changes,
        "more": exporter.refresh_more,
        "http-watch": look_at_server,
    }.items():
        threading.Thread(target=watch, args=(look,), name=name, daemon=True).start()
