"""The post-mortem: what is known is filled in, what a person wrote stays, what is missing is named."""

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from incident_samples import alert, at, webhook
from test_analysis import STEP

from mlvitals.cli import main
from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.evidence import IncidentEvidence, read_evidence, write_evidence
from mlvitals.incidents.postmortem.check import check
from mlvitals.incidents.postmortem.fields import fields_of
from mlvitals.incidents.postmortem.html import postmortem_page
from mlvitals.incidents.postmortem.regions import RegionError, fill, update
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import Action, Assigned, Incident, Mitigated, Note, Resolved
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook

HOSTILE = "<script>alert(1)</script> | `x` **b** [l](http://evil) <!-- /mlvitals:timeline -->\n# heading\n{{ title }}"
TODAY = date(2026, 3, 10)


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(tmp_path / "incidents")


@pytest.fixture
def resolved(incidents: Incidents) -> Incident:
    """March 3, from the webhook to the resolution."""
    opened = record_webhook(incidents, webhook(alert("days")), at(135))
    entries = (
        Assigned(at=at(140), actor="amara", to="amara", role="on-call"),
        Note(at=at(150), actor="bruno", text="amara sees Unix times"),
        Mitigated(at=at(200), actor="amara", action=Action.FALLBACK, text="served as 7"),
        Resolved(at=at(310), actor="amara"),
    )
    found = incidents.change(opened.id, adding(*entries))
    write_evidence(
        incidents.folder, IncidentEvidence(incident=found.id, since=at(-400), until=at(400), windows=tuple(STEP))
    )
    return found


def run(incidents: Incidents, *arguments: object):
    return CliRunner().invoke(main, [*map(str, arguments), "--dir", str(incidents.folder)])


def file_of(incidents: Incidents, incident: Incident) -> Path:
    return incidents.folder / f"{incident.id}.postmortem.md"


# ---------------------------------------------------------------- what is known is filled in


def test_what_is_known_is_said(incidents, resolved):
    written = run(incidents, "postmortem", resolved.id)
    assert written.exit_code == 0, written.output
    text = file_of(incidents, resolved).read_text()
    for known in (
        "From about 2026-03-03 09:45:00 UTC the feature days was not what the model knows: its PSI reached 0.80.",
        "1,300 of 4,000 predictions were affected (32%).",
        "| Time to detect | 30 min 0 s (15 min 0 s to 1 h 15 min);",
        "| Time to acknowledge | 5 min 0 s;",
        "| 0.10 | 2026-03-03 10:00:00 | 0 of 7 |",
        "in the window that ended at 2026-03-03 14:00:00 UTC (PSI 0.001), 2 h 40 min after the mitigation.",
    ):
        assert known in text


def test_people_stand_by_their_roles_unless_asked_otherwise(incidents, resolved):
    analysis = analyse(resolved, read_evidence(incidents.folder, resolved.id))
    by_role = "".join(fields_of(analysis).values())
    assert "amara" not in by_role
    assert "bruno" not in by_role
    assert "the on-call sees Unix times | a responder" in by_role
    assert "amara sees Unix times | bruno" in "".join(fields_of(analysis, by_name=True).values())


def test_a_name_is_replaced_as_a_word_and_never_inside_of_one(incidents, resolved):
    text = "bruno, brunosaurus, a <bruno> and a bruno-made thing"
    told = incidents.change(resolved.id, adding(Note(at=at(151), actor="a", text=text)))
    timeline = fields_of(analyse(told, None))["timeline"]
    assert "a responder, brunosaurus, a &lt;a responder&gt; and a a responder-made thing" in timeline


def test_an_exercise_in_compressed_time_gives_its_times_as_if_it_had_not_been(resolved):
    facts = fields_of(analyse(resolved, None), time_factor=60)["facts"]
    assert "| Time to acknowledge | 5 h 0 min;" in facts
    assert "time ran 60 times faster" in facts


def test_an_incident_of_which_nothing_was_collected_has_a_post_mortem_too(incidents, resolved):
    (incidents.folder / f"{resolved.id}.evidence.json").unlink()
    assert run(incidents, "postmortem", resolved.id).exit_code == 0
    assert "unknown: the start of the fault is unknown" in file_of(incidents, resolved).read_text()


def test_the_times_of_all_incidents_are_shown_with_their_means(incidents, resolved):
    shown = run(incidents, "incident", "times").output
    assert shown.count("30 min 0 s") == 2
    assert "30 min 0 s of 1" in shown


