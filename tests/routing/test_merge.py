"""`mlvitals merge`: our routes in somebody else's alertmanager.yml, of which nothing else changes."""

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from command_line import mlvitals
from hypothesis import given
from hypothesis import strategies as st
from routing_samples import routed

from mlvitals.generator.routing.cases import route_cases
from mlvitals.generator.routing.fragment import Fragment, fragment
from mlvitals.generator.routing.merge import MergeError, merged, without
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Spec

REPOSITORY = Path(__file__).resolve().parents[2]

COMPANY = """\
# The company's Alertmanager. Ask infra before you change it.
global:
  resolve_timeout: 5m   # as agreed

route:
  # who hears of everything else
  receiver: company
  group_by: ['alertname', "cluster"]
  routes:
    # the dead man's switch first
    - matchers: [alertname="Watchdog"]
      receiver: deadman
    - matchers:
        - team="infra"
      receiver: infra   # pages
      continue: true
      routes: [{matchers: [severity="warning"], receiver: chat}]

receivers:
  # Names are used by runbooks.
  - name: company
  - name: infra
    webhook_configs: [{url: "https://infra.example/hook"}]
  - {name: chat}
  - name: deadman

inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [alertname, cluster]

templates: ['/etc/alertmanager/*.tmpl']
# the end
"""
IN_BRACKETS = """\
route: {receiver: company, group_by: [alertname], routes: [{matchers: [team="infra"], receiver: infra}]}
receivers: [{name: company},
  {name: infra}]   # all
inhibit_rules: []
"""
SHORT = "receivers:\n- name: company\nroute:\n  receiver: company"
EMPTY_LISTS = "route:\n    receiver: a\n    routes:\ninhibit_rules:\nreceivers:\n    - name: a\n      # ends\n"
BLOCK_TEXT = """\
receivers:
  - name: a
    webhook_configs:
      - url: https://a.example
route:
  receiver: a
  routes:
    - receiver: a
      matchers:
        - >-
          team="x"
...
"""
FILES = {
    "company": COMPANY,
    "in brackets": IN_BRACKETS,
    "short, no line at the end": SHORT,
    "empty lists": EMPTY_LISTS,
    "block text": BLOCK_TEXT,
    "of Windows": COMPANY.replace("\n", "\r\n"),
    "one document": f"---\n{COMPANY}",
    "anchors": COMPANY.replace("receiver: infra ", "receiver: &x infra ").replace("name: infra", "name: *x"),
}
every_file = pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())


@cache
def spec_of(name: str) -> Spec:
    if name == "quiet":
        return routed('quiet_hours: [{days: [fri], start: "22:00", end: "07:00", timezone: Europe/Berlin}]')
    return load_spec(REPOSITORY / "specs" / f"{name}.yaml")


@cache
def part(name: str) -> Fragment:
    return fragment(spec_of(name), signals(spec_of(name)))


def small(name: str) -> Fragment:
    """A part with one of everything: where the size of it is not the point."""
    matchers = [f'system="{name}"', 'severity="none"']
    return Fragment(
        {
            "matchers": [f'system="{name}"'],
            "receiver": f"{name}/a",
            "routes": [{"matchers": matchers, "repeat_interval": "1h"}],
        },
        ({"name": f"{name}/a", "webhook_configs": [{"url": 'https://{{ "x" }}.example', "send_resolved": True}]},),
        ({"source_matchers": matchers, "target_matchers": matchers, "equal": ["system"]},),
        ({"name": f"{name}/quiet", "time_intervals": [{"weekdays": ["saturday"], "location": "Europe/Berlin"}]},),
    )


def parts(*names: str) -> dict[str, Fragment]:
    return {name: small(name) for name in names}


def merge(text: str, *names: str) -> str:
    return merged(text, parts(*names), "mlvitals.tmpl")


# ---------------------------------------------------------------- every other byte


@every_file
def test_without_our_part_every_byte_is_what_it_was(text):
    after = merge(text, "streamrec", "flights", "quiet")
    restored = without(after, parts("streamrec", "flights", "quiet"))
    assert restored in {text, f"{text}\n"}, "a line that was not ended is ended"


@every_file
def test_merging_again_changes_nothing_in_whatever_order(text):
    once = merge(text, "streamrec", "flights")
    assert merge(once, "streamrec", "flights") == once
    assert merge(once, "flights") == once
    assert merge(merge(text, "flights"), "streamrec") == once
    assert merge(merge(text, "streamrec"), "flights") == once


def test_a_part_is_replaced_and_the_other_one_stays():
    both = merge(COMPANY, "streamrec", "flights")
    other = Fragment({**small("flights").route, "group_wait": "7m"}, small("flights").receivers, (), ())
    changed = merged(both, {"flights": other}, "mlvitals.tmpl")
    assert changed.count("group_wait: 7m") == 1
    assert without(changed, ["flights"]) == without(both, ["flights"])


_names = st.text("abc ./:'\"#", min_size=1, max_size=6).filter(lambda name: name.strip())
_leaves = st.builds(lambda name: {"name": name}, _names)


