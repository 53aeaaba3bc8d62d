import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOSTILE, HOUR, NOON, WINDOW, log_rows, write_parquet

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.files import partition_span
from mlvitals.exporters.reading.log import Log
from mlvitals.exporters.reading.scan import BATCH_ROWS, BATCH_VALUES, BrokenFileError, Chunk
from mlvitals.exporters.reading.sources import LogError, LogFile
from mlvitals.generator.spec.model import FeatureType, LogFormat, PredictionLog

COLUMNS = {"age": FeatureType.INTEGER, "country": FeatureType.CATEGORICAL, "score": FeatureType.FLOAT}


def read(
    folder: Path, path: str = "log", *, window: Window = WINDOW, columns: dict[str, FeatureType] = COLUMNS, **log: Any
) -> tuple[list[Chunk], list[FileProblem]]:
    """What all files of a window hold, and what is wrong with some."""
    chunks, problems = [], []
    for file in Log(PredictionLog(path=path, **log), folder).files(window):
        try:
            chunks += list(file.chunks(columns))
        except BrokenFileError as error:
            problems.append(FileProblem(path=file.path, problem=str(error)))
        problems += file.problems
    return chunks, problems


def rows(chunks: list[Chunk]) -> int:
    return sum(chunk.rows for chunk in chunks)


def values(chunks: list[Chunk], column: str) -> list[object]:
    return [found for chunk in chunks for found in chunk.columns[column].to_pylist()]


# ---------------------------------------------------------------- which rows


def test_a_window_includes_its_begin_and_excludes_its_end(tmp_path: Path) -> None:
    moments = [WINDOW.start - timedelta(microseconds=1), WINDOW.start, NOON - timedelta(microseconds=1), NOON]
    write_parquet(pa.table({"timestamp": moments, "age": [1, 2, 3, 4]}), tmp_path / "log" / "a.parquet")
    chunks, _ = read(tmp_path)
    assert values(chunks, "age") == [2, 3]
    assert chunks[0].times.to_pylist() == moments[1:3]


@pytest.mark.parametrize(
    "times",
    [
        *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
        *(pa.timestamp("ms", zone) for zone in ("UTC", "America/New_York")),
        pa.string(),
        pa.int64(),
        pa.float64(),
    ],
    ids=str,
)
def test_times_may_have_any_type_that_says_when(times: pa.DataType, tmp_path: Path) -> None:
    moments = [NOON - 2 * HOUR, NOON - HOUR, NOON - timedelta(seconds=1), NOON]
    if times == pa.string():
        column = pa.array([moment.isoformat() for moment in moments])
    elif pa.types.is_timestamp(times):
        column = pa.array([moment if times.tz else moment.replace(tzinfo=None) for moment in moments], times)
    else:
        column = pa.array([int(moment.timestamp()) for moment in moments]).cast(times)
    write_parquet(pa.table({"timestamp": column, "age": [1, 2, 3, 4]}), tmp_path / "log" / "a.parquet")
    assert values(read(tmp_path)[0], "age") == [2, 3]


def test_a_daily_log_may_hold_dates(tmp_path: Path) -> None:
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 3, 4)]
    table = pa.table({"timestamp": pa.array([day.date() for day in days]), "age": [2, 3, 4]})
    write_parquet(table, tmp_path / "log" / "a.parquet")
    assert values(read(tmp_path, window=Window(days[1], days[2]))[0], "age") == [3]


def test_rows_without_a_time_belong_to_no_window(tmp_path: Path) -> None:
    write_parquet(pa.table({"timestamp": [None, WINDOW.start], "age": [1, 2]}), tmp_path / "log" / "a.parquet")
    assert values(read(tmp_path)[0], "age") == [2]


def test_an_empty_window_has_no_chunks_and_no_problems(tmp_path: Path) -> None:
    write_parquet(log_rows(NOON, NOON + HOUR), tmp_path / "log" / "a.parquet")
    assert read(tmp_path) == ([], [])


def test_batches_stay_small_however_large_the_file(tmp_path: Path) -> None:
    count = 3 * BATCH_ROWS
    write_parquet(pa.table({"timestamp": [WINDOW.start] * count, "age": [1] * count}), tmp_path / "log" / "a.parquet")
    chunks, _ = read(tmp_path)
    assert rows(chunks) == count
    assert max(chunk.rows for chunk in chunks) <= BATCH_ROWS


