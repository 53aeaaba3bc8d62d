"""What a log folder may hold: one file never takes the others, the window or the process with it."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, write_parquet
from lab import ROWS, Lab, predictions

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading import scan
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import LogFormat

Happens = Callable[[str], None]
FORMATS = [one for one in LogFormat if one is not LogFormat.SQL]
WINDOW = Window(NOON - HOUR, NOON)


def write(table: pa.Table, path: Path, file_format: LogFormat) -> bytes:
    """Write a file and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match file_format:
        case LogFormat.PARQUET:
            pq.write_table(table, path)
        case LogFormat.FEATHER:
            pa_feather.write_feather(table, path, compression="uncompressed")
        case LogFormat.CSV:
            pa_csv.write_csv(table, path)
        case _:
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))
    return path.read_bytes()


def measured(lab: Lab, file_format: LogFormat = LogFormat.PARQUET) -> WindowReport:
    """The window of the hour before noon."""
    log = msgspec.structs.replace(lab.spec.prediction_log, path="predictions", format=file_format)
    spec = msgspec.structs.replace(lab.spec, prediction_log=log)
    return measure_window(spec, lab.folder, lab.reference(), "v1", WINDOW, NOON)


def problems(report: WindowReport) -> list[str]:
    return [problem.problem for problem in report.problems]


