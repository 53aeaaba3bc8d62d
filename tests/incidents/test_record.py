"""An incident is a file of entries: added to, never changed, safe to merge, and what is wrong with it has a place."""

import subprocess
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from incident_samples import at

from mlvitals.cli import main
from mlvitals.incidents.record.changes import IncidentError, adding
from mlvitals.incidents.record.model import (
    Action,
    Assigned,
    Classified,
    Closed,
    Incident,
    IncidentType,
    Mitigated,
    Note,
    Opened,
    Reopened,
    Resolved,
    SevLevel,
    State,
)
from mlvitals.incidents.record.store import Incidents


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(tmp_path / "incidents")


@pytest.fixture
def opened(incidents: Incidents) -> Incident:
    return incidents.open("Drift of days", "streamrec", [Opened(at=at(0), actor="amara")])


def note(text: str, minutes: float = 1) -> Note:
    return Note(at=at(minutes), actor="amara", text=text)


def file_of(incidents: Incidents, incident: Incident) -> Path:
    return incidents.folder / f"{incident.id}.yaml"


def run(*arguments: object, **options: object):
    return CliRunner().invoke(main, ["incident", *map(str, arguments)], **options)


# ---------------------------------------------------------------- what an incident is


def test_the_id_sorts_by_day_and_says_what_it_is_about(opened):
    assert opened.id == "2026-03-03-drift-of-days"


def test_two_incidents_of_one_title_and_day_have_ids_of_their_own(incidents, opened):
    again = incidents.open("Drift of days", "streamrec", [Opened(at=at(5), actor="amara")])
    assert again.id == "2026-03-03-drift-of-days-2"


def test_a_life_from_open_to_closed(incidents, opened):
    steps = [
        (Assigned(at=at(1), actor="a", to="bruno"), State.OPEN),
        (Classified(at=at(2), actor="a", severity=SevLevel.SEV2, type=IncidentType.DATA), State.OPEN),
        (Mitigated(at=at(3), actor="a", action=Action.FALLBACK), State.MITIGATED),
        (Resolved(at=at(4), actor="a"), State.RESOLVED),
        (Reopened(at=at(5), actor="a"), State.OPEN),
        (Resolved(at=at(6), actor="a"), State.RESOLVED),
        (Closed(at=at(7), actor="a"), State.CLOSED),
    ]
    for entry, state in steps:
        assert incidents.change(opened.id, adding(entry)).state is state
    found = incidents.get(opened.id)
    assert (found.owner, found.severity, found.incident_type) == ("bruno", SevLevel.SEV2, IncidentType.DATA)
    assert found.resolved_at == at(6)


def test_entries_written_late_count_at_their_time(incidents, opened):
    incidents.change(opened.id, adding(Resolved(at=at(30), actor="a")))
    found = incidents.change(opened.id, adding(Mitigated(at=at(20), actor="a", action=Action.ROLLBACK)))
    assert found.state is State.RESOLVED


# ---------------------------------------------------------------- what is refused


def test_a_closed_incident_is_not_changed(incidents, opened):
    incidents.change(opened.id, adding(Resolved(at=at(1), actor="a")))
    incidents.change(opened.id, adding(Closed(at=at(2), actor="a")))
    before = file_of(incidents, opened).read_bytes()
    with pytest.raises(IncidentError, match="was closed on 2026-03-03 08:02 UTC and is not changed any more"):
        incidents.change(opened.id, adding(note("too late")))
    assert file_of(incidents, opened).read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Closed(at=at(1), actor="a"), "is open: resolve it before you close it"),
        (Reopened(at=at(1), actor="a"), "is open: only a resolved one is reopened"),
    ],
)
def test_what_cannot_follow_is_refused_in_a_sentence(incidents, opened, entry, message):
    with pytest.raises(IncidentError, match=message):
        incidents.change(opened.id, adding(entry))


def test_an_unknown_incident_is_named_with_the_one_that_is_meant(incidents, opened):
    with pytest.raises(IncidentError, match='has no incident "2026-03-03-drift-of-day"; did you mean'):
        incidents.get("2026-03-03-drift-of-day")


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", "A", "x\n"])
def test_an_id_leads_to_no_other_folder(incidents, opened, name):
    with pytest.raises(IncidentError, match="has no incident"):
        incidents.get(name)


def test_a_merge_conflict_is_named_with_its_line(incidents, opened):
    file = file_of(incidents, opened)
    file.write_text(file.read_text() + "<<<<<<< HEAD\n=======\n>>>>>>> other\n")
    with pytest.raises(IncidentError, match=r"drift-of-days\.yaml:\d+:1: error: a merge left its conflict here"):
        incidents.change(opened.id, adding(note("x")))
    assert "<<<<<<< HEAD" in file.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: opened", "entries[0].kind is wrong: invalid value 'fixed'"),
        ("actor: amara", "entries[0] is wrong: object missing required field `actor`"),
        ('at: "2026-03-03T08:00:00Z"', "entries[0].at is wrong: invalid RFC3339 encoded datetime"),
        ("version: 1", "version is wrong"),
    ],
)
def test_what_is_wrong_in_a_file_has_its_place(incidents, opened, text, message):
    file = file_of(incidents, opened)
    wrong = {"kind: opened": "kind: fixed", "actor: amara": "", "version: 1": "version: 2"}.get(text, "at: yesterday")
    assert text in file.read_text()
    file.write_text(file.read_text().replace(text, wrong))
    with pytest.raises(IncidentError) as error:
        incidents.get(opened.id)
    assert message in str(error.value)
    assert f"{opened.id}.yaml:" in str(error.value)


