"""Starting a real server for the length of a test."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from examples.servers import free_port


@contextmanager
def running(program: str, *options: str, ready: str = "/metrics") -> Iterator[str]:
    """The address of a server, from when it answers at `ready` to the end of the block."""
    listen = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen([program, f"--web.listen-address={listen}", *options], stderr=subprocess.DEVNULL)
    try:
        _wait_for(process, f"http://{listen}{ready}")
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            fetch(url)
        except OSError:
            assert process.poll() is None, f"{process.args[0]} ended"
            assert time.monotonic() < deadline, f"{process.args[0]} did not get ready"
            time.sleep(0.05)
        else:
            return