def test_evidence_that_cannot_be_read_is_named_and_hides_no_other_incident(incidents, resolved):
    other = record_webhook(incidents, webhook(alert("age"), key="another"), at(400))
    (incidents.folder / f"{other.id}.evidence.json").write_text("{")
    done = run(incidents, "incident", "times")
    assert done.exit_code == 1
    assert f"{other.id}.evidence.json is no evidence" in done.output
    assert "30 min 0 s of 1" in done.output


# ---------------------------------------------------------------- what people wrote stays


def test_a_second_run_changes_nothing(incidents, resolved):
    run(incidents, "postmortem", resolved.id)
    before = file_of(incidents, resolved).read_text()
    run(incidents, "postmortem", resolved.id)
    assert file_of(incidents, resolved).read_text() == before


def test_what_a_person_wrote_stays_and_what_nobody_touched_is_brought_up_to_date(incidents, resolved):
    run(incidents, "postmortem", resolved.id)
    file = file_of(incidents, resolved)
    text = file.read_text().replace("> **Question:** Why was it a surprise?", "> **Question:** Why?\n\nNobody knew.")
    file.write_text(text.replace("1,300 of 4,000 predictions", "A third of all predictions"))
    incidents.change(resolved.id, adding(Note(at=at(320), actor="dana", text="one more thing")))
    again = run(incidents, "postmortem", resolved.id)
    changed = file.read_text()
    assert "Nobody knew." in changed
    assert "A third of all predictions" in changed
    assert "one more thing" in changed
    assert "you edited" not in again.output  # what would be generated for the summary is what it was


def test_what_was_edited_and_has_changed_since_is_named_and_stays(incidents, resolved):
    run(incidents, "postmortem", resolved.id)
    file = file_of(incidents, resolved)
    file.write_text(file.read_text().replace("**mitigated**", "**half mitigated**"))
    incidents.change(resolved.id, adding(Note(at=at(320), actor="dana", text="one more thing")))
    assert "you edited timeline, and it stays" in run(incidents, "postmortem", resolved.id).output
    assert "**half mitigated**" in file.read_text()
    assert "you edited" not in run(incidents, "postmortem", resolved.id).output


LINES = st.lists(st.sampled_from(["", "text", "- item", "> **Question:** why?", "| a | b |", "# heading"]), max_size=6)
FIELDS = st.dictionaries(st.sampled_from(["one", "two", "three"]), LINES.map("\n".join), min_size=3)
TEMPLATE = "# {{ one }} of\n\n{{ one }}\n\nbetween\n\n{{ two }}\n{{ three }}\nend\n"


@given(FIELDS, FIELDS, LINES)
def test_a_run_never_changes_what_a_person_wrote(first, later, written):
    text = fill(TEMPLATE, first, "t")
    mine = "\n".join(["mine", *written])
    edited = text.replace("between", mine, 1).replace("end\n", f"{mine}\nend\n")
    region = text.index("<!-- mlvitals:two")
    inside = edited.index("-->", edited.index("<!-- mlvitals:two")) + 4
    edited = f"{edited[:inside]}my own words\n{edited[inside:]}"
    updated = update(edited, later, "t").text
    assert region
    assert updated.count(mine) >= 2
    assert "my own words\n" + first["two"] in updated
    assert update(updated, later, "t").text == updated


@given(FIELDS)
def test_filling_and_updating_with_the_same_is_the_same(fields):
    text = fill(TEMPLATE, fields, "t")
    assert update(text, fields, "t") == (text, ())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("<!-- /mlvitals:two -->\n", ""), "region three begins before two of line"),
        (lambda text: text.replace("<!-- /mlvitals:three -->\n", ""), "region three begins here and ends nowhere"),
        (lambda text: text + "<!-- /mlvitals:two -->\n", "region two ends here and begins nowhere"),
    ],
)
def test_damaged_comments_are_named_with_their_line(damage, message):
    text = fill(TEMPLATE, {"one": "1", "two": "2", "three": "3"}, "t")
    with pytest.raises(RegionError, match=rf"^post\.md:\d+: error: {message}"):
        update(damage(text), {}, "post.md")


# ---------------------------------------------------------------- templates


def test_a_template_of_ones_own_is_filled_in(incidents, resolved, tmp_path):
    template = tmp_path / "ours.md"
    template.write_text("# Ours: {{ title }}\n\n{{ impact }}\n")
    run(incidents, "postmortem", resolved.id, "--template", template)
    assert file_of(incidents, resolved).read_text().startswith("# Ours: MLFeatureDrift of")


def test_an_unknown_field_of_a_template_is_named_and_nothing_is_written(incidents, resolved, tmp_path):
    template = tmp_path / "ours.md"
    template.write_text("# x\n\n{{ impakt }}\n")
    refused = run(incidents, "postmortem", resolved.id, "--template", template)
    assert refused.exit_code == 1
    assert "ours.md:3: error: the template has an unknown field 'impakt'; did you mean \"impact\"?" in refused.output
    assert not file_of(incidents, resolved).exists()


