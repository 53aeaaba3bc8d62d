import gzip
import re
import socket
from collections.abc import Iterator
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mlvitals.exporters.process.listener import ListenError
from mlvitals.exporters.process.server import CONNECTIONS_AT_ONCE, Page, PageServer


def broken() -> Page:
    raise RuntimeError("secret detail")


@pytest.fixture
def problems() -> list[str]:
    """What the server reports."""
    return []


@pytest.fixture
def server(problems: list[str]) -> Iterator[PageServer]:
    pages = {
        "/metrics": lambda: Page(b"a 1\n" * 1000, content_type="text/plain; version=0.0.4; charset=utf-8"),
        "/readyz": lambda: Page(b"not yet\n", HTTPStatus.SERVICE_UNAVAILABLE),
        "/broken": broken,
    }
    with PageServer("127.0.0.1:0", pages, problems.append) as running:
        yield running


def status_of(url: str, method: str = "GET") -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, method=method), timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_a_page_is_served_with_its_type_and_length(server: PageServer) -> None:
    with urlopen(server.url + "/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (int(answer.headers["Content-Length"]), answer.read()) == (4000, b"a 1\n" * 1000)


def test_a_query_string_makes_no_difference(server: PageServer) -> None:
    assert status_of(server.url + "/metrics?x=1")[0] == HTTPStatus.OK


def test_a_client_that_takes_gzip_gets_it(server: PageServer) -> None:
    with urlopen(
        Request(server.url + "/metrics", headers={"Accept-Encoding": "deflate, gzip;q=0.5"}), timeout=60
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.read()) == b"a 1\n" * 1000


def test_a_client_that_refuses_gzip_does_not_get_it(server: PageServer) -> None:
    with urlopen(Request(server.url + "/metrics", headers={"Accept-Encoding": "gzip;q=0"}), timeout=60) as answer:
        assert answer.headers["Content-Encoding"] is None


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_what_was_compressed_beforehand_comes_before_the_text(coding: str) -> None:
    page = Page(b"b 2\n", packed=gzip.compress(b"a 1\n"))
    with PageServer("127.0.0.1:0", {"/metrics": lambda: page}, print) as running:
        request = Request(running.url + "/metrics", headers={"Accept-Encoding": coding})
        with urlopen(request, timeout=60) as answer:
            sent = answer.read()
    assert (gzip.decompress(sent) if coding == "gzip" else sent) == b"a 1\nb 2\n"


def test_head_has_the_headers_without_the_body(server: PageServer) -> None:
    with urlopen(Request(server.url + "/metrics", method="HEAD"), timeout=60) as answer:
        assert (answer.headers["Content-Length"], answer.read()) == ("4000", b"")


def test_a_page_decides_its_status(server: PageServer) -> None:
    assert status_of(server.url + "/readyz") == (HTTPStatus.SERVICE_UNAVAILABLE, b"not yet\n")


def test_an_unknown_path_names_the_known_ones(server: PageServer) -> None:
    assert status_of(server.url + "/") == (HTTPStatus.NOT_FOUND, b"not found; here are /metrics, /readyz, /broken\n")


def test_a_page_that_breaks_tells_the_client_nothing_and_the_log_what(server: PageServer, problems: list[str]) -> None:
    assert status_of(server.url + "/broken") == (HTTPStatus.INTERNAL_SERVER_ERROR, b"internal error\n")
    assert problems == ["/broken failed: RuntimeError('secret detail')"]


def test_other_methods_are_refused(server: PageServer) -> None:
    assert status_of(server.url + "/metrics", method="POST")[0] == HTTPStatus.NOT_IMPLEMENTED


def test_clients_that_say_nothing_cannot_take_all_threads(server: PageServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port)), timeout=60) for _ in range(CONNECTIONS_AT_ONCE)]
    try:
        with pytest.raises(OSError):
            urlopen(server.url + "/metrics", timeout=60)
    finally:
        for connection in silent:
            connection.close()


def test_a_client_that_hangs_up_leaves_no_trace(
    server: PageServer, problems: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"GET /metr")
    assert status_of(server.url + "/metrics")[0] == HTTPStatus.OK
    assert (problems, capfd.readouterr().err) == ([], "")


def test_a_port_in_use_is_told(server: PageServer) -> None:
    address = server.url.removeprefix("http://")
    with pytest.raises(ListenError, match=f"cannot listen on {address}: Address already in use"):
        PageServer(address, {}, print)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:99999", "203.0.113.1:0", "nowhere", "[::1:0", "::1]:0", "127.0.0.1:\u0660"]
)
def test_an_address_that_cannot_be_is_told(listen: str) -> None:
    with pytest.raises(ListenError, match=re.escape(f"cannot listen on {listen}: ")):
        PageServer(listen, {}, print)


def test_ipv6_addresses_are_written_in_brackets() -> None:
    with PageServer("[::1]:0", {"/healthz": lambda: Page(b"ok\n")}, print) as running:
        assert status_of(running.url + "/healthz") == (HTTPStatus.OK, b"ok\n")


def test_nothing_listens_any_more_after_closing() -> None:
    with PageServer("127.0.0.1:0", {}, print) as running:
        url = running.url
    with pytest.raises(OSError):
        urlopen(url, timeout=60)
