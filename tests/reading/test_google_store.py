"""A prediction log, training data and a source in Google's store, as a local server plays it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet

from mlvitals.exporters.paths import RETRY_LIMIT_SECONDS, locate
from mlvitals.exporters.reading.files import Tree
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.freshness import newest
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.training.data import build_from_files
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import LogFormat, PredictionLog, Source

pytest.importorskip("gcp_storage_emulator", reason="did not run: nothing plays Google's store here")

TRAINING = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000)
REFERENCE = build_reference(SPEC, TRAINING, created=NOON - 30 * HOUR, source_hash="")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """HOST:PORT of a store; it has one bucket, named log."""
    command = [sys.executable, str(Path(__file__).with_name("play_google_store.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            yield f"127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def url(store: str, path: str, query: str = "") -> str:
    """The URL of a path, for whoever has no credentials."""
    return f"gs://anonymous@{path}?endpoint_override={store}&scheme=http{query}"


def writer(store: str) -> pafs.FileSystem:
    return pafs.FileSystem.from_uri(url(store, "log"))[0]


def measured(path: str, folder: Path, reference: Reference = REFERENCE, **log: object) -> WindowReport:
    spec = msgspec.structs.replace(SPEC, prediction_log=PredictionLog(path=path, score="score", **log))
    return measure_window(spec, folder, reference, reference.version, WINDOW, NOON)


def names(store: str, path: str) -> list[str]:
    return [file.path for file in Tree(*locate(url(store, path), Path())).walk()]


# ---------------------------------------------------------------- reading


def test_a_partitioned_log_gives_the_same_report_as_on_disk(store: str, tmp_path: Path) -> None:
    """No object marks the folders, as in what Spark or a copying tool writes."""
    for hour in (10, 11, 12):
        begin = NOON + (hour - 12) * HOUR
        rows, part = log_rows(begin, begin + HOUR, 3000, seed=hour), f"date=2026-03-03/hour={hour}/a.parquet"
        write_parquet(rows, tmp_path / "log" / part)
        pq.write_table(rows, f"log/parts/{part}", filesystem=writer(store))
    remote = measured(url(store, "log/parts"), tmp_path)
    assert remote == measured("log", tmp_path)
    assert remote.rows == 3000


def test_a_path_may_end_with_a_slash(store: str, tmp_path: Path) -> None:
    pq.write_table(log_rows(WINDOW.start, WINDOW.end), "log/slash/day/a.parquet", filesystem=writer(store))
    assert measured(url(store, "log/slash/"), tmp_path).rows == 1000


def test_the_endpoint_may_come_from_the_environment(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(log_rows(WINDOW.start, WINDOW.end), "log/by-environment/a.parquet", filesystem=writer(store))
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://{store}")
    assert measured("gs://anonymous@log/by-environment", tmp_path).rows == 1000


def test_folders_are_walked_with_and_without_an_object_that_marks_them(store: str) -> None:
    google = writer(store)
    google.create_dir("log/walk/marked/deep")
    for name in ("marked/deep/b", "implied/deep/a", "implied-too/c", "implied/_hidden/d", "implied/e.tmp"):
        with google.open_output_stream(f"log/walk/{name}") as stream:
            stream.write(b"x")
    assert names(store, "log/walk") == [
        f"log/walk/{name}" for name in ("implied/deep/a", "implied-too/c", "marked/deep/b")
    ]
    assert names(store, "log/walk/implied/deep/a") == ["log/walk/implied/deep/a"]
    assert set(names(store, "log")) >= {"log/walk/implied/deep/a"}


def test_text_formats_are_read_too(store: str, tmp_path: Path) -> None:
    rows = [f'{{"timestamp": "{WINDOW.start.isoformat()}", "age": {age}}}\n' for age in range(1000)]
    with writer(store).open_output_stream("log/text/a.jsonl") as stream:
        stream.write("".join(rows).encode())
    assert measured(url(store, "log/text"), tmp_path, format=LogFormat.JSONL).rows == 1000


def test_an_object_that_is_no_parquet_is_a_problem_and_the_others_are_measured(store: str, tmp_path: Path) -> None:
    pq.write_table(log_rows(WINDOW.start, WINDOW.end), "log/broken/a.parquet", filesystem=writer(store))
    with writer(store).open_output_stream("log/broken/b.parquet") as stream:
        stream.write(b"PAR1 and no more")
    found = measured(url(store, "log/broken"), tmp_path)
    assert found.rows == 1000
    assert [problem.path for problem in found.problems] == ["log/broken/b.parquet"]


def test_training_data_in_the_store_give_the_same_reference_as_on_disk(store: str, tmp_path: Path) -> None:
    pq.write_table(TRAINING, "log/train.parquet", filesystem=writer(store))
    pq.write_table(TRAINING, tmp_path / "train.parquet")
    remote, local = (
        build_from_files(SPEC, tmp_path, [path], NOON) for path in (url(store, "log/train.parquet"), "train.parquet")
    )
    assert remote == local


def test_a_source_is_as_old_as_its_newest_object(store: str, tmp_path: Path) -> None:
    with writer(store).open_output_stream("log/source/day/part") as stream:
        stream.write(b"x")
    written = writer(store).get_file_info("log/source/day/part").mtime
    assert newest(Source(max_age="1h", path=url(store, "log/source")), tmp_path).newest == written


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("path", ["nobucket/parts", "log/nothing"])
def test_a_bucket_or_folder_that_is_not_there_is_told(store: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(LogError, match="does not exist"):
        measured(url(store, path), tmp_path)


@dataclass
class Refusal:
    """A store that answers every request alike."""

    status: int
    body: bytes
    asked: int = 0
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        refusal = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                refusal.asked += 1
                self.send_response(refusal.status)
                self.send_header("Content-Type", "application/json" if refusal.body.startswith(b"{") else "text/html")
                self.send_header("Content-Length", str(len(refusal.body)))
                self.end_headers()
                self.wfile.write(refusal.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return "{}:{}".format(*self.server.server_address)

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def message(path: str, folder: Path) -> str:
    with pytest.raises(LogError) as caught:
        measured(path, folder)
    return str(caught.value)


@pytest.mark.parametrize(("status", "code"), [(403, "PERMISSION_DENIED"), (401, "UNAUTHENTICATED")])
def test_who_may_not_read_is_told_what_the_store_says_after_one_request(status: int, code: str, tmp_path: Path) -> None:
    refusal = Refusal(
        status, b'{"error": {"message": "tester lacks storage.objects.get.", "errors": [{"reason": "forbidden"}]}}'
    )
    with refusal as server:
        path = url(server, "log/parts")
        assert message(path, tmp_path).endswith(f"cannot be read: {code}: tester lacks storage.objects.get.")
    assert refusal.asked == 1


def test_a_store_that_cannot_be_reached_is_told_when_the_retries_end(tmp_path: Path) -> None:
    with Refusal(403, b"") as server:
        pass
    told = message(url(server, "log/parts", "&retry_limit_seconds=1"), tmp_path)
    assert "cannot be read: UNAVAILABLE: " in told
    assert "Could not connect" in told
    assert "metadata" not in told


def test_a_proxy_that_answers_with_a_page_is_told_on_one_line(tmp_path: Path) -> None:
    with Refusal(403, b"<html>\n<body>no</body>\n</html>") as server:
        assert "\n" not in message(url(server, "log/parts"), tmp_path)


def test_credentials_that_cannot_be_read_are_told(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    told = message(f"gs://log/parts?endpoint_override={store}&scheme=http", tmp_path)
    assert f"Cannot open credentials file {tmp_path / 'none.json'}" in told
    assert "metadata" not in told


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("gs://log/parts", RETRY_LIMIT_SECONDS),
        ("gcs://log/parts?scheme=http", RETRY_LIMIT_SECONDS),
        ("gs://log/parts?retry_limit_seconds=60", 60),
    ],
)
def test_retries_end_soon_unless_the_url_says_otherwise(path: str, seconds: int) -> None:
    google, inside = locate(path, Path())
    assert inside == "log/parts"
    assert google.__reduce__()[1][0]["retry_time_limit"].total_seconds() == seconds
