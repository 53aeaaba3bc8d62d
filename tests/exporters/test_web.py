"""Asking a web server: one deadline for the whole conversation, and who asks is told to the server alone."""

import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from mlvitals.exporters.web import ask

Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """The address of a server that talks to each client as it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def drips(*, before: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(before)
        for number in range(1000):
            connection.sendall(b"X-%d: y\r\n" % number if before.endswith(b"OK\r\n") else b"x")
            time.sleep(0.05)

    return talk


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n"],
    ids=["status line", "headers", "body", "refusal"],
)
def test_an_answer_that_drips_is_given_up_at_the_deadline(before: bytes) -> None:
    begun = time.monotonic()
    with (
        server(drips(before=before)) as address,
        pytest.raises((TimeoutError, HTTPError)),
        ask(Request(f"http://{address}/"), 0.5) as answer,
    ):
        answer.read()
    assert time.monotonic() - begun < 5


def test_a_server_that_takes_what_is_sent_drop_by_drop_is_given_up_at_the_deadline() -> None:
    def talk(connection: socket.socket) -> None:
        while connection.recv(100):
            time.sleep(0.05)

    begun = time.monotonic()
    request = Request("http://placeholder/", data=bytes(50_000_000), method="PUT")
    with server(talk) as address:
        request.full_url = f"http://{address}/"
        with pytest.raises(OSError), ask(request, 0.5):
            """Never."""
    assert time.monotonic() - begun < 5


def test_a_server_that_never_finishes_its_handshake_is_given_up_at_the_deadline() -> None:
    begun = time.monotonic()
    with server(drips(before=b"\x16\x03")) as address, pytest.raises(OSError), ask(Request(f"https://{address}/"), 0.5):
        """Never."""
    assert time.monotonic() - begun < 5


def answering(received: list[bytes], answer: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        received.append(connection.recv(1 << 16))
        connection.sendall(answer)

    return talk


def authorization(request: bytes) -> list[str]:
    lines = request.decode().split("\r\n")
    return [line.partition(": Basic ")[2] for line in lines if line.lower().startswith("authorization")]


def test_user_and_password_of_an_address_become_basic_authentication() -> None:
    received: list[bytes] = []
    with (
        server(answering(received, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as address,
        ask(Request(f"http://me:p%40ss%3Aword@{address}/x"), 60) as answer,
    ):
        assert answer.read() == b"ok"
    assert [b64decode(value) for value in authorization(received[0])] == [b"me:p@ss:word"]
    assert b"p%40ss" not in received[0]


def test_a_redirection_passes_no_password_on() -> None:
    received: list[bytes] = []
    with server(answering(received, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as elsewhere:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
        with server(answering([], moved)) as address, ask(Request(f"http://me:secret@{address}/"), 60) as answer:
            assert answer.status == 200
    assert [authorization(request) for request in received] == [[]]


def test_what_is_no_http_is_an_error() -> None:
    with (
        server(answering([], b"\xff\xfe\r\n\r\n")) as address,
        pytest.raises((OSError, HTTPException)),
        ask(Request(f"http://{address}/"), 60),
    ):
        """Never."""
