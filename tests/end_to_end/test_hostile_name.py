"""A feature with a hostile name, from the spec to the alert that Prometheus would send, through every real process."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from examples.partitions import write_file, write_hour
from examples.servers import alert_nobody, free_port

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NAME = 'we"ird\\{{ $name }} é\nx'
SPEC = """\
version: 1
system: {{name: odd, title: "{{{{ boom }}}} $labels"}}
serving: {{enabled: false}}
prediction_log: {{path: log}}
windows: {{grace: 0s}}
telemetry: {{scrape_interval: 1s, evaluation_interval: 1s}}
exporter: {{listen: "127.0.0.1:{port}"}}
alerts: {{feature_psi: {{for: 0s}}}}
features:
  "we\\"ird\\\\{{{{ $name }}}} é\\nx": {{thresholds: {{psi: {{critical: 0.5}}}}}}
  plain: {{}}
"""


def rows(start: datetime, shift: float) -> pa.Table:
    random = np.random.default_rng(7)
    times = [start + timedelta(seconds=second) for second in range(3600)]
    return pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("ms", tz="UTC")),
            NAME: random.normal(shift, 1, 3600),
            "plain": random.normal(0, 1, 3600),
        }
    )


@pytest.fixture
def firing(servers: Callable[..., str], tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """The drift alerts that a real Prometheus has firing, with an exporter that measured the drifting feature."""
    prometheus = servers("prometheus")
    spec, exporter, listen = tmp_path / "odd.yaml", free_port(), free_port()
    spec.write_text(SPEC.format(port=exporter), encoding="utf-8")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    write_file(rows(hour, 0), tmp_path / "training.parquet")
    write_hour(tmp_path / "log", hour, rows(hour, 2))
    write_hour(tmp_path / "log", hour + timedelta(hours=1), rows(hour + timedelta(hours=1), 2))
    mlvitals = [sys.executable, "-m", "mlvitals"]
    for arguments in (
        ["compile", spec, "--out", tmp_path],
        ["reference", "build", spec, "--data", tmp_path / "training.parquet"],
    ):
        subprocess.run([*mlvitals, *map(str, arguments)], check=True, cwd=REPOSITORY)
    config = tmp_path / "stack" / "odd" / "prometheus.yml"
    alert_nobody(config)
    processes = [
        subprocess.Popen([*mlvitals, "export", str(spec)], cwd=REPOSITORY),
        subprocess.Popen(
            [
                prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{listen}",
                "--log.level=warn",
            ]
        ),
    ]
    try:
        yield wait_for_drift(f"http://127.0.0.1:{listen}/api/v1/alerts")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


def wait_for_drift(url: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                alerts = json.load(answer)["data"]["alerts"]
        except OSError:
            alerts = []
        found = [alert for alert in alerts if alert["labels"]["alertname"] == "MLFeatureDrift"]
        if len(found) == 2 and all(alert["state"] == "firing" for alert in found):
            return found
        time.sleep(0.5)
    raise AssertionError("the drift alerts did not fire")


def test_the_name_reaches_the_alert_unharmed_and_nothing_in_it_is_expanded(firing: list[dict[str, Any]]):
    assert {alert["labels"]["severity"] for alert in firing} == {"warning", "critical"}
    for alert in firing:
        assert alert["labels"]["feature_name"] == NAME
        assert alert["annotations"]["description"].startswith(f"Feature {NAME} of {{{{ boom }}}} $labels drifted: PSI ")
        assert alert["annotations"]["dashboard_url"].endswith(
            "var-feature_name=we%22ird%5C%7B%7B+%24name+%7D%7D+%C3%A9%0Ax"
        )
    assert {alert["annotations"]["threshold"] for alert in firing} == {"0.1", "0.5"}
