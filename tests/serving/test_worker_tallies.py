"""What several workers of an application count together, and what remains of those that end."""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exporter_samples import samples_of, value
from prometheus_client import generate_latest
from serving_samples import TRAINED, telemetry_in

from mlvitals.exporters.serving import workers
from mlvitals.exporters.serving.labels import UNNAMED
from mlvitals.exporters.serving.tallies import Series, Tally, merge
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.exporters.serving.workers import WorkerTally
from mlvitals.generator.contract import MetricType

COUNTER = Series("counts_total", ("a",), MetricType.COUNTER, 1)
GAUGE = Series("level", (), MetricType.GAUGE, 2)


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
from mlvitals.exporters.serving import workers
from mlvitals.exporters.serving.labels import UNNAMED
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
from prometheus_client import generate_latest
from serving_samples import telemetry_in
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


# ---------------------------------------------------------------- many workers, one after the other


def restart(folder: Path, times: int) -> None:
    for _ in range(times):
        telemetry = telemetry_in(folder)
        telemetry.observe("v1", "/home", {"total": 0.02})
        telemetry._tally.abandon()


def test_files_and_series_do_not_grow_with_every_worker_that_ever_started(folder: Path) -> None:
    living = telemetry_in(folder)
    restart(folder, 3)
    size, files = size_of(folder), len(list(folder.iterdir()))
    restart(folder, 60)
    assert (size_of(folder), len(list(folder.iterdir()))) == (size, files)
    assert value(generate_latest(living.registry), "shop_predictions_total", model_version="v1", endpoint="/home") == 63


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size // 1000 for path in folder.iterdir())  # the digits of names and times aside


def test_workers_that_ended_at_once_are_folded_into_one_file(witness: WorkerTally, folder: Path) -> None:
    crowd = [WorkerTally(folder) for _ in range(20)]
    for worker in crowd:
        count(worker, 1)
        worker.abandon()
    before = merge(witness.readings())
    assert before == {COUNTER: (20,)}
    late = WorkerTally(folder)
    assert len(list(folder.glob("*.series"))) == 2
    assert merge(witness.readings()) == merge(late.readings()) == before


def test_a_fold_that_was_killed_before_it_removed_what_it_folded_counts_nothing_twice(
    witness: WorkerTally, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = WorkerTally(folder)
    count(ended, 3)
    ended.abandon()
    with monkeypatch.context() as patched:
        patched.setattr(workers, "_remove", lambda _: None)
        WorkerTally(folder).abandon()
    assert merge(witness.readings()) == {COUNTER: (3,)}
    WorkerTally(folder).abandon()
    assert merge(witness.readings()) == {COUNTER: (3,)}


def test_the_cap_on_labels_holds_for_all_workers_together(folder: Path) -> None:
    living = [telemetry_in(folder), telemetry_in(folder)]
    for number in range(3 * UNNAMED):
        living[number % 2].observe("v1", f"/wp-admin/{number}", {})
    restarted = telemetry_in(folder)
    restarted.observe("v1", "/yet-another", {})
    page = generate_latest(restarted.registry)
    endpoints = {dict(labels)["endpoint"] for name, labels in samples_of(page) if name == "shop_predictions_total"}
    assert len(endpoints - {"/home", "/search", "other"}) == UNNAMED
    assert value(page, "shop_predictions_total", model_version="v1", endpoint="other") == 2 * UNNAMED + 1


def test_memory_is_that_of_the_living_each_once(folder: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, "tests/samples")
from serving_samples import SPEC
from prometheus_client import generate_latest
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
telemetry = PredictionTelemetry(SPEC, workers=Path({str(folder)!r}))
begun, end = os.pipe(), os.pipe()
if not (child := os.fork()):
    os.write(begun[1], b"x")
    os.read(end[0], 1)
    os._exit(0)
os.read(begun[0], 1)
for page in range(2):
    print([line.split()[1] for line in generate_latest(telemetry.registry).decode().splitlines()
           if line.startswith("process_resident_memory_bytes ")][0])
    print(sum(int(Path(f"/proc/{{process}}/statm").read_text().split()[1]) for process in (os.getpid(), child)) * 4096)
os.write(end[1], b"x")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    shown, real, *_ = (float(line) for line in done.stdout.split())
    assert shown == pytest.approx(real, rel=0.3)


# ---------------------------------------------------------------- a full disk, damaged files


def failures(telemetry: PredictionTelemetry, operation: str) -> float | None:
    page = generate_latest(telemetry.registry)
    return value(page, "shop_serving_telemetry_failures_total", operation=operation)


def test_half_a_line_that_a_full_disk_left_is_not_glued_to_the_next(witness: WorkerTally, folder: Path) -> None:
    with (folder / "0.series").open("ab") as file:
        file.write(b'[4, "half a li')
    count(witness, 3)
    assert merge(WorkerTally(folder).readings()) == {COUNTER: (3,)}


@pytest.mark.parametrize("damage", [b'[4,"half ["b_total",["x"],"counter",1]\n', b"\xff\xfe\n", b"[]\n", b"\n"])
def test_damaged_lines_are_skipped_and_counted_and_what_follows_them_is_read(folder: Path, damage: bytes) -> None:
    damaged, reader = telemetry_in(folder), telemetry_in(folder)
    lines = (folder / "0.series").read_bytes().splitlines(keepends=True)
    (folder / "0.series").write_bytes(b"".join([damage, *lines]))
    damaged.observe("v1", "/home", {"total": 0.02})
    generate_latest(reader.registry)
    assert failures(reader, "read") == 1
    page = generate_latest(reader.registry)
    assert value(page, "shop_predictions_total", model_version="v1", endpoint="/home") == 1
    telemetry_in(folder)  # a new worker starts


@pytest.mark.parametrize("content", [b"", b"\xc1", b"half", bytes(1000)])
def test_a_damaged_file_of_the_ended_fails_no_page_and_no_start(folder: Path, content: bytes) -> None:
    living = telemetry_in(folder)
    restart(folder, 2)
    (folder / "ended.msgpack").write_bytes(content)
    restart(folder, 2)
    page = generate_latest(living.registry)
    assert value(page, "shop_predictions_total", model_version="v1", endpoint="/home") >= 1


def test_files_that_somebody_removed_are_made_again_with_all_counts(folder: Path) -> None:
    first, second = telemetry_in(folder), telemetry_in(folder)
    first.observe("v1", "/home", {"total": 0.02})
    for path in folder.iterdir():
        path.unlink()
    first.observe("v1", "/home", {"total": 0.02})
    generate_latest(first.registry)
    page = generate_latest(second.registry)
    assert value(page, "shop_predictions_total", model_version="v1", endpoint="/home") == 2
    assert value(page, "shop_model_info", model_version="v1", framework="lightgbm") == 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, "tests/samples")
