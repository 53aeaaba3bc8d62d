"""Escalation as Terraform: only arguments that the provider documents, and nothing of a spec is expanded."""

import json
import re

import msgspec
import pytest
from routing_samples import HOSTILE, hostile

from mlvitals.generator.routing.pagerduty import literal, pagerduty_terraform, resource_names

# From the provider's published argument references.
ARGUMENTS = {
    "pagerduty_user": {"name", "email"},
    "pagerduty_user_contact_method": {"user_id", "type", "label", "country_code", "address"},
    "pagerduty_user_notification_rule": {"user_id", "start_delay_in_minutes", "urgency", "contact_method"},
    "pagerduty_schedule": {"name", "time_zone", "layer"},
    "pagerduty_escalation_policy": {"name", "num_loops", "rule"},
    "pagerduty_service": {"name", "description", "escalation_policy", "alert_creation", "auto_resolve_timeout"},
    "pagerduty_service_integration": {"name", "type", "service"},
}
LAYER = {"name", "start", "rotation_virtual_start", "rotation_turn_length_seconds", "users"}


def terraform(spec) -> dict:
    return json.loads(pagerduty_terraform(spec, "A marker"))


def creating(spec):
    """The spec whose users Terraform creates."""
    return msgspec.structs.replace(spec, on_call=msgspec.structs.replace(spec.on_call, create_users=True))


@pytest.fixture
def resources(streamrec) -> dict:
    return terraform(creating(streamrec))["resource"]


def test_users_that_exist_are_found_by_e_mail_and_left_as_they_are(streamrec):
    document = terraform(streamrec)
    assert document["data"]["pagerduty_user"]["chiyo"] == {"email": "chiyo@streamrec.example"}
    assert not {kind for kind in document["resource"] if kind.startswith("pagerduty_user")}
    text = json.dumps(document)
    assert "${data.pagerduty_user.chiyo.id}" in text
    assert "${pagerduty_user." not in text
    assert "555" not in text, "no telephone numbers where nothing dials them"


def test_every_argument_is_one_that_the_provider_knows(resources):
    assert set(resources) == set(ARGUMENTS)
    for kind, named in resources.items():
        for arguments in named.values():
            assert set(arguments) <= ARGUMENTS[kind]


def test_levels_follow_at_the_minutes_of_the_spec(resources):
    rules = resources["pagerduty_escalation_policy"]["policy"]["rule"]
    assert [rule["escalation_delay_in_minutes"] for rule in rules] == [15, 15, 30, 30]
    assert [rule["target"] for rule in rules] == [
        [{"type": "schedule_reference", "id": "${pagerduty_schedule.on_call.id}"}],
        [{"type": "user_reference", "id": "${pagerduty_user.chiyo.id}"}],
        [{"type": "user_reference", "id": "${pagerduty_user.dana.id}"}],
        [{"type": "user_reference", "id": "${pagerduty_user.emeka.id}"}],
    ]


def test_the_rotation_turns_as_the_spec_says(resources):
    schedule = resources["pagerduty_schedule"]["on_call"]
    (layer,) = schedule["layer"]
    assert schedule["time_zone"] == "Europe/Berlin"
    assert set(layer) == LAYER
    assert layer["start"] == layer["rotation_virtual_start"] == "2026-01-05T09:00:00Z"
    assert layer["rotation_turn_length_seconds"] == 7 * 24 * 3600
    assert layer["users"] == [f"${{pagerduty_user.{name}.id}}" for name in ("amara", "bruno", "chiyo")]


def test_a_responder_is_dialled_in_the_ways_of_their_levels(resources):
    assert set(resources["pagerduty_user_contact_method"]) == {
        "chiyo_phone", "dana_phone", "dana_sms", "emeka_phone", "emeka_sms",
    }  # fmt: skip
    phone = resources["pagerduty_user_contact_method"]["chiyo_phone"]
    assert (phone["type"], phone["country_code"], phone["address"]) == ("phone_contact_method", "+1", "5550103")
    assert resources["pagerduty_user_notification_rule"]["chiyo_phone"]["contact_method"] == {
        "type": "phone_contact_method",
        "id": "${pagerduty_user_contact_method.chiyo_phone.id}",
    }


def test_every_reference_leads_to_a_resource(streamrec):
    text = pagerduty_terraform(creating(streamrec), "A marker")
    resources = json.loads(text)["resource"]
    references = set(re.findall(r"\$\{(\w+)\.([\w-]+)\.\w+\}", text))
    assert references
    assert all(name in resources[kind] for kind, name in references)


def test_the_key_for_alertmanager_is_a_sensitive_output(streamrec):
    document = terraform(streamrec)
    assert document["//"] == "A marker"
    assert document["output"]["routing_key"]["sensitive"] is True


def test_nothing_of_a_spec_is_expanded():
    text = pagerduty_terraform(creating(hostile()), "A marker")
    assert not re.findall(r"(?<![$])[$]\{(?!pagerduty_)", text)
    assert not re.findall(r"(?<!%)%\{", text)
    users = json.loads(text)["resource"]["pagerduty_user"]
    assert len(users) == 2
    assert users[next(iter(users))]["name"] == literal(HOSTILE)


def test_names_become_identifiers_that_differ():
    assert resource_names({"ann": 0, "a n": 0, "a_n": 0, "1st": 0}) == {
        "ann": "ann",
        "a n": "a_n",
        "a_n": "a_n_2",
        "1st": "_1st",
    }
