"""Processes are killed, starved or stopped: no traceback, and nothing is lost."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from time import sleep

import msgspec
import pytest
from exporter_samples import HOUR, NOON
from lab import MINUTE, Lab
from real import MLVITALS, exporting

from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.runs import Run, RunsApart, run_here
from mlvitals.exporters.reference.stores import open_store
from mlvitals.generator.spec.model import Windows

Happens = Callable[[str], None]


@pytest.mark.slow
@pytest.mark.fault("process", "SIGTERM while the exporter starts", "exit code 0, and no traceback")
@pytest.mark.parametrize(
    "delay", [0.0, *(pytest.param(delay, marks=pytest.mark.endurance) for delay in (0.3, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0))]
)
def test_sigterm_while_it_starts(lab: Lab, delay: float, happens: Happens) -> None:
    with exporting(lab.folder / "spec.yaml") as process:
        process.wait_until_it_minds_sigterm()
        sleep(delay)
        assert process.end() == 0
        assert process.foreign_lines() == []
    happens("exit code 0, as soon as the interpreter runs the command")


@pytest.mark.slow
@pytest.mark.fault("process", "the exporter killed while a window is measured", "its orphan says nothing, and ends")
def test_orphans_print_nothing(lab: Lab, happens: Happens) -> None:
    with exporting(lab.folder / "spec.yaml") as process:
        process.wait_for("listening")
        sleep(0.5)
        assert process.end(9) == -9
        assert process.foreign_lines() == []  # at the end of its stderr, which the orphan has too
    happens("no line but events")


@pytest.mark.endurance
@pytest.mark.fault("process", "too little memory to start", "one sentence")
@pytest.mark.parametrize("megabytes", [60, 90, 400, 450])
def test_too_little_memory_to_start(lab: Lab, megabytes: int, happens: Happens) -> None:
    command = ["prlimit", f"--as={megabytes}000000", *MLVITALS, "drift", str(lab.folder / "spec.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if "OpenBLAS" not in done.stderr:  # which ends the process by itself, with a sentence of its own
        assert done.stderr.startswith("error: ")
        if "no memory" in done.stderr:
            happens(done.stderr.strip())


@pytest.mark.fault("process", "no memory or thread in a command", "one sentence")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "no memory"),
        (ImportError("libarrow.so: failed to map segment from shared object"), "no memory"),
        (RuntimeError("can't start new thread"), "no thread"),
    ],
)
def test_shortages_are_one_sentence(error: Exception, said: str, happens: Happens) -> None:
    import click
    from click.testing import CliRunner

    from mlvitals.commands.common import Group

    @click.group(cls=Group)
    def group() -> None:
        """A program."""

    @group.command()
    def starve() -> None:
        raise error

    result = CliRunner().invoke(group, ["starve"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output
    happens(result.output.strip())


# ---------------------------------------------------------------- SIGKILL

KILLED_AGAIN_AND_AGAIN = """
import json, os, random, signal, subprocess, sys, time
from datetime import datetime
from pathlib import Path
import msgspec, threading
from mlvitals.exporters.process.exporter import run_exporter
from mlvitals.generator.spec.model import Spec

folder, text, moment, kills = sys.argv[1:]
spec, now, chance = msgspec.json.decode(text, type=Spec), datetime.fromisoformat(moment), random.Random(9)
for number in range(int(kills)):
    reading, writing = os.pipe()
    exporter = os.fork()
    if exporter == 0:
        os.close(reading)
        run_exporter(spec, Path(folder), stop=threading.Event(), log_to=os.fdopen(writing, "w"), clock=lambda: now,
                     listen="127.0.0.1:0")
        os._exit(0)
    os.close(writing)
    log = os.fdopen(reading)
    while "listening" not in log.readline():
        pass
    time.sleep(chance.uniform(0, 2.0))
    found = subprocess.run(["ps", "-ww", "-o", "pid=", "--ppid", str(exporter)], capture_output=True, text=True).stdout
    children = [int(line) for line in found.split()]
    victims = [[exporter], children, [exporter, *children]][number % 3]
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if exporter not in victims:
        time.sleep(chance.uniform(0, 0.5))
        os.kill(exporter, signal.SIGKILL)
    os.waitpid(exporter, 0)
"""


@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.fault(
    "process",
    "100 SIGKILLs of the exporter, of its measuring process, and of both at once",
    "each window is kept once and whole",
)
def test_killed_again_and_again(lab: Lab, happens: Happens) -> None:
    windows, kills = 60, 100
    lab.replace(windows=Windows(catch_up=windows, score_count=None))
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.write(*range(windows))
    lab.at(windows)
    arguments = [str(lab.folder), msgspec.json.encode(lab.spec).decode(), lab.clock.now.isoformat(), str(kills)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    before = len(lab.kept())
    exporter = lab.start()
    exporter.run_due()
    found = lab.audit(exporter)
    happens(f"{kills} SIGKILLs while {before} windows were measured, then the rest: {found}")


# ---------------------------------------------------------------- stopped and starved


@pytest.mark.fault("process", "the measuring process killed, again and again", "the window is tried again and kept")
def test_a_measuring_process_that_is_killed(lab: Lab, happens: Happens) -> None:
    fails = iter([True, True, False])

    def runner(window: Window, measured_at: datetime) -> Run:
        if next(fails, False):
            return Run(None, "the measuring process ended with code -9 (-9: killed, out of memory?)")
        return run_here(lab.spec, lab.folder, references, exporter._results, window, measured_at)

    references = open_store("references", lab.folder, "shop")
    exporter = lab.start(runner)
    lab.at(0)
    for _ in range(3):
        if exporter._should_run(lab.clock.now):
            exporter.run_due()
        lab.clock.now += 2 * MINUTE
    happens(lab.audit(exporter))


@pytest.mark.fault("process", "no process can be started for a while", "windows are measured when one can")
def test_no_process_can_be_started(lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", no_room)
        runner = RunsApart(lab.spec, lab.folder)
        exporter = lab.start(runner)
        lab.pass_hours(exporter, -1, 0)
        assert "no process to measure in" in lab.events("run_failed")[0]["error"]
    exporter = lab.start()
    lab.pass_hours(exporter, 1)
    lab.rows.pop(NOON, None)  # nothing was kept before the first window that could be measured
    lab.rows.pop(NOON + HOUR, None)
    lab.clicks.pop(NOON, None)
    lab.clicks.pop(NOON + HOUR, None)
    happens(lab.audit(exporter))


@pytest.mark.fault(
    "process", "an error that nobody foresaw in one window", "the next is measured; that one is tried again"
)
def test_an_error_that_nobody_foresaw(lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    with monkeypatch.context() as broken:
        broken.setattr("mlvitals.exporters.process.runs.measure_window", lambda *_, **__: 1 / 0)
        lab.pass_hours(exporter, 0)
    lab.pass_hours(exporter, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault(
    "process", "two exporters of one system at once", "each window is kept once; no click is counted twice"
)
def test_two_exporters_at_once(lab: Lab, happens: Happens) -> None:
    one, other = lab.start(), lab.start()
    for hour in range(-1, 4):
        lab.write(hour)
        lab.at(hour + 1)
        one.run_due()
        other.run_due()
    happens(lab.audit(one))
    lab.audit(other)


@pytest.mark.fault("process", "asleep for days, as a laptop", "as many windows as catch_up says, and the newest")
def test_a_machine_that_slept(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.write(*range(40, 47))
    lab.at(47)
    exporter.run_due()
    happens(lab.audit(exporter))
