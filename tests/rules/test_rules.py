"""The shape of the rules file and of the promtool tests."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mlvitals.generator import rules
from mlvitals.generator.compiler import marker
from mlvitals.generator.contract import Contract
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.rules.promtool_tests import beyond
from mlvitals.generator.rules.recording import records_of
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import THINNED, Alert, Incident, Layer, Query, Record, Scenario, Signal
from mlvitals.generator.signals.text import Format, figure, text
from mlvitals.generator.signals.timing import Reads
from mlvitals.generator.spec.durations import milliseconds, seconds
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Severity, Timing


def a_signal(*records: Record, alerts: tuple[Alert, ...] = ()) -> Signal:
    return Signal(
        id="s",
        layer=Layer.DATA,
        title="S",
        description="S.",
        unit="none",
        queries=(Query("m"),),
        incident=Incident.STALE_DATA,
        records=records,
        alerts=alerts,
    )


def an_alert(**changes) -> Alert:
    alert = Alert(
        name="MLSomething",
        severity=Severity.WARNING,
        expression="m",
        comparison=">",
        threshold=0.5,
        summary="Something happened.",
        description=text("It did."),
        timing=Timing(),
        scenario=lambda _: Scenario(()),
    )
    return replace(alert, **changes)


def test_the_marker_is_a_comment_on_the_first_line(tiny_spec):
    watched = signals(tiny_spec)
    files = (rules.rules_file(tiny_spec, watched, "Marker."), *rules.test_files(tiny_spec, watched, "Marker.").values())
    assert {content.splitlines()[0] for content in files} == {"# Marker."}


def test_the_same_spec_gives_the_same_bytes(streamrec, streamrec_files):
    again, line = signals(streamrec), marker("streamrec.yaml")
    files = {
        "streamrec.rules.yml": rules.rules_file(streamrec, again, line),
        **rules.test_files(streamrec, again, line),
    }
    assert {f"alert_rules/{name}": text for name, text in files.items()}.items() <= streamrec_files.items()


def test_a_record_of_several_signals_is_written_once(streamrec):
    record = Record("system:m:sum", "sum(m)")
    assert records_of([a_signal(record), a_signal(record)]) == (record,)


def test_two_records_of_one_name_and_different_meaning_are_refused():
    with pytest.raises(ValueError, match="system:m:sum have different expressions"):
        records_of([a_signal(Record("system:m:sum", "sum(m)")), a_signal(Record("system:m:sum", "sum(n)"))])


def test_records_of_one_name_and_other_labels_are_other_records():
    ours, theirs = (Record("slo:m:sum", f"sum({name})", (("slo", name),)) for name in ("ours", "theirs"))
    assert records_of([a_signal(ours, theirs)]) == (ours, theirs)


def test_a_record_that_is_evaluated_at_its_own_pace_has_a_group_of_its_own(streamrec):
    groups = rule_groups(streamrec, [a_signal(Record("a:m:sum", "sum(m)"), Record("b:m:sum", "sum(m)", every="2m"))])
    assert [(group["name"], group["interval"]) for group in groups] == [
        ("streamrec-data-recording", "15s"),
        ("streamrec-data-recording-2m", "2m"),
    ]


def test_a_record_comes_after_those_it_reads():
    reader, read = Record("system:m:ratio", "system:m:sum / 2"), Record("system:m:sum", "sum(m)")
    assert records_of([a_signal(reader, read)]) == (read, reader)


def test_all_records_come_before_all_alerts(streamrec):
    kinds = [
        "record" if "record" in group["rules"][0] else "alert" for group in rule_groups(streamrec, signals(streamrec))
    ]
    assert kinds == sorted(kinds, reverse=True)


def test_no_group_has_more_than_twenty_rules(streamrec):
    many = [a_signal(alerts=tuple(an_alert(threshold=float(number)) for number in range(45)))]
    groups = list(rule_groups(streamrec, many))
    assert [(group["name"], len(group["rules"])) for group in groups] == [
        ("streamrec-data-alerts", 20),
        ("streamrec-data-alerts-2", 20),
        ("streamrec-data-alerts-3", 5),
    ]


def test_what_people_tune_is_no_part_of_an_alerts_identity():
    """A changed threshold or cooldown must not resolve what is firing and fire it again."""
    spec = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {amount: {}, age: {thresholds: {psi: {critical: MINE}}}, country: {}}
alerts: {feature_psi: {warning: 0.1, critical: ALL, cooldown: {critical: COOLDOWN}}}
"""

    def identities(own: str, everyone: str, cooldown: str) -> list[tuple[str, ...]]:
        text = spec.replace("MINE", own).replace("ALL", everyone).replace("COOLDOWN", cooldown)
        groups = rule_groups(parse_spec(text), signals(parse_spec(text)))
        found = (rule for group in groups for rule in group["rules"] if rule.get("alert") == "MLFeatureDrift")
        return sorted((*rule["labels"].items(), ("reads", "age" in rule["expr"])) for rule in found)

    assert identities("0.5", "0.25", "4h") == identities("0.2", "0.3", "2h")


