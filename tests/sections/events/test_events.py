"""What is counted of an events log, and what is left out and told."""

from collections.abc import Iterable
from datetime import timedelta, timezone
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
import sqlalchemy
from event_samples import HOUR, MINUTE, NOON, SPEC, TEXT, events, table, window, write, write_table

from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.events.measure import measure_events
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import LogFormat, Spec

AT = NOON - 10 * MINUTE


def measured(folder: Path, spec: Spec = SPEC, end=NOON) -> EventsReport:
    return measure_events(spec, folder, window(end))


def amounts(found: EventsReport) -> dict[str, float]:
    return {name: event.amount for name, event in found.events.items()}


def with_log(**changes: object) -> Spec:
    log = msgspec.structs.replace(SPEC.business.events_log, **changes)
    return msgspec.structs.replace(SPEC, business=msgspec.structs.replace(SPEC.business, events_log=log))


# ---------------------------------------------------------------- counting


def test_rows_are_counted_amounts_added_up_and_distinct_values_told_apart(tmp_path: Path):
    shown = [*events("impression", AT, 30, item="a"), *events("impression", AT, 10, item="b")]
    listed = [row for item in "abcd" for row in events("listing", AT, item=item)]
    bought = [*events("purchase", AT, 2, euros=9.99), *events("purchase", AT, euros=0.02)]
    write(tmp_path, shown, listed, bought, events("click", AT, 5))
    found = measured(tmp_path)
    expected = {"impressions": 40, "clicks": 5, "revenue": 20, "shown_items": 2, "listed_items": 4}
    assert amounts(found) == pytest.approx(expected)
    assert found.kpis == pytest.approx({"click_through_rate": 0.125, "revenue_per_click": 4, "coverage": 0.5})
    assert (found.rows, found.rejected, found.problems) == (52, {}, ())


def test_overlapping_windows_count_every_event_once(tmp_path: Path):
    write(tmp_path, *(events("click", NOON - 10 * MINUTE * tenth) for tenth in range(1, 37)))
    ends = [NOON - 2 * HOUR, NOON - HOUR, NOON, NOON + HOUR]
    found = [measured(tmp_path, end=end) for end in ends]
    assert [report.events["clicks"].amount for report in found] == [12 - 6, 12 - 6, 12 - 6, 0]
    assert [report.step.end for report in found] == ends


def test_a_step_includes_its_begin_and_excludes_its_end(tmp_path: Path):
    write(tmp_path, events("click", NOON - HOUR), events("click", NOON, 10))
    assert measured(tmp_path).events["clicks"].amount == 1


def test_distinct_values_are_those_of_the_whole_window(tmp_path: Path):
    write(tmp_path, events("impression", NOON - 90 * MINUTE, item="early"), events("impression", AT, item="late"))
    found = measured(tmp_path)
    assert found.events["shown_items"].amount == 2
    assert found.events["impressions"].amount == 1


def test_many_files_and_batches_add_up(tmp_path: Path):
    for part in range(3):
        rows = [events("impression", AT, 60_000, item=f"item {part}"), events("purchase", AT, 3, euros=0.1)]
        write(tmp_path, *rows, name=f"{part}.parquet")
    found = measured(tmp_path)
    assert amounts(found) | {"listed_items": 0} == pytest.approx(
        {"impressions": 180_000, "clicks": 0, "revenue": 0.9, "shown_items": 3, "listed_items": 0}
    )


def test_events_that_come_late_are_counted_by_the_delay_of_the_log(tmp_path: Path):
    write(tmp_path, events("click", NOON - 6 * HOUR - MINUTE, 3), events("click", AT, 50))
    found = measured(tmp_path, with_log(delay="6h"))
    assert found.step == Window(NOON - 7 * HOUR, NOON - 6 * HOUR)
    assert found.events["clicks"].amount == 3


def test_an_event_may_have_a_column_of_amounts_of_its_own(tmp_path: Path):
    spec = parse_spec(TEXT.replace("unit: euros}", "unit: seconds, amount: lasted}"))
    write_table(tmp_path, table(events("purchase", AT, 2, euros=1), lasted=[30, 12]))
    assert measured(tmp_path, spec).events["revenue"].amount == 42


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_formats_are_read_too(suffix: str, tmp_path: Path):
    rows = [(f"2026-03-03T11:50:0{second}Z", "purchase", 1.5) for second in range(4)]
    lines = {
        "csv": ["at,kind,euros,item", *(f"{at},{kind},{euros}," for at, kind, euros in rows)],
        "jsonl": [f'{{"at": "{at}", "kind": "{kind}", "euros": {euros}}}' for at, kind, euros in rows],
    }
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / f"a.{suffix}").write_text("\n".join(lines[suffix]) + "\n")
    assert measured(tmp_path, with_log(format=LogFormat(suffix))).events["revenue"].amount == 6