@given(
    st.lists(_leaves, min_size=1, max_size=4, unique_by=lambda entry: entry["name"]),
    st.booleans(), st.booleans(), st.sampled_from([None, 2, 4]), st.booleans(), st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_however_a_file_is_written_it_says_what_it_said(receivers, flow, routes, indent, comment, newline):
    document = {"receivers": receivers, "route": {"receiver": receivers[0]["name"]}}
    if routes:
        document["route"]["routes"] = [{"receiver": receivers[-1]["name"], "matchers": ['a="b"']}]
    # A mapping in braces without the list that is needed is refused.
    style = None if flow and routes else False
    text = yaml.safe_dump(document, default_flow_style=style, indent=indent, sort_keys=False, line_break=newline)
    text = text + (f"# ours{newline}" if comment else "")
    after = merge(text, "quiet")
    assert without(after, ["quiet"]) == text
    found = yaml.safe_load(after)
    assert found["receivers"][-len(receivers) :] == receivers
    assert found["route"]["routes"][0] == small("quiet").route


# ---------------------------------------------------------------- what Alertmanager makes of it


def routes_to(amtool: str, config: Path, labels: dict[str, str]) -> str:
    arguments = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    command = [amtool, "config", "routes", "test", f"--config.file={config}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


THEIRS = [
    {"alertname": "KubeNodeNotReady", "severity": "critical", "team": "infra"},
    {"alertname": "KubeNodeNotReady", "severity": "warning", "team": "infra"},
    {"alertname": "Watchdog", "severity": "none"},
    {"alertname": "Other", "severity": "critical", "system": "somebody"},
    {"alertname": "MLFeatureDrift", "severity": "critical"},
    {},
]


@pytest.mark.parametrize("name", ["company", "in brackets", "short, no line at the end", "block text"])
def test_the_routes_of_others_lead_where_they_led_and_ours_to_our_receivers(name, amtool, tmp_path):
    before, after = tmp_path / "before.yml", tmp_path / "after.yml"
    before.write_text(FILES[name])
    real = {name: part(name) for name in ("streamrec", "flights")}
    after.write_text(merged(FILES[name], real, "mlvitals.tmpl"))
    (tmp_path / "mlvitals.tmpl").write_text("")
    checked = subprocess.run([amtool, "check-config", after], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for labels in THEIRS:
        assert routes_to(amtool, after, labels) == routes_to(amtool, before, labels), labels
    for system in ("streamrec", "flights"):
        spec = spec_of(system)
        cases = {case.labels["severity"]: case for case in route_cases(spec, signals(spec)) if "system" in case.labels}
        for case in cases.values():
            assert routes_to(amtool, after, case.labels) == f"{system}/{case.receiver}"


@pytest.mark.parametrize("name", ["streamrec", "flights", "quiet"])
def test_our_inhibitions_silence_nobody_else(name):
    system = f'system="{spec_of(name).system.name}"'
    for rule in part(name).inhibit_rules:
        assert system in rule["source_matchers"]
        assert system in rule["target_matchers"]


# ---------------------------------------------------------------- what cannot be merged


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no configuration of Alertmanager"),
        ("route: [\n", "is not YAML"),
        ("a: 1\n", "has no route"),
        ("route: {receiver: a}\nreceivers: [{name: a}]\n", "1:8: error: has no routes, and is written in braces"),
        (COMPANY + "receivers: []\n", "receivers is written twice"),
        (COMPANY.replace("receivers:\n", "receivers: nobody\nold:\n"), "receivers is no list"),
        (
            COMPANY.replace("  routes:\n", "  x: &r\n").replace("\nreceivers", "  routes: *r\n\nreceivers", 1),
            "is an alias",
        ),
        (
            "d: &d {routes: []}\nroute:\n  <<: *d\n  receiver: a\nreceivers:\n  - name: a\n",
            "3:3: error: routes may come from",
        ),
        (COMPANY.replace("name: chat", "name: flights/a"), 'error: "flights/a" is what ours is called'),
        (COMPANY + "---\n" + COMPANY, "it needs one mapping"),
    ],
)
def test_a_file_that_allows_no_addition_is_refused_with_its_place(text, words):
    with pytest.raises(MergeError, match=r"^alertmanager\.yml:\d+:\d+: error: ") as caught:
        merge(text, "flights")
    assert words in str(caught.value)


# ---------------------------------------------------------------- the command


def test_the_command_writes_in_place_and_its_check_fails_until_then(tmp_path):
    file = tmp_path / "alertmanager.yml"
    file.write_text(COMPANY)
    spec = REPOSITORY / "specs" / "flights.yaml"
    checked = mlvitals("merge", file, spec, "--check")
    assert checked.returncode == 1
    assert '+        - system="flights"' in checked.stdout
    assert file.read_text() == COMPANY
    assert mlvitals("merge", file, spec).returncode == 0
    assert mlvitals("merge", file, spec, "--check").returncode == 0
    assert (tmp_path / "mlvitals.tmpl").read_text().startswith("{{/* Generated by mlvitals from flights.yaml.")
    assert mlvitals("merge", file, spec, "--remove").returncode == 0
    assert file.read_text() == COMPANY


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    spec = REPOSITORY / "specs" / "flights.yaml"
    assert "does not exist; name the configuration" in mlvitals("merge", tmp_path / "none.yml", spec).stderr
    (tmp_path / "odd.yml").write_bytes(b"\xff\xfe")
    assert "is not UTF-8 at byte 0" in mlvitals("merge", tmp_path / "odd.yml", spec).stderr


def test_an_existing_prometheus_takes_the_scrapes_of_a_file(streamrec_files, servers, tmp_path):
    """Prometheus 2.43 and newer."""
    (tmp_path / "scrape.yml").write_text(streamrec_files["stack/streamrec/existing/scrape.yml"])
    (tmp_path / "prometheus.yml").write_text("scrape_config_files: [scrape.yml]\n")
    command = [servers("promtool", "sid"), "check", "config", tmp_path / "prometheus.yml"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_part_for_other_tools_is_the_one_that_is_merged(streamrec_files):
    found = yaml.safe_load(streamrec_files["stack/streamrec/existing/alertmanager.yml"])
    assert found["routes"] == [part("streamrec").route]
    assert found["receivers"] == [*part("streamrec").receivers]
