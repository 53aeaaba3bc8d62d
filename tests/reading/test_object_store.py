"""A prediction log, training data and a source in an object store: S3 as a local server plays it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.csv as pa_csv
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.freshness import newest
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.training.data import build_from_files
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import LogFormat, PredictionLog, Source

TRAINING = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """What a URL needs to reach the store; it has one bucket, named log."""
    moto_server = pytest.importorskip("moto.server", reason="did not run: no S3 here (moto of the dev extra plays it)")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "tester")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        query = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
        filesystem(f"s3://log?{query}&allow_bucket_creation=true").create_dir("log")
        yield query
    server.stop()


def filesystem(url: str) -> pafs.FileSystem:
    return pafs.FileSystem.from_uri(url)[0]


@pytest.fixture
def reference() -> Reference:
    return build_reference(SPEC, TRAINING, created=NOON - 30 * HOUR, source_hash="")


def measured(reference: Reference, path: str, folder: Path, **log: object) -> WindowReport:
    spec = msgspec.structs.replace(SPEC, prediction_log=PredictionLog(path=path, score="score", **log))
    return measure_window(spec, folder, reference, reference.version, WINDOW, NOON)


def test_a_partitioned_log_gives_the_same_report_as_on_disk(s3: str, reference: Reference, tmp_path: Path) -> None:
    store = filesystem(f"s3://log?{s3}")
    for hour in (10, 11, 12):
        begin = NOON + (hour - 12) * HOUR
        rows, part = log_rows(begin, begin + HOUR, 3000, seed=hour), f"date=2026-03-03/hour={hour}/a.parquet"
        write_parquet(rows, tmp_path / "log" / part)
        pq.write_table(rows, f"log/parts/{part}", filesystem=store)
    remote = measured(reference, f"s3://log/parts?{s3}", tmp_path)
    assert remote == measured(reference, "log", tmp_path)
    assert remote.rows == 3000


def test_the_endpoint_may_come_from_the_environment(
    s3: str, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(
        log_rows(WINDOW.start, WINDOW.end), "log/by-environment/a.parquet", filesystem=filesystem(f"s3://log?{s3}")
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3.partition('=')[2].partition('&')[0]}")
    assert measured(reference, "s3://log/by-environment?region=us-east-1", tmp_path).rows == 1000


def test_text_formats_are_read_too(s3: str, reference: Reference, tmp_path: Path) -> None:
    with filesystem(f"s3://log?{s3}").open_output_stream("log/text/a.csv") as stream:
        pa_csv.write_csv(log_rows(WINDOW.start, WINDOW.end), stream)
    assert measured(reference, f"s3://log/text?{s3}", tmp_path, format=LogFormat.CSV).rows == 1000


def test_an_object_that_is_no_parquet_is_a_problem_and_the_others_are_measured(
    s3: str, reference: Reference, tmp_path: Path
) -> None:
    store = filesystem(f"s3://log?{s3}")
    pq.write_table(log_rows(WINDOW.start, WINDOW.end), "log/broken/a.parquet", filesystem=store)
    with store.open_output_stream("log/broken/b.parquet") as stream:
        stream.write(b"PAR1 and no more")
    found = measured(reference, f"s3://log/broken?{s3}", tmp_path)
    assert found.rows == 1000
    assert [problem.path for problem in found.problems] == ["log/broken/b.parquet"]


@pytest.mark.parametrize("path", ["s3://nobucket/parts", "s3://log/nothing"])
def test_a_bucket_or_folder_that_is_not_there_is_told(s3: str, reference: Reference, tmp_path: Path, path: str) -> None:
    with pytest.raises(LogError, match="does not exist"):
        measured(reference, f"{path}?{s3}", tmp_path)


def test_training_data_in_a_store_give_the_same_reference_as_on_disk(s3: str, tmp_path: Path) -> None:
    pq.write_table(TRAINING, "log/train.parquet", filesystem=filesystem(f"s3://log?{s3}"))
    pq.write_table(TRAINING, tmp_path / "train.parquet")
    remote, local = (
        build_from_files(SPEC, tmp_path, [path], NOON) for path in (f"s3://log/train.parquet?{s3}", "train.parquet")
    )
    assert remote == local


def test_a_source_is_as_old_as_its_newest_object(s3: str, tmp_path: Path) -> None:
    with filesystem(f"s3://log?{s3}").open_output_stream("log/source/part") as stream:
        stream.write(b"x")
    before = filesystem(f"s3://log?{s3}").get_file_info("log/source/part").mtime
    assert newest(Source(max_age="1h", path=f"s3://log/source?{s3}"), tmp_path).newest == before
