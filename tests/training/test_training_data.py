from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from exporter_samples import HOUR, NOON, SPEC, log_rows, write_parquet

from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import ReferenceDataError, build_reference, hash_streams
from mlvitals.exporters.training.data import TrainingData, build_from_files, files_at
from mlvitals.generator.spec.model import Condition
from mlvitals.generator.spec.model import Reference as ReferenceSection

ROWS = log_rows(NOON - 48 * HOUR, NOON, 2000)


def build(folder: Path, *paths: str) -> Reference:
    return build_from_files(SPEC, folder, paths, NOON)


def test_files_give_the_reference_of_their_rows(tmp_path: Path) -> None:
    file = write_parquet(ROWS, tmp_path / "train.parquet")
    assert build(tmp_path, "train.parquet") == build_reference(
        SPEC, ROWS, created=NOON, source_hash=hash_streams([file.open("rb")])
    )


def test_a_folder_of_parts_gives_the_same_features_as_the_whole(tmp_path: Path) -> None:
    for part in range(4):
        write_parquet(ROWS.slice(part * 500, 500), tmp_path / "train" / f"{part}.parquet")
    expected = build_reference(SPEC, ROWS, created=NOON, source_hash="")
    found = build(tmp_path, "train")
    assert (found.features, found.score, found.rows) == (expected.features, expected.score, 2000)


def test_csv_gives_the_same_features_as_parquet(tmp_path: Path) -> None:
    pa_csv.write_csv(ROWS, tmp_path / "train.csv")
    expected = build_reference(SPEC, ROWS, created=NOON, source_hash="")
    assert build(tmp_path, "train.csv").features == expected.features


def test_the_time_column_serves_a_conditioned_reference(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(SPEC, reference=ReferenceSection(condition=Condition.HOUR_OF_DAY))
    write_parquet(ROWS, tmp_path / "train.parquet")
    found = build_from_files(spec, tmp_path, ["train.parquet"], NOON)
    assert len(found.features["age"].counts) == 24


class ReadingsCounted(TrainingData):
    def __init__(self, files: Sequence[StoredFile]) -> None:
        super().__init__(SPEC, files)
        self.read: Counter[str] = Counter()

    def __getitem__(self, name: str) -> Column:
        self.read[name] += 1
        return super().__getitem__(name)


def test_the_column_of_a_feature_is_read_once_for_it_is_read_from_every_file(tmp_path: Path) -> None:
    write_parquet(ROWS, tmp_path / "train.parquet")
    data = ReadingsCounted([*files_at("train.parquet", tmp_path)])
    build_reference(SPEC, data, created=NOON, source_hash="")
    assert {data.read[SPEC.column(name)] for name in SPEC.features} == {1}


def test_training_data_need_no_time_column(tmp_path: Path) -> None:
    write_parquet(ROWS.drop_columns(["timestamp"]), tmp_path / "train.parquet")
    assert build(tmp_path, "train.parquet").span is None


def test_integers_in_one_file_and_floats_in_another_are_one_column(tmp_path: Path) -> None:
    write_parquet(ROWS, tmp_path / "train" / "a.parquet")
    floats = ROWS.set_column(1, "age", ROWS["age"].cast(pa.float64()))
    write_parquet(floats, tmp_path / "train" / "b.parquet")
    assert build(tmp_path, "train").rows == 4000


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "there are no files of training data"),
        (lambda file: file.write_bytes(b"PAR1"), r"a\.parquet cannot be read as Parquet"),
        (lambda file: write_parquet(ROWS.drop_columns(["age"]), file), "no column 'age'"),
        (lambda file: write_parquet(ROWS.slice(0, 0), file), "no rows"),
        (
            lambda file: write_parquet(ROWS.drop_columns(["age"]), file.with_name("b.parquet")),
            r"b\.parquet lacks the columns age, which others have",
        ),
        (
            lambda file: write_parquet(ROWS.set_column(1, "age", ROWS["country"]), file.with_name("b.parquet")),
            "a column has another type in another file",
        ),
    ],
)
def test_what_is_wrong_with_training_data_is_told(damage, message: str, tmp_path: Path) -> None:
    damage(write_parquet(ROWS, tmp_path / "train" / "a.parquet"))
    with pytest.raises(ReferenceDataError, match=message):
        build(tmp_path, "train")


def test_training_data_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReferenceDataError, match="nowhere"):
        build(tmp_path, "nowhere")


def test_a_url_of_no_known_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReferenceDataError, match="the training data cannot be read: bogus://bucket/train"):
        build(tmp_path, "bogus://bucket/train")
