"""How often files are opened, for whom, and what is remembered of them."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading import known as known_files
from mlvitals.exporters.reading import sources
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.log import Log, Plan, Task
from mlvitals.exporters.reading.scan import BrokenFileError, Chunk, OpenFile
from mlvitals.exporters.reading.sources import Reader
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import FeatureType, LogFormat, Outcome, PredictionLog, Skew, Spec, Windows

REFERENCE = build_reference(SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000), created=NOON, source_hash="")
FILES = [item for item in LogFormat if item is not LogFormat.SQL]
AGE = {"age": FeatureType.INTEGER}


class Ages(Reader):
    """Keeps the ages of whole files, and what is wrong with files."""

    def __init__(self, columns: dict[str, FeatureType] = AGE, window: Window = WINDOW, **how: Any) -> None:
        super().__init__(columns, window, **how)
        self.ages: list[object] = []
        self.problems: list[FileProblem] = []
        self._of_file: list[object] = []

    def add(self, chunk: Chunk) -> None:
        if "age" not in chunk.columns:
            raise BrokenFileError("has no ages")
        self._of_file += chunk.columns["age"].to_pylist()

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:
        self.ages += [] if broken else self._of_file
        self.problems += problems
        self._of_file = []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is opened."""
    counts: Counter[str] = Counter()

    def count(file: Any, *how: Any) -> OpenFile:
        counts[Path(file.path).name] += 1
        return OpenFile(file, *how)

    monkeypatch.setattr(sources, "OpenFile", count)
    return counts


def write(table: pa.Table, file: Path, file_format: LogFormat = LogFormat.PARQUET) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    match file_format:
        case LogFormat.PARQUET:
            pq.write_table(table, file)
        case LogFormat.FEATHER:
            pa_feather.write_feather(table, file)
        case LogFormat.CSV:
            pa_csv.write_csv(table, file)
        case _:
            file.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))
    return file


def log(folder: Path, known: KnownFiles | None = None, **section: Any) -> Log:
    return Log(PredictionLog(path="log", **section), folder, known=known)


def hours(folder: Path, count: int, file_format: LogFormat = LogFormat.PARQUET) -> list[Path]:
    """A flat folder with a file of each of the newest hours."""
    begins = [WINDOW.start - back * HOUR for back in range(count)]
    return [write(log_rows(begin, begin + HOUR, 100), folder / "log" / f"{begin:%H}", file_format) for begin in begins]


def demanding(file_format: LogFormat) -> Spec:
    """A system whose window needs the log for features, newest scores, outcomes, their estimate and skew."""
    predictions = msgspec.structs.replace(
        SPEC.prediction_log, format=file_format, id="id", outcome=Outcome(column="clicked", max_delay="2h")
    )
    skew = Skew(path="offline", format=file_format, delay="1h")
    return msgspec.structs.replace(SPEC, prediction_log=predictions, skew=skew, windows=Windows(score_count=1_000_000))


# ---------------------------------------------------------------- how often


@pytest.mark.parametrize("file_format", FILES)
def test_a_window_opens_each_file_of_the_log_twice_at_most_however_much_it_needs_of_it(
    file_format: LogFormat, tmp_path: Path, opened: Counter[str]
) -> None:
    ids, clicked = pa.array(map(str, range(4000))), pa.array([row % 2 == 0 for row in range(4000)])
    rows = log_rows(NOON - 40 * HOUR, NOON, 4000, id=ids, clicked=clicked)
    write(rows, tmp_path / "log" / "whole", file_format)
    write(rows, tmp_path / "offline" / "recomputed", file_format)
    found = measure_window(demanding(file_format), tmp_path, REFERENCE, "v1", WINDOW, NOON)
    assert (found.rows, found.outcomes.answered, found.skew.serving_rows) == (100, 100, 100)
    assert found.score_count.report.rows == 3200
    assert opened == {"whole": 2, "recomputed": 1}


def test_readers_of_one_pass_get_what_each_gets_alone(tmp_path: Path, opened: Counter[str]) -> None:
    hours(tmp_path, 6)
    windows = [Window(WINDOW.start - back * HOUR, WINDOW.end - back * HOUR / 2) for back in range(5)]
    together = [Ages(window=window) for window in windows]
    log(tmp_path).read(*together)
    assert set(opened.values()) == {1}
    for reader in together:
        alone = Ages(window=reader.window)
        log(tmp_path).read(alone)
        assert reader.ages == alone.ages


