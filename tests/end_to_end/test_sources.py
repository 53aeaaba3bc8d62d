"""The age of feature sources, from a spec as people write it to the gauges: each way in which a source can tell it."""

import io
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.stores import open_store
from mlvitals.generator.spec.load import load_spec

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SPEC = """\
version: 1
system: {{name: shop}}
prediction_log: {{path: log}}
features: {{amount: {{}}}}
sources:
  files: {{max_age: 6h, path: files}}
  column: {{max_age: 6h, path: column, column: updated_at}}
  query: {{max_age: 6h, database: "sqlite:///features.db", query: SELECT max(at) FROM features}}
  endpoint: {{max_age: 6h, url: "http://127.0.0.1:{port}/health", field: features.updated_at, tolerance: 10m}}
"""


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"features": {"updated_at": (NOW + timedelta(minutes=5)).isoformat()}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def page(port: int, tmp_path: Path) -> dict[tuple[str, str], float]:
    """What the exporter says of each source: (family, source) to value."""
    written = tmp_path / "files" / "part.bin"
    written.parent.mkdir()
    written.touch()
    os.utime(written, ((NOW - timedelta(hours=1)).timestamp(),) * 2)
    (tmp_path / "column").mkdir()
    moments = pa.array([NOW - timedelta(hours=5), NOW - timedelta(hours=2)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"updated_at": moments}), tmp_path / "column" / "a.parquet")
    with sqlite3.connect(tmp_path / "features.db") as connection:
        connection.execute("CREATE TABLE features (at)")
        connection.execute("INSERT INTO features VALUES ('2026-03-03T09:00:00Z')")
    (tmp_path / "shop.yaml").write_text(SPEC.format(port=port))
    spec = load_spec(tmp_path / "shop.yaml")
    exporter = Exporter(
        spec,
        tmp_path,
        open_store(spec.reference.store, tmp_path, "shop"),
        open_results(spec.results, tmp_path),
        lambda: NOW,
        JsonLog(io.StringIO(), lambda: NOW, "shop"),
    )
    for source in spec.sources:
        exporter.refresh_freshness(source)
    return {
        (sample.name, sample.labels["feature_source"]): sample.value
        for family in text_string_to_metric_families(exporter.metrics().body.decode())
        for sample in family.samples
        if "feature_source" in sample.labels
    }


@pytest.mark.parametrize(("source", "hours"), [("files", 1), ("column", 2), ("query", 3), ("endpoint", -5 / 60)])
def test_each_kind_of_source_tells_its_age(source: str, hours: float, page: dict[tuple[str, str], float]):
    assert page["shop_data_freshness_seconds", source] == pytest.approx(3600 * hours)
    newest = (NOW - timedelta(hours=hours)).timestamp()
    assert page["shop_data_freshness_timestamp_seconds", source] == pytest.approx(newest)


def test_each_source_publishes_how_far_in_the_future_it_may_be(page: dict[tuple[str, str], float]):
    tolerances = {source: page["shop_data_freshness_tolerance_seconds", source] for source in ("files", "endpoint")}
    assert tolerances == {"files": 60, "endpoint": 600}