# ---------------------------------------------------------------- hostile text


def test_hostile_notes_are_text_in_markdown_and_on_the_page(incidents, resolved):
    hostile = incidents.change(resolved.id, adding(Note(at=at(151), actor="<b>eve</b>", text=HOSTILE)))
    analysis = analyse(hostile, read_evidence(incidents.folder, resolved.id))
    fields = fields_of(analysis, by_name=True)
    text = fill("# x\n\n{{ timeline }}\n\n{{ title }}\n", fields, "t")
    assert update(text, fields, "t").text == text
    assert "<script>" not in text
    (row,) = [line for line in text.splitlines() if "script" in line]
    assert row.count(" | ") == 3  # four cells
    page = postmortem_page(text, analysis)
    assert "<script" not in page
    assert "http://evil" not in page.replace("[l](http://evil)", "")
    assert "&lt;b&gt;eve&lt;/b&gt;" in page


def test_the_page_stands_alone_and_shows_the_plots(incidents, resolved, tmp_path):
    page_file = tmp_path / "page.html"
    assert run(incidents, "postmortem", resolved.id, "--html", page_file).exit_code == 0
    page = page_file.read_text()
    assert "default-src 'none'" in page
    assert page.count("<svg") == 4
    assert "fault starts" in page
    for moment in ("before", "worst window", "after"):
        assert f"days, {moment}: " in page
    assert "src=" not in page
    assert "<h2>Impact</h2>" in page


# ---------------------------------------------------------------- what is missing


def test_a_fresh_post_mortem_is_not_done(incidents, resolved):
    run(incidents, "postmortem", resolved.id)
    checked = run(incidents, "postmortem", resolved.id, "--check")
    assert checked.exit_code == 1
    assert "open question: Why was it a surprise?" in checked.output
    assert "no action items" in checked.output


def test_one_that_does_not_exist_is_not_done_either(incidents, resolved):
    checked = run(incidents, "postmortem", resolved.id, "--check")
    assert (checked.exit_code, "does not exist" in checked.output) == (1, True)


def test_an_unknown_incident_is_named(incidents):
    for options in ([], ["--check"]):
        refused = run(incidents, "postmortem", "../elsewhere", *options)
        assert (refused.exit_code, 'has no incident "../elsewhere"' in refused.output) == (1, True)


def items(*rows: str) -> str:
    return "\n".join(["## Action items", "", "| Action | Owner | Due | Done |", "|---|---|---|---|", *rows, ""])


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ("| Validate units | amara | 2026-03-31 | |", []),
        ("| Validate units \\| ranges | amara | 2026-03-10 | |", []),
        ("| Validate units | amara | 2026-03-01 | done |", []),
        ("| Validate units | | 2026-03-31 | |", ["action item without owner: Validate units"]),
        ("| Validate units | amara | | |", ["action item without a date: Validate units"]),
        (
            "| Validate units | amara | soon | |",
            ["action item whose date 'soon' is not like 2026-03-31: Validate units"],
        ),
        ("| Validate units | amara | 2026-03-09 | |", ["action item overdue since 2026-03-09: Validate units"]),
        ("| | amara | 2026-03-31 | |", ["an action item says nothing"]),
    ],
)
def test_an_action_item_has_an_owner_and_a_date_that_has_not_passed(row, missing):
    assert [finding.text for finding in check(items(row), TODAY)] == missing


def test_a_question_is_open_until_something_is_written_below_it():
    text = items("| a | b | 2026-12-31 | |")
    asked = f"{text}> **Question:** Why?\n\n"
    assert [finding.text for finding in check(asked, TODAY)] == ["open question: Why?"]
    assert [finding.text for finding in check(f"{asked}## Next\n\ntext", TODAY)] == ["open question: Why?"]
    assert check(f"{asked}Because.\n", TODAY) == []


def test_what_is_generated_below_a_question_is_no_answer():
    text = "> **Question:** Why?\n\n<!-- mlvitals:facts 0123456789ab -->\nKnown.\n<!-- /mlvitals:facts -->\n{}\n## Action items\n"
    items = "| Action | Owner | Due |\n|---|---|---|\n| Test | ann | 2026-04-01 |\n"
    assert [found.text for found in check(text.format("") + items, TODAY)] == ["open question: Why?"]
    assert check(text.format("Because.\n") + items, TODAY) == []


def test_what_is_missing_has_its_line():
    (finding,) = check(items("| a | | 2026-12-31 | |"), TODAY)
    assert finding.line == 5
