import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, write_parquet

from mlvitals.exporters.sections import freshness
from mlvitals.exporters.sections.freshness import newest
from mlvitals.generator.spec.model import Source


def source(**where: str) -> Source:
    return Source(max_age="6h", **where)


def touch(file: Path, moment: datetime) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    os.utime(file, (moment.timestamp(), moment.timestamp()))


# ---------------------------------------------------------------- files


def test_a_path_is_as_fresh_as_its_newest_file(tmp_path: Path) -> None:
    touch(tmp_path / "batch" / "date=2026-03-02" / "a", NOON - HOUR)
    touch(tmp_path / "batch" / "date=2026-03-03" / "b", NOON)
    assert newest(source(path="batch"), tmp_path).newest == NOON


def test_a_single_file_has_an_age_too(tmp_path: Path) -> None:
    touch(tmp_path / "model.bin", NOON)
    assert newest(source(path="model.bin"), tmp_path).newest == NOON


def test_hidden_files_do_not_make_a_source_fresh(tmp_path: Path) -> None:
    touch(tmp_path / "batch" / "a", NOON)
    for name in ("_SUCCESS", ".lock", "b.tmp"):
        touch(tmp_path / "batch" / name, NOON + HOUR)
    assert newest(source(path="batch"), tmp_path).newest == NOON


def test_a_file_of_tomorrow_is_passed_on_as_it_is(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    touch(tmp_path / "batch" / "a", tomorrow)
    assert newest(source(path="batch"), tmp_path).newest == tomorrow


@pytest.mark.parametrize(("path", "reason"), [("batch", "does not exist"), ("empty", "holds no files")])
def test_where_there_is_nothing_the_age_is_unknown(path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    reading = newest(source(path=path), tmp_path)
    assert reading.newest is None
    assert reason in reading.reason


def test_a_source_that_says_nothing_of_its_age_is_unknown(tmp_path: Path) -> None:
    assert newest(source(), tmp_path).reason == "the source has no path, query or url to tell its age from"


# ---------------------------------------------------------------- a column


@pytest.mark.parametrize(
    "kind", [*(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")), pa.timestamp("us", "Asia/Tokyo")], ids=str
)
def test_a_column_is_as_fresh_as_its_newest_value(kind: pa.DataType, tmp_path: Path) -> None:
    for hours in (1, 0, 2):
        moments = [NOON - hours * HOUR, NOON - 9 * HOUR, None]
        table = pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC")).cast(kind)})
        write_parquet(table, tmp_path / "batch" / f"{hours}.parquet")
    assert newest(source(path="batch", column="at"), tmp_path).newest == NOON


def test_parquet_statistics_answer_without_reading_values(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([NOON - HOUR, NOON], pa.timestamp("us", "UTC"))})
    file = write_parquet(table, tmp_path / "a.parquet")
    damaged = bytearray(file.read_bytes())
    damaged[4:40] = b"\xff" * 36
    file.write_bytes(damaged)
    assert newest(source(path="a.parquet", column="at"), tmp_path).newest == NOON


def test_files_without_statistics_are_read(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([NOON, NOON - HOUR], pa.timestamp("us", "UTC"))})
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    assert newest(source(path="a.parquet", column="at"), tmp_path).newest == NOON


@pytest.mark.parametrize(
    "values",
    [[int(NOON.timestamp())], [float(NOON.timestamp())], ["2026-03-03T12:00:00Z"], ["2026-03-03T21:00:00+09:00"]],
    ids=str,
)
def test_a_column_may_hold_unix_seconds_or_text(values: list[object], tmp_path: Path) -> None:
    write_parquet(pa.table({"at": values}), tmp_path / "a.parquet")
    assert newest(source(path="a.parquet", column="at"), tmp_path).newest == NOON


def test_a_column_of_csv_is_read(tmp_path: Path) -> None:
    pa_csv.write_csv(pa.table({"at": ["2026-03-03T12:00:00Z", "2026-03-03T11:00:00.5Z"]}), tmp_path / "a.csv")
    assert newest(source(path="a.csv", column="at"), tmp_path).newest == NOON


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"other": [1]}, "has no column 'at'"),
        ({"at": pa.nulls(3, pa.timestamp("us"))}, "column 'at' holds no value"),
        ({"at": [int(NOON.timestamp() * 1000)]}, "is not Unix time in seconds"),
        ({"at": ["soon"]}, "not an ISO 8601 time"),
    ],
)
def test_a_column_that_does_not_tell_is_unknown(table: dict[str, object], reason: str, tmp_path: Path) -> None:
    write_parquet(pa.table(table), tmp_path / "a.parquet")
    reading = newest(source(path="a.parquet", column="at"), tmp_path)
    assert reading.newest is None
    assert reason in reading.reason