def test_batches_of_many_columns_have_fewer_rows(tmp_path: Path) -> None:
    names = [f"f{index}" for index in range(200)]
    table = pa.table({"timestamp": [WINDOW.start] * 20_000} | dict.fromkeys(names, [1] * 20_000))
    write_parquet(table, tmp_path / "log" / "a.parquet")
    chunks, _ = read(tmp_path, columns=dict.fromkeys(names, FeatureType.INTEGER))
    assert rows(chunks) == 20_000
    assert max(chunk.rows for chunk in chunks) * len(names) <= BATCH_VALUES


def test_row_groups_outside_the_window_are_not_decoded(tmp_path: Path) -> None:
    file = write_parquet(log_rows(WINDOW.start - HOUR, WINDOW.start, 10), tmp_path / "log" / "a.parquet")
    both = pa.concat_tables([log_rows(WINDOW.start - HOUR, WINDOW.start, 10), log_rows(WINDOW.start, WINDOW.end, 10)])
    pq.write_table(both, file, row_group_size=10)
    damaged = bytearray(file.read_bytes())
    damaged[4:40] = b"\xff" * 36  # the first page of the first row group
    file.write_bytes(damaged)
    chunks, problems = read(tmp_path)
    assert (rows(chunks), problems) == (10, [])


# ---------------------------------------------------------------- which files


def test_a_log_may_be_a_single_file(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds()), tmp_path / "log.parquet")
    assert rows(read(tmp_path, "log.parquet")[0]) == 1000


def test_a_log_may_be_an_absolute_path_or_a_url(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds()), tmp_path / "log" / "a.parquet")
    for path in (str(tmp_path / "log"), (tmp_path / "log").as_uri()):
        assert rows(read(Path("/nowhere"), path)[0]) == 1000


def test_hidden_files_and_files_being_written_are_left_out(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds()), tmp_path / "log" / "a.parquet")
    for name in (".a.parquet.crc", "_SUCCESS", "b.parquet.tmp", "_temporary/c.parquet", ".git/d.parquet"):
        (tmp_path / "log" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "log" / name).write_bytes(b"not a log")
    chunks, problems = read(tmp_path)
    assert (rows(chunks), problems) == (1000, [])


@pytest.mark.parametrize(
    ("partition", "span"),
    [
        ({"date": "2026-03-03"}, Window(datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))),
        ({"date": "2026-03-03", "hour": "11"}, WINDOW),
        ({"year": "2026", "month": "03", "day": "3", "hour": "11"}, WINDOW),
        ({"year": "2026", "month": "03"}, None),
        ({"date": "today"}, None),
        ({"date": "2026-03-03", "hour": "24"}, None),
        ({"model": "v7"}, None),
    ],
)
def test_a_partition_says_its_day_and_hour(partition: dict[str, str], span: Window | None) -> None:
    assert partition_span(partition) == span


def test_only_partitions_that_may_hold_the_window_are_opened(tmp_path: Path) -> None:
    opened = ["date=2026-03-03/hour=11", "date=2026-03-03/hour=12", "date=2026-03-03/hour=late", "model=v7"]
    left_out = [
        "date=2026-03-03/hour=10",
        "date=2026-03-03/hour=13",
        "date=2026-03-02/hour=11",
        "date=2026-03-01",
        "date=2026-03-05",
    ]
    for folder in opened + left_out:
        write_parquet(log_rows(*_bounds(), 1), tmp_path / "log" / folder / "a.parquet")
    found = Log(PredictionLog(path="log"), tmp_path).files(WINDOW)
    assert [str(Path(file.path).parent.relative_to(tmp_path / "log")) for file in found] == opened


def test_a_window_shorter_than_an_hour_opens_the_folder_of_its_hour(tmp_path: Path) -> None:
    table = log_rows(NOON, NOON + HOUR, 3600)
    write_parquet(table, tmp_path / "log" / f"date={NOON:%Y-%m-%d}" / f"hour={NOON:%H}" / "a.parquet")
    short = Window(NOON + timedelta(minutes=46), NOON + timedelta(minutes=46, seconds=20))
    (file,) = Log(PredictionLog(path="log"), tmp_path).files(short)
    assert isinstance(file, LogFile)


