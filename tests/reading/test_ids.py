"""One id, however it is written: what joins is what was meant, and what may be something else is refused."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlvitals.exporters.reading.ids import IdError, canonical_ids, distinct_ids, hash_ids

Numbers = list[int | None]
WRITTEN: dict[str, Callable[[Numbers], Any]] = {
    "integers": lambda ids: pa.array(ids, pa.int64()),
    "unsigned integers": lambda ids: pa.array(ids, pa.uint64()),
    "floats": lambda ids: pa.array([one if one is None else float(one) for one in ids], pa.float64()),
    "floats, NaN for missing": lambda ids: pa.array([np.nan if one is None else float(one) for one in ids]),
    "decimals": lambda ids: pa.array([one if one is None else Decimal(one) for one in ids], pa.decimal128(38, 0)),
    "decimals with cents": lambda ids: pa.array([one and Decimal(one) for one in ids], pa.decimal128(38, 2)),
    "texts": lambda ids: pa.array([one if one is None else str(one) for one in ids]),
    "text views": lambda ids: pa.array([one if one is None else str(one) for one in ids], pa.string_view()),
    "texts of floats": lambda ids: pa.array([one if one is None else repr(float(one)) for one in ids]),
    "texts of decimals": lambda ids: pa.array([one if one is None else f"{one}.00" for one in ids]),
    "bytes": lambda ids: pa.array([one if one is None else str(one).encode() for one in ids]),
    "dictionaries": lambda ids: pa.array([one if one is None else str(one) for one in ids]).dictionary_encode(),
    "chunks": lambda ids: pa.chunked_array([pa.array(ids[:1], pa.int64()), pa.array(ids[1:], pa.int64())]),
}
THROUGH_FLOATS = {"floats", "floats, NaN for missing", "texts of floats"}
SIGNED = pytest.mark.parametrize("written", sorted(WRITTEN.keys() - {"unsigned integers"}))
IDS = st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 100), min_size=1, max_size=8)


@given(IDS, st.sampled_from(sorted(WRITTEN)), st.sampled_from(sorted(WRITTEN)))
def test_ids_are_the_same_however_each_side_of_a_join_writes_them_or_are_refused(ids: Numbers, one: str, other: str):
    known = [number for number in ids if number is not None]
    assume(min(known, default=0) >= 0 or "unsigned integers" not in (one, other))
    sides = []
    for written in (one, other):
        column = WRITTEN[written](ids)
        if written in THROUGH_FLOATS and any(abs(number) >= 2**53 for number in known):
            with pytest.raises(IdError, match=r"as (floats|double),"):
                canonical_ids(column)
            return
        sides.append(canonical_ids(column).to_pylist())
    assert sides[0] == sides[1] == [None if number is None else str(number) for number in ids]


@given(st.lists(st.none() | st.uuids(), min_size=1, max_size=5))
def test_a_uuid_is_one_id_in_bytes_with_hyphens_or_without_and_in_capitals(ids: list[uuid.UUID | None]):
    written = [
        pa.array([one and one.bytes for one in ids], pa.binary(16)),
        pa.array([one and one.bytes for one in [None, *ids]], pa.binary(16))[1:],
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one and one.bytes for one in ids], pa.binary(16))),
        pa.array([one and str(one) for one in ids]),
        pa.array([one and str(one).upper() for one in ids]),
        pa.array([one and one.hex for one in ids]),
        pa.array([one and one.hex.upper() for one in ids]),
    ]
    assert {tuple(canonical_ids(column).to_pylist()) for column in written} == {tuple(one and str(one) for one in ids)}


@pytest.mark.parametrize(
    "text",
    ["007", "1.50", "1e5", "12e4", "v1.0", "1.0.0", "-", ".0", "", "ä" * 18, "X" * 36, "g" * 32, "A-1", "0x10", " 1"],
)
def test_texts_that_are_no_numbers_are_themselves(text: str):
    assert canonical_ids(pa.array([text])).to_pylist() == [text]


def test_zero_has_no_sign():
    assert canonical_ids(pa.array(["-0.0", "0.0", "0"])).to_pylist() == ["0", "0", "0"]
    assert canonical_ids(pa.array([-0.0, 0.0])).to_pylist() == ["0", "0"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pa.array([1e18]),
            "holds ids as double, which does not distinguish integers from 9,007,199,254,740,992 on, such as 1e+18; "
            "write integers or texts",
        ),
        (
            pa.array([2.0**24], pa.float32()),
            "holds ids as float, which does not distinguish integers from 16,777,216 on",
        ),
        (
            pa.array(["1.2345678901234568e+18"]),
            "holds ids that were written as floats, which do not distinguish integers from 9,007,199,254,740,992 on, such as "
            "1.2345678901234568e+18; write integers or texts",
        ),
        (pa.array(["9007199254740993.0"]), "such as 9007199254740993.0"),
        (pa.array([0.5]), "holds numbers that are not whole, such as 0.5, which are no ids"),
        (pa.array([np.inf]), "holds ids as double"),
        (pa.array([Decimal("1.5")]), "holds decimals with a fraction"),
        (pa.array([0], pa.timestamp("us")), "holds timestamp.us. values; ids are integers, texts or UUIDs"),
        (pa.array([b"\xff"]), "holds bytes that are no text"),
        (pa.array([[1]]), "values; ids are integers, texts or UUIDs"),
    ],
)
def test_what_is_no_id_or_not_known_exactly_is_refused_with_what_to_write(column: Any, message: str):
    with pytest.raises(IdError, match=message.replace("+", r"\+")):
        hash_ids(column, 0)


def test_a_missing_id_equals_no_other():
    hashes = hash_ids(pa.array([None, "1", None, 1.0 and "1"]), 5)
    assert len({*hashes.tolist()}) == 3
    assert hashes[1] == hashes[3]
    assert len(distinct_ids(pa.array([None, "1", None, "1"]))) == 1


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NULL", "null", "<NA>", "\\N"])
def test_a_text_that_means_no_value_is_no_id(text: str) -> None:
    assert canonical_ids(pa.array([text, "a", text])).to_pylist() == [None, "a", None]
