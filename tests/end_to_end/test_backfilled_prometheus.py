"""The past of StreamRec, measured afterwards, in a real Prometheus: figures, panels and alerts as if it had watched."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from real_servers import fetch, running

from examples.streamrec.faults import DAYS_SINCE, March3
from examples.streamrec.simulate import simulate_hour, training_table
from examples.streamrec.write import write_hour
from tests.conftest import RELEASES

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parent.parent.parent
HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=5)
BEGIN = datetime(2025, 3, 3, 6, tzinfo=UTC)
FAULT = BEGIN + 2 * HOUR
END = BEGIN + 4 * HOUR
CALM, DRIFTING = FAULT + GRACE, FAULT + HOUR + GRACE
"""When the last sound window, and the first corrupted one, are published."""


def mlvitals(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlvitals", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def openmetrics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of four hours of StreamRec, of which the last two are corrupted for 40 % of the rows."""
    root = tmp_path_factory.mktemp("streamrec")
    data, spec = root / "examples" / "streamrec" / "data", root / "specs" / "streamrec.yaml"
    spec.parent.mkdir()
    shutil.copy(REPOSITORY / "specs" / "streamrec.yaml", spec)
    for hour in range(4):
        begin = BEGIN + hour * HOUR
        write_hour(data / "predictions", begin, simulate_hour(begin, seed=1, faults=[March3(FAULT, 0.4)]))
    write_hour(data / "training", BEGIN - 48 * HOUR, training_table(BEGIN - 48 * HOUR, 8, seed=1))
    mlvitals("reference", "build", spec, "--data", data / "training")
    file = root / "history.om"
    done = mlvitals("backfill", spec, "--start", BEGIN.isoformat(), "--end", END.isoformat(), "--openmetrics", file)
    assert "4 windows measured: 2 critical" in done.stderr
    assert done.stdout == ""
    return file


class Past:
    """A Prometheus that holds nothing but the past."""

    def __init__(self, address: str) -> None:
        self._address = address

    def at(self, query: str, time: datetime) -> dict[str, float]:
        """Values by feature at a moment."""
        found = self._get("query", query=query, time=time.timestamp())
        return {item["metric"].get("feature_name", ""): float(item["value"][1]) for item in found}

    def minutes(self, query: str) -> list[float]:
        """The values of one series at every minute from the first publication to an hour after the last."""
        span = {"start": (BEGIN + HOUR + GRACE).timestamp(), "end": (END + HOUR).timestamp(), "step": 60}
        [series] = self._get("query_range", query=query, **span)
        return [float(value) for _, value in series["values"]]

    def _get(self, kind: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = json.loads(fetch(f"{self._address}/api/v1/{kind}?{urlencode(parameters)}"))
        return answer["data"]["result"]


@pytest.fixture(scope="module", params=RELEASES)
def past(
    request: pytest.FixtureRequest,
    servers: Callable[..., str],
    openmetrics: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Past]:
    """The history as blocks in a Prometheus that scrapes nothing."""
    root = tmp_path_factory.mktemp("prometheus")
    promtool = servers("promtool", request.param)
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", openmetrics, root / "data"], check=True)
    config = root / "prometheus.yml"
    config.write_text("global: {}\n")
    options = (f"--config.file={config}", f"--storage.tsdb.path={root / 'data'}", "--storage.tsdb.retention.time=20y")
    with running(servers("prometheus", request.param), *options, ready="/-/ready") as address:
        yield Past(address)


def test_drift_is_found_at_the_time_it_would_have_been_published(past: Past):
    psi = f'streamrec_drift_psi{{feature_name="{DAYS_SINCE}"}}'
    assert past.at(psi, CALM)[DAYS_SINCE] < 0.1
    assert past.at(psi, DRIFTING - timedelta(seconds=1))[DAYS_SINCE] < 0.1
    assert past.at(psi, DRIFTING)[DAYS_SINCE] > 0.25


def test_the_generated_drift_rule_would_have_fired_for_the_corrupted_feature_alone(past: Past):
    rules = yaml.safe_load((REPOSITORY / "alert_rules" / "streamrec.rules.yml").read_text())
    [critical] = (
        rule["expr"]
        for group in rules["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "MLFeatureDrift" and rule["labels"]["severity"] == "critical"
    )
    assert past.at(critical, CALM) == {}
    assert set(past.at(critical, DRIFTING)) == {DAYS_SINCE}


def test_an_hourly_series_has_a_value_at_every_minute(past: Past):
    values = past.minutes(f'streamrec_drift_psi{{feature_name="{DAYS_SINCE}", job="streamrec-exporter"}}')
    assert len(values) == 4 * 60 - 5 + 1


def test_no_bin_is_found_beside_the_one_that_took_its_place(past: Past):
    assert set(past.minutes('max(count by (feature_name) (streamrec_drift_top_bin_psi{rank="1"}))')) == {1.0}


def test_the_exporter_looks_alive(past: Past):
    assert max(past.minutes("time() - streamrec_exporter_last_success_timestamp_seconds")) <= 3600
    assert past.at("increase(streamrec_exporter_runs_total[2h])", END)[""] > 0
