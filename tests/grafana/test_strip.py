"""The state of a layer, asked of real promtool."""

import subprocess

import pytest
import yaml

from mlvitals.generator.boards import Board
from mlvitals.generator.grafana import dashboards
from mlvitals.generator.grafana.strip import layer_state
from mlvitals.generator.promql import selector
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.labels import identifying_labels
from mlvitals.generator.signals.signal import Layer

OK, WARNING, BLIND, CRITICAL = range(4)

WATCHDOG = 'ALERTS{alertname="MLWatchdog",alertstate="firing",system="streamrec",severity="none",layer="monitoring"}'
SERVING, EXPORTER = 'up{job="streamrec-serving"}', 'up{job="streamrec-exporter"}'
SUCCESS = "streamrec_exporter_last_success_timestamp_seconds"
HEALTHY = {WATCHDOG: "1x600", SERVING: "1x600", EXPORTER: "1x600", SUCCESS: "0+60x600"}


def alert(layer, severity, state="firing"):
    return f'ALERTS{{alertname="X",alertstate="{state}",system="streamrec",severity="{severity}",layer="{layer}"}}'


@pytest.fixture
def state_in(streamrec, promtool, tmp_path):
    """Whether layers have the given states at the end of ten hours of the given series."""

    def check(series, expected):
        test = {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": layer_state(streamrec, layer),
                    "eval_time": "10h",
                    "exp_samples": [{"labels": "{}", "value": value}],
                }
                for layer, value in expected.items()
            ],
        }
        path = tmp_path / "states.test.yml"
        path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
        ran = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    return check


def test_every_layer_is_ok_when_everything_is_watched_and_nothing_fires(state_in):
    state_in(HEALTHY, dict.fromkeys(Layer, OK))


def test_a_firing_alert_shows_in_its_layer_alone(state_in):
    fired = HEALTHY | {alert("model", "critical"): "1x600", alert("system", "warning"): "1x600"}
    state_in(fired, dict.fromkeys(Layer, OK) | {Layer.MODEL: CRITICAL, Layer.SYSTEM: WARNING})


def test_the_worst_alert_of_a_layer_counts(state_in):
    fired = HEALTHY | {alert("data", "warning"): "1x600", alert("data", "critical"): "1x600"}
    state_in(fired, {Layer.DATA: CRITICAL})


@pytest.mark.parametrize(("severity", "state"), [("critical", "pending"), ("info", "firing")])
def test_pending_alerts_and_mere_information_are_quiet(state_in, severity, state):
    state_in(HEALTHY | {alert("data", severity, state): "1x600"}, {Layer.DATA: OK})


def test_without_the_exporter_model_and_data_are_blind_and_never_a_lying_green(state_in):
    down = HEALTHY | {EXPORTER: "0x600"}
    state_in(down, {Layer.MODEL: BLIND, Layer.DATA: BLIND, Layer.MONITORING: BLIND, Layer.SYSTEM: OK})


def test_an_exporter_that_nobody_scrapes_is_as_good_as_down(state_in):
    absent = {name: values for name, values in HEALTHY.items() if name != EXPORTER}
    state_in(absent, {Layer.DATA: BLIND, Layer.BUSINESS: OK})


def test_old_results_blind_the_layers_that_rest_on_them(state_in):
    stale = HEALTHY | {SUCCESS: "0x600"}
    state_in(stale, {Layer.MODEL: BLIND, Layer.DATA: BLIND, Layer.BUSINESS: OK, Layer.SYSTEM: OK})


def test_without_the_serving_application_business_and_system_are_blind(state_in):
    down = HEALTHY | {SERVING: "0x600"}
    state_in(down, {Layer.BUSINESS: BLIND, Layer.SYSTEM: BLIND, Layer.DATA: OK})


def test_when_rules_are_not_evaluated_everything_is_blind(state_in):
    silent = {name: values for name, values in HEALTHY.items() if name != WATCHDOG}
    state_in(silent, dict.fromkeys(Layer, BLIND))


def test_blind_outranks_a_warning_and_critical_outranks_blind(state_in):
    down = HEALTHY | {
        EXPORTER: "0x600",
        alert("data", "warning"): "1x600",
        alert("model", "critical"): "1x600",
    }
    state_in(down, {Layer.DATA: BLIND, Layer.MODEL: CRITICAL})


def test_two_subjects_of_an_alert_are_two_rows_of_the_table(streamrec, promtool, tmp_path):
    """Whatever tells two of them apart: a feature, a segment's value, a GPU."""
    watched = signals(streamrec)
    inputs, rows = [], 0
    for name, labels in {
        (alert.name, identifying_labels(alert))
        for signal in watched
        for alert in signal.alerts
        if identifying_labels(alert)
    }:
        for subject in "ab":
            same = {"alertname": name, "severity": "warning", "system": "streamrec", "layer": "data", "incident": "i"}
            own = same | {label: f"{label} {subject}" for label in labels}
            inputs += [selector("ALERTS", alertstate="firing", **own), selector("ALERTS_FOR_STATE", **own)]
            rows += 1
    board = dashboards(streamrec, watched)[Board.MAIN]
    (table,) = (panel for panel in board["panels"] if panel["title"] == "Firing alerts")
    (shown,) = (target["expr"] for target in table["targets"])
    case = {
        "interval": "1m",
        "input_series": [{"series": each, "values": "1x10"} for each in inputs],
        "promql_expr_test": [
            {"expr": f"count({shown})", "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": rows}]}
        ],
    }
    path = tmp_path / "rows.test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    ran = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert rows > 50


COLUMN_OF_1440 = (1440 - 32) / 24
"""Pixels of a column of Grafana's grid on a screen of 1440, without the docked menu."""
CHARACTER, PADDING = 7.8, 16
"""Pixels of a character of a table's text, on average, and around a text."""


def test_the_longest_name_of_an_alert_stands_whole_at_1440_pixels(streamrec):
    """Two columns have no width of their own and share what the others leave: the alert and what it is about."""
    watched = signals(streamrec)
    (table,) = (
        panel for panel in dashboards(streamrec, watched)[Board.MAIN]["panels"] if panel["title"] == "Firing alerts"
    )
    config = table["fieldConfig"]
    (sharing,) = (
        each["matcher"]["options"]["names"]
        for each in config["overrides"]
        if {"id": "custom.width"} in each["properties"]
    )
    assert sharing == ["Alert", "What"]
    fixed = 3 * config["defaults"]["custom"]["width"]  # severity, runbook, since
    longest = max(len(alert.name) for signal in watched for alert in signal.alerts)
    assert (table["gridPos"]["w"] * COLUMN_OF_1440 - fixed) / 2 >= PADDING + CHARACTER * longest
