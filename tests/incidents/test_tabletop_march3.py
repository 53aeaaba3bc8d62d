"""The exercise of March 3 that the repository ships: what is written there is what its evidence says."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlvitals.incidents.analysis.whole import Analysis, analyse
from mlvitals.incidents.evidence import read_evidence
from mlvitals.incidents.postmortem.check import check
from mlvitals.incidents.postmortem.fields import fields_of
from mlvitals.incidents.postmortem.html import postmortem_page
from mlvitals.incidents.postmortem.regions import update
from mlvitals.incidents.record.store import Incidents

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = DOCS / "tabletop-march3"
INJECTED = datetime(2026, 11, 28, 20, 27, 1, 211683, tzinfo=UTC)
REVERTED = datetime(2026, 11, 28, 20, 28, 45, 902544, tzinfo=UTC)
"""What the exercise's own program wrote down: nothing else knows it."""


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    (incident,), problems = Incidents(FOLDER).all()
    assert problems == []
    return analyse(incident, read_evidence(FOLDER, incident.id))


def written(analysis: Analysis) -> str:
    return (FOLDER / f"{analysis.incident.id}.postmortem.md").read_text()


def test_the_post_mortem_is_what_its_evidence_gives(analysis):
    text = written(analysis)
    assert update(text, fields_of(analysis, time_factor=60), "post-mortem") == (text, ())


def test_nothing_was_missing_in_it_when_it_was_written():
    (file,) = FOLDER.glob("*.postmortem.md")
    assert check(file.read_text(), date(2026, 11, 28)) == []


def test_its_times_are_those_of_the_truth(analysis):
    start = analysis.times.start
    assert start.earliest <= INJECTED <= start.latest
    assert abs(start.at - INJECTED) < timedelta(seconds=2)
    assert timedelta(0) <= analysis.times.mitigated - REVERTED < timedelta(seconds=5)


def test_every_source_was_asked_and_answered(analysis):
    assert {each.source for each in analysis.evidence.asked} == {"Alertmanager", "Prometheus", "inbox", "results"}
    assert all(each.found and not each.problem for each in analysis.evidence.asked)


def test_the_page_about_it_quotes_its_figures(analysis):
    page = (DOCS / "tabletop-march3.md").read_text()
    impact = analysis.impact
    for figure in (f"{impact.affected:,} of {impact.predictions:,}", f"{analysis.times.detected:%H:%M:%S}", "20:27:01"):
        assert figure in page


def test_it_can_be_shown_as_a_page(analysis):
    page = postmortem_page(written(analysis), analysis)
    assert page.count("<svg") == 2
    assert "Nobody complained" in page
