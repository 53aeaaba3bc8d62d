"""What `mlvitals slo` says, and by which exit code a CI job decides."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from examples.servers import free_port
from mlvitals.cli import main

STREAMREC = Path(__file__).resolve().parent.parent.parent / "specs" / "streamrec.yaml"
FLIGHTS = STREAMREC.with_name("flights.yaml")


class FakePrometheus:
    """Answers instant queries with the series of the metric that the query begins with."""

    def __init__(self) -> None:
        self.left: dict[str, str] = {}
        self.known = True
        self.body: bytes | None = None

    def answer(self, query: str) -> bytes:
        if self.body is not None:
            return self.body
        values = {"slo:objective:ratio": {"drift_compliance": "0.99"} if self.known else {}}
        values["slo:period_error_budget_remaining:ratio"] = self.left
        series = [
            {"metric": {"sloth_slo": name}, "value": [0, value]}
            for name, value in values.get(query.partition("{")[0], {}).items()
        ]
        return json.dumps({"status": "success", "data": {"result": series}}).encode()


@pytest.fixture
def prometheus() -> Iterator[tuple[FakePrometheus, str]]:
    fake = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fake.answer(parse_qs(urlsplit(self.path).query)["query"][0])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield fake, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def slo(url: str, *options: str, spec: Path = FLIGHTS) -> Result:
    return CliRunner().invoke(main, ["slo", str(spec), "--prometheus", url, *options])


def test_a_budget_that_is_left_allows_deployments(prometheus):
    fake, url = prometheus
    fake.left = {"drift_compliance": "0.42"}
    done = slo(url)
    assert done.exit_code == 0
    assert "42.0%" in done.output
    assert "deployments allowed" in done.output


def test_a_spent_budget_holds_them_back(prometheus):
    fake, url = prometheus
    fake.left = {"drift_compliance": "-0.5"}
    done = slo(url)
    assert done.exit_code == 1
    assert "-50.0%" in done.output


def test_a_budget_that_nobody_knows_allows_nothing(prometheus):
    fake, url = prometheus
    fake.left = {"drift_compliance": "NaN"}
    done = slo(url)
    assert done.exit_code == 1
    assert "not all error budgets are known" in done.output


def test_one_spent_budget_of_several_is_enough(prometheus):
    fake, url = prometheus
    fake.left = {"prediction_availability": "0", "drift_compliance": "1"}
    document = json.loads(slo(url, "--json", spec=STREAMREC).stdout)
    assert document["schema"] == "mlvitals.slo/1"
    assert document["deploy_allowed"] is False
    assert {entry["slo"]: entry["deploy_allowed"] for entry in document["slos"]} == {
        "prediction_availability": False,
        "prediction_latency": None,
        "feature_freshness": None,
        "model_staleness": None,
        "drift_compliance": True,
    }


def test_a_prometheus_that_is_away_is_said_so():
    done = slo(f"http://127.0.0.1:{free_port()}")
    assert done.exit_code == 1
    assert "Prometheus does not answer" in done.stderr
    assert "Traceback" not in done.output


def test_a_prometheus_without_the_rules_is_said_so(prometheus):
    fake, url = prometheus
    fake.known = False
    done = slo(url)
    assert done.exit_code == 1
    assert "does it load alert_rules/flights.rules.yml" in done.stderr


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": null}'])
def test_an_answer_of_something_else_is_said_so(prometheus, body: bytes):
    fake, url = prometheus
    fake.body = body
    done = slo(url)
    assert done.exit_code == 1
    assert "the answer is not from Prometheus" in done.stderr


def test_a_prometheus_that_is_no_url_is_wrong_usage():
    assert slo("localhost").exit_code == 2
