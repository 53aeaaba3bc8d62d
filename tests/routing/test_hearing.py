"""`mlvitals routes`: who hears of each alert is what the generated routes do."""

import json
from pathlib import Path

import pytest
import yaml
from command_line import mlvitals
from routes import fates
from routing_samples import routed

from mlvitals.generator.routing.hearing import hearings
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.labels import alert_labels
from mlvitals.generator.spec.durations import milliseconds

QUIET = """quiet_hours: [{days: [sat, sun], start: "00:00", end: "07:00"}]
  maintenance: [{start: "2026-03-10T08:00Z", end: "2026-03-10T10:00Z", reason: Migration}]"""


@pytest.mark.parametrize("routing", ["", QUIET, "group_interval: 7m"])
def test_the_table_says_what_the_generated_routes_do(routing, generate):
    spec = routed(routing)
    found = {(each.alert, each.severity): each for each in hearings(spec, signals(spec)).alerts}
    route = yaml.safe_load((generate(spec) / "alertmanager.yml").read_text())["route"]
    alerts = [
        (signal, alert) for signal in signals(spec) for alert in signal.alerts if alert.name != "MLErrorBudgetBurn"
    ]
    for signal, alert in alerts:
        said = found[alert.name, alert.severity]
        (end,) = fates(route, {"alertname": alert.name, **alert_labels(spec, signal, alert)})
        assert (said.receiver, milliseconds(said.cooldown)) == (end.receiver, end.repeat_interval)
        assert set(said.not_in) == set(end.silent)


def test_worst_alerts_stand_first_and_none_is_missing():
    spec = routed()
    found = hearings(spec, signals(spec)).alerts
    assert [each.severity for each in found] == sorted(
        (each.severity for each in found), key=["critical", "warning", "info", "none"].index
    )
    assert {each.alert for each in found} == {alert.name for signal in signals(spec) for alert in signal.alerts}


MINIMAL = """version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {type: integer}}
"""


def test_compile_and_lint_say_who_hears_of_what(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(MINIMAL)
    line = "alerts of shop: critical to nobody; warning to nobody; info to nobody; watchdog to nobody"
    assert mlvitals("lint", tmp_path / "shop.yaml").stderr.strip() == line
    assert mlvitals("compile", tmp_path / "shop.yaml", "--out", tmp_path).stderr.splitlines()[-1] == line


def test_the_table_names_receivers_delays_silent_times_and_who_is_next(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(
        MINIMAL
        + """routing:
  receivers: {team: {slack: {channel: "#shop", webhook_file: f}, other: {sns_configs: [{}]}}}
  warning: team
  quiet_hours: [{days: [sat], start: "00:00", end: "07:00"}]
responders: {ann: {email: ann@x}}
escalation: [{role: On call, after: 0m, via: [email], contacts: [ann]}]
"""
    )
    lines = mlvitals("routes", tmp_path / "shop.yaml").stdout.splitlines()
    (drift,) = (line for line in lines if line.startswith("MLFeatureDrift ") and " warning " in line)
    assert drift.split()[-1] == "12h"
    assert "team (slack #shop, sns)" in drift
    assert "after 1m, not in quiet hours" in drift
    assert "  at once: On call (ann) by email" in lines
    assert lines[-1].startswith("alerts of shop: critical to team (slack #shop, sns); warning to team")


def test_programs_get_the_same(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text(MINIMAL)
    found = json.loads(mlvitals("routes", tmp_path / "shop.yaml", "--json").stdout)
    assert found["schema"] == "mlvitals.routes/1"
    assert {alert["receiver"] for alert in found["alerts"]} == {"nobody"}


def test_a_spec_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "shop.yaml").write_text("version: 1\n")
    done = mlvitals("routes", tmp_path / "shop.yaml")
    assert done.returncode == 1
    assert "shop.yaml:1:1: error:" in done.stderr
