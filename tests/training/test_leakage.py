"""Columns that know the label."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlvitals.exporters.training.leakage import suspects

ROWS = 2_000
RANDOM = np.random.default_rng(1)
LABEL = (RANDOM.random(ROWS) < 0.3).astype(int)
NUMBER = RANDOM.normal(100, 20, ROWS)
CLASSES = RANDOM.choice(["a", "b", "c"], ROWS)


def found(folder: Path, label: object, column: object) -> str:
    pq.write_table(pa.table({"label": label, "column": column}), folder / "train.parquet")
    return suspects([str(folder / "train.parquet")], folder, "label", ["column", "absent"]).get("column", "")


@pytest.mark.parametrize(
    ("label", "column", "how"),
    [
        (LABEL, LABEL, "equals the label in 100.0%"),
        (LABEL, 1 - LABEL, "predicts the label with an AUC of 1.000"),
        (LABEL, LABEL * 10 + RANDOM.random(ROWS), "predicts the label with an AUC of 1.000"),
        (LABEL, np.where(LABEL == 1, "paid", "open"), "tells the label in 100.0%"),
        (NUMBER, NUMBER * 3 + 1, "correlation of 1.0000"),
        (CLASSES, [f"code {value}" for value in CLASSES], "tells the label in 100.0%"),
    ],
    ids=["the same", "turned round", "ranked alike", "the same in words", "scaled", "renamed"],
)
def test_what_knows_the_label_is_suspected(tmp_path: Path, label: object, column: object, how: str):
    assert how in found(tmp_path, label, column)


@pytest.mark.parametrize(
    ("label", "column"),
    [
        (LABEL, LABEL + RANDOM.normal(0, 0.5, ROWS)),
        (NUMBER, NUMBER + RANDOM.normal(0, 5, ROWS)),
        (np.zeros(ROWS), np.zeros(ROWS)),
        (CLASSES, [f"{number % 3}" for number in range(ROWS)]),
        (LABEL, [f"row {number}" for number in range(ROWS)]),
        (LABEL, [[1]] * ROWS),
    ],
    ids=["a good feature", "a good number", "nothing varies", "unrelated", "a name of each row", "lists"],
)
def test_a_good_feature_is_not(tmp_path: Path, label: object, column: object):
    assert found(tmp_path, label, column) == ""


def test_of_few_rows_nothing_follows(tmp_path: Path):
    assert found(tmp_path, LABEL[:20], LABEL[:20]) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [(pa.int64(), pa.float64()), (pa.int64(), pa.int32()), (pa.int64(), pa.string())],
    ids=str,
)
def test_parts_of_training_data_may_differ_in_type(tmp_path: Path, first: pa.DataType, second: pa.DataType):
    half = pa.array(LABEL[: ROWS // 2])
    for name, kind in (("a", first), ("b", second)):
        pq.write_table(pa.table({"label": half.cast(kind), "column": half.cast(kind)}), tmp_path / f"{name}.parquet")
    known = suspects([str(tmp_path)], tmp_path, "label", ["column"])
    assert known["column"].startswith("equals the label in 100.0%")


def test_a_column_that_one_part_lacks_is_looked_at_in_the_others(tmp_path: Path):
    pq.write_table(pa.table({"label": LABEL, "column": LABEL}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"label": LABEL}), tmp_path / "b.parquet")
    assert suspects([str(tmp_path)], tmp_path, "label", ["column"])["column"].startswith("equals the label")


@pytest.mark.parametrize("missing", ["", "NA"])
def test_a_decimal_comma_hides_nothing(tmp_path: Path, missing: str):
    rows = [f"{value + 0.5:.1f};{value + 0.5:.1f}".replace(".", ",") for value in LABEL]
    (tmp_path / "train.csv").write_text("\n".join(["label;column", f"{missing};1,5", *rows]) + "\n")
    found = suspects([str(tmp_path / "train.csv")], tmp_path, "label", ["column"], decimal=",")
    assert found["column"].startswith("equals the label")
