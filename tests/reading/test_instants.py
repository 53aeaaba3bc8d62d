import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest

from mlvitals.exporters.reading.instants import InstantError, instant, instants, read_instants

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


@pytest.mark.parametrize(
    "written",
    [
        NOON,
        datetime(2026, 3, 3, 21, tzinfo=timezone(timedelta(hours=9))),
        datetime(2026, 3, 3, 12),  # noqa: DTZ001
        "2026-03-03T12:00:00Z",
        "2026-03-03T21:00:00+09:00",
        "2026-03-03 12:00:00",
        SECONDS,
        float(SECONDS),
        Decimal(SECONDS),
    ],
)
def test_a_time_is_read_as_utc_however_it_is_written(written: object) -> None:
    assert instant(written) == NOON
    assert instant(written).utcoffset() == timedelta(0)


def test_a_date_is_its_midnight() -> None:
    assert instant(date(2026, 3, 3)) == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "strange", [None, True, "yesterday", "", float("nan"), float("inf"), SECONDS * 1000, -1, [], {}]
)
def test_what_is_no_time_is_refused(strange: object) -> None:
    with pytest.raises(InstantError):
        instant(strange)


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array([NOON.replace(tzinfo=None), None]).cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        pa.array([NOON, None], pa.timestamp("ms", "Asia/Tokyo")),
        pa.array(["2026-03-03T12:00:00.000Z", None]),
        pa.array(["2026-03-03T21:00:00+09:00", ""]),
        pa.array(["2026-03-03 12:00:00", None]),
        pa.array([str(SECONDS), None]),
        pa.array(["2026-03-03 12:00:00", None]).dictionary_encode(),
        pa.array([SECONDS, None], pa.int64()),
        pa.array([SECONDS, None], pa.uint32()),
        pa.array([float(SECONDS), float("nan")]),
    ],
    ids=lambda column: f"{column.type} {column[0]}",
)
def test_a_column_of_times_is_read_as_utc(column: pa.Array) -> None:
    assert instants(column).to_pylist() == [NOON, None]


def test_a_column_of_dates_is_their_midnights() -> None:
    assert instants(pa.array([date(2026, 3, 3)])).to_pylist() == [datetime(2026, 3, 3, tzinfo=UTC)]


def test_a_column_of_nothing_is_no_time() -> None:
    assert instants(pa.nulls(2)).to_pylist() == [None, None]


def test_fractions_of_seconds_are_kept() -> None:
    assert instants(pa.array([SECONDS + 0.25])).to_pylist() == [NOON + timedelta(milliseconds=250)]


@pytest.mark.parametrize(
    "column", [pa.array([SECONDS * 1000]), pa.array([SECONDS * 1000.0]), pa.array([str(SECONDS * 1000)])]
)
def test_milliseconds_are_refused_not_guessed(column: pa.Array) -> None:
    with pytest.raises(InstantError, match="milliseconds"):
        instants(column)


@pytest.mark.parametrize("column", [pa.array(["soon"]), pa.array([True]), pa.array([[1]]), pa.array([b"2026-03-03"])])
def test_a_column_that_is_no_time_is_refused(column: pa.Array) -> None:
    with pytest.raises(InstantError):
        instants(column)


def test_text_with_and_without_a_zone_in_one_column_is_refused() -> None:
    told = "with a zone, such as '2026-03-03T12:00:00Z', and without one, such as '2026-03-03T12:00:00'"
    with pytest.raises(InstantError, match=re.escape(told)):
        instants(pa.array(["2026-03-03T12:00:00Z", "2026-03-03T12:00:00"]))


def test_a_few_without_a_zone_among_many_with_one_cost_themselves() -> None:
    times, misfits = read_instants(pa.array([*["2026-03-03T12:00:00Z"] * 9, "2026-03-03T12:00:00"]))
    assert times.null_count == 1
    assert misfits.to_pylist() == [False] * 9 + [True]


@pytest.mark.parametrize(
    "text",
    [
        "20260303T120000Z",
        "20260303T1200Z",
        "20260303T130000+0100",
        "20260303T120000.000Z",
        "2026-03-03T12:00:00,000Z",
        "2026-03-03T12:00:00,000000000Z",
        "2026-03-03 12:00:00.000 +0000",
        "2026-03-03 13:00:00 +01:00",
        "2026-03-03T12:00:00z",
        "2026-03-03T13:00:00+01",
        "2026-03-03 12:00:00 GMT",
        "20260303T120000",
        "2026-03-03 12:00:00,000",
    ],
)
def test_other_ways_to_write_iso_8601_are_read(text: str) -> None:
    assert instants(pa.array([text])).to_pylist() == [datetime(2026, 3, 3, 12, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text", ["03/03/2026 12:00 PM", "2026-03-03 12:00 Europe/Berlin", "Tue, 03 Mar 2026 12:00:00 GMT", "2026-3-3"]
)
def test_text_that_is_no_time_is_shown_with_what_to_write(text: str) -> None:
    with pytest.raises(InstantError, match=re.escape(f"the first {text!r}; write it like 2026-03-01T12:00:00Z")):
        instants(pa.array([text, text]))


@pytest.mark.parametrize("values", [[20240315, 20251231], [2024, 1999, None], ["20240315", "20240316"]])
def test_years_and_dates_as_numbers_are_no_unix_time(values: list[object]) -> None:
    with pytest.raises(InstantError, match="which are years or dates"):
        instants(pa.array(values))


def test_seconds_among_which_some_look_like_dates_are_seconds() -> None:
    assert instants(pa.array([20240315, 1_770_000_000])).null_count == 0