@pytest.fixture
def folder(lab: Lab) -> Path:
    """A log of its own, for any format."""
    (lab.folder / "predictions").mkdir()
    return lab.folder / "predictions"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do something once, between the opening of a file and the reading of its rows."""
    todo: list[Callable[[], object]] = []
    batches = scan.OpenFile.batches

    def after(self: scan.OpenFile, *what: object) -> object:
        while todo:
            todo.pop()()
        return batches(self, *what)

    monkeypatch.setattr(scan.OpenFile, "batches", after)
    yield todo.append
    assert not todo


# ---------------------------------------------------------------- replaced while it is read


@pytest.mark.fault("log", "a file replaced by rename while it is read", "the rows of one or the other are counted")
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_replaced_by_rename(
    lab: Lab, folder: Path, file_format: LogFormat, meanwhile: Callable, happens: Happens
) -> None:
    write(predictions(NOON - HOUR), folder / "a", file_format)
    longer = predictions(NOON - HOUR, 2 * ROWS).select([3, 1, 0, 2])
    write(longer, lab.folder / "new", file_format)
    meanwhile(lambda: (lab.folder / "new").replace(folder / "a"))
    report = measured(lab, file_format)
    assert (report.rows, problems(report)) in [(ROWS, []), (2 * ROWS, [])]
    happens("no problem")


@pytest.mark.fault("log", "a file overwritten in place while it is read", "the window is measured again")
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_overwritten_in_place(
    lab: Lab, folder: Path, file_format: LogFormat, meanwhile: Callable, happens: Happens
) -> None:
    write(predictions(NOON - HOUR), folder / "a", file_format)
    shorter = write(predictions(NOON - HOUR, ROWS // 2, seed=7), lab.folder / "new", file_format)
    meanwhile(lambda: (folder / "a").write_bytes(shorter))
    report = measured(lab, file_format)
    assert (report.rows, problems(report)) == (ROWS // 2, [])
    happens("no problem")


@pytest.mark.fault(
    "log", "a file removed between listing and reading, as by compaction", "the window is measured again"
)
@pytest.mark.parametrize("file_format", FORMATS)
def test_files_that_are_compacted(
    lab: Lab, folder: Path, file_format: LogFormat, monkeypatch: pytest.MonkeyPatch, happens: Happens
) -> None:
    parts = [predictions(NOON - HOUR, ROWS, seed=seed) for seed in (1, 2)]
    for name, rows in zip("ab", parts, strict=True):
        write(rows, folder / name, file_format)
    write(pa.concat_tables(parts), lab.folder / "new", file_format)
    opened = scan.OpenFile._opened

    def compact(self: scan.OpenFile) -> object:
        if (lab.folder / "new").exists():
            (lab.folder / "new").replace(folder / "c")
            (folder / "a").unlink()
            (folder / "b").unlink()
        return opened(self)

    monkeypatch.setattr(scan.OpenFile, "_opened", compact)
    report = measured(lab, file_format)
    assert (report.rows, problems(report)) == (2 * ROWS, [])
    happens("no problem")


@pytest.mark.fault("log", "a file of text that grows while it is read", "its rows up to some line are counted")
@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
def test_a_file_of_text_that_grows(
    lab: Lab, folder: Path, file_format: LogFormat, meanwhile: Callable, happens: Happens
) -> None:
    whole = write(predictions(NOON - HOUR), folder / "a", file_format)
    line = whole.splitlines(keepends=True)[-1]

    def grow() -> None:
        with (folder / "a").open("ab") as file:
            file.write(line)

    meanwhile(grow)
    report = measured(lab, file_format)
    assert report.rows in (ROWS, ROWS + 1)
    assert not report.problems
    happens("no problem")


@pytest.mark.fault("log", "a file that is rewritten again and again while it is read", "named; the rest is measured")
def test_a_file_that_never_rests(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    write(predictions(NOON - HOUR), folder / "a", LogFormat.PARQUET)
    restless = write(predictions(NOON - HOUR), folder / "b", LogFormat.PARQUET)
    batches = scan.OpenFile.batches

    def rewritten(self: scan.OpenFile, *what: object) -> object:
        (folder / "b").write_bytes(restless)
        return batches(self, *what)

    monkeypatch.setattr(scan.OpenFile, "batches", rewritten)
    report = measured(lab)
    assert (report.rows, [Path(one.path).name for one in report.problems]) == (ROWS, ["b"])
    happens(problems(report)[0])


# ---------------------------------------------------------------- bytes that nobody expects


@pytest.mark.fault("log", "names of files and folders that are not UTF-8", "named; the rest is measured")
def test_names_that_are_not_utf_8(lab: Lab, folder: Path, happens: Happens) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", LogFormat.PARQUET)
    Path(os.fsdecode(os.fsencode(folder) + b"/b\xff")).write_bytes(data)
    Path(os.fsdecode(os.fsencode(folder) + b"/f\xff")).mkdir()
    report = measured(lab)
    assert report.rows == ROWS
    assert [one.path for one in report.problems] == [f"{folder}/b\\xff", f"{folder}/f\\xff"]
    happens(problems(report)[0])
    WindowReport.from_json(report.to_json())


@pytest.mark.fault("log", "the spec's own folder is not UTF-8", "the run says so, in one sentence")
def test_a_spec_in_a_folder_that_is_not_utf_8(tmp_path: Path, happens: Happens) -> None:
    strange = Lab(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))
    exporter = strange.start()
    exporter.run_due()
    exporter.refresh_freshness("batch")
    (event,) = strange.events("run_failed")
    assert event["error"].endswith("a name in this path is not UTF-8; rename it")
    happens("a name in this path is not UTF-8; rename it")


@pytest.mark.fault(
    "log", "bytes that are not UTF-8 in names of columns", "the file is named; what can be read is measured"
)
@pytest.mark.parametrize("file_format", [LogFormat.JSONL, LogFormat.FEATHER, LogFormat.PARQUET])
def test_names_of_columns_that_are_not_utf_8(lab: Lab, folder: Path, file_format: LogFormat, happens: Happens) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", file_format)
    (folder / "bad").write_bytes(data.replace(b"country", b"c\xffuntry"))
    report = measured(lab, file_format)
    assert report.rows == (2 * ROWS if file_format is LogFormat.JSONL else ROWS)
    assert {Path(one.path).name for one in report.problems} == {"bad"}
    happens(f"{file_format}: {problems(report)[0]}")


@pytest.mark.fault("log", "Feather whose bytes name places outside of it", "the file is named; the rest is measured")
def test_feather_with_foreign_places(lab: Lab, folder: Path, happens: Happens) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", LogFormat.FEATHER)
    offsets = b"".join(place.to_bytes(4, "little") for place in range(0, 2 * 6, 2))
    assert data.count(offsets) == 1
    (folder / "bad").write_bytes(data.replace(offsets, offsets[:-8] + b"\xff\xff\xff\x7f" * 2))
    report = measured(lab, LogFormat.FEATHER)
    assert report.rows == ROWS
    assert [Path(one.path).name for one in report.problems] == ["bad"]
    happens("the file is named")


@pytest.mark.fault("log", "Parquet whose pages are damaged, written with checksums", "the file is named")
def test_parquet_with_checksums(lab: Lab, folder: Path, happens: Happens) -> None:
    write(predictions(NOON - HOUR), folder / "good", LogFormat.PARQUET)
    plain = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(predictions(NOON - HOUR), folder / "bad", **plain)
    data = bytearray((folder / "bad").read_bytes())
    place = pq.read_metadata(folder / "bad").row_group(0).column(1).data_page_offset
    data[place + 200] ^= 1
    (folder / "bad").write_bytes(data)
    report = measured(lab)
    assert report.rows == ROWS
    assert [Path(one.path).name for one in report.problems] == ["bad"]
    happens(problems(report)[0])


# ---------------------------------------------------------------- files that are not what they ought to be


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def too_many_columns(_: bytes) -> bytes:
    return b"timestamp,age,age,country,score\n2026-03-03T11:00:00Z,1,2,de,0.5\n"


def late_list(data: bytes) -> bytes:
    return data + b'{"timestamp": "2026-03-03T11:00:00Z", "age": [1], "country": {"a": 1}, "score": 1}\n'


BAD_FILES = [
    ("a file without a byte", LogFormat.PARQUET, lambda _: b""),
    ("half a Parquet file", LogFormat.PARQUET, truncated),
    ("half a Feather file", LogFormat.FEATHER, truncated),
    ("half a file that gzip wrote", LogFormat.JSONL, lambda data: truncated(gzip.compress(data))),
    (
        "zeros where a disk lost a Parquet file's blocks",
        LogFormat.PARQUET,
        lambda data: data[:4] + bytes(len(data) - 4),
    ),
    ("a web page in place of a Parquet file", LogFormat.PARQUET, lambda _: b"<html>404 not found</html>"),
    ("Parquet where Feather is expected", LogFormat.FEATHER, lambda _: b"PAR1" + bytes(100) + b"PAR1"),
    ("two columns of one name", LogFormat.CSV, too_many_columns),
    ("no time column", LogFormat.CSV, lambda _: b"age,country,score\n1,de,0.5\n"),
    ("times that are none", LogFormat.CSV, lambda _: b"timestamp,age,country,score\nyesterday,1,de,0.5\n"),
]


@pytest.mark.parametrize(
    ("file_format", "damage"),
    [
        pytest.param(*how, id=fault, marks=pytest.mark.fault("log", fault, "the file is named; the rest is measured"))
        for fault, *how in BAD_FILES
    ],
)
def test_a_file_that_is_not_what_it_ought_to_be(
    lab: Lab, folder: Path, file_format: LogFormat, damage: Callable[[bytes], bytes], happens: Happens
) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", file_format)
    (folder / "bad").write_bytes(damage(data))
    report = measured(lab, file_format)
    assert report.rows == ROWS
    assert {Path(one.path).name for one in report.problems} == {"bad"}
    happens(problems(report)[0])


@pytest.mark.fault("log", "a line of JSON that ends in the middle", "the line is named; all others are measured")
def test_a_line_of_json_that_ends_in_the_middle(lab: Lab, folder: Path, happens: Happens) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", LogFormat.JSONL)
    (folder / "bad").write_bytes(data[:-30] + b"\n" + data)
    report = measured(lab, LogFormat.JSONL)
    assert report.rows == 3 * ROWS - 1
    assert {Path(one.path).name for one in report.problems} == {"bad"}
    happens(problems(report)[0])


@pytest.mark.fault(
    "log", "lists and objects where there were numbers", "named; the rows are counted without these values"
)
def test_lists_where_there_were_numbers(lab: Lab, folder: Path, happens: Happens) -> None:
    data = write(predictions(NOON - HOUR), folder / "good", LogFormat.JSONL)
    (folder / "bad").write_bytes(late_list(data))
    report = measured(lab, LogFormat.JSONL)
    assert report.rows == 2 * ROWS + 1
    assert {Path(one.path).name for one in report.problems} == {"bad"}
    happens(problems(report)[0])


@pytest.mark.fault("log", "the folder away for some windows", "the last good page stays; afterwards all is measured")
def test_a_log_that_is_away(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    page = exporter._window_page
    (lab.folder / "log").rename(lab.folder / "away")
    for hour in (0, 1):
        lab.at(hour + 1)
        exporter.run_due()
    assert exporter._window_page == page
    (lab.folder / "away").rename(lab.folder / "log")
    lab.write(0, 1)
    lab.pass_hours(exporter, 2)
    happens(lab.audit(exporter))


@pytest.mark.fault("log", "a file that an exporter knows, with other bytes, size and time", "read anew")
def test_a_known_file_that_was_written_again(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.log_file(-1).write_bytes(b"PAR1")
    lab.pass_hours(exporter, 0, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault("log", "rows of the future among those of the window", "only those of the window are counted")
def test_rows_of_the_future(lab: Lab, folder: Path, happens: Happens) -> None:
    rows = pa.concat_tables([predictions(NOON - HOUR), predictions(NOON + 99 * HOUR)])
    write(rows, folder / "a", LogFormat.PARQUET)
    report = measured(lab)
    assert (report.rows, problems(report)) == (ROWS, [])
    happens("no problem")


@pytest.mark.fault("log", "an events log that is away", "named; predictions are measured, clicks are not known")
def test_an_events_log_that_is_away(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    (lab.folder / "events").rename(lab.folder / "away")
    lab.at(1)
    write_parquet(predictions(NOON), lab.log_file(0))
    exporter.run_due()
    (report,) = [exporter._results.last_report("shop")]
    assert (report.rows, len(report.events.problems)) == (ROWS, 1)
    happens("named")
