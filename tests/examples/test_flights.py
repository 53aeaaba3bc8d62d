"""What the example on real data promises."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from examples.flights.__main__ import main
from examples.flights.data import FEATURES, read_flights
from examples.flights.model import DelayModel, training_and_log

APRIL = datetime(2013, 4, 1, tzinfo=UTC)
NEW_YORK_MIDNIGHT = timedelta(hours=5)


def small_flights(dep_delay: list[float | None], arr_delay: list[float | None], carrier: str = "UA") -> pa.Table:
    count = len(dep_delay)
    begin = datetime(2013, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "timestamp": [begin + timedelta(days=day) for day in range(count)],
            "dep_delay": pa.array(dep_delay, pa.float64()),
            "distance": list(range(100, 100 + count)),
            "sched_dep_minute": [600 + day % 7 for day in range(count)],
            "carrier": [carrier] * count,
            "origin": ["JFK"] * count,
            "dest": ["BOS"] * count,
            "arr_delay": pa.array(arr_delay, pa.float64()),
        }
    )


def test_the_model_finds_a_linear_law():
    delays = [float(minutes) for minutes in range(-10, 30)]
    flights = small_flights(delays, [1.5 * delay - 4 for delay in delays])
    assert DelayModel.fit(flights).predict(flights) == pytest.approx(flights["arr_delay"].to_numpy())


def test_the_model_learns_from_flights_that_arrived_and_predicts_for_all():
    delays = [float(minutes) for minutes in range(20)]
    flights = small_flights([*delays, None], [*delays, None])
    scores = DelayModel.fit(flights).predict(flights)
    assert scores[:20] == pytest.approx(delays)
    assert np.isfinite(scores[20])


def test_an_airline_unseen_in_training_still_gets_a_prediction():
    delays = [float(minutes) for minutes in range(20)]
    model = DelayModel.fit(small_flights(delays, delays))
    assert np.isfinite(model.predict(small_flights(delays, delays, carrier="ZZ"))).all()


def test_a_day_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ValueError, match="no flights before 2012-12-31"):
        training_and_log(small_flights([1.0], [1.0]), datetime(2012, 12, 31, tzinfo=UTC))


@pytest.fixture(scope="module")
def year() -> pa.Table:
    return read_flights()


@pytest.fixture(scope="module")
def split(year) -> tuple[pa.Table, pa.Table]:
    return training_and_log(year, APRIL)


def local_day(year: pa.Table, month: int, day: int) -> pa.Table:
    begin = datetime(2013, month, day, tzinfo=UTC) + NEW_YORK_MIDNIGHT
    times = year["timestamp"]
    return year.filter(pc.and_(pc.greater_equal(times, begin), pc.less(times, begin + timedelta(days=1))))


@pytest.mark.slow
def test_every_flight_of_the_year_is_read_once(year):
    assert year.num_rows == 336_776
    assert pc.count_distinct(year["prediction_id"]).as_py() == 336_776


@pytest.mark.slow
def test_training_and_log_share_the_year_at_the_day(split):
    training, log = split
    assert training.num_rows + log.num_rows == 336_776
    assert pc.max(training["timestamp"]).as_py() < APRIL <= pc.min(log["timestamp"]).as_py()


@pytest.mark.slow
def test_departures_are_in_utc_and_the_minute_of_the_day_in_new_york(year):
    first = year.slice(0, 1).to_pylist()[0]
    assert first["timestamp"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert first["sched_dep_minute"] == 5 * 60 + 15


@pytest.mark.slow
def test_only_the_departure_delay_has_nulls_among_the_features(year):
    assert [name for name in FEATURES if year[name].null_count] == ["dep_delay"]


@pytest.mark.slow
def test_an_outcome_is_known_exactly_where_a_delay_is(year):
    known = pc.is_valid(year["arr_delay"])
    assert known.equals(pc.is_valid(year["outcome_timestamp"]))
    assert pc.all(pc.greater(year["outcome_timestamp"], year["timestamp"])).as_py()


@pytest.mark.slow
@pytest.mark.parametrize("day", [8, 9])
def test_the_blizzard_cancelled_over_half_of_the_flights(year, day):
    flights = local_day(year, 2, day)
    assert flights["dep_delay"].null_count / flights.num_rows > 0.5


@pytest.mark.slow
def test_the_day_before_the_blizzard_was_like_any_other(year):
    flights = local_day(year, 2, 7)
    assert flights["dep_delay"].null_count / flights.num_rows < 0.01


@pytest.mark.slow
def test_the_model_explains_most_of_the_delay_it_has_not_seen(split):
    log = split[1].filter(pc.is_valid(split[1]["arr_delay"]))
    observed = log["arr_delay"].to_numpy()
    residual = observed - log["score"].to_numpy()
    assert 1 - np.mean(residual**2) / np.var(observed) > 0.8


@pytest.mark.slow
def test_the_command_writes_one_file_for_each_hour_with_flights(tmp_path):
    december = ["--train-until", "2013-12-01", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, december)
    assert result.exit_code == 0, result.output
    files = sorted(tmp_path.glob("predictions/date=*/hour=*/part-0.parquet"))
    written = sum(pq.read_metadata(file).num_rows for file in files)
    assert written + pq.read_metadata(tmp_path / "training.parquet").num_rows == 336_776
    noon = pq.ParquetFile(tmp_path / "predictions/date=2013-12-01/hour=17/part-0.parquet").read()
    assert set(pc.hour(noon["timestamp"]).to_pylist()) == {17}
