"""Files that are odd, damaged or something else: read, or named in one line; and nothing else is lost with them."""

import gzip
import json
import os
import pickle
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from exporter_samples import SPEC, WINDOW, log_rows

from mlvitals.exporters.parts import FileProblem
from mlvitals.exporters.reading.formats import json_lines, streams
from mlvitals.exporters.reading.log import Log
from mlvitals.exporters.reading.scan import BrokenFileError, Chunk, format_of
from mlvitals.exporters.training.build import ReferenceDataError
from mlvitals.exporters.training.data import build_from_files
from mlvitals.exporters.training.first_look import first_look
from mlvitals.generator.spec.model import FeatureType, LogFormat, PredictionLog

COLUMNS = {
    "age": FeatureType.INTEGER,
    "country": FeatureType.CATEGORICAL,
    "price": FeatureType.FLOAT,
    "active": FeatureType.BOOLEAN,
    "seen": FeatureType.TIMESTAMP,
}
AT = "2026-03-03T11:30:00Z"
HEADER = "timestamp,age,country,price,active,seen"
LINE = f"{AT},41,de,0.5,true,2026-03-01"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand lines are several blocks."""
    monkeypatch.setattr(streams, "SMALLEST_BLOCK", 1 << 16)
    monkeypatch.setattr(json_lines, "_LOOK", 1 << 15)


def read(folder: Path, file_format: LogFormat, **log: Any) -> tuple[list[Chunk], list[str]]:
    """What all files hold of the window, and what is said of them."""
    chunks: list[Chunk] = []
    problems: list[FileProblem] = []
    for file in Log(PredictionLog(path="log", format=file_format, **log), folder).files(WINDOW):
        try:
            chunks += list(file.chunks(COLUMNS))
        except BrokenFileError as error:
            problems.append(FileProblem(path=file.path, problem=str(error)))
        problems += (*file.problems, *file.remarks)
    return chunks, [f"{Path(problem.path).name}: {problem.problem}" for problem in problems]


def values(chunks: list[Chunk], column: str) -> list[object]:
    return [found for chunk in chunks for found in chunk.columns[column].to_pylist()]


def write(folder: Path, content: bytes | str, name: str = "b.csv") -> None:
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def good(folder: Path, rows: int = 3) -> None:
    write(folder, "\n".join([HEADER, *[LINE] * rows]) + "\n", "a.csv")


# ---------------------------------------------------------------- bytes that are something else


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(log_rows(WINDOW.start, WINDOW.end, 100), sink)
    return sink.getvalue().to_pybytes()


def feather_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pa_feather.write_feather(log_rows(WINDOW.start, WINDOW.end, 100), sink)
    return sink.getvalue().to_pybytes()


FOREIGN = [
    (parquet_bytes(), "is no text; it looks like a Parquet file"),
    (gzip.compress(parquet_bytes()), "is no text; it looks like a Parquet file"),
    (feather_bytes(), "is no text; it looks like a Feather or Arrow file"),
    (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)), "is no text; it looks like a ZIP archive or an Excel workbook"),
    (b"SQLite format 3\0" + bytes(1000), "is no text; it looks like a SQLite database"),
    (random.Random(0).randbytes(100_000), "is no text; it looks like binary data"),
    (bytes(5000), "is no text; it looks like binary data"),
    (
        gzip.compress(f"{HEADER}\n{LINE}\n".encode() * 5000)[:200],
        "cannot be unpacked as gzip: Truncated compressed stream",
    ),
]


@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
@pytest.mark.parametrize(("content", "told"), FOREIGN, ids=[f"{place}" for place in range(len(FOREIGN))])
def test_what_is_no_text_is_one_line_that_says_what_it_looks_like(
    content: bytes, told: str, file_format: LogFormat, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, content, "b")
    chunks, problems = read(tmp_path, file_format)
    assert (chunks, problems) == ([], [f"b: {told}"])
    assert capfd.readouterr() == ("", "")
    for use in (
        lambda: first_look(["log"], tmp_path, file_format=file_format),
        lambda: build_from_files(SPEC, tmp_path, ["log"], datetime.now(UTC), file_format=file_format),
    ):
        with pytest.raises(ReferenceDataError, match=told):
            use()


@pytest.mark.parametrize(
    ("content", "file_format", "told"),
    [
        (b"\x80\x04" + pickle.dumps([1] * 50), LogFormat.PARQUET, "it looks like a Python pickle"),
        (
            f"{HEADER}\n{LINE}\n".encode(),
            LogFormat.PARQUET,
            "it looks like text: is its format (--format) csv or jsonl?",
        ),
        (
            f"{HEADER}\n{LINE}\n".encode(),
            LogFormat.FEATHER,
            "it looks like text: is its format (--format) csv or jsonl?",
        ),
        (gzip.compress(parquet_bytes()), LogFormat.PARQUET, "it looks like a file compressed with gzip"),
        (feather_bytes(), LogFormat.PARQUET, "it looks like a Feather or Arrow file"),
        (parquet_bytes(), LogFormat.FEATHER, "it looks like a Parquet file"),
        (
            b"FEA1" + bytes(100) + b"FEA1",
            LogFormat.FEATHER,
            "it looks like a Feather file of version 1, which is not read: write it",
        ),
    ],
)
def test_a_file_of_columns_that_is_another_says_what_it_looks_like(
    content: bytes, file_format: LogFormat, told: str, tmp_path: Path
) -> None:
    write(tmp_path, content)
    chunks, (problem,) = read(tmp_path, file_format)
    assert chunks == []
    assert f"; {told}" in problem


def test_a_gzip_file_may_be_padded_with_zeros(tmp_path: Path) -> None:
    packed = gzip.compress(f"{HEADER}\n{LINE}\n".encode() * 1)
    write(tmp_path, packed + bytes(10_000))
    write(tmp_path, packed + gzip.compress(b""), "c.csv")
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (values(chunks, "age"), problems) == ([41, 41], [])


def test_a_foreign_file_does_not_cost_the_others(tmp_path: Path) -> None:
    good(tmp_path)
    write(tmp_path, parquet_bytes())
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert values(chunks, "age") == [41, 41, 41]
    assert problems == ["b.csv: is no text; it looks like a Parquet file"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859-5", "shift-jis"])
def test_text_in_another_encoding_keeps_its_rows_and_is_named(encoding: str, tmp_path: Path) -> None:
    word = {"iso8859-5": "Москва", "shift-jis": "東京"}.get(encoding, "Köln")
    write(tmp_path, "\n".join([HEADER, *[LINE] * 20, LINE.replace("de", word)]).encode(encoding))
    chunks, (problem,) = read(tmp_path, LogFormat.CSV)
    assert len(values(chunks, "country")) == 21
    assert "not UTF-8" in problem
    assert "the first in line 22; save the file as UTF-8" in problem


def test_a_malformed_line_in_another_encoding_is_counted_without_noise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "\n".join([HEADER, LINE, f"{LINE},Köln", LINE]).encode("latin-1"))
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert len(values(chunks, "age")) == 2
    assert problems[0] == "b.csv: lines left out for too few or too many values: 1"
    assert capfd.readouterr() == ("", "")


def test_a_character_that_is_cut_between_two_blocks_is_whole(tmp_path: Path, small_blocks: None) -> None:
    for pad in range(4):
        lines = [HEADER, LINE.replace("de", "x" * (1 << 16) + "y" * pad), *[LINE.replace("de", "ü" * 50)] * 2_000]
        write(tmp_path, "\n".join(lines))
        chunks, problems = read(tmp_path, LogFormat.CSV)
        assert problems == []
        assert set(values(chunks, "country")[1:]) == {"ü" * 50}


def test_a_file_whose_name_is_not_utf_8_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    good(tmp_path)
    (tmp_path / "log" / "a.csv").rename(os.fsdecode(os.fsencode(tmp_path / "log") + b"/b\xff.csv"))
    good(tmp_path)
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (len(values(chunks, "age")), problems) == (3, ["b\\xff.csv: has a name that is not UTF-8: rename it"])
    for use in (
        lambda: first_look(["log"], tmp_path),
        lambda: build_from_files(SPEC, tmp_path, ["log"], datetime.now(UTC)),
    ):
        with pytest.raises(ReferenceDataError, match="has a name that is not UTF-8: rename it"):
            use()


# ---------------------------------------------------------------- headers


def test_a_file_without_the_time_column_says_how_its_header_was_read(tmp_path: Path) -> None:
    write(tmp_path, "when;age\n1;2\n")
    _, problems = read(tmp_path, LogFormat.CSV)
    told = "has no time column 'timestamp'; its rows belong to no window; as columns were read: 'when', 'age'"
    assert problems == [f"b.csv: {told}"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_the_one_that_leaves_the_time_column_whole(delimiter: str, tmp_path: Path) -> None:
    header = ["timestamp", "age", "a,b,c,d,e,f,g,h,i"]
    write(tmp_path, "\n".join([delimiter.join(header), delimiter.join([AT, "7", "x,y"])]))
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (values(chunks, "age"), problems) == ([7], [])


@pytest.mark.parametrize("content", ["", "\n", "\n\n\n", HEADER, f"{HEADER}\n"])
@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
def test_a_part_without_rows_is_no_problem(content: str, file_format: LogFormat, tmp_path: Path) -> None:
    if file_format is LogFormat.JSONL and content.strip():
        return
    write(tmp_path, content)
    assert read(tmp_path, file_format) == ([], [])


def test_empty_parts_of_training_data_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    pq.write_table(log_rows(WINDOW.start, WINDOW.end, 1000), tmp_path / "train" / "a.parquet")
    for name in ("_0", "b.parquet", "c.parquet"):
        (tmp_path / "train" / name).touch()
    for use in (
        lambda remark: first_look(["train"], tmp_path, remark=remark),
        lambda remark: build_from_files(SPEC, tmp_path, ["train"], datetime.now(UTC), remark=remark),
    ):
        told: list[str] = []
        use(told.append)
        assert told == ["empty files, left out: 2"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train.csv.gz", LogFormat.CSV),
        ("train.CSV", LogFormat.CSV),
        ("train.tsv", LogFormat.CSV),
        ("train.json", LogFormat.JSONL),
        ("train.jsonl.gz", LogFormat.JSONL),
        ("train.ndjson.zst", LogFormat.JSONL),
        ("train.arrow", LogFormat.FEATHER),
        ("train.feather", LogFormat.FEATHER),
        ("train.pq", LogFormat.PARQUET),
        ("part-0.snappy.parquet", LogFormat.PARQUET),
        ("part-0000", None),
        ("v1.5", None),
    ],
)
def test_a_name_tells_the_format_also_before_that_of_a_compression(name: str, found: LogFormat | None) -> None:
    assert format_of(f"some.folder/{name}") is found


# ---------------------------------------------------------------- blocks


@pytest.mark.parametrize("size", [1, 5_000_000])
def test_a_quoted_value_may_be_long_and_hold_line_breaks(size: int, tmp_path: Path) -> None:
    note = '"' + ('two\nlines, and a quote: ""\n' * (size // 26 + 1)) + '"'
    header = f"{HEADER},note"
    write(tmp_path, "\n".join([header, f"{LINE},short", f"{LINE},{note}", *[f'{LINE},"a\nb"'] * 1000]))
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert problems == []
    assert len(values(chunks, "age")) == 1002


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SMALLEST_BLOCK", 1 << 20)
    monkeypatch.setattr(streams, "LARGEST_BLOCK", 1 << 20)
    write(tmp_path, "\n".join([HEADER, LINE, LINE.replace("de", '"de'), *[LINE] * 50_000]))
    _, problems = read(tmp_path, LogFormat.CSV)
    assert problems == ["b.csv: holds a line or a value longer than 1 MB: is a quote not closed?"]


@pytest.mark.parametrize("column", ["country", "note"])
def test_a_quote_that_is_not_closed_in_a_small_file_is_named_with_its_line(column: str, tmp_path: Path) -> None:
    row = f"{LINE},short"
    open_row = row.replace("short", '"short') if column == "note" else row.replace("de", '"de')
    write(tmp_path, "\n".join([f"{HEADER},note", row, open_row, row, row]))
    _, problems = read(tmp_path, LogFormat.CSV)
    assert "b.csv: a quote in line 3 is not closed: all lines after it are read as one value" in problems


def test_a_quote_within_a_value_is_none_that_opens_one(tmp_path: Path) -> None:
    write(tmp_path, "\n".join([HEADER, LINE.replace("de", 'a 5" pipe'), LINE]))
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (values(chunks, "country"), problems) == (['a 5" pipe', "de"], [])


def test_objects_without_the_time_are_named(tmp_path: Path) -> None:
    write(tmp_path, "{}\n{}\n", "a.jsonl")
    told = "has no time column 'timestamp'; its rows belong to no window; as columns were read: none"
    assert read(tmp_path, LogFormat.JSONL) == ([], [f"a.jsonl: {told}"])


def objects(count: int, **more: Any) -> list[str]:
    return [json.dumps({"timestamp": AT, "age": 1, "country": "de", **more})] * count


@pytest.mark.parametrize("size", [2_500_000, 5_000_000])
def test_a_line_of_json_may_be_long(size: int, tmp_path: Path) -> None:
    write(tmp_path, "\n".join([*objects(5), *objects(1, note="x" * size), *objects(5)]), "a.jsonl")
    chunks, problems = read(tmp_path, LogFormat.JSONL)
    assert (len(values(chunks, "age")), problems) == (11, [])


@pytest.mark.parametrize("key", ["price", "active", "seen", "country"])
def test_a_key_that_comes_late_is_there(key: str, tmp_path: Path) -> None:
    late = {"price": 0.5, "active": True, "seen": "2026-03-01", "country": "fr"}[key]
    line = json.dumps({"timestamp": AT, "age": 1, "pad": "x" * 100})
    write(tmp_path, "\n".join([*[line] * 12_000, json.dumps({"timestamp": AT, "age": 1, key: late})]), "a.jsonl")
    chunks, problems = read(tmp_path, LogFormat.JSONL)
    assert problems == []
    found = values(chunks, key)
    assert len(found) == 12_001
    assert found[:12_000] == [None] * 12_000
    assert found[-1] == (datetime(2026, 3, 1, tzinfo=UTC) if key == "seen" else late)
    assert all(key not in chunk.missing for chunk in chunks)


def test_a_key_that_is_only_a_value_is_missing_all_the_same(tmp_path: Path) -> None:
    line = json.dumps({"timestamp": AT, "age": 1, "pad": "price"})
    write(tmp_path, line, "a.jsonl")
    chunks, _ = read(tmp_path, LogFormat.JSONL)
    assert "price" in chunks[0].missing


@pytest.mark.usefixtures("small_blocks")
def test_training_data_are_not_read_object_by_object_for_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = json.dumps({"timestamp": AT, "pad": "late", "quoted": '"late": 1'})
    write(tmp_path, "\n".join([*[plain] * 3000, json.dumps({"timestamp": AT, "age": 1})]), "a.jsonl")
    monkeypatch.setattr(json_lines.JsonLinesFile, "_objects", lambda *_: pytest.fail("every object was parsed"))
    (part,) = Log(PredictionLog(path="log", format=LogFormat.JSONL), tmp_path).files(None)
    assert part.present(frozenset({"timestamp", "age", "late"})) == {"timestamp", "age"}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_one_line_of_json_is_one_row(end: str, tmp_path: Path) -> None:
    write(tmp_path, objects(1)[0] + end, "a.jsonl")
    assert values(read(tmp_path, LogFormat.JSONL)[0], "age") == [1]


def test_a_json_array_is_named_with_its_remedy(tmp_path: Path) -> None:
    write(tmp_path, f"[{','.join(objects(3))}]", "a.json")
    _, (problem,) = read(tmp_path, LogFormat.JSONL)
    assert (
        problem == "a.json: holds a JSON array; write one object a line (pandas: to_json(orient='records', lines=True))"
    )


@pytest.mark.parametrize(
    "line",
    [
        "{'age': 1}",
        '{"age": 1',
        '{"age":',
        "null",
        "5",
        "[1]",
        "\0\0\0",
        '{"age": 1,}',
        "x" * 100_000,
        '{"a": tru}',
        "{",
    ],
)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("before", [3, 3000], ids=["soon", "after some blocks"])
def test_a_line_that_is_no_json_object_costs_itself(line: str, before: int, tmp_path: Path) -> None:
    write(tmp_path, "\n".join([*objects(before), line, *objects(4)]), "a.jsonl")
    chunks, (problem,) = read(tmp_path, LogFormat.JSONL)
    assert values(chunks, "age") == [1] * (before + 4)
    assert problem.startswith("a.jsonl: lines that are no JSON objects, left out: 1, the first of them line ")
    assert f"line {before + 1}: " in problem


def test_the_rest_of_a_line_that_is_cut_costs_itself(tmp_path: Path) -> None:
    write(tmp_path, "\n".join([*objects(3), objects(1)[0] + objects(1)[0][:-3]]), "a.jsonl")
    chunks, (problem,) = read(tmp_path, LogFormat.JSONL)
    assert len(values(chunks, "age")) == 4
    assert "left out: 1, the first of them line 4: " in problem


@pytest.mark.parametrize("between", [",\n", ", ", "\n\ufeff", "\x1e\n"])
def test_objects_that_are_put_together_in_odd_ways_are_read(between: str, tmp_path: Path) -> None:
    write(tmp_path, between.join(objects(9)) + ("," if "," in between else ""), "a.jsonl")
    chunks, problems = read(tmp_path, LogFormat.JSONL)
    assert (len(values(chunks, "age")), problems) == (9, [])


def test_a_declared_delimiter_that_is_no_ascii_is_named(tmp_path: Path) -> None:
    write(tmp_path, f"sep=§\n{HEADER}\n{LINE}\n")
    assert read(tmp_path, LogFormat.CSV)[1] == ["b.csv: declares the delimiter '§', which is no ASCII character"]


@pytest.mark.parametrize("content", [HEADER, "\n".join(["{"] * 5000), '{\n"age":\n\n}\n{\n"age": 1\n'])
def test_what_is_mostly_no_json_is_unreadable(content: str, tmp_path: Path) -> None:
    write(tmp_path, content, "a.jsonl")
    chunks, (problem,) = read(tmp_path, LogFormat.JSONL)
    assert chunks == []
    assert problem.startswith("a.jsonl: cannot be read as JSON lines, an object in each line: line 1: ")


@pytest.mark.parametrize("content", ["null", "null\n", "5\n", '"a"\n', "true", "{}\nnull\n"])
def test_json_that_is_no_object_is_named_with_its_line(content: str, tmp_path: Path) -> None:
    """Of a block of nothing but null Arrow's reader dies."""
    write(tmp_path, content, "a.jsonl")
    line = content.strip().count("\n") + 1
    told = f"a.jsonl: cannot be read as JSON lines, an object in each line: line {line}: it is JSON, and no object"
    assert read(tmp_path, LogFormat.JSONL) == ([], [told])


