"""Collecting evidence: every source that is named is asked, what fails is named, and nothing is lost."""

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from exporter_samples import report
from incident_samples import alert, at, webhook
from test_incident_sources import LOG

from mlvitals.cli import main
from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.generator.spec.load import load_spec
from mlvitals.incidents.evidence import read_evidence
from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook
from mlvitals.incidents.timeline.events import EventKind

SPEC = """
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {}}
"""


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(tmp_path / "incidents")


@pytest.fixture
def resolved(incidents: Incidents) -> Incident:
    record_webhook(incidents, webhook(alert()), at(21))
    return record_webhook(incidents, webhook(alert(ends=90)), at(91))


def collect(incidents: Incidents, incident: Incident, *sources: object):
    where = ["--dir", str(incidents.folder)]
    return CliRunner().invoke(main, ["incident", "collect", incident.id, *map(str, sources), *where])


def test_a_file_of_each_kind_is_asked(incidents, resolved, tmp_path):
    log, pagerduty, silences = (tmp_path / name for name in ("events.jsonl", "log.json", "silences.json"))
    log.write_text("\n".join(LOG))
    entry = {"type": "acknowledge_log_entry", "created_at": at(25).isoformat(), "agent": {"summary": "chiyo"}}
    pagerduty.write_text(json.dumps({"log_entries": [entry]}))
    silences.write_text("[]")
    done = collect(incidents, resolved, "--event-log", log, "--pagerduty", pagerduty, "--silences", silences)
    assert done.exit_code == 0, done.output
    evidence = read_evidence(incidents.folder, resolved.id)
    assert {each.source: each.found for each in evidence.asked} == {"Alertmanager": 3, "PagerDuty": 1, "silences": 0}
    assert EventKind.ACKNOWLEDGED in {event.kind for event in evidence.events}


def test_a_source_that_fails_is_named_and_what_others_know_is_kept(incidents, resolved, tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_text("\n".join(LOG))
    done = collect(incidents, resolved, "--event-log", log, "--prometheus", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "Prometheus: http://127.0.0.1:1 does not answer" in done.output
    evidence = read_evidence(incidents.folder, resolved.id)
    assert len([event for event in evidence.events if event.source == "Alertmanager"]) == 3


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--event-log", "nothing", "is no event log of Alertmanager"),
        ("--pagerduty", '{"incidents": []}', "holds no log entries of PagerDuty as JSON: KeyError('log_entries')"),
        ("--silences", "[1]", "holds no silences of Alertmanager as JSON"),
        ("--inbox", "{}\n", "holds no messages of mlvitals inbox"),
    ],
)
def test_a_file_of_something_else_is_named(incidents, resolved, tmp_path, option, content, message):
    file = tmp_path / "file"
    file.write_text(content)
    done = collect(incidents, resolved, option, file)
    assert done.exit_code == 1
    assert message in done.output


def test_collecting_again_adds_and_forgets_nothing(incidents, resolved, tmp_path):
    log, part = tmp_path / "events.jsonl", tmp_path / "part.jsonl"
    log.write_text("\n".join(LOG))
    part.write_text("\n".join(LOG[:3]))
    collect(incidents, resolved, "--event-log", log)
    first = read_evidence(incidents.folder, resolved.id)
    collect(incidents, resolved, "--event-log", log)
    assert read_evidence(incidents.folder, resolved.id) == first
    collect(incidents, resolved, "--event-log", part)
    assert set(first.events) <= set(read_evidence(incidents.folder, resolved.id).events)


def test_what_lies_outside_the_interval_is_left_out(incidents, resolved, tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_text("\n".join(LOG))
    collect(incidents, resolved, "--event-log", log, "--before", "30s", "--after", "1s")
    events = read_evidence(incidents.folder, resolved.id).events
    assert {event.kind for event in events if event.source == "Alertmanager"} == {EventKind.NOTIFIED, EventKind.ENDED}


def test_evidence_of_a_newer_version_is_refused_with_the_way_forward(incidents, resolved):
    (incidents.folder / f"{resolved.id}.evidence.json").write_text('{"schema": "mlvitals.evidence/2"}')
    shown = CliRunner().invoke(main, ["incident", "timeline", resolved.id, "--dir", str(incidents.folder)])
    assert shown.exit_code == 1
    assert "is no evidence (mlvitals.evidence/1)" in shown.output


def test_the_results_database_gives_windows_and_changes(incidents, resolved, tmp_path):
    spec_file = tmp_path / "shop.yaml"
    spec_file.write_text(SPEC)
    spec = load_spec(spec_file)
    with closing(open_results(spec.results, tmp_path)) as results:
        results.save(report(window=Window(at(0), at(60))))
        results.note("shop", Change(ChangeKind.PIPELINE, "batch", at(-10), "v2", "team"))
        results.note("shop", Change(ChangeKind.PIPELINE, "batch", at(-10) - timedelta(days=3), "v1", "team"))
    assert collect(incidents, resolved, "--spec", spec_file).exit_code == 0
    evidence = read_evidence(incidents.folder, resolved.id)
    assert [window.end for window in evidence.windows] == [at(60)]
    assert [event.text for event in evidence.events if event.kind is EventKind.PIPELINE] == ["Pipeline of batch: v2."]


def test_a_results_database_that_is_missing_is_named(incidents, resolved, tmp_path):
    spec_file = tmp_path / "shop.yaml"
    spec_file.write_text(SPEC)
    done = collect(incidents, resolved, "--spec", spec_file)
    assert done.exit_code == 1
    assert "results.db does not exist" in done.output


def test_the_criteria_of_the_spec_are_kept_and_decide_the_triage_also_where_its_database_is_missing(
    incidents, resolved, tmp_path
):
    spec_file = tmp_path / "shop.yaml"
    spec_file.write_text(SPEC + "incidents: {sev1: {affected_ratio: 0.4}}")
    collect(incidents, resolved, "--spec", spec_file)
    kept = read_evidence(incidents.folder, resolved.id).criteria
    assert (kept["sev1"].affected_ratio, kept["sev2"].affected_ratio) == (0.4, 0.1)
    shown = CliRunner().invoke(main, ["incident", "triage", resolved.id, "--dir", str(incidents.folder)])
    assert "proposed: SEV-3" in shown.output
