"""Logs as they should not be: named, skipped or refused, and never a wrong number."""

from collections.abc import Callable
from datetime import datetime
from itertools import groupby, product
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import ArtifactError
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import Condition, LogFormat, PredictionLog, Spec

REFERENCE = build_reference(
    SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000), created=NOON - 30 * HOUR, source_hash=""
)
DAY = 24 * HOUR
LENGTHS = (HOUR, 6 * HOUR, DAY)


def run(folder: Path, window: Window = WINDOW, spec: Spec = SPEC) -> WindowReport:
    return measure_window(spec, folder, REFERENCE, REFERENCE.version, window, NOON)


def with_times(rows: pa.Table, times: pa.Array) -> pa.Table:
    return rows.set_column(0, "timestamp", times)


# ---------------------------------------------------------------- a file that is being written


def test_a_parquet_file_without_its_end_is_told_and_counts_once_it_is_whole(tmp_path: Path) -> None:
    write_parquet(log_rows(WINDOW.start, WINDOW.end), tmp_path / "log" / "a.parquet")
    growing = write_parquet(log_rows(WINDOW.start, WINDOW.end, seed=1), tmp_path / "log" / "b.parquet")
    whole = growing.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        growing.write_bytes(whole[:length])
        found = run(tmp_path)
        assert (found.rows, [problem.path for problem in found.problems]) == (1000, [str(growing)])
    growing.write_bytes(whole)
    assert (run(tmp_path).rows, run(tmp_path).problems) == (2000, ())


