"""`mlvitals init`: what is seen of training data, and the first spec made of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from mlvitals.cli import main
from mlvitals.exporters.training.build import ReferenceDataError
from mlvitals.exporters.training.first_look import MOST_LEVELS, first_look
from mlvitals.generator.spec.first_roles import MAX_NAME, SeenColumn
from mlvitals.generator.spec.first_spec import NoFeatureError, first_spec, scalar
from mlvitals.generator.spec.load import load_spec, parse_spec
from mlvitals.generator.spec.model import Feature, FeatureType, LogFormat, OutcomeKind, Spec

ROWS = 200
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOSTILE = 'we"ird\\{{ $name }}: #é\n- x\u2028y'


def training() -> pa.Table:
    random = np.random.default_rng(0)
    age = random.integers(18, 90, ROWS).astype(float)
    age[::10] = np.nan
    return pa.table(
        {
            "request_id": [f"r{number}" for number in range(ROWS)],
            "ts": [BEGIN + number * timedelta(minutes=1) for number in range(ROWS)],
            "user_id": random.integers(0, 50, ROWS),
            "amount": random.gamma(2, 50, ROWS),
            "items": random.integers(1, 9, ROWS),
            "age": age,
            "country": random.choice(["de", "fr"], ROWS),
            "is_new": random.random(ROWS) < 0.5,
            "last_seen": pa.array(
                [BEGIN - number * timedelta(days=1) for number in range(ROWS)], pa.timestamp("ns", "UTC")
            ),
            "score": random.random(ROWS),
            "label": random.integers(0, 2, ROWS),
        }
    )


def parquet(data: pa.Table, folder: Path, name: str = "train.parquet") -> Path:
    path = folder / name
    pq.write_table(data, path)
    return path


def csv(text: str, folder: Path) -> Path:
    path = folder / "train.csv"
    path.write_text(text)
    return path


def seen(path: Path) -> dict[str, SeenColumn]:
    return {column.name: column for column in first_look([str(path)], path.parent)[0]}


def one(values, folder: Path, name: str = "x") -> SeenColumn:
    return seen(parquet(pa.table({name: values}), folder))[name]


def spec_of(*columns: SeenColumn, name: str = "shop") -> Spec:
    return parse_spec(first_spec(name, columns, LogFormat.PARQUET, ROWS))


def column(name: str, kind: FeatureType | None = FeatureType.FLOAT, **more) -> SeenColumn:
    return SeenColumn(name=name, type=kind, **more)


def init(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


# ---------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1.5], FeatureType.FLOAT),
        ([1.0, 2.0], FeatureType.FLOAT),
        ([1, 2], FeatureType.INTEGER),
        ([True, False], FeatureType.BOOLEAN),
        ([0, 1, 1], FeatureType.BOOLEAN),
        ([0, 0, 0], FeatureType.INTEGER),
        (["a", "b", "a"], FeatureType.CATEGORICAL),
        (pa.array(["a", "b", "a"]).dictionary_encode(), FeatureType.CATEGORICAL),
        (pa.array([1, 2], pa.decimal128(5, 2)), FeatureType.FLOAT),
        (pa.array([1, 2], pa.timestamp("ns")), FeatureType.TIMESTAMP),
        (pa.array([1, 2], pa.date32()), FeatureType.TIMESTAMP),
        (pa.array([2**40], pa.timestamp("s")), FeatureType.TIMESTAMP),
    ],
)
def test_the_type_is_that_of_the_values(values, kind: FeatureType, tmp_path: Path):
    assert one(values, tmp_path).type is kind


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pa.nulls(3), "never has a value"),
        ([2**60, 1], "holds integers beyond 2**53, which floats cannot tell apart"),
        ([[1], [2]], "holds list<element: int64>, which is not measured"),
        ([b"a", b"b"], "holds binary, which is not measured"),
        (pa.array([1, 2], pa.duration("s")), "holds duration[s], which is not measured"),
        (np.array([1, 2], np.float16), "holds halffloat, which is not measured"),
        (["a", "b", "c"], "differs in every row"),
        ([f"text {number % 1100}" for number in range(1200)], "more than 1,000 different values"),
    ],
)
def test_what_cannot_be_measured_is_said_with_the_reason(values, why: str, tmp_path: Path):
    found = one(values, tmp_path)
    assert (found.type, found.remark) == (None, why)


def test_whole_numbers_that_pandas_made_floats_of_for_nulls_are_integers(tmp_path: Path):
    assert one([1.0, float("nan"), 3.0], tmp_path).type is FeatureType.INTEGER
    assert one([1.0, None, 3.5], tmp_path).type is FeatureType.FLOAT


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_what_had_nulls_is_nullable(missing: float | None, tmp_path: Path):
    found = one([0.5, missing, 1.5, 2.5], tmp_path)
    assert found.nullable
    assert found.remark == "0.5 to 2.5, 25.00% null"
    assert not one([0.5, 1.5], tmp_path).nullable


def test_numbers_that_are_names_are_categories(tmp_path: Path):
    assert one([7, 9, 7], tmp_path, "store_id").type is FeatureType.CATEGORICAL
    assert one(list(range(MOST_LEVELS + 1)), tmp_path, "store_id").type is None
    assert one([7, 9, 7], tmp_path, "stores").type is FeatureType.INTEGER


def test_text_files_have_the_types_of_what_they_say(tmp_path: Path):
    text = "i,f,b,t,c,n\n1,1,true,2026-03-01T00:00:00Z,NA,\n2,2.5,false,2026-03-02T00:00:00Z,DE,3\n1,NA,true,,NA,4\n"
    found = seen(csv(text, tmp_path))
    assert [column.type.value for column in found.values()] == [
        "integer",
        "float",
        "boolean",
        "timestamp",
        "categorical",
        "integer",
    ]
    assert [name for name, column in found.items() if column.nullable] == ["f", "t", "n"], "NA is Namibia in text"


@pytest.mark.parametrize(
    ("later", "kind"),
    [
        ("7", "integer"),
        ("7.5", "float"),
        ("2026-03-01T00:00:00Z", "categorical"),
        ("de", "categorical"),
        ("", "boolean"),
    ],
)
def test_later_text_widens_the_type(later: str, kind: str, tmp_path: Path):
    many = "1\n0\n" * 100_000
    found = seen(csv(f"x,y\n{many.replace(chr(10), ',' + chr(10))}{later},\n", tmp_path))
    assert found["x"].type == kind
    assert kind != "categorical" or found["x"].remark == "3 values"
    assert found["y"].remark == "never has a value"


def test_times_before_other_text_are_text(tmp_path: Path):
    many = "2026-03-01T00:00:00Z,1\n2026-03-02T00:00:00Z,1\n" * 100_000
    assert seen(csv(f"x,y\n{many}unknown,1\n", tmp_path))["x"].type is FeatureType.CATEGORICAL


def test_json_lines_have_types_and_times(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(
        '{"i": 1, "t": "2026-03-01T00:00:00Z", "c": "a"}\n{"i": 2, "t": "2026-03-02T00:00:00Z", "c": "a"}\n'
    )
    kinds = {name: column.type for name, column in seen(path).items()}
    assert kinds == {"i": FeatureType.INTEGER, "t": FeatureType.TIMESTAMP, "c": FeatureType.CATEGORICAL}


def test_later_rows_count_as_the_first_do(tmp_path: Path):
    for name, values in (("a", [1, 2]), ("b", [3.5, None])):
        parquet(pa.table({"x": values}), tmp_path, f"{name}.parquet")
    [found], _, rows = first_look([str(tmp_path)], tmp_path)
    assert (found.type, found.nullable, found.remark, rows) == (FeatureType.FLOAT, True, "1 to 3.5, 25.00% null", 4)


def test_a_column_that_some_files_lack_is_no_feature(tmp_path: Path):
    parquet(pa.table({"x": [1], "y": [1]}), tmp_path, "a.parquet")
    parquet(pa.table({"x": [2]}), tmp_path, "b.parquet")
    found = {column.name: column for column in first_look([str(tmp_path)], tmp_path)[0]}
    assert (found["y"].type, found["y"].remark) == (None, "not every file has it")


def test_the_names_of_folders_are_no_columns(tmp_path: Path):
    (tmp_path / "date=2026-03-01").mkdir()
    parquet(pa.table({"x": [1, 2]}), tmp_path / "date=2026-03-01")
    assert [column.name for column in first_look([str(tmp_path)], tmp_path)[0]] == ["x"]


def test_columns_stand_in_the_order_of_the_file(tmp_path: Path):
    names = [f"c{number * 7 % 40}" for number in range(40)]
    assert list(seen(parquet(pa.table({name: [1.5] for name in names}), tmp_path))) == names


# ---------------------------------------------------------------- guesses


def test_columns_with_a_part_of_their_own_are_recognised_and_are_no_features(tmp_path: Path):
    path = parquet(training(), tmp_path)
    columns, log_format, rows = first_look([str(path)], tmp_path)
    text = first_spec("shop", columns, log_format, rows)
    spec = parse_spec(text)
    log = spec.prediction_log
    assert (log.timestamp, log.id, log.entity, log.score) == ("ts", "request_id", "user_id", "score")
    assert (log.outcome.column, log.outcome.kind) == ("label", OutcomeKind.BINARY)
    assert list(spec.features) == ["amount", "items", "age", "country", "is_new", "last_seen"]
    assert spec.features["age"] == Feature(type=FeatureType.INTEGER, nullable=True)
    assert text.count("# guessed by name and type") == 4
    assert "timestamp: ts  # when the prediction was made; guessed by name and type" in text


def test_a_number_is_a_continuous_outcome():
    spec = spec_of(column("x"), column("prediction"), column("target"))
    assert spec.prediction_log.outcome.kind is OutcomeKind.CONTINUOUS


def test_a_binary_outcome_without_a_score_stays_to_be_said():
    spec = spec_of(column("x"), column("label", FeatureType.BOOLEAN))
    assert spec.prediction_log.outcome is None


def test_an_id_differs_in_every_row():
    log = spec_of(column("x"), column("order_id", None, unique=True), column("event_id", None)).prediction_log
    assert (log.id, log.other_columns) == ("order_id", ("event_id",))


def test_the_only_time_is_the_predictions_and_of_two_none_is_guessed():
    when = column("when", FeatureType.TIMESTAMP, times=True)
    assert spec_of(column("x"), when).prediction_log.timestamp == "when"
    two = spec_of(column("x"), when, column("seen", FeatureType.TIMESTAMP, times=True))
    assert (two.prediction_log.timestamp, list(two.features)) == ("timestamp", ["x", "when", "seen"])


def test_a_time_column_that_cannot_be_read_is_no_feature_either(tmp_path: Path):
    milliseconds = pa.table({"timestamp": [1_700_000_000_000 + number for number in range(3)], "x": [0.5, 1.5, 2.5]})
    spec = spec_of(*seen(parquet(milliseconds, tmp_path)).values())
    assert list(spec.features) == ["x"]


# ---------------------------------------------------------------- the text


@pytest.mark.parametrize("name", [HOSTILE, "no", "null", "1", "1e5", "-", " a ", "é", "'", "<<", "~", "a: b", "a #b"])
def test_any_name_comes_back_from_the_spec(name: str):
    spec = spec_of(column(name), column(f"{name}2", None, remark="why"), column("when", FeatureType.TIMESTAMP))
    assert list(spec.features) == [name]
    assert spec.prediction_log.other_columns == (f"{name}2",)


def test_a_plain_name_is_not_quoted():
    assert (scalar("user_age"), scalar("yes")) == ("user_age", '"yes"')


def test_names_that_no_spec_can_hold_are_counted():
    text = first_spec("shop", [column("x"), column(""), column("y" * (MAX_NAME + 1))], LogFormat.CSV, ROWS)
    assert list(parse_spec(text).features) == ["x"]
    assert "longer than 200 characters: 2 columns" in text


def test_a_type_with_a_hostile_name_inside_stays_in_its_comment(tmp_path: Path):
    path = parquet(pa.table({"x": [1.5], "s": [{HOSTILE: 1}]}), tmp_path)
    assert spec_of(*seen(path).values()).prediction_log.other_columns == ("s",)


def test_without_any_feature_there_is_no_spec():
    with pytest.raises(NoFeatureError, match="can be a feature"):
        spec_of(column("x", None))


# ---------------------------------------------------------------- the command


def test_init_writes_a_spec_that_is_sound_and_whose_reference_can_be_built(tmp_path: Path):
    path, out = parquet(training(), tmp_path), tmp_path / "specs" / "shop.yaml"
    done = init("--data", path, "--name", "shop", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"wrote {out}: 6 features\n")
    assert load_spec(out).system.name == "shop"
    built = CliRunner().invoke(main, ["reference", "build", str(out), "--data", str(path)])
    assert built.exit_code == 0, built.stderr


def test_the_same_data_give_the_same_bytes(tmp_path: Path):
    path = parquet(training(), tmp_path)
    written = []
    for name in ("a", "b"):
        init("--data", path, "--name", "shop", "--out", tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_text_and_parquet_of_the_same_rows_give_the_same_features(tmp_path: Path):
    binary, text = parquet(training(), tmp_path), tmp_path / "train.csv"
    pyarrow.csv.write_csv(training(), text)
    assert [(found.name, found.type) for found in seen(text).values()] == [
        (found.name, found.type) for found in seen(binary).values()
    ]


def test_the_spec_stands_in_specs_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parquet(training(), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert init("--data", "train.parquet", "--name", "shop").exit_code == 0
    assert (tmp_path / "specs" / "shop.yaml").exists()


def test_nothing_is_overwritten_unless_forced(tmp_path: Path):
    path, out = parquet(training(), tmp_path), tmp_path / "shop.yaml"
    out.write_text("mine")
    done = init("--data", path, "--name", "shop", "--out", out)
    assert (done.exit_code, out.read_text()) == (1, "mine")
    assert "--force" in done.stderr
    assert init("--data", path, "--name", "shop", "--out", out, "--force").exit_code == 0
    assert load_spec(out).features


def test_more_columns_than_the_series_budget_has_room_for_are_written_to_be_cut_down(tmp_path: Path):
    path, out = parquet(pa.table({f"f{number}": [0.5] for number in range(2500)}), tmp_path), tmp_path / "wide.yaml"
    done = init("--data", path, "--name", "wide", "--out", out)
    assert (done.exit_code, out.exists()) == (1, True)
    assert "series_budget" in done.stderr


@pytest.mark.parametrize("name", ["Shop", "9", "a b", ""])
def test_a_name_that_no_metric_can_have_is_wrong_usage(name: str, tmp_path: Path):
    done = init("--data", tmp_path, "--name", name)
    assert done.exit_code == 2
    assert "lower-case letter" in done.stderr


@pytest.mark.parametrize("content", [b"not parquet", b""])
def test_a_file_that_cannot_be_read_is_named(content: bytes, tmp_path: Path):
    path = tmp_path / "train.parquet"
    path.write_bytes(content)
    done = init("--data", path, "--name", "shop", "--out", tmp_path / "shop.yaml")
    assert done.exit_code == 1
    assert "train.parquet" in done.stderr
    assert not (tmp_path / "shop.yaml").exists()


def test_without_rows_there_is_nothing_to_infer(tmp_path: Path):
    with pytest.raises(ReferenceDataError, match="no rows"):
        seen(parquet(pa.table({"x": pa.array([], pa.int64())}), tmp_path))


def test_lines_that_do_not_fit_are_told(tmp_path: Path):
    with pytest.raises(ReferenceDataError, match="lines left out for too few or too many values"):
        seen(csv("a,b\n1,2\n3\n", tmp_path))


def test_a_column_that_one_value_makes_a_category_is_remarked_on(tmp_path: Path):
    (tmp_path / "train.csv").write_text("\n".join(["age", *map(str, range(20, 60)), *["41"] * 500, "n/a"]))
    remarks: list[str] = []
    first_look([str(tmp_path / "train.csv")], tmp_path, remark=remarks.append)
    assert [remark for remark in remarks if "'age': nearly all values are of type float" in remark]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_digits_after_a_zero_are_names_and_fractions_in_text_are_numbers(form: str, tmp_path: Path):
    rows = range(3000)
    texts = {
        "postcode": [f"{row % 50:05}" for row in rows],
        "price": [str(row % 7 + 0.5) for row in rows],
        "amount": [str(row * 3) for row in rows],
        "euros": [f"{row % 7},5" for row in rows],
    }
    if form == "csv":
        pa.csv.write_csv(pa.table(texts), tmp_path / "a.csv")
    else:
        pq.write_table(pa.table(texts), tmp_path / "a.parquet")
    found = {column.name: column for column in first_look([f"a.{form}"], tmp_path)[0]}
    assert {name: column.type for name, column in found.items()} == {
        "postcode": FeatureType.CATEGORICAL,
        "price": FeatureType.FLOAT,
        "amount": FeatureType.INTEGER,
        "euros": FeatureType.CATEGORICAL,
    }
    assert "decimal comma? In CSV: --decimal ," in found["euros"].remark
