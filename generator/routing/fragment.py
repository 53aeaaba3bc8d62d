"""A system's part of an Alertmanager that others share: only alerts of the system reach it, and its names are its own.

Receivers, times and inhibitions are called ``<system>/<name>``, so that streamrec's and flights' fit one file, and a
company's own stay what they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlvitals.generator.routing.alertmanager import alertmanager_document, own_route, receiver_of
from mlvitals.generator.signals.labels import identity_matchers
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.model import Receiver, Severity, Spec, Webhook
from mlvitals.generator.spec.people import NOBODY
from mlvitals.generator.text_files import yaml_file

INBOX = "inbox"
"""The receiver that plays the ones a spec does not name, in a stack that is run to have a look."""


_HEARD_HERE = {"critical": Severity.CRITICAL, "warning": Severity.WARNING, "watchdog": Severity.NONE}
"""The severities that the inbox hears of, by the key of `routing`."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of one system: a route under its labels, and what it refers to."""

    route: dict[str, Any]
    receivers: tuple[dict[str, Any], ...]
    inhibit_rules: tuple[dict[str, Any], ...]
    time_intervals: tuple[dict[str, Any], ...]


def fragment(spec: Spec, signals: Sequence[Signal]) -> Fragment:
    """Return the part of a system."""
    own = alertmanager_document(spec, signals)
    return Fragment(
        {"matchers": list(identity_matchers(spec)), **_route(spec, own_route(spec, signals))},
        tuple(_named(spec, receiver) for receiver in own["receivers"]),
        tuple(own["inhibit_rules"]),
        tuple(_named(spec, times) for times in own.get("time_intervals", ())),
    )


def _route(spec: Spec, route: dict[str, Any]) -> dict[str, Any]:
    """Return a route, and those below it, with the names that are the system's own."""
    renamed = dict(route)
    if "receiver" in route:
        renamed["receiver"] = own_name(spec, route["receiver"])
    if "mute_time_intervals" in route:
        renamed["mute_time_intervals"] = [own_name(spec, name) for name in route["mute_time_intervals"]]
    if "routes" in route:
        renamed["routes"] = [_route(spec, below) for below in route["routes"]]
    return renamed


def _named(spec: Spec, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "name": own_name(spec, entry["name"])}


def own_name(spec: Spec, name: str) -> str:
    """Return what a receiver or a time of a system is called among those of others."""
    return f"{spec.slug}/{name}"


def fragment_file(spec: Spec, signals: Sequence[Signal], marker: str) -> str:
    """Write the part of a system, for people and for tools that put an alertmanager.yml together."""
    part = fragment(spec, signals)
    lists = {"receivers": part.receivers, "inhibit_rules": part.inhibit_rules, "time_intervals": part.time_intervals}
    document = {"routes": [part.route], **{key: list(entries) for key, entries in lists.items() if entries}}
    return yaml_file(document, marker, "`mlvitals merge alertmanager.yml SPEC` adds this to a file.")


def shared_document(fragments: Iterable[Fragment]) -> dict[str, Any]:
    """Return the routes, receivers, inhibitions and times of an Alertmanager that serves these systems.

    An alert of somebody else is not lost: it goes where the first system's warnings go.
    """
    parts = tuple(fragments)
    times = [interval for part in parts for interval in part.time_intervals]
    inhibitions = {repr(rule): rule for part in parts for rule in part.inhibit_rules}
    return {
        "route": {**_without_alerts(parts[0].route), "routes": [part.route for part in parts]},
        "receivers": [{"name": NOBODY}, *(receiver for part in parts for receiver in part.receivers)],
        "inhibit_rules": list(inhibitions.values()),
        **({"time_intervals": times} if times else {}),
    }


def shared_config(systems: Iterable[tuple[Spec, Sequence[Signal]]], marker: str, templates: str) -> str:
    """Write alertmanager.yml for systems that share one; `templates` is a path relative to its folder."""
    routes = shared_document(fragment(spec, signals) for spec, signals in systems)
    return yaml_file({"templates": [templates], **routes}, marker)


def _is_decided(spec: Spec, role: str, severity: Severity) -> bool:
    """True if the spec says who hears of a severity, were it nobody."""
    return getattr(spec.routing, role) is not None or receiver_of(spec, severity) != NOBODY


def _without_alerts(route: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in route.items() if key not in {"matchers", "routes"}}


def with_inbox(spec: Spec, url: str, *, alone: bool = False) -> Spec:
    """Return a spec whose pages, warnings and watchdog go to the inbox where the spec names no receiver for them.

    `alone`: they go there in any case, and nobody else hears of anything.
    """
    named = {} if alone else spec.routing.receivers
    unnamed = {role: INBOX for role, severity in _HEARD_HERE.items() if alone or not _is_decided(spec, role, severity)}
    if not unnamed:
        return spec
    silent = {"info": None} if alone else {}
    receivers = {**named, INBOX: Receiver(webhook=Webhook(url=url))}
    routing = msgspec.structs.replace(spec.routing, receivers=receivers, **unnamed, **silent)
    return msgspec.structs.replace(spec, routing=routing)