def test_a_table_of_a_database_is_read_too(tmp_path: Path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE happened (at TEXT, kind TEXT, euros REAL, item TEXT)"))
        connection.execute(sqlalchemy.text("INSERT INTO happened VALUES ('2026-03-03 11:50:00', 'purchase', 7, 'a')"))
    engine.dispose()
    spec = with_log(format=LogFormat.SQL, path="sqlite:///shop.db", table="happened")
    assert measured(tmp_path, spec).events["revenue"].amount == 7


# ---------------------------------------------------------------- bad input


def test_a_log_that_is_missing_is_told_and_nothing_is_counted(tmp_path: Path):
    found = measured(tmp_path)
    assert found.events == found.kpis == {}
    assert "business.events_log.path events does not exist" in found.problems[0].problem


def test_a_table_that_is_missing_is_told_and_nothing_is_counted(tmp_path: Path):
    sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}").connect().close()
    found = measured(tmp_path, with_log(format=LogFormat.SQL, path="sqlite:///shop.db", table="happened"))
    assert found.events == {}
    assert "happened" in found.problems[0].problem


def test_an_empty_log_counts_nothing_and_has_no_rate(tmp_path: Path):
    write_table(tmp_path, table(events("click", AT)).slice(0, 0))
    found = measured(tmp_path)
    assert set(amounts(found).values()) == {0}
    assert found.kpis == {}
    assert found.problems == ()


def test_a_rate_without_a_denominator_is_absent(tmp_path: Path):
    write(tmp_path, events("click", AT, 7))
    assert "click_through_rate" not in measured(tmp_path).kpis


def test_a_file_that_is_half_written_is_told_and_the_others_count(tmp_path: Path):
    write(tmp_path, events("click", AT, 3))
    write(tmp_path, events("click", AT, 500), name="b.parquet")
    half = tmp_path / "events" / "b.parquet"
    half.write_bytes(half.read_bytes()[:-100])
    found = measured(tmp_path)
    assert found.events["clicks"].amount == 3
    assert [Path(problem.path).name for problem in found.problems] == ["b.parquet"]


def test_where_no_file_can_be_read_nothing_is_counted(tmp_path: Path):
    write(tmp_path, events("click", AT, 3))
    (tmp_path / "events" / "a.parquet").write_bytes(b"PAR1")
    assert measured(tmp_path).events == {}


def test_a_step_whose_only_file_cannot_be_read_is_not_zero_because_other_hours_can(tmp_path: Path):
    write(tmp_path, events("impression", NOON - 5 * HOUR, 40, item="a"))
    write(tmp_path, events("impression", AT, 40, item="a"), name="b.parquet")
    (tmp_path / "events" / "b.parquet").write_bytes(b"PAR1")
    found = measured(tmp_path)
    assert found.rows == 0
    assert found.events == {}


def test_distinct_values_are_told_where_only_the_window_before_the_step_could_be_read(tmp_path: Path):
    write(tmp_path, events("impression", NOON - 90 * MINUTE, 40, item="a"))
    write(tmp_path, events("impression", AT, 40, item="b"), name="b.parquet")
    (tmp_path / "events" / "b.parquet").write_bytes(b"PAR1")
    assert amounts(measured(tmp_path)) == {"shown_items": 1, "listed_items": 0}


def test_a_name_that_is_a_whole_text_is_told_by_its_beginning(tmp_path: Path):
    write(tmp_path, events("x" * 100_000, AT, 2), events("x" * 99_000, AT), events("", AT))
    assert measured(tmp_path).unknown_names == {"x" * 80: 3, "": 1}


def test_unknown_and_missing_names_of_events_are_counted_and_told(tmp_path: Path):
    odd = [row for number in range(9) for row in events(f"odd {number}", AT, number + 1)]
    write(tmp_path, odd, events(None, AT, 2), events("click", AT))
    found = measured(tmp_path)
    assert found.events["clicks"].amount == 1
    assert found.rejected == {"unknown_event": 45, "unnamed_event": 2}
    assert found.unknown_names == {"odd 8": 9, "odd 7": 8, "odd 6": 7, "odd 5": 6, "odd 4": 5}


def test_amounts_that_are_none_are_counted_apart_and_left_out(tmp_path: Path):
    wrong = [None, float("nan"), -5.0, float("inf"), float("-inf"), 1e9]
    write(tmp_path, *(events("purchase", AT, euros=amount) for amount in [*wrong, 10.0]))
    found = measured(tmp_path)
    assert found.events["revenue"].amount == 10
    told = {"null_amount": 2, "negative_amount": 1, "infinite_amount": 2, "too_large_amount": 1}
    assert found.events["revenue"].rejected == found.rejected == told


