"""`mlvitals lint` warns of what works on no real system."""

import json
from pathlib import Path

import pytest
from command_line import mlvitals

from mlvitals.generator.spec.load import advice_on

MINIMAL = """version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {type: integer}}
"""
COMPLETE = (
    MINIMAL.replace("{type: integer}", "{type: integer, source: batch}")
    + """sources: {batch: {max_age: 1h, path: batch}}
routing:
  receivers:
    pager: {webhook: {url: "https://pager.internal/hook"}}
  critical: pager
  warning: pager
  watchdog: pager
links: {runbooks: "https://wiki.internal/runbooks", alertmanager: "https://alerts.internal"}
"""
)


def advised(text: str, folder: Path) -> list[str]:
    path = folder / "shop.yaml"
    path.write_text(text)
    found = advice_on(path)
    return [] if found is None else [item.message for item in found.diagnostics]


def test_a_spec_that_says_all_of_it_has_no_warning(tmp_path: Path):
    assert advised(COMPLETE, tmp_path) == []


@pytest.mark.parametrize(
    ("written", "instead", "warning"),
    [
        ("  critical: pager\n", "", 'routing.critical is not set: critical alerts go to "pager", where milder ones go'),
        ("  warning: pager\n", "", "routing sends warning alerts to nobody"),
        ("  watchdog: pager\n", "", "routing.watchdog is not set"),
        ('runbooks: "https://wiki.internal/runbooks", ', "", "links.runbooks is example.com"),
        (', alertmanager: "https://alerts.internal"', "", "links.alertmanager is http://localhost:9093"),
        (", source: batch", "", "features have no source"),
    ],
)
def test_each_default_that_helps_nobody_is_a_warning(written: str, instead: str, warning: str, tmp_path: Path):
    assert written in COMPLETE
    [found] = advised(COMPLETE.replace(written, instead), tmp_path)
    assert found.startswith(warning)


def test_warnings_have_places_and_are_no_errors(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(MINIMAL)
    done = mlvitals("lint", tmp_path / "shop.yaml")
    assert done.returncode == 0
    assert "shop.yaml:4:11: warning: features have no source" in done.stdout
    assert "warning: routing sends critical and warning alerts to nobody" in done.stdout


def test_programs_are_told_the_severity(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(MINIMAL)
    found = json.loads(mlvitals("lint", tmp_path / "shop.yaml", "--format", "json").stdout)
    assert {item["severity"] for item in found} == {"warning"}
    assert mlvitals("lint", tmp_path / "shop.yaml", "--format", "github").stdout.startswith("::warning ")


def test_errors_come_first_and_alone_decide(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(MINIMAL)
    (tmp_path / "broken.yaml").write_text(MINIMAL.replace("integer", "colour"))
    done = mlvitals("lint", tmp_path / "shop.yaml", tmp_path / "broken.yaml")
    assert done.returncode == 1
    assert "error: " in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("alerts", "warned"),
    [
        ("{feature_psi: {keep_firing_for: 15m}}", True),
        ("{feature_psi: {keep_firing_for: 2h}}", False),
        ("{error_rate: {keep_firing_for: 1m}, freshness: {keep_firing_for: 1m}}", False),
    ],
)
def test_an_alert_on_windows_that_resolves_within_one_is_warned_of(alerts: str, warned: bool, tmp_path: Path):
    found = advised(f"{COMPLETE}alerts: {alerts}\n", tmp_path)
    assert [message.partition(" is ")[0] for message in found] == ["alerts.feature_psi.keep_firing_for"] * warned
