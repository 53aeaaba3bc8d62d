"""The Prometheus configuration."""

import msgspec
import yaml

from mlvitals.generator.prometheus import prometheus_config
from mlvitals.generator.rules import rules_file
from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.signals import signals
from mlvitals.verification.queries import queries

ITSELF = {"prometheus": ["localhost:9090"], "alertmanager": ["localhost:9093"]}
"""Prometheus and the Alertmanager it sends to: their metrics say that rules fail."""


def targets(config: str) -> dict[str, list[str]]:
    return {job["job_name"]: job["static_configs"][0]["targets"] for job in yaml.safe_load(config)["scrape_configs"]}


def test_prometheus_accepts_it_where_the_folders_keep_their_places(promtool, any_spec, tmp_path, run):
    name = any_spec.system.name
    config, rules = tmp_path / "stack" / name / "prometheus.yml", tmp_path / "alert_rules" / f"{name}.rules.yml"
    for path, text in (
        (config, prometheus_config(any_spec, "m")),
        (rules, rules_file(any_spec, signals(any_spec), "m")),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    checked = run(promtool, "check", "config", config)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout


def test_application_and_exporter_are_scraped_where_the_spec_says(streamrec):
    assert targets(prometheus_config(streamrec, "m")) == {
        "streamrec-serving": ["127.0.0.1:8000"],
        "streamrec-exporter": ["127.0.0.1:9108"],
        **ITSELF,
    }


def test_without_a_target_the_application_is_looked_for_on_this_machine(tiny_spec):
    assert targets(prometheus_config(tiny_spec, "m"))["tiny-serving"] == ["localhost:8000"]


def test_an_exporter_on_all_interfaces_is_scraped_on_the_local_one(tiny_spec):
    everywhere = msgspec.structs.replace(tiny_spec.exporter, listen="0.0.0.0:9108")
    config = prometheus_config(msgspec.structs.replace(tiny_spec, exporter=everywhere), "m")
    assert targets(config)["tiny-exporter"] == ["localhost:9108"]


def test_given_targets_and_rule_files_come_before_the_specs(streamrec):
    config = prometheus_config(
        streamrec, "m", rule_files=("/etc/rules.yml",), serving_targets=("app:1",), exporter_targets=("exporter:2",)
    )
    assert targets(config) == {"streamrec-serving": ["app:1"], "streamrec-exporter": ["exporter:2"], **ITSELF}
    assert yaml.safe_load(config)["rule_files"] == ["/etc/rules.yml"]


def test_alerts_go_to_an_alertmanager_on_this_machine_unless_another_is_given(tiny_spec):
    def addresses(config: str) -> list[str]:
        (group,) = yaml.safe_load(config)["alerting"]["alertmanagers"]
        return group["static_configs"][0]["targets"]

    assert addresses(prometheus_config(tiny_spec, "m")) == ["localhost:9093"]
    assert addresses(prometheus_config(tiny_spec, "m", alertmanagers=["alertmanager:9093"])) == ["alertmanager:9093"]


def test_prometheus_parses_every_query_of_the_runbooks(promtool, any_spec, tmp_path, run):
    found = queries({f"runbooks/{path}": text for path, text in runbook_pages(any_spec, signals(any_spec), "").items()})
    rules = [{"record": f"query{position}", "expr": query.expression} for position, query in enumerate(found)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    assert rules
    checked = run(promtool, "check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
