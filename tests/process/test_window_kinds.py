"""Calendar windows and windows of a number of rows, from the log to what is kept and published."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from command_line import mlvitals
from exporter_bench import MINUTE, REFERENCE, Bench, Clock, window_end
from exporter_samples import HOUR, NOON, SPEC, log_rows, write_parquet

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import CalendarUnit, Windows

OF_ROWS = msgspec.structs.replace(SPEC, windows=Windows(rows=1000))
DAYS = msgspec.structs.replace(SPEC, windows=Windows(calendar=CalendarUnit.DAY, time_zone="America/New_York"))

FILE = """
version: 1
system: {{name: shop}}
prediction_log: {{path: log}}
features: {{age: {{type: integer}}}}
windows: {windows}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, Clock(NOON + 5 * MINUTE))
    made.promote(REFERENCE)
    return made


def test_an_exporter_measures_days_of_a_time_zone(bench: Bench):
    midnight = datetime(2026, 3, 3, 5, tzinfo=UTC)  # in New York
    write_parquet(log_rows(midnight - 30 * HOUR, midnight + HOUR, 3100), bench.folder / "log" / "rows.parquet")
    bench.start(DAYS).run_due()
    bench.clock.now = midnight + 24 * HOUR + 5 * MINUTE
    exporter = bench.start(DAYS)
    exporter.run_due()
    exporter.run_due()
    assert bench.ends_kept() == [midnight, midnight + 24 * HOUR]
    assert window_end(exporter) == (midnight + 24 * HOUR).timestamp()


def test_an_exporter_measures_every_thousand_rows_and_a_restart_goes_on_from_the_last_one(bench: Bench):
    write_parquet(log_rows(NOON - 24 * HOUR, NOON + 12 * HOUR, 3600), bench.folder / "log" / "rows.parquet")
    bench.start(OF_ROWS).run_due()
    [first] = bench.ends_kept()
    bench.clock.now = NOON + 13 * HOUR
    bench.start(OF_ROWS).run_due()
    ends = bench.ends_kept()
    assert ends[0] == first
    assert len(ends) == 2
    assert timedelta(hours=9, minutes=59) < ends[1] - ends[0] <= timedelta(hours=10)


def spec_file(bench: Bench, windows: str) -> Path:
    path = bench.folder / "shop.yaml"
    path.write_text(FILE.format(windows=windows))
    return path


def test_backfill_measures_a_day_of_23_hours(bench: Bench):
    start = datetime(2026, 3, 7, 5, tzinfo=UTC)
    write_parquet(log_rows(start, start + 72 * HOUR, 7200), bench.folder / "log" / "rows.parquet")
    spec = spec_file(bench, "{calendar: day, time_zone: America/New_York}")
    done = mlvitals("backfill", spec, "--start", "2026-03-07T05:00Z", "--end", "2026-03-10T12:00Z", "--save")
    assert done.returncode == 0, done.stderr
    lines = mlvitals("history", spec).stdout.splitlines()
    assert "2026-03-08 05:00 to 2026-03-09 04:00" in "\n".join(lines)
    assert lines[0].startswith("shop: 3 windows")


def test_backfill_measures_windows_of_rows(bench: Bench):
    write_parquet(log_rows(NOON - 10 * HOUR, NOON, 6000), bench.folder / "log" / "rows.parquet")
    spec = spec_file(bench, "{rows: 2000}")
    done = mlvitals("backfill", spec, "--start", "2026-03-03T02:00Z", "--end", "2026-03-03T12:00Z", "--save")
    assert done.returncode == 0, done.stderr
    assert mlvitals("history", spec).stdout.startswith("shop: 3 windows")


@pytest.mark.parametrize(
    ("windows", "text"),
    [
        (
            "{calendar: month, time_zone: Europe/Berlin}",
            "A window is a calendar month of Europe/Berlin, measured 5m after its end.",
        ),
        ("{rows: 2000}", "A window is 2,000 rows, or 1d where fewer come, measured 5m after its end."),
        ("{length: 1d, step: 1h}", "A window of 1d is measured every 1h, 5m after its end."),
    ],
)
def test_runbooks_say_what_a_window_is(bench: Bench, windows: str, text: str):
    files = compile_spec(load_spec(spec_file(bench, windows)))
    assert any(text in content for content in files.values())


def test_results_of_months_are_not_stale_for_two_months(bench: Bench):
    files = compile_spec(load_spec(spec_file(bench, "{calendar: month, time_zone: UTC}")))
    assert any(str(2 * 31 * 86_400 + 300) in text for name, text in files.items() if name.startswith("alert_rules"))


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ("{calendar: day, length: 1d}", "cannot be combined with windows.calendar"),
        ("{rows: 500, step: 1h}", "cannot be combined with windows.rows"),
        ("{calendar: day, rows: 500}", "cannot be combined with windows.calendar"),
        ("{time_zone: Europe/Berlin}", "is used only with windows.calendar"),
        ("{calendar: day, time_zone: Europe/Berln}", "which is not a time zone"),
        ("{calendar: year}", "calendar"),
    ],
)
def test_contradictions_are_refused(bench: Bench, windows: str, problem: str):
    done = mlvitals("lint", spec_file(bench, windows))
    assert done.returncode == 1
    assert problem in done.stdout + done.stderr