def test_half_a_character_costs_itself(tmp_path: Path) -> None:
    write(tmp_path, "\n".join([*objects(3), objects(1)[0].replace("de", "\\ud800")]), "a.jsonl")
    chunks, _ = read(tmp_path, LogFormat.JSONL)
    assert values(chunks, "country") == ["de", "de", "de", "?"]


# ---------------------------------------------------------------- single values

BAD = {"age": "n/a", "price": "1,5", "active": "maybe", "seen": "soon"}


def as_csv(rows: list[dict[str, str]]) -> str:
    return "\n".join([",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)])


def as_json(rows: list[dict[str, str]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def as_mixed_json(rows: list[dict[str, str]]) -> str:
    """Numbers and booleans as such, where they are any."""

    def typed(row: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = dict(row)
        for name, kind in (("age", int), ("price", float), ("active", json.loads)):
            if row[name] != BAD[name]:
                found[name] = kind(row[name])
        return found

    return "\n".join(json.dumps(typed(row)) for row in rows)


@pytest.mark.parametrize("column", BAD)
@pytest.mark.parametrize(
    ("written", "file_format", "above"),
    [(as_csv, LogFormat.CSV, 1), (as_json, LogFormat.JSONL, 0), (as_mixed_json, LogFormat.JSONL, 0)],
)
def test_one_bad_value_costs_itself_wherever_it_stands(
    column: str,
    written: Callable[[list[dict[str, str]]], str],
    file_format: LogFormat,
    above: int,
    tmp_path: Path,
    small_blocks: None,
) -> None:
    sound = dict(zip(HEADER.split(","), LINE.split(","), strict=True))
    for place in (0, 2_999):
        rows = [dict(sound) for _ in range(3_000)]
        rows[place][column] = BAD[column]
        write(tmp_path, written(rows), "a")
        chunks, problems = read(tmp_path, file_format)
        found = values(chunks, column)
        assert [row for row, value in enumerate(found) if value is None] == [place]
        assert len(found) == 3_000
        told = (
            f"values that cannot be read, counted as missing: 1, the first {BAD[column]!r} in line {place + 1 + above}"
        )
        assert problems == [f"a: column {column!r}: {told}"]


def test_the_line_of_a_bad_value_is_its_own_below_quoted_line_breaks_and_malformed_lines(tmp_path: Path) -> None:
    lines = [
        f"{HEADER},note",
        f'{LINE},"a\nb\nc"',
        f"{LINE},",
        "",
        f"{LINE},,,,",
        f"{LINE.replace('41', 'old')},",
        *[f"{LINE},"] * 9,
    ]
    write(tmp_path, "\n".join(lines))
    _, problems = read(tmp_path, LogFormat.CSV)
    assert problems[-1].endswith("1, the first 'old' in line 8")


@pytest.mark.parametrize("file_format", [LogFormat.CSV, LogFormat.JSONL])
def test_a_time_that_cannot_be_read_costs_its_row(file_format: LogFormat, tmp_path: Path) -> None:
    rows = [{"timestamp": AT, "age": str(age)} for age in range(2000)]
    for place, bad in ((7, "n/a"), (8, "2026-02-30T00:00:00Z"), (9, "yesterday"), (10, "")):
        rows[place]["timestamp"] = bad
    write(tmp_path, (as_csv if file_format is LogFormat.CSV else as_json)(rows), "a")
    chunks, (problem,) = read(tmp_path, file_format)
    assert values(chunks, "age") == [age for age in range(2000) if age not in (7, 8, 9, 10)]
    line = 9 if file_format is LogFormat.CSV else 8
    told = "rows without a time, which belong to no window: 4; times that cannot be read: 3, the first 'n/a' in line"
    assert problem == f"a: {told} {line}"


def test_a_column_that_is_mostly_unreadable_is_of_another_type(tmp_path: Path) -> None:
    lines = [LINE.replace("41", "old" if place % 2 else "41") for place in range(100)]
    write(tmp_path, "\n".join([HEADER, *lines]))
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert problems == []
    assert pa.types.is_string(chunks[0].columns["age"].type)


# ---------------------------------------------------------------- the same faults, elsewhere in the file


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("line", ["null", " null", "\t null", "null "])
@pytest.mark.parametrize("before", [0, 1, 3, 8])
def test_a_line_that_is_null_is_left_out_wherever_it_is_cut(tmp_path: Path, line: str, before: int):
    (tmp_path / "log").mkdir()
    first = json.dumps({"timestamp": AT, "age": 41})
    filler = " " * ((1 << 16) - before - len(first) - 1)  # the line break is so far before the end of a block
    (tmp_path / "log" / "a.jsonl").write_text(f"{first}{filler}\n{line}\n{first}\n")
    chunks, problems = read(tmp_path, LogFormat.JSONL)
    assert values(chunks, "age") == [41, 41]
    assert problems == [
        "a.jsonl: lines that are no JSON objects, left out: 1, the first of them line 2: it is JSON, and no object"
    ]


@pytest.mark.parametrize("head", ["sep=;\n\n", "\nsep=;\n", "\n\nsep=; \n\n", "sep=;\r\n"])
def test_a_declared_delimiter_may_have_empty_lines_around_it(tmp_path: Path, head: str):
    (tmp_path / "log").mkdir()
    text = head + HEADER.replace(",", ";") + "\n" + (LINE.replace(",", ";") + "\n") * 5
    (tmp_path / "log" / "a.csv").write_bytes(text.encode())
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (values(chunks, "age"), problems) == ([41] * 5, [])


def test_a_tab_may_be_declared(tmp_path: Path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.csv").write_text(
        "sep=\t\n" + HEADER.replace(",", "\t") + "\n" + LINE.replace(",", "\t") + "\n"
    )
    chunks, problems = read(tmp_path, LogFormat.CSV)
    assert (values(chunks, "age"), problems) == ([41], [])


@pytest.mark.parametrize("swallowed", [3, 30_000])
@pytest.mark.parametrize("odd", ["", '"a"b'])
def test_a_quote_that_nothing_closes_is_named_however_much_follows_it(tmp_path: Path, swallowed: int, odd: str):
    (tmp_path / "log").mkdir()
    before = LINE.replace("de", f"{odd}de")
    opening = LINE.replace("de", '"de')
    text = "\n".join([HEADER, before, opening, *[LINE] * swallowed]) + "\n"
    (tmp_path / "log" / "a.csv").write_text(text)
    _, problems = read(tmp_path, LogFormat.CSV)
    assert "a.csv: a quote in line 3 is not closed: all lines after it are read as one value" in problems


def test_numbers_with_a_comma_may_be_padded_as_those_with_a_point(tmp_path: Path):
    (tmp_path / "log").mkdir()
    row = LINE.replace(",", ";")
    rows = [row.replace("0.5", number) for number in (" 1,5", "1,5 ", "1,", ",5", "15")]
    (tmp_path / "log" / "a.csv").write_text("\n".join([HEADER.replace(",", ";"), *rows]) + "\n")
    chunks, problems = read(tmp_path, LogFormat.CSV, decimal=",")
    assert (values(chunks, "price"), problems) == ([1.5, 1.5, 1.0, 0.5, 15.0], [])
