"""Clients of our own servers that dawdle, flood or talk nonsense: whoever asks properly is answered meanwhile."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http import HTTPStatus
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mlvitals.exporters.listener import Limits, Page
from mlvitals.exporters.process.server import PageServer

Happens = Callable[[str], None]
Client = Callable[[PageServer], socket.socket]
PROMISE = "a scrape at the same time is answered"


@pytest.fixture
def server() -> Iterator[PageServer]:
    pages = {"/metrics": lambda: Page(b"a 1\n" * 1000), "/healthz": lambda: Page(b"ok\n"), "/broken": lambda: 1 / 0}
    with PageServer("127.0.0.1:0", pages, lambda _: None, Limits(seconds=3, patience=0.2, connections=64)) as running:
        yield running


def connected(server: PageServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def saying(text: bytes) -> Client:
    def client(server: PageServer) -> socket.socket:
        connection = connected(server)
        with suppress(OSError):
            connection.sendall(text)
        return connection

    return client


CLIENTS: list[tuple[str, int, Client]] = [
    ("200 clients that connect and say nothing", 200, connected),
    ("200 clients that send half a header", 200, saying(b"GET /metrics HTTP/1.1\r\nX-Slow: ")),
    ("200 clients that ask and never read", 200, saying(b"GET /metrics HTTP/1.1\r\n\r\n")),
    ("100 clients that send garbage", 100, saying(bytes(range(256)) * 20)),
    ("20 clients that send a megabyte of headers", 20, saying(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1_000_000)),
    ("100 clients that start TLS", 100, saying(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200))),
    (
        "50 clients that send a body without end",
        50,
        saying(b"POST /metrics HTTP/1.1\r\nContent-Length: 99999\r\n\r\nx"),
    ),
]


@pytest.mark.parametrize(
    ("count", "client"),
    [
        pytest.param(count, client, id=fault, marks=pytest.mark.fault("servers", fault, PROMISE))
        for fault, count, client in CLIENTS
    ],
)
def test_clients_that_misbehave(server: PageServer, count: int, client: Client, happens: Happens) -> None:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(client(server))
        for _ in range(3):
            with urlopen(server.url + "/metrics", timeout=10) as answer:
                assert len(answer.read()) == 4000
    happens("3 of 3 scrapes answered")


@pytest.mark.fault("servers", "500 scrapes at once", "all are answered")
def test_scrapes_at_once(server: PageServer, happens: Happens) -> None:
    def scrape(_: int) -> int:
        with urlopen(server.url + "/metrics", timeout=30) as answer:
            return len(answer.read())

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(scrape, range(500))) == {4000}
    happens("500 of 500")


@pytest.mark.fault("servers", "a page that cannot be made", "500 for whoever asks for it; others are answered")
def test_a_page_that_breaks(server: PageServer, happens: Happens) -> None:
    for _ in range(20):
        with pytest.raises(HTTPError) as raised:
            urlopen(server.url + "/broken", timeout=10)
        assert raised.value.code == HTTPStatus.INTERNAL_SERVER_ERROR
    with urlopen(server.url + "/healthz", timeout=10) as answer:
        assert answer.read() == b"ok\n"
    happens("500, and 200 for the others")


@pytest.mark.fault("servers", "a client whose request drips", "hung up on after the time of a conversation")
def test_a_client_that_drips(happens: Happens) -> None:
    quick = Limits(seconds=0.5)
    with PageServer("127.0.0.1:0", {}, lambda _: None, quick) as server, connected(server) as connection:
        connection.settimeout(0.02)
        begin = monotonic()
        with pytest.raises(OSError, match=r"reset|pipe|ended"):
            while monotonic() - begin < 10:
                connection.sendall(b"G")
                with suppress(TimeoutError):
                    if not connection.recv(1):
                        raise ConnectionResetError("ended")
        assert monotonic() - begin < 5
    happens("hung up on")
