"""A run without an exporter process: its page as a textfile and on a Pushgateway, stand-in and real."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread
from time import monotonic, sleep
from typing import NamedTuple

import pytest
from exporter_samples import HOSTILE, NOON, OUTCOMES, SPEC, report, samples_of, value
from prometheus_client.parser import text_string_to_metric_families
from real_servers import fetch, running

from examples.servers import free_port
from mlvitals.exporters.publish import handover
from mlvitals.exporters.publish.handover import PublishError, page_of_run, push, write_textfile
from mlvitals.exporters.sections.freshness import Reading
from mlvitals.generator.contract import Contract, Producer

CONTRACT = Contract(SPEC)
END = NOON + timedelta(minutes=6)
PAGE = page_of_run(CONTRACT, report(outcomes=OUTCOMES), {"batch": Reading(NOON)}, END - timedelta(seconds=3), END)


def test_a_run_publishes_every_family_of_the_exporter_and_when_it_ran():
    names = {line.split()[2] for line in PAGE.decode().splitlines() if line.startswith("# TYPE")}
    # Noted changes are not of a run: the exporter process shows them.
    of_a_run = {family.name for family in CONTRACT.of(Producer.EXPORTER)} - {CONTRACT.name("change_timestamp_seconds")}
    assert names == of_a_run
    assert value(PAGE, "shop_exporter_last_success_timestamp_seconds") == END.timestamp()
    assert value(PAGE, "shop_exporter_run_duration_seconds") == 3


def test_no_sample_bears_a_timestamp():
    families = text_string_to_metric_families(PAGE.decode())
    assert not [sample for family in families for sample in family.samples if sample.timestamp is not None]


# ---------------------------------------------------------------- textfile


def test_the_textfile_is_replaced_readable_for_all_and_alone(tmp_path: Path):
    target = tmp_path / "shop.prom"
    target.write_text("old")
    write_textfile(PAGE, target)
    assert target.read_bytes() == PAGE
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_node_exporter_would_not_read_is_refused(tmp_path: Path):
    with pytest.raises(PublishError, match=r"\.prom"):
        write_textfile(PAGE, tmp_path / "shop.txt")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_message(tmp_path: Path):
    with pytest.raises(PublishError, match=r"nowhere/shop\.prom cannot be written: No such file"):
        write_textfile(PAGE, tmp_path / "nowhere" / "shop.prom")


@pytest.mark.slow
def test_a_real_node_exporter_serves_the_textfile(servers: Callable[..., str], tmp_path: Path):
    write_textfile(PAGE, tmp_path / "shop.prom")
    options = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={tmp_path}"]
    with running(servers("node_exporter"), *options) as address:
        served = samples_of(fetch(f"{address}/metrics"))
    assert samples_of(PAGE).items() <= served.items()
    assert served[("node_textfile_scrape_error", frozenset())] == 0


# ---------------------------------------------------------------- Pushgateway


class Put(NamedTuple):
    """What a client put, and where."""

    method: str
    path: str
    content_type: str
    body: bytes


class Gateway(HTTPServer):
    """Keeps what is put and gives one answer to everything."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.received: list[Put] = []
        self.authorized: list[str | None] = []
        super().__init__(("127.0.0.1", 0), GatewayHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class GatewayHandler(BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(Put("PUT", self.path, self.headers["Content-Type"], body))
        self.server.authorized.append(self.headers["Authorization"])
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"pushed metrics are invalid\nmore")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    standing_in = Gateway(getattr(request, "param", 200))
    thread = Thread(target=standing_in.serve_forever, args=(0.05,))
    thread.start()
    yield standing_in
    standing_in.shutdown()
    thread.join()
    standing_in.server_close()


def test_a_push_replaces_the_group_of_the_job(gateway: Gateway):
    push(PAGE, f"{gateway.url}/", "shop-exporter")
    [put] = gateway.received
    assert (put.method, put.path) == ("PUT", "/metrics/job/shop-exporter")
    assert put.content_type.startswith("text/plain; version=0.0.4")
    assert samples_of(put.body) == samples_of(PAGE)


def test_a_gateway_behind_a_password_is_pushed_to_and_the_password_never_shown(gateway: Gateway):
    address = gateway.url.replace("//", "//me:s3cret@")
    push(PAGE, address, "shop")
    assert [put.path for put in gateway.received] == ["/metrics/job/shop"]
    assert gateway.authorized == ["Basic " + b64encode(b"me:s3cret").decode()]
    gateway.status = 500
    with pytest.raises(PublishError, match=r"answered 500") as refusal:
        push(PAGE, address, "shop")
    assert "s3cret" not in str(refusal.value)


def test_a_gateway_whose_answer_drips_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handover, "PUSH_TIMEOUT_SECONDS", 0.5)
    with create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                connection.sendall(b"HTTP/1.1 500 Oh\r\n\r\n")
                for _ in range(1000):
                    connection.sendall(b"x")
                    sleep(0.05)

        Thread(target=drip, daemon=True).start()
        begun = monotonic()
        with pytest.raises(PublishError, match=r"answered 500$"):
            push(PAGE, f"http://127.0.0.1:{listening.getsockname()[1]}", "shop")
    assert monotonic() - begun < 5


def test_a_job_with_odd_characters_stays_one_part_of_the_path(gateway: Gateway):
    push(PAGE, gateway.url, "a/b c")
    assert gateway.received[0].path == "/metrics/job/a%2Fb%20c"


@pytest.mark.parametrize("gateway", [400], indirect=True)
def test_a_refusal_says_what_the_gateway_said(gateway: Gateway):
    with pytest.raises(PublishError, match=r"job/shop answered 400: pushed metrics are invalid$"):
        push(PAGE, gateway.url, "shop")


def test_a_gateway_that_is_not_there_is_a_message():
    with pytest.raises(PublishError, match=r"/metrics/job/shop cannot be reached: .*refused"):
        push(PAGE, f"http://127.0.0.1:{free_port()}", "shop")


@pytest.mark.parametrize("address", ["localhost:9091", "file:///etc/passwd", "", "ftp://x"])
def test_what_is_no_address_of_a_gateway_is_refused(address: str):
    with pytest.raises(PublishError, match="looks like http://"):
        push(PAGE, address, "shop")


@pytest.mark.parametrize("address", ["http://[::1", "http://a:b", "http://a b"])
def test_an_address_that_cannot_be_asked_is_a_message(address: str):
    with pytest.raises(PublishError, match="cannot be reached: "):
        push(PAGE, address, "shop")


@pytest.mark.slow
def test_a_real_pushgateway_takes_the_page_and_the_next_one_in_its_place(servers: Callable[..., str]):
    later = page_of_run(CONTRACT, report(features={}), {}, END, END)
    with running(servers("pushgateway")) as address:
        push(PAGE, address, SPEC.exporter_job)
        first = samples_of(fetch(f"{address}/metrics"))
        push(later, address, SPEC.exporter_job)
        second = samples_of(fetch(f"{address}/metrics"))
    group = frozenset({("job", "shop-exporter"), ("instance", "")})
    drift = ("shop_drift_psi", group | {("feature_name", HOSTILE)})
    assert first[drift] == 0.1
    assert drift not in second
    assert second[("shop_window_rows", group)] == 1000
