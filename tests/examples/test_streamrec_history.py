"""A history with faults: what is written of it besides the log, and that the truth is told."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from examples.streamrec.__main__ import main
from examples.streamrec.faults import FAULTS, ErrorBurst, FeedbackLoss, LatencyRegression, StaleSource
from examples.streamrec.schedule import DAYS, NAMES, schedule
from examples.streamrec.simulate import Traffic
from examples.streamrec.write import write_history
from mlvitals.evaluation.metrics_log import labels_of
from mlvitals.evaluation.truth import read_truth
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.spec.model import Spec

END = datetime(2026, 3, 4, tzinfo=UTC)
BEGIN = END - timedelta(days=1)
NOON = BEGIN + timedelta(hours=12)
EVENING = BEGIN + timedelta(hours=18)
TRAFFIC = Traffic(mean_per_hour=600)
STALE = "item_popularity_features"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def history(streamrec: Spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    faults = [
        ErrorBurst(NOON, 0.2, EVENING),
        LatencyRegression(NOON, 3.0, EVENING),
        FeedbackLoss(NOON, 0.5, EVENING),
        StaleSource(NOON, 1.0, EVENING),
    ]
    options = {"seed": 1, "traffic": TRAFFIC, "contract": Contract(streamrec), "outcomes_apart": True}
    rows = sum(write_history(folder, END, 1, faults=faults, **options))
    assert rows > 0
    return folder


@pytest.fixture(scope="module")
def metrics(history) -> pa.Table:
    return pa_dataset.dataset(history / "metrics", partitioning="hive").to_table().sort_by("timestamp")


def values(metrics: pa.Table, name: str, **labels: str) -> dict[datetime, float]:
    """The values of a series over time, summed over what the labels leave open."""
    found: dict[datetime, float] = {}
    for row in metrics.filter(pc.equal(metrics["name"].cast(pa.string()), name)).to_pylist():
        if labels.items() <= labels_of(row["labels"]):
            found[row["timestamp"]] = found.get(row["timestamp"], 0.0) + row["value"]
    assert found, f"there is no {name}{labels}"
    return found


def test_every_serving_family_of_the_contract_is_recorded(streamrec, metrics):
    contract = Contract(streamrec)
    published = set(metrics["name"].unique().to_pylist())
    simulated = {"predictions_total", "prediction_errors_total", "prediction_latency_seconds", "prediction_score"}
    for family in contract.of(Producer.SERVING):
        if family.name in {contract.name(short) for short in simulated} or not family.labels:
            assert published >= set(family.series_names), family.name


def test_counters_never_fall(metrics):
    for name in ("streamrec_predictions_total", "streamrec_clicks_total"):
        assert all(earlier <= later for earlier, later in pairwise(values(metrics, name).values()))


def test_the_last_bucket_counts_every_request(metrics):
    every = values(metrics, "streamrec_prediction_latency_seconds_bucket", stage="total", le="+Inf")
    assert every == values(metrics, "streamrec_prediction_latency_seconds_count", stage="total")


def test_errors_rise_only_while_the_burst_lasts(metrics):
    errors = values(metrics, "streamrec_prediction_errors_total")
    burst = errors[EVENING] - errors[NOON]
    assert burst > 500
    assert errors[END] - burst < 20


def test_slow_requests_come_only_while_the_regression_lasts(metrics):
    fast = values(metrics, "streamrec_prediction_latency_seconds_bucket", stage="total", le="0.075")
    every = values(metrics, "streamrec_prediction_latency_seconds_count", stage="total")
    slow = {moment: every[moment] - fast[moment] for moment in every}
    assert slow[EVENING] - slow[NOON] > 0.5 * (every[EVENING] - every[NOON])
    assert slow[NOON] == slow[END] - slow[EVENING] == 0


def test_the_service_counts_clicks_whose_report_is_lost_on_the_way_to_the_log(history, metrics):
    clicks = values(metrics, "streamrec_clicks_total")
    outcomes = pa_dataset.dataset(history / "outcomes", partitioning="hive").to_table()
    log = pa_dataset.dataset(history / "predictions", partitioning="hive").to_table()
    lost = log.filter(pc.and_(pc.greater_equal(log["timestamp"], NOON), pc.less(log["timestamp"], EVENING)))
    heard = outcomes.filter(pc.is_in(outcomes["prediction_id"], lost["prediction_id"].combine_chunks()))
    assert heard.num_rows / lost.num_rows == pytest.approx(0.46, abs=0.03)
    assert clicks[EVENING] - clicks[NOON] > 1.6 * pc.sum(heard["clicked"]).as_py()


def test_outcomes_apart_stand_in_the_hour_in_which_they_became_known(history):
    outcomes = pa_dataset.dataset(history / "outcomes", partitioning="hive").to_table()
    assert outcomes["outcome_timestamp"].null_count == 0
    hours = pc.hour(outcomes["outcome_timestamp"]).to_pylist()
    assert hours == [int(hour) for hour in outcomes["hour"].to_pylist()]
    log = pq.ParquetFile(next((history / "predictions").rglob("*.parquet")))
    assert not {"clicked", "outcome_timestamp"} & set(log.schema_arrow.names)


def test_a_stale_source_is_not_updated_while_others_are(history):
    updates = pq.read_table(history / "sources.parquet").to_pylist()
    stale = [row["updated"] for row in updates if row["feature_source"] == STALE]
    others = {row["feature_source"] for row in updates if NOON <= row["updated"] < EVENING}
    assert not [moment for moment in stale if NOON <= moment < EVENING]
    assert max(stale) > EVENING
    assert {"user_batch_features", "user_streaming_features"} <= others


def test_the_schedule_holds_every_kind_of_fault_with_sound_time_between():
    planned = schedule(BEGIN, seed=1)
    assert len(planned) == len(NAMES) == 13
    for earlier, later in pairwise(planned):
        assert earlier.record.settled < later.record.start
    assert planned[-1].record.settled < BEGIN + timedelta(days=DAYS)
    scheduled = {type(item.fault) for item in planned}
    assert set(FAULTS.values()) - scheduled == {FAULTS["lost_reads"], FAULTS["late_outcomes"]}


def test_the_schedule_follows_the_seed_alone():
    assert schedule(BEGIN, seed=1) == schedule(BEGIN, seed=1)
    assert schedule(BEGIN, seed=1) != schedule(BEGIN, seed=2)


COMMAND = ["history", "--end", "2026-03-11T00:00", "--rate", "20"]


def test_the_command_writes_the_truth_of_its_faults(tmp_path):
    truth = tmp_path / "truth.json"
    command = [*COMMAND, "--days", "9", "--faults", "latency_regression", "--truth", str(truth)]
    result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    (fault,) = read_truth(truth).faults
    assert (fault.name, fault.layer, fault.kind) == ("latency_regression", "system", "LatencyRegression")
    assert json.loads(truth.read_text())["schema"] == "mlvitals.truth/1"


@pytest.mark.parametrize(
    ("faults", "message"), [("all", "whole schedule takes --days 60"), ("earthquake", "no fault is called")]
)
def test_faults_that_do_not_fit_are_a_usage_error(tmp_path, faults, message):
    result = CliRunner().invoke(main, [*COMMAND, "--days", "9", "--faults", faults, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
