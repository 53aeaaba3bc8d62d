"""Quotes of CSV, doubled or escaped by backslashes: read as they were written, or named."""

import csv
import io
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlvitals.exporters.reading.files import StoredFile, Tree
from mlvitals.exporters.reading.formats import streams
from mlvitals.exporters.reading.formats.delimited import DelimitedFile
from mlvitals.exporters.reading.formats.quotes import UnescapedStream

TEXTS = st.text(st.sampled_from('ab"\\,; \n'), max_size=8)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)
Rows = list[tuple[str, str]]


def written(rows: Rows, *, escape: str | None = None, quoting: int = csv.QUOTE_ALL) -> str:
    page = io.StringIO(newline="")
    writer = csv.writer(page, quoting=quoting, doublequote=not escape, escapechar=escape, lineterminator="\n")
    writer.writerows([("one", "two"), *rows])
    return page.getvalue()


def stored(folder: Path, text: str) -> StoredFile:
    (folder / "a.csv").write_text(text, newline="")
    return next(iter(Tree(pafs.LocalFileSystem(), str(folder / "a.csv")).walk()))


def read(folder: Path, text: str) -> tuple[Rows, DelimitedFile]:
    """The rows, and the file with its problems."""
    file = DelimitedFile(stored(folder, text), "one")
    rows = [tuple(row.values()) for batch in file.batches(["one", "two"]) for row in batch.to_pylist()]
    return [(one or "", two or "") for one, two in rows], file


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_doubled_quotes_are_read_as_they_were_written(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> None:
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
        found, file = read(tmp_path_factory.mktemp("doubled"), written(rows, quoting=quoting))
        assert (found, file.malformed, file.problems) == (rows, 0, ())


PLAIN = st.text(st.sampled_from('ab"\\ '), max_size=8)
"""Texts with delimiters and line breaks next to their quotes may be read in both ways without anything odd."""


@settings(max_examples=500, deadline=None)
@given(rows=st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=6))
@example(rows=[('x"', "1"), ('y"', "2")])
@example(rows=[('Ro"me', "C:\\"), ("", '"')])
def test_escaped_quotes_are_read_as_they_were_written_or_named(
    rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found, file = read(tmp_path_factory.mktemp("escaped"), written(rows, escape="\\"))
    has_quotes = any('"' in text for row in rows for text in row)  # else nothing says what a backslash is
    assert found == rows or not has_quotes or file.malformed or file.problems


@pytest.mark.parametrize("value", ['Ro"me', '"', 'a "b", c', '\\"', 'x"\ny', '"quoted"'])
def test_escaped_quotes_are_certain_in_all_that_people_write(value: str, tmp_path: Path) -> None:
    rows = [("plain", "C:\\temp\\"), (value, "1"), ("after", "2")]
    assert read(tmp_path, written(rows, escape="\\"))[0] == rows


@given(rows=ROWS, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_escapes_may_be_cut_between_any_two_reads(
    rows: Rows, sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with UnescapedStream(stored(folder, written(rows, escape="\\")), ",") as stream:
        parts = []
        while part := stream.read(sizes[len(parts) % len(sizes)]):
            parts.append(part)
    assert b"".join(parts).decode() == written(rows)


def test_a_quote_that_comes_late_is_escaped_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SMALLEST_BLOCK", 1 << 12)
    rows = [*[("a", "C:\\x")] * 3000, ('Ro"me', "x"), ("b", "y")]
    text = written(rows, escape="\\", quoting=csv.QUOTE_MINIMAL).replace('Ro\\"me', '"Ro\\"me"').replace("\\\\", "\\")
    assert read(tmp_path, text)[0] == rows


def test_quotes_that_are_neither_are_named_with_their_line(tmp_path: Path) -> None:
    _, file = read(tmp_path, 'one,two\na,b\n"a "quoted" word",c\n')
    assert [problem.partition(" holds")[0] for problem in file.problems] == ["a quoted value in line 3"]


def test_a_quote_within_a_value_that_no_quote_opened_is_a_character(tmp_path: Path) -> None:
    found, file = read(tmp_path, 'one,two\n5" pipe,6\\" pipe\n"C:\\",x\n')
    assert (found, file.problems) == ([('5" pipe', '6\\" pipe'), ("C:\\", "x")], ())


def test_the_line_of_a_row_is_known_before_the_quotes_are(tmp_path: Path) -> None:
    file = DelimitedFile(stored(tmp_path, 'one,two\na,b\n"Ro\\"me",c\n'), "one")
    assert file.line_of(0) == 2


def test_the_line_of_a_row_below_escaped_quotes_is_its_own(tmp_path: Path) -> None:
    _, file = read(tmp_path, written([('a\n"b"', "1"), ("c", "2")], escape="\\"))
    assert [file.line_of(row) for row in (0, 1)] == [2, 4]