def test_a_file_of_an_unknown_kind_is_unknown(tmp_path: Path) -> None:
    touch(tmp_path / "a.xlsx", NOON)
    assert "unknown kind of file" in newest(source(path="a.xlsx", column="at"), tmp_path).reason


# ---------------------------------------------------------------- a query


@pytest.fixture
def features_db(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "features.db") as connection:
        connection.execute("CREATE TABLE features (at)")
        connection.executemany("INSERT INTO features VALUES (?)", [("2026-03-03 11:00:00",), ("2026-03-03 12:00:00",)])
    return "sqlite:///features.db"


def test_a_query_returns_the_newest_time(features_db: str, tmp_path: Path) -> None:
    asked = source(database=features_db, query="SELECT max(at) FROM features")
    assert newest(asked, tmp_path).newest == NOON


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT max(at) FROM features WHERE at IS NULL", "the query returned no time"),
        ("SELECT at FROM features WHERE at IS NULL", "the query returned no time"),
        ("SELECT 'soon'", "'soon' is not an ISO 8601 time"),
        ("SELECT max(at) FROM nowhere", "no such table: nowhere"),
    ],
)
def test_a_query_that_does_not_tell_is_unknown(query: str, reason: str, features_db: str, tmp_path: Path) -> None:
    reading = newest(source(database=features_db, query=query), tmp_path)
    assert reading.newest is None
    assert reason in reading.reason


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    reading = newest(source(database="sqlite:///nowhere.db", query="SELECT 1"), tmp_path)
    assert "nowhere.db does not exist" in reading.reason
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- a health endpoint


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.server.answers.get(self.path)
        self.send_response(200 if body is not None else 503)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    answers = {
        "/iso": {"features": {"user.batch": 1, "updated_at": "2026-03-03T12:00:00Z"}},
        "/seconds": NOON.timestamp(),
        "/milliseconds": NOON.timestamp() * 1000,
        "/null": {"updated_at": None},
    }
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        server.answers = {path: json.dumps(body).encode() for path, body in answers.items()} | {"/html": b"<html>"}
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("where", [{"url": "/iso", "field": "features.updated_at"}, {"url": "/seconds"}], ids=str)
def test_an_endpoint_tells_the_time_in_json(where: dict[str, str], endpoint: str, tmp_path: Path) -> None:
    asked = source(**(where | {"url": endpoint + where["url"]}))
    assert newest(asked, tmp_path).newest == NOON


@pytest.mark.parametrize(
    ("path", "field", "reason"),
    [
        ("/iso", "features.created_at", "has no field 'features.created_at'"),
        ("/seconds", "updated_at", "has no field 'updated_at'"),
        ("/null", "updated_at", "a NoneType is not a point in time"),
        ("/milliseconds", None, "is not Unix time in seconds"),
        ("/html", None, "did not answer with JSON"),
        ("/down", None, "answered 503"),
    ],
)
def test_an_endpoint_that_does_not_tell_is_unknown(
    path: str, field: str | None, reason: str, endpoint: str, tmp_path: Path
) -> None:
    reading = newest(Source(max_age="6h", url=endpoint + path, field=field), tmp_path)
    assert reading.newest is None
    assert reason in reading.reason


def test_an_endpoint_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        reading = newest(source(url=f"http://127.0.0.1:{unused.getsockname()[1]}/"), tmp_path)
    assert "cannot be reached" in reading.reason


def test_an_endpoint_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "HTTP_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reading = newest(source(url=f"http://127.0.0.1:{silent.getsockname()[1]}/"), tmp_path)
    assert "timed out" in reading.reason


def test_an_endpoint_that_drips_is_given_up_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "HTTP_TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for number in range(1000):
                    connection.sendall(b"X-%d: y\r\n" % number)
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        reading = newest(source(url=f"http://me:s3cret@127.0.0.1:{listening.getsockname()[1]}/"), tmp_path)
    assert time.monotonic() - begun < 5
    assert "cannot be reached" in reading.reason
    assert "s3cret" not in reading.reason
