"""An exporter and the workers of a serving application run together, and are killed at the same moment."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import pytest
from real import exporting
from test_live_faults import LiveShop
from test_worker_faults import SERVERS, load, running

from mlvitals.generator.spec.model import Results

pytestmark = [pytest.mark.slow, pytest.mark.endurance]
Happens = Callable[[str], None]
KILLS = 50
"""Of each server."""
STARTS_EXPORTERS = """
import os, sys, threading
from pathlib import Path
from mlvitals.exporters.process.exporter import run_exporter
from mlvitals.generator.spec.load import load_spec

path = Path(sys.argv[1])
spec = load_spec(path)
for _ in sys.stdin:
    reading, writing = os.pipe()
    exporter = os.fork()
    if exporter == 0:
        os.close(reading)
        log = os.fdopen(writing, "w")
        run_exporter(spec, path.parent, stop=threading.Event(), log_to=log, listen="127.0.0.1:0")
        os._exit(0)
    os.close(writing)
    lines = iter(os.fdopen(reading).readline, "")
    found = any("listening" in line for line in lines)
    print(exporter if found else "it ended", flush=True)
    threading.Thread(target=list, args=(lines,), daemon=True).start()
    os.waitpid(exporter, 0)
"""
"""Starts an exporter for each line, when the one before it is dead: a fork, which has imported all that it needs."""


@contextmanager
def exporters(spec: Path) -> Iterator[Callable[[], int]]:
    """Return what starts an exporter that listens, and gives its process id."""
    command = [sys.executable, "-c", STARTS_EXPORTERS, str(spec)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        asks, answers = starter.stdin, starter.stdout

        def start() -> int:
            asks.write("start\n")
            asks.flush()
            return int(answers.readline())

        yield start
        asks.close()


def kill_at_once(exporter: int, workers: list[int]) -> bool:
    """Kill an exporter, what it measures in, and workers; return whether a window was being measured."""
    command = ["ps", "-ww", "-o", "pid=", "--ppid", str(exporter)]
    children = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    for victim in (exporter, *map(int, children), *workers):
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    return bool(children)


@pytest.mark.minutes(6)
@pytest.mark.fault(
    "workers",
    "100 SIGKILLs of an exporter, its measuring process and serving workers at once, under load; one worker survives",
    "each window is kept once and whole, each click and each answered request is counted once",
)
@pytest.mark.parametrize("server", SERVERS)
def test_exporter_and_workers_killed_at_once(tmp_path: Path, server: str, happens: Happens) -> None:
    moments = random.Random(11)
    shop, spec = LiveShop(tmp_path, Results()), tmp_path / "spec.yaml"
    with shop.serving(), running(server, tmp_path / "workers") as application:
        with exporting(spec) as process:
            process.wait_for("listening")
            begin = monotonic()
            process.wait_for("window_measured", 2)
            pace = (monotonic() - begin) / 2
            process.end()
        survivor, measuring = application.workers()[0], 0
        with load(application, pause=0.005), exporters(spec) as start:
            for _ in range(KILLS):
                exporter = start()
                sleep(moments.uniform(0, 2 * pace))
                others = [worker for worker in application.workers() if worker != survivor]
                assert others
                measuring += kill_at_once(exporter, others)
                application.wait()
        assert survivor in application.workers()
        served = application.audit()
        before = sum(rows > 0 for rows in shop.kept().values())
        with exporting(spec) as process:
            measured = shop.audit(process)
    happens(
        f"{server}: {KILLS} rounds, {measuring} while measuring, {before} windows kept by then; {measured}; {served}"
    )
