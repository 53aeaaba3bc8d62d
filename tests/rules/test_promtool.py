"""The generated rules and tests, judged by promtool itself."""

import re

from promtool_slices import read, slices


def test_the_rules_pass_every_lint_of_promtool(promtool, any_spec, generate, run):
    rules, _ = generate(any_spec)
    checked = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_generated_test_passes(promtool, any_spec, generate, run):
    _, tests = generate(any_spec)
    tested = run(promtool, "test", "rules", *slices(*tests))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_generated_files_pass_as_they_are(promtool, flights, generate, run):
    _, tests = generate(flights)
    tested = run(promtool, "test", "rules", *tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_slices_hold_every_case_once_with_the_rules_it_reads(streamrec, generate):
    rules, tests = generate(streamrec)
    all_rules = rules_of(rules)
    cases = [case for path in tests for case in read(path)["tests"]]
    sliced = [read(path) for path in slices(*tests)]
    assert sorted(map(repr, cases)) == sorted(repr(case) for one in sliced for case in one["tests"])
    for one in sliced:
        kept = rules_of(rules.parent / one["rule_files"][0])
        checked = {check["alertname"] for case in one["tests"] for check in case.get("alert_rule_test", ())}
        asked = [check["expr"] for case in one["tests"] for check in case.get("promql_expr_test", ())]
        names = set(re.findall(r"[\w:]+", repr((kept, asked))))
        assert kept == [rule for rule in all_rules if rule.get("alert") in checked or rule.get("record") in names]


def rules_of(path):
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent(any_spec, generate):
    rules, tests = generate(any_spec)
    groups = read(rules)["groups"]
    alerts = {
        (rule["alert"], rule["labels"]["severity"], rule["annotations"]["threshold"])
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    }
    fired, silent = set(), set()
    for path in tests:
        for test in read(path)["tests"]:
            for check in test.get("alert_rule_test", ()):
                firing = {
                    (check["alertname"], one["exp_labels"]["severity"], one["exp_annotations"]["threshold"])
                    for one in check["exp_alerts"]
                }
                fired |= firing
                silent |= {alert for alert in alerts if alert[0] == check["alertname"]} - firing
    assert fired == alerts
    assert alerts - silent == {("MLWatchdog", "none", "1")}


NOT_STEADY = re.compile(
    r"_latency_seconds:p|"  # quantiles: the alerts on latency test them
    r":(drop|fall)_7d|:rate1h$|"  # compared with last week: so do the alerts on falls
    r":critical(_24h)?$|_feature_null:.*ratio_rate|"  # joined with what else is known: so do the alerts on them
    r"^slo:(sli_error|current|period|deploy)|_deploy_allowed:|"  # error budgets: test_slo_arithmetic.py, test_slo_budgets.py
    r"^system:\w+:ratio_(24h|7d)$|"  # KPIs: of the rates that they sum up, days of samples are no test's
    r"^stage:.*_incident_duration_seconds:mean$"  # incidents: test_incident_alerts.py
)


def test_what_rules_record_of_several_processes_has_a_case(streamrec, generate):
    rules, tests = generate(streamrec)
    recorded = {rule["record"] for rule in rules_of(rules) if "record" in rule}
    asked = [
        check["expr"] for path in tests for case in read(path)["tests"] for check in case.get("promql_expr_test", ())
    ]
    tested = {name for name in recorded if any(f"({name}{end}" in expression for expression in asked for end in "{,")}
    assert {name for name in recorded - tested if not NOT_STEADY.search(name)} == set()
    assert len(tested) > 60


def test_text_of_the_spec_reaches_people_as_it_was_written(hostile_spec, generate):
    _, tests = generate(hostile_spec)
    checks = [
        alert
        for path in tests
        for test in read(path)["tests"]
        for check in test.get("alert_rule_test", ())
        for alert in check["exp_alerts"]
    ]
    drift = next(a for a in checks if a["exp_labels"].get("feature_name") == 'we"ird\\{{ $name }} é\nx')
    assert drift["exp_labels"]["team"] == hostile_spec.system.team
    assert hostile_spec.title in drift["exp_annotations"]["description"]
    assert drift["exp_annotations"]["dashboard_url"].endswith(
        "var-feature_name=we%22ird%5C%7B%7B+%24name+%7D%7D+%C3%A9%0Ax"
    )
    assert drift["exp_annotations"]["runbook_url"].startswith("https://example.com/{{.Value}}/{/odd/")
