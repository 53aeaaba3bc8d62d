"""The scrapes of StreamRec's past."""

import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

from examples.streamrec import write
from examples.streamrec.__main__ import main
from examples.streamrec.past import Instances, scrape_times, scrapes, write_past
from examples.streamrec.simulate import simulate

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BEGIN = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
END = BEGIN + timedelta(hours=1)


def test_scrapes_are_the_denser_the_newer_they_are():
    newest = BEGIN + timedelta(days=4)
    times = list(scrape_times(BEGIN, newest, newest))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps, reverse=True)
    assert set(gaps) == {60.0, 30.0, 15.0}


def test_every_prediction_of_the_log_is_counted_over_the_edge_of_an_hour(streamrec):
    times = [BEGIN + minutes * timedelta(minutes=15) for minutes in range(5)]
    counted = []
    for _, scraped in scrapes(streamrec, times, seed=1):
        [impressions] = [metric for metric in scraped.serving if metric.name == "streamrec_impressions"]
        counted.append(impressions.samples[0].value)
    logged = [simulate(BEGIN, time, seed=1).num_rows if time > BEGIN else 0 for time in times]
    assert counted == logged


def test_promtool_makes_blocks_of_it(streamrec, promtool, tmp_path):
    [file] = write_past(streamrec, tmp_path, BEGIN, END, Instances("streamrec:8000", "exporter:9108"), seed=1)
    text = file.read_text()
    assert text.endswith("# EOF\n")
    assert 'up{job="streamrec-serving",instance="streamrec:8000"} 1' in text
    assert 'streamrec_data_freshness_seconds{feature_source="model_embeddings",job="streamrec-exporter"' in text
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", file, tmp_path / "blocks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_begun_hour_is_logged_where_it_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "TRAINING_DAYS", 1)
    arguments = ["history", "--days", "1", "--end", "2026-03-01T10:20", "--rate", "60", "--out", str(tmp_path)]
    CliRunner().invoke(main, [*arguments, "--begun-hour"], catch_exceptions=False)
    assert (tmp_path / "predictions" / "date=2026-03-01" / "hour=10" / "part-0.parquet").exists()


def test_recording_rules_are_written_by_level(tmp_path):
    done = CliRunner().invoke(
        main, ["records", str(REPOSITORY / "specs" / "streamrec.yaml"), "--out", str(tmp_path / "records")]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "records" / "01.yml").exists()
