"""Two environments of one system: each reads its own series, alerts on them, and is silenced by itself."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import promql_parser
import pytest
import yaml

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.promql import syntax_nodes
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Identity, Spec
from mlvitals.verification.intervals import Span, filled
from mlvitals.verification.queries import Origin, queries

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
    chosen = "env=~`${env:regex}`,cluster=~`${cluster:regex}`"
    assert [text for text in found if "streamrec_" in text and chosen not in text] == []
    assert [text for text in found if 'env="staging"' in text] == [], "the chosen environment would show nothing"


def test_a_dashboard_opens_on_its_own_environment_and_shows_another_one_that_is_typed(files):
    for path, text in files.items():
        if path.startswith("dashboards/"):
            variables = {each["name"]: each for each in json.loads(text)["templating"]["list"]}
            own = {name: (variables[name]["type"], variables[name]["current"]["value"]) for name in LABELS}
            assert own == {name: ("textbox", value) for name, value in LABELS.items()}, path


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
    own = {'system="streamrec"', 'env="staging"', 'cluster="eu-1"'}
    assert {"env", "cluster"} <= set(config["route"]["group_by"])
    (route,) = config["route"]["routes"]
    assert set(route["matchers"]) == own
    for rule in config["inhibit_rules"]:
        assert {"env", "cluster"} <= set(rule["equal"])
        assert own <= set(rule["source_matchers"])
        assert own <= set(rule["target_matchers"])
    commands = [
        line
        for path, text in files.items()
        if path.startswith("runbooks/streamrec-staging-eu-1/")
        for line in text.splitlines()
        if line.startswith("amtool silence add")
    ]
    assert commands
    assert all("env=staging" in line and "cluster=eu-1" in line for line in commands)


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


def test_what_people_and_services_call_an_environment_says_which_it_is(files):
    named = "StreamRec (staging, eu-1)"
    terraform = json.loads(files["stack/streamrec-staging-eu-1/pagerduty.tf.json"])["resource"]
    for kind in ("pagerduty_service", "pagerduty_escalation_policy", "pagerduty_schedule"):
        assert all(each["name"].startswith(named) for each in terraform[kind].values()), kind
    boards = [json.loads(text)["title"] for path, text in files.items() if path.startswith("dashboards/")]
    assert all(title.startswith(f"{named}: ") for title in boards)
    guide = files["runbooks/streamrec-staging-eu-1/feature-drift.md"]
    assert "# StreamRec (staging, eu-1): " in guide


def test_without_an_identity_nothing_is_added(streamrec, streamrec_files):
    assert streamrec_files == compile_spec(msgspec.structs.replace(streamrec, identity=Identity()), "streamrec.yaml")


def test_more_labels_and_annotations_stand_on_every_alert(streamrec):
    identity = Identity(alert_labels={"pager": "ml"}, alert_annotations={"contact": "see the wiki"})
    for rule in rules(compile_spec(msgspec.structs.replace(streamrec, identity=identity))):
        if "alert" in rule:
            assert (rule["labels"]["pager"], rule["annotations"]["contact"]) == ("ml", "see the wiki")


SHOP = """\
version: 1
system: {name: shop}
identity: IDENTITY
prediction_log: {path: log}
features: {amount: {}}
"""


def shop(identity: str) -> Spec:
    return parse_spec(SHOP.replace("IDENTITY", identity))


def refused(identity: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        shop(identity)
    return [f"{each.position.line}:{each.position.column} {each.text}" for each in caught.value.diagnostics]


@pytest.mark.parametrize(
    "values",
    [("prod-eu", "prod/eu"), ("prod", "Prod"), ("本番", "検証"), ("eu 1", "eu-1"), ("a/b", "a//b"), ('"', "'")],
)
def test_values_that_files_cannot_tell_apart_still_name_other_files(values):
    slugs = {shop(f"{{labels: {{env: '{value.replace(chr(39), chr(39) * 2)}'}}}}").slug.casefold() for value in values}
    assert len(slugs) == len(values)


def test_an_ordinary_value_stays_readable_in_the_names_of_files():
    assert shop("{labels: {env: staging, cluster: eu-1}}").slug == "shop-staging-eu-1"


def test_a_label_of_the_identity_is_not_given_twice():
    assert refused("{labels: {env: prod}, alert_labels: {env: staging}}") == [
        "3:48 identity.alert_labels.env is one of identity.labels, which every alert carries already; keep only one of them"
    ]


def test_annotations_of_every_alert_are_not_replaced(streamrec_files):
    for name in next(rule for rule in rules(streamrec_files) if "alert" in rule)["annotations"]:
        (error,) = refused(f"{{alert_annotations: {{{name}: x}}}}")
        assert error == (
            f"3:32 identity.alert_annotations.{name} is an annotation that every alert has already; "
            "call it something else"
        )


def test_the_failures_of_its_own_groups_count_and_no_other_environments():
    """Another environment may have a name that begins like this one's."""
    identities = ("{}", *(f"{{labels: {{env: {value}}}}}" for value in ("eu", "eu-1", "data", "1m")))
    groups = {each: list(rule_groups(shop(each), signals(shop(each)))) for each in identities}
    for own in identities:
        (failing,) = (
            rule["expr"] for group in groups[own] for rule in group["rules"] if rule.get("alert") == "MLRulesFailing"
        )
        (selector,) = selectors(failing)
        (pattern,) = (each.value for each in selector.matchers.matchers if each.name == "rule_group")
        for other in identities:
            for group in groups[other]:
                counted = re.fullmatch(pattern, f"/etc/rules.yml;{group['name']}") is not None
                assert counted is (own == other), (own, group["name"])


