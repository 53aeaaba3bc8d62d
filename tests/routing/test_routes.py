"""Routes: every alert reaches whom the spec names, as often as its cooldown allows, in both releases' eyes."""

import copy
import json
import subprocess
from collections.abc import Iterable, Iterator

import pytest
import yaml
from routes import differences, fates, inhibited
from routing_samples import routed

from mlvitals.generator.routing.alertmanager import repeat_interval
from mlvitals.generator.routing.cases import RouteCase, route_cases
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.load import parse_spec


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def config(folder) -> dict:
    return yaml.safe_load((folder / "alertmanager.yml").read_text())


def cases_of(spec) -> list[RouteCase]:
    return list(route_cases(spec, signals(spec)))


def arguments(case: RouteCase) -> list[str]:
    return [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in case.labels.items()]


# ---------------------------------------------------------------- what the tools say


def test_amtool_accepts_the_configuration_and_its_templates(amtool, any_spec, generate):
    checked = run(amtool, "check-config", generate(any_spec) / "alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def routed_by(amtool: str, folder, case: RouteCase, *options: str) -> subprocess.CompletedProcess[str]:
    file = f"--config.file={folder}/alertmanager.yml"
    return run(amtool, "config", "routes", "test", file, *options, *arguments(case))


def one_of_every_route(spec) -> Iterable[RouteCase]:
    return {(case.labels["severity"], case.labels.get("policy")): case for case in cases_of(spec)}.values()


def test_amtool_verifies_a_case_of_every_route(amtool, any_spec, generate):
    folder = generate(any_spec)
    for case in one_of_every_route(any_spec):
        tested = routed_by(amtool, folder, case, f"--verify.receivers={case.receiver}")
        assert tested.returncode == 0, tested.stdout + tested.stderr


def test_our_own_reading_of_the_routes_is_amtools(amtool, generate):
    spec = routed()
    folder = generate(spec)
    for case in one_of_every_route(spec):
        said = routed_by(amtool, folder, case).stdout.strip()
        assert [end.receiver for end in fates(config(folder)["route"], case.labels)] == [said]


# ---------------------------------------------------------------- what the spec says


def test_every_alert_fares_as_its_case_demands(any_spec, generate):
    route = config(generate(any_spec))["route"]
    assert [found for case in cases_of(any_spec) for found in differences(route, case)] == []


def test_the_file_of_cases_holds_every_alert(streamrec, generate):
    cases = yaml.safe_load((generate(streamrec) / "routes.test.yml").read_text())["cases"]
    named = {case["labels"]["alertname"] for case in cases}
    assert named >= {alert.name for signal in signals(streamrec) for alert in signal.alerts}


def test_severities_go_where_the_spec_says(generate):
    route = config(generate(routed()))["route"]
    ends = {
        severity: next(fates(route, {"severity": severity})).receiver for severity in ("info", "warning", "critical")
    }
    assert ends == {"info": "log", "warning": "chat", "critical": "pager"}


def test_the_watchdog_beats_at_least_once_a_minute_whatever_the_group_interval(generate):
    for interval in ("5m", "10m", "1s"):
        route = config(generate(routed(f"group_interval: {interval}")))["route"]
        (end,) = fates(route, {"alertname": "MLWatchdog", "severity": "none"})
        assert (end.receiver, end.repeat_interval) == ("dead", end.group_interval)
        assert 2 * end.repeat_interval <= milliseconds("1m"), (
            "a flush may find it not yet due, and the next one sends it"
        )


def test_a_severity_without_receiver_tells_nobody_by_name(flights, generate):
    document = config(generate(flights))
    assert document["receivers"] == [{"name": "nobody"}]
    assert next(fates(document["route"], {"severity": "critical"})).receiver == "nobody"


def test_an_alert_of_somebody_else_is_not_lost(generate):
    assert next(fates(config(generate(routed()))["route"], {"alertname": "X"})).receiver == "chat"


def test_the_root_route_takes_everything(any_spec, generate):
    assert "matchers" not in config(generate(any_spec))["route"]


@pytest.mark.parametrize(
    ("cooldown", "interval", "expected"),
    [("4h", "5m", "4h"), ("7m", "5m", "10m"), ("5m", "5m", "5m"), ("24h", "7m", "1d2m"), ("1s", "1s", "1s")],
)
def test_a_cooldown_is_never_cut_short(cooldown, interval, expected):
    assert repeat_interval(cooldown, interval) == expected


def test_secrets_stand_in_files_alone(any_spec, generate):
    text = (generate(any_spec) / "alertmanager.yml").read_text()
    assert not {"api_url:", "routing_key:", "service_key:", "password:"} & set(text.split())


# ---------------------------------------------------------------- receivers

OLD = """{email: {to: 'a@x, b@x', sender: ml@x, smarthost: 'mail.x:587', username: ml, password_file: /run/smtp},
      opsgenie: {api_key_file: /run/secrets/opsgenie},
      other: {sns_configs: [{topic_arn: 'arn:x', sigv4: {region: eu-west-1}}]}}"""
NEW = """{teams: {webhook_file: /run/secrets/teams},
      incidentio: {url: 'https://api.incident.io/v2/alert_events/alertmanager/x', token_file: /run/secrets/incidentio}}"""


@pytest.mark.parametrize(("release", "receiver"), [("stable", OLD), ("sid", OLD), ("sid", NEW)])
def test_every_kind_of_receiver_is_one_that_alertmanager_takes(release, receiver, servers, generate):
    text = f"""\
version: 1
system: {{name: shop}}
prediction_log: {{path: log}}
features: {{amount: {{}}}}
routing:
  receivers:
    team: {receiver}
  warning: team
"""
    checked = run(servers("amtool", release), "check-config", generate(parse_spec(text)) / "alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


# ---------------------------------------------------------------- inhibition


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "system": "shop", "incident": "feature-drift", **labels}


DRIFT = "MLFeatureDrift"


@pytest.mark.parametrize(
    ("target", "source", "silent"),
    [
        (alert(DRIFT, "warning", feature_name="a"), alert(DRIFT, "critical", feature_name="a"), True),
        (alert(DRIFT, "warning", feature_name="b"), alert(DRIFT, "critical", feature_name="a"), False),
        (alert(DRIFT, "critical", feature_name="a"), alert(DRIFT, "warning", feature_name="a"), False),
        (alert(DRIFT, "warning"), alert(DRIFT, "critical"), False),
        (alert("MLLatencyHigh", "warning"), alert("MLLatencyHigh", "critical"), True),
        (alert("MLLatencyHigh", "warning"), alert("MLErrorRateHigh", "critical"), False),
        (alert(DRIFT, "warning", feature_name="a", system="other"), alert(DRIFT, "critical", feature_name="a"), False),
    ],
    ids=["same feature", "other feature", "upwards", "no feature", "same alert", "other alert", "other system"],
)
def test_critical_silences_the_warning_of_the_same_thing(target, source, silent, generate):
    assert inhibited(config(generate(routed()))["inhibit_rules"], target, source) is silent


@pytest.mark.parametrize(
    ("target", "severity", "silent"),
    [
        (alert(DRIFT, "critical", feature_name="a", feature_source="batch"), "critical", True),
        (alert("MLFeatureMeanShift", "warning", feature_name="a", feature_source="batch"), "critical", True),
        (alert(DRIFT, "critical", feature_name="a", feature_source="batch"), "warning", False),
        (alert(DRIFT, "warning", feature_name="a", feature_source="stream"), "critical", False),
        (alert(DRIFT, "warning", feature_name="a"), "critical", False),
        (alert("MLDataStale", "warning", feature_source="batch", incident="stale-data"), "critical", False),
        (alert("MLManyFeaturesDrifting", "critical", feature_source="batch"), "critical", False),
    ],
    ids=["its feature", "other drift", "a worse one", "other source", "no source", "other incident", "itself"],
)
def test_a_drifting_source_speaks_for_its_features(target, severity, silent, generate):
    many = alert("MLManyFeaturesDrifting", severity, feature_source="batch")
    assert inhibited(config(generate(routed()))["inhibit_rules"], target, many) is silent


def test_every_label_that_must_be_equal_is_demanded_on_both_sides(any_spec, generate):
    for rule in config(generate(any_spec))["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            demanded = {matcher.partition("=")[0] for matcher in rule[side]}
            assert set(rule["equal"]) <= demanded


# ---------------------------------------------------------------- mutations


def mutants(route: dict) -> Iterator[tuple[str, dict]]:
    """The route tree with one thing changed, for everything that can be changed."""
    for where, node in nodes(route):
        for key, value in node.items():
            for name, changed in changes(key, value):
                mutant = copy.deepcopy(route)
                target = mutant
                for index in where:
                    target = target["routes"][index]
                target[key] = changed
                yield f"{where} {key} {name}", mutant


def nodes(route: dict, where: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], dict]]:
    yield where, route
    for index, child in enumerate(route.get("routes", ())):
        yield from nodes(child, (*where, index))


