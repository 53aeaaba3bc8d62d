import gzip
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOSTILE, HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import Feature, FeatureType, LogFormat, PredictionLog, Spec

REFERENCE = build_reference(SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000), created=NOON, source_hash="")
Write = Callable[[str, pa.Table], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda name, table: write_parquet(table, tmp_path / "log" / name)


def run(
    folder: Path, spec: Spec = SPEC, reference: Reference = REFERENCE, *, workers: int | None = None
) -> WindowReport:
    return measure_window(spec, folder, reference, "v1", WINDOW, NOON + timedelta(minutes=5), workers)


def counted(report: WindowReport) -> dict[str, FeatureReport]:
    """What follows from counts alone; means and variances are sums of floats: the order shows in their last bits."""
    return {name: msgspec.structs.replace(found, mean=None, quality=None) for name, found in report.features.items()}


def hour(seed: int, count: int = 5000, **columns: object) -> pa.Table:
    return log_rows(WINDOW.start, WINDOW.end, count, seed=seed, **columns)


def statuses(report: WindowReport) -> dict[str, Status]:
    return {name: feature.status for name, feature in report.features.items()}


ALL_OK = dict.fromkeys(SPEC.features, Status.OK)


def test_a_window_without_drift_is_quiet(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1))
    found = run(tmp_path)
    assert (found.rows, found.severity, found.problems) == (5000, None, ())
    assert statuses(found) == ALL_OK
    assert found.score.status is Status.OK


def test_a_feature_that_moved_is_found_and_no_other(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1, age=np.full(5000, 1_772_000_000)))
    found = run(tmp_path)
    assert found.features["age"].severity == "critical"
    assert found.features["age"].out_of_range_ratio == 1
    assert {name for name, feature in found.features.items() if feature.severity} == {"age"}


def test_any_split_into_files_gives_the_same_report(write: Write, tmp_path: Path) -> None:
    whole = hour(1)
    write("whole.parquet", whole)
    expected = run(tmp_path)
    (tmp_path / "log" / "whole.parquet").unlink()
    for part in range(5):
        write(f"{part}.parquet", whole.slice(part * 1000, 1000))
    found = run(tmp_path)
    assert found.rows == expected.rows
    for name in SPEC.features:
        assert found.features[name].bins == expected.features[name].bins
        assert found.features[name].ks == expected.features[name].ks


@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_gives_the_same_report_to_the_last_bit(
    workers: int, write: Write, tmp_path: Path
) -> None:
    for part in range(3):
        write(f"{part}.parquet", hour(part, age=[float("nan"), None, float("inf"), *range(4997)]))
    assert run(tmp_path, workers=workers) == run(tmp_path, workers=1)


@pytest.mark.parametrize("rows", [1, 7, 250])
def test_any_split_into_row_groups_and_batches_gives_the_same_counts(
    rows: int, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("a.parquet", hour(1, 500))
    expected = counted(run(tmp_path))
    pq.write_table(hour(1, 500), file, row_group_size=3 * rows - 1)
    monkeypatch.setattr("mlvitals.exporters.reading.scan.BATCH_ROWS", rows)
    assert counted(run(tmp_path)) == expected


def test_a_column_missing_everywhere_is_missing_in_serving(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1).drop_columns(["age"]))
    found = run(tmp_path)
    assert statuses(found) == ALL_OK | {"age": Status.MISSING_IN_SERVING}
    assert found.problems == ()


def test_a_column_missing_in_one_file_is_measured_from_the_others(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1))
    lacking = write("b.parquet", hour(2).drop_columns(["age"]))
    found = run(tmp_path)
    assert statuses(found) == ALL_OK
    assert (found.features["age"].rows, found.features["country"].rows) == (5000, 10_000)
    assert [(problem.path, problem.problem) for problem in found.problems] == [(str(lacking), "lacks the columns age")]


def test_strings_in_a_numeric_column_are_that_features_type_mismatch(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1))
    strange = write("b.parquet", hour(2, age=["old"] * 5000))
    found = run(tmp_path)
    assert statuses(found) == ALL_OK | {"age": Status.TYPE_MISMATCH}
    assert str(strange) in found.features["age"].reason
    assert found.features["country"].rows == 10_000


