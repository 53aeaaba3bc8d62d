"""Escalation and on-call rotation as Terraform for PagerDuty: users, schedule, policy, service, Events v2 integration.

Argument names are those of the provider PagerDuty/pagerduty, version 3. The token comes from PAGERDUTY_TOKEN; what
Alertmanager needs is the output ``routing_key``.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from mlvitals.generator.spec.durations import milliseconds, seconds
from mlvitals.generator.spec.model import ContactMethod, EscalationLevel, Responder, Spec
from mlvitals.generator.spec.people import PHONE
from mlvitals.generator.text_files import json_file

LAST_LEVEL_MINUTES = 30
"""The time of the last level before the policy starts again; the spec names no level after it."""
LOOPS = 2

_ODD = re.compile(r"[^A-Za-z0-9_-]")
_TERRAFORM_TEMPLATE = re.compile(r"([$%])(?=\{)")
_MINUTE = 60_000
_ADDRESSES = {
    ContactMethod.PHONE: "phone_contact_method",
    ContactMethod.SMS: "sms_contact_method",
    ContactMethod.EMAIL: "email_contact_method",
}
"""Contact methods that PagerDuty dials or writes to. Its app registers itself, and its Slack integration sends messages."""


def pagerduty_terraform(spec: Spec, marker: str) -> str:
    """Write pagerduty.tf.json for a spec that has escalation levels."""
    ids = resource_names(spec.responders)
    creates = spec.on_call.create_users
    users = {"pagerduty_user": {ids[name]: _user(name, r, creates) for name, r in spec.responders.items()}}
    resources: dict[str, Any] = users if creates else {}
    # Whoever has a user in PagerDuty has said there how to be reached.
    contacts = dict(_contacts(spec, ids)) if creates else {}
    if contacts:
        resources["pagerduty_user_contact_method"] = {name: contact for name, (contact, _) in contacts.items()}
        resources["pagerduty_user_notification_rule"] = {name: rule for name, (_, rule) in contacts.items()}
    if spec.on_call.rotation:
        resources["pagerduty_schedule"] = {"on_call": _schedule(spec, ids)}
    resources["pagerduty_escalation_policy"] = {"policy": _policy(spec, ids)}
    resources["pagerduty_service"] = {"service": _service(spec)}
    resources["pagerduty_service_integration"] = {"alertmanager": _integration()}
    document = {
        "//": marker,
        "terraform": {"required_providers": {"pagerduty": {"source": "PagerDuty/pagerduty", "version": "~> 3.0"}}},
        **({} if creates else {"data": users}),
        "resource": resources,
        "output": {
            "routing_key": {
                "description": "The content of Alertmanager's routing_key_file.",
                "value": "${pagerduty_service_integration.alertmanager.integration_key}",
                "sensitive": True,
            }
        },
    }
    return json_file(document)


def literal(text: str) -> str:
    """Return text in which Terraform expands nothing."""
    return _TERRAFORM_TEMPLATE.sub(r"\1\1", text)


def resource_names(names: Sequence[str] | dict[str, Any]) -> dict[str, str]:
    """Return a unique Terraform identifier for each name: the name itself if it is a valid one."""
    given: dict[str, str] = {}
    for position, name in enumerate(names):
        wanted = _ODD.sub("_", name)
        wanted = wanted if wanted[0].isalpha() or wanted[0] == "_" else f"_{wanted}"
        given[name] = wanted if wanted not in given.values() else f"{wanted}_{position}"
    return given


# ---------------------------------------------------------------- people


def _user(name: str, responder: Responder, creates: bool) -> dict[str, Any]:
    return {**({"name": literal(name)} if creates else {}), "email": literal(responder.email)}


def _contacts(spec: Spec, ids: dict[str, str]) -> Iterator[tuple[str, tuple[dict[str, Any], dict[str, Any]]]]:
    """Yield the contact method of each address that an escalation level uses, and the rule that uses it immediately."""
    for name, responder in spec.responders.items():
        for method in _used_methods(spec, name):
            resource, kind = f"{ids[name]}_{method}", _ADDRESSES[method]
            user = f"${{pagerduty_user.{ids[name]}.id}}"
            contact = {"user_id": user, "type": kind, "label": "mlvitals", **_address(method, responder)}
            rule = {
                "user_id": user,
                "start_delay_in_minutes": 0,
                "urgency": "high",
                "contact_method": {"type": kind, "id": f"${{pagerduty_user_contact_method.{resource}.id}}"},
            }
            yield resource, (contact, rule)


def _used_methods(spec: Spec, name: str) -> list[ContactMethod]:
    levels = [level for level in spec.escalation if name in (level.contacts or spec.on_call.rotation)]
    return [method for method in _ADDRESSES if any(method in level.via for level in levels)]


def _address(method: ContactMethod, responder: Responder) -> dict[str, str]:
    if method is ContactMethod.EMAIL:
        return {"address": literal(responder.email)}
    number = PHONE.fullmatch(responder.phone or "")
    assert number is not None  # mlvitals.generator.spec.people refuses any other
    return {"country_code": f"+{number[1]}", "address": re.sub(r"\D", "", number[2])}


# ---------------------------------------------------------------- policy


def _schedule(spec: Spec, ids: dict[str, str]) -> dict[str, Any]:
    on_call = spec.on_call
    start = f"{datetime.fromisoformat(on_call.start):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "name": literal(f"{spec.full_title} on call"),
        "time_zone": on_call.timezone,
        "layer": [
            {
                "name": "Rotation",
                "start": start,
                "rotation_virtual_start": start,
                "rotation_turn_length_seconds": round(seconds(on_call.shift)),
                "users": [_reference(spec, ids[name]) for name in on_call.rotation],
            }
        ],
    }


def _policy(spec: Spec, ids: dict[str, str]) -> dict[str, Any]:
    starts = [-(-milliseconds(level.after) // _MINUTE) for level in spec.escalation]
    ends = [*starts[1:], starts[-1] + LAST_LEVEL_MINUTES]
    return {
        "name": literal(f"{spec.full_title} escalation"),
        "num_loops": LOOPS,
        "rule": [
            {"escalation_delay_in_minutes": max(1, end - start), "target": _targets(spec, level, ids)}
            for level, start, end in zip(spec.escalation, starts, ends, strict=True)
        ],
    }


def _targets(spec: Spec, level: EscalationLevel, ids: dict[str, str]) -> list[dict[str, str]]:
    if not level.contacts:
        return [{"type": "schedule_reference", "id": "${pagerduty_schedule.on_call.id}"}]
    return [{"type": "user_reference", "id": _reference(spec, ids[name])} for name in level.contacts]


def _reference(spec: Spec, user: str) -> str:
    """Return the id of a user: one that Terraform creates, or one that it finds."""
    return f"${{{'' if spec.on_call.create_users else 'data.'}pagerduty_user.{user}.id}}"


def _service(spec: Spec) -> dict[str, Any]:
    return {
        "name": literal(spec.full_title),
        "description": literal(spec.system.description or f"Alerts of {spec.full_title}."),
        "escalation_policy": "${pagerduty_escalation_policy.policy.id}",
        "alert_creation": "create_alerts_and_incidents",
        "auto_resolve_timeout": "null",
    }


def _integration() -> dict[str, Any]:
    return {
        "name": "Alertmanager",
        "type": "events_api_v2_inbound_integration",
        "service": "${pagerduty_service.service.id}",
    }
