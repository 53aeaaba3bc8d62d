"""The simulated application: what it logs and what it tells its telemetry."""

import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pytest
from click.testing import CliRunner

from examples.streamrec.__main__ import main
from examples.streamrec.population import USERS
from examples.streamrec.service import FaultFile, Service, SimulatedTime, business_events, live_rows, parse_faults, run
from examples.streamrec.simulate import NEXT_MODEL_VERSION
from mlvitals.exporters.process.json_log import JsonLog

ORIGIN = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
TIME = SimulatedTime(ORIGIN, 180)
DAYS = "days_since_last_interaction"


def after(seconds: float) -> datetime:
    return ORIGIN + timedelta(seconds=seconds)


class Recorder:
    """Stands in for PredictionTelemetry and keeps what it is told."""

    def __init__(self):
        self.requests, self.failures, self.features = [], [], []
        self.versions = []
        self.events, self.unique, self.gpus = Counter(), {}, {}

    def observe(self, model_version, endpoint, latency_seconds, scores=(), error_type=None, features=None):
        self.features += [features] if features else []
        (self.failures if error_type else self.requests).append((endpoint, latency_seconds, scores))

    def event(self, name, amount=1):
        self.events[name] += amount

    def set_unique(self, name, value):
        self.unique[name] = value

    def model(self, model_version, framework, trained_at):
        self.trained_at = trained_at
        self.versions.append(model_version)

    def gpu(self, gpu, ratio):
        self.gpus[gpu] = ratio


@pytest.fixture
def telemetry():
    return Recorder()


@pytest.fixture
def service(telemetry, tmp_path):
    return Service(telemetry, TIME, tmp_path / "log", (tmp_path / "source",), seed=1)


def test_20_seconds_of_the_wall_have_enough_rows_for_a_window():
    assert live_rows(ORIGIN, after(20), TIME, seed=1, faults=()).num_rows > 4_000


def test_rows_carry_the_time_of_the_wall():
    times = live_rows(after(3), after(5), TIME, seed=1, faults=())["timestamp"]
    assert after(2.99) <= pc.min(times).as_py() < after(3.1)
    assert after(4.9) < pc.max(times).as_py() <= after(5)


def test_ticks_neither_lose_nor_repeat_a_row():
    whole = live_rows(ORIGIN, after(3), TIME, seed=1, faults=())
    ticks = [live_rows(after(begin), after(begin + 0.5), TIME, seed=1, faults=()) for begin in (0, 0.5, 1, 1.5, 2, 2.5)]
    assert pa.concat_tables(ticks)["prediction_id"].to_pylist() == whole["prediction_id"].to_pylist()


def test_two_runs_of_the_service_share_no_prediction_id():
    first = live_rows(after(60), after(61), TIME, seed=1, faults=())
    second = live_rows(after(60), after(61), SimulatedTime(after(60), 180), seed=1, faults=())
    assert not set(first["prediction_id"].to_pylist()) & set(second["prediction_id"].to_pylist())


def test_a_tick_across_the_hour_is_logged_in_both_hours(telemetry, tmp_path):
    eve = SimulatedTime(after(-1), 180)
    rows = Service(telemetry, eve, tmp_path, (), seed=1).serve(after(-1), after(1), ())
    assert len(list(tmp_path.glob("date=2026-03-03/hour=07/*.parquet"))) == 1
    assert len(list(tmp_path.glob("date=2026-03-03/hour=08/*.parquet"))) == 1
    assert pa_dataset.dataset(tmp_path, partitioning="hive").count_rows() == rows


def test_features_are_recomputed_once_a_simulated_day(telemetry, tmp_path):
    service = Service(telemetry, TIME, tmp_path / "log", (), seed=1, recomputed=tmp_path / "recomputed")
    day = 86_400 / TIME.factor
    for second in (0, 1, day - 1, day, day + 1):
        service.serve(after(second), after(second + 1), ())
    rows = pa_dataset.dataset(tmp_path / "recomputed", partitioning="hive").to_table()
    assert pc.unique(rows["timestamp"]).to_pylist() == [ORIGIN, after(day)]
    assert rows.num_rows == 2 * USERS


def test_telemetry_hears_of_every_logged_request(service, telemetry, tmp_path):
    rows = service.serve(ORIGIN, after(2), ())
    log = pa_dataset.dataset(tmp_path / "log", partitioning="hive").to_table()
    assert len(telemetry.requests) == rows == log.num_rows
    assert [scores for _, _, scores in telemetry.requests] == [(score,) for score in log["score"].to_pylist()]
    assert [row[DAYS] for row in telemetry.features] == log[DAYS].to_pylist()


def test_the_total_latency_is_the_sum_of_the_stages_and_its_p99_near_45_ms(service, telemetry):
    service.serve(ORIGIN, after(20), ())
    totals = sorted(latency.pop("total") for _, latency, _ in telemetry.requests)
    stages = sorted(sum(latency.values()) for _, latency, _ in telemetry.requests)
    assert totals == pytest.approx(stages)
    assert 0.040 < totals[int(0.99 * len(totals))] < 0.050