def test_a_row_that_arrived_after_its_hour_is_found_in_the_next_folder(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds(), 5), tmp_path / "log" / "date=2026-03-03" / "hour=12" / "late.parquet")
    assert rows(read(tmp_path)[0]) == 5


def test_a_partition_key_is_a_column_of_its_files(tmp_path: Path) -> None:
    columns = {"country": FeatureType.CATEGORICAL, "tier": FeatureType.INTEGER, "age": FeatureType.INTEGER}
    table = log_rows(*_bounds(), 2).drop_columns(["country"])
    write_parquet(table, tmp_path / "log" / "country=c%C3%B4te d'ivoire" / "tier=3" / "a.parquet")
    chunks, _ = read(tmp_path, columns=columns)
    assert values(chunks, "country") == ["côte d'ivoire"] * 2
    assert values(chunks, "tier") == [3, 3]
    assert chunks[0].missing == frozenset()


# ---------------------------------------------------------------- formats


def _bounds() -> tuple[datetime, datetime]:
    return WINDOW.start, WINDOW.end


def _write(table: pa.Table, file: Path, file_format: LogFormat) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file_format is LogFormat.PARQUET:
        pq.write_table(table, file)
    elif file_format is LogFormat.FEATHER:
        pa_feather.write_feather(table, file)
    elif file_format is LogFormat.CSV:
        pa_csv.write_csv(table, file)
    else:
        import json

        file.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))


@pytest.mark.parametrize("file_format", [item for item in LogFormat if item is not LogFormat.SQL])
def test_every_format_gives_the_same_values(file_format: LogFormat, tmp_path: Path) -> None:
    table = log_rows(WINDOW.start - HOUR, WINDOW.end, 200)
    _write(table, tmp_path / "log" / "file", file_format)
    chunks, problems = read(tmp_path, format=file_format)
    assert problems == []
    for column in COLUMNS:
        assert values(chunks, column) == pytest.approx(table[column].to_pylist()[100:])


@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
def test_text_may_be_compressed(file_format: LogFormat, tmp_path: Path) -> None:
    _write(log_rows(*_bounds(), 10), tmp_path / "plain", file_format)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"a.{file_format}.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert rows(read(tmp_path, format=file_format)[0]) == 10


def _csv(folder: Path, *lines: str) -> None:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "a.csv").write_text("\n".join(lines) + "\n")


def test_csv_is_read_as_the_types_of_the_features(tmp_path: Path) -> None:
    columns = COLUMNS | {"flag": FeatureType.BOOLEAN, "seen": FeatureType.TIMESTAMP}
    _csv(
        tmp_path,
        "timestamp,age,country,score,flag,seen",
        "2026-03-03T11:00:00Z,41,007,0.5,True,2026-03-01",
        "2026-03-03T11:30:00Z,,NA,nan,,",
    )
    chunks, problems = read(tmp_path, columns=columns, format=LogFormat.CSV)
    assert problems == []
    assert {name: values(chunks, name) for name in columns} == {
        "age": [41, None],
        "country": ["007", "NA"],
        "score": [0.5, None],
        "flag": [True, None],
        "seen": [datetime(2026, 3, 1, tzinfo=UTC), None],
    }


def test_text_in_a_numeric_csv_column_late_in_the_file_costs_itself_and_is_named_with_its_line(tmp_path: Path) -> None:
    lines = [f"2026-03-03T11:00:00Z,{index},de,0.5" for index in range(100_000)]
    _csv(tmp_path, "timestamp,age,country,score", *lines, "2026-03-03T11:00:00Z,old,de,0.5")
    (file,) = Log(PredictionLog(path="log", format=LogFormat.CSV), tmp_path).files(WINDOW)
    chunks = list(file.chunks(COLUMNS))
    assert (rows(chunks), file.problems) == (100_001, [])
    assert values(chunks, "age")[-2:] == [99_999, None]
    assert {chunk.columns["score"].type for chunk in chunks} == {pa.float64()}
    told = "column 'age': values that cannot be read, counted as missing: 1, the first 'old' in line 100002"
    assert [remark.problem for remark in file.remarks] == [told]


def test_a_numeric_csv_column_that_holds_mostly_text_stays_text_that_column_alone(tmp_path: Path) -> None:
    lines = [f"2026-03-03T11:00:00Z,{'old' if index % 3 else index},de,0.5" for index in range(100_000)]
    _csv(tmp_path, "timestamp,age,country,score", *lines)
    chunks, problems = read(tmp_path, format=LogFormat.CSV)
    assert (rows(chunks), problems) == (100_000, [])
    assert {chunk.columns["age"].type for chunk in chunks} == {pa.string()}
    assert {chunk.columns["score"].type for chunk in chunks} == {pa.float64()}


