import gzip
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mlvitals.exporters.listener import Limits, ListenError, Page
from mlvitals.exporters.process.server import PageServer


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


def connected(server: PageServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def test_clients_that_say_nothing_make_room_for_those_that_ask(server: PageServer) -> None:
    silent = [connected(server) for _ in range(Limits().connections)]
    try:
        for _ in range(10):
            assert status_of(server.url + "/metrics")[0] == HTTPStatus.OK
        assert silent[0].recv(1) == b""  # it was hung up on
    finally:
        for connection in silent:
            connection.close()


def test_a_client_that_drips_is_hung_up_on_at_the_deadline() -> None:
    with PageServer("127.0.0.1:0", {}, print, Limits(seconds=0.5)) as running, connected(running) as connection:
        begun = time.monotonic()
        with suppress(ConnectionError):
            for byte in b"GET /metrics HTTP/1.1\r\nX-Padding: " + b"x" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert 0.4 < time.monotonic() - begun < 5


def test_a_client_that_does_not_read_is_hung_up_on_at_the_deadline() -> None:
    pages = {"/metrics": lambda: Page(bytes(50_000_000))}
    with PageServer("127.0.0.1:0", pages, print, Limits(seconds=0.5)) as running, connected(running) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        time.sleep(1)
        with suppress(ConnectionError):
            while connection.recv(1 << 20):
                """What was on its way."""
        assert status_of(running.url + "/")[0] == HTTPStatus.NOT_FOUND


def test_slow_clients_that_come_again_and_again_lock_nobody_out() -> None:
    pages = {"/metrics": lambda: Page(b"a 1\n"), "/healthz": lambda: Page(b"ok\n")}
    with PageServer("127.0.0.1:0", pages, print, Limits(connections=8, patience=0.1)) as running:
        slow: list[socket.socket] = []
        try:
            for _ in range(40):
                slow.append(connected(running))
                slow[-1].sendall(b"G")
                assert status_of(running.url + "/metrics")[0] == HTTPStatus.OK
                assert status_of(running.url + "/healthz")[0] == HTTPStatus.OK
        finally:
            for connection in slow:
                connection.close()


def test_five_hundred_clients_at_once_are_all_answered(server: PageServer) -> None:
    clients = [connected(server) for _ in range(500)]
    try:
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 500
    finally:
        for client in clients:
            client.close()


def test_it_knows_whether_it_is_answering() -> None:
    go_on = threading.Event()
    pages = {"/healthz": lambda: Page(b"ok\n"), "/hangs": lambda: Page(bytes(go_on.wait(60)))}
    with PageServer("127.0.0.1:0", pages, print, Limits(seconds=0.5, threads=1)) as running:
        assert running.is_answering("/healthz")
        with connected(running) as connection:
            connection.sendall(b"GET /hangs HTTP/1.1\r\n\r\n")
            assert not running.is_answering("/healthz")
        go_on.set()
        assert running.is_answering("/healthz")


def test_answers_at_once_are_as_many_as_there_are_threads_and_the_others_wait() -> None:
    at_once = threading.Semaphore(2)

    def page() -> Page:
        assert at_once.acquire(blocking=False)
        time.sleep(0.05)
        at_once.release()
        return Page(b"a 1\n")

    limits = Limits(connections=4, threads=2)
    with PageServer("127.0.0.1:0", {"/metrics": page}, print, limits) as running, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(status_of, [running.url + "/metrics"] * 20))
    assert answers == [(HTTPStatus.OK, b"a 1\n")] * 20


def test_a_moment_without_threads_ends_nothing(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        for _ in range(50):
            with connected(server) as connection:
                connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                assert connection.recv(15) == b"HTTP/1.1 200 OK"


NO_ROOM_FOR_A_THREAD = """
import resource, sys, threading, urllib.request
from pathlib import Path
from mlvitals.exporters.listener import Page
from mlvitals.exporters.process.server import PageServer
server = PageServer("127.0.0.1:0", {"/metrics": lambda: Page(b"a 1\\n")}, print)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), resource.RLIM_INFINITY))
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print("no thread")
for _ in range(50):
    assert urllib.request.urlopen(server.url + "/metrics", timeout=60).read() == b"a 1\\n"
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert urllib.request.urlopen(server.url + "/metrics", timeout=60).read() == b"a 1\\n"
"""


def test_a_process_whose_memory_has_no_room_for_a_thread_is_scraped_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", NO_ROOM_FOR_A_THREAD], capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"no thread\n"), done.stderr.decode()


def test_without_threads_for_the_server_itself_the_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(ListenError, match="can't start new thread"):
        PageServer("127.0.0.1:0", {}, print)


def test_a_moment_without_files_ends_nothing_and_is_reported_once(server: PageServer, problems: list[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = connected(server)
    assert status_of(server.url + "/metrics")[0] == HTTPStatus.OK
    late = socket.socket()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 1, hard))
        holes = take_all_files()
        late.connect(waiting.getpeername())
        time.sleep(0.5)
        for hole in holes:
            os.close(hole)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    late.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert late.recv(15) == b"HTTP/1.1 200 OK"
    assert len(problems) == 1
    waiting.close()
    late.close()


def take_all_files() -> list[int]:
    taken = []
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))
    return taken


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00 garbage\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 431),
        (b"GET " + b"/" * 100_000, 431),
        (b"get /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\n\n", 200),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_is_reported(
    server: PageServer, problems: list[str], request_: bytes, status: int
) -> None:
    with connected(server) as connection:
        connection.sendall(request_)
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()
    assert problems == []


def test_a_client_that_hangs_up_leaves_no_trace(
    server: PageServer, problems: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(server) as connection:
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
