"""What the simulated recommender promises: the same history however it is made, and faults that do what they say."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pytest
from click.testing import CliRunner

from examples.streamrec import write
from examples.streamrec.__main__ import main
from examples.streamrec.faults import SESSIONS, LostReads, March3
from examples.streamrec.simulate import Traffic, simulate, simulate_hour, training_table

START = datetime(2026, 3, 3, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = "days_since_last_interaction"
NOT_FEATURES = (
    "prediction_id", "timestamp", "user_id", "item_id", "model_version", "endpoint",
    "clicked", "outcome_timestamp", "started", "completed", "session_length_seconds", "revenue_dollars",
)  # fmt: skip


@pytest.fixture(scope="module")
def training() -> pa.Table:
    return training_table(START - timedelta(days=3), 72, seed=1)


@pytest.fixture(scope="module")
def sound_day() -> pa.Table:
    return simulate(START, START + 24 * HOUR, seed=1)


@cache
def march3_day(share: float) -> pa.Table:
    return simulate(START, START + 24 * HOUR, seed=1, faults=[March3(START, share)])


def ratio(column: pa.ChunkedArray) -> float:
    return float(pc.mean(column.cast(pa.float64())).as_py())


def cell_counts(column: pa.ChunkedArray, edges: np.ndarray | None) -> np.ndarray:
    """Rows in each cell: one a level, or between the edges, the outer cells open."""
    if edges is not None:
        values = column.drop_null().to_numpy()
        return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    counts = pc.value_counts(column.cast(pa.string())).to_pylist()
    levels = {count["values"]: count["counts"] for count in counts}
    return np.array([levels[level] for level in sorted(levels)])


def deciles(column: pa.ChunkedArray) -> np.ndarray | None:
    if pa.types.is_dictionary(column.type) or pa.types.is_boolean(column.type):
        return None
    return np.unique(np.quantile(column.drop_null().to_numpy(), np.arange(0.1, 1, 0.1), method="inverted_cdf"))


class Cells(NamedTuple):
    """The cells of a reference column, and its rows in each."""

    edges: np.ndarray | None
    counts: np.ndarray


def cells_of(reference: pa.ChunkedArray) -> Cells:
    edges = deciles(reference)
    return Cells(edges, cell_counts(reference, edges))


def psi(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> float:
    return psi_in(cells_of(reference), current)


def psi_in(cells: Cells, current: pa.ChunkedArray) -> float:
    """The textbook formula with half a count added to every cell, written apart from the product's own."""
    p, q = (counts + 0.5 for counts in (cells.counts, cell_counts(current, cells.edges)))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


@pytest.fixture(scope="module")
def cells(training) -> dict[str, Cells]:
    return {name: cells_of(training[name]) for name in training.column_names if name not in NOT_FEATURES}


def test_the_same_seed_and_hour_give_the_same_rows():
    assert simulate_hour(START, seed=1).equals(simulate_hour(START, seed=1))


def test_another_seed_gives_other_rows():
    assert not simulate_hour(START, seed=1).equals(simulate_hour(START, seed=2))


def test_an_hour_may_be_named_in_any_time_zone():
    elsewhere = START.astimezone(ZoneInfo("Asia/Tokyo"))
    assert simulate_hour(elsewhere, seed=1).equals(simulate_hour(START, seed=1))


def test_a_history_does_not_depend_on_where_it_is_cut():
    whole = simulate(START, START + 2 * HOUR, seed=1)
    cuts = [START, START + timedelta(minutes=17), START + timedelta(minutes=61, seconds=3), START + 2 * HOUR]
    pieces = [simulate(begin, end, seed=1) for begin, end in pairwise(cuts)]
    assert pa.concat_tables(pieces).combine_chunks().equals(whole.combine_chunks())


def test_rows_are_sorted_and_lie_within_their_hour():
    times = simulate_hour(START, seed=1)["timestamp"]
    assert pc.min(times).as_py() >= START
    assert pc.max(times).as_py() < START + HOUR
    assert np.all(np.diff(times.cast(pa.int64()).to_numpy()) >= 0)


def test_prediction_ids_are_unique(sound_day):
    assert pc.count_distinct(sound_day["prediction_id"]).as_py() == sound_day.num_rows


def test_a_begin_within_an_hour_is_refused():
    with pytest.raises(ValueError, match="not a full hour"):
        simulate_hour(START + timedelta(minutes=1), seed=1)


def test_every_hour_of_the_week_has_enough_rows_for_ten_cells():
    week = [START + hour * HOUR for hour in range(168)]
    assert min(Traffic().rate(moment) for moment in week) > 4_200


def test_evenings_are_busier_than_mornings():
    morning, evening = START.replace(hour=8), START.replace(hour=20)
    assert simulate_hour(evening, seed=1).num_rows > 1.4 * simulate_hour(morning, seed=1).num_rows


@pytest.mark.parametrize("hours_later", [0, 20, 4 * 24 + 12, 6 * 24 + 20])
def test_no_feature_of_a_sound_hour_drifts(cells, hours_later):
    hour = simulate_hour(START + hours_later * HOUR, seed=1)
    watched = [name for name in hour.schema.names if name not in NOT_FEATURES]
    drift = {name: psi_in(cells[name], hour[name]) for name in watched}
    assert len(drift) >= 33
    assert max(drift.values()) < 0.03, drift


def test_the_scores_are_the_chances_of_a_click(sound_day):
    assert ratio(sound_day["clicked"]) == pytest.approx(ratio(sound_day["score"]), abs=0.005)
    likely = sound_day.filter(pc.greater(sound_day["score"], 0.4))
    assert ratio(likely["clicked"]) == pytest.approx(ratio(likely["score"]), abs=0.02)


