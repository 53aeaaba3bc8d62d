"""`mlvitals drift` and `mlvitals backfill` as cron, Airflow and CI run them."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command_line import mlvitals
from exporter_samples import value, write_parquet

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPEC = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features:
  age: {type: integer}
  height: {}
"""
CALM = ("--start", "2026-03-03T12:00", "--end", "2026-03-03T13:00")
DRIFTING = ("--start", "2026-03-03T13:00", "--end", "2026-03-03T14:00")


def rows(begin: datetime, shift: float) -> pa.Table:
    generator = np.random.default_rng(begin.hour)
    return pa.table(
        {
            "timestamp": pa.array([begin + HOUR * (index / 2000) for index in range(2000)], pa.timestamp("us", "UTC")),
            "age": generator.integers(18, 90, 2000),
            "height": generator.normal(1.7 + shift, 0.1, 2000),
        }
    )


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system of which height drifts from one o'clock on."""
    folder = tmp_path_factory.mktemp("shop")
    path = folder / "shop.yaml"
    path.write_text(SPEC)
    for hour in range(2):
        write_parquet(rows(NOON + hour * HOUR, 0.2 * hour), folder / "log" / f"{hour}.parquet")
    training = write_parquet(rows(NOON - 24 * HOUR, 0), folder / "training.parquet")
    built = mlvitals("reference", "build", path, "--data", training)
    assert built.returncode == 0, built.stderr
    return path


def test_a_measured_window_exits_with_0_whatever_was_found(spec: Path):
    done = mlvitals("drift", spec, *DRIFTING)
    assert (done.returncode, done.stderr) == (0, "")
    assert "critical  height" in done.stdout


@pytest.mark.parametrize(
    ("window", "level", "code"), [(CALM, "info", 0), (DRIFTING, "warning", 1), (DRIFTING, "critical", 1)]
)
def test_fail_on_turns_findings_into_the_exit_code(spec: Path, window: tuple[str, ...], level: str, code: int):
    done = mlvitals("drift", spec, *window, "--json", "--fail-on", level)
    assert done.returncode == code
    assert json.loads(done.stdout)["schema"] == "mlvitals.drift/1"


def test_fail_on_counts_a_feature_that_cannot_be_measured(spec: Path, tmp_path: Path):
    log = write_parquet(rows(NOON, 0).drop_columns("height"), tmp_path / "log.parquet")
    assert mlvitals("drift", spec, *CALM, "--data", log, "--fail-on", "critical").returncode == 1


def test_page_and_textfile_are_written_whatever_fail_on_says(spec: Path, tmp_path: Path):
    page, textfile = tmp_path / "drift.html", tmp_path / "shop.prom"
    done = mlvitals("drift", spec, *DRIFTING, "--html", page, "--textfile", textfile, "--fail-on", "critical")
    assert done.returncode == 1
    assert "<h3>height</h3>" in page.read_text()
    assert (value(textfile.read_bytes(), "shop_drift_psi", feature_name="height") or 0) > 0.25


def test_a_gateway_that_is_down_is_a_message_and_exit_code_1(spec: Path):
    done = mlvitals("drift", spec, *CALM, "--pushgateway", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("error: http://127.0.0.1:9/metrics/job/shop-exporter cannot be reached")


def test_a_page_that_cannot_be_written_is_a_message_that_names_it(spec: Path):
    done = mlvitals("drift", spec, *CALM, "--html", "/proc/drift.html")
    assert done.returncode == 1
    assert done.stderr == "error: /proc/drift.html: No such file or directory\n"


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond 1000 bytes: as on a full disk, writing stops there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("option", ["--html", "--textfile"])
def test_a_full_disk_is_a_message_that_names_the_file(spec: Path, tmp_path: Path, option: str):
    target = tmp_path / "drift.prom"
    with full_disk():
        done = mlvitals("drift", spec, *CALM, option, target)
    assert done.returncode == 1
    assert str(target) in done.stderr
    assert "drift.prom." not in done.stderr  # the temporary file, which nobody knows
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
@pytest.mark.parametrize("log", ["log", "lög-☃"])
def test_a_terminal_that_is_not_utf_8_gets_files_and_a_report(spec: Path, tmp_path: Path, encoding: str, log: str):
    page, textfile, data = tmp_path / "drift.html", tmp_path / "shop.prom", tmp_path / log
    data.mkdir()
    (data / "broken.parquet").write_text("none")
    write_parquet(rows(NOON + HOUR, 0.2), data / "rows.parquet")
    options = ("--data", data, "--html", page, "--textfile", textfile)
    done = mlvitals("drift", spec, *DRIFTING, *options, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "height" in done.stdout
    assert page.exists()
    assert textfile.exists()


def test_a_report_is_printed_although_it_could_not_be_pushed(spec: Path):
    done = mlvitals("drift", spec, *DRIFTING, "--pushgateway", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "critical  height" in done.stdout


@pytest.mark.parametrize("option", ["--html", "--textfile"])
def test_a_folder_that_is_missing_is_told_before_anything_is_measured(spec: Path, tmp_path: Path, option: str):
    done = mlvitals("drift", spec, *CALM, option, tmp_path / "nowhere" / "drift.prom")
    assert done.returncode == 2
    assert f"Invalid value for '{option}': the folder '{tmp_path / 'nowhere'}' does not exist" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "--openmetrics FILE, --save or both"),
        (("--save", "--start", "2090-01-01", "--end", "2090-01-02"), "the newest that is due ended"),
        (("--save", "--every", "5m"), "below 5m"),
        (("--save", "--every", "soon"), "not a duration"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_wrong_usage(spec: Path, options: tuple[str, ...], complaint: str):
    span = () if "--start" in options else ("--start", "2026-03-03", "--end", "2026-03-04")
    done = mlvitals("backfill", spec, *span, *options)
    assert done.returncode == 2
    assert complaint in " ".join(done.stderr.split())


def test_a_backfill_without_a_log_leaves_no_file(spec: Path, tmp_path: Path):
    orphan = tmp_path / "shop.yaml"
    orphan.write_text(SPEC.replace("path: log", "path: gone") + f"reference: {{store: {spec.parent}/references}}\n")
    file = tmp_path / "past.om"
    done = mlvitals("backfill", orphan, "--start", "2026-03-03", "--end", "2026-03-04", "--openmetrics", file)
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == [orphan]
