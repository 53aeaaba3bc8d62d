"""Scrapes of an exporter with many features, gzip included, while it idles and while it measures a window."""

from __future__ import annotations

import gzip
import http.client
import io
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from benchmarks.data import NOON, WINDOW, reference_of_copies, spec_of, table_of
from benchmarks.figures import Figure
from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.process.runs import RunsApart
from mlvitals.exporters.process.server import PageServer
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.stores import open_store

WINDOW_ROWS, SCRAPES, PAUSE = 1_000, 300, 0.02
LIMIT_MS = 30.0


def figures(*, full: bool) -> list[Figure]:
    """The 99th percentile of scrapes beside one rendering of as many series by prometheus_client's registry."""
    features = 10_000 if full else 2_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, features)
        command = [sys.executable, "-m", "benchmarks.scrape", str(folder), str(features)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as exporter:
            assert exporter.stdin and exporter.stdout
            address = exporter.stdout.readline().strip()
            series = _series(gzip.decompress(_scrape(address)))
            idle = [_timed(address) for _ in range(SCRAPES)]
            exporter.stdin.write("\n")
            exporter.stdin.flush()
            during = _scrapes_until(address, exporter.stdout.readline)
    floor = _registry_seconds(series)
    subject, other = (
        f"{features:,} features, {series:,} series, scraped with gzip, 99th percentile",
        "prometheus_client",
    )
    return [
        Figure(
            f"{subject}: {when}",
            float(np.quantile(times, 0.99)),
            f"{other}'s registry, {series:,} series",
            floor,
            target=f"under {LIMIT_MS:.0f} ms",
        )
        for when, times in (("idle", idle), (f"during a run ({len(during)} scrapes)", during))
    ]


def _prepare(folder: Path, features: int) -> None:
    """A promoted reference, and a log of two windows."""
    spec = spec_of(features)
    store = open_store(spec.reference.store, folder, spec.system.name)
    store.promote(store.save(reference_of_copies(spec)), spec.reference.alias)
    (folder / "log").mkdir()
    for number, window in enumerate((WINDOW, _NEXT)):
        pq.write_table(table_of(features, WINDOW_ROWS, number, window), folder / "log" / f"{number}.parquet")


_NEXT = Window(WINDOW.end, WINDOW.end + (WINDOW.end - WINDOW.start))


def _serve(folder: Path, features: int) -> None:
    """An exporter that has measured one window, and measures the next when a line arrives; says when it did."""
    spec, now = spec_of(features), [NOON]
    references = open_store(spec.reference.store, folder, spec.system.name)
    results = open_results(spec.results, folder)
    log = JsonLog(sys.stderr, lambda: now[0], spec.system.name)
    with closing(RunsApart(spec, folder)) as runner:
        exporter = Exporter(spec, folder, references, results, lambda: now[0], log, runner)
        exporter.run_due()
        with PageServer("127.0.0.1:0", exporter.pages(), partial(print, file=sys.stderr)) as server:
            print(server.url.removeprefix("http://"), flush=True)
            sys.stdin.readline()
            now[0] += timedelta(hours=1)
            exporter.run_due()
            assert b"bench_exporter_run_failures_total 0.0" in exporter.metrics().text, "a run failed"
            print("done", flush=True)
            sys.stdin.readline()


def _scrape(address: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    body = connection.getresponse().read()
    connection.close()
    return body


def _timed(address: str) -> float:
    start = perf_counter()
    _scrape(address)
    return perf_counter() - start


def _scrapes_until(address: str, wait: Callable[[], object]) -> list[float]:
    """Scrape with pauses until something waited for happens."""
    waiter = threading.Thread(target=wait)
    waiter.start()
    times = []
    while waiter.is_alive():
        times.append(_timed(address))
        sleep(PAUSE)
    return times


def _series(page: bytes) -> int:
    return sum(not line.startswith(b"#") for line in io.BytesIO(page))


def _registry_seconds(series: int) -> float:
    registry = CollectorRegistry()
    gauge = Gauge("bench_value", "As many series.", ["feature_name", "figure"], registry=registry)
    for number in range(series):
        gauge.labels(f"f{number // 10}", str(number % 10)).set(number / 7)
    start = perf_counter()
    gzip.compress(generate_latest(registry), compresslevel=1)
    return perf_counter() - start


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
