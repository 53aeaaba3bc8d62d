"""Servers that answer as nobody should: one script for whoever connects."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import sleep

Script = Callable[[socket.socket], None]


@contextmanager
def server(script: Script) -> Iterator[int]:
    """Serve on a free port until the block ends."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    def converse(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            script(connection)

    def run() -> None:
        while not stopped.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        thread.join()
        listener.close()


def saying(*parts: bytes, pause: float = 0.0) -> Script:
    """Read something, send parts with a pause after each, and hang up."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)
            sleep(pause)

    return script


def silent(connection: socket.socket) -> None:
    """Say nothing for as long as the client waits."""
    while connection.recv(65536):
        """Whatever it says."""


def dripping(connection: socket.socket) -> None:
    """Send a header byte by byte for a minute."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        connection.sendall(b"x")
        sleep(0.1)


def dripping_body(connection: socket.socket) -> None:
    """Send a long body byte by byte."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        connection.sendall(b" ")
        sleep(0.1)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer of HTTP."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body
