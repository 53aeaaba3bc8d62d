"""Edits of columns, whatever their type: rows that are hit hold what they should, all others what they held."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.evaluation.faults.edits import nulled, relabelled, roomy, scaled, shuffled, zeroed
from mlvitals.exporters.reading.columns import ColumnTypeError

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float32(), pa.float64()]
DECIMALS = [pa.decimal128(3, 0), pa.decimal128(6, 2), pa.decimal256(40, 3)]
CODES = [pa.int8(), pa.uint8(), pa.int16(), pa.int64()]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]


def bounds(kind: pa.DataType) -> tuple[int, int]:
    """The integers up to 2**53 that a type holds: beyond them a feature is refused."""
    if pa.types.is_decimal(kind):
        return -(10 ** (kind.precision - kind.scale)) + 1, 10 ** (min(kind.precision, 15) - kind.scale) - 1
    if pa.types.is_floating(kind):
        return -(2**20), 2**20
    lowest = 0 if pa.types.is_unsigned_integer(kind) else -(2 ** (kind.bit_width - 1))
    return max(lowest, -(2**53)), min(2 ** (kind.bit_width - (lowest < 0)) - 1, 2**53)


@st.composite
def numbers(draw, kinds=(*INTEGERS, *FLOATS, *DECIMALS)):
    kind = draw(st.sampled_from(kinds))
    low, high = bounds(kind)
    values = draw(st.lists(st.none() | st.integers(max(low, -(2**53)), high), min_size=1, max_size=12))
    given_values = [value if value is None or not pa.types.is_decimal(kind) else Decimal(value) for value in values]
    column = pa.array(given_values, kind)
    if draw(st.booleans()) and not pa.types.is_decimal(kind):
        column = column.dictionary_encode()
    return column, values, np.array(draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), bool)


@given(numbers(), st.sampled_from([0.4, 1.0, 3.0, 1000.0]))
def test_scaled_numbers_are_the_product_wherever_their_type_has_room_or_not(drawn, factor):
    column, values, hit = drawn
    after = scaled(column, hit, factor).to_pylist()
    is_integer = all(value is None or isinstance(value, int) for value in column.to_pylist())
    for before, found, is_hit in zip(values, after, hit, strict=True):
        if before is None or not is_hit:
            assert found == before
        elif is_integer:
            assert isinstance(found, int)
            assert found == pytest.approx(before * factor, rel=1e-12, abs=0.5)
        else:
            assert found == pytest.approx(before * factor, rel=1e-6)


@given(numbers())
def test_numbers_with_room_are_the_same_numbers_and_hold_a_unix_time(drawn):
    column, values, _ = drawn
    wide = roomy(column)
    assert wide.to_pylist() == values
    assert pa.scalar(1_772_000_000).cast(wide.type, safe=False).as_py() == pytest.approx(1_772_000_000, rel=1e-6)


@given(numbers())
def test_zero_fits_into_every_number(drawn):
    column, values, hit = drawn
    expected = [0 if is_hit else value for value, is_hit in zip(values, hit, strict=True)]
    assert zeroed(column, hit).to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "zero"),
    [
        (pa.array([True, None]), False),
        (pa.array(["true", None], pa.string_view()), "0"),
        (pa.array(["1", "0"]).dictionary_encode(), "0"),
        (pa.nulls(2), 0),
        (pa.array([np.float16(1), np.float16(2)]), 0),
    ],
)
def test_zero_is_a_label_of_every_kind(column, zero):
    after = zeroed(column, np.array([True, False])).to_pylist()
    assert after == [zero, column[1].as_py()]


@given(
    st.sampled_from([*TEXTS, *(pa.dictionary(code, pa.string()) for code in CODES)]),
    st.integers(1, 300),
    st.integers(0, 2**32),
)
def test_a_new_level_fits_however_many_there_are(kind, levels, seed):
    if pa.types.is_dictionary(kind):
        levels = min(levels, 2 ** (kind.index_type.bit_width - (kind.index_type != pa.uint8())))
    names = [f"level {number}" for number in range(levels)]
    if pa.types.is_dictionary(kind):
        column = pa.DictionaryArray.from_arrays(pa.array(range(levels), kind.index_type), pa.array(names))
    else:
        column = pa.array(names).cast(kind)
    hit = np.random.default_rng(seed).random(levels) < 0.5
    expected = ["new" if is_hit else name for name, is_hit in zip(names, hit, strict=True)]
    assert relabelled(column, hit, "new").to_pylist() == expected
    assert nulled(column, hit).to_pylist() == [
        None if is_hit else name for name, is_hit in zip(names, hit, strict=True)
    ]
    assert sorted(shuffled(column, hit, 1).to_pylist()) == sorted(names)


@given(numbers(kinds=INTEGERS))
def test_levels_that_are_integers_become_text(drawn):
    column, values, hit = drawn
    after = [str(value) for value in relabelled(column, hit, "new").to_pylist()]
    expected = ["new" if is_hit else str(value) for value, is_hit in zip(values, hit, strict=True)]
    assert not hit.any() or after == expected


@pytest.mark.parametrize("edit", [scaled, zeroed, relabelled])
def test_a_column_of_lists_is_named(edit):
    column = pa.array([[1], [2]])
    more = {scaled: [2.0], zeroed: [], relabelled: ["new"]}[edit]
    with pytest.raises(ColumnTypeError, match="list"):
        edit(column, np.array([True, False]), *more)
