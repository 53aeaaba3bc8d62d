"""Rules about people: who is notified, who is on call, and that they can be reached."""

import re
from collections.abc import Iterator

from mlvitals.generator.spec.diagnostics import KeyPath, Problem, quoted
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import ContactMethod, Cooldown, EscalationLevel, Responder, Routing, Severity, Spec
from mlvitals.generator.spec.walk import sections

NOBODY = "nobody"
"""Alertmanager's receiver that notifies nobody; no receiver of a spec may have its name."""

PHONE = re.compile(r"\+([0-9]{1,3})[ -]([0-9][0-9 -]*)")
"""A phone number with a country code."""

_ROLES = ("info", "warning", "critical", "watchdog")
_SEVERITIES = ("info", "warning", "critical")
_HEARD_WITH = {
    Severity.CRITICAL: ("critical", "warning", "info"),
    Severity.WARNING: ("warning", "info"),
    Severity.INFO: ("info",),
    Severity.NONE: ("watchdog",),
}
"""The keys of `routing` that name the receiver of a severity, the first one that is set."""
_NEEDED = {ContactMethod.PHONE: "phone", ContactMethod.SMS: "phone", ContactMethod.SLACK_DM: "slack"}
_MINUTE = 60_000
# What Go's net/url, and so Alertmanager, accepts as a URL; no user, and no braces, which would start a template.
_URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?#]([!$&-;=?-Z_a-z~#\[\]]|%[0-9A-Fa-f]{2})*)?"
)


def receiver_of(routing: Routing, severity: Severity) -> str:
    """Return the name of the receiver of a severity: its own, or the next milder one's, or `NOBODY`.

    Whoever hears of a milder alert hears of the worse one, which silences the milder one. The watchdog, of
    `Severity.NONE`, has a receiver of its own.
    """
    return next((name for key in _HEARD_WITH[severity] if (name := getattr(routing, key)) is not None), NOBODY)


def hearers(spec: Spec) -> Iterator[Problem]:
    """Check that somebody hears of critical alerts wherever somebody hears of anything, unless the spec says otherwise."""
    routing = spec.routing
    used = {getattr(routing, role) for role in _ROLES} - {None, NOBODY}
    if receiver_of(routing, Severity.CRITICAL) != NOBODY or not used:
        return
    if routing.critical is None:
        hint = f"name a receiver, or {NOBODY} if that is meant"
        yield Problem(
            (("routing", "critical"), ("routing",)), "is not set: nobody hears of critical alerts", "silence", hint
        )
    for severity in (Severity.WARNING, Severity.INFO):
        if routing.critical and (heard := receiver_of(routing, severity)) != NOBODY:
            message = f"is {NOBODY}, but {severity} alerts go to {quoted(heard)}, and a critical alert silences them"
            yield Problem((("routing", "critical"),), message, "silence", "let it go there too, or remove both")
            return


def receivers(spec: Spec) -> Iterator[Problem]:
    """Check that each receiver is used, has an unreserved name, and has addresses that Alertmanager accepts."""
    used = {getattr(spec.routing, role) for role in _ROLES}
    for name, receiver in spec.routing.receivers.items():
        path: KeyPath = ("routing", "receivers", name)
        if name == NOBODY:
            message = "is the name of the built-in receiver that notifies nobody"
            yield Problem((path,), message, "reserved-name", "call it something else", at_key=True)
        if name not in used:
            hint = f"name it under one of {', '.join(_ROLES)}, or remove it"
            paths = (path, *(("routing", role) for role in _ROLES))
            yield Problem(paths, "receives no notifications", "unused", hint, at_key=True)
        for where, integration in sections(receiver, path):
            yield from _url((*where, "url"), getattr(integration, "url", None))
        if (webhook := receiver.webhook) and (webhook.url is None) == (webhook.url_file is None):
            message = "needs either url_file, or url for an address that is not secret"
            yield Problem(((*path, "webhook"),), message, "consistency")


