"""`mlvitals history`: many measured windows at a glance."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from command_line import mlvitals
from exporter_samples import HOUR, NOON, measured, report
from msgspec.structs import replace

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.spec.model import Results, Severity

SPEC = """
version: 1
system: {name: shop}
prediction_log: {path: log, timestamp: at}
features: {age: {type: integer}}
results: {url: "sqlite:///results.db"}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SPEC)
    calm = replace(measured(severity=None), psi=Measure(value=0.01, critical_value=0.03))
    finding = Finding(section="features", kind="feature_psi", severity=Severity.CRITICAL, subject="age")
    with closing(open_results(Results(url="sqlite:///results.db"), tmp_path)) as results:
        for hours in range(4):
            bad = hours == 2
            end = NOON + hours * HOUR
            results.save(
                report(
                    window=Window(end - HOUR, end),
                    features={"age": measured(0.4) if bad else calm},
                    score=None,
                    findings=(finding,) if bad else (),
                    severity=Severity.CRITICAL if bad else None,
                )
            )
    return tmp_path


def test_each_window_is_a_line_with_what_was_found(place: Path):
    done = mlvitals("history", place / "shop.yaml")
    heading, titles, *lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert heading == "shop: 4 windows: 1 critical, 3 with nothing found"
    assert titles.startswith("window, UTC")
    assert len(lines) == 4
    assert re.search(r"2026-03-03 13:00 to 14:00 +features critical +age +0\.400", lines[2])
    assert "nothing found" in lines[0]


def test_the_time_can_be_narrowed(place: Path):
    done = mlvitals("history", place / "shop.yaml", "--start", "2026-03-03T12:00", "--end", "2026-03-03T13:00")
    assert len(done.stdout.splitlines()) == 3
    assert "12:00 to 13:00" in done.stdout


def test_quiet_windows_can_be_left_out(place: Path):
    assert len(mlvitals("history", place / "shop.yaml", "--found").stdout.splitlines()) == 3


def test_json_has_the_fields_of_the_reports(place: Path):
    found = json.loads(mlvitals("history", place / "shop.yaml", "--json").stdout)
    assert found["schema"] == "mlvitals.history/1"
    assert [item["severity"] for item in found["windows"]] == [None, None, "critical", None]
    assert found["windows"][2]["features"]["age"]["psi"]["value"] == 0.4


def test_the_page_links_to_reports_that_were_written_with_it(place: Path):
    done = mlvitals("history", place / "shop.yaml", "--html", place / "history.html", "--reports", place / "reports")
    assert done.returncode == 0
    page = (place / "history.html").read_text()
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links == {"reports/20260303T130000Z-20260303T140000Z.html"}
    assert all((place / link).read_text().startswith("<!doctype html>") for link in links)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--start", "2030-01-01"), "no kept window of shop ended in that time"),
        (("--start", "2026-03-04", "--end", "2026-03-03"), "must be after --start"),
        (("--reports", "there"), "--reports needs --html"),
    ],
)
def test_what_cannot_be_shown_is_said(place: Path, options: tuple[str, ...], says: str):
    done = mlvitals("history", place / "shop.yaml", *options)
    assert done.returncode
    assert says in done.stderr


def test_a_database_that_is_missing_is_not_made(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(SPEC)
    done = mlvitals("history", tmp_path / "shop.yaml")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert not (tmp_path / "results.db").exists()


def test_an_empty_database_says_how_to_fill_it(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(SPEC)
    with closing(open_results(Results(url="sqlite:///results.db"), tmp_path)) as results:
        assert results.last_report("shop") is None
    done = mlvitals("history", tmp_path / "shop.yaml")
    assert done.returncode == 1
    assert "mlvitals backfill" in done.stderr
