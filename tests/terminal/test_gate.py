"""Nothing that would alert gets past the gate: terminal, page, JSON, results and exit code agree on how bad a window is."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner, Result
from exporter_samples import write_parquet

from mlvitals.cli import main
from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Severity

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = ("--start", "2026-03-03T12:00", "--end", "2026-03-03T13:00")
SPEC = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features:
  age: {type: integer}
  height: {minimum: 1.0, maximum: 2.5}
"""
Fault = Callable[[pa.Table], pa.Table]


def rows(begin: datetime, count: int = 2000) -> pa.Table:
    generator = np.random.default_rng(begin.day)
    return pa.table(
        {
            "timestamp": pa.array(
                [begin + HOUR * (index / count) for index in range(count)], pa.timestamp("us", "UTC")
            ),
            "age": generator.integers(18, 90, count),
            "height": np.clip(generator.normal(1.7, 0.1, count), 1.1, 2.4),
        }
    )


def with_heights(share: float, value: float | None) -> Fault:
    def fault(table: pa.Table) -> pa.Table:
        hit = pa.array(np.arange(table.num_rows) < share * table.num_rows)
        heights = pc.if_else(hit, pa.scalar(value, pa.float64()), table["height"])
        return table.set_column(table.column_names.index("height"), "height", heights)

    return fault


FAULTS: dict[str, tuple[Fault, Severity]] = {
    "a required feature is null": (with_heights(0.61, None), Severity.CRITICAL),
    "a required feature is null once in a while": (with_heights(0.01, None), Severity.WARNING),
    "values lie below the minimum": (with_heights(0.03, 0.95), Severity.WARNING),
    "a value is infinite": (with_heights(0.0005, float("inf")), Severity.WARNING),
    "a feature is gone": (lambda table: table.drop_columns("height"), Severity.CRITICAL),
    "a feature is all null": (with_heights(1, None), Severity.CRITICAL),
    "a column is new": (lambda table: table.append_column("arm", table["age"]), Severity.INFO),
    "there are too few rows": (lambda table: table.slice(0, 50), Severity.WARNING),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system with a reference, and a log of one sound hour."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.yaml").write_text(SPEC)
    write_parquet(rows(NOON), folder / "log" / "sound.parquet")
    training = write_parquet(rows(NOON - 24 * HOUR, 20_000), folder / "training.parquet")
    built = CliRunner().invoke(main, ["reference", "build", str(folder / "shop.yaml"), "--data", str(training)])
    assert built.exit_code == 0, built.output
    return folder


def drift(folder: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(main, ["drift", str(folder / "shop.yaml"), *WINDOW, *map(str, options)])


def stored_severity(folder: Path) -> str | None:
    with closing(open_results(load_spec(folder / "shop.yaml").results, folder)) as results:
        [window] = results.windows_between("shop", NOON, NOON + HOUR)
    return window.severity


def assert_as_bad_as(folder: Path, data: Path, severity: Severity) -> None:
    """Everything that is made of a window says how bad it is."""
    page = folder / "drift.html"
    for level in ALERTING:
        done = drift(folder, "--data", data, "--save", "--html", page, "--fail-on", level)
        assert done.exit_code == (1 if ALERTING.index(level) <= ALERTING.index(severity) else 0), done.output
    assert "nothing found" not in done.output
    assert "nothing drifted" not in page.read_text()
    assert stored_severity(folder) == severity
    assert json.loads(drift(folder, "--data", data, "--json").stdout)["severity"] == severity


@pytest.mark.parametrize("fault", FAULTS)
def test_what_would_alert_counts_everywhere(folder: Path, tmp_path: Path, fault: str):
    break_rows, severity = FAULTS[fault]
    assert_as_bad_as(folder, write_parquet(break_rows(rows(NOON)), tmp_path / "log.parquet"), severity)


def test_a_file_that_cannot_be_read_beside_good_ones_counts(folder: Path, tmp_path: Path):
    write_parquet(rows(NOON), tmp_path / "log" / "good.parquet")
    (tmp_path / "log" / "bad.parquet").write_bytes(b"no parquet")
    assert_as_bad_as(folder, tmp_path / "log", Severity.WARNING)
    assert "1 file not read in full" in drift(folder, "--data", tmp_path / "log").output


def test_a_sound_window_passes_and_is_green(folder: Path):
    done = drift(folder, "--fail-on", "info", "--html", folder / "drift.html")
    assert (done.exit_code, "nothing found" in done.output) == (0, True), done.output
    assert '<span class="pill ok">nothing drifted</span>' in (folder / "drift.html").read_text()


def test_where_the_only_file_cannot_be_read_nothing_was_measured(folder: Path, tmp_path: Path):
    (tmp_path / "log.parquet").write_bytes(b"no parquet")
    done = drift(folder, "--data", tmp_path / "log.parquet", "--html", folder / "drift.html")
    assert done.exit_code == 1
    assert "nothing was measured: no row of the window could be read, and 1 of its files" in done.stderr
    assert "nothing was read" in done.stdout
    assert "nothing found" not in done.stdout
    assert '<span class="pill warning">nothing was read</span>' in (folder / "drift.html").read_text()


def test_an_hour_without_rows_was_not_measured(folder: Path, tmp_path: Path):
    log = write_parquet(rows(NOON - 5 * HOUR), tmp_path / "log.parquet")
    done = drift(folder, "--data", log)
    assert (done.exit_code, done.stderr) == (
        1,
        "error: nothing was measured: no row of the window is in the log, whose times go from 2026-03-03 07:00 to "
        "2026-03-03 07:59 UTC (column 'timestamp')\n",
    )


def test_where_times_can_be_read_and_the_rest_cannot_the_file_is_named_with_its_times(folder: Path, tmp_path: Path):
    log = tmp_path / "log.csv"
    log.write_text("timestamp,age,age\n2026-03-03T11:30:00Z,1,2\n")
    stderr = drift(folder, "--data", log).stderr
    assert f"1 of its files could not be read in full: {log}: has 2 columns named 'age'; its times go from " in stderr


def test_what_the_spec_disables_counts_nowhere(folder: Path, tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(
        SPEC.replace("path: log", f"path: {folder / 'log'}")
        + f"reference: {{store: {folder / 'references'}}}\nalerts: {{required_null_rate: {{enabled: false}}}}\n"
    )
    data = write_parquet(with_heights(0.61, None)(rows(NOON)), tmp_path / "log.parquet")
    done = drift(tmp_path, "--data", data, "--fail-on", "info")
    assert done.exit_code == 0, done.output