def test_one_broken_file_hides_no_other_incident(incidents, opened, tmp_path):
    (incidents.folder / "2026-01-01-broken.yaml").write_text("[")
    listed = run("list", "--dir", incidents.folder)
    assert listed.exit_code == 1
    assert opened.id in listed.output
    assert "2026-01-01-broken.yaml:1" in listed.output


def test_what_has_not_come_yet_is_refused(opened, incidents):
    refused = run("note", opened.id, "x", "--at", "2899-01-01", "--dir", incidents.folder)
    assert (refused.exit_code, "has not come yet" in refused.output) == (1, True)


# ---------------------------------------------------------------- files that people write in


def test_comments_and_layout_of_a_person_stay(incidents, opened):
    file = file_of(incidents, opened)
    text = file.read_text().replace("  - kind", "- kind").replace("    at", "  at").replace("    actor", "  actor")
    file.write_text(f"# ours\n{text}# end")
    incidents.change(opened.id, adding(note("more")))
    changed = file.read_text()
    assert changed.startswith(f"# ours\n{text}# end\n- kind: note\n")
    assert incidents.get(opened.id).entries[-1] == note("more")


def test_entries_that_are_not_last_are_not_written_to(incidents, opened):
    file = file_of(incidents, opened)
    file.write_text(file.read_text() + 'group_key: ""\n')
    with pytest.raises(IncidentError, match="entries must be the file's last key"):
        incidents.change(opened.id, adding(note("x")))


def test_a_merge_that_keeps_both_sides_is_right_in_any_order(incidents, opened):
    file = file_of(incidents, opened)
    base = file.read_text()
    incidents.change(opened.id, adding(note("mine", 2)))
    mine = file.read_text().removeprefix(base)
    file.write_text(base)
    incidents.change(opened.id, adding(Resolved(at=at(3), actor="bruno")))
    theirs = file.read_text().removeprefix(base)
    found = []
    for merged in (base + mine + theirs, base + theirs + mine):
        file.write_text(merged)
        found.append((incidents.get(opened.id).in_order, incidents.get(opened.id).state))
    assert found[0] == found[1]
    assert found[0][1] is State.RESOLVED


@settings(max_examples=200)
@given(text=st.text(max_size=200), actor=st.text(min_size=1, max_size=50))
def test_whatever_is_written_reads_back_as_it_was_or_is_refused(tmp_path_factory, text, actor):
    incidents = Incidents(tmp_path_factory.getbasetemp() / f"any-{uuid4().hex}")
    entry = Note(at=at(1), actor=actor, text=text)
    opened = incidents.open("x", "s", [Opened(at=at(0), actor="a")])
    try:
        incidents.change(opened.id, adding(entry))
    except IncidentError:
        assert incidents.get(opened.id) == opened
    else:
        assert incidents.get(opened.id).entries[-1] == entry


def test_notes_written_at_once_are_all_kept(incidents, opened):
    def write(number: int) -> None:
        incidents.change(opened.id, adding(note(f"note {number}")))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(incidents.get(opened.id).entries) == 13


# ---------------------------------------------------------------- the command line


def test_the_commands_tell_a_whole_story(tmp_path):
    here = ["--dir", tmp_path / "i"]
    name = run("open", "Clicks fall", "--system", "streamrec", *here).output.strip()
    assert run("note", name, "Looks like the feature store", "--by", "amara", *here).output == f"{name}: open\n"
    run("assign", name, "bruno", "--role", "communications", *here)
    run("severity", name, "sev-1", "--type", "model", "--text", "revenue falls", *here)
    assert run("mitigate", name, "rollback", "--text", "v6", *here).output == f"{name}: mitigated\n"
    run("resolve", name, *here)
    assert run("reopen", name, "--text", "it is back", *here).output == f"{name}: open\n"
    run("resolve", name, *here)
    assert run("close", name, *here).output == f"{name}: closed\n"
    shown = run("show", name, *here).output
    assert "amara: Looks like the feature store" in shown
    assert "Classified as SEV-1, model. revenue falls" in shown
    assert "Assigned to bruno, communications." in shown


def test_the_actor_is_the_one_whom_git_knows(tmp_path, monkeypatch):
    monkeypatch.delenv("MLVITALS_ACTOR", raising=False)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "config", "user.name", "Chiyo <b>"], check=True)
    name = run("open", "x", "--system", "s").output.strip()
    assert Incidents(tmp_path / "incidents").get(name).entries[0].actor == "Chiyo <b>"


def test_a_note_that_would_steer_the_terminal_is_shown_as_text(incidents, opened):
    incidents.change(opened.id, adding(note("\x1b[31m[red]x[/red]\n- second")))
    shown = run("show", opened.id, "--dir", incidents.folder).output
    assert "\x1b[31m" not in shown
    assert "[red]x[/red]" in shown
