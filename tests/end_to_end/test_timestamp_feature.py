"""A timestamp feature through the command line: its age in seconds, from the log to the report."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from command_line import mlvitals

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
SPEC = """\
version: 1
system: {{name: shop}}
prediction_log: {{path: log, format: {form}}}
features:
  last_seen: {{type: timestamp, minimum: 0}}
"""


def rows(begin: datetime, count: int, age: timedelta, seed: int) -> pa.Table:
    """Predictions of one hour whose users were last seen about `age` before."""
    moments = [begin + timedelta(hours=index / count) for index in range(count)]
    ages = np.random.default_rng(seed).gamma(4, age.total_seconds() / 4, count)
    seen = [moment - timedelta(seconds=round(seconds)) for moment, seconds in zip(moments, ages.tolist(), strict=True)]
    kind = pa.timestamp("us", "UTC")
    return pa.table({"timestamp": pa.array(moments, kind), "last_seen": pa.array(seen, kind)})


def run(*arguments: str | Path) -> str:
    done = mlvitals(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_log_that_shows_users_twelve_hours_older_than_in_training_is_found(form: str, tmp_path: Path):
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC.format(form=form))
    training, log = tmp_path / "train.parquet", tmp_path / "log" / f"a.{form}"
    pq.write_table(rows(NOON - timedelta(days=30), 20_000, timedelta(hours=1), seed=1), training)
    log.parent.mkdir()
    now = rows(NOON - timedelta(hours=1), 4000, timedelta(hours=12), seed=2)
    if form == "csv":
        pa_csv.write_csv(now, log)
    else:
        pq.write_table(now, log)

    run("reference", "build", spec, "--data", training)
    window = ("--start", "2026-03-03T11:00", "--end", "2026-03-03T12:00")
    found = json.loads(run("drift", spec, *window, "--json"))["features"]["last_seen"]

    assert (found["type"], found["status"], found["severity"]) == ("timestamp", "ok", "critical")
    assert found["mean"] == pytest.approx(12 * 3600, rel=0.05)
    assert found["reference_mean"] == pytest.approx(3600, rel=0.05)
    assert found["quality"]["mean_shift"]["value"] == pytest.approx(22, abs=1.5)
    assert found["quality"]["median_shift"]["severity"] == "warning"
    assert "mean +2" in run("drift", spec, *window)
