"""Runbook pages: one an alert on two screens, a guide and an appendix an incident type; no text of the spec becomes markup."""

import posixpath
import re
from pathlib import Path

import pytest

import mlvitals.generator
from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.runbooks.checks import FIRST
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


def landings(pages) -> dict[str, str]:
    return {path: page for path, page in pages.items() if "/ML" in path}


def test_every_incident_type_has_a_guide_and_an_appendix_and_there_are_an_index_and_a_page_about_people(pages):
    guides, appendices = ({f"{incident}{end}" for incident in Incident} for end in (".md", "/reference.md"))
    assert set(pages) - set(landings(pages)) == {"README.md", "escalation.md", *guides, *appendices}


@pytest.mark.parametrize("system", ["streamrec", "flights"])
def test_the_page_of_an_alert_fits_two_screens(system, request):
    spec = request.getfixturevalue(system)
    for path, text in landings(runbook_pages(spec, signals(spec), "A marker")).items():
        assert len(text.splitlines()) <= 60, path


def test_the_page_of_an_alert_says_what_it_means_what_to_check_what_to_do_whom_to_call_and_how_to_silence_it(pages):
    for path, text in landings(pages).items():
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["First checks", "Mitigation", "Escalation", "Silence exactly this"], path
        assert "\nImpact: " in text
        assert "\n| Option | When | Takes | Risk |\n" in text


def test_every_alert_has_three_checks_each_with_what_its_answers_mean(pages):
    for path, text in landings(pages).items():
        checks = re.split(r"^\*\*\d\. (?=[A-Z])", text.partition("## Mitigation")[0], flags=re.MULTILINE)[1:]
        assert len(checks) == 3, path
        for check in checks:
            assert check.count("```") == 2
            assert len(re.findall(r"^- \*.+\*: .+$", check, re.MULTILINE)) >= 2, path


def test_every_alert_that_any_spec_can_have_has_a_first_check_and_no_check_is_left_over():
    folder = Path(mlvitals.generator.__file__).parent
    sources = [path.read_text() for path in folder.rglob("*.py") if path.parent.name != "runbooks"]
    assert {name for text in sources for name in re.findall(r'"(ML[A-Z]\w+)"', text)} == set(FIRST)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_the_usual_fix_and_the_first_check_are_imperatives(name):
    imperatives = {
        "Add", "Check", "Compare", "Correct", "Count", "Fall", "Fix", "Guard", "Lengthen", "List", "Map", "Nothing", "Read",
        "Rebuild", "Recalibrate", "Restart", "Restore", "Retrain", "Revert", "Rewrite",
        "Roll", "Run", "Serve", "Stop", "Treat", "Write",
    }  # fmt: skip
    assert {FIRST[name].fix.split()[0], FIRST[name].action.split()[0]} <= imperatives


def test_a_silence_matches_the_system_the_severity_and_what_the_alert_is_about(pages):
    matchers = "system=streamrec alertname=MLFeatureDrift severity=SEVERITY feature_name=FEATURE_NAME"
    assert matchers in pages["feature-drift/MLFeatureDrift.md"]


def test_no_page_shows_how_to_silence_the_watchdog(pages):
    assert "amtool" not in pages["monitoring/MLWatchdog.md"]


def test_no_page_shows_a_telephone_number(streamrec, pages):
    numbers = [person.phone for person in streamrec.responders.values() if person.phone]
    assert numbers
    assert not [path for path, page in pages.items() for number in numbers if number in page]


def test_the_index_names_every_signal_and_links_every_alert_to_its_section(streamrec, pages):
    for signal in signals(streamrec):
        assert f"| {signal.title} |" in pages["README.md"]
        for alert in signal.alerts:
            assert f"[{alert.name}]({signal.incident}/{alert.name}.md)" in pages["README.md"]


def test_an_incident_type_without_alerts_has_no_page(hostile_pages):
    assert "stale-data.md" not in hostile_pages


def test_the_marker_is_in_the_first_line(pages):
    assert {page.splitlines()[0] for page in pages.values()} == {"<!-- A marker -->"}


def test_every_alert_has_exactly_one_section_under_its_name(streamrec, pages):
    for signal in signals(streamrec):
        page = pages[f"{signal.incident}/reference.md"]
        for alert in signal.alerts:
            assert page.count(f"\n### {alert.name}\n") == 1
            assert alert.rule in page


@pytest.mark.parametrize("system", ["streamrec", "flights"])
def test_every_runbook_url_leads_to_the_page_of_its_alert(system, request):
    spec = request.getfixturevalue(system)
    found = runbook_pages(spec, signals(spec), "A marker")
    for rule in alert_rules(spec, signals(spec)):
        url = rule.annotations["runbook_url"].template()
        page = found[url.removeprefix(f"{spec.links.runbooks}/{system}/")]
        assert f"\n# {rule.alert.name}\n" in page


def test_every_link_between_pages_resolves(pages):
    for path, text in pages.items():
        folder = path.rpartition("/")[0]
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", text):
            inside = posixpath.normpath(posixpath.join(folder, target))
            assert inside in pages, (path, target)


@pytest.mark.parametrize("incident", [incident for incident in Incident if incident is not Incident.MONITORING])
def test_a_page_holds_everything_from_impact_to_communication(incident, pages):
    page = pages[f"{incident}.md"]
    sections = re.findall(r"^#{2,3} (\w[\w ]*)$", page, re.MULTILINE)
    wanted = ["Alerts", "Impact", "Diagnosis", "Mitigation", "Root cause", "Escalation", "Communication"]
    assert [name for name in sections if name in wanted] == wanted
    assert "## Panels" in pages[f"{incident}/reference.md"]


def test_every_mitigation_says_when_how_long_and_at_what_risk(pages):
    assert "| Option | When | Takes | Risk |" in pages["stale-data.md"]
    assert (
        "| Run the job again | It failed or was skipped, and its inputs are available. | One run of the job "
        "| Low, if the job may run twice |" in pages["stale-data.md"]
    )


def test_root_causes_are_looked_for_in_every_ml_category(pages):
    categories = (
        "Data pipeline change", "Distribution shift", "Concept drift", "Training-serving skew", "Label leakage",
        "Feedback loop", "Stale model",
    )  # fmt: skip
    assert all(f"| {category} |" in page for page in incident_pages(pages) for category in categories)


def incident_pages(pages) -> list[str]:
    return [pages[f"{incident}.md"] for incident in Incident]


def test_one_link_opens_the_dashboard_at_a_time_and_on_a_feature(pages):
    links = re.findall(r"\]\((http[^)]*)\)", pages["feature-drift/MLFeatureDrift.md"])
    assert links == ["http://localhost:3000/d/streamrec-feature?from=now-2d&to=now&var-feature_name=FEATURE"]


def test_stale_data_escalates_by_how_often_the_sources_update(pages):
    assert "Limits of the sources: user\\_batch\\_features 6h, item" in pages["stale-data.md"]


def test_no_query_needs_grafana(pages):
    assert not [name for name, page in pages.items() if "$__" in page]


def test_every_placeholder_of_a_check_is_filled_in(pages):
    assert not [path for path, page in landings(pages).items() if "TOP_BINS" in page or "EXPORTER" in page]


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
