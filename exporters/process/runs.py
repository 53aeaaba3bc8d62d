"""One run of the exporter: a window is measured, kept and rendered, in this process or in one of its own.

A process of its own lets a scrape be answered while a large window is measured, gives its memory back when it ends,
and is all that dies where the system runs out of it.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import msgspec

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import Window
from mlvitals.exporters.paths import first_line
from mlvitals.exporters.publish.prometheus import packed, render_window
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.exporters.reading.known import FileFacts, KnownFiles
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reference.artifact import ArtifactError
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.reference.versions import ReferenceStore
from mlvitals.exporters.window.history import first_history, judge, judge_again, reference_gap, with_totals
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Spec


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run: a page worth publishing even where it could not be kept, and what failed."""

    page: bytes | None
    """The families of a window, as `exposition.packed` gives them; None where nothing was measured."""
    error: str = ""
    """Empty where everything succeeded."""
    differences: tuple[str, ...] = ()
    """Columns in which the log and the reference differ, with how."""
    page_end: datetime | None = None
    """The end of the page's window: the one that was run, or a newer one that says something else now."""


Runner: TypeAlias = Callable[[Window, datetime], Run]
"""Runs one window, measured at an aware moment. Never raises."""


def run_here(
    spec: Spec,
    base_dir: Path,
    references: ReferenceStore,
    results: ResultsStore,
    window: Window,
    measured_at: datetime,
    known: KnownFiles | None = None,
) -> Run:
    """Measure, keep and render one window, and forget what is past its retention.

    A window of which more rows are kept than are found now stays as it is kept, for logs are deleted when they are old.
    Newer windows, which were judged without this one, are judged again. What is learnt of the log's files is added to
    what is known.
    """
    report: WindowReport | None = None
    judged: list[WindowReport] = []
    error, begin = "", perf_counter()
    try:
        reference = references.load(spec.reference.alias)
        report = measure_window(spec, base_dir, reference, reference.version, window, measured_at, known=known)
        if report.rows < (results.rows_of(report.system, window) or 0):
            return Run(None)  # measured before, when the log still held it: that stays
        empty = first_history(spec, reference.version, reference_gap(report))
        history = results.history(report.system, empty, until=window.end)
        report = judge(spec, report, history, results)
        changed: list[WindowReport] = []
        if later := results.reports_after(report, until=measured_at):
            since = results.past_windows(report.system, reference.version, since=window.end)
            changed = _with_newest_totals(spec, later, judge_again(spec, report, history, since, later), results)
        results.save(report, seconds=perf_counter() - begin, changed=changed)
        judged = changed
        _forget(spec, results, measured_at)
    except (LogError, ArtifactError, DatabaseError) as problem:
        error = first_line(problem)
    except Exception as problem:  # whatever happens in one window, the next is measured
        error = f"{type(problem).__name__}: {first_line(problem)}"
    if report is None:
        return Run(None, error)
    differences = tuple(f"{item.kind}: {item.column}" for item in report.schema_differences)
    newest = judged[-1] if judged else report
    return Run(packed(render_window(Contract(spec), newest)), error, differences, newest.window.end)


def _with_newest_totals(
    spec: Spec, later: Sequence[WindowReport], changed: list[WindowReport], results: ResultsStore
) -> list[WindowReport]:
    """Return the reports that a late window changes: its business events raise the totals of the newest one too."""
    if not later:
        return changed
    newest = changed[-1] if changed and changed[-1].window == later[-1].window else later[-1]
    counted = with_totals(spec, newest, results)
    return changed if counted == newest else [*(one for one in changed if one is not newest), counted]


