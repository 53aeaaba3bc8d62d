"""Incidents as metrics: what the exporter shows of a folder, and the means that rules record of it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from incident_samples import at

from mlvitals.generator.contract import INCIDENTS_SHOWN, STATES, Contract
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.signals import signals
from mlvitals.incidents.gauges import IncidentGauges
from mlvitals.incidents.record.model import Assigned, Closed, Entry, Opened, Resolved, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.timeline.times import DEFINITIONS

MARCH3 = Path(__file__).resolve().parents[2] / "docs" / "tabletop-march3"


def opened(folder: Path, title: str, *more: Entry, system: str = "streamrec", minutes: float = 0):
    return Incidents(folder).open(title, system, [Opened(at=at(minutes), actor="amara"), *more])


def values(gauges: IncidentGauges, family: str) -> dict:
    return {labels[-1]: value for labels, value in gauges()[family]}


def test_a_folder_that_does_not_exist_holds_no_incident_and_every_state_is_0(tmp_path):
    gauges = IncidentGauges(tmp_path / "none", "streamrec")
    assert values(gauges, "incidents") == dict.fromkeys(STATES, 0)
    assert gauges()["incident_opened_timestamp_seconds"] == []


def test_the_states_of_the_contract_are_those_of_incidents():
    assert tuple(State) == STATES


def test_an_incident_is_counted_by_its_state_and_marked_with_its_moments(tmp_path):
    closed = Resolved(at=at(90), actor="amara"), Closed(at=at(95), actor="amara")
    opened(tmp_path, "Clicks fall")
    over = opened(tmp_path, "Nulls", Assigned(at=at(4), actor="amara", to="amara"), *closed)
    gauges = IncidentGauges(tmp_path, "streamrec")
    assert values(gauges, "incidents") == {"open": 1, "mitigated": 0, "resolved": 0, "closed": 1}
    assert values(gauges, "incident_resolved_timestamp_seconds") == {"Nulls": at(90).timestamp()}
    acknowledged = [
        value for labels, value in gauges()["incident_duration_seconds"] if labels == (over.id, "acknowledge")
    ]
    assert acknowledged == [240]


def test_what_is_unknown_has_no_value_and_never_0(tmp_path):
    opened(tmp_path, "Clicks fall")
    assert values(IncidentGauges(tmp_path, "streamrec"), "incident_duration_seconds") == dict.fromkeys(DEFINITIONS)


def test_the_times_of_the_exercise_of_march_3_are_those_of_its_post_mortem(tmp_path):
    folder = shutil.copytree(MARCH3, tmp_path / "incidents")
    taken = values(IncidentGauges(folder, "streamrec"), "incident_duration_seconds")
    assert 76 < taken["detect"] < 78
    assert taken["resolve"] > taken["mitigate"] > taken["detect"]


def test_incidents_of_other_systems_are_left_out(tmp_path):
    opened(tmp_path, "Clicks fall", system="flights")
    assert values(IncidentGauges(tmp_path, "streamrec"), "incidents")["open"] == 0


def test_a_file_that_cannot_be_read_is_counted_and_hides_no_other(tmp_path):
    broken = opened(tmp_path, "Nulls")
    opened(tmp_path, "Clicks fall")
    (tmp_path / f"{broken.id}.yaml").write_text("<<<<<<< HEAD\n")
    gauges = IncidentGauges(tmp_path, "streamrec")
    assert gauges()["incident_files_unreadable"] == [((), 1)]
    assert values(gauges, "incidents")["open"] == 1


def test_evidence_that_cannot_be_read_leaves_the_incident_itself(tmp_path):
    found = opened(tmp_path, "Clicks fall")
    (tmp_path / f"{found.id}.evidence.json").write_text("{")
    assert values(IncidentGauges(tmp_path, "streamrec"), "incidents")["open"] == 1


def test_a_change_of_a_file_is_seen_and_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    found = opened(tmp_path, "Clicks fall")
    gauges = IncidentGauges(tmp_path, "streamrec")
    gauges()
    with monkeypatch.context() as patch:
        patch.setattr(Incidents, "get", lambda *_: pytest.fail("read again"))
        gauges()
    Incidents(tmp_path).change(found.id, lambda _: [Resolved(at=at(50), actor="amara")])
    assert values(gauges, "incidents")["resolved"] == 1
    (tmp_path / f"{found.id}.yaml").unlink()
    assert values(gauges, "incidents")["resolved"] == 0


def test_of_many_incidents_the_newest_are_shown_and_all_are_counted(tmp_path):
    for number in range(INCIDENTS_SHOWN + 2):
        opened(tmp_path, f"Number {number}", minutes=number)
    gauges = IncidentGauges(tmp_path, "streamrec")
    shown = [labels[1] for labels, _ in gauges()["incident_opened_timestamp_seconds"]]
    assert len(shown) == INCIDENTS_SHOWN
    assert shown[0] == f"Number {INCIDENTS_SHOWN + 1}"
    assert values(gauges, "incidents")["open"] == INCIDENTS_SHOWN + 2


def test_rules_record_the_mean_of_each_time_whatever_replicas_show_it(tmp_path, streamrec, promtool: str):
    duration = Contract(streamrec).name("incident_duration_seconds")
    record = f"stage:{duration}:mean"
    rules = [
        rule
        for group in rule_groups(streamrec, signals(streamrec))
        for rule in group["rules"]
        if rule.get("record") == record
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "incidents", "rules": rules}]}))
    shown = {("a", "detect"): 60, ("b", "detect"): 180, ("a", "resolve"): 3600}
    case = {
        "interval": "1m",
        "input_series": [
            {
                "series": f'{duration}{{incident="{name}",stage="{stage}",instance="{replica}"}}',
                "values": f"{seconds}x10",
            }
            for (name, stage), seconds in shown.items()
            for replica in ("1", "2")
        ],
        "promql_expr_test": [
            {
                "expr": record,
                "eval_time": "5m",
                "exp_samples": [
                    {"labels": f'{record}{{stage="detect"}}', "value": 120},
                    {"labels": f'{record}{{stage="resolve"}}', "value": 3600},
                ],
            }
        ],
    }
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
