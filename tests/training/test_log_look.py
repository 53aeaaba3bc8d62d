"""A first look at a log: its times, the windows that suit it, and why nothing can be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command_line import mlvitals

from mlvitals.exporters.reading.log import Place
from mlvitals.exporters.training.log_look import look_at_times, pace_of, why_nothing
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import LogFormat

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RANDOM = np.random.default_rng(0)


def log_of(times: list[object] | pa.Array, folder: Path, **columns: object) -> Path:
    path = folder / "log.parquet"
    pq.write_table(pa.table({"ts": times, "x": RANDOM.random(len(times)), **columns}), path)
    return path


def place(path: Path, timestamp: str = "ts") -> Place:
    form = LogFormat.CSV if path.suffix == ".csv" else LogFormat.PARQUET
    return Place(str(path), form, timestamp)


@pytest.mark.parametrize(
    ("seconds", "rows", "window"),
    [(2, 50_000, "1h"), (60, 20_000, "1d"), (600, 20_000, "7d"), (86_400, 300, "28d"), (30 * 86_400, 48, "28d")],
)
def test_windows_are_the_shortest_that_hold_enough_rows(seconds: int, rows: int, window: str, tmp_path: Path):
    times = [BEGIN + index * timedelta(seconds=seconds) for index in range(rows)]
    pace = pace_of(look_at_times(place(log_of(times, tmp_path)), tmp_path))
    assert pace
    assert (pace.window, pace.first, pace.last) == (window, times[0], times[-1])


def test_a_log_of_one_batch_a_day_has_windows_of_days(tmp_path: Path):
    times = [BEGIN + timedelta(days=day) for day in range(30) for _ in range(2_000)]
    pace = pace_of(look_at_times(place(log_of(times, tmp_path)), tmp_path))
    assert pace
    assert (pace.window, pace.rows_per_window) == ("1d", 2_000)


def reason(path: Path, timestamp: str = "ts") -> str:
    return why_nothing(place(path, timestamp), path.parent)


def test_a_window_outside_the_log_says_which_times_it_holds(tmp_path: Path):
    path = log_of([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 30, 12, tzinfo=UTC)], tmp_path)
    assert "whose times go from 2024-01-01 00:00 to 2024-06-30 12:00 UTC" in reason(path)


def test_milliseconds_are_named_with_their_span(tmp_path: Path):
    path = log_of([1_772_323_200_000, 1_772_409_600_000], tmp_path)
    assert reason(path) == (
        "column 'ts' holds milliseconds since 1970 (2026-03-01 00:00 to 2026-03-02 00:00 UTC): write timestamps, "
        "or divide them into seconds"
    )


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["01/03/2026", "28/03/2026"], "dates written day/month/year (2026-03-01 to 2026-03-28)"),
        (["03/01/2026 10:00", "03/28/2026 11:00"], "dates written month/day/year (2026-03-01 to 2026-03-28)"),
        (["01/03/2026", "02/03/2026"], "cannot be told apart"),
        (["Mar 1 2026", "Mar 2 2026"], "dates written in words"),
    ],
)
def test_dates_as_people_write_them_are_named_with_their_span(texts: list[str], says: str, tmp_path: Path):
    path = tmp_path / "log.csv"
    pyarrow.csv.write_csv(pa.table({"ts": texts, "x": [1.5, 2.5]}), path)
    assert says in reason(path)


def test_a_column_that_is_no_time_is_said(tmp_path: Path):
    path = log_of([BEGIN, BEGIN], tmp_path, amount=[10, 5_000])
    assert "is 'amount' a time?" in reason(path, "amount")


def test_a_column_that_is_missing_is_said_with_those_there_are(tmp_path: Path):
    assert reason(log_of([BEGIN], tmp_path), "when") == (
        "the log has no column 'when' (prediction_log.timestamp); its columns are ts, x"
    )


# ---------------------------------------------------------------- the commands


def training(folder: Path) -> Path:
    path = folder / "train.parquet"
    columns = {"x": RANDOM.random(500), "country": RANDOM.choice(["de", "fr"], 500), "leak": np.arange(500) % 2}
    pq.write_table(pa.table({**columns, "clicked": np.arange(500) % 2}), path)
    return path


def logged(folder: Path, times: object) -> Path:
    path = folder / "log.parquet"
    rows = len(times)  # type: ignore[arg-type]
    columns = {"x": RANDOM.random(rows), "country": RANDOM.choice(["de", "fr"], rows), "leak": np.zeros(rows, int)}
    ids = {"prediction_id": [f"p{index}" for index in range(rows)], "y_pred_proba": RANDOM.random(rows)}
    pq.write_table(pa.table({"predicted_at": times, **ids, **columns, "clicked": np.arange(rows) % 2}), path)
    return path


def test_init_takes_roles_and_windows_from_the_log(tmp_path: Path):
    log = logged(tmp_path, [BEGIN + index * timedelta(minutes=1) for index in range(10_000)])
    out = tmp_path / "specs" / "shop.yaml"
    done = mlvitals("init", "--data", training(tmp_path), "--log", log, "--name", "shop", "--out", out)
    assert done.returncode == 0, done.stderr
    spec, text = load_spec(out), out.read_text()
    found = spec.prediction_log
    assert (found.path, found.timestamp, found.id, found.score) == (
        "../log.parquet",
        "predicted_at",
        "prediction_id",
        "y_pred_proba",
    )
    assert (spec.windows.length, spec.serving.enabled, found.segments) == ("1d", False, ("country",))
    assert found.outcome
    assert found.outcome.column == "clicked"
    assert list(spec.features) == ["x", "country"]
    assert "- leak  # equals the label in 100.0% of the rows: does it exist before the prediction?" in text
    assert "the log goes from 2026-03-01 00:00 to 2026-03-07 22:39 UTC" in text
    assert "mlvitals reference build" in done.stderr
    assert "--start 2026-03-06T00:00 --end 2026-03-07T00:00" in done.stderr, "the newest whole window"
    assert "not known" not in done.stderr


@pytest.mark.parametrize("name", ["0-README.md", "1-notes.csv", "zz.parquet"])
def test_init_leaves_out_a_file_of_the_log_that_is_none_and_names_it(name: str, tmp_path: Path):
    (tmp_path / "log").mkdir()
    logged(tmp_path / "log", [BEGIN + index * timedelta(minutes=1) for index in range(10_000)])
    (tmp_path / "log" / name).write_text("# What stands here\n\nnothing; but notes\n")
    out = tmp_path / "shop.yaml"
    done = mlvitals("init", "--data", training(tmp_path), "--log", tmp_path / "log", "--name", "shop", "--out", out)
    assert done.returncode == 0, done.stderr
    assert load_spec(out).prediction_log.format is LogFormat.PARQUET
    assert name in done.stderr


def test_the_window_to_begin_with_lies_within_a_short_log(tmp_path: Path):
    log = logged(tmp_path, [BEGIN + timedelta(days=4, seconds=index) for index in range(900)])
    out = tmp_path / "shop.yaml"
    done = mlvitals("init", "--data", training(tmp_path), "--log", log, "--name", "shop", "--out", out)
    assert "--start 2026-03-05T00:00 --end 2026-03-05T01:00" in done.stderr


def test_init_says_what_it_could_not_know_and_what_to_do_next(tmp_path: Path):
    done = mlvitals("init", "--data", training(tmp_path), "--name", "shop", "--out", tmp_path / "shop.yaml")
    assert done.stderr.startswith("not known:\n  where predictions are logged")
    assert "next:\n  read" in done.stderr


def test_init_ends_with_the_cause_where_the_times_of_the_log_cannot_be_read(tmp_path: Path):
    log, out = logged(tmp_path, [1_772_323_200_000, 1_772_409_600_000]), tmp_path / "shop.yaml"
    done = mlvitals("init", "--data", training(tmp_path), "--log", log, "--name", "shop", "--out", out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith(
        "error: the log has no time that can be read: column 'predicted_at' holds milli"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([BEGIN - timedelta(days=400)] * 200, "whose times go from 2025-01-25 00:00"),
        ([1_772_323_200_000] * 200, "holds milliseconds since 1970"),
    ],
)
def test_drift_of_a_window_that_nothing_is_read_for_says_the_cause_first(
    times: list[object], says: str, tmp_path: Path
):
    train = training(tmp_path)
    spec = tmp_path / "shop.yaml"
    mlvitals("init", "--data", train, "--name", "shop", "--out", spec)
    spec.write_text(
        spec.read_text().replace("path: predictions", "path: log.parquet").replace(": timestamp", ": predicted_at")
    )
    logged(tmp_path, times)
    assert mlvitals("reference", "build", spec, "--data", train, "--promote").returncode == 0
    done = mlvitals("drift", spec, "--start", "2026-03-01", "--end", "2026-03-02")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("error: nothing was measured: no row of the window")
    assert says in done.stderr.splitlines()[0]


@pytest.mark.parametrize("times", [[{"$date": 1}] * 3, [[1, 2]] * 3], ids=["objects", "lists"])
def test_times_that_are_objects_or_lists_are_named_with_the_file(times: list[object], tmp_path: Path):
    path = log_of(times, tmp_path)
    assert reason(path).startswith(f"{path} time column 'ts' has type ")
