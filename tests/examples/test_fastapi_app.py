"""The FastAPI example as users run it: uvicorn with two workers, scraped over HTTP."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.servers import free_port
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.spec.load import load_spec

REPOSITORY = Path(__file__).parents[2]
APP = REPOSITORY / "examples" / "fastapi_app"
REQUESTS = 40
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Application:
    url: str
    workers: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return answer.read().decode()

    def post(self, path: str, body: object = None) -> int:
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        families = text_string_to_metric_families(self.get("/metrics"))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, frozenset(labels.items())))

    def is_up(self) -> bool:
        try:
            self.get("/metrics")
        except OSError:
            return False
        return len(list(self.workers.glob("*.series"))) == 2


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The example with two workers that have answered some requests."""
    workers, port = tmp_path_factory.mktemp("workers"), free_port()
    command = [sys.executable, "-m", "uvicorn", "examples.fastapi_app.app:app", "--workers", "2", "--port", str(port)]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "MLVITALS_WORKERS": str(workers)})
    application = Application(f"http://127.0.0.1:{port}", workers)
    try:
        deadline = time.monotonic() + 120
        while not application.is_up():
            assert process.poll() is None, "uvicorn ended"
            assert time.monotonic() < deadline, "uvicorn's workers did not start"
            time.sleep(0.1)
        with ThreadPoolExecutor(8) as clients:
            rows = [{"age": None if number % 4 == 0 else 30, "balance": 10, "visits": 3} for number in range(REQUESTS)]
            assert set(clients.map(lambda row: application.post("/predict", row), rows)) == {200}
        assert application.post("/predict", {"age": -1e9, "balance": 0, "visits": 0}) == 422
        assert application.post("/contacted?customers=5&renewed=2") == 200
        yield application
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_either_worker_answers_for_both(application: Application):
    labels = {"model_version": "2026-03-01", "endpoint": "/predict"}
    found = {application.value("churn_predictions_total", **labels) for _ in range(8)}
    assert found == {REQUESTS + 1}


def test_every_family_of_the_contract_is_served_and_no_other(application: Application):
    page = application.get("/metrics")
    served = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
    contract = Contract(load_spec(APP / "churn.yaml"))
    assert served == {family.name for family in contract.of(Producer.SERVING, Producer.PROCESS)}


def test_nulls_are_counted_by_feature(application: Application):
    assert application.value("churn_serving_feature_rows_total") == REQUESTS + 1
    assert application.value("churn_serving_feature_null_total", feature_name="age") == REQUESTS / 4
    assert application.value("churn_serving_feature_null_total", feature_name="visits") == 0


def test_the_model_is_shown_once_with_the_time_of_its_training(application: Application):
    assert application.value("churn_model_info", model_version="2026-03-01", framework="by hand") == 1
    trained = application.value("churn_model_trained_timestamp_seconds", model_version="2026-03-01")
    assert trained == 1_772_323_200


def test_failures_and_business_events_are_counted(application: Application):
    labels = {"model_version": "2026-03-01", "error_type": "invalid_input"}
    assert application.value("churn_prediction_errors_total", **labels) == 1
    assert application.value("churn_contacts_total") == 5
    assert application.value("churn_renewals_total") == 2


def test_the_processor_time_and_memory_are_those_of_all_workers(application: Application):
    assert application.value("process_cpu_seconds_total") > 0
    assert application.value("process_resident_memory_bytes") > 10_000_000
