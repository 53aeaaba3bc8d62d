"""Manifests for the Prometheus operator: valid for the cluster, and none of the traps in which alerts go nowhere."""

import copy
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from command_line import mlvitals
from kube_schemas import problems

from mlvitals.generator.compiler import compile_operator, compile_spec
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.kubernetes import inexpressible
from mlvitals.generator.kubernetes.dashboards import LARGEST
from mlvitals.generator.kubernetes.monitors import OURS, TARGET_LABELS
from mlvitals.generator.kubernetes.routes import alertmanager_config, with_templates
from mlvitals.generator.routing.cases import route_cases
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import load_spec, parse_spec
from mlvitals.generator.spec.model import Spec

REPOSITORY = Path(__file__).resolve().parents[2]
FRAUD = """\
version: 1
system: {name: fraud_score}
prediction_log: {path: s3://lake/predictions, score: score}
reference: {store: s3://lake/references}
results: {url: postgresql+psycopg://ml@db/ml, password_file: /run/secrets/db}
identity: {labels: {env: production}}
features: {amount: {source: batch}, country: {type: categorical}}
sources: {batch: {max_age: 1h, path: s3://lake/batch}}
kubernetes: {namespace: ml-fraud, labels: {release: monitoring}}
routing:
  receivers:
    chat: {slack: {channel: "#shop", webhook_file: /run/secrets/slack}}
    pager: {pagerduty: {routing_key_file: /run/secrets/pagerduty, url: "https://pager.example/v2/enqueue"}}
    log: {webhook: {url_file: /run/secrets/hook}}
    mail:
      email: {to: a@x, sender: b@x, smarthost: "mail.x:587", username: ml, password_file: /run/secrets/smtp}
      teams: {webhook_file: /run/secrets/teams}
      opsgenie: {api_key_file: /run/secrets/opsgenie, url: "https://opsgenie.example/"}
  info: log
  warning: chat
  critical: pager
  watchdog: mail
  quiet_hours: [{days: [sat], start: "22:00", end: "07:00"}]
  maintenance: [{start: 2026-02-27T22:30Z, end: 2026-03-02T01:00Z, reason: r}]
"""


@cache
def spec_of(name: str) -> Spec:
    return parse_spec(FRAUD) if name == "fraud" else load_spec(REPOSITORY / "specs" / f"{name}.yaml")


@cache
def manifests(name: str) -> dict[str, dict]:
    """The objects of a spec, by the names of their files."""
    text = FRAUD if name == "fraud" else (REPOSITORY / "specs" / f"{name}.yaml").read_text()
    files = compile_operator(spec_of(name), f"specs/{name}.yaml", text)
    return {path.split("/kubernetes/")[1]: yaml.safe_load(content) for path, content in files.items()}


every_spec = pytest.mark.parametrize("name", ["streamrec", "flights", "fraud"])


# ---------------------------------------------------------------- the cluster


@every_spec
def test_the_cluster_accepts_every_object_and_drops_nothing(name):
    objects = {file: document for file, document in manifests(name).items() if file != "kustomization.yaml"}
    assert {file: found for file, document in objects.items() if (found := problems(document))} == {}
    assert len(objects) >= 9


def test_a_key_that_the_cluster_would_drop_is_noticed():
    wrong = copy.deepcopy(manifests("fraud"))
    wrong["servicemonitor.yaml"]["spec"]["endpoints"][0]["intervall"] = "15s"
    wrong["alertmanagerconfig.yaml"]["spec"]["route"]["routes"][0]["repeat_interval"] = "1h"
    wrong["deployment.yaml"]["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    for file in ("servicemonitor.yaml", "alertmanagerconfig.yaml", "deployment.yaml"):
        assert problems(wrong[file]), file


@every_spec
def test_the_kustomization_names_every_file(name):
    assert set(manifests(name)["kustomization.yaml"]["resources"]) == manifests(name).keys() - {"kustomization.yaml"}


@every_spec
def test_the_names_of_objects_are_dns_names_and_none_is_given_twice(name):
    objects = [document for file, document in manifests(name).items() if file != "kustomization.yaml"]
    named = [(document["kind"], document["metadata"]["name"]) for document in objects]
    assert len(set(named)) == len(named)
    assert [each for _, each in named if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", each)] == []


def test_long_and_odd_names_stay_names_of_their_own():
    text = FRAUD.replace("fraud_score", "a" * 40).replace("env: production", f"env: {'Staging.eu/west' * 5}")
    objects = [yaml.safe_load(one) for one in compile_operator(parse_spec(text), "specs/my spec.yaml", text).values()]
    named = [(one["kind"], one["metadata"]["name"]) for one in objects if "metadata" in one]
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for _, name in named)
    keys = {key for one in objects for key in one.get("data", ()) if one["kind"] == "ConfigMap"}
    assert "my-spec.yaml" in keys
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)


