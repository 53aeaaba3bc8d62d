"""The log lines of a process: their form, and the file that keeps its bounds."""

import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlvitals.cli import main
from mlvitals.exporters.process import json_log
from mlvitals.exporters.process.json_log import JsonLog, Level, LogFileError

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
SPEC = """
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {price: {}}
"""


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_log, "FILE_BYTES", 1000)


def test_a_line_says_when_how_bad_who_and_what() -> None:
    stream = io.StringIO()
    JsonLog(stream, lambda: NOON, "shop", "serving")("run_failed", level=Level.ERROR, error="no log", windows=2)
    assert json.loads(stream.getvalue()) == {
        "time": "2026-03-03T12:00:00.000Z",
        "level": "error",
        "system": "shop",
        "service": "serving",
        "event": "run_failed",
        "error": "no log",
        "windows": 2,
    }


def test_the_time_is_in_utc_and_always_of_one_form() -> None:
    stream = io.StringIO()
    moments = iter([NOON, NOON + timedelta(microseconds=1500), NOON.astimezone(timezone(timedelta(hours=9)))])
    log = JsonLog(stream, lambda: next(moments), "shop")
    for _ in range(3):
        log("tick")
    times = [json.loads(line)["time"] for line in stream.getvalue().splitlines()]
    assert times == ["2026-03-03T12:00:00.000Z", "2026-03-03T12:00:00.001Z", "2026-03-03T12:00:00.000Z"]


@pytest.mark.parametrize("text", ['a\nb "c" \\', "{{ x }} ${y} é \u2028", "broken \udc80", Path("here"), None])
def test_whatever_an_event_tells_it_stays_one_line_of_json(tmp_path: Path, text: object) -> None:
    file = tmp_path / "log.jsonl"
    with JsonLog(io.StringIO(), lambda: NOON, "shop", file=file) as log:
        log("odd", text=text)
    (line,) = file.read_bytes().splitlines()
    assert json.loads(line)["text"] == (str(text) if isinstance(text, Path) else text)


def test_the_file_holds_what_the_stream_holds(tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / "log.jsonl"
    for start in ("first", "second"):
        with JsonLog(stream, lambda: NOON, "shop", file=file) as log:
            log(start)
    assert file.read_text(encoding="utf-8") == stream.getvalue()
    assert [line["event"] for line in lines_of(file)] == ["first", "second"]


@pytest.mark.usefixtures("small_files")
def test_a_full_file_is_put_aside_and_no_line_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with JsonLog(io.StringIO(), lambda: NOON, "shop", file=file) as log:
        for number in range(20):
            log("tick", number=number)
    parts = [tmp_path / "log.jsonl.2", tmp_path / "log.jsonl.1", file]
    assert all(part.stat().st_size <= 1000 for part in parts)
    kept = [line["number"] for part in parts for line in lines_of(part)]
    assert kept == list(range(20))[-len(kept) :]
    assert len(kept) > len(lines_of(file))


@pytest.mark.usefixtures("small_files")
def test_however_much_is_logged_the_files_stay_few(tmp_path: Path) -> None:
    with JsonLog(io.StringIO(), lambda: NOON, "shop", file=tmp_path / "log.jsonl") as log:
        for number in range(200):
            log("tick", number=number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="did not run: this machine has no /dev/full")
def test_a_full_disk_is_told_and_the_process_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with JsonLog(stream, lambda: NOON, "shop", file=Path("/dev/full")) as log:
        log("tick")
    assert json.loads(stream.getvalue())["event"] == "tick"
    told = capsys.readouterr().err
    assert re.search("/dev/full: .*No space left", told)
    assert "Traceback" not in told


def test_a_reader_that_went_away_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    JsonLog(stream, lambda: NOON, "shop")("tick")


def test_a_log_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match=f"cannot write the log file {tmp_path}: Is a directory"):
        JsonLog(io.StringIO(), lambda: NOON, "shop", file=tmp_path)


def test_a_log_file_whose_folder_is_missing_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    file = tmp_path / "missing" / "log.jsonl"
    ran = CliRunner().invoke(main, ["export", str(tmp_path / "spec.yaml"), "--log-file", str(file)])
    assert ran.exit_code == 2
    assert f"Invalid value for '--log-file': the folder '{file.parent}' does not exist; create it first" in ran.output
