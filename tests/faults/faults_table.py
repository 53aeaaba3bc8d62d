"""The table of the fault suite: fault, promise, what happens."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

GROUPS = {
    "process": "Processes that are killed, starved or stopped",
    "clock": "Clocks that are wrong",
    "storage": "Databases, references, textfiles and log files that are away, full or damaged",
    "log": "What a log folder may hold",
    "network": "Networks and stores that drip, hang or answer garbage",
    "servers": "Clients of our own servers",
    "workers": "Workers of a serving application",
    "specs": "Specs that are damaged",
    "files": "Files of a log that are damaged",
}
"""By the name that the marker has."""


@dataclass
class Case:
    """One fault, whose test may have several parameters."""

    fault: str
    promise: str
    held: bool = True
    runs: int = 0
    happened: list[str] = field(default_factory=list)


class Writer:
    """Collects the cases of a run and writes them as a document."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cases: dict[str, dict[str, Case]] = {group: {} for group in GROUPS}
        self._begin = monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a case that was run."""
        mark = next((value for name, value in report.user_properties if name == "fault"), None)
        if mark is None or report.when != "call":
            return
        group, fault, promise = map(str, mark)  # type: ignore[call-overload]
        case = self._cases[group].setdefault(fault, Case(fault, promise))
        case.runs += 1
        case.held &= report.passed
        said = [str(text) for name, text in report.user_properties if name == "happens"]
        case.happened += [text for text in said if text not in case.happened]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the document, but not in each of several workers."""
        if hasattr(session.config, "workerinput"):
            return
        self._path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")

    def _lines(self) -> list[str]:
        cases = [case for group in self._cases.values() for case in group.values()]
        runs, held = sum(case.runs for case in cases), sum(case.held for case in cases)
        seconds = monotonic() - self._begin
        lines = [*_HEAD, f"**{held} of {len(cases)} faults** ({runs} runs) held, in {seconds / 60:.0f} minutes."]
        for group, title in GROUPS.items():
            if self._cases[group]:
                lines += ["", f"## {title}", "", "| fault | promise | what happens |", "|---|---|---|"]
                lines += [_row(case) for case in self._cases[group].values()]
        return [*lines, "", *_TAIL]


def _row(case: Case) -> str:
    happened = "; ".join(map(_plain, case.happened)) or "as promised"
    return f"| {case.fault} | {case.promise} | {happened if case.held else '**does not hold**'} |"


def _plain(text: str) -> str:
    """Return what happened without the folders and ports of this run, short enough for a table."""
    text = re.sub(r"\S*/pytest-of-\S*?/test_[^/\s]*/?", "", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text).replace("|", "/").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


_LONGEST = 200
"""Characters of what happened in one run."""
_HEAD = [
    "# Faults",
    "",
    "What happens to a running system when something around it fails. This table is written by the fault suite",
    "(`make faults`, `tests/faults/`): a small shop of which every row, click and window is known, to which each of these",
    "faults is done; afterwards database, page and totals are compared with the truth. Part of it runs with `make test`.",
    "",
]
_TAIL = [
    "## 24 days",
    "",
    "Ten kinds of fault, one in every hour of 24 simulated days, with logs deleted after two days and results after four. The",
    "results database alone grows, by what [concept drift](concept-drift.md) knows of a reference for as long as it is active.",
    "",
    "![memory, file descriptors, threads, files, size of the page and of the database over 24 days](faults.svg)",
    "",
    "## What is not promised",
    "",
    "Damage that leaves a valid file counts in silence: see [running](running.md#files-that-are-damaged-or-changed). Where all",
    "workers of an application are replaced at once, counting starts anew, as after a restart. Time is compressed where a",
    "fault lasts, but for PostgreSQL's ten minutes: windows of six seconds, and simulated hours for hours.",
]
