"""The contract both ways: what generated files read is served, and what is served is read.

Nothing is assumed of either side: the queries come from the committed files, the families from two live /metrics pages.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from gap_history import keep_quiet_hours
from prometheus_client.parser import text_string_to_metric_families

from examples.servers import free_port
from examples.streamrec.simulate import SOURCES, simulate_hour, training_table
from examples.streamrec.write import touch_sources, write_hour, write_recomputed
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator import slo
from mlvitals.generator.contract import Contract, MetricType, Producer
from mlvitals.generator.promql import metric_names
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.record.model import Assigned, Opened, Resolved
from mlvitals.incidents.record.store import Incidents

OFFERED = {slo.OBJECTIVE, slo.PERIOD_DAYS, slo.INFO, "system:streamrec_deploy_allowed:min"}
"""Recorded for others to read: tools that know sloth's series, and CI jobs."""
REPOSITORY = Path(__file__).resolve().parent.parent.parent
VARIABLE = re.compile(r"\$(__rate_interval|__interval|__range)")
LOOKED_UP = re.compile(r"printf `([A-Za-z_:][A-Za-z0-9_:]*)")
"""Metrics that the text of an alert queries."""
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.slow


def fetch(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return None


def stored_names(page: str) -> set[str]:
    """The names under which Prometheus stores the samples of a page."""
    return {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}


@pytest.fixture(scope="module")
def exporter_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The /metrics page of a real exporter process that has measured an hour of StreamRec."""
    root = tmp_path_factory.mktemp("streamrec")
    data = root / "examples" / "streamrec" / "data"
    spec = root / "specs" / "streamrec.yaml"
    spec.parent.mkdir()
    shutil.copy(REPOSITORY / "specs" / "streamrec.yaml", spec)
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for back in (1, 2, 25, 26):  # the hours, and the ones whose outcomes are all in by now
        write_hour(data / "predictions", this_hour - back * HOUR, simulate_hour(this_hour - back * HOUR, seed=1))
    write_hour(data / "training", this_hour - 60 * HOUR, training_table(this_hour - 60 * HOUR, 8, seed=1))
    write_recomputed(data / "recomputed", this_hour - 3 * HOUR, seed=1)
    touch_sources(data / "sources" / name for name in SOURCES)
    command = [sys.executable, "-m", "mlvitals"]
    subprocess.run(
        [*command, "reference", "build", spec, "--data", data / "training", "--promote"], check=True, cwd=REPOSITORY
    )
    keep_quiet_hours(load_spec(spec), spec.parent, this_hour - 2 * HOUR)
    change = ["annotate", "pipeline", spec, "user_batch_features", "--version", "42"]
    subprocess.run([*command, *change], check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    now = datetime.now(UTC)
    Incidents(root / "incidents").open(
        "Clicks fall",
        "streamrec",
        [
            Opened(at=now, actor="amara"),
            Assigned(at=now, actor="amara", to="amara"),
            Resolved(at=now, actor="amara"),
        ],
    )
    port = free_port()
    process = subprocess.Popen([*command, "export", spec, "--listen", f"127.0.0.1:{port}"], cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 120
        # Ready with the baseline's last window at once; the window of the log comes after it.
        while "streamrec_feature_status{" not in (fetch(f"http://127.0.0.1:{port}/metrics") or ""):
            assert process.poll() is None, "the exporter ended"
            assert time.monotonic() < deadline, "the exporter did not measure"
            time.sleep(0.2)
        yield fetch(f"http://127.0.0.1:{port}/metrics") or ""
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def serving_page(streamrec: Spec) -> str:
    """The /metrics page of an application instrumented with PredictionTelemetry."""
    telemetry = PredictionTelemetry(streamrec)
    telemetry.model("1", "numpy", datetime.now(UTC))
    telemetry.gpu("0", 0.5)
    for event in streamrec.business.events:
        if event in {"recommended_items", "catalogue_items"}:
            telemetry.set_unique(event, 10)
    telemetry.observe(
        model_version="1",
        endpoint=streamrec.serving.endpoints[0],
        latency_seconds={"total": 0.02, **dict.fromkeys(streamrec.serving.stages, 0.005)},
        scores=[0.5],
        features={},
    )
    port = free_port()
    server = telemetry.start_server("127.0.0.1", port)
    try:
        return fetch(f"http://127.0.0.1:{port}/metrics") or ""
    finally:
        server.close()


@pytest.fixture(scope="module")
def queried() -> set[str]:
    """The metrics that the committed dashboards and rules of StreamRec read, records resolved."""
    dashboards = [json.loads(path.read_text()) for path in (REPOSITORY / "dashboards").glob("streamrec*.json")]
    rules = yaml.safe_load((REPOSITORY / "alert_rules" / "streamrec.rules.yml").read_text())
    expressions = [
        *(target["expr"] for shown in dashboards for panel in shown["panels"] for target in panel.get("targets", [])),
        *(note["expr"] for shown in dashboards for note in shown["annotations"]["list"] if "expr" in note),
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
    ]
    records = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    names = {name for expression in expressions for name in metric_names(VARIABLE.sub("5m", expression))}
    texts = [
        text for group in rules["groups"] for rule in group["rules"] for text in rule.get("annotations", {}).values()
    ]
    names |= {name for text in texts for name in LOOKED_UP.findall(text)}
    assert records - OFFERED <= names, f"recorded and never read: {records - names - OFFERED}"
    return names - records


def test_everything_that_is_queried_is_served(
    queried: set[str], exporter_page: str, serving_page: str, streamrec: Spec
):
    prometheus = {family.name for family in Contract(streamrec).of(Producer.PROMETHEUS)}
    assert queried <= stored_names(exporter_page) | stored_names(serving_page) | prometheus


def test_everything_that_is_served_is_queried(
    queried: set[str], exporter_page: str, serving_page: str, streamrec: Spec
):
    contract = Contract(streamrec)
    for family in contract.of(Producer.EXPORTER, Producer.SERVING):
        assert queried & set(family.series_names), f"{family.name} is served and nothing reads it"
    served = stored_names(exporter_page) | stored_names(serving_page)
    own = {name for name in served if name.startswith(f"{contract.namespace}_")}
    assert own <= contract.by_series.keys()


def test_families_are_served_with_the_type_labels_and_help_of_the_contract(
    exporter_page: str, serving_page: str, streamrec: Spec
):
    live = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for page in (exporter_page, serving_page)
        for family in text_string_to_metric_families(page)
    }
    for family in Contract(streamrec).of(Producer.EXPORTER, Producer.SERVING):
        served = live[family.name]
        assert (served.type, served.documentation) == (family.type.value, family.help)
        extra = {"le"} if family.type is MetricType.HISTOGRAM else set()
        assert all(set(sample.labels) - extra == set(family.labels) for sample in served.samples), family.name


def test_no_page_holds_a_value_that_is_not_a_number(exporter_page: str, serving_page: str):
    values = [
        (sample.name, sample.value)
        for page in (exporter_page, serving_page)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    assert not [name for name, value in values if value != value]
