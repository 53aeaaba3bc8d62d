"""Workers of a real gunicorn and a real uvicorn are killed and starved: no count is lost, no request fails for telemetry."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from urllib.request import urlopen

import pytest
from exporter_samples import samples_of

from examples.servers import free_port

pytest.importorskip("gunicorn", reason="did not run: no gunicorn here (the dev extra brings it)")
pytest.importorskip("uvicorn", reason="did not run: no uvicorn here (the examples extra brings it)")

pytestmark = [pytest.mark.slow, pytest.mark.endurance]
Happens = Callable[[str], None]
HERE = Path(__file__).parent
SERVERS = {
    "gunicorn": ["gunicorn", "application:wsgi", "--workers=3", "--bind=127.0.0.1:{port}", "--log-level=error"],
    "uvicorn": ["uvicorn", "application:asgi", "--workers=3", "--host=127.0.0.1", "--port={port}", "--log-level=error"],
}


@dataclass
class Application:
    """A running application and what its clients know."""

    port: int
    process: "subprocess.Popen[bytes]"
    answered: int = 0
    unknown: int = 0
    """Requests that were sent and not answered: their worker may have counted them or not."""

    def get(self, path: str) -> bytes:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def predict(self) -> None:
        try:
            self.get("/predict")
            self.answered += 1
        except (OSError, HTTPException):
            self.unknown += 1

    def counted(self) -> float:
        found = samples_of(self.get("/metrics"))
        return sum(value for (name, _), value in found.items() if name == "shop_predictions_total")

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return [int(line.split()[0]) for line in lines if "resource_tracker" not in line]

    def wait(self) -> None:
        end = monotonic() + 60
        while monotonic() < end:
            with suppress(OSError):
                self.get("/metrics")
                if len(self.workers()) >= 3:
                    return
            sleep(0.1)
        raise AssertionError("the application did not start")

    def audit(self, *, lost: int = 0) -> str:
        counted = self.counted()
        assert self.answered - lost <= counted <= self.answered + self.unknown
        return f"{self.answered:,} answered, {counted:,.0f} counted, {self.unknown} not answered"


@contextmanager
def running(name: str, folder: Path) -> Iterator[Application]:
    port = free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[name])]
    environment = os.environ | {"FAULT_WORKERS": str(folder), "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    process = subprocess.Popen(command, env=environment, cwd=HERE, start_new_session=True)
    application = Application(port, process)
    try:
        application.wait()
        while len(list(folder.glob("*.series"))) < 3:  # some of them may still load the application
            sleep(0.1)
        yield application
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(params=["gunicorn", "uvicorn"])
def application(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Application]:
    with running(request.param, tmp_path / "workers") as started:
        yield started


@contextmanager
def load(application: Application, pause: float = 0) -> Iterator[None]:
    """Ask for predictions, with a pause of seconds after each, until the block ends."""
    done = Event()

    def ask() -> None:
        while not done.wait(pause):
            application.predict()

    thread = Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.fault(
    "workers", "100 SIGKILLs of workers under load, one of which survives", "every answered request is counted once"
)
def test_workers_killed_under_load(application: Application, happens: Happens) -> None:
    moments = random.Random(7)
    killed, survivor = 0, application.workers()[0]
    with load(application):
        while killed < 50:
            sleep(moments.uniform(0.05, 0.3))
            if others := [worker for worker in application.workers() if worker != survivor]:
                with suppress(ProcessLookupError):
                    os.kill(moments.choice(others), signal.SIGKILL)
                    killed += 1
    application.wait()
    assert survivor in application.workers()
    application.audit()
    happens(f"{killed} SIGKILLs: every answered request counted")


@pytest.mark.fault(
    "workers",
    "all workers replaced at once (gunicorn: SIGHUP)",
    "counting starts anew, as after a restart; nothing is doubled",
)
def test_workers_reloaded(tmp_path: Path, happens: Happens) -> None:
    with running("gunicorn", tmp_path / "workers") as application:
        for _ in range(2):
            with load(application):
                application.process.send_signal(signal.SIGHUP)
                sleep(3)
            application.wait()
        assert 0 < application.counted() <= application.answered + application.unknown
        before = application.counted()
        for _ in range(20):
            application.predict()
        assert application.counted() == before + 20
        happens("a reset, which Prometheus sees as one")


@pytest.mark.fault("workers", "a worker stopped (SIGSTOP) while others are scraped", "they answer for all")
def test_a_worker_that_hangs(application: Application, happens: Happens) -> None:
    for _ in range(30):
        application.predict()
    victim = application.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    pages = 0
    for _ in range(12):
        with suppress(OSError):
            with urlopen(f"http://127.0.0.1:{application.port}/metrics", timeout=1) as answer:
                found = samples_of(answer.read())
            total = sum(value for (name, _), value in found.items() if name == "shop_predictions_total")
            assert total == application.answered
            pages += 1
    os.kill(victim, signal.SIGCONT)
    assert pages
    happens("pages that come are complete")


@pytest.mark.fault(
    "workers", "the folder of the workers deleted under load", "no request fails; counting goes on in memory"
)
def test_a_deleted_folder(application: Application, tmp_path: Path, happens: Happens) -> None:
    for _ in range(20):
        application.predict()
    shutil.rmtree(tmp_path / "workers")
    for _ in range(40):
        application.predict()
    assert application.unknown == 0
    assert application.get("/metrics")
    happens("60 of 60 requests answered")


@pytest.mark.fault(
    "workers", "garbage in the files of the workers", "no request and no page fails; named in telemetry_failures"
)
def test_garbage_in_the_files(application: Application, tmp_path: Path, happens: Happens) -> None:
    for _ in range(20):
        application.predict()
    (tmp_path / "workers" / "ended.msgpack").write_bytes(b"\xff" * 100)
    (tmp_path / "workers" / "99.series").write_bytes(b'["half a li\n\x00\xff\n{}\n')
    for _ in range(20):
        application.predict()
    assert application.unknown == 0
    application.get("/metrics")
    found = samples_of(application.get("/metrics"))
    failures = sum(value for (name, _), value in found.items() if name == "shop_serving_telemetry_failures_total")
    assert failures > 0
    application.audit()
    happens("40 of 40 requests answered and counted")


@pytest.mark.fault("workers", "a worker replaced while the file system is full", "no request and no start fails")
def test_a_worker_that_starts_without_room(application: Application, tmp_path: Path, happens: Happens) -> None:
    folder = tmp_path / "workers"
    for _ in range(20):
        application.predict()
    shutil.rmtree(folder)
    folder.write_bytes(b"a file where the folder was")
    os.kill(application.workers()[0], signal.SIGKILL)
    application.wait()
    application.unknown = 0
    for _ in range(40):
        application.predict()
    assert application.unknown == 0
    assert application.get("/metrics")
    happens("40 of 40 requests answered")
