"""The exporter as a process of its own, by the real clock: a shop whose windows last seconds."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

MLVITALS = [sys.executable, "-m", "mlvitals"]


@dataclass
class Process:
    """A running `mlvitals export`."""

    popen: "subprocess.Popen[bytes]"
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def events(self, name: str) -> list[dict[str, str]]:
        """What it has logged under a name."""
        parsed = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in parsed if event["event"] == name]

    def wait_for(self, name: str, count: int = 1, seconds: float = 90) -> dict[str, str]:
        """Wait until something was logged that often."""
        end = monotonic() + seconds
        while len(found := self.events(name)) < count:
            if monotonic() > end or (self.popen.poll() is not None and not self._reader.is_alive()):
                raise AssertionError(f"no {count} of {name} in {self.lines}")
            sleep(0.02)
        return found[count - 1]

    def wait_until_it_minds_sigterm(self, seconds: float = 60) -> None:
        """Wait until the interpreter has loaded the command, of which it is that it ends at a signal as it should."""
        end = monotonic() + seconds
        while monotonic() < end:
            status = Path(f"/proc/{self.popen.pid}/status").read_text()
            caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
            if caught >> (signal.SIGTERM - 1) & 1:
                return
            sleep(0.002)
        raise AssertionError("it never sets a handler")

    @property
    def url(self) -> str:
        return self.wait_for("listening")["url"]

    def page(self, path: str = "/metrics") -> bytes:
        with urlopen(self.url + path, timeout=60) as answer:
            return bytes(answer.read())

    def end(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """End it by a signal and return its exit code."""
        self.popen.send_signal(number)
        code = self.popen.wait(timeout=seconds)
        self._reader.join(timeout=10)
        return code

    def foreign_lines(self) -> list[str]:
        """Lines that are no event: tracebacks, for example."""
        return [line for line in self.lines if not line.startswith("{")]


@contextmanager
def exporting(spec: Path, *options: str, **environment: str) -> Iterator[Process]:
    """Run `mlvitals export` on a free port until the block ends."""
    command = [*MLVITALS, "export", str(spec), "--listen", "127.0.0.1:0", *options]
    popen = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | environment)
    process = Process(popen)
    try:
        yield process
    finally:
        popen.kill()
        popen.wait()