def test_a_lost_report_is_no_outcome_rather_than_no_click(sound_day):
    assert sound_day["clicked"].null_count / sound_day.num_rows == pytest.approx(0.08, abs=0.01)
    assert pc.equal(
        pc.is_null(sound_day["clicked"]), pc.is_null(sound_day["outcome_timestamp"])
    ).unique().to_pylist() == [True]


def test_an_outcome_follows_its_prediction_within_a_day(sound_day):
    delay = pc.subtract(sound_day["outcome_timestamp"], sound_day["timestamp"]).drop_null().cast(pa.int64()).to_numpy()
    assert delay.min() >= 0
    assert delay.max() < 24 * 3600 * 1000


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_march_3_corrupts_its_share_of_the_rows(share):
    corrupted = pc.greater(march3_day(share)[DAYS], 365)
    assert ratio(corrupted) == pytest.approx(share, abs=0.005)


def test_march_3_writes_the_time_of_the_last_interaction(sound_day):
    broken = march3_day(1.0)
    seconds = broken["timestamp"].cast(pa.int64()).to_numpy() // 1000
    days_ago = (seconds - broken[DAYS].to_numpy()) // 86_400
    assert np.array_equal(days_ago, sound_day[DAYS].to_numpy())


def test_march_3_begins_at_its_start():
    noon = START + 4 * HOUR
    before = simulate(START, noon, seed=1, faults=[March3(noon, 1.0)])
    after = simulate(noon, noon + HOUR, seed=1, faults=[March3(noon, 1.0)])
    assert pc.max(before[DAYS]).as_py() <= 365
    assert pc.min(after[DAYS]).as_py() > 365


def test_march_3_changes_no_other_feature(sound_day):
    outcomes = ["clicked", "started", "completed", "session_length_seconds", "revenue_dollars"]
    changed = [DAYS, "score", *outcomes]
    assert march3_day(0.4).drop_columns(changed).equals(sound_day.drop_columns(changed))


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_march_3_is_loud_in_the_feature_and_silent_in_the_scores(training, share):
    broken = march3_day(share)
    assert psi(training[DAYS], broken[DAYS]) > 0.5
    assert psi(training["score"], broken["score"]) < 0.06


def test_march_3_at_40_percent_costs_12_percent_of_the_clicks(sound_day):
    fall = 1 - ratio(march3_day(0.4)["clicked"]) / ratio(sound_day["clicked"])
    assert fall == pytest.approx(0.12, abs=0.015)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="from 0 to 1"):
        March3(START, share)


def test_a_start_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        March3(datetime(2026, 3, 3), 0.4)  # noqa: DTZ001


HISTORY = ["history", "--days", "1", "--end", "2026-03-04T00:00", "--rate", "60"]


def test_the_command_writes_training_data_and_an_hourly_log(tmp_path):
    result = CliRunner().invoke(main, [*HISTORY, "--out", str(tmp_path), "--march3", "2026-03-03T12:00:0.4"])
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("training/part-*.parquet"))) == 14
    assert len(list(tmp_path.glob("predictions/date=2026-03-03/hour=*/part-0.parquet"))) == 24
    assert len(list(tmp_path.glob("sources/*/UPDATED"))) == 5
    log = pa_dataset.dataset(tmp_path / "predictions", partitioning="hive").to_table()
    corrupted = log.filter(pc.greater(log[DAYS], 365))
    assert pc.min(corrupted["timestamp"]).as_py() >= datetime(2026, 3, 3, 12, tzinfo=UTC)


def test_the_command_replaces_what_it_wrote_before(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "TRAINING_DAYS", 1)
    for days in ("2", "1"):
        CliRunner().invoke(main, [*HISTORY, "--days", days, "--out", str(tmp_path)], catch_exceptions=False)
    assert len(list(tmp_path.rglob("predictions/*/*/*"))) == 24


def test_the_hourly_volume_leaves_the_devices_alone():
    busy = simulate_hour(START, seed=1, traffic=Traffic(mean_per_hour=60_000))
    usual = simulate_hour(START, seed=1)
    assert busy.num_rows > 9 * usual.num_rows
    assert psi(busy["device"], usual["device"]) < 0.01


def test_a_fault_that_cannot_be_read_is_a_usage_error():
    result = CliRunner().invoke(main, ["history", "--march3", "tomorrow"])
    assert result.exit_code == 2
    assert "START:SHARE" in result.output


@pytest.mark.parametrize("start", ["2026-02-20T12:00", "2026-03-02T23:59", "2026-03-04T00:00"])
def test_an_incident_outside_of_the_history_is_refused(start: str, tmp_path: Path):
    """One that begins earlier would corrupt the training data: nothing could be seen of it."""
    result = CliRunner().invoke(main, [*HISTORY, "--out", str(tmp_path), "--march3", f"{start}:0.4"])
    assert result.exit_code == 2
    assert f"{start}Z is not in the history, which goes from 2026-03-03T00:00Z to 2026-03-04T00:00Z" in result.output
    assert not list(tmp_path.iterdir())


def test_lost_reads_change_one_feature_of_the_share_and_nothing_else():
    sound, broken = (simulate_hour(START, seed=1, faults=faults) for faults in ([], [LostReads(START, 0.05)]))
    changed = [name for name in sound.column_names if not sound[name].equals(broken[name])]
    assert changed == [SESSIONS]
    lost = pc.not_equal(sound[SESSIONS], broken[SESSIONS])
    assert ratio(lost) == pytest.approx(0.05, abs=0.01)
    assert pc.unique(broken[SESSIONS].filter(lost)).to_pylist() == [0]
