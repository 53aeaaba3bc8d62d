"""The real flights of 2013, through the command line, against scipy and the plain formulas."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp

from examples.flights.data import read_flights
from mlvitals.generator.contract import Status

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NUMERIC = ("dep_delay", "distance", "sched_dep_minute")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Flights:
    """The flights example in a folder of its own, with its reference built."""

    root: Path

    @property
    def spec(self) -> Path:
        return self.root / "specs" / "flights.yaml"

    @property
    def data(self) -> Path:
        return self.root / "examples" / "flights" / "data"

    def drift(self, start: str, end: str) -> dict[str, Any]:
        return json.loads(run("mlvitals", "drift", self.spec, "--start", start, "--end", end, "--json"))

    def log(self, start: datetime, end: datetime, column: str) -> np.ndarray:
        """A column of the log between two times, read plainly."""
        table = ds.dataset(self.data / "predictions", partitioning="hive").to_table(columns=["timestamp", column])
        inside = pc.and_(pc.greater_equal(table["timestamp"], start), pc.less(table["timestamp"], end))
        return table.filter(inside)[column].drop_null().to_numpy()

    def training(self, column: str) -> np.ndarray:
        return pq.read_table(self.data / "training.parquet", columns=[column])[column].drop_null().to_numpy()


def run(module: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def flights_until(root: Path, train_until: str) -> Flights:
    example = Flights(root)
    example.spec.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "specs" / "flights.yaml", example.spec)
    run("examples.flights", "--out", example.data, "--train-until", train_until)
    run("mlvitals", "reference", "build", example.spec, "--data", example.data / "training.parquet")
    return example


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Flights:
    return flights_until(tmp_path_factory.mktemp("year"), "2013-04-01")


@pytest.fixture(scope="module")
def first_of_july(year: Flights) -> dict[str, Any]:
    return year.drift("2013-07-01", "2013-07-02")


def test_every_feature_has_a_number_or_a_state(first_of_july: Mapping[str, Any]):
    features = first_of_july["features"]
    assert set(features) == {"dep_delay", "distance", "carrier", "origin", "dest", "sched_dep_minute"}
    for feature in features.values():
        measured = feature["status"] == Status.OK
        assert measured == (feature["psi"] is not None)
        assert measured or feature["reason"]


def test_d_agrees_with_scipy_within_the_stated_bound(year: Flights, first_of_july: Mapping[str, Any]):
    july = (datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 2, tzinfo=UTC))
    for name in NUMERIC:
        feature = first_of_july["features"][name]
        truth = ks_2samp(year.training(name), year.log(*july, name)).statistic
        lowest = feature["ks"]["value"]
        assert lowest - 1e-12 <= truth <= lowest + feature["ks_error_bound"] + 1e-12
        assert feature["ks_error_bound"] < 0.01


def test_psi_agrees_with_the_plain_formula_on_the_same_cells(first_of_july: Mapping[str, Any], year: Flights):
    features = {**first_of_july["features"], "score": first_of_july["score"]}
    training_rows = pq.read_metadata(year.data / "training.parquet").num_rows
    measured = {name: feature for name, feature in features.items() if feature["psi"]}
    assert len(measured) >= 5
    for name, feature in measured.items():
        n = round(training_rows * (1 - null_share(year, name)))
        reference = np.array([cell["reference"] for cell in feature["bins"]]) * n
        current = np.array([cell["current"] for cell in feature["bins"]]) * feature["rows"]
        assert np.allclose([reference, current], np.round([reference, current]), atol=1e-6)
        assert math.isclose(plain_psi(np.round(reference), np.round(current)), feature["psi"]["value"], abs_tol=1e-9)


def null_share(year: Flights, name: str) -> float:
    column = pq.read_table(year.data / "training.parquet", columns=[name])[name]
    return column.null_count / len(column)


def plain_psi(reference: np.ndarray, current: np.ndarray) -> float:
    """The sum of (q - p) ln(q / p), with half a count in every cell that either side has filled."""
    filled = (reference + current) > 0
    p, q = ((counts[filled] + 0.5) / (counts[filled] + 0.5).sum() for counts in (reference, current))
    return float(((q - p) * np.log(q / p)).sum())


def test_the_blizzard_shows_in_the_null_rate_against_january(tmp_path: Path):
    february = flights_until(tmp_path, "2013-02-01")
    calm = february.drift("2013-02-05T05:00", "2013-02-06T05:00")["features"]["dep_delay"]
    storm = [
        february.drift(f"2013-02-{day:02}T05:00", f"2013-02-{day + 1:02}T05:00")["features"]["dep_delay"]
        for day in (8, 9)
    ]
    assert calm["null_rate"] < 0.05
    assert all(feature["null_rate"] > 0.5 for feature in storm)


def test_the_log_and_the_training_data_are_all_flights_of_the_year(year: Flights):
    logged = ds.dataset(year.data / "predictions", partitioning="hive").count_rows()
    trained = pq.read_metadata(year.data / "training.parquet").num_rows
    assert logged + trained == read_flights().num_rows == 336_776