def test_about_one_request_in_5000_fails(service, telemetry):
    service.serve(ORIGIN, after(100), ())
    assert 0 < len(telemetry.failures) < 0.001 * len(telemetry.requests)


def test_business_events_add_up_to_the_log(service, telemetry, tmp_path):
    service.serve(ORIGIN, after(1), ())
    service.serve(after(1), after(2), ())
    log = pa_dataset.dataset(tmp_path / "log", partitioning="hive").to_table()
    assert telemetry.events == pytest.approx(business_events(log))
    assert telemetry.events["impressions"] > telemetry.events["clicks"] > telemetry.events["completions"] > 0


def test_a_tick_without_requests_deploys_nothing(service, telemetry):
    service.serve(ORIGIN, after(1), parse_faults('{"misscaled_model": 0.5}'))
    assert telemetry.versions[-1] == NEXT_MODEL_VERSION
    service.serve(after(1), after(1), ())
    assert telemetry.versions[-1] == NEXT_MODEL_VERSION


def test_coverage_counts_the_items_of_the_last_simulated_hour(service, telemetry):
    service.serve(ORIGIN, after(20), ())
    whole_hour = telemetry.unique["recommended_items"]
    service.serve(after(60), after(60.2), ())
    assert telemetry.unique == {"catalogue_items": 3_000, "recommended_items": pytest.approx(50, abs=40)}
    assert 1_500 < whole_hour < 3_000


def test_sources_are_updated_and_the_model_is_two_days_old(service, telemetry, tmp_path):
    service.serve(ORIGIN, after(1), ())
    assert (tmp_path / "source" / "UPDATED").exists()
    assert timedelta(0) <= ORIGIN - telemetry.trained_at < timedelta(days=5)
    assert all(0 < ratio < 1 for ratio in telemetry.gpus.values())


def test_no_rows_are_no_trouble(service, telemetry):
    assert service.serve(ORIGIN, ORIGIN + timedelta(microseconds=50), ()) == 0
    assert telemetry.events["clicks"] == 0


def test_a_fault_is_switched_on_and_off_by_its_file(tmp_path):
    path, messages = tmp_path / "faults.json", []
    faults = FaultFile(path, messages.append)
    assert faults.read() == ()
    path.write_text('{"march3": 0.4}')
    (march3,) = faults.read()
    assert march3.share == 0.4
    path.unlink()
    assert faults.read() == ()
    assert len(messages) == 2


def test_a_fault_file_that_makes_no_sense_changes_nothing_and_is_reported_once(tmp_path):
    path, messages = tmp_path / "faults.json", []
    path.write_text('{"march3": 0.4}')
    faults = FaultFile(path, messages.append)
    before = faults.read()
    path.write_text('{"march3":')
    assert faults.read() == faults.read() == before
    assert len(messages) == 2
    assert "not JSON" in messages[1]


@pytest.mark.parametrize(
    "content", [{"march4": 0.4}, {"march3": "much"}, {"march3": True}, {"march3": 1.4}, ["march3"]]
)
def test_a_wrong_fault_is_refused(content):
    with pytest.raises(ValueError, match=r"march3|from 0 to 1"):
        parse_faults(json.dumps(content))


def test_a_fault_switched_on_corrupts_the_next_rows():
    rows = live_rows(after(1), after(11), TIME, seed=1, faults=parse_faults('{"march3": 0.4}'))
    assert pc.mean(pc.greater(rows[DAYS], 365).cast(pa.float64())).as_py() == pytest.approx(0.4, abs=0.03)


def test_the_loop_serves_tick_after_tick_until_it_is_stopped(service, telemetry, tmp_path):
    stop = Event()
    moments = iter([after(1), after(1), after(2), after(2), after(3600), after(3600)])

    def clock() -> datetime:
        now = next(moments)
        if now == after(3600):
            stop.set()
        return now

    told = io.StringIO()
    events = JsonLog(told, lambda: ORIGIN, "streamrec", "serving")
    run(service, FaultFile(None, print), tick=timedelta(seconds=0), stop=stop, clock=clock, begin=ORIGIN, events=events)
    log = pa_dataset.dataset(tmp_path / "log", partitioning="hive").to_table()
    assert pc.max(log["timestamp"]).as_py() <= after(2)
    assert log.num_rows == len(telemetry.requests) > 0
    served = [json.loads(line) for line in told.getvalue().splitlines()]
    assert {event["event"] for event in served} == {"served"}
    assert sum(event["predictions"] for event in served) == log.num_rows


def test_the_spec_of_another_system_is_refused_with_a_message(tmp_path):
    spec = Path(__file__).parents[2] / "specs" / "flights.yaml"
    result = CliRunner().invoke(main, ["serve", str(spec), "--log", str(tmp_path)])
    assert result.exit_code == 1
    assert "does not describe StreamRec" in result.output