def test_an_alert_on_a_windows_values_outlasts_one_window_without_its_condition(any_spec):
    windows, reads = Contract(any_spec).of_windows, Reads(signals(any_spec))
    bridge = seconds(any_spec.step) + seconds(any_spec.windows.grace)
    kept = {
        alert.name: seconds(alert.timing.keep_firing_for)
        for signal in signals(any_spec)
        for alert in signal.alerts
        if alert.name != "MLErrorBudgetBurn" and reads.names(alert) & windows
    }
    assert "MLFeatureDrift" in kept
    assert {name for name, keep in kept.items() if keep <= bridge} == set()


def test_every_alert_names_the_policy_that_times_it(any_spec):
    policies = set(any_spec.alerts.__struct_fields__)
    assert {alert.policy for signal in signals(any_spec) for alert in signal.alerts} <= policies


def test_every_group_has_an_interval_of_at_most_five_minutes_but_for_what_is_read_over_ranges_alone(streamrec):
    watched = tuple(signals(streamrec))
    groups = list(rule_groups(streamrec, watched))
    seldom = [group for group in groups if milliseconds(group["interval"]) > 300_000]
    records = {rule["record"] for group in seldom for rule in group["rules"]}
    assert "feature_name:streamrec_drift_psi:max_1h" in records
    shown = [query.expression for signal in watched for query in signal.queries]
    read = " ".join([*shown, *(rule["expr"] for group in groups for rule in group["rules"])])
    assert not re.findall(rf"\b(?:{'|'.join(records)})\b(?!\[)", read)


def test_no_two_alerts_have_the_same_name_and_labels(streamrec):
    alerts = [
        rule for group in rule_groups(streamrec, signals(streamrec)) for rule in group["rules"] if "alert" in rule
    ]
    identities = {(rule["alert"], *sorted(rule["labels"].items())) for rule in alerts}
    assert len(identities) == len(alerts)


def test_an_alert_that_resolves_at_once_has_no_keep_firing_for(streamrec):
    watched = [a_signal(alerts=(an_alert(timing=Timing(keep_firing_for="0s")),))]
    (group,) = rule_groups(streamrec, watched)
    assert "keep_firing_for" not in group["rules"][0]


def test_a_rules_expression_is_never_folded(streamrec):
    long = " + ".join(["some_metric_with_a_name"] * 40)
    content = rules.rules_file(streamrec, [a_signal(alerts=(an_alert(expression=long),))], "m")
    assert f"expr: {long} > 0.5\n" in content


def test_a_value_beyond_the_threshold_is_written_the_same_whatever_its_last_bits():
    alert = an_alert(threshold=0.075, format=Format.DURATION)
    value = beyond(alert)
    assert value > alert.threshold
    assert figure(value * (1 + 1e-10), Format.DURATION) == figure(value * (1 - 1e-10), Format.DURATION)


def test_a_lower_limit_is_tested_below_it():
    assert beyond(an_alert(comparison="<")) < 0.5


def test_alerts_that_look_back_for_hours_or_days_have_a_file_of_their_own(streamrec_files):
    tests = {path: text for path, text in streamrec_files.items() if re.fullmatch(r"alert_rules/.*\.test\.yml", path)}
    intervals = {
        Path(path).name: yaml.load(text, yaml.CSafeLoader)["evaluation_interval"] for path, text in tests.items()
    }
    assert intervals == {
        "streamrec.test.yml": "1m",
        "streamrec.hours.test.yml": "5m",
        "streamrec.history.test.yml": "12h",
    }


def test_what_only_panels_read_over_weeks_is_recorded_seldom_and_never_alerted_on(streamrec):
    groups = list(rule_groups(streamrec, signals(streamrec)))
    thinned = [group for group in groups if f"-recording-{THINNED}" in group["name"]]
    records = {rule["record"] for group in thinned for rule in group["rules"]}
    assert {group["interval"] for group in thinned} == {THINNED}
    assert "feature_name:streamrec_drift_psi:max" in records
    alerting = [rule["expr"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert not [record for record in records if any(record in expression for expression in alerting)]
