"""Rows that are delivered more than once count once: nothing looks surer than it is, and the share is reported."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from databases import Database
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, report, value, write_parquet
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlvitals.exporters.parts import FileProblem, FindingKind, RepeatedRows
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.publish.prometheus import render_window
from mlvitals.exporters.reading.ids import DistinctRows
from mlvitals.exporters.reading.scan import Chunk
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.findings import with_findings
from mlvitals.exporters.window.headline import counted_rows, headline
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import PredictionLog, Severity, Windows

LOG = PredictionLog(path="log", id="id", score="score", segments=("country",))
SHOP = replace(SPEC, prediction_log=LOG, windows=Windows(score_count=1500))
REFERENCE = build_reference(SHOP, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000), created=NOON, source_hash="")
COUNT = 2000
ROWS = log_rows(WINDOW.start, WINDOW.end, COUNT, id=pa.array(np.arange(COUNT)))


def measured(folder: Path) -> WindowReport:
    return measure_window(SHOP, folder, REFERENCE, "v1", WINDOW, NOON)


def statistics(found: WindowReport) -> WindowReport:
    """A report without what it says of repeated rows."""
    return with_findings(SHOP, replace(found, repeated=None))


def as_text(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("id")
    return table.set_column(place, "id", table["id"].cast(pa.string()))


DELIVERIES: dict[str, Callable[[Path], object]] = {
    "in one file": lambda log: write_parquet(pa.concat_tables([ROWS] * 5), log / "a.parquet"),
    "each row five times in a row": lambda log: write_parquet(
        ROWS.take(pa.array(np.repeat(np.arange(COUNT), 5))), log / "a.parquet"
    ),
    "in five files": lambda log: [write_parquet(ROWS, log / f"{place}.parquet") for place in range(5)],
    "with ids as text in some": lambda log: [
        write_parquet(as_text(ROWS) if place % 2 else ROWS, log / f"{place}.parquet") for place in range(5)
    ],
}


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_rows_delivered_five_times_say_what_they_say_once(tmp_path: Path, delivery: str):
    write_parquet(ROWS, tmp_path / "once" / "log" / "a.parquet")
    DELIVERIES[delivery](tmp_path / "five" / "log")
    once, five = measured(tmp_path / "once"), measured(tmp_path / "five")
    assert once.rows == five.rows == COUNT
    assert once.score.psi is not None
    assert statistics(five) == statistics(once)
    assert once.repeated == RepeatedRows(checked=COUNT)
    assert five.repeated == RepeatedRows(rows=4 * COUNT, checked=5 * COUNT)


def test_without_ids_every_row_counts_and_nothing_is_said(tmp_path: Path):
    write_parquet(pa.concat_tables([ROWS] * 2), tmp_path / "log" / "a.parquet")
    spec = replace(SHOP, prediction_log=replace(LOG, id=None))
    found = measure_window(spec, tmp_path, REFERENCE, "v1", WINDOW, NOON)
    assert (found.rows, found.repeated) == (2 * COUNT, None)


def test_rows_without_an_id_all_count_and_are_said_to_be_unchecked(tmp_path: Path):
    ids = pa.array([None if number % 2 else number for number in range(COUNT)])
    rows = log_rows(WINDOW.start, WINDOW.end, COUNT, id=ids)
    write_parquet(pa.concat_tables([rows] * 2), tmp_path / "log" / "a.parquet")
    found = measured(tmp_path)
    assert found.rows == COUNT // 2 + COUNT
    assert found.repeated == RepeatedRows(rows=COUNT // 2, checked=COUNT, unchecked=COUNT)


def test_rows_of_a_file_that_breaks_repeat_nothing(tmp_path: Path):
    write_parquet(ROWS, tmp_path / "log" / "b.parquet")
    whole = (tmp_path / "log" / "b.parquet").read_bytes()
    (tmp_path / "log" / "a.parquet").write_bytes(whole[:4] + bytes(2000) + whole[2004:])
    found = measured(tmp_path)
    assert (found.rows, found.repeated) == (COUNT, RepeatedRows(checked=COUNT))
    assert [problem.path for problem in found.problems] == [str(tmp_path / "log" / "a.parquet")]


def test_a_column_that_holds_no_ids_is_named_and_its_rows_count(tmp_path: Path):
    rows = log_rows(WINDOW.start, WINDOW.end, COUNT, id=pa.array(np.arange(COUNT) + 0.5))
    write_parquet(rows, tmp_path / "log" / "a.parquet")
    found = measured(tmp_path)
    assert (found.rows, found.repeated) == (COUNT, RepeatedRows(unchecked=COUNT))
    assert found.problems == (
        FileProblem(
            path=str(tmp_path / "log" / "a.parquet"),
            problem="column 'id', by which repeated rows are found, holds numbers that are not whole, such as 0.5, "
            "which are no ids",
        ),
    )


# ---------------------------------------------------------------- the rows that are left out


def chunk(ids: list[Any], path: str = "a") -> Chunk:
    return Chunk(path, len(ids), {"id": pa.array(ids, pa.int64()), "n": pa.array(range(len(ids)))}, None)


FILES = st.lists(
    st.tuples(st.lists(st.lists(st.none() | st.integers(0, 20), max_size=8), max_size=4), st.booleans()), max_size=5
)


@given(FILES)
def test_of_each_id_the_first_row_of_a_whole_file_counts(files: list[tuple[list[list[int | None]], bool]]):
    distinct = DistinctRows("id")
    seen: set[int] = set()
    rows = repeated = 0
    for chunks, broken in files:
        mine = set(seen)
        for ids in chunks:
            expected = []
            for place, one in enumerate(ids):
                if one is None or one not in mine:
                    expected.append(place)
                mine |= {one} - {None}
            assert distinct.of(chunk(ids)).columns["n"].to_pylist() == expected
            rows += 0 if broken else len([one for one in ids if one is not None])
            repeated += 0 if broken else len(ids) - len(expected)
        distinct.end_file(broken=broken)
        seen = seen if broken else mine
    assert (distinct.found.rows, distinct.found.checked) == (repeated, rows)


def test_of_more_ids_than_are_remembered_the_rest_counts_unchecked():
    distinct = DistinctRows("id", most=10)
    first = distinct.of(chunk([*range(15)]))
    again = distinct.of(chunk([*range(15)]))
    distinct.end_file(broken=False)
    assert (first.rows, again.rows) == (15, 5)
    assert distinct.found == RepeatedRows(rows=10, checked=20, unchecked=10)


def test_memory_is_a_number_for_each_id_in_few_arrays():
    distinct = DistinctRows("id")
    for place in range(200):
        distinct.of(chunk([*range(place * 100, place * 100 + 100)]))
        distinct.end_file(broken=False)
    assert sum(map(len, distinct._seen)) == 20_000
    assert len(distinct._seen) < 20


# ---------------------------------------------------------------- what is said of it


FOUND = with_findings(SHOP, report(repeated=RepeatedRows(rows=50, checked=1000)))


def test_the_share_is_a_gauge_a_finding_and_a_word_in_the_headline():
    assert value(render_window(Contract(SHOP), FOUND), "shop_window_repeated_ratio") == 0.05
    (finding,) = (item for item in FOUND.findings if item.kind == FindingKind.REPEATED_ROWS)
    assert (finding.section, finding.severity) == ("repeated", Severity.WARNING)
    assert "5.0% of the rows repeated" in [line.text for line in headline(FOUND).wrong]


def test_the_number_of_rows_left_out_is_in_the_head_of_the_report():
    assert counted_rows(FOUND) == "1,000 rows (50 repeated ones left out)"
    assert counted_rows(report()) == "1,000 rows"
    assert "50 repeated ones left out" in html_page(FOUND)


def test_without_repeated_rows_nothing_is_found():
    quiet = with_findings(SHOP, report(repeated=RepeatedRows(checked=1000)))
    assert FindingKind.REPEATED_ROWS not in {item.kind for item in quiet.findings}
    assert value(render_window(Contract(SHOP), quiet), "shop_window_repeated_ratio") == 0


def test_the_share_is_kept(database: Database):
    with closing(database.open()) as store:
        store.save(FOUND)
        assert store.last_report("shop") == FOUND
    assert database.rows("SELECT repeated_ratio FROM drift_windows") == [(0.05,)]


@pytest.mark.parametrize("text", ["nan", "None", "NULL", ""])
def test_rows_whose_id_says_that_there_is_none_are_not_repetitions_of_each_other(text: str) -> None:
    distinct = DistinctRows("id")
    chunk = Chunk("a", 4, {"id": pa.array([text, "a", text, "a"])}, None)
    kept = distinct.of(chunk)
    distinct.end_file(broken=False)
    assert kept.rows == 3
    assert distinct.misfits == {}


@pytest.mark.parametrize(
    ("columns", "problem"),
    [({}, "is missing"), ({"id": pa.nulls(4)}, "holds no id"), ({"id": pa.array(["nan"] * 4)}, "holds no id")],
    ids=["no column", "nulls", "texts that mean none"],
)
def test_a_file_without_a_single_id_says_so(columns: dict[str, pa.Array], problem: str) -> None:
    distinct = DistinctRows("id")
    assert distinct.of(Chunk("a", 4, columns, None)).rows == 4
    distinct.end_file(broken=False)
    assert distinct.misfits["a"].startswith("column 'id', by which repeated rows are found,")
    assert distinct.misfits["a"].endswith(problem)
