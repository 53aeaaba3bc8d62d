"""Routes, receivers and inhibitions as an AlertmanagerConfig.

The operator adds its namespace to every route and inhibition, and `continue` to the route; names are prefixed with those of
the object. Templates cannot be files there, so each text brings those that it uses.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mlvitals.generator.kubernetes.names import Names
from mlvitals.generator.routing.alertmanager import alertmanager_document, own_route
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.signals.labels import identity_matchers
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.diagnostics import KeyPath, Problem
from mlvitals.generator.spec.model import Spec

_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)(".*")', re.DOTALL)
_USED = re.compile(r'\{\{ template "(mlvitals\.[\w.]+)"')
_DEFINED = re.compile(r'\{\{ define "([\w.]+)" \}\}')
_COMMENT = re.compile(r"\{\{/\*.*?\*/\}\}", re.DOTALL)
_ROUTE = {
    "receiver": "receiver",
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
    "mute_time_intervals": "muteTimeIntervals",
}
_INTEGRATIONS = {
    "slack_configs": "slackConfigs",
    "pagerduty_configs": "pagerdutyConfigs",
    "webhook_configs": "webhookConfigs",
    "email_configs": "emailConfigs",
    "msteamsv2_configs": "msteamsv2Configs",
    "opsgenie_configs": "opsgenieConfigs",
}
_SECRETS = {
    "api_url_file": "apiURL",
    "routing_key_file": "routingKey",
    "url_file": "urlSecret",
    "auth_password_file": "authPassword",
    "webhook_url_file": "webhookURL",
    "api_key_file": "apiKey",
}
"""Files of secrets, and the fields that name a key of a Secret."""
_OTHER_FIELDS = {
    "send_resolved": "sendResolved",
    "title_link": "titleLink",
    "client_url": "clientURL",
    "auth_username": "authUsername",
    "api_url": "apiURL",
}
_PAIRS = ("details", "headers")
"""Mappings that are lists of keys and values there."""


def inexpressible(spec: Spec) -> Iterator[Problem]:
    """Yield what the spec says and the operator's objects cannot say."""
    for name, receiver in spec.routing.receivers.items():
        path: KeyPath = ("routing", "receivers", name)
        hint = "deliver it with `mlvitals merge` instead, or through a webhook"
        if receiver.incidentio:
            yield Problem(((*path, "incidentio"),), "is unknown to AlertmanagerConfig", "operator", hint, at_key=True)
        if receiver.other:
            yield Problem(
                ((*path, "other"),), "cannot be carried over to AlertmanagerConfig", "operator", hint, at_key=True
            )
    for index, quiet in enumerate(spec.routing.quiet_hours):
        if quiet.timezone != "UTC":
            places: tuple[KeyPath, ...] = tuple(("routing", "quiet_hours", index, key) for key in ("timezone", "days"))
            message = f"is {quiet.timezone}, and the times of AlertmanagerConfig are UTC"
            yield Problem(places, message, "operator", "write the hours in UTC, or use `mlvitals merge` instead")
    label = spec.identity.labels.get("namespace")
    if label and label != Names(spec).namespace:
        message = f"differs from identity.labels.namespace, {label}: no alert would match its route"
        yield Problem((("kubernetes", "namespace"),), message, "operator", "give both the same value")


def alertmanager_config(spec: Spec, signals: Sequence[Signal]) -> dict[str, Any]:
    """Return the AlertmanagerConfig of a system."""
    names, document = Names(spec), alertmanager_document(spec, signals)
    scope = _matchers(identity_matchers(spec))
    times = document.get("time_intervals", ())
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": names.metadata(names.base, selected=True),
        "spec": {
            "route": {"matchers": scope, **_route(own_route(spec, signals))},
            "receivers": [_receiver(names, receiver) for receiver in document["receivers"]],
            "inhibitRules": [_inhibition(rule) for rule in document["inhibit_rules"]],
            **({"muteTimeIntervals": [_times(each) for each in times]} if times else {}),
        },
    }


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    below = route.get("routes", ())
    return {
        **({"matchers": _matchers(route["matchers"])} if "matchers" in route else {}),
        **{new: route[old] for old, new in _ROUTE.items() if old in route},
        **({"routes": [_route(each) for each in below]} if below else {}),
    }


def _matchers(written: Iterable[str]) -> list[dict[str, str]]:
    found = (_MATCHER.fullmatch(matcher) for matcher in written)
    return [{"name": one[1], "value": json.loads(one[3]), "matchType": one[2]} for one in found if one]


def _inhibition(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sourceMatch": _matchers(rule["source_matchers"]),
        "targetMatch": _matchers(rule["target_matchers"]),
        "equal": rule["equal"],
    }


def _times(interval: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": interval["name"], "timeIntervals": [_time(each) for each in interval["time_intervals"]]}


def _time(each: Mapping[str, Any]) -> dict[str, Any]:
    days = (day.partition(":") for day in each.get("days_of_month", ()))
    in_month = [{"start": int(first), "end": int(last or first)} for first, _, last in days]
    return {
        "times": [{"startTime": time["start_time"], "endTime": time["end_time"]} for time in each["times"]],
        **{key: each[key] for key in ("weekdays", "months", "years") if key in each},
        **({"daysOfMonth": in_month} if in_month else {}),
    }


# ---------------------------------------------------------------- receivers


def _receiver(names: Names, receiver: Mapping[str, Any]) -> dict[str, Any]:
    integrations = {
        new: [dict(_fields(names, each)) for each in receiver[old]]
        for old, new in _INTEGRATIONS.items()
        if old in receiver
    }
    return {"name": receiver["name"], **integrations}


def _fields(names: Names, integration: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in integration.items():
        if key in _SECRETS:
            yield _SECRETS[key], {"name": names.receivers, "key": posixpath.basename(value)}
        elif key in _PAIRS:
            yield key, [{"key": name, "value": with_templates(text)} for name, text in value.items()]
        elif key == "links":
            yield "pagerDutyLinkConfigs", [{"href": with_templates(one["href"]), "alt": one["text"]} for one in value]
        elif key == "actions":
            yield key, [{name: with_templates(text) for name, text in action.items()} for action in value]
        else:
            yield _OTHER_FIELDS.get(key, key), with_templates(value) if isinstance(value, str) else value


def with_templates(text: str) -> str:
    """Return a text with the definitions of the templates that it uses, which Alertmanager reads before it."""
    return "".join(_definitions()[name] for name in sorted(_needed(text))) + text


def _needed(text: str) -> set[str]:
    """Return the names of the templates that a text uses, itself or through others."""
    needed: set[str] = set()
    todo = set(_USED.findall(text))
    while todo:
        name = todo.pop()
        needed.add(name)
        todo |= set(_USED.findall(_definitions()[name])) - needed
    return needed


@cache
def _definitions() -> Mapping[str, str]:
    """Return the definition of each template of the notifications."""
    text = _COMMENT.sub("", notification_templates(""))
    starts = [*_DEFINED.finditer(text)]
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return {start[1]: text[start.start() : end].strip() for start, end in zip(starts, ends, strict=True)}