def _forget(spec: Spec, results: ResultsStore, now: datetime) -> None:
    """Forget what is past its retention by a time that the data confirm, and windows that are not over yet.

    The clock alone decides nothing, for it may be years ahead: the retention is counted from the newest window that holds
    rows. Rows may have been written by the same clock: as many windows as fit into the retention stay in any case. What a
    clock that was ahead has measured is nothing, and would be the newest for years.
    """
    system, retention = spec.system.name, span(spec.results.retention)
    newest = results.newest_window(system, until=now, with_rows=True)
    oldest_end = results.end_of_newest(system, count=-(-retention // span(spec.step)))
    if newest is not None and oldest_end is not None:
        results.forget_before(system, min(newest.window.end - retention, oldest_end))
    if newest is not None:
        results.forget_empty_after(system, now)


class RunsApart:
    """Runs as `run_here`, each in a process of its own; one that is killed is a run that failed.

    The next process is started ahead and waits for its window: to load what it needs takes longer than to measure most.
    Where the system has no room for one that waits, it is started when its window comes. What a process learnt of the
    log's files is handed to the next.
    """

    def __init__(self, spec: Spec, base_dir: Path) -> None:
        self._spec = spec
        self._base_dir = base_dir
        self._known = _NOTHING_KNOWN
        self._waiting: subprocess.Popen[bytes] | None = None
        self._start_ahead()

    def __call__(self, window: Window, measured_at: datetime) -> Run:
        """Run one window."""
        try:
            process = self._waiting or _start()
        except OSError as error:
            return Run(None, f"no process to measure in: {first_line(error)}")
        self._waiting = None
        folder = os.fsencode(self._base_dir)
        task = _Task(spec=self._spec, base_dir=folder, window=window, measured_at=measured_at, known=self._known)
        try:
            answer = _finish(process, task)
        finally:
            self._start_ahead()
        self._known = answer.known.copy()
        return answer.run

    def close(self) -> None:
        """End the process that waits."""
        if self._waiting is not None:
            with self._waiting as process:
                process.kill()

    def _start_ahead(self) -> None:
        with suppress(OSError):
            self._waiting = _start()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter, this module
        [sys.executable, "-m", __spec__.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,  # Ctrl-C reaches a whole session; this process ends its runs itself
    )


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task sent to a process of its own."""

    spec: Spec
    base_dir: bytes
    """The path as the system has it, which need not be UTF-8."""
    window: Window
    measured_at: datetime
    known: msgspec.Raw
    """The facts known of the log's files, which only measuring processes look into."""


class _Answer(msgspec.Struct, frozen=True):
    """The answer of a process to its task."""

    run: Run
    known: msgspec.Raw


_NOTHING_KNOWN = msgspec.Raw(msgspec.msgpack.encode({}))


def _finish(process: subprocess.Popen[bytes], task: _Task) -> _Answer:
    with process:
        try:
            answer, said = process.communicate(msgspec.msgpack.encode(task))
        finally:
            process.kill()
    remarks = said.decode(errors="replace").strip()
    if process.returncode:
        problem = f"the measuring process ended with code {process.returncode} (-9: killed, out of memory?)"
        return _Answer(Run(None, f"{problem}: {remarks.splitlines()[-1]}" if remarks else problem), task.known)
    if remarks:
        print(remarks, file=sys.stderr)
    return msgspec.msgpack.decode(answer, type=_Answer)


def main() -> None:
    """Run the task on standard input and write the outcome to standard output."""
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing that a library prints gets between
    try:
        task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Task)
    except msgspec.DecodeError:
        return  # who asked was stopped before the question was out
    known = KnownFiles(msgspec.msgpack.decode(task.known, type=dict[str, dict[str, FileFacts]]))
    run = _run(task, known)
    try:
        output.write(msgspec.msgpack.encode(_Answer(run, msgspec.Raw(msgspec.msgpack.encode(known.asked)))))
        output.flush()
    except BrokenPipeError:  # who asked was killed meanwhile; the window is kept
        os._exit(0)  # and at its end the interpreter would try again


def _run(task: _Task, known: KnownFiles) -> Run:
    base_dir = Path(os.fsdecode(task.base_dir))
    try:
        references = open_store(task.spec.reference.store, base_dir, task.spec.system.name)
        results = open_results(task.spec.results, base_dir)
    except (ArtifactError, DatabaseError) as problem:
        return Run(None, first_line(problem))
    try:
        return run_here(task.spec, base_dir, references, results, task.window, task.measured_at, known)
    finally:
        results.close()


if __name__ == "__main__":
    main()