def _url(path: KeyPath, url: str | None) -> Iterator[Problem]:
    if url is not None and not _URL.fullmatch(url):
        yield Problem((path,), "is not a URL that Alertmanager accepts", "url", "escape odd characters as %XX")


def cooldowns(spec: Spec) -> Iterator[Problem]:
    """Check that no cooldown is shorter than the group interval, at which Alertmanager repeats a notification."""
    interval = spec.routing.group_interval
    for path, section in sections(spec):
        if isinstance(section, Cooldown):
            for severity in _SEVERITIES:
                cooldown = getattr(section, severity)
                if milliseconds(cooldown) < milliseconds(interval):
                    paths: tuple[KeyPath, ...] = ((*path, severity), ("routing", "group_interval"))
                    message = f"{cooldown} is shorter than routing.group_interval {interval}"
                    yield Problem(paths, message, "order")


def escalation(spec: Spec) -> Iterator[Problem]:
    """Check that somebody is notified immediately, at every level, and in ways that reach them."""
    if spec.escalation and milliseconds(spec.escalation[0].after):
        message = f"is {spec.escalation[0].after}: until then nobody would be notified"
        yield Problem((("escalation", 0, "after"), ("escalation",)), message, "gap", "start with 0m")
    for index, level in enumerate(spec.escalation):
        path: KeyPath = ("escalation", index)
        if milliseconds(level.after) % _MINUTE:
            yield Problem(
                ((*path, "after"),), "is not a whole number of minutes, which is what PagerDuty counts in", "range"
            )
        if not (level.contacts or spec.on_call.rotation):
            hint = "give it contacts, or list responders under on_call.rotation"
            paths = (path, (*path, "contacts"), ("on_call", "rotation"))
            yield Problem(paths, "reaches nobody: it has no contacts, and nobody is on call", "consistency", hint)
        yield from _reachable(spec, path, level)
    if spec.on_call.rotation and spec.escalation and all(level.contacts for level in spec.escalation):
        message = "is not used by any escalation level: each has its own contacts"
        hint = "remove the contacts of one level"
        yield Problem((("on_call", "rotation"), ("escalation",)), message, "unused", hint)


def _reachable(spec: Spec, path: KeyPath, level: EscalationLevel) -> Iterator[Problem]:
    """Check that each contact of a level, or each responder on call, can be reached in each of its ways."""
    for name in dict.fromkeys(level.contacts or spec.on_call.rotation):
        responder = spec.responders.get(name)
        for position, method in enumerate(level.via):
            needed = _NEEDED.get(method)
            if responder and needed and getattr(responder, needed) is None:
                paths: tuple[KeyPath, ...] = ((*path, "via", position), ("responders", name))
                message = f"is {method}, but responders.{quoted(name)} has no {needed}"
                yield Problem(paths, message, "consistency", f"add {needed}, or remove {method}")


def responders(spec: Spec) -> Iterator[Problem]:
    """Check that phone numbers can be dialled from anywhere."""
    for name, responder in spec.responders.items():
        if not _dialled(responder):
            message = f"is {quoted(responder.phone or '')}, which lacks the country code"
            hint = "write it as +1-555-0100: a plus, the code, a dash or space, digits"
            yield Problem((("responders", name, "phone"),), message, "range", hint)


def _dialled(responder: Responder) -> bool:
    return responder.phone is None or PHONE.fullmatch(responder.phone) is not None


def shift(spec: Spec) -> Iterator[Problem]:
    """Check that a shift lasts at least an hour, PagerDuty's minimum."""
    if milliseconds(spec.on_call.shift) < 60 * _MINUTE:
        message = f"is {spec.on_call.shift}; a shift lasts at least an hour"
        yield Problem((("on_call", "shift"),), message, "range")


PEOPLE_RULES = (receivers, hearers, cooldowns, escalation, responders, shift)
