"""The one conversion of what is read into what is measured."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drift_samples import cells_of

from mlvitals.exporters.reading.columns import comparable
from mlvitals.exporters.reading.instants import InstantError, instants
from mlvitals.exporters.reading.text import converted
from mlvitals.exporters.statistics.cells import CategoricalCells
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.generator.spec.model import FeatureType, LogFormat


def read(
    values: Any, kind: FeatureType, file_format: LogFormat = LogFormat.PARQUET, decimal: str = "."
) -> list[object]:
    found: list[object] = converted(pa.array(values), kind, file_format, decimal).values.to_pylist()
    return found


def misfits(
    values: Any, kind: FeatureType, file_format: LogFormat = LogFormat.PARQUET, decimal: str = "."
) -> list[int]:
    """The places of values that cannot be read."""
    mask = converted(pa.array(values), kind, file_format, decimal).misfits
    return [] if mask is None else pc.indices_nonzero(mask).to_pylist()


def categories(values: Any, kind: pa.DataType | None = None) -> list[object]:
    found: list[object] = comparable(pa.array(values, kind), FeatureType.CATEGORICAL).to_pylist()
    return found


IDS = [uuid.UUID(int=number) for number in (0, 1, 2**128 - 1)]


@pytest.mark.parametrize(
    "written",
    [
        pa.array([item.bytes for item in IDS] + [None], pa.binary(16)),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([item.bytes for item in IDS] + [None], pa.binary(16))),
        pa.array([item.bytes for item in [uuid.uuid4(), *IDS]] + [None], pa.binary(16))[1:],
        pa.array([str(item) for item in IDS] + [None]),
    ],
    ids=["bytes", "type", "a slice", "text"],
)
def test_uuids_are_one_category_however_they_are_written(written: pa.Array) -> None:
    assert comparable(written, FeatureType.CATEGORICAL).to_pylist() == [*map(str, IDS), None]


def test_integers_and_booleans_are_one_category_however_they_are_written() -> None:
    for whole in (
        [5, -3, 0],
        [5.0, -3.0, -0.0],
        ["5", "-3", "0"],
        ["5.0", "-3.0", "-0.0"],
        [Decimal(5), Decimal(-3), Decimal(0)],
    ):
        assert categories(whole) == ["5", "-3", "0"]
    for truth in ([True, False], ["True", "False"], ["TRUE", "FALSE"], ["true", "false"]):
        assert categories(truth) == ["true", "false"]


def test_other_text_stays_what_it_is() -> None:
    texts = ["05", "5.00", "5.1", "1.0.0", ".0", "v5.0", "0x5.0", "TrUe", "truE", "", "1e3", "--5.0", "00.0"]
    assert categories(texts) == texts


@pytest.mark.parametrize(
    "written", [["5.0"] * 3 + ["7.0"], [5, 5, 5, 7], pa.array(["5.0", "5", "5", "7"]).dictionary_encode()]
)
def test_categories_of_a_reference_built_before_match_all_spellings(written: Any) -> None:
    cells = CategoricalCells(
        type=FeatureType.CATEGORICAL, levels=("5.0", "7.0"), cell_of=(0, 1, 2), labels=("5.0", "7.0", "unseen values")
    )
    assert profile_column(pa.array(written), cells).counts.tolist() == [3, 1, 0]


def test_spellings_of_one_category_are_one_category() -> None:
    cells = cells_of(["5.0", "5", "5.0", "True", "true"], FeatureType.CATEGORICAL)
    assert cells.levels == ("5", "true")


def test_fractions_among_integers_are_no_categories() -> None:
    assert read([1.0, 2.0, 2.5, None], FeatureType.CATEGORICAL) == [1.0, 2.0, None, None]
    assert misfits([1.0, 2.0, 2.5, None], FeatureType.CATEGORICAL) == [2]
    assert read([0.5, 1.5, 2.0], FeatureType.CATEGORICAL) == [0.5, 1.5, 2.0], "mostly fractions: another type"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("+5", 5),
        ("5.", 5),
        (".5", 0.5),
        ("1e3", 1000),
        ("-1E-2", -0.01),
        ("True", 1),
        ("FALSE", 0),
        ("t", 1),
    ],
)
def test_text_is_read_as_the_number_that_it_says(text: str, number: float) -> None:
    for kind in (FeatureType.FLOAT, FeatureType.INTEGER):
        assert read(["7", text, None], kind) == [7, number, None]


@pytest.mark.parametrize("text", ["", "NA", "N/A", "NULL", "None", "nan", "NaT", "<NA>", "\\N"])
def test_what_writers_put_for_no_value_is_null_and_no_misfit(text: str) -> None:
    for kind in (FeatureType.FLOAT, FeatureType.INTEGER, FeatureType.BOOLEAN, FeatureType.TIMESTAMP):
        good = "2026-03-01" if kind is FeatureType.TIMESTAMP else "1"
        assert converted(pa.array([good, text]), kind).values.null_count == 1
        assert misfits([good, text], kind) == []


@pytest.mark.parametrize("text", ["n/a", "-", "1,5", "1.234.567", "0x10", "1_000", "12 EUR", "½"])
def test_text_that_is_no_number_is_a_misfit(text: str) -> None:
    assert misfits(["1", "2", "3", text, None], FeatureType.FLOAT) == [3]
    assert read(["1", "2", "3", text, None], FeatureType.FLOAT) == [1, 2, 3, None, None]


def test_half_of_a_column_that_cannot_be_read_makes_it_another_type() -> None:
    assert read(["1", "x"], FeatureType.FLOAT) == ["1", "x"]
    assert read(["1", "2", "x"], FeatureType.FLOAT) == [1, 2, None]


def test_a_declared_decimal_comma_is_read_and_a_point_then_not() -> None:
    texts = ["1,5", "-0,25", "7", "1,5e3", "1.234", None]
    assert read(texts, FeatureType.FLOAT, LogFormat.CSV, ",") == [1.5, -0.25, 7, 1500, None, None]
    assert misfits(texts, FeatureType.FLOAT, LogFormat.CSV, ",") == [4]


def test_numbers_that_are_no_truth_among_many_that_are_cost_themselves() -> None:
    assert read([1, 0, 1, 7, None], FeatureType.BOOLEAN) == [1, 0, 1, None, None]
    assert read(["1.0", "0.0", "", "t", "F"], FeatureType.BOOLEAN) == [True, False, None, True, False]


FAR = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1600, 2, 29, 12, 30, 15, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_dates_far_away_are_the_dates_they_are(unit: str, zone: str | None) -> None:
    column = pa.array(FAR, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone))
    assert instants(column).to_pylist() == FAR


@pytest.mark.parametrize(
    "form", ["{:%FT%TZ}", "{:%F %T}+00:00", "{:%F %T} UTC", "{:%F %T}", "{:%FT%T}.000000001Z", "{:%F %T}+00"]
)
def test_dates_far_away_in_text_are_the_dates_they_are(form: str) -> None:
    texts = [form.format(moment).rjust(len(form.format(FAR[2])), "0") for moment in FAR]
    assert instants(pa.array(texts)).to_pylist() == FAR


def test_a_time_that_microseconds_cannot_count_is_refused_and_not_another_time() -> None:
    with pytest.raises(InstantError, match="beyond what microseconds can count"):
        instants(pa.array([2**62], pa.timestamp("s")))


@pytest.mark.parametrize("since", [-1, -999, -1000, -1001, 999, 1001])
def test_nanoseconds_are_rounded_down_on_either_side_of_1970(since: int) -> None:
    found = instants(pa.array([since, 5], pa.timestamp("ns"))).cast(pa.int64()).to_pylist()
    assert found == [since // 1000, 0]