def test_json_numbers_may_turn_out_to_be_fractions_late_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    line = '{{"timestamp": "2026-03-03T11:00:00{}", "age": {}, "score": {}}}\n'
    lines = [line.format("Z", 1, 1)] * 100_000 + [line.format(".5Z", 1.5, 0.5)]
    (tmp_path / "log" / "a.jsonl").write_text("".join(lines))
    chunks, problems = read(tmp_path, format=LogFormat.JSONL)
    assert (rows(chunks), problems) == (100_001, [])


# ---------------------------------------------------------------- what is wrong with a file


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"prediction_log\.path log does not exist"):
        read(tmp_path)


def test_a_url_of_no_known_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"prediction_log\.path bogus://x cannot be read"):
        read(tmp_path, "bogus://x")


def _damage(file: Path, how: str) -> None:
    whole = file.read_bytes()
    file.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "other": b"a,b\n1,2\n"}[how])


@pytest.mark.parametrize("file_format", [LogFormat.PARQUET, LogFormat.FEATHER])
@pytest.mark.parametrize("how", ["truncated", "empty", "other"])
def test_a_damaged_file_is_a_problem_and_the_others_are_read(file_format: LogFormat, how: str, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _write(log_rows(*_bounds(), 10), tmp_path / "log" / name, file_format)
    _damage(tmp_path / "log" / "b", how)
    chunks, problems = read(tmp_path, format=file_format)
    assert rows(chunks) == 20
    assert [Path(problem.path).name for problem in problems] == ["b"]
    assert problems[0].problem.startswith("cannot be read as ")
    assert "\n" not in problems[0].problem


def test_a_csv_line_still_being_written_is_left_out_and_told(tmp_path: Path) -> None:
    lines = ["2026-03-03T11:00:00Z,1,de,0.5"] * 100_000
    _csv(tmp_path, "timestamp,age,country,score", *lines, "2026-03-03T11:00:00Z,1")
    chunks, problems = read(tmp_path, format=LogFormat.CSV)
    assert rows(chunks) == 100_000
    assert [problem.problem for problem in problems] == ["lines left out for too few or too many values: 1"]


@pytest.mark.parametrize("places", [(5,), (90_000,), (5, 6, 90_000)], ids=["first block", "later block", "both"])
def test_a_malformed_csv_line_is_counted_once_wherever_it_stands(places: tuple[int, ...], tmp_path: Path) -> None:
    lines = ["2026-03-03T11:00:00Z,1,de,0.5"] * 100_000
    for place in places:
        lines[place] = "2026-03-03T11:00:00Z,1,de,0.5,and more"
    _csv(tmp_path, "timestamp,age,country,score", *lines)
    chunks, problems = read(tmp_path, format=LogFormat.CSV)
    assert rows(chunks) == 100_000 - len(places)
    told = f"lines left out for too few or too many values: {len(places)}"
    assert [problem.problem for problem in problems] == [told]


def test_malformed_lines_of_a_misnamed_folder_are_counted_once_too(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "date=2026-03-03" / "hour=11"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("timestamp,age\n2026-03-03T03:00:00Z,1\n2026-03-03T03:00:00Z,1,2\n")
    chunks, problems = read(tmp_path, format=LogFormat.CSV)
    assert chunks == []
    assert "named in local time" in problems[0].problem
    assert [problem.problem for problem in problems[1:]] == ["lines left out for too few or too many values: 1"]


def test_a_last_line_of_json_that_is_cut_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    line = '{"timestamp": "2026-03-03T11:00:00Z", "age": 1}\n'
    (tmp_path / "log" / "a.jsonl").write_text(line * 100_000 + '{"timest')
    chunks, problems = read(tmp_path, format=LogFormat.JSONL)
    assert sum(chunk.rows for chunk in chunks) == 100_000
    assert "left out: 1, the first of them line 100001: " in problems[0].problem


def test_a_file_without_the_time_column_is_a_problem(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds(), 10), tmp_path / "log" / "a.parquet")
    write_parquet(log_rows(*_bounds(), 10).drop_columns(["timestamp"]), tmp_path / "log" / "b.parquet")
    chunks, problems = read(tmp_path)
    assert rows(chunks) == 10
    assert problems[0].problem == "has no time column 'timestamp'; its rows belong to no window"


def test_a_file_in_milliseconds_is_a_problem(tmp_path: Path) -> None:
    table = pa.table({"timestamp": [int(WINDOW.start.timestamp()) * 1000], "age": [1]})
    write_parquet(table, tmp_path / "log" / "a.parquet")
    chunks, problems = read(tmp_path)
    assert chunks == []
    assert "milliseconds" in problems[0].problem


def test_a_column_that_a_file_lacks_is_named(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds(), 10).drop_columns(["age"]), tmp_path / "log" / "a.parquet")
    chunks, _ = read(tmp_path)
    assert (chunks[0].rows, chunks[0].missing) == (10, frozenset({"age"}))


