"""The exercise of three faults in a real stack: of the data, of the model, of the system, with answers from a file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import mlvitals

from examples.streamrec import write
from examples.streamrec.simulate import Traffic
from mlvitals.generator.contract import Contract
from mlvitals.incidents.evidence import read_evidence
from mlvitals.incidents.record.model import State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.timeline.events import EventKind, EventSource
from tests.conftest import server

pytestmark = pytest.mark.exercise
SPEC = Path(__file__).resolve().parents[2] / "specs" / "streamrec.yaml"
COMPRESSION = 60
ANSWERS = """\
version: 1
answers:
  - {{kind: take, after: 4m, who: amara}}
  - {{kind: see, after: 6m, text: "{subject} is not what it was."}}
  - {{kind: classify, after: 1m, severity: {severity}, type: {type}}}
  - {{kind: act, after: 15m, action: {action}}}
"""


@pytest.fixture(scope="module")
def history(streamrec, tmp_path_factory) -> Path:
    """A day in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("history")
    traffic, contract = Traffic(mean_per_hour=1_500), Contract(streamrec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "TRAINING_DAYS", 4)
        assert sum(
            write.write_history(folder, datetime(2026, 3, 4, tzinfo=UTC), 1, seed=1, traffic=traffic, contract=contract)
        )
    return folder


@pytest.mark.parametrize(
    ("fault", "alerts", "answers"),
    [
        (
            "march3",
            {"MLFeatureDrift", "MLFeatureOutOfRange"},
            ("days_since_last_interaction", "SEV-2", "data", "pipeline-fix"),
        ),
        ("misscaled_model", {"MLScoreDrift", "MLNewestScoreDrift"}, ("the score", "SEV-3", "model", "rollback")),
        (
            "error_burst",
            {"MLErrorRateHigh", "MLErrorBudgetBurn"},
            ("the error rate", "SEV-2", "system", "traffic-shift"),
        ),
    ],
)
def test_a_fault_is_paged_answered_and_resolved_by_real_servers(history, tmp_path, monkeypatch, fault, alerts, answers):
    programs = {Path(server(name, "sid")).parent for name in ("prometheus", "alertmanager")}
    for folder in programs:
        monkeypatch.setenv("PATH", str(folder), prepend=":")
    subject, severity, kind, action = answers
    (tmp_path / "answers.yaml").write_text(ANSWERS.format(subject=subject, severity=severity, type=kind, action=action))
    done = mlvitals(
        "tabletop", SPEC, "--fault", fault, "--data", history, "--answers", tmp_path / "answers.yaml",
        "--out", tmp_path / "out", "--stack", "--compress-time", str(COMPRESSION),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out" / "incidents"
    (incident,) = [each for each in Incidents(folder).all()[0] if each.owner == "amara"]
    assert {alert.name for alert in incident.alerts} & alerts
    assert incident.state is State.RESOLVED
    evidence = read_evidence(folder, incident.id)
    assert {each.source for each in evidence.asked} == {"Alertmanager", "Prometheus", "inbox", "results"}
    assert {each.problem for each in evidence.asked} == {""}
    sources = {event.source for event in evidence.events if event.kind is EventKind.FIRING}
    assert {EventSource.PROMETHEUS, EventSource.ALERTMANAGER} <= sources
    assert f"{action} ended it." in (tmp_path / "out" / "tabletop.md").read_text()
