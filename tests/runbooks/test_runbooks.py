"""Runbook pages: one an incident type, real queries, one entry an alert, and no text of the spec becomes markup."""

import re

import pytest

from generator.runbooks import runbook_pages
from generator.runbooks.markdown import block, escape
from generator.signals import signals
from generator.signals.signal import Incident
from generator.spec.load import parse_spec

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


def test_no_query_needs_grafana(pages):
    assert not [name for name, page in pages.items() if "$__" in page]


def test_no_section_is_empty(pages):
    for page in pages.values():
        assert not re.search(r"^(#+) [^\n]+\n+\1 ", page, re.MULTILINE)


def test_escalation_waits_for_the_windows_of_the_spec(pages):
    assert "still fires 2h5m after the mitigation, which is two windows" in pages["feature-drift.md"]


def test_escalation_lists_the_levels_of_the_spec(pages):
    assert "| VP engineering | 1h | phone, sms | emeka |" in pages["high-latency.md"]


def test_a_spec_without_escalation_names_the_owning_team(flights):
    assert "call on flight-operations" in runbook_pages(flights, signals(flights), "m")["feature-drift.md"]


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
