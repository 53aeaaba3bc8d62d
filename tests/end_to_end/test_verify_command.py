"""`mlvitals verify` against a real Prometheus that scrapes one page of metrics."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import pytest
from click.testing import CliRunner, Result
from real_servers import fetch, running

from mlvitals.cli import main
from tests.conftest import RELEASES

SPEC = """\
version: 1
system: {name: shop}
serving: {enabled: false}
prediction_log: {path: log, timestamp: at}
features: {age: {}}
"""
PAGE = b"""\
# TYPE shop_feature_info gauge
shop_feature_info{feature_name="age",feature_source="",feature_type="float"} 1
# TYPE shop_drift_psi gauge
shop_drift_psi{feature_name="age"} 0.01
# TYPE shop_drift_psi_critical_value gauge
shop_drift_psi_critical_value{feature_name="age"} 0.03
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", params=RELEASES)
def prometheus(
    request: pytest.FixtureRequest, servers: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Prometheus that has scraped the page."""
    root = tmp_path_factory.mktemp("prometheus")
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    config = root / "prometheus.yml"
    target = {"targets": [f"127.0.0.1:{exporter.server_port}"]}
    job = {"job_name": "shop-exporter", "scrape_interval": "1s", "static_configs": [target]}
    config.write_text(json.dumps({"scrape_configs": [job]}))
    options = (f"--config.file={config}", f"--storage.tsdb.path={root / 'data'}")
    with running(servers("prometheus", request.param), *options, ready="/-/ready") as address:
        deadline = monotonic() + 120
        while not json.loads(fetch(f"{address}/api/v1/query?query=shop_drift_psi"))["data"]["result"]:
            assert monotonic() < deadline, "nothing was scraped"
            sleep(0.1)
        yield address
    exporter.shutdown()


def verify(tmp_path: Path, *arguments: str) -> Result:
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    return CliRunner().invoke(main, ["verify", str(spec), "--slow", "30s", *arguments])


def test_what_is_there_passes_and_what_is_missing_is_named(prometheus, tmp_path):
    done = verify(tmp_path, "--prometheus", prometheus, "--json")
    found = json.loads(done.stdout)
    places = {(finding["place"], finding["problem"]) for finding in found["findings"]}
    alerts = {place.partition(": ")[2] for place, _ in places if "alert" in place}
    assert done.exit_code == 1
    assert found["schema"] == "mlvitals.verify/1"
    assert {problem for _, problem in places} == {"empty"}, "every query is sound, and some find nothing"
    assert "alert MLFeatureDrift (critical)" not in alerts, "silent, and what it reads is there"
    assert any("null" in place.lower() for place, _ in places), "the null rate is not published"


def test_a_person_reads_a_line_that_sums_up(prometheus, tmp_path):
    last = verify(tmp_path, "--prometheus", prometheus).stdout.splitlines()[-1]
    assert " queries, " in last
    assert "are empty because all is well" in last


def test_without_a_server_there_is_a_message(tmp_path):
    done = verify(tmp_path, "--prometheus", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in done.output


def test_a_range_that_is_none_is_refused(tmp_path):
    done = verify(tmp_path, "--prometheus", "http://127.0.0.1:1", "--range", "month")
    assert done.exit_code == 2
    assert "'month' is not a duration" in done.output
