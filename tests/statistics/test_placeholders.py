"""Dates that stand for no date: counted by themselves, whatever the clock says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference, placeholders_in
from mlvitals.exporters.training.first_look import first_look
from mlvitals.exporters.window.measure import measure_window
from mlvitals.generator.spec.model import Condition, Feature, FeatureType, PredictionLog, Spec, System
from mlvitals.generator.spec.model import Reference as ReferenceSection

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPEC = Spec(
    version=1,
    system=System(name="shop"),
    prediction_log=PredictionLog(path="log"),
    features={"seen": Feature(type=FeatureType.TIMESTAMP)},
)
BY_HOUR = Spec(
    version=1,
    system=System(name="shop"),
    prediction_log=PredictionLog(path="log"),
    features={"seen": Feature(type=FeatureType.TIMESTAMP)},
    reference=ReferenceSection(condition=Condition.HOUR_OF_DAY),
)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
PLACEHOLDERS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1899, 12, 30, tzinfo=UTC),
    LONG_AGO,
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


def rows(
    start: datetime, days: float, date: datetime | None, *, share: float = 0.3, seed: int = 0, count: int = 5000
) -> pa.Table:
    """Predictions over some days, with a date in some of them and one within half a year before in the others."""
    generator = np.random.default_rng(seed)
    at = [
        start + timedelta(seconds=int(second)) for second in np.sort(generator.integers(0, int(days * 86_400), count))
    ]
    ages = generator.exponential(40, count)
    chosen = generator.random(count) < share
    seen = [
        date if date is not None and of_date else moment - timedelta(days=float(age))
        for moment, age, of_date in zip(at, ages, chosen, strict=True)
    ]
    utc = pa.timestamp("us", "UTC")
    return pa.table({"timestamp": pa.array(at, utc), "seen": pa.array(seen, utc)})


def reference_of(table: pa.Table, spec: Spec = SPEC) -> Reference:
    return build_reference(spec, table, created=START, source_hash="")


def psi(table: pa.Table, reference: Reference, folder: Path, spec: Spec = SPEC) -> Any:
    (folder / "log").mkdir(exist_ok=True)
    pq.write_table(table, folder / "log" / "a.parquet")
    times = table["timestamp"].to_pylist()
    window = Window(times[0], times[-1] + timedelta(seconds=1))
    return measure_window(spec, folder, reference, "v1", window, window.end, workers=1).features["seen"].psi


@pytest.mark.parametrize(
    ("date", "share"),
    [*((date, 0.3) for date in PLACEHOLDERS), (LONG_AGO, 0.03), (LONG_AGO, 0.9)],
    ids=lambda item: str(item)[:10],
)
def test_a_placeholder_in_reference_and_window_alike_is_no_drift_however_much_later(
    date: datetime, share: float, tmp_path: Path
) -> None:
    reference = reference_of(rows(START, 30, date, share=share))
    for later in (31, 60, 400):
        found = psi(rows(START + later * DAY, 1, date, share=share, seed=later), reference, tmp_path)
        assert found.value < 0.02
        assert found.severity is None


def test_a_placeholder_in_a_conditioned_reference_is_no_drift_either(tmp_path: Path) -> None:
    reference = reference_of(rows(START, 30, LONG_AGO, count=20_000), BY_HOUR)
    assert psi(rows(START + 90 * DAY, 1, LONG_AGO, seed=1), reference, tmp_path, BY_HOUR).severity is None


def test_more_placeholders_than_in_the_reference_are_drift_and_their_cell_says_which(tmp_path: Path) -> None:
    reference = reference_of(rows(START, 30, LONG_AGO))
    assert psi(rows(START + 40 * DAY, 1, LONG_AGO, share=0.7), reference, tmp_path).severity == "critical"
    assert "= 1970-01-01" in reference.features["seen"].cells.labels


def test_several_placeholders_have_a_cell_each() -> None:
    tables = [rows(START, 30, date, seed=seed) for seed, date in enumerate(PLACEHOLDERS[:4])]
    cells = reference_of(pa.concat_tables(tables)).features["seen"].cells
    assert {"= 0001-01-01", "= 1899-12-30", "= 1970-01-01", "= 2000-01-01"} <= set(cells.labels)


@pytest.mark.parametrize("days", [0.01, 1, 30])
@pytest.mark.parametrize("granularity", [1, 7, 30])
def test_dates_near_the_predictions_are_ages_however_frequent(granularity: int, days: float) -> None:
    """Days, weeks or months on which something happened: in any of them a good part of the rows."""
    table = rows(START, days, None)
    unit = granularity * 86_400_000_000
    floored = pa.array((table["seen"].cast(pa.int64()).to_numpy() // unit) * unit, pa.int64())
    seen = floored.cast(pa.timestamp("us", "UTC"))
    reference = reference_of(table.set_column(1, "seen", seen))
    assert reference.features["seen"].cells.fixed == ()


def test_few_rows_have_no_placeholders() -> None:
    assert reference_of(rows(START, 30, LONG_AGO, share=1, count=5)).features["seen"].cells.fixed == ()


def test_reference_build_and_init_say_which_dates_are_placeholders(tmp_path: Path) -> None:
    table = rows(START, 30, LONG_AGO, share=0.5)
    told = "are 1970-01-01, a placeholder: counted in a cell of its own, whatever its age"
    (remark,) = placeholders_in(reference_of(table))
    assert remark.startswith("feature seen: ")
    assert remark.endswith(told)
    pq.write_table(table, tmp_path / "train.parquet")
    columns = {column.name: column for column in first_look(["train.parquet"], tmp_path)[0]}
    assert columns["seen"].remark.endswith(told)
    assert columns["timestamp"].remark == "measured as its age"


def test_a_reference_without_placeholders_is_written_as_before() -> None:
    assert "fixed" not in reference_of(rows(START, 30, None)).to_json().decode()


def test_a_reference_with_placeholders_survives_its_store() -> None:
    reference = reference_of(rows(START, 30, LONG_AGO))
    assert Reference.from_json(reference.to_json()).features == reference.features