def test_a_patient_reader_gets_rows_of_files_that_others_open_and_each_row_once(
    tmp_path: Path, opened: Counter[str]
) -> None:
    write(log_rows(WINDOW.start - HOUR, WINDOW.end, 200), tmp_path / "log" / "both hours")
    write(log_rows(WINDOW.start - HOUR, WINDOW.start, 30), tmp_path / "log" / "date=2026-03-03" / "hour=10" / "earlier")
    files = log(tmp_path)
    patient = Ages(window=Window(WINDOW.start - HOUR, WINDOW.start), patient=True)
    files.read(Ages(), patient)
    first = len(patient.ages)
    patient.patient = False
    files.read(patient)
    assert (first, len(patient.ages)) == (100, 130)
    assert opened["both hours"] == 1


def test_what_a_plan_waits_for_together_with_others_is_read_in_one_pass(tmp_path: Path, opened: Counter[str]) -> None:
    hours(tmp_path, 1)

    def plan(passes: int) -> Plan[int]:
        readers = [Ages() for _ in range(passes)]
        for reader in readers:
            yield [reader]
        return sum(len(reader.ages) for reader in readers)

    tasks = [Task(plan(passes)) for passes in (1, 3, 0)]
    log(tmp_path).serve(*tasks)
    assert [task.result for task in tasks] == [100, 300, 0]
    assert set(opened.values()) == {3}


# ---------------------------------------------------------------- what fails, and for whom


def test_a_column_that_breaks_a_file_breaks_it_for_who_wants_the_column(tmp_path: Path) -> None:
    rows = [f"2026-03-03T11:{minute:02}:00Z" for minute in range(60)] * 2000
    (tmp_path / "log").mkdir()
    lines = ["timestamp,age,country,country", *(f"{row},1,de,de" for row in rows)]
    (tmp_path / "log" / "a").write_text("\n".join(lines) + "\n")
    both, ages = Ages({**AGE, "country": FeatureType.CATEGORICAL}), Ages()
    log(tmp_path, format=LogFormat.CSV).read(both, ages)
    assert (len(both.ages), len(both.problems)) == (0, 1)
    assert (len(ages.ages), ages.problems) == (120_000, [])


@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
def test_a_value_that_cannot_be_read_costs_itself_and_is_named_with_its_line(
    file_format: LogFormat, tmp_path: Path
) -> None:
    rows = [f"2026-03-03T11:{minute:02}:00Z" for minute in range(60)] * 2000
    (tmp_path / "log").mkdir()
    if file_format is LogFormat.CSV:
        lines = [b"timestamp,age,country", *(b"%s,1,de" % row.encode() for row in rows)]
        lines[-5] = b"2026-03-03T11:00:00Z,1,\xff"
        told = "bytes that are not UTF-8, read as \ufffd: 1, the first in line 119997; save the file as UTF-8"
    else:
        lines = [json.dumps({"timestamp": row, "age": 1, "country": "de"}).encode() for row in rows]
        lines[-5] = b'{"timestamp": "2026-03-03T11:00:00Z", "age": 1, "country": [1]}'
        told = "column 'country': lists and objects, counted as missing: 1, the first in line 119996"
    (tmp_path / "log" / "a").write_bytes(b"\n".join(lines) + b"\n")
    both = Ages({**AGE, "country": FeatureType.CATEGORICAL})
    log(tmp_path, format=file_format).read(both)
    assert (len(both.ages), [problem.problem for problem in both.problems]) == (120_000, [told])


def test_a_reader_that_has_no_use_for_a_file_does_not_end_it_for_others(tmp_path: Path) -> None:
    hours(tmp_path, 1)
    useless, ages = Ages({"country": FeatureType.CATEGORICAL}), Ages()
    log(tmp_path).read(useless, ages)
    assert [problem.problem for problem in useless.problems] == ["has no ages"]
    assert len(ages.ages) == 100