def test_a_file_without_any_wanted_column_still_has_rows(tmp_path: Path) -> None:
    write_parquet(log_rows(*_bounds(), 10).select(["timestamp"]), tmp_path / "log" / "a.parquet")
    assert rows(read(tmp_path)[0]) == 10


def test_a_column_that_a_file_has_twice_is_a_problem_of_that_file(tmp_path: Path) -> None:
    once = log_rows(WINDOW.start, WINDOW.end, 10)
    twice = once.append_column("age", once["age"])
    write_parquet(twice, tmp_path / "log" / "a.parquet")
    write_parquet(once, tmp_path / "log" / "b.parquet")
    chunks, problems = read(tmp_path)
    assert rows(chunks) == 10
    assert [problem.problem for problem in problems] == ["has 2 columns named 'age'"]


def test_columns_of_any_name_are_read(tmp_path: Path) -> None:
    names = [HOSTILE, "a.b", "a b", "[0]", "日本語"]
    table = pa.table({"timestamp": [WINDOW.start]} | {name: [1.0] for name in names})
    write_parquet(table, tmp_path / "log" / "a.parquet")
    chunks, problems = read(tmp_path, columns=dict.fromkeys(names, FeatureType.FLOAT))
    assert (problems, chunks[0].missing) == ([], frozenset())


@contextmanager
def as_someone_else() -> Iterator[None]:
    """The superuser may read everything; look with somebody else's eyes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_that_cannot_be_listed_is_a_problem_and_the_others_are_read(open_folder: Path) -> None:
    for name in ("model=v1", "model=v2"):
        write_parquet(log_rows(*_bounds(), 10), open_folder / "log" / name / "a.parquet")
    closed = open_folder / "log" / "model=v1"
    closed.chmod(0)
    try:
        with as_someone_else():
            chunks, problems = read(open_folder)
    finally:
        closed.chmod(0o755)
    assert rows(chunks) == 10
    assert [problem.path for problem in problems] == [str(closed)]
    assert problems[0].problem == "folder cannot be opened: Permission denied"


def test_a_file_that_cannot_be_opened_is_a_problem_and_the_others_are_read(open_folder: Path) -> None:
    for name in ("a", "b"):
        write_parquet(log_rows(*_bounds(), 10), open_folder / "log" / name)
    (open_folder / "log" / "a").chmod(0)
    with as_someone_else():
        chunks, problems = read(open_folder)
    assert rows(chunks) == 10
    assert problems[0].problem == "cannot be opened: Permission denied"


def test_a_file_that_vanishes_after_it_was_listed_is_broken(tmp_path: Path) -> None:
    gone = write_parquet(log_rows(*_bounds(), 10), tmp_path / "log" / "a")
    (file,) = Log(PredictionLog(path="log"), tmp_path).files(WINDOW)
    gone.unlink()
    with pytest.raises(BrokenFileError, match="cannot be opened: No such file or directory"):
        list(file.chunks(COLUMNS))


def test_rows_without_a_time_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    table = log_rows(*_bounds(), 100)
    place = table.schema.get_field_index("timestamp")
    times = pa.array([None] * 30 + table["timestamp"].to_pylist()[30:], table.schema.field(place).type)
    write_parquet(table.set_column(place, "timestamp", times), tmp_path / "log" / "a.parquet")
    chunks, problems = read(tmp_path)
    assert rows(chunks) == 70
    assert [problem.problem for problem in problems] == ["rows without a time, which belong to no window: 30"]
