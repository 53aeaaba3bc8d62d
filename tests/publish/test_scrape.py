"""A real Prometheus reads the exporter's page."""

import json
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from exporter_samples import HOSTILE, NOON, SPEC, report

from examples.servers import free_port
from mlvitals.exporters.listener import Page
from mlvitals.exporters.process.server import PageServer
from mlvitals.exporters.publish.prometheus import CONTENT_TYPE, RunState, packed, render_state, render_window
from mlvitals.generator.contract import Contract


@pytest.mark.slow
def test_prometheus_reads_a_page_of_several_gzip_members(prometheus: str, tmp_path: Path) -> None:
    contract = Contract(SPEC)
    window = packed(render_window(contract, report()))
    page = Page(render_state(contract, RunState(runs=5), {}, NOON), content_type=CONTENT_TYPE, packed=window)
    with PageServer("127.0.0.1:0", {"/metrics": lambda: page}, print) as server:
        target, address = server.url.removeprefix("http://"), f"127.0.0.1:{free_port()}"
        config = {
            "scrape_configs": [{"job_name": "x", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
        with subprocess.Popen([prometheus, *options], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
            try:
                assert answer(address, "shop_exporter_runs_total") == 5
                assert (
                    answer(address, f"shop_drift_psi{{feature_name={json.dumps(HOSTILE, ensure_ascii=False)}}}") == 0.1
                )
            finally:
                process.terminate()


def answer(address: str, query: str) -> float:
    """The value of a series, once it was scraped."""
    url = f"http://{address}/api/v1/query?query={quote(query)}"
    for _ in range(100):
        try:
            with urlopen(url, timeout=60) as response:
                result = json.load(response)["data"]["result"]
        except URLError:
            result = []
        if result:
            return float(result[0]["value"][1])
        time.sleep(0.1)
    raise AssertionError(f"Prometheus never saw {query}")