from prometheus_client import generate_latest
from serving_samples import telemetry_in
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def disk_holds(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def show():
    sys.stdout.write(generate_latest(telemetry.registry).decode() + "==\\n")
"""
"""A file may grow no more: as on a full disk, writing stops wherever it is."""


def pages_of(program: str, folder: Path) -> list[bytes]:
    command = [sys.executable, "-c", FULL_DISK + program, str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.split(b"==\n")[:-1]


def asked(page: bytes, endpoint: str) -> float | None:
    return value(page, "shop_predictions_total", model_version="v1", endpoint=endpoint)


def test_on_a_full_disk_requests_are_answered_and_counting_heals(folder: Path) -> None:
    program = """
telemetry = telemetry_in(folder)
disk_holds((folder / "0.series").stat().st_size + 20)
for number in range(10):
    telemetry.observe("v1", "/home", {"total": 0.02})
    telemetry.observe("v1", "/elsewhere", {"total": 0.02})
show()
disk_holds(resource.RLIM_INFINITY)
show()
telemetry.observe("v1", "/elsewhere", {"total": 0.02})
show()
"""
    full, room, healed = pages_of(program, folder)
    assert [asked(page, "/home") for page in (full, room, healed)] == [10, 10, 10]
    assert asked(full, "/elsewhere") is None
    assert asked(healed, "/elsewhere") == 1
    failed = [value(page, "shop_serving_telemetry_failures_total", operation="store") for page in (full, healed)]
    assert failed[1] >= failed[0] >= 1


def test_on_a_full_disk_a_worker_starts_and_what_it_counted_is_stored_when_there_is_room(folder: Path) -> None:
    program = """
disk_holds(2000)
telemetry = telemetry_in(folder)
for number in range(10):
    telemetry.observe("v1", "/home", {"total": 0.02})
show()
disk_holds(resource.RLIM_INFINITY)
show()
telemetry.observe("v1", "/home", {"total": 0.02})
show()
telemetry = telemetry_in(folder)
show()
"""
    full, *stored, other = pages_of(program, folder)
    assert [asked(page, "/home") for page in (full, *stored, other)] == [10, 10, 11, 11]
    assert value(other, "shop_serving_telemetry_failures_total", operation="store") == 1
    assert value(other, "shop_model_info", model_version="v1", framework="lightgbm") == 1


def test_a_worker_that_cannot_store_shows_what_the_others_have_so_that_no_counter_falls(folder: Path) -> None:
    stored = telemetry_in(folder)
    stored.observe("v1", "/home", {"total": 0.02})
    program = """
disk_holds(2000)
telemetry = telemetry_in(folder)
telemetry.observe("v1", "/home", {"total": 0.02})
show()
disk_holds(resource.RLIM_INFINITY)
show()
"""
    full, healed = pages_of(program, folder)
    assert (asked(full, "/home"), asked(healed, "/home")) == (1, 2)


def test_a_folder_that_can_never_be_made_fails_no_start(folder: Path) -> None:
    folder.write_text("a file in its place")
    telemetry = telemetry_in(folder)
    telemetry.observe("v1", "/home", {"total": 0.02})
    assert asked(generate_latest(telemetry.registry), "/home") == 1
    assert failures(telemetry, "store") == 1


def test_a_worker_that_stopped_while_it_started_holds_up_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = telemetry_in(folder)
    monkeypatch.setattr(workers, "_LONGEST_WAIT", 0.05)
    with (folder / "lock").open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        late = telemetry_in(folder)
        late.observe("v1", "/home", {"total": 0.02})
        assert asked(generate_latest(living.registry), "/home") == 0
    assert asked(generate_latest(late.registry), "/home") == 1
