"""Runbook pages: one an incident type, real queries, one entry an alert, and no text of the spec becomes markup."""

import re

import pytest

from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.runbooks.markdown import block, escape
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Incident
from mlvitals.generator.spec.load import parse_spec

HOSTILE = """\
version: 1
system:
  name: odd
  title: "a {{ .Value }} `ticked` </script> | table\\n# heading"
  team: "[link](javascript:alert(1)) <b>bold</b>"
prediction_log: {path: log, score: score}
features:
  'we"ird```{{ $name }} é': {}
responders:
  "| ann | <b>": {email: a@b, slack: "[link](x)"}
escalation:
  - {role: "| boss | <img src=x>", after: 0m, via: [email], contacts: ["| ann | <b>"]}
"""


@pytest.fixture
def pages(streamrec):
    return runbook_pages(streamrec, signals(streamrec), "A marker")


@pytest.fixture
def hostile_pages():
    spec = parse_spec(HOSTILE)
    return runbook_pages(spec, signals(spec), "A marker")


def test_every_incident_type_has_a_page_and_there_are_an_index_and_a_page_about_people(pages):
    assert set(pages) == {"README.md", "escalation.md", *(f"{incident}.md" for incident in Incident)}


def test_the_index_names_every_signal_and_links_every_alert_to_its_section(streamrec, pages):
    for signal in signals(streamrec):
        assert f"| {signal.title} |" in pages["README.md"]
        for alert in signal.alerts:
            assert f"[{alert.name}]({signal.incident}.md#{alert.name.lower()})" in pages["README.md"]


def test_an_incident_type_without_alerts_has_no_page(hostile_pages):
    assert "stale-data.md" not in hostile_pages


def test_the_marker_is_in_the_first_line(pages):
    assert {page.splitlines()[0] for page in pages.values()} == {"<!-- A marker -->"}


def test_every_alert_has_exactly_one_section_under_its_name(streamrec, pages):
    for signal in signals(streamrec):
        page = pages[f"{signal.incident}.md"]
        for alert in signal.alerts:
            assert page.count(f"\n### {alert.name}\n") == 1
            assert alert.rule in page


@pytest.mark.parametrize("system", ["streamrec", "flights"])
def test_every_runbook_url_leads_to_an_anchor(system, request):
    spec = request.getfixturevalue(system)
    found = runbook_pages(spec, signals(spec), "A marker")
    for rule in alert_rules(spec, signals(spec)):
        url = rule.annotations["runbook_url"].template()
        page, anchor = url.removeprefix(f"{spec.links.runbooks}/{system}/").split("#")
        headings = re.findall(r"^#+ (.+)$", found[page], re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("incident", [incident for incident in Incident if incident is not Incident.MONITORING])
def test_a_page_holds_everything_from_impact_to_communication(incident, pages):
    page = pages[f"{incident}.md"]
    sections = re.findall(r"^#{2,3} (\w[\w ]*)$", page, re.MULTILINE)
    wanted = ["Impact", "Diagnosis", "Dashboard", "Queries", "Commands", "Mitigation", "Root cause", "Escalation"]
    assert [name for name in sections if name in wanted] == wanted
    assert {"Communication", "Alerts"} <= set(sections)


def test_every_mitigation_says_when_and_how_long(pages):
    assert "| Option | When to use it | Takes |" in pages["stale-data.md"]
    assert (
        "| Run the job again | It failed or was skipped, and its inputs are available. | One run of the job |"
        in (pages["stale-data.md"])
    )


def test_root_causes_are_looked_for_in_every_ml_category(pages):
    categories = (
        "Data pipeline change", "Distribution shift", "Concept drift", "Training-serving skew", "Label leakage",
        "Feedback loop", "Stale model",
    )  # fmt: skip
    assert all(f"| {category} |" in page for page in incident_pages(pages) for category in categories)


def incident_pages(pages) -> list[str]:
    return [pages[f"{incident}.md"] for incident in Incident]


def test_links_open_the_dashboard_at_a_time_and_on_a_feature(pages):
    address = "http://localhost:3000/d/streamrec?from=now-2d&to=now&var-feature_name=country"
    assert f"[country]({address})" in pages["feature-drift.md"]


def test_links_survive_odd_names(hostile_pages):
    links = re.findall(r"\]\((http[^)]*)\)", hostile_pages["feature-drift.md"])
    assert links[-1].endswith("var-feature_name=we%22ird%60%60%60%7B%7B%20%24name%20%7D%7D%20%C3%A9")


def test_stale_data_escalates_by_how_often_the_sources_update(pages):
    assert "Limits of the sources: user\\_batch\\_features 6h, item" in pages["stale-data.md"]


def test_no_query_needs_grafana(pages):
    assert not [name for name, page in pages.items() if "$__" in page]


def test_no_section_is_empty(pages):
    for page in pages.values():
        assert not re.search(r"^(#+) [^\n]+\n+\1 ", page, re.MULTILINE)


def test_escalation_waits_for_the_windows_of_the_spec(pages):
    assert "still fires 2h5m after the mitigation, which is two windows" in pages["feature-drift.md"]


def test_escalation_lists_the_levels_of_the_spec(pages):
    assert "| 4 | VP engineering | 1h | phone call, SMS | emeka |" in pages["high-latency.md"]


def test_a_spec_without_escalation_names_the_owning_team(flights):
    assert "contact flight-operations" in runbook_pages(flights, signals(flights), "m")["feature-drift.md"]


def test_text_of_the_spec_never_becomes_markup(hostile_pages):
    for page in hostile_pages.values():
        prose = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", page, flags=re.DOTALL | re.MULTILINE)
        assert "<b>" not in prose
        assert "<img" not in prose
        assert "{{" not in prose
        assert "[link](" not in prose
        assert "\n# heading" not in prose
        assert "| boss |" not in prose.replace(r"\|", "")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain text", "plain text"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a|b", r"a\|b"),
        ("two\nlines", "two lines"),
        ("1. item", r"1\. item"),
        ("- item", r"\- item"),
        ("{{ .Value }}", r"\{\{ .Value \}\}"),
    ],
)
def test_markup_is_escaped(text, escaped):
    assert escape(text) == escaped


def test_a_code_block_cannot_be_left_from_inside():
    assert block("a\n```\nb") == "````\na\n```\nb\n````"
