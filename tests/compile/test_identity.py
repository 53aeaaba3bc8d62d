"""Two environments of one system: each reads its own series, alerts on them, and is silenced by itself."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import promql_parser
import pytest
import yaml

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.promql import syntax_nodes
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Identity, Spec

LABELS = {"env": "staging", "cluster": "eu-1"}


def identified(spec: Spec, **labels: str) -> Spec:
    return msgspec.structs.replace(spec, identity=Identity(labels=labels))


@pytest.fixture(scope="module")
def files(streamrec) -> dict[str, str]:
    return compile_spec(identified(streamrec, **LABELS))


def rules(files: dict[str, str]) -> list[dict[str, Any]]:
    (text,) = (text for path, text in files.items() if path.endswith(".rules.yml"))
    return [rule for group in yaml.load(text, yaml.CSafeLoader)["groups"] for rule in group["rules"]]


def selectors(expression: str) -> Iterator[Any]:
    return (node for node in syntax_nodes(expression) if type(node).__name__ == "VectorSelector")


def demands(selector: Any) -> dict[str, str]:
    equal = promql_parser.MatchOp.Equal
    return {each.name: each.value for each in selector.matchers.matchers if each.op == equal}


def test_every_selector_of_every_rule_demands_the_identity(files):
    for rule in rules(files):
        for selector in selectors(rule["expr"]):
            if selector.name != "prometheus_rule_evaluation_failures_total":
                assert LABELS.items() <= demands(selector).items(), rule["expr"]


def test_every_rule_gives_its_series_the_identity(files):
    assert all(LABELS.items() <= rule.get("labels", {}).items() for rule in rules(files))


def test_every_question_in_a_text_demands_the_identity(files):
    texts = [text for rule in rules(files) for text in rule.get("annotations", {}).values()]
    asked = [part for text in texts for part in text.split("printf `")[1:]]
    assert asked
    assert all('env="staging"' in part.partition("`")[0] for part in asked)


def test_every_expression_of_every_dashboard_demands_the_identity(files):
    boards = {path: json.loads(text) for path, text in files.items() if path.startswith("dashboards/")}
    assert boards.keys() >= {"dashboards/streamrec-staging-eu-1.json", "dashboards/streamrec-staging-eu-1-feature.json"}
    found = [text for board in boards.values() for text in expressions(board)]
    assert len(found) > 100
    assert [text for text in found if "streamrec_" in text and 'env="staging"' not in text] == []


def expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"expr", "query"} and isinstance(item, str):
                yield item
            else:
                yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


def test_targets_are_scraped_with_the_identity(files):
    config = yaml.safe_load(files["stack/streamrec-staging-eu-1/prometheus.yml"])
    labels = {job["job_name"]: job["static_configs"][0].get("labels") for job in config["scrape_configs"]}
    assert labels == {
        "streamrec-serving": LABELS, "streamrec-exporter": LABELS, "prometheus": None, "alertmanager": None,
    }  # fmt: skip


def test_groups_inhibitions_and_silences_keep_environments_apart(files):
    config = yaml.safe_load(files["stack/streamrec-staging-eu-1/alertmanager.yml"])
    assert {"env", "cluster"} <= set(config["route"]["group_by"])
    for rule in config["inhibit_rules"]:
        assert {"env", "cluster"} <= set(rule["equal"])
    commands = [
        line
        for path, text in files.items()
        if path.startswith("runbooks/streamrec-staging-eu-1/")
        for line in text.splitlines()
        if line.startswith("amtool silence add")
    ]
    assert commands
    assert all("env=" in line and "cluster=" in line for line in commands)


def test_two_environments_compile_side_by_side(streamrec):
    production, staging = (compile_spec(identified(streamrec, env=env)) for env in ("production", "staging"))
    assert production.keys() & staging.keys() == set()
    uids = [
        json.loads(text)["uid"]
        for files in (production, staging)
        for path, text in files.items()
        if path.startswith("dash")
    ]
    assert len(uids) == len(set(uids))


def test_without_an_identity_nothing_is_added(streamrec, streamrec_files):
    assert streamrec_files == compile_spec(msgspec.structs.replace(streamrec, identity=Identity()), "streamrec.yaml")


def test_more_labels_and_annotations_stand_on_every_alert(streamrec):
    identity = Identity(alert_labels={"pager": "ml"}, alert_annotations={"contact": "see the wiki"})
    for rule in rules(compile_spec(msgspec.structs.replace(streamrec, identity=identity))):
        if "alert" in rule:
            assert (rule["labels"]["pager"], rule["annotations"]["contact"]) == ("ml", "see the wiki")


@pytest.mark.parametrize("name", ["severity", "feature_name", "job", "sloth_id"])
def test_a_label_that_series_have_already_is_refused(name):
    text = f"""\
version: 1
system: {{name: shop}}
identity: {{labels: {{{name}: x}}}}
prediction_log: {{path: log}}
features: {{amount: {{}}}}
"""
    with pytest.raises(SpecError, match="is a label that series or alerts of mlvitals have already"):
        parse_spec(text)
