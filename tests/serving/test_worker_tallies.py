"""What several workers of an application count together, and what remains of those that end."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from exporter_samples import SPEC, value
from prometheus_client import CollectorRegistry, generate_latest

from mlvitals.exporters.serving.tallies import Series, Tally, merge
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.exporters.serving.workers import WorkerTally
from mlvitals.generator.contract import MetricType

COUNTER = Series("counts_total", ("a",), MetricType.COUNTER, 1)
GAUGE = Series("level", (), MetricType.GAUGE, 2)
TRAINED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workers"


@pytest.fixture
def witness(folder: Path) -> Iterator[WorkerTally]:
    """A worker that lives through the test."""
    tally = WorkerTally(folder)
    yield tally
    tally.abandon()


def count(tally: Tally, amount: float, series: Series = COUNTER) -> None:
    place = tally.place(series)
    tally.values[place] += amount


def test_counts_of_all_workers_are_added_up(witness: WorkerTally, folder: Path) -> None:
    other = WorkerTally(folder)
    count(witness, 2)
    count(other, 3)
    assert merge(witness.readings())[COUNTER] == (5,)
    assert merge(other.readings())[COUNTER] == (5,)


def test_of_a_gauge_the_last_to_set_it_is_right(witness: WorkerTally, folder: Path) -> None:
    other = WorkerTally(folder)
    other.set(GAUGE, 7, at=200)
    witness.set(GAUGE, 6, at=100)
    assert merge(witness.readings())[GAUGE] == (7, 200)


def test_of_a_worker_that_ended_counts_remain_and_gauges_go(witness: WorkerTally, folder: Path) -> None:
    other = WorkerTally(folder)
    count(other, 3)
    other.set(GAUGE, 7, at=200)
    other.abandon()
    assert merge(witness.readings()) == {COUNTER: (3,)}


def test_a_killed_worker_loses_no_count(witness: WorkerTally, folder: Path) -> None:
    program = f"""
from pathlib import Path
from mlvitals.exporters.serving.workers import WorkerTally
from mlvitals.generator.contract import MetricType
from mlvitals.exporters.serving.tallies import Series
tally = WorkerTally(Path({str(folder)!r}))
place = tally.place(Series("counts_total", ("a",), MetricType.COUNTER, 1))
for _ in range(1000):
    tally.values[place] += 1
print("counted", flush=True)
input()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"counted\n"
        process.kill()
    assert [(reading.live, reading.values.get(COUNTER)) for reading in witness.readings()] == [
        (True, None),
        (False, (1000,)),
    ]


def test_a_new_worker_counts_on_in_the_file_of_one_that_ended(witness: WorkerTally, folder: Path) -> None:
    first = WorkerTally(folder)
    count(first, 3)
    first.set(GAUGE, 7, at=200)
    first.abandon()
    second = WorkerTally(folder)
    count(second, 1)
    assert merge(witness.readings()) == {COUNTER: (4,)}
    assert len(list(folder.glob("*.series"))) == 2


def test_where_no_worker_is_left_counting_starts_anew(folder: Path) -> None:
    last = WorkerTally(folder)
    count(last, 3)
    last.abandon()
    assert merge(WorkerTally(folder).readings()) == {}


def test_a_line_that_its_killed_writer_left_unfinished_is_overwritten(witness: WorkerTally, folder: Path) -> None:
    other = WorkerTally(folder)
    count(other, 3)
    other.abandon()
    with (folder / "1.series").open("ab") as file:
        file.write(b'["half a li')
    assert merge(witness.readings()) == {COUNTER: (3,)}
    successor, later = WorkerTally(folder), Series("later_total", (), MetricType.COUNTER, 1)
    count(successor, 9, later)
    assert merge(witness.readings()) == {COUNTER: (3,), later: (9,)}


def test_more_series_than_the_file_first_holds_are_counted(witness: WorkerTally, folder: Path) -> None:
    other = WorkerTally(folder)
    many = [Series("counts_total", (str(number),), MetricType.COUNTER, 1) for number in range(5000)]
    for number, series in enumerate(many):
        count(other, number, series)
    found = merge(witness.readings())
    assert [found[series] for series in many] == [(number,) for number in range(5000)]


def telemetry_in(folder: Path) -> PredictionTelemetry:
    telemetry = PredictionTelemetry(SPEC, CollectorRegistry(), workers=folder)
    telemetry.model("v1", "lightgbm", TRAINED)
    return telemetry


def test_workers_that_serve_two_versions_show_both_and_each_once(folder: Path) -> None:
    workers = [telemetry_in(folder), telemetry_in(folder), telemetry_in(folder)]
    workers[1].model("v2", "lightgbm", TRAINED)
    page = generate_latest(workers[0].registry).decode()
    assert [line for line in page.splitlines() if line.startswith("shop_model_info{")] == [
        'shop_model_info{framework="lightgbm",model_version="v1"} 1.0',
        'shop_model_info{framework="lightgbm",model_version="v2"} 1.0',
    ]


def test_histograms_of_workers_are_added_bucket_by_bucket(folder: Path) -> None:
    workers = [telemetry_in(folder), telemetry_in(folder)]
    for worker, seconds in zip(workers, (0.02, 0.07), strict=True):
        worker.observe("v1", "/home", {"total": seconds})
    page, labels = generate_latest(workers[0].registry), {"model_version": "v1", "stage": "total"}
    assert value(page, "shop_prediction_latency_seconds_bucket", **labels, le="0.05") == 1
    assert value(page, "shop_prediction_latency_seconds_bucket", **labels, le="+Inf") == 2
    assert value(page, "shop_prediction_latency_seconds_sum", **labels) == pytest.approx(0.09)


def test_a_forked_worker_counts_apart_and_keeps_the_model_that_its_parent_loaded(folder: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, "tests/samples")
sys.path.insert(0, "tests/serving")
from prometheus_client import generate_latest
from test_worker_tallies import telemetry_in
telemetry = telemetry_in(Path({str(folder)!r}))
telemetry.observe("v1", "/home", {{"total": 0.02}})
if not (child := os.fork()):
    telemetry.observe("v1", "/home", {{"total": 0.02}})
    telemetry.event("clicks", 4)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
sys.stdout.write(generate_latest(telemetry.registry).decode())
"""
    page = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert value(page, "shop_predictions_total", model_version="v1", endpoint="/home") == 2
    assert value(page, "shop_clicks_total") == 4
    assert value(page, "shop_model_info", model_version="v1", framework="lightgbm") == 1
    assert len(list(folder.glob("*.series"))) == 2