def test_the_runbooks_list_the_alerts_of_their_own_environment(files):
    path = "runbooks/streamrec-staging-eu-1/feature-drift.md"
    assert (
        "amtool alert query --alertmanager.url=http://localhost:9093 system=streamrec env=staging cluster=eu-1"
        in (files[path])
    )


HOSTILE = "a\"b'c`d%e{{f}}$g [1].*|é\\n"


def test_any_value_of_an_identity_reads_back_where_it_is_written():
    spec = identified(shop("{}"), env=HOSTILE)
    files = compile_spec(spec)
    every = rules(files)
    asked = 0
    for rule in every:
        for selector in selectors(rule["expr"]):
            if selector.name != "prometheus_rule_evaluation_failures_total":
                assert demands(selector)["env"] == HOSTILE
                asked += 1
    assert asked > 50
    config = yaml.safe_load(files[f"stack/{spec.slug}/alertmanager.yml"])
    assert f"env={json.dumps(HOSTILE, ensure_ascii=False)}" in config["route"]["routes"][0]["matchers"]
    for command in (line for text in files.values() for line in text.splitlines() if line.startswith("amtool")):
        assert f"env={json.dumps(HOSTILE, ensure_ascii=False)}" in shlex.split(command)


def test_verify_asks_the_queries_of_an_environments_dashboards_as_they_open():
    """With its value as the regular expression that Grafana makes of it."""
    value = "a\"b'c%d é"  # nothing to escape in a regular expression, which the parser here cannot read in a raw string
    every = queries(compile_spec(identified(shop("{}"), env="eu.1")))
    dotted = next(query for query in every if query.origin is Origin.PANEL)
    assert {each.name: each.fixed for each in dotted.variables}["env"] == r"eu\.1"
    span = Span(timedelta(hours=1), 15)
    found = 0
    for query in queries(compile_spec(identified(shop("{}"), env=value))):
        if query.origin is Origin.PANEL and "shop_" in query.expression:
            fixed = {each.name: each.fixed or ".+" for each in query.variables}
            for selector in selectors(filled(query, span, fixed)):
                demanded = [each.value for each in selector.matchers.matchers if each.name == "env"]
                assert [re.fullmatch(pattern, value) is not None for pattern in demanded] == [True], query
                found += 1
    assert found > 50


def test_every_alert_says_its_environment(streamrec, streamrec_files, files):
    for compiled, expected in ((streamrec_files, streamrec.system.environment), (files, "staging, eu-1")):
        alerts = [rule for rule in rules(compiled) if "alert" in rule]
        assert {rule["annotations"]["environment"] for rule in alerts} == {expected}
        page = next(text for path, text in compiled.items() if path.endswith("/MLFeatureDrift.md"))
        assert f"({expected})" in page


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
