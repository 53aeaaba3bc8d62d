"""Server programs of this machine, which run for as long as a block does, each with its output in a file."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlvitals.generator.errors import UserError

_PATIENCE_SECONDS = 10
_READY_SECONDS = 60.0


class ProgramError(UserError):
    """A program that ended, or did not get ready."""


def find_program(name: str, folders: Iterable[Path] = (), *, on_path: bool = True) -> str | None:
    """Return the path of a server program, by its own name or Debian's: on PATH, or else in folders; None if missing."""
    names = (name, f"prometheus-{name.replace('_', '-')}")
    places = (*((os.environ.get("PATH", ""),) if on_path else ()), *map(str, folders))
    return next((found for place in places for each in names if (found := shutil.which(each, path=place))), None)


def port_for(wanted: int) -> int:
    """Return a port of the loopback interface: the wanted one if nobody listens on it, otherwise any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def server_command(name: str, program: str, config: Path, data: Path, listen: str, *more: str) -> list[str]:
    """Return the command of a Prometheus or an Alertmanager that stands alone.

    Args:
        name: ``prometheus`` or ``alertmanager``.
        program: its path.
        config: its configuration.
        data: the folder that it keeps its data in.
        listen: HOST:PORT.
        more: further options.
    """
    storage, alone = {
        "prometheus": ("--storage.tsdb.path", ()),
        "alertmanager": ("--storage.path", ("--cluster.listen-address=",)),
    }[name]
    return [program, f"--config.file={config}", f"{storage}={data}", f"--web.listen-address={listen}", *alone, *more]


@contextmanager
def running(command: Sequence[str], log: Path, folder: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a folder; it is asked to end when the block ends, and ended where it does not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)  # noqa: S603  (built by callers)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(url: str, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a program answers.

    Raises:
        ProgramError: it ended, or takes longer than a minute.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310  (built by callers: http on loopback)
            return
        time.sleep(0.2)
    raise ProgramError(f"{name} did not get ready: {last_words(log)}")


def last_words(log: Path) -> str:
    """Return the last lines that a program wrote."""
    return " / ".join(log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]) or "it says nothing"