def test_what_fails_in_a_reader_is_raised_in_its_plan_and_the_others_end(tmp_path: Path) -> None:
    class Failing(Ages):
        def add(self, chunk: Chunk) -> None:
            raise ZeroDivisionError

    def failing() -> Plan[str]:
        try:
            yield [Failing()]
        except ZeroDivisionError:
            return "failed"
        return "went well"

    def counting() -> Plan[int]:
        ages = Ages()
        yield [ages]
        return len(ages.ages)

    hours(tmp_path, 2)
    tasks = Task(failing()), Task(counting())
    log(tmp_path).serve(*tasks)
    assert (tasks[0].result, tasks[1].result) == ("failed", 100)


@pytest.mark.parametrize("file_format", FILES)
def test_a_file_in_the_folder_of_another_hour_is_told_in_every_format(file_format: LogFormat, tmp_path: Path) -> None:
    rows = log_rows(WINDOW.start - 9 * HOUR, WINDOW.end - 9 * HOUR, 10)
    write(rows, tmp_path / "log" / "date=2026-03-03" / "hour=11" / "a", file_format)
    ages = Ages()
    log(tmp_path, format=file_format).read(ages)
    assert [problem.problem.partition(":")[0] for problem in ages.problems] == [
        "holds no row of the time its folder is named for"
    ]


# ---------------------------------------------------------------- what is remembered


def after(*windows: Window, folder: Path, **section: Any) -> KnownFiles:
    """What is known once some windows are read."""
    known = KnownFiles()
    for window in windows:
        log(folder, known, **section).read(Ages(window=window))
        known = KnownFiles(known.asked)
    return known


@pytest.mark.parametrize("file_format", FILES)
def test_a_file_is_not_opened_again_for_a_window_of_which_it_holds_no_row(
    file_format: LogFormat, tmp_path: Path, opened: Counter[str]
) -> None:
    hours(tmp_path, 5, file_format)
    known = after(WINDOW, folder=tmp_path, format=file_format)
    opened.clear()
    ages = Ages()
    log(tmp_path, known, format=file_format).read(ages)
    assert len(ages.ages) == 100
    assert set(opened) <= {"10", "11"}, "the hour before may share the moment at which the window starts"


@pytest.mark.parametrize(
    "times",
    [
        pa.timestamp("s", "UTC"),
        pa.timestamp("ms"),
        pa.timestamp("ns"),
        pa.date32(),
        pa.int64(),
        pa.int32(),
        pa.string(),
    ],
    ids=str,
)
def test_times_of_any_type_are_remembered_as_they_are_read(times: pa.DataType, tmp_path: Path) -> None:
    days = [Window(NOON + timedelta(days=day, hours=-12), NOON + timedelta(days=day, hours=12)) for day in range(4)]
    for place, day in enumerate(days):
        moments = pa.array([day.start, day.start + 11 * HOUR], pa.timestamp("s", "UTC"))
        if pa.types.is_integer(times):
            column = moments.cast(pa.int64()).cast(times)
        elif pa.types.is_string(times):
            column = pa.array([moment.isoformat() for moment in moments.to_pylist()])
        else:
            column = moments.cast(times)
        write(pa.table({"timestamp": column, "age": [place, place]}), tmp_path / "log" / str(place))
    known = after(days[0], folder=tmp_path)
    for place, day in enumerate(days):
        ages = Ages(window=day)
        log(tmp_path, known).read(ages)
        assert ages.ages == [place, place]


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    old = hours(tmp_path, 3)[2]
    known = after(WINDOW, folder=tmp_path)
    write(log_rows(WINDOW.start, WINDOW.end, 7), old)
    ages = Ages()
    log(tmp_path, known).read(ages)
    assert len(ages.ages) == 107


def with_nulls(begin: datetime, folder: Path) -> Path:
    """A CSV file of an hour, with two rows without a time and a line that is cut off."""
    moments = [(begin + HOUR / 2).isoformat(), "", ""]
    lines = ["timestamp,age", *(f"{moment},1" for moment in moments), begin.isoformat()]
    folder.mkdir(exist_ok=True)
    (folder / "a").write_text("\n".join(lines) + "\n")
    return folder / "a"


def test_what_is_wrong_with_a_file_is_told_although_it_is_not_opened(tmp_path: Path, opened: Counter[str]) -> None:
    with_nulls(WINDOW.start - 9 * HOUR, tmp_path / "log")
    known = after(WINDOW, folder=tmp_path, format=LogFormat.CSV)
    opened.clear()
    ages = Ages()
    log(tmp_path, known, format=LogFormat.CSV).read(ages)
    assert [problem.problem for problem in ages.problems] == [
        "rows without a time, which belong to no window: 2",
        "lines left out for too few or too many values: 1",
    ]
    assert not opened


