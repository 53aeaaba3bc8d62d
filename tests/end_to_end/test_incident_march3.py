"""March 3 as an incident in a real stack: opened by the webhook, mitigated, resolved; its times are those of the truth.

StreamRec, the exporter, Prometheus on the generated rules, Alertmanager on the generated routes, the inbox; an hour passes
in a minute.
"""

import io
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from examples.streamrec.exercise import COMPRESSION, run_exercise
from mlvitals.incidents.analysis.causes import Cause
from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.evidence import read_evidence
from mlvitals.incidents.record.model import IncidentType, SevLevel, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.timeline.events import EventKind, EventSource
from tests.conftest import server

pytestmark = pytest.mark.exercise
WINDOW = timedelta(hours=1) / COMPRESSION
A_COMMAND = timedelta(seconds=20)
"""What a command may take to start on a machine that does much else."""


def test_march_3_is_opened_mitigated_resolved_and_its_times_are_those_of_the_truth(tmp_path: Path):
    played = run_exercise(
        tmp_path,
        share=0.4,
        prometheus=server("prometheus", "sid"),
        alertmanager=server("alertmanager", "sid"),
        console=Console(file=io.StringIO(), width=1000),
    )
    (incident,) = [
        each
        for each in Incidents(played.incidents).all()[0]
        if any(alert.name == "MLFeatureDrift" for alert in each.alerts)
    ]
    evidence = read_evidence(played.incidents, incident.id)
    found = analyse(incident, evidence)
    assert incident.state is State.RESOLVED
    assert {each.source for each in evidence.asked} == {"Alertmanager", "Prometheus", "inbox", "results"}
    assert {each.problem for each in evidence.asked} == {""}
    assert {kpi.name for kpi in evidence.kpis if kpi.during is not None} >= {"click_through_rate"}

    start = found.times.start
    assert start.earliest <= played.injected_at <= start.latest
    assert abs(start.at - played.injected_at) < WINDOW
    assert timedelta(0) <= found.times.mitigated - played.reverted_at < A_COMMAND
    truth = (found.times.detected - played.injected_at).total_seconds()
    assert found.times.spans["detect"].shortest <= truth <= found.times.spans["detect"].longest

    assert found.fault.feature == "days_since_last_interaction"
    assert found.causes[0].cause is Cause.PIPELINE
    assert (found.proposal.severity, found.proposal.type) == (SevLevel.SEV2, IncidentType.DATA)
    subject = "MLFeatureDrift critical days_since_last_interaction"
    told = {entry.kind: entry.sources for entry in found.timeline if entry.subject == subject}
    assert {EventSource.PROMETHEUS, EventSource.ALERTMANAGER} <= set(told[EventKind.FIRING])
    assert EventSource.INBOX in told[EventKind.NOTIFIED]
    assert "data pipeline change" in (played.incidents / f"{incident.id}.postmortem.md").read_text()
    assert (tmp_path / "postmortem.html").stat().st_size > 10_000