def changes(key: str, value) -> Iterator[tuple[str, object]]:
    if key == "receiver":
        yield "another", "dead" if value != "dead" else "chat"
    if key == "matchers":
        yield "value", [value[0].replace('"', '"x', 1)]
        yield "negated", [value[0].replace("=~", "!~", 1) if "=~" in value[0] else value[0].replace("=", "!=", 1)]
    if key == "repeat_interval":
        yield "longer", "100d"
        yield "shorter", "1m"
    if key == "group_by":
        yield "fewer", value[:-1]
        yield "none", []
    if key == "mute_time_intervals":
        yield "never", []
        yield "other", ["another time"]
    if key == "routes":
        for index in range(len(value)):
            yield f"without {index}", value[:index] + value[index + 1 :]


def test_every_change_of_a_route_is_noticed(generate):
    spec = routed(
        'quiet_hours: [{days: [sat], start: "00:00", end: "07:00"}]\n'
        "  maintenance: [{start: 2026-02-27T22:30Z, end: 2026-03-02T01:00Z, reason: r}]"
    )
    cases = cases_of(spec)
    # A severity's own repetition and silent times are for alerts whose policy no route below knows.
    cases += [
        RouteCase(
            {"alertname": "New", "severity": severity, "policy": "of a later release"},
            receiver,
            cooldown,
            cases[0].group_by,
            silent,
        )
        for severity, receiver, cooldown, silent in (
            ("critical", "pager", "4h", ("maintenance",)),
            ("warning", "chat", "12h", ("quiet hours", "maintenance")),
            ("info", "log", "24h", ("quiet hours", "maintenance")),
        )
    ]
    route = config(generate(spec))["route"]
    tried = dict(mutants(route))
    survivors = {name for name, mutant in tried.items() if not any(differences(mutant, case) for case in cases)}
    assert len(tried) > 50
    assert survivors == set()
