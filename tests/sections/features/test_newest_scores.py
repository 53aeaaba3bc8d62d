from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.sections.features.newest_scores import LOOK_BACK
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.generator.contract import SchemaDifferenceKind, Status
from mlvitals.generator.spec.model import PredictionLog, Spec, Windows

REFERENCE = build_reference(SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000), created=NOON, source_hash="")


def with_count(count: int | None) -> Spec:
    return msgspec.structs.replace(SPEC, windows=Windows(score_count=count))


def run(folder: Path, count: int | None = 3000):
    return measure_window(with_count(count), folder, REFERENCE, "v1", WINDOW, NOON)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An hour with 1000 rows after ten with 1000 each."""
    for back in range(11):
        begin = WINDOW.start - back * HOUR
        write_parquet(log_rows(begin, begin + HOUR, 1000, seed=back), tmp_path / "log" / f"{back:02}.parquet")
    return tmp_path


def test_the_newest_scores_reach_back_over_as_many_hours_as_they_need(log: Path):
    found = run(log).score_count
    assert (found.wanted, found.report.rows) == (3000, 3000)
    assert found.window.end == WINDOW.end
    assert found.window.start == WINDOW.end - 3 * HOUR


def test_of_a_busy_window_only_the_newest_scores_count(log: Path):
    found = run(log, 100).score_count
    assert found.report.rows == 100
    assert found.window.start == WINDOW.end - HOUR / 10


def test_scores_that_moved_hours_ago_are_found_although_the_last_hour_is_too_small(tmp_path: Path):
    for back in range(4):
        begin = WINDOW.start - back * HOUR
        high = log_rows(begin, begin + HOUR, 90, seed=back, score=np.full(90, 0.99))
        write_parquet(high, tmp_path / "log" / f"{back}.parquet")
    found = run(tmp_path, 300)
    assert found.score.status is Status.INSUFFICIENT_DATA
    assert found.score_count.report.severity == "critical"
    assert found.severity == "critical"


def test_fewer_scores_than_wanted_are_taken_as_they_are(tmp_path: Path):
    write_parquet(log_rows(WINDOW.start, WINDOW.end, 500), tmp_path / "log" / "a.parquet")
    write_parquet(log_rows(NOON - 3 * LOOK_BACK * HOUR, NOON - 2 * LOOK_BACK * HOUR), tmp_path / "log" / "old.parquet")
    assert run(tmp_path).score_count.report.rows == 500


def test_rows_without_a_score_do_not_count(tmp_path: Path):
    scores = np.where(np.arange(1000) % 2, 0.5, np.nan)
    write_parquet(log_rows(WINDOW.start, WINDOW.end, 1000, score=scores), tmp_path / "log" / "a.parquet")
    assert run(tmp_path).score_count.report.rows == 500


ATOMS = build_reference(
    SPEC,
    log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000, score=np.arange(20_000) % 10 / 10),
    created=NOON,
    source_hash="",
)
"""A reference whose scores are tenths, which single precision writes a little off."""


@pytest.mark.parametrize("written", [("float64",), ("float32",), ("float64", "float32", "float64")])
def test_the_newest_scores_of_a_window_are_counted_as_the_window_counts_them(tmp_path: Path, written: tuple[str, ...]):
    for place, kind in enumerate(written):
        begin = WINDOW.start + place * HOUR / len(written)
        scores = (np.random.default_rng(place).integers(0, 10, 1500) / 10).astype(kind)
        rows = log_rows(begin, begin + HOUR / len(written), 1500, score=scores)
        write_parquet(rows, tmp_path / "log" / f"{place}.parquet")
    found = measure_window(with_count(1500 * len(written)), tmp_path, ATOMS, "v1", WINDOW, NOON)
    assert found.score.rows == found.score_count.report.rows == 1500 * len(written)
    assert found.score_count.report.bins == found.score.bins
    assert (found.score_count.report.psi, found.score_count.report.ks) == (found.score.psi, found.score.ks)
    assert found.score.psi.value < 0.05


def test_without_scores_or_without_a_count_there_is_no_count_window(log: Path, tmp_path: Path):
    assert run(log, None).score_count is None
    (tmp_path / "empty" / "log").mkdir(parents=True)
    assert run(tmp_path / "empty").score_count is None


def test_a_new_column_is_told_and_one_that_the_spec_names_is_not(tmp_path: Path):
    rows = log_rows(WINDOW.start, WINDOW.end, 1000, surprise=np.zeros(1000), request_id=np.arange(1000))
    write_parquet(rows, tmp_path / "log" / "a.parquet")
    log = PredictionLog(path="log", score="score", other_columns=("request_id",))
    found = measure_window(msgspec.structs.replace(SPEC, prediction_log=log), tmp_path, REFERENCE, "v1", WINDOW, NOON)
    assert [(item.kind, item.column) for item in found.schema_differences] == [
        (SchemaDifferenceKind.NEW_COLUMN, "surprise")
    ]


def test_a_missing_column_and_an_integer_that_became_text_are_schema_differences(tmp_path: Path):
    rows = log_rows(WINDOW.start, WINDOW.end, 1000, age=["41 years"] * 1000).drop_columns(["country"])
    write_parquet(rows, tmp_path / "log" / "a.parquet")
    found = measure_window(SPEC, tmp_path, REFERENCE, "v1", WINDOW, NOON)
    assert [(item.kind, item.column) for item in found.schema_differences] == [
        (SchemaDifferenceKind.TYPE_CHANGED, "age"),
        (SchemaDifferenceKind.MISSING_COLUMN, "country"),
    ]
    assert "holds string values" in found.schema_differences[0].detail


def test_a_column_of_the_training_data_is_not_new(tmp_path: Path):
    training = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000, known=np.zeros(5000))
    reference = build_reference(SPEC, training, created=NOON, source_hash="")
    rows = log_rows(WINDOW.start, WINDOW.end, 1000, known=np.zeros(1000))
    write_parquet(rows, tmp_path / "log" / "a.parquet")
    found = measure_window(SPEC, tmp_path, reference, "v1", WINDOW, NOON + timedelta(minutes=5))
    assert found.schema_differences == ()