def test_a_broken_file_is_opened_and_told_in_every_window(tmp_path: Path, opened: Counter[str]) -> None:
    write(log_rows(NOON - 9 * HOUR, NOON - 8 * HOUR), tmp_path / "log" / "a").write_bytes(b"broken")
    known = after(WINDOW, WINDOW, folder=tmp_path)
    ages = Ages()
    log(tmp_path, known).read(ages)
    assert (len(ages.problems), opened["a"]) == (1, 3)


def test_a_file_that_is_broken_for_one_reader_is_not_remembered_for_another(tmp_path: Path) -> None:
    hours(tmp_path, 1)
    known = KnownFiles()
    files = log(tmp_path, known)
    files.read(Ages({"country": FeatureType.CATEGORICAL}))
    files.read(Ages())
    assert not known.asked


def test_files_that_no_window_asks_for_any_more_are_forgotten(tmp_path: Path) -> None:
    for path in hours(tmp_path, 3):
        known = after(WINDOW, folder=tmp_path)
        path.unlink()
    log(tmp_path, known).read(Ages())
    assert known.asked == {}


def test_the_memory_is_bounded_and_what_is_beyond_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hours(tmp_path, 6)
    monkeypatch.setattr(known_files, "MOST_FILES", 2)
    known = after(WINDOW, WINDOW, folder=tmp_path)
    ages = Ages()
    log(tmp_path, known).read(ages)
    assert sum(map(len, known.asked.values())) == 2
    assert len(ages.ages) == 100


def measured(folder: Path, window: Window, known: KnownFiles | None = None) -> WindowReport:
    rows = msgspec.structs.replace(SPEC, windows=Windows(score_count=250))
    return measure_window(rows, folder, REFERENCE, "v1", window, NOON, known=known)


def test_a_window_finds_the_same_whatever_is_known(tmp_path: Path) -> None:
    hours(tmp_path, 8)
    with_nulls(WINDOW.start, tmp_path / "log").rename(tmp_path / "log" / "no parquet")
    known = KnownFiles()
    for back in (3, 2, 1, 0, 0):
        window = Window(WINDOW.start - back * HOUR, WINDOW.end - back * HOUR)
        assert measured(tmp_path, window, known) == measured(tmp_path, window)
        known = KnownFiles(known.asked)


def test_folders_are_listed_once(tmp_path: Path) -> None:
    write_parquet(log_rows(WINDOW.start, WINDOW.end, 10), tmp_path / "log" / "date=2026-03-03" / "a")
    files = log(tmp_path)
    files.read(Ages())
    write_parquet(log_rows(WINDOW.start, WINDOW.end, 10), tmp_path / "log" / "date=2026-03-03" / "b")
    ages = Ages()
    files.read(ages)
    assert len(ages.ages) == 10


def test_equally_old_scores_count_in_the_order_of_files_however_they_are_read(tmp_path: Path) -> None:
    """A long file is read for all steps back at once; an hour's file when its step comes."""
    seconds = [NOON - 5 * HOUR + timedelta(seconds=number // 40) for number in range(400)]
    for number, name in enumerate(("a", "b", "c")):
        column = pa.array(seconds if name != "b" else [*seconds, NOON - HOUR / 2])
        scores = np.full(len(column), (number + 1) / 10)
        rows = log_rows(NOON - 6 * HOUR, NOON, len(column), score=scores)
        write(rows.set_column(rows.schema.get_field_index("timestamp"), "timestamp", column), tmp_path / "log" / name)
    spec = msgspec.structs.replace(SPEC, windows=Windows(score_count=130))
    newest = measure_window(spec, tmp_path, REFERENCE, "v1", WINDOW, NOON).score_count
    assert newest.report.rows == 130
    # 120 scores of the last second: all of c, all of b, and 40 of a; then 9 of c a second before.
    expected = (0.2 + 40 * 0.3 + 40 * 0.2 + 40 * 0.1 + 9 * 0.3) / 130
    assert newest.report.mean == pytest.approx(expected)
