"""Training-serving skew from files: the log on one side, features recomputed offline on the other."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, report, value, write_parquet
from msgspec.structs import replace

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.prometheus import render_window
from mlvitals.exporters.sections.skew import measure as skew_rows
from mlvitals.exporters.sections.skew.report import SkewReport
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract, SkewStatus
from mlvitals.generator.spec.model import Feature, FeatureType, LogFormat, PredictionLog, Skew, SkewJoin, Spec

COUNT = 2000
IDS = [f"p{number}" for number in range(COUNT)]
USERS = [f"u{number % 500}" for number in range(COUNT)]
SHOP = replace(
    SPEC,
    prediction_log=PredictionLog(path="log", id="id", entity="user", score="score"),
    features={"age": Feature(type=FeatureType.INTEGER), "country": Feature(type=FeatureType.CATEGORICAL)},
    skew=Skew(path="offline", join=SkewJoin.ID),
)
BY_ENTITY = replace(SHOP, skew=Skew(path="offline", join=SkewJoin.ENTITY, max_age="24h"))
BY_WINDOW = replace(SHOP, skew=Skew(path="offline", join=SkewJoin.WINDOW))
REFERENCE = build_reference(SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000), created=NOON, source_hash="")
Write = Callable[..., Path]


def predictions(**columns: Any) -> pa.Table:
    return log_rows(WINDOW.start, WINDOW.end, COUNT, seed=1, id=IDS, user=USERS, **columns)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda table, name: write_parquet(table, tmp_path / name)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., SkewReport]:
    def run(spec: Spec = SHOP, window: Window = WINDOW) -> SkewReport:
        found = measure_window(spec, tmp_path, REFERENCE, "v1", window, NOON + timedelta(minutes=5)).skew
        assert found is not None
        return found

    return run


Run = Callable[..., SkewReport]


def older(table: pa.Table, by: timedelta) -> pa.Table:
    moved = pa.compute.subtract(table["timestamp"], pa.scalar(by, pa.duration("us")))
    return table.set_column(table.schema.get_field_index("timestamp"), "timestamp", moved)


def corrupted(table: pa.Table, rows: int) -> pa.Table:
    ages = table["age"].to_numpy().copy()
    ages[:rows] = 0
    return table.set_column(table.schema.get_field_index("age"), "age", pa.array(ages))


def statuses(found: SkewReport) -> dict[str, SkewStatus]:
    return {name: feature.status for name, feature in found.features.items()}


@pytest.mark.parametrize("spec", [SHOP, BY_ENTITY, BY_WINDOW], ids=["id", "entity", "window"])
def test_what_is_recomputed_as_it_was_served_has_no_skew(spec: Spec, write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    found = run(spec)
    assert (found.join, found.serving_rows, found.offline_rows, found.problems) == (
        spec.skew.join,
        COUNT,
        COUNT,
        (),
    )
    assert statuses(found) == {"age": SkewStatus.OK, "country": SkewStatus.OK}


def test_rows_that_differ_are_counted_and_the_feature_is_named(write: Write, run: Run) -> None:
    write(corrupted(predictions(), 100), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    found = run()
    assert statuses(found) == {"age": SkewStatus.INVESTIGATE, "country": SkewStatus.OK}
    assert found.features["age"].mismatch_ratio == 0.05
    assert {one.key for one in found.features["age"].offenders} <= set(IDS[:100])


def test_an_entity_is_compared_with_its_latest_row_before_the_prediction(write: Write, run: Run) -> None:
    users = pa.table({"user": USERS[:500], "age": pa.array(range(500)), "timestamp": [WINDOW.start - HOUR] * 500})
    served = predictions(age=pa.array([number % 500 for number in range(COUNT)]))
    write(served, "log/a.parquet")
    write(users, "offline/today.parquet")
    write(
        users.set_column(1, "age", pa.nulls(500, pa.int64())).set_column(2, "timestamp", pa.array([NOON] * 500)),
        "offline/later.parquet",
    )
    write(
        users.set_column(1, "age", pa.nulls(500, pa.int64())).set_column(
            2, "timestamp", pa.array([NOON - 20 * HOUR] * 500)
        ),
        "offline/before.parquet",
    )
    found = run(BY_ENTITY)
    assert (found.offline_rows, found.features["age"].mismatches) == (COUNT, 0)


def test_a_row_beyond_max_age_is_not_compared(write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(older(predictions(), timedelta(hours=26)), "offline/a.parquet")
    found = run(BY_ENTITY)
    assert found.offline_rows == 0
    assert statuses(found) == dict.fromkeys(SHOP.features, SkewStatus.INSUFFICIENT_DATA)


def test_without_matched_rows_only_distributions_are_compared(write: Write, run: Run) -> None:
    write(corrupted(predictions(), 800), "log/a.parquet")
    write(predictions().slice(500), "offline/a.parquet")
    found = run(BY_WINDOW)
    assert (found.serving_rows, found.offline_rows) == (COUNT, COUNT - 500)
    assert statuses(found) == {"age": SkewStatus.ALERT, "country": SkewStatus.OK}
    assert found.features["age"].mismatch_ratio is None


def test_a_feature_missing_at_serving_is_said_to_be(write: Write, run: Run) -> None:
    write(predictions().drop_columns(["age"]), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    assert statuses(run()) == {"age": SkewStatus.MISSING_IN_SERVING, "country": SkewStatus.OK}


def test_a_feature_that_some_offline_rows_lack_is_not_compared(write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(predictions().slice(0, 1000), "offline/a.parquet")
    write(predictions().slice(1000).drop_columns(["age"]), "offline/b.parquet")
    found = run()
    assert statuses(found) == {"age": SkewStatus.NOT_RECOMPUTED, "country": SkewStatus.OK}
    assert found.features["age"].reason == "some offline rows lack it"


@pytest.mark.parametrize("spec", [SHOP, BY_WINDOW], ids=["id", "window"])
@pytest.mark.parametrize("side", ["log", "offline"])
def test_another_type_on_either_side_is_a_type_mismatch(side: str, spec: Spec, write: Write, run: Run) -> None:
    for folder in ("log", "offline"):
        write(predictions(**({"age": ["old"] * COUNT} if folder == side else {})), f"{folder}/a.parquet")
    found = run(spec)
    assert statuses(found) == {"age": SkewStatus.TYPE_MISMATCH, "country": SkewStatus.OK}
    assert "holds string values" in found.features["age"].reason


def test_offline_rows_may_be_csv_with_columns_of_their_own_names(tmp_path: Path, write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    (tmp_path / "offline").mkdir()
    names = {"user": "customer", "timestamp": "as_of"}
    rows = predictions().drop_columns(["id", "hostile", "score"])
    pa_csv.write_csv(
        rows.rename_columns([names.get(name, name) for name in rows.column_names]), tmp_path / "offline" / "a.csv"
    )
    offline = Skew(path="offline", format=LogFormat.CSV, join=SkewJoin.ENTITY, key="customer", timestamp="as_of")
    found = run(replace(SHOP, skew=offline))
    assert (found.offline_rows, found.problems) == (COUNT, ())
    assert statuses(found) == {"age": SkewStatus.OK, "country": SkewStatus.OK}


def test_offline_rows_that_come_late_are_compared_later(write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    write(log_rows(NOON, NOON + HOUR, COUNT, id=IDS, user=USERS), "log/b.parquet")
    found = run(replace(SHOP, skew=Skew(path="offline", join=SkewJoin.ID, delay="1h")), Window(NOON, NOON + HOUR))
    assert (found.window, found.offline_rows) == (WINDOW, COUNT)


def test_an_offline_path_that_is_not_there_leaves_the_drift_report_alone(tmp_path: Path, write: Write) -> None:
    write(predictions(), "log/a.parquet")
    whole = measure_window(SHOP, tmp_path, REFERENCE, "v1", WINDOW, NOON)
    assert (whole.rows, whole.problems) == (COUNT, ())
    assert (whole.skew.offline_rows, len(whole.skew.problems)) == (0, 1)
    assert "skew.path cannot be read" in whole.skew.problems[0].problem
    assert "does not exist" in whole.skew.problems[0].problem


def test_a_broken_offline_file_is_told_and_the_others_are_compared(write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    broken = write(predictions(), "offline/b.parquet")
    broken.write_bytes(broken.read_bytes()[:-100])
    found = run()
    assert (found.offline_rows, [problem.path for problem in found.problems]) == (COUNT, [str(broken)])


def test_a_file_without_the_key_is_told(write: Write, run: Run) -> None:
    write(predictions(), "log/a.parquet")
    write(predictions().drop_columns(["id"]), "offline/a.parquet")
    found = run()
    assert found.offline_rows == 0
    assert [problem.problem for problem in found.problems] == ["has no column 'id' to match its rows by"]


def test_of_a_large_window_a_sample_is_compared(write: Write, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew_rows, "LARGEST_SAMPLE", 600)
    write(corrupted(predictions(), 1000), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    found = run()
    assert 300 < found.serving_rows <= 600
    assert found.offline_rows == found.serving_rows
    assert found.features["age"].mismatch_ratio == pytest.approx(0.5, abs=0.02)


def test_many_old_rows_of_an_entity_do_not_pile_up(write: Write, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(predictions(), "log/a.parquet")
    for hours in range(1, 20):
        write(older(predictions(), hours * HOUR), f"offline/{99 - hours}.parquet")
    expected = run(BY_ENTITY)
    monkeypatch.setattr(skew_rows, "LARGEST_SAMPLE", COUNT)
    assert run(BY_ENTITY) == expected


def test_without_a_skew_path_nothing_is_measured_or_published(tmp_path: Path, write: Write) -> None:
    spec = replace(SHOP, skew=Skew())
    write(predictions(), "log/a.parquet")
    assert measure_window(spec, tmp_path, REFERENCE, "v1", WINDOW, NOON).skew is None
    assert not [family for family in Contract(spec).families if "skew" in family.name]


def test_skew_is_published_without_any_key(write: Write, run: Run) -> None:
    write(corrupted(predictions(), 100), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    page = render_window(Contract(SHOP), report(skew=run()))
    assert value(page, "shop_skew_mismatch_ratio", feature_name="age") == 0.05
    assert value(page, "shop_skew_status", feature_name="age", status="investigate") == 1
    assert value(page, "shop_skew_status", feature_name="age", status="ok") == 0
    assert value(page, "shop_skew_psi", feature_name="country") == 0
    assert value(page, "shop_skew_offline_rows") == COUNT
    assert b"p1" not in page.replace(b"psi", b"")


def test_the_report_with_skew_survives_its_json_form(write: Write, run: Run) -> None:
    write(corrupted(predictions(), 100), "log/a.parquet")
    write(predictions(), "offline/a.parquet")
    whole = report(skew=run())
    assert WindowReport.from_json(whole.to_json()) == whole
