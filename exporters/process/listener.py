"""The life of an HTTP server: listen on HOST:PORT, answer from a thread of its own, close."""

import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from mlvitals.generator.errors import UserError

_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^\[\]]+):([0-9]{1,5})")
_LAST_PORT = 65535


class ListenError(UserError):
    """The address cannot be listened on."""


class ListeningServer(ThreadingHTTPServer):
    """A server on an IPv4 or IPv6 address, whose threads hold up no end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), handler)


class Listener:
    """Answers from the moment it is made until it is closed.

    Args:
        listen: HOST:PORT, an IPv6 address in brackets; port 0 takes any that is free.
        make_server: makes the server, bound to a host and a port.
        name: the thread's.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.

    """

    def __init__(self, listen: str, make_server: Callable[[str, int], HTTPServer], name: str) -> None:
        address = _ADDRESS.fullmatch(listen)
        if address is None or int(address[2]) > _LAST_PORT:
            raise ListenError(f"cannot listen on {listen}: write HOST:PORT with a port up to {_LAST_PORT}")
        try:
            self._server = make_server(address[1].strip("[]"), int(address[2]))
        except OSError as error:
            raise ListenError(f"cannot listen on {listen}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name=name, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it answers; the port that was given out where port 0 was asked for."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def close(self) -> None:
        """Stop listening; answers on their way are not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
