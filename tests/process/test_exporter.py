import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from exporter_bench import MINUTE, REFERENCE, TRAINING, Bench, Clock, failures, window_end
from exporter_samples import HOUR, NOON, SPEC, log_rows, value, write_parquet

from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.exporter import Exporter, run_exporter
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Results, Spec, Windows


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, Clock(NOON + 5 * MINUTE))
    made.promote(REFERENCE)
    made.write(NOON - HOUR)
    return made


# ---------------------------------------------------------------- runs


def test_a_due_window_is_measured_published_and_kept(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    page = exporter.metrics().body
    assert value(page, "shop_window_end_timestamp_seconds") == NOON.timestamp()
    assert value(page, "shop_window_rows") == 1000
    assert value(page, "shop_exporter_runs_total") == 1
    assert value(page, "shop_exporter_last_success_timestamp_seconds") == bench.clock.now.timestamp()
    assert bench.ends_kept() == [NOON]


def test_people_find_the_window_at_the_root_and_its_report_behind_it(bench: Bench) -> None:
    exporter = bench.start()
    assert "No window is kept yet" in exporter.pages()["/"]().body.decode()
    bench.clock.now += MINUTE
    exporter.run_due()
    page = exporter.pages()["/"]().body.decode()
    assert "1 window, 2026-03-03 11:00 to 2026-03-03 12:00 UTC" in page
    report = exporter.folders()["/windows/"]("20260303T110000Z-20260303T120000Z")
    assert "All features" in report.body.decode()


def test_nothing_runs_before_the_grace_is_over(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    bench.clock.now = NOON + HOUR + 4 * MINUTE
    exporter.run_due()
    assert value(exporter.metrics().body, "shop_exporter_runs_total") == 1


def test_a_restart_publishes_the_last_report_at_once(bench: Bench) -> None:
    before = bench.start()
    before.run_due()
    measured_at = bench.clock.now
    bench.clock.now += 10 * MINUTE
    after = bench.start()
    assert after.readiness().status == HTTPStatus.OK
    assert window_end(after) == NOON.timestamp()
    assert value(after.metrics().body, "shop_exporter_last_success_timestamp_seconds") == measured_at.timestamp()


def test_after_a_restart_the_duration_of_the_last_run_is_still_known(bench: Bench) -> None:
    bench.start().run_due()
    kept = open_results(SPEC.results, bench.folder).duration("shop", Window(NOON - HOUR, NOON))
    assert kept is not None
    assert value(bench.start().metrics().body, "shop_exporter_run_duration_seconds") == kept


def test_a_restart_does_not_measure_a_kept_window_again(bench: Bench) -> None:
    bench.start().run_due()
    after = bench.start()
    after.run_due()
    assert value(after.metrics().body, "shop_exporter_runs_total") == 0


def test_windows_missed_while_stopped_are_caught_up_and_the_newest_is_published(bench: Bench) -> None:
    bench.start().run_due()
    bench.clock.now = NOON + 3 * HOUR + 5 * MINUTE
    after = bench.start()
    after.run_due()
    assert bench.ends_kept() == [NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert window_end(after) == (NOON + 3 * HOUR).timestamp()


def test_no_more_windows_are_caught_up_than_the_spec_says(bench: Bench) -> None:
    spec = msgspec.structs.replace(SPEC, windows=Windows(catch_up=1))
    bench.start(spec).run_due()
    bench.clock.now = NOON + 5 * HOUR + 5 * MINUTE
    bench.start(spec).run_due()
    assert bench.ends_kept() == [NOON, NOON + 4 * HOUR, NOON + 5 * HOUR]


def test_a_promoted_reference_takes_effect_with_the_next_window(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    version = bench.promote(build_reference(SPEC, TRAINING, created=NOON, source_hash="new"))
    bench.clock.now += HOUR
    exporter.run_due()
    assert value(exporter.metrics().body, "shop_reference_info", reference_version=version) == 1
    assert value(exporter.metrics().body, "shop_reference_info", reference_version=REFERENCE.version) is None


def test_a_feature_that_the_log_loses_leaves_the_page(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    assert value(exporter.metrics().body, "shop_drift_psi", feature_name="age") is not None
    lacking = log_rows(NOON, NOON + HOUR).drop_columns(["age"])
    write_parquet(lacking, bench.folder / "log" / "next.parquet")
    bench.clock.now += HOUR
    exporter.run_due()
    page = exporter.metrics().body
    assert value(page, "shop_drift_psi", feature_name="age") is None
    assert value(page, "shop_feature_status", feature_name="age", status="missing_in_serving") == 1


def test_results_older_than_the_retention_are_forgotten(bench: Bench) -> None:
    spec = msgspec.structs.replace(SPEC, results=Results(retention="90m"))
    exporter = bench.start(spec)
    for begin in (NOON - HOUR, NOON, NOON + HOUR):
        bench.write(begin)
        exporter.run_due()
        bench.clock.now += HOUR
    assert bench.ends_kept() == [NOON + HOUR, NOON + 2 * HOUR]


# ---------------------------------------------------------------- late rows


def test_rows_that_arrive_within_the_grace_are_counted(bench: Bench) -> None:
    exporter = bench.start()
    bench.clock.now = NOON + 4 * MINUTE
    exporter.run_due()
    write_parquet(log_rows(NOON - HOUR, NOON, 500), bench.folder / "log" / "late.parquet")
    bench.clock.now = NOON + 5 * MINUTE
    exporter.run_due()
    assert value(exporter.metrics().body, "shop_window_rows") == 1500


def test_rows_that_arrive_after_a_window_was_measured_are_not_counted(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    write_parquet(log_rows(NOON - HOUR, NOON, 500), bench.folder / "log" / "late.parquet")
    bench.clock.now += 50 * MINUTE
    exporter.run_due()
    bench.start().run_due()
    assert value(exporter.metrics().body, "shop_window_rows") == 1000
    assert value(bench.start().metrics().body, "shop_window_rows") == 1000


# ---------------------------------------------------------------- failures


def lose_log(bench: Bench) -> None:
    (bench.folder / "log").rename(bench.folder / "gone")


def lose_references(bench: Bench) -> None:
    (bench.folder / "references").rename(bench.folder / "gone")


@pytest.mark.parametrize(
    ("lose", "said"),
    [(lose_log, "prediction_log.path log does not exist"), (lose_references, "no reference of shop")],
    ids=["log", "references"],
)
def test_a_failed_run_keeps_the_last_good_values_and_says_why(
    bench: Bench, lose: Callable[[Bench], None], said: str
) -> None:
    exporter = bench.start()
    exporter.run_due()
    lose(bench)
    bench.clock.now += HOUR
    exporter.run_due()
    page = exporter.metrics().body
    assert window_end(exporter) == NOON.timestamp()
    assert value(page, "shop_exporter_runs_total") == 2
    assert value(page, "shop_exporter_run_failures_total") == 1
    assert value(page, "shop_exporter_last_run_timestamp_seconds") == bench.clock.now.timestamp()
    assert value(page, "shop_exporter_last_success_timestamp_seconds") == (NOON + 5 * MINUTE).timestamp()
    measured, event = bench.events()
    assert (measured["event"], measured["level"]) == ("window_measured", "info")
    assert (event["event"], event["level"]) == ("run_failed", "error")
    assert (event["system"], event["window_end"]) == ("shop", "2026-03-03T13:00:00+00:00")
    assert said in event["error"]


def test_a_window_that_failed_is_measured_with_the_next(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    lose_log(bench)
    bench.clock.now += HOUR
    exporter.run_due()
    (bench.folder / "gone").rename(bench.folder / "log")
    bench.clock.now += HOUR
    exporter.run_due()
    assert bench.ends_kept() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert failures(exporter) == 1


def failing_at(*ends: datetime) -> Callable[..., WindowReport]:
    """A measurement that breaks in some windows."""

    def run(
        spec: Spec, folder: Path, reference: Reference, version: str, window: Window, now: datetime, **known: Any
    ) -> WindowReport:
        if window.end in ends:
            raise LogError("the disk hiccups")
        return measure_window(spec, folder, reference, version, window, now, **known)

    return run


@pytest.fixture
def after_a_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Exporter:
    """An exporter that lost the window that ended at 13:00 and has those around it."""
    exporter = bench.start()
    exporter.run_due()
    bench.clock.now += 2 * HOUR
    with monkeypatch.context() as broken:
        broken.setattr("mlvitals.exporters.process.runs.measure_window", failing_at(NOON + HOUR))
        exporter.run_due()
    assert bench.ends_kept() == [NOON, NOON + 2 * HOUR]
    return exporter


def test_a_window_that_failed_before_a_newer_one_is_caught_up(bench: Bench, after_a_gap: Exporter) -> None:
    bench.clock.now += HOUR
    after_a_gap.run_due()
    assert bench.ends_kept() == [NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert window_end(after_a_gap) == (NOON + 3 * HOUR).timestamp()


@pytest.mark.usefixtures("after_a_gap")
def test_a_restart_catches_up_a_window_that_failed_before_a_newer_one(bench: Bench) -> None:
    restarted = bench.start()
    restarted.run_due()
    assert bench.ends_kept() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert window_end(restarted) == (NOON + 2 * HOUR).timestamp()


def test_a_window_that_keeps_failing_is_given_up_when_it_is_older_than_catch_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlvitals.exporters.process.runs.measure_window", failing_at(NOON + HOUR))
    exporter = bench.start(msgspec.structs.replace(SPEC, windows=Windows(catch_up=2)))
    for _ in range(6):
        exporter.run_due()
        bench.clock.now += HOUR
    assert bench.ends_kept() == [NOON, *(NOON + hours * HOUR for hours in (2, 3, 4, 5))]
    assert failures(exporter) == 3


def test_measurements_are_published_even_where_they_cannot_be_kept(bench: Bench) -> None:
    (bench.folder / "results.db").mkdir()
    exporter = bench.start()
    exporter.run_due()
    assert window_end(exporter) == NOON.timestamp()
    assert failures(exporter) == 1
    assert value(exporter.metrics().body, "shop_exporter_last_success_timestamp_seconds") is None
    assert [event["event"] for event in bench.events()] == ["restore_failed", "run_failed"]


def test_whatever_breaks_in_one_window_the_next_is_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = bench.start()
    with monkeypatch.context() as broken:
        broken.setattr("mlvitals.exporters.process.runs.measure_window", lambda *_, **known: 1 / 0)
        exporter.run_due()
    assert bench.events()[0]["error"] == "ZeroDivisionError: division by zero"
    bench.clock.now += HOUR
    exporter.run_due()
    assert window_end(exporter) == (NOON + HOUR).timestamp()


# ---------------------------------------------------------------- health


def test_it_is_not_ready_before_the_first_window(bench: Bench) -> None:
    page = bench.start().readiness()
    assert (page.status, page.body) == (HTTPStatus.SERVICE_UNAVAILABLE, b"not ready: no window is measured yet\n")


def test_it_is_not_ready_when_every_run_failed(bench: Bench) -> None:
    lose_log(bench)
    exporter = bench.start()
    exporter.run_due()
    assert exporter.readiness().status == HTTPStatus.SERVICE_UNAVAILABLE
    assert b"every run failed" in exporter.readiness().body


def test_a_loop_that_does_not_turn_is_unhealthy(bench: Bench) -> None:
    exporter = bench.start()
    assert exporter.health().status == HTTPStatus.OK
    bench.clock.now += HOUR + MINUTE
    assert exporter.health().status == HTTPStatus.SERVICE_UNAVAILABLE


def test_a_source_of_unknown_age_is_told_once(bench: Bench) -> None:
    exporter = bench.start()
    exporter.refresh_freshness("batch")
    exporter.refresh_freshness("batch")
    (event,) = bench.events()
    assert (event["event"], event["source"]) == ("source_age_unknown", "batch")
    assert "does not exist" in event["reason"]


def test_a_source_that_comes_back_has_an_age_again(bench: Bench) -> None:
    exporter = bench.start()
    exporter.refresh_freshness("batch")
    (bench.folder / "batch").write_text("x")
    os.utime(bench.folder / "batch", (NOON.timestamp(), NOON.timestamp()))
    exporter.refresh_freshness("batch")
    assert value(exporter.metrics().body, "shop_data_freshness_seconds", feature_source="batch") == 300


# ---------------------------------------------------------------- the loop and the process


class Ticks(threading.Event):
    """A stop signal that lets time pass instead of waiting, and ends the loop after some waits."""

    def __init__(self, clock: Clock, waits: int) -> None:
        super().__init__()
        self.clock, self.waits, self.slept = clock, waits, []

    def wait(self, timeout: float | None = None) -> bool:
        self.slept.append(timeout)
        self.clock.now += timedelta(seconds=timeout)
        if len(self.slept) == self.waits:
            self.set()
        return self.is_set()


def test_the_loop_measures_each_window_once_as_it_becomes_due(bench: Bench) -> None:
    exporter = bench.start()
    ticks = Ticks(bench.clock, waits=241)
    exporter.loop(ticks)
    assert bench.ends_kept() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert value(exporter.metrics().body, "shop_exporter_runs_total") == 3
    assert 0 < min(ticks.slept) <= max(ticks.slept) <= 30


def test_the_loop_tries_a_failed_window_again_within_minutes(bench: Bench) -> None:
    lose_log(bench)
    exporter = bench.start()
    exporter.loop(Ticks(bench.clock, waits=7))
    assert failures(exporter) == 4
    (bench.folder / "gone").rename(bench.folder / "log")
    exporter.loop(Ticks(bench.clock, waits=4))
    assert bench.ends_kept() == [NOON]


def test_a_clock_that_is_set_back_does_not_stop_the_loop(bench: Bench) -> None:
    exporter = bench.start()
    exporter.loop(Ticks(bench.clock, waits=1))
    bench.clock.now -= timedelta(days=1)
    exporter.loop(Ticks(bench.clock, waits=2))
    bench.clock.now = NOON + HOUR + 5 * MINUTE
    exporter.loop(Ticks(bench.clock, waits=1))
    assert bench.ends_kept() == [NOON, NOON + HOUR]


def test_a_clock_that_is_set_back_by_less_than_a_step_measures_nothing_again(bench: Bench) -> None:
    exporter = bench.start()
    exporter.run_due()
    bench.clock.now -= 10 * MINUTE
    exporter.run_due()
    assert value(exporter.metrics().body, "shop_exporter_runs_total") == 1
    assert window_end(exporter) == NOON.timestamp()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_ran_ahead_for_a_while_does_not_silence_the_windows_after_it(bench: Bench, restarts: bool) -> None:
    exporter = bench.start()
    bench.clock.now += timedelta(days=1)
    exporter.run_due()
    assert window_end(exporter) == (NOON + 24 * HOUR).timestamp()
    bench.clock.now = NOON + 6 * MINUTE
    exporter = bench.start() if restarts else exporter
    exporter.run_due()
    told = next(event for event in bench.events() if event["event"] == "clock_set_back")
    assert (told["level"], told["last_window_end"]) == ("warning", (NOON + 24 * HOUR).isoformat())
    assert window_end(exporter) == NOON.timestamp()
    assert value(exporter.metrics().body, "shop_window_rows") == 1000
    last_success = value(exporter.metrics().body, "shop_exporter_last_success_timestamp_seconds")
    assert last_success == bench.clock.now.timestamp()
    bench.write(NOON)
    bench.clock.now += HOUR
    exporter.run_due()
    assert window_end(exporter) == (NOON + HOUR).timestamp()
    assert value(exporter.metrics().body, "shop_window_rows") == 1000


PROCESS = """
import sys, threading
from pathlib import Path
import msgspec
from mlvitals.exporters.process.exporter import run_exporter
from mlvitals.generator.spec.model import Spec

spec = msgspec.json.decode(sys.stdin.read(), type=Spec)
run_exporter(spec, Path(sys.argv[1]), stop=threading.Event(), log_to=sys.stderr, listen="127.0.0.1:0")
"""


@pytest.fixture
def process(bench: Bench) -> Iterator[subprocess.Popen[bytes]]:
    """An exporter as a process of its own, by the real clock."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for begin in (hour - 2 * HOUR, hour - HOUR):
        bench.write(begin)
    (bench.folder / "spec.json").write_bytes(msgspec.json.encode(SPEC))
    with (bench.folder / "spec.json").open() as spec:
        started = subprocess.Popen([sys.executable, "-c", PROCESS, bench.folder], stdin=spec, stderr=subprocess.PIPE)
    with started:
        yield started
        started.kill()


def event(process: subprocess.Popen[bytes], name: str) -> dict[str, str]:
    for line in process.stderr:
        found = json.loads(line)
        if found["event"] == name:
            return found
    raise AssertionError(f"the process ended without the event {name}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_and_ends_cleanly_on_a_signal(
    process: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    url = event(process, "listening")["url"]
    with urlopen(f"{url}/healthz", timeout=60) as answer:
        assert answer.status == HTTPStatus.OK
    with urlopen(f"{url}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert value(answer.read(), "shop_data_freshness_max_age_seconds", feature_source="batch") == 6 * 3600
    process.send_signal(number)
    rest = process.stderr.read().decode()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in rest
    assert json.loads(rest.splitlines()[-1])["event"] == "stopped"


@pytest.mark.slow
def test_it_stops_when_asked_to_and_frees_its_port(bench: Bench) -> None:
    stop, log = threading.Event(), io.StringIO()
    thread = threading.Thread(
        target=run_exporter,
        args=(SPEC, bench.folder),
        kwargs={"stop": stop, "log_to": log, "clock": bench.clock, "listen": "127.0.0.1:0"},
    )
    thread.start()
    wait_for(lambda: '"listening"' in log.getvalue())
    url = json.loads(log.getvalue().splitlines()[0])["url"]
    wait_for(lambda: status(f"{url}/readyz") == HTTPStatus.OK)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    with pytest.raises(OSError):
        urlopen(url, timeout=60)


def status(url: str) -> int:
    try:
        with urlopen(url, timeout=60) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def wait_for(condition: Callable[[], bool], attempts: int = 500) -> None:
    pause = threading.Event()
    for _ in range(attempts):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("waited in vain")
