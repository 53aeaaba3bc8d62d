"""Asks a web server within a deadline for the whole conversation, by an address that may hold a user and a password.

The timeouts of `urllib` are for each single wait, so that whoever sends a header now and then is waited for for ever.
"""

import io
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

_CHUNK = 1 << 14
"""Bytes that are sent at once."""


@contextmanager
def ask(request: Request, seconds: float) -> Iterator[Any]:
    """Send a request and return what `urlopen` gives; all of the conversation has to be over in that many seconds.

    A user and password in the address become basic authentication, which no redirection passes on.

    Raises:
        OSError: nobody answers in time, or with an error, which is then a `urllib.error.HTTPError`.
        http.client.HTTPException: what answers does not speak HTTP.
        ValueError: the address is none.
    """
    _authenticate(request)
    deadline = _Deadline(seconds)
    with build_opener(_Plain(deadline), _Secure(deadline)).open(request, timeout=seconds) as answer:
        yield answer


def _authenticate(request: Request) -> None:
    url = urlsplit(request.full_url)
    user, at, server = url.netloc.rpartition("@")
    if at:
        request.full_url = urlunsplit(url._replace(netloc=server))
        name, _, password = user.partition(":")
        credentials = b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {credentials}")


class _Deadline:
    """The time at which a conversation has to be over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = monotonic() + seconds

    def apply_to(self, connection: socket.socket) -> None:
        """Let the next wait of a connection end with the conversation.

        Raises:
            TimeoutError: it is over.
        """
        left = self._at - monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {self._seconds:g} s")
        connection.settimeout(left)


class _TimedReader(io.RawIOBase):
    """The receiving side of a connection, until the deadline."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._received = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read the bytes that have arrived."""
        self._deadline.apply_to(self._connection)
        return self._received.readinto(buffer)

    def close(self) -> None:
        """Let go of the connection."""
        self._received.close()
        super().close()


class _TimedSocket:
    """The part of a connection that an answer is read from."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, *_: Any) -> io.BufferedReader:
        """Return a reader of what the connection receives."""
        return io.BufferedReader(_TimedReader(self._connection, self._deadline))


class _Timed(HTTPConnection):
    """A connection that ends at the deadline, whichever side is slow."""

    deadline: _Deadline

    def response_class(self, sock: socket.socket, *options: Any, **named: Any) -> HTTPResponse:  # type: ignore[override]
        """Read an answer."""
        return HTTPResponse(_TimedSocket(sock, self.deadline), *options, **named)  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        """Send, a little at a time: a server that takes it slowly is not waited for longer either."""
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), _CHUNK):
            self.deadline.apply_to(self.sock)
            super().send(data[start : start + _CHUNK])


class _TimedTls(_Timed, HTTPSConnection):
    """The same over TLS."""


class _Plain(HTTPHandler):
    def __init__(self, within: _Deadline) -> None:
        super().__init__()

        class Connection(_Timed):
            deadline = within

        self._connection = Connection

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


class _Secure(HTTPSHandler):
    def __init__(self, within: _Deadline) -> None:
        super().__init__()

        class Connection(_TimedTls):
            deadline = within

        self._connection = Connection

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)
