"""A small HTTP server for pages that are cheap to make: /metrics, /healthz and the like.

Bounded in every direction: connections at once, time a client may take, and what an answer reveals of an error.
"""

import gzip
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from mlvitals.exporters.process.listener import Listener, ListeningServer

PLAIN_TEXT = "text/plain; charset=utf-8"
CONNECTIONS_AT_ONCE = 32
CLIENT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: what was compressed beforehand, if anything, and text after it."""

    text: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN_TEXT
    packed: bytes = b""
    """A gzip member, so that a long page that seldom changes is compressed once and not for every client."""

    @property
    def body(self) -> bytes:
        """The whole answer."""
        return gzip.decompress(self.packed) + self.text if self.packed else self.text

    @property
    def compressed(self) -> bytes:
        """The whole answer as gzip."""
        return self.packed + gzip.compress(self.text, compresslevel=1)


Pages = Mapping[str, Callable[[], Page]]
"""What is served under which path. A page is made for every request, in the request's own thread."""


Report = Callable[[str], None]
"""Tells that a request could not be answered."""


class PageServer(Listener):
    """Serves pages from threads of its own until it is closed; what fails meanwhile is reported from those.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.
    """

    def __init__(self, listen: str, pages: Pages, report: Report) -> None:
        super().__init__(listen, lambda host, port: _Server(host, port, pages, report), "http")


class _Server(ListeningServer):
    request_queue_size = 2 * CONNECTIONS_AT_ONCE

    def __init__(self, host: str, port: int, pages: Pages, report: Report) -> None:
        self.pages = pages
        self.report = report
        self._slots = threading.BoundedSemaphore(CONNECTIONS_AT_ONCE)
        super().__init__(host, port, _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that the base class adds and nobody reads."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread while there is room; a client too many is hung up on."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve, then make room again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say one line where the base class prints a traceback; clients that hang up are no news."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            self.report(f"request from {client_address[0]} failed: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "mlvitals"
    sys_version = ""
    timeout = CLIENT_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Scrapes are not logged."""

    def _answer(self, *, with_body: bool) -> None:
        page = self._page()
        compressed = _accepts_gzip(self.headers.get("Accept-Encoding", ""))
        body = page.compressed if compressed else page.body
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        if compressed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _page(self) -> Page:
        make = self.server.pages.get(self.path.partition("?")[0])
        if make is None:
            known = ", ".join(self.server.pages)
            return Page(f"not found; here are {known}\n".encode(), HTTPStatus.NOT_FOUND)
        try:
            return make()
        except Exception as error:  # whatever a page does, the client learns no more than this
            self.server.report(f"{self.path} failed: {error!r}")
            return Page(b"internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR)


def _accepts_gzip(header: str) -> bool:
    for item in header.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip().lower() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
