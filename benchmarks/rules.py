"""A thousand features: compiling their spec, and evaluating the generated rules in a real Prometheus.

`python -m benchmarks.rules` prints the figures. Prometheus scrapes a real exporter that has measured a window.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import TIME, reference_of_copies, spec_of, table_of
from benchmarks.figures import Figure, best_of
from examples.servers import find_server, free_port
from mlvitals.exporters.reference.stores import open_store
from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.contract import Contract
from mlvitals.generator.prometheus import prometheus_config
from mlvitals.generator.spec.model import Slo, SloKind, Spec

FEATURES, WINDOW_ROWS, ROUNDS = 1_000, 2_000, 3
SETTLED, SCRAPES, WATCHED = "1m", 6, "40s"
"""Once so many scrapes within a minute have brought the features, its last part saw no evaluation without them."""
COMPILE_SECONDS, GROUP_SECONDS = 1.5, 0.1
_PATIENCE_SECONDS = 300


def figures(*, full: bool) -> list[Figure]:
    """CPU seconds to compile, and what the slowest rule group takes; `full` for each Prometheus here."""
    spec = _spec()
    (compiling,) = best_of(ROUNDS, lambda: compile_spec(spec), clock=process_time)
    subject = f"{FEATURES:,} features"
    found = [Figure(f"{subject}: compile", compiling, "", None, target=f"under {COMPILE_SECONDS} s")]
    for release in ("stable", "sid") if full else ("stable",):
        program = find_server("prometheus", release=release)
        slowest, group = _slowest_group(spec, program) if program else (None, "no Prometheus here")
        title = f"{subject}: slowest rule group, Prometheus of Debian {release}"
        found.append(Figure(title, slowest, "", None, target=f"under {1000 * GROUP_SECONDS:.0f} ms", note=group))
    return found


def _spec() -> Spec:
    slos = {
        "steady": Slo(kind=SloKind.DRIFT, objective=0.99, threshold=0.25),
        "answers": Slo(kind=SloKind.AVAILABILITY, objective=0.999),
    }
    telemetry = msgspec.structs.replace(spec_of(1).telemetry, scrape_interval="10s", evaluation_interval="2s")
    return msgspec.structs.replace(spec_of(FEATURES), slos=slos, telemetry=telemetry)


def _slowest_group(spec: Spec, program: str) -> tuple[float, str]:
    """The slowest group: its shortest evaluation with the features there, which the machine disturbed least, and its name."""
    psi = Contract(spec).name("drift_psi")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(spec, folder)
        with _exporter(folder) as address, _prometheus(spec, program, folder, address) as url:
            # Records for panels alone are evaluated every few minutes: nobody waits for those here.
            iterations = 'prometheus_rule_group_iterations_total{rule_group!~".*-recording-[0-9]+m.*"}'
            settled = f"count(count_over_time({psi}[{SETTLED}]) >= {SCRAPES}) == {FEATURES}"
            _until(url, f"{settled} and min({iterations}) > 0")
            lately = f"prometheus_rule_group_last_duration_seconds[{WATCHED}]"
            answer = _ask(url, f"topk(1, min_over_time({lately}))")
    return float(answer[0]["value"][1]), answer[0]["metric"]["rule_group"].rpartition(";")[2]


def _prepare(spec: Spec, folder: Path) -> None:
    """A promoted reference, and a log of one window in which nothing drifts: all features are like the first."""
    store = open_store(spec.reference.store, folder, spec.system.name)
    store.promote(store.save(reference_of_copies(spec)), spec.reference.alias)
    like_the_first, random = table_of(1, WINDOW_ROWS, seed=2), np.random.default_rng(3)
    columns = {name: random.permutation(like_the_first["f0"].to_numpy()) for name in spec.features}
    (folder / "log").mkdir()
    pq.write_table(pa.table({TIME: like_the_first[TIME], **columns}), folder / "log" / "0.parquet")


@contextmanager
def _exporter(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.scrape", str(folder), str(FEATURES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _prometheus(spec: Spec, program: str, folder: Path, exporter: str) -> Iterator[str]:
    listen, rules, config = f"127.0.0.1:{free_port()}", folder / "bench.rules.yml", folder / "prometheus.yml"
    rules.write_text(compile_spec(spec)["alert_rules/bench.rules.yml"])
    config.write_text(
        prometheus_config(
            spec, "bench", rule_files=(str(rules),), serving_targets=(listen,), exporter_targets=(exporter,)
        )
    )
    command = [
        program,
        f"--web.listen-address={listen}",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait()


def _until(url: str, query: str) -> None:
    """Wait until a query finds something."""
    deadline = monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if _ask(url, query):
                return
        except OSError:
            pass  # not listening yet
        assert monotonic() < deadline, f"Prometheus never came to {query}"
        sleep(1)


def _ask(url: str, query: str) -> list[dict[str, Any]]:
    address = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  (an address of this machine)
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


if __name__ == "__main__":
    for figure in figures(full=True):
        print(f"{figure.subject}: {figure.ours} s, {figure.target} {figure.note}")
