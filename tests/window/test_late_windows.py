"""An hour whose measurement fails and is caught up: in the end everything says what it would had nothing failed."""

import io
from contextlib import closing
from datetime import datetime
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
from concept_samples import BEGIN, DELAY, HOUR, SPEC, hour_report, quiet_gaps, shifted
from gap_history import drift_history
from msgspec.structs import replace

from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.window.history import OutcomeFacts, with_drift_type
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import OutcomeKind, Results

LEARNED = 110
"""Hours that are known before the exporter starts: the charts' baseline is among them."""
LOST, LAST = LEARNED + 1, LEARNED + 2
"""Of the three hours that it measures, the second fails."""
QUIET = quiet_gaps(LEARNED + 10)
REFERENCES = SimpleNamespace(load=lambda _: SimpleNamespace(version="v1"))


def measured(hour: int) -> WindowReport:
    """An hour; from the exporter's first on, predictions miss their outcomes."""
    sample = shifted(QUIET[hour - DELAY], 0.05)
    outcomes = OutcomeReport(
        window=Window(sample.window_start, sample.window_end),
        kind=OutcomeKind.BINARY,
        predictions=1000,
        answered=1000,
        paired=1000,
        gap=sample.gap,
        gap_error=sample.gap_error,
    )
    return replace(hour_report(hour), outcomes=outcomes)


class Disk:
    """Where the hours are read from; it fails in some."""

    def __init__(self) -> None:
        self.broken: set[datetime] = set()

    def measure(self, spec, folder, reference, version, window: Window, now: datetime, **_: object) -> WindowReport:
        if window.end in self.broken:
            raise LogError("the disk hiccups")
        return measured((window.start - BEGIN) // HOUR)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("mlvitals.exporters.process.runs.measure_window", made.measure)
    return made


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of the hours before the exporter starts."""
    past, reports = [], []
    for hour in range(LEARNED):
        report = hour_report(hour)
        sample = OutcomeFacts(QUIET[hour - DELAY]) if hour >= DELAY else None
        reports.append(with_drift_type(SPEC, report, sample, drift_history(SPEC, report, past)))
        past.append(reports[-1].past)
    folder = tmp_path_factory.mktemp("learned")
    with closing(open_results(Results(), folder)) as results:
        for report in reports:
            results.save(report)
    return folder


class Machine:
    """A folder of results, an exporter that works on it, and the time."""

    def __init__(self, folder: Path, learned: Path) -> None:
        self.folder, self.hour = folder, LEARNED
        copytree(learned, folder)
        self.restart()

    def restart(self) -> None:
        def clock() -> datetime:
            return BEGIN + (self.hour + 1) * HOUR + HOUR / 2

        results = open_results(Results(), self.folder)
        self.exporter = Exporter(SPEC, self.folder, REFERENCES, results, clock, JsonLog(io.StringIO(), clock, "shop"))
        self.exporter.restore()

    def run(self, hour: int) -> None:
        self.hour = hour
        self.exporter.run_due()

    def kept(self) -> list[WindowReport]:
        with closing(open_results(Results(), self.folder)) as results:
            return results.reports_after(hour_report(LEARNED - 1), until=BEGIN + 2 * LEARNED * HOUR)

    def published(self) -> bytes:
        """The families of the window, without those of the exporter itself."""
        return self.exporter._window_page


@pytest.fixture
def sound(disk: Disk, learned: Path, tmp_path: Path) -> Machine:
    """A machine on which nothing failed."""
    machine = Machine(tmp_path / "sound", learned)
    for hour in range(LEARNED, LAST + 1):
        machine.run(hour)
    return machine


@pytest.fixture
def failed(disk: Disk, learned: Path, tmp_path: Path) -> Machine:
    """A machine that lacks one hour, and whose disk is well again."""
    machine = Machine(tmp_path / "failed", learned)
    disk.broken.add(BEGIN + (LOST + 1) * HOUR)
    for hour in range(LEARNED, LAST + 1):
        machine.run(hour)
    disk.broken.clear()
    return machine


def test_an_hour_judged_without_the_one_before_it_says_less(sound: Machine, failed: Machine) -> None:
    assert [report.window for report in failed.kept()] == [hour_report(hour).window for hour in (LEARNED, LAST)]
    assert failed.kept()[-1].concept.cusum_upper < sound.kept()[-1].concept.cusum_upper - 2


def test_a_restart_that_catches_up_an_hour_judges_the_later_one_again_and_publishes_it(
    sound: Machine, failed: Machine
) -> None:
    failed.restart()
    assert failed.published() != sound.published()
    failed.run(LAST)
    assert failed.kept() == sound.kept()
    assert failed.published() == sound.published()


def test_the_next_hour_sees_the_one_that_was_caught_up_with_it(sound: Machine, failed: Machine) -> None:
    for machine in (sound, failed):
        machine.run(LAST + 1)
    assert len(failed.kept()) == 4
    assert failed.kept() == sound.kept()
    assert failed.published() == sound.published()
