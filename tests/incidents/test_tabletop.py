"""Exercises on a day of StreamRec: three faults, a team whose answers are in a file, and what is made of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import mlvitals

from examples.streamrec import write
from examples.streamrec.simulate import Traffic
from mlvitals.evaluation.faults.catalogue import KINDS
from mlvitals.generator.contract import Contract
from mlvitals.incidents.evidence import read_evidence
from mlvitals.incidents.record.model import Action, SevLevel, State
from mlvitals.incidents.record.store import Incidents

pytestmark = pytest.mark.slow
SPEC = Path(__file__).resolve().parents[2] / "specs" / "streamrec.yaml"
END = datetime(2026, 3, 4, tzinfo=UTC)
ANSWERS = """\
version: 1
answers:
  - {{kind: take, after: 4m, who: amara}}
  - {{kind: see, after: 6m, text: "{seen} is not what it was."}}
  - {{kind: classify, after: 1m, severity: {severity}, type: {type}, text: as the page says}}
  - {{kind: act, after: 5m, action: other, text: We look at the dashboard.}}
  - {{kind: act, after: 10m, action: {action}, text: Done.}}
"""
FAULTS = {
    "march3": ("MLFeatureDrift", "days_since_last_interaction", "SEV-2", "data", "pipeline-fix"),
    "misscaled_model": ("MLScoreDrift", "the score", "SEV-3", "model", "rollback"),
    "error_burst": ("MLErrorRateHigh", "the error rate", "SEV-2", "system", "traffic-shift"),
}
"""A fault of the data, one of the model and one of the system: the alert that pages, and what the team answers."""


@pytest.fixture(scope="module")
def history(streamrec, tmp_path_factory) -> Path:
    """A day in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("history")
    traffic = Traffic(mean_per_hour=1_500)  # fewer reach too little of the catalogue, which pages
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "TRAINING_DAYS", 4)
        assert sum(write.write_history(folder, END, 1, seed=1, traffic=traffic, contract=Contract(streamrec)))
    return folder


def play(history: Path, out: Path, fault: str, answers: str, *more: str):
    out.mkdir(exist_ok=True)
    (out / "answers.yaml").write_text(answers)
    files = ("--data", history, "--answers", out / "answers.yaml", "--out", out)
    return mlvitals("tabletop", SPEC, "--fault", fault, *files, *more)


@pytest.fixture(scope="module", params=FAULTS)
def played(request, history, tmp_path_factory):
    """An exercise that went well, and its folder."""
    alert, seen, severity, kind, action = FAULTS[request.param]
    out = tmp_path_factory.mktemp(request.param)
    answers = ANSWERS.format(seen=seen, severity=severity, type=kind, action=action)
    done = play(history, out, request.param, answers, "--html", str(out / "page.html"), "--strict")
    return alert, action, done, out


def incident_of(out: Path, alert: str):
    (found,) = [
        each for each in Incidents(out / "incidents").all()[0] if alert in {fired.name for fired in each.alerts}
    ]
    return found


def test_the_page_of_its_own_layer_comes_and_every_stage_meets_the_policy(played):
    alert, _, done, _ = played
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"critical: {alert}" in done.stdout
    assert "missing in rules" not in done.stdout


def test_a_mitigation_that_does_not_end_the_fault_is_said_to_change_nothing(played):
    _, _, done, _ = played
    assert "other is done. Nothing gets better." in done.stdout


def test_the_webhook_opens_and_resolves_the_incident_and_the_team_writes_into_it(played):
    alert, action, _, out = played
    incident = incident_of(out, alert)
    assert incident.state is State.RESOLVED
    assert incident.owner == "amara"
    assert [entry.action for entry in incident.entries if hasattr(entry, "action")] == [Action.OTHER, Action(action)]
    assert incident.severity in set(SevLevel)


def test_the_post_mortem_and_the_report_say_what_happened(played):
    alert, action, _, out = played
    incident = incident_of(out, alert)
    report = (out / "tabletop.md").read_text()
    postmortem = (out / "incidents" / f"{incident.id}.postmortem.md").read_text()
    assert "| detection | **met** |" in report
    assert f"{action} ended it. Tried before: other." in report
    assert action.replace("-", " ") in postmortem
    assert "<article>" in (out / "page.html").read_text()