@every_spec
def test_the_pod_is_admitted_by_the_restricted_standard(name):
    pod = manifests(name)["deployment.yaml"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    allowed = {
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
        "secret",
        "projected",
        "downwardAPI",
        "csi",
        "ephemeral",
    }
    assert {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}} <= allowed
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert not any("hostPort" in port for port in container["ports"])


@every_spec
def test_every_mount_has_its_volume_and_every_volume_its_mount(name):
    pod = manifests(name)["deployment.yaml"]["spec"]["template"]["spec"]
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_a_spec_without_local_files_needs_no_claim_and_its_password_is_a_secret():
    objects = manifests("fraud")
    assert "claim.yaml" not in objects
    mounted = objects["deployment.yaml"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    password = {"name": "passwords", "mountPath": "/run/secrets/db", "subPath": "db", "readOnly": True}
    assert password in mounted


def test_another_spec_starts_another_pod():
    changed = compile_operator(spec_of("fraud"), "fraud.yaml", FRAUD + "# changed\n")
    template = yaml.safe_load(changed["stack/fraud_score-production/kubernetes/deployment.yaml"])["spec"]["template"]
    assert template["metadata"] != manifests("fraud")["deployment.yaml"]["spec"]["template"]["metadata"]


@every_spec
def test_the_network_policy_service_and_monitor_select_the_exporter_s_pod(name):
    objects = manifests(name)
    labels = objects["deployment.yaml"]["spec"]["template"]["metadata"]["labels"].items()
    assert objects["networkpolicy.yaml"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert objects["service.yaml"]["spec"]["selector"].items() <= labels
    selected = objects["servicemonitor.yaml"]["spec"]["selector"]["matchLabels"].items()
    assert selected <= objects["service.yaml"]["metadata"]["labels"].items()


# ---------------------------------------------------------------- what Prometheus selects, and which labels it attaches


def test_rules_monitors_and_routes_carry_the_label_by_which_the_chart_selects_them():
    for name, release in (("streamrec", "kube-prometheus-stack"), ("fraud", "monitoring")):
        objects = manifests(name)
        selected = {file: one for file, one in objects.items() if one.get("apiVersion", "").startswith("monitoring.")}
        assert set(selected) == {
            "prometheusrule.yaml", "servicemonitor.yaml", "podmonitor.yaml", "alertmanagerconfig.yaml",
        }  # fmt: skip
        assert {one["metadata"]["labels"]["release"] for one in selected.values()} == {release}


@every_spec
def test_the_job_that_the_rules_demand_is_the_one_that_is_scraped(name):
    """The operator calls a job by its Service."""
    objects, spec = manifests(name), spec_of(name)
    scraped = {relabeling["replacement"] for one in endpoints(objects) for relabeling in one["relabelings"]
               if relabeling.get("targetLabel") == "job"}  # fmt: skip
    assert scraped == {spec.exporter_job, *([spec.serving_job] if spec.serving.enabled else [])}
    demanded = set(re.findall(r'\bjob="([^"]+)"', json.dumps(objects["prometheusrule.yaml"]).replace('\\"', '"')))
    assert demanded <= scraped


def endpoints(objects: dict[str, dict]) -> list[dict]:
    monitors = [objects[file]["spec"] for file in ("servicemonitor.yaml", "podmonitor.yaml") if file in objects]
    return [one for spec in monitors for key in ("endpoints", "podMetricsEndpoints") for one in spec.get(key, ())]


@every_spec
def test_no_label_of_ours_is_hidden_by_one_that_the_operator_attaches(name):
    """The operator's `endpoint` would turn the one of the serving metrics into `exported_endpoint`."""
    contract = Contract(spec_of(name))
    families = [*contract.of(Producer.SERVING), *contract.of(Producer.EXPORTER)]
    own = {label for family in families for label in family.labels}
    assert own & set(TARGET_LABELS) <= set(OURS)
    for one in endpoints(manifests(name)):
        dropped = {each["regex"] for each in one["relabelings"] if each["action"] == "labeldrop"}
        assert dropped == set(OURS)


def test_the_labels_of_the_identity_are_attached():
    for one in endpoints(manifests("fraud")):
        assert {"action": "replace", "targetLabel": "env", "replacement": "production"} in one["relabelings"]


def test_histograms_keep_the_buckets_that_objectives_read():
    assert manifests("streamrec")["podmonitor.yaml"]["spec"]["scrapeClassicHistograms"] is True


# ---------------------------------------------------------------- rules


@every_spec
def test_the_rules_are_those_of_the_rules_file_and_alerts_say_their_namespace(name):
    """Braces of templates are as they were: no Helm reads these files."""
    spec, objects = spec_of(name), manifests(name)
    groups = copy.deepcopy(objects["prometheusrule.yaml"]["spec"]["groups"])
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"].pop("namespace") == objects["prometheusrule.yaml"]["metadata"]["namespace"]
    of_file = compile_spec(spec, f"{name}.yaml")[f"alert_rules/{spec.slug}.rules.yml"]
    assert groups == yaml.safe_load(of_file)["groups"]
    assert "{{ $labels." in json.dumps(groups) or "{{ with" in json.dumps(groups)


@every_spec
def test_promtool_accepts_the_rules(name, stable_promtool, tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(manifests(name)["prometheusrule.yaml"]["spec"]))
    checked = subprocess.run([stable_promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# ---------------------------------------------------------------- dashboards


@every_spec
def test_the_sidecar_finds_every_dashboard(name):
    maps = [one for file, one in manifests(name).items() if file.startswith("dashboards/")]
    files = {
        path[11:]: text for path, text in compile_spec(spec_of(name), f"{name}.yaml").items() if path.startswith("dash")
    }
    assert {key: text for one in maps for key, text in one["data"].items()} == files
    for one in maps:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        [(key, text)] = one["data"].items()
        assert key.endswith(".json")
        assert len(text.encode()) < LARGEST
        json.loads(text)


# ---------------------------------------------------------------- routes, as the operator makes them

COMPANY = {
    "route": {"receiver": "company", "routes": [{"matchers": ['team="infra"'], "receiver": "infra"}]},
    "receivers": [{"name": "company"}, {"name": "infra"}],
}
_FIELDS = {
    "sendResolved": "send_resolved", "titleLink": "title_link", "clientURL": "client_url", "authUsername": "auth_username",
    "groupBy": "group_by", "groupWait": "group_wait", "groupInterval": "group_interval", "repeatInterval": "repeat_interval",
    "muteTimeIntervals": "mute_time_intervals", "slackConfigs": "slack_configs", "pagerdutyConfigs": "pagerduty_configs",
    "webhookConfigs": "webhook_configs", "emailConfigs": "email_configs", "msteamsv2Configs": "msteamsv2_configs",
    "opsgenieConfigs": "opsgenie_configs", "routingKey": "routing_key", "apiKey": "api_key", "authPassword": "auth_password",
    "webhookURL": "webhook_url", "urlSecret": "url", "apiURL": "api_url",
}  # fmt: skip


def as_the_operator_does(config: dict, company: dict = COMPANY) -> dict:
    """The Alertmanager configuration that the operator makes of an AlertmanagerConfig and a company's own."""
    spec, namespace = config["spec"], config["metadata"]["namespace"]
    prefix = f"{namespace}/{config['metadata']['name']}/"
    of_namespace = {"name": "namespace", "value": namespace, "matchType": "="}
    route = _route(spec["route"], prefix)
    route["matchers"] = [f'namespace="{namespace}"', *route["matchers"]]
    made = copy.deepcopy(company)
    made["route"]["routes"].insert(0, {**route, "continue": True})
    made["receivers"] += [_receiver(receiver, prefix) for receiver in spec["receivers"]]
    made["inhibit_rules"] = [
        {
            "source_matchers": _matchers([of_namespace, *rule["sourceMatch"]]),
            "target_matchers": _matchers([of_namespace, *rule["targetMatch"]]),
            "equal": rule["equal"],
        }
        for rule in spec["inhibitRules"]
    ]
    if "muteTimeIntervals" in spec:
        made["time_intervals"] = [
            {"name": prefix + each["name"], "time_intervals": [_times(time) for time in each["timeIntervals"]]}
            for each in spec["muteTimeIntervals"]
        ]
    return made


def _matchers(matchers: list[dict]) -> list[str]:
    return [f"{one['name']}{one['matchType']}{json.dumps(one['value'])}" for one in matchers]


def _route(route: dict, prefix: str) -> dict:
    made = {_FIELDS.get(key, key): value for key, value in route.items()}
    if "receiver" in route:
        made["receiver"] = prefix + route["receiver"]
    if "matchers" in route:
        made["matchers"] = _matchers(route["matchers"])
    if "muteTimeIntervals" in route:
        made["mute_time_intervals"] = [prefix + each for each in route["muteTimeIntervals"]]
    if "routes" in route:
        made["routes"] = [_route(each, prefix) for each in route["routes"]]
    return made


def _receiver(receiver: dict, prefix: str) -> dict:
    made = {_FIELDS[kind]: [dict(map(_field, *zip(*each.items(), strict=True))) for each in receiver[kind]]
            for kind in receiver.keys() - {"name"}}  # fmt: skip
    return {"name": prefix + receiver["name"], **made}


def _field(key: str, value: object) -> tuple[str, object]:
    if key == "pagerDutyLinkConfigs":
        return "links", [{"href": one["href"], "text": one["alt"]} for one in value]
    if key in {"details", "headers"}:
        return key, {one["key"]: one["value"] for one in value}
    if isinstance(value, dict):
        secret = value["key"]
        return _FIELDS[key], f"https://secret.example/{secret}" if key in {
            "apiURL",
            "urlSecret",
            "webhookURL",
        } else secret
    return _FIELDS.get(key, key), value


def _times(time: dict) -> dict:
    days = [f"{each['start']}:{each['end']}" for each in time.get("daysOfMonth", ())]
    return {
        "times": [{"start_time": each["startTime"], "end_time": each["endTime"]} for each in time["times"]],
        **{key: time[key] for key in ("weekdays", "months", "years") if key in time},
        **({"days_of_month": days} if days else {}),
    }


def routed(amtool: str, config: Path, labels: dict[str, str]) -> list[str]:
    arguments = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    command = [amtool, "config", "routes", "test", f"--config.file={config}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(",")


@pytest.fixture(params=["streamrec", "flights", "fraud"])
def compiled(request, tmp_path) -> tuple[str, Path]:
    """A spec, and the file that the operator makes of its AlertmanagerConfig in a company's Alertmanager."""
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(as_the_operator_does(manifests(request.param)["alertmanagerconfig.yaml"])))
    return request.param, file


@pytest.mark.parametrize("value", ["production", 'eu "1" \\ é', "a|b.c$1", "{{ x }}='y'"])
def test_an_identity_of_any_text_is_what_the_matchers_ask_for(value):
    spec = parse_spec(FRAUD.replace("env: production", f"env: {json.dumps(value)}"))
    config = alertmanager_config(spec, signals(spec))["spec"]
    inhibitions = [
        match for rule in config["inhibitRules"] for side in ("sourceMatch", "targetMatch") for match in rule[side]
    ]
    matchers = [*config["route"]["matchers"], *inhibitions]
    asked = [each["value"] for each in matchers if each["name"] == "env" and each["matchType"] == "="]
    assert len(asked) > 10
    assert set(asked) == {value}


def test_alertmanager_accepts_what_the_operator_makes_of_it(compiled, servers):
    checked = subprocess.run(
        [servers("amtool", "sid"), "check-config", compiled[1]], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_reach_whom_the_spec_names_through_the_operator_s_matchers(compiled, servers):
    name, file = compiled
    spec, amtool = spec_of(name), servers("amtool", "sid")
    namespace = manifests(name)["alertmanagerconfig.yaml"]["metadata"]["namespace"]
    prefix = f"{namespace}/{manifests(name)['alertmanagerconfig.yaml']['metadata']['name']}/"
    cases = {case.labels["severity"]: case for case in route_cases(spec, signals(spec)) if "system" in case.labels}
    for case in cases.values():
        # The operator's `continue` hands the alert on to the company's own routes too.
        assert routed(amtool, file, {**case.labels, "namespace": namespace})[0] == prefix + case.receiver
        assert routed(amtool, file, case.labels) == ["company"], "without its namespace an alert goes nowhere near us"
    assert routed(amtool, file, {"alertname": "KubeNodeNotReady", "severity": "critical", "team": "infra"}) == ["infra"]
    assert routed(amtool, file, {"alertname": "Watchdog", "severity": "none"}) == ["company"]


def test_a_text_brings_the_templates_that_it_uses_and_no_others():
    text = with_templates('{{ template "mlvitals.title" . }}')
    assert text.endswith('{{ template "mlvitals.title" . }}')
    defined, used = re.findall(r'define "([\w.]+)"', text), re.findall(r'template "([\w.]+)"', text)
    assert set(used) == set(defined)
    assert "mlvitals.silence" not in defined


def test_the_inlined_templates_are_rendered_as_the_file_s(servers, tmp_path):
    spec = spec_of("fraud")
    (tmp_path / "n.tmpl").write_text(compile_spec(spec)[f"stack/{spec.slug}/templates/notifications.tmpl"])
    amtool = servers("amtool", "sid")
    for used in ("title", "slack.title", "slack.text", "firing", "silence", "pagerduty.severity", "dashboard"):
        text = f'{{{{ template "mlvitals.{used}" . }}}}'
        shown = []
        for written, files in (
            (text, [f"--template.glob={tmp_path}/*.tmpl"]),
            (with_templates(text), ["--template.glob="]),
        ):
            command = [amtool, "template", "render", *files, f"--template.text={written}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (used, done.stderr)
            shown.append(done.stdout)
        assert shown[0] == shown[1], used


# ---------------------------------------------------------------- what cannot be said


def test_what_the_operator_s_objects_cannot_say_is_refused_with_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = FRAUD.replace(
        "log: {webhook: {url_file: /run/secrets/hook}}",
        "log: {incidentio: {url: 'https://x.example', token_file: /run/t}, other: {sns_configs: [{topic_arn: x}]}}",
    ).replace('start: "22:00"', 'timezone: Europe/Berlin, start: "22:00"')
    text = text.replace("{env:", "{namespace: other, env:")
    Path("fraud.yaml").write_text(text)
    assert len(list(inexpressible(parse_spec(text)))) == 4
    done = mlvitals("compile", "fraud.yaml", "--format", "operator")
    assert done.returncode == 1
    for words in (
        "incidentio is unknown to AlertmanagerConfig",
        "Europe/Berlin, and the times",
        "differs from identity",
    ):
        assert words in done.stderr
    assert re.search(r"fraud\.yaml:\d+:\d+: error", done.stderr)
    assert not Path("stack").exists()


def test_manifests_stay_when_a_spec_is_compiled_without_them_and_go_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fraud.yaml").write_text(FRAUD)
    folder = Path("stack/fraud_score-production/kubernetes")
    assert mlvitals("compile", "fraud.yaml", "--format", "operator").returncode == 0
    assert mlvitals("compile", "fraud.yaml").returncode == 0
    assert (folder / "deployment.yaml").exists()
    Path("fraud.yaml").write_text(FRAUD + "serving: {enabled: false}\n")
    assert mlvitals("compile", "fraud.yaml", "--format", "operator").returncode == 0
    assert not (folder / "podmonitor.yaml").exists()
    Path("fraud.yaml").rename("other.yaml")
    assert mlvitals("compile", "other.yaml").returncode == 0
    assert not folder.exists()