def test_amounts_of_the_wrong_type_are_told_and_spare_what_is_counted_by_rows(tmp_path: Path):
    rows = [*events("purchase", AT, 2, euros=1), *events("click", AT, 4)]
    write_table(tmp_path, table(rows).set_column(2, "euros", pa.array(["1 EUR"] * 6)))
    found = measured(tmp_path)
    assert found.events["clicks"].amount == 4
    assert "revenue" not in found.events
    assert [problem.problem for problem in found.problems] == [
        "column 'euros' holds string values such as '1 EUR'; expected numbers"
    ]


def csv(folder: Path, amounts: Iterable[str]) -> None:
    lines = [f"{AT:%Y-%m-%dT%H:%M:%SZ},{kind},{amount}" for amount in amounts for kind in ("purchase", "click")]
    (folder / "events").mkdir()
    (folder / "events" / "a.csv").write_text("\n".join(["at,kind,euros", *lines]))


def test_an_amount_of_csv_that_is_no_number_is_left_out_by_itself_wherever_in_the_file(tmp_path: Path):
    csv(tmp_path, [*["+2"] * 60_000, "1 EUR", '"12,5"', "0x10", "NA", "", "1e1", ".5", *["2."] * 60_000, "n/k"])
    found = measured(tmp_path, with_log(format=LogFormat.CSV))
    assert found.events["revenue"].amount == 240_010.5
    assert found.events["revenue"].rejected == {"null_amount": 2, "unreadable_amount": 4}
    assert found.problems == ()


def test_a_column_of_csv_without_a_single_number_leaves_the_sum_unknown_and_not_zero(tmp_path: Path):
    csv(tmp_path, ["1 EUR", "", "2 EUR"])
    found = measured(tmp_path, with_log(format=LogFormat.CSV))
    assert "revenue" not in found.events
    assert found.events["clicks"].amount == 3
    assert [problem.problem for problem in found.problems] == ["column 'euros' holds no numbers"]


def test_a_missing_column_is_told_where_an_event_needs_it(tmp_path: Path):
    write_table(tmp_path, table([*events("impression", AT), *events("click", AT)]).drop_columns(["item", "euros"]))
    found = measured(tmp_path)
    assert found.events["impressions"].amount == 1
    assert "shown_items" not in found.events
    assert [problem.problem for problem in found.problems] == ["column 'item' is missing"]


def test_a_file_without_the_names_of_events_counts_nothing(tmp_path: Path):
    write_table(tmp_path, table(events("click", AT)).drop_columns(["kind"]))
    found = measured(tmp_path)
    assert found.events == {}
    assert "lacks the column 'kind'" in found.problems[0].problem


def test_times_without_a_zone_are_utc_and_those_with_one_are_moved(tmp_path: Path):
    naive = pa.array([AT.replace(tzinfo=None)], pa.timestamp("us"))
    tokyo = timezone(timedelta(hours=9))
    zoned = pa.array([AT.astimezone(tokyo)], pa.timestamp("us", "Asia/Tokyo"))
    for name, times in (("naive", naive), ("zoned", zoned)):
        write_table(tmp_path, table(events("click", AT)).set_column(0, "at", times), f"{name}.parquet")
    assert measured(tmp_path).events["clicks"].amount == 2


def test_rows_without_a_time_belong_to_no_step_and_are_told(tmp_path: Path):
    write(tmp_path, events("click", None, 2), events("click", AT))
    found = measured(tmp_path)
    assert found.events["clicks"].amount == 1
    assert "rows without a time, which belong to no window: 2" in found.problems[0].problem


def test_times_that_are_no_times_are_told(tmp_path: Path):
    write_table(tmp_path, table(events("click", AT)).set_column(0, "at", pa.array([1_772_000_000_000])))
    assert "milliseconds" in measured(tmp_path).problems[0].problem


def test_an_event_whose_clock_is_ahead_counts_in_the_step_of_its_time_and_in_no_other(tmp_path: Path):
    """Clicks are written by a clock 20 minutes ahead of that of the impressions."""
    ahead = NOON - 5 * MINUTE + 20 * MINUTE
    write(tmp_path, events("impression", NOON - 5 * MINUTE, 10), events("click", ahead, 2))
    now, later = measured(tmp_path), measured(tmp_path, end=NOON + HOUR)
    assert (now.events["impressions"].amount, now.events["clicks"].amount) == (10, 0)
    assert (later.events["impressions"].amount, later.events["clicks"].amount) == (0, 2)
    assert now.kpis["click_through_rate"] == 0
    assert "click_through_rate" not in later.kpis, "clicks without impressions are no rate"
