"""An HTTP server for answers that are cheap to make: pages of metrics, health checks, small messages.

Whoever connects costs a socket and no thread. All threads there ever are start with the server, so that a machine short
of them later takes none away. Everything is bounded: connections, what a request may hold, and the time of a whole
conversation, however slowly a client sends or reads. Where all connections are taken, the oldest client that keeps the
server waiting makes room for the next, so that slow ones never lock out the others.

A conversation is one request and its answer: connections are not kept.
"""

import asyncio
import gzip
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from mlvitals.generator.errors import UserError

PLAIN_TEXT = "text/plain; charset=utf-8"
_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^\[\]]+):([0-9]{1,5})")
_LAST_PORT = 65535
_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) ([!-~]{1,8000}) HTTP/1\.[0-9]")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = 1 << 16
"""Bytes that are read at once."""
_PAUSE_SECONDS = 0.1
"""The server rests for this long where the machine cannot give it what it needs."""


class ListenError(UserError, OSError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a client."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: what was compressed beforehand, if anything, and text after it."""

    text: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN_TEXT
    packed: bytes = b""
    """A gzip member, so that a long page that seldom changes is compressed once and not for every client."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """Return the whole answer."""
        return gzip.decompress(self.packed) + self.text if self.packed else self.text

    @property
    def compressed(self) -> bytes:
        """Return the whole answer as gzip."""
        return self.packed + gzip.compress(self.text, compresslevel=1)


Report = Callable[[str], None]
"""Reports that a request could not be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a server gives its clients."""

    connections: int = 512
    seconds: float = 10.0
    """For a whole conversation: to ask, to be answered, and to read the answer."""
    patience: float = 1.0
    """For this long a client may keep the server waiting even where others wait for its place."""
    head: int = 1 << 14
    """Bytes of a request's first line and headers."""
    body: int = 0
    """Bytes of a request's body; 0 where none is read."""
    threads: int = 4
    """Answers that are made at once."""


class Listener:
    """Answers from the moment it is made until it is closed.

    Args:
        listen: HOST:PORT, an IPv6 address in brackets; port 0 takes any that is free.
        answer: makes the answer to a request, in one of the server's threads.
        name: that of the thread that listens.
        report: receives the requests that could not be answered.
        limits: what clients are given at most.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT; or there are no threads.

    """

    def __init__(
        self,
        listen: str,
        answer: Callable[[Request], Page],
        name: str,
        report: Report = lambda _: None,
        limits: Limits = Limits(),
    ) -> None:
        self._report = report
        self._limits = limits
        self._open: set[asyncio.Task[None]] = set()
        self._waited_for: dict[asyncio.Task[None], float] = {}
        """Conversations in which it is the client's turn, and since when; the first has waited for longest."""
        self._stopped = Event()
        self._refusing = False
        self._answers = _Answers(answer, report)
        self._socket = _bound(listen, limits.connections)
        try:
            self._loop = asyncio.SelectorEventLoop()  # and no other, whatever the application has installed
            self._loop.set_exception_handler(lambda _, what: _try_to(report, str(what.get("exception", what))))
            self._thread = Thread(target=self._run, name=name, daemon=True)
            for thread in (
                *(Thread(target=self._answers.run, daemon=True) for _ in range(limits.threads)),
                self._thread,
            ):
                thread.start()
        except (OSError, RuntimeError, MemoryError) as error:
            self._answers.end(limits.threads)
            self._socket.close()
            raise ListenError(f"cannot listen on {listen}: {error}") from error

    @property
    def port(self) -> int:
        """Return the port in use, also where port 0 asked for any."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Return its address, with the port that was given out if port 0 was asked for."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def is_answering(self, path: str) -> bool:
        """Ask for a page as any client would: False if no answer comes in time although the server is not closed."""
        try:
            with socket.create_connection(self._socket.getsockname()[:2], self._limits.seconds) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                return bool(connection.recv(1)) or self._stopped.is_set()
        except OSError:
            return self._stopped.is_set()

    def close(self) -> None:
        """Stop listening; answers on their way are not waited for."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._answers.end(self._limits.threads)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- the loop's thread

    def _run(self) -> None:
        """Serve until closed, whatever happens meanwhile."""
        accepting = self._loop.create_task(self._accept())
        while not self._stopped.is_set():
            try:
                self._loop.run_forever()
            except BaseException as error:  # there is nobody else to go on
                _try_to(self._report, f"the server recovered from {error!r}")
        for task in (accepting, *self._open):
            task.cancel()
        with suppress(Exception):
            self._loop.run_until_complete(asyncio.gather(accepting, *self._open, return_exceptions=True))
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            try:
                await self._take_one()
                self._refusing = False
            except Exception as error:  # no file or memory for one more; those that are open may end meanwhile
                if not self._refusing:
                    _try_to(self._report, f"clients cannot be taken: {error!r}")
                self._refusing = True
                with suppress(Exception):
                    self._end_slowest()
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _take_one(self) -> None:
        connection, (client, *_) = await self._loop.sock_accept(self._socket)
        try:
            await self._make_room()
            connection.setblocking(False)
            task = self._loop.create_task(self._converse(connection, client))
        except BaseException:
            connection.close()
            raise
        self._open.add(task)
        self._waited_for[task] = monotonic()
        task.add_done_callback(self._ended)

    async def _make_room(self) -> None:
        while len(self._open) >= self._limits.connections:
            patience = self._end_slowest()
            await asyncio.wait(self._open, timeout=patience, return_when=asyncio.FIRST_COMPLETED)

    def _end_slowest(self) -> float | None:
        """Hang up on the client waited for longest, or return the seconds it still has; None if none is waited for."""
        for task, since in self._waited_for.items():
            left = since + self._limits.patience - monotonic()
            if left <= 0:
                task.cancel()
                del self._waited_for[task]
                return None
            return left
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._waited_for.pop(task, None)

    async def _converse(self, connection: socket.socket, client: str) -> None:
        with connection:
            try:
                async with asyncio.timeout(self._limits.seconds):
                    await self._serve(connection)
            except OSError:
                """Clients that hang up or dawdle are no news."""
            except Exception as error:
                _try_to(self._report, f"request from {client} failed: {error!r}")

    async def _serve(self, connection: socket.socket) -> None:
        try:
            request = await self._read(connection)
        except _BadRequestError as refusal:
            answer = _written(Page(f"{refusal.text}\n".encode(), refusal.status))
        else:
            with self._at_work():
                answer = await asyncio.wrap_future(self._answers.ask(request))
        for part in answer:
            await self._loop.sock_sendall(connection, part)
        connection.shutdown(socket.SHUT_WR)
        while await self._loop.sock_recv(connection, _CHUNK):
            """Whatever is still being sent is let in, for to close on it would take the answer back."""

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Do not count the client as slow while it is the server that takes its time."""
        task = asyncio.current_task()
        assert task is not None
        self._waited_for.pop(task, None)
        yield
        self._waited_for[task] = monotonic()

    async def _read(self, connection: socket.socket) -> Request:
        """Return the request of a client.

        Raises:
            _BadRequestError: it is none, or too large.
            ConnectionError: the client hung up.
        """
        received = bytearray()
        while (end := _end_of_head(received)) is None:
            if len(received) > self._limits.head:
                raise _BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
            received += await self._receive(connection)
        method, target, headers = _parsed(bytes(received[:end]))
        body = received[end:]
        length = self._length(method, headers)
        if length > len(body) and headers.get("expect", "").lower() == "100-continue":
            await self._loop.sock_sendall(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < length:
            body += await self._receive(connection)
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, bytes(body[:length]))

    async def _receive(self, connection: socket.socket) -> bytes:
        received = await self._loop.sock_recv(connection, _CHUNK)
        if not received:
            raise ConnectionResetError
        return received

    def _length(self, method: str, headers: Mapping[str, str]) -> int:
        """Return the length of the body that is read."""
        if not self._limits.body or method in ("GET", "HEAD"):
            return 0
        if "transfer-encoding" in headers or "content-length" not in headers:
            raise _BadRequestError(HTTPStatus.LENGTH_REQUIRED, "say how long the body is")
        if not _LENGTH.fullmatch(headers["content-length"]):
            raise _BadRequestError(HTTPStatus.BAD_REQUEST, "the length of the body is no number that can be")
        length = int(headers["content-length"])
        if length > self._limits.body:
            raise _BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")
        return length


_Written = tuple[bytes, bytes]
"""An answer as it is sent: its head and its body."""


class _Answers:
    """Threads that make answers: none more when many are asked for, and none less when one fails."""

    def __init__(self, answer: Callable[[Request], Page], report: Report) -> None:
        self._answer = answer
        self._report = report
        self._asked: SimpleQueue[tuple[Request, Future[_Written]] | None] = SimpleQueue()

    def ask(self, request: Request) -> Future[_Written]:
        """Have a request answered; who no longer waits may cancel."""
        future: Future[_Written] = Future()
        self._asked.put((request, future))
        return future

    def run(self) -> None:
        """Answer until the end."""
        while (asked := self._asked.get()) is not None:
            request, future = asked
            if future.set_running_or_notify_cancel():
                with suppress(BaseException):  # nobody waits any more
                    future.set_result(self._answered(request))

    def end(self, threads: int) -> None:
        """Let the threads end once they have answered."""
        for _ in range(threads):
            self._asked.put(None)

    def _answered(self, request: Request) -> _Written:
        try:
            return _written(
                self._answer(request),
                compressed=_accepts_gzip(request.headers.get("accept-encoding", "")),
                with_body=request.method != "HEAD",
            )
        except BaseException as error:  # whatever an answer does, the client learns no more than this
            _try_to(self._report, f"{request.path} failed: {error!r}")
            return _written(Page(b"internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR))


class _BadRequestError(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


# ---------------------------------------------------------------- what is bound, parsed and written


def _bound(listen: str, backlog: int) -> socket.socket:
    address = _ADDRESS.fullmatch(listen)
    if address is None or int(address[2]) > _LAST_PORT:
        raise ListenError(f"cannot listen on {listen}: write HOST:PORT with a port up to {_LAST_PORT}")
    host = address[1].strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, int(address[2])), family=family, backlog=backlog)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"cannot listen on {listen}: {getattr(error, 'strerror', None) or error}") from error
    bound.setblocking(False)
    return bound


def _end_of_head(received: bytearray) -> int | None:
    ends = [place + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (place := received.find(mark)) >= 0]
    return min(ends, default=None)


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Return the method, the target and the headers of a request."""
    first, *lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise _BadRequestError(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or not name or name != name.strip():
            raise _BadRequestError(HTTPStatus.BAD_REQUEST, "a header is none")
        if name == "content-length" and headers.get(name, value) != value:
            raise _BadRequestError(HTTPStatus.BAD_REQUEST, "the body has two lengths")
        headers[name] = f"{headers[name]}, {value}" if name in headers and name != "content-length" else value
    return request[1], request[2], headers


def _accepts_gzip(header: str) -> bool:
    for item in header.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip().lower() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _written(page: Page, *, compressed: bool = False, with_body: bool = True) -> _Written:
    body = page.compressed if compressed else page.body
    headers = [
        ("Content-Type", page.content_type),
        ("Content-Length", str(len(body))),
        ("Vary", "Accept-Encoding"),
        *([("Content-Encoding", "gzip")] if compressed else []),
        *page.headers,
        ("Date", formatdate(usegmt=True)),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {page.status.value} {page.status.phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1"), body if with_body else b""


def _try_to(report: Report, problem: str) -> None:
    with suppress(Exception):
        report(problem)
