"""Playing a spec faster than life."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.signals import signals
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.durations import milliseconds, seconds
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import CalendarUnit, Windows

SPEC = parse_spec(
    "version: 1\n"
    "system: {name: shop}\n"
    "prediction_log: {path: log, score: s, outcome: {column: y, max_delay: 24h}}\n"
    "features: {amount: {source: batch}}\n"
    "sources: {batch: {max_age: 6h, tolerance: 500ms}}\n"
    "windows: {length: 24h, step: 1h, grace: 0s}\n"
    "slos: {fast: {kind: latency, objective: 0.99, threshold: 0.05}}\n"
    "responders: {ann: {email: a@b, phone: +1-555-0100}}\n"
    "escalation: [{role: a, after: 0s, via: [sms], contacts: [ann]}, {role: b, after: 30m, via: [sms], contacts: [ann]}]\n"
    "routing: {group_wait: 30s, group_interval: 5m}\n"
)


def test_an_hour_passes_in_twenty_seconds():
    fast = compress_time(SPEC, 180)
    assert fast.windows.step == "20s"
    assert fast.windows.length == "8m"
    assert fast.sources["batch"].max_age == "2m"
    assert fast.prediction_log.outcome is not None
    assert fast.prediction_log.outcome.max_delay == "8m"
    assert fast.escalation[1].after == "10s"
    assert fast.slos["fast"].period == "3h44m"
    assert fast.alerts.latency_p99.cooldown.critical == "5s"


def test_alertmanager_groups_and_repeats_as_much_faster():
    fast = compress_time(SPEC, 60)
    assert (fast.routing.group_wait, fast.routing.group_interval) == ("1s", "5s")
    assert fast.alerts.feature_psi.cooldown.critical == "4m"


def test_what_is_no_duration_stays():
    fast = compress_time(SPEC, 180)
    assert fast.slos["fast"].threshold == 0.05
    assert fast.alerts.feature_psi.warning == SPEC.alerts.feature_psi.warning
    assert fast.features == SPEC.features


def test_nothing_falls_below_a_second_that_was_above():
    fast = compress_time(SPEC, 100_000)
    assert fast.telemetry.scrape_interval == fast.telemetry.evaluation_interval == "1s"
    assert fast.alerts.feature_psi.for_ == fast.escalation[1].after == "1s"


def test_the_limit_of_an_age_spans_ten_scrapes():
    assert compress_time(SPEC, 100_000).sources["batch"].max_age == "10s"


def test_what_was_below_a_second_stays():
    fast = compress_time(SPEC, 100)
    assert fast.sources["batch"].tolerance == "500ms"
    assert fast.windows.grace == "0s"


def test_a_rate_still_spans_four_scrapes():
    assert compress_time(SPEC, 180).telemetry.rate_window == "4s"


def test_what_is_kept_is_kept_as_long():
    fast = compress_time(SPEC, 180)
    assert fast.telemetry.retention == SPEC.telemetry.retention
    assert fast.results.retention == SPEC.results.retention


@pytest.mark.parametrize("factor", [60, 180, 100_000])
def test_processes_are_down_by_the_clock(factor: float):
    fast = compress_time(SPEC, factor)
    assert fast.alerts.monitoring.for_ == SPEC.alerts.monitoring.for_
    alerts = {alert.name: alert for signal in signals(fast) for alert in signal.alerts}
    assert seconds(alerts["MLExporterDown"].timing.for_) == seconds(alerts["MLServingDown"].timing.for_) == 300


@pytest.mark.parametrize("factor", [10, 60])
def test_alerts_end_as_much_faster(factor: float):
    alerts, fast = (
        [alert for signal in signals(spec) for alert in signal.alerts] for spec in (SPEC, compress_time(SPEC, factor))
    )
    kept = {
        (slow.name, slow.severity): (seconds(slow.timing.keep_firing_for), seconds(quick.timing.keep_firing_for))
        for slow, quick in zip(alerts, fast, strict=True)
    }
    assert ("MLErrorBudgetBurn", "critical") in kept
    assert {name for name, (slow, quick) in kept.items() if quick > slow / factor + 1} == set()


def test_a_factor_of_one_changes_nothing():
    assert compress_time(SPEC, 1) == SPEC


@given(st.floats(1, 1e6))
def test_a_window_is_the_same_number_of_steps_at_every_factor(factor: float):
    fast = compress_time(SPEC, factor)
    assert milliseconds(fast.windows.length) == 24 * milliseconds(fast.step)
    assert seconds(fast.telemetry.rate_window) >= 4 * seconds(fast.telemetry.scrape_interval)


def test_a_window_without_step_is_compressed_like_any_length():
    spec = parse_spec("version: 1\nsystem: {name: shop}\nprediction_log: {path: log}\nfeatures: {amount: {}}\n")
    fast = compress_time(spec, 180)
    assert (fast.windows.length, fast.windows.step) == ("20s", None)


@pytest.mark.parametrize("factor", [0, -1, 0.5, math.nan, math.inf])
def test_a_factor_that_does_not_compress_is_refused(factor: float):
    with pytest.raises(ValueError, match="a factor of at least 1"):
        compress_time(SPEC, factor)


@pytest.mark.parametrize(
    ("windows", "length"),
    [
        pytest.param(Windows(calendar=CalendarUnit.DAY, time_zone="Europe/Berlin"), "8m", id="a day of a zone"),
        pytest.param(Windows(rows=500_000), "4m", id="half a day of traffic"),
        pytest.param(Windows(), "20s", id="the default hour"),
    ],
)
def test_windows_of_any_kind_become_windows_of_a_length(windows: Windows, length: str):
    original = msgspec.structs.replace(SPEC, windows=windows)
    found = compress_time(original, 180)
    assert (found.windows.calendar, found.windows.rows) == (None, None)
    assert found.window_length == length
    assert compress_time(original, 1) == original