def test_times_in_the_evidence_are_those_of_the_answers(played):
    alert, _, _, out = played
    incident = incident_of(out, alert)
    assert read_evidence(out / "incidents", incident.id).windows
    taken, mitigated = (
        next(entry.at for entry in incident.in_order if type(entry).__name__ == name)
        for name in ("Assigned", "Mitigated")
    )
    assert taken - incident.opened_at == timedelta(minutes=4)
    assert mitigated - incident.opened_at == timedelta(minutes=16)


def test_who_never_answers_sees_the_escalation_and_an_open_incident(history, tmp_path):
    silent = "version: 1\nanswers:\n  - {kind: see, after: 40m, text: hm}\n"
    done = play(history, tmp_path, "march3", silent, "--strict")
    assert done.returncode == 1
    assert "Nobody has acknowledged it: Senior ML engineer is called." in done.stdout
    assert "The exercise ends here: the fault goes on." in done.stdout
    assert "escalation  missed" in done.stdout


def test_a_benign_change_pages_nobody_and_is_right_to_be_left_alone(history, tmp_path):
    done = play(
        history, tmp_path, "new_country", "version: 1\nanswers:\n  - {kind: take, who: amara}\n", "--on", "device"
    )
    assert "warning:" in done.stdout and "critical:" not in done.stdout
    assert "Nothing was wrong, and nothing was done." in done.stdout


def test_the_notes_tell_the_truth_and_play_nothing(history, tmp_path):
    done = mlvitals("tabletop", SPEC, "--fault", "march3", "--data", history, "--notes", "--out", tmp_path / "none")
    assert done.returncode == 0
    assert "It is ended by pipeline-fix or feature-fallback or rollback" in done.stdout
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_an_experiment_asks_whether_the_page_came_in_time(name):
    done = mlvitals("tabletop", SPEC, "--fault", name, "--export", "chaostoolkit")
    experiment = json.loads(done.stdout)
    assert done.returncode == 0
    before, break_it = experiment["method"]
    _, came = experiment["steady-state-hypothesis"]["probes"]
    assert before["provider"]["arguments"]["query"].startswith("absent(ALERTS{")
    assert break_it["pauses"]["after"] > 0
    (kind,) = [each for each in KINDS if each.name == name]
    assert any(signal in came["provider"]["arguments"]["query"] for signal in kind.signals)
    assert experiment["runtime"] == {"hypothesis": {"strategy": "after-method-only"}}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--fault", "march4"), "no fault is called 'march4'; did you mean \"march3\""),
        (("--fault", "march3", "--share", "1.5"), "march3: the strength is 1.5; give a number above 0 and at most 1"),
        (
            ("--fault", "march3", "--on", "country"),
            "march3 needs a numeric feature, and 'country' is none of this system",
        ),
        (
            ("--fault", "error_burst", "--on", "country"),
            "error_burst strikes the serving application, of which there is one",
        ),
        (("--fault", "march3", "--until", "2020-01-01"), "the log holds no row from 2019-12-31"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_reason(history, tmp_path, more, message):
    done = mlvitals("tabletop", SPEC, "--data", history, "--out", tmp_path / "out", *more)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("version: 1\nanswers: []\n", "answers.yaml:2:10: error:"),
        ("version: 1\nanswers:\n  - {kind: take}\n", "answers.yaml:3:5: error:"),
        ("version: 1\nanswers:\n  - {kind: act, action: pray}\n", "answers.yaml:3:25: error:"),
        ("version: 1\nanswers:\n  - {kind: see, text: x, after: soon}\n", "answers.yaml:3:33: error:"),
        ("", "is empty"),
    ],
)
def test_an_error_in_the_answers_names_its_place(history, tmp_path, written, message):
    done = play(history, tmp_path, "march3", written)
    assert done.returncode == 1
    assert message in done.stderr