def test_the_last_line_of_json_that_is_cut_counts_once_it_is_whole(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(
        SPEC, prediction_log=PredictionLog(path="log", score="score", format=LogFormat.JSONL)
    )
    line = '{"timestamp": "2026-03-03T11:00:00Z", "age": 41, "country": "de", "hostile": 0.5, "score": 0.5}\n'
    (tmp_path / "log").mkdir()
    file = tmp_path / "log" / "a.jsonl"
    file.write_text(line * 50 + line[:40])
    found = run(tmp_path, spec=spec)
    assert (found.rows, [problem.path for problem in found.problems]) == (50, [str(file)])
    file.write_text(line * 51)
    assert (run(tmp_path, spec=spec).rows, run(tmp_path, spec=spec).problems) == (51, ())


# ---------------------------------------------------------------- a spec that the reference does not fit


def test_a_condition_that_the_reference_was_not_built_with_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    write_parquet(log_rows(WINDOW.start, WINDOW.end), tmp_path / "log" / "a.parquet")
    spec = msgspec.structs.replace(
        SPEC, reference=msgspec.structs.replace(SPEC.reference, condition=Condition.HOUR_OF_DAY)
    )
    with pytest.raises(ArtifactError) as caught:
        run(tmp_path, spec=spec)
    assert str(caught.value) == (
        f"the reference {REFERENCE.version} was built with condition none, and the spec's reference.condition is "
        "hour_of_day: build it again with `mlvitals reference build --promote`, or change the spec back"
    )


# ---------------------------------------------------------------- nulls


@pytest.mark.parametrize("kind", [pa.int64(), pa.null()], ids=str)
def test_a_million_rows_of_which_one_feature_is_all_null(kind: pa.DataType, tmp_path: Path) -> None:
    rows = pa.concat_tables([log_rows(WINDOW.start, WINDOW.end, 10_000)] * 100)
    write_parquet(rows.set_column(1, "age", pa.nulls(len(rows), kind)), tmp_path / "log" / "a.parquet")
    found = run(tmp_path)
    age = found.features["age"]
    assert (age.status, age.rows, age.nulls, age.null_rate) == (Status.ALL_NULL, 0, 1_000_000, 1.0)
    assert (age.psi, age.ks, age.js, age.mean) == (None, None, None, None)
    assert (found.features["country"].status, found.features["country"].rows) == (Status.OK, 1_000_000)


# ---------------------------------------------------------------- times


def test_files_with_and_without_a_zone_are_measured_together(tmp_path: Path) -> None:
    rows = log_rows(WINDOW.start, WINDOW.end)
    naive = with_times(rows, rows["timestamp"].cast(pa.timestamp("us")))
    zoned = with_times(rows, rows["timestamp"].cast(pa.timestamp("us", "Asia/Tokyo")))
    for name, table in (("naive", naive), ("zoned", zoned)):
        write_parquet(table, tmp_path / "log" / name)
    assert (run(tmp_path).rows, run(tmp_path).problems) == (2000, ())


@pytest.mark.parametrize("without", [1, 500])
def test_times_without_a_zone_among_such_with_one_cost_themselves_or_where_they_are_many_the_file(
    without: int, tmp_path: Path
) -> None:
    rows = log_rows(WINDOW.start, WINDOW.end)
    texts = [moment.isoformat() for moment in rows["timestamp"].to_pylist()]
    texts[:without] = [text.removesuffix("+00:00") for text in texts[:without]]
    write_parquet(rows, tmp_path / "log" / "a.parquet")
    mixed = write_parquet(with_times(rows, pa.array(texts)), tmp_path / "log" / "b.parquet")
    found = run(tmp_path)
    assert found.rows == (1999 if without == 1 else 1000)
    assert [problem.path for problem in found.problems] == [str(mixed)]
    assert ("cannot be read: 1, the first" if without == 1 else "with a zone, such as") in found.problems[0].problem


def test_rows_from_the_future_count_in_their_own_window_and_in_no_other(tmp_path: Path) -> None:
    now, future = log_rows(WINDOW.start, WINDOW.end), log_rows(NOON + 5 * HOUR, NOON + 6 * HOUR, 300)
    write_parquet(pa.concat_tables([now, future]), tmp_path / "log" / "a.parquet")
    assert run(tmp_path).rows == 1000
    assert run(tmp_path, Window(NOON + 5 * HOUR, NOON + 6 * HOUR)).rows == 300


# ---------------------------------------------------------------- folders named in local time, and clock changes


def write_partitions(folder: Path, begin: datetime, hours: int, name: Callable[[datetime], str]) -> None:
    """100 rows an hour, in folders that are named by `name`, each with one file of its hours."""
    moments = [begin + hour * HOUR for hour in range(hours)]
    for partition, its in groupby(moments, key=name):
        rows = pa.concat_tables([log_rows(moment, moment + HOUR, 100) for moment in its])
        write_parquet(rows, folder / "log" / partition / f"{rows['timestamp'][0].value}.parquet")


def by_hour(moment: datetime) -> str:
    return f"date={moment:%Y-%m-%d}/hour={moment:%H}"


def by_day(moment: datetime) -> str:
    return f"date={moment:%Y-%m-%d}"


ZONES = ["Pacific/Kiritimati", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Pacific/Pago_Pago"]


@pytest.mark.parametrize("zone", ZONES)
def test_days_in_local_time_lose_no_row(zone: str, tmp_path: Path) -> None:
    write_partitions(tmp_path, NOON - 3 * DAY, 6 * 24, lambda moment: by_day(moment.astimezone(ZoneInfo(zone))))
    for length, hour in product(LENGTHS, (0, 7, 16, 22)):
        end = NOON + hour * HOUR
        found = run(tmp_path, Window(end - length, end))
        assert (found.rows, found.problems) == (100 * (length // HOUR), ())


@pytest.mark.parametrize("zone", ZONES)
def test_hours_in_local_time_lose_no_row_or_it_is_told(zone: str, tmp_path: Path) -> None:
    write_partitions(tmp_path, NOON - 2 * DAY, 4 * 24, lambda moment: by_hour(moment.astimezone(ZoneInfo(zone))))
    for length, hour in product(LENGTHS, (0, 16)):
        end = NOON + hour * HOUR
        found = run(tmp_path, Window(end - length, end))
        assert found.rows == 100 * (length // HOUR) or "local time" in found.problems[0].problem


def test_the_hour_that_a_clock_change_repeats_is_two_hours(tmp_path: Path) -> None:
    begin, berlin = datetime.fromisoformat("2026-10-24T12:00Z"), ZoneInfo("Europe/Berlin")
    write_partitions(tmp_path, begin, 24, lambda moment: by_day(moment.astimezone(berlin)))
    for hour in range(24):
        found = run(tmp_path, Window(begin + hour * HOUR, begin + (hour + 1) * HOUR))
        assert (found.rows, found.problems) == (100, ())


def test_hours_in_utc_are_never_suspected(tmp_path: Path) -> None:
    write_partitions(tmp_path, NOON - DAY, 48, by_hour)
    empty = log_rows(WINDOW.start, WINDOW.end).slice(0, 0)
    pq.write_table(empty, tmp_path / "log" / by_hour(WINDOW.start) / "empty.parquet")
    for length in LENGTHS:
        assert run(tmp_path, Window(NOON - length, NOON)).problems == ()