def test_a_mismatch_stays_whichever_file_comes_first(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(2, age=["old"] * 5000))
    write("b.parquet", hour(1))
    assert statuses(run(tmp_path)) == ALL_OK | {"age": Status.TYPE_MISMATCH}


def test_one_small_file_of_another_type_costs_its_rows_and_not_the_feature(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1))
    strange = write("b.parquet", hour(2, age=["old"] * 5000).slice(0, 3))
    found = run(tmp_path)
    age = found.features["age"]
    assert (age.status, age.rows, age.nulls) == (Status.OK, 5000, 3)
    told = "column 'age' holds string values such as 'old'; expected numbers for a feature of type integer"
    assert [(problem.path, problem.problem) for problem in found.problems] == [(str(strange), told)]


def test_a_column_of_nulls_is_all_null(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1, age=pa.nulls(5000, pa.int64())))
    assert statuses(run(tmp_path)) == ALL_OK | {"age": Status.ALL_NULL}


def test_an_empty_window_has_a_report_in_which_everything_is_too_little(write: Write, tmp_path: Path) -> None:
    write("a.parquet", log_rows(NOON, NOON + HOUR))
    found = run(tmp_path)
    assert (found.rows, found.problems) == (0, ())
    assert statuses(found) == dict.fromkeys(SPEC.features, Status.INSUFFICIENT_DATA)
    assert found.score.status is Status.INSUFFICIENT_DATA


def test_a_truncated_file_is_told_and_the_others_are_measured(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1))
    broken = write("b.parquet", hour(2))
    broken.write_bytes(broken.read_bytes()[:-100])
    found = run(tmp_path)
    assert (found.rows, statuses(found)) == (5000, ALL_OK)
    assert [problem.path for problem in found.problems] == [str(broken)]


def test_a_file_that_breaks_half_way_counts_not_at_all(tmp_path: Path) -> None:
    log = PredictionLog(path="log", score="score", format=LogFormat.JSONL)
    (tmp_path / "log").mkdir()
    line = '{"timestamp": "2026-03-03T11:00:00Z", "age": 41, "country": "de", "hostile": 0.5, "score": 0.5}\n'
    (tmp_path / "log" / "a.jsonl").write_bytes(gzip.compress((line * 50_000).encode(), 0)[:-1000])
    found = run(tmp_path, msgspec.structs.replace(SPEC, prediction_log=log))
    assert (found.rows, len(found.problems)) == (0, 1)


def test_a_csv_log_measures_like_a_parquet_log(write: Write, tmp_path: Path) -> None:
    table = hour(1)
    write("a.parquet", table)
    expected = run(tmp_path)
    (tmp_path / "csv").mkdir()
    pa_csv.write_csv(table, tmp_path / "csv" / "a.csv")
    log = msgspec.structs.replace(SPEC.prediction_log, path="csv", format=LogFormat.CSV)
    assert run(tmp_path, msgspec.structs.replace(SPEC, prediction_log=log)) == expected


def test_a_feature_unknown_to_the_reference_does_not_stop_the_others(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1, newcomer=np.zeros(5000)))
    spec = msgspec.structs.replace(SPEC, features=SPEC.features | {"newcomer": Feature()})
    assert statuses(run(tmp_path, spec)) == ALL_OK | {"newcomer": Status.MISSING_IN_REFERENCE}


def test_a_timestamp_feature_is_measured_as_its_age(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(SPEC, features={"seen": Feature(type=FeatureType.TIMESTAMP)})
    generator = np.random.default_rng(0)

    def rows(begin, count):
        table = log_rows(begin, begin + HOUR, count)
        ages = pa.array(generator.integers(0, 86_400, count) * 1_000_000, pa.duration("us"))
        return table.append_column("seen", pa.compute.subtract(table["timestamp"], ages))

    reference = build_reference(spec, rows(NOON - 900 * HOUR, 20_000), created=NOON, source_hash="")
    write_parquet(rows(WINDOW.start, 5000), tmp_path / "log" / "a.parquet")
    found = run(tmp_path, spec, reference)
    assert (statuses(found), found.severity) == ({"seen": Status.OK}, None)


def test_a_hostile_feature_name_is_measured(write: Write, tmp_path: Path) -> None:
    write("a.parquet", hour(1, hostile=np.full(5000, 99.0)))
    assert run(tmp_path).features[HOSTILE].severity == "critical"


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="does not exist"):
        run(tmp_path)
