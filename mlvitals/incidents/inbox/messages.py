"""Messages to people, whichever service they were meant for. Pure: a request's body in, a message or a refusal out."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

import msgspec

from mlvitals.generator.errors import UserError


class Service(StrEnum):
    """The service that a message was meant for."""

    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


class Link(msgspec.Struct, frozen=True):
    """A link in a message."""

    text: str
    url: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it arrived; what was sent is without the secret that addressed it."""

    id: int
    received_at: datetime
    service: Service
    to: str = ""
    status: str = ""
    """``trigger``, ``acknowledge`` or ``resolve`` at PagerDuty, ``firing`` or ``resolved`` at a webhook."""
    title: str = ""
    text: str = ""
    links: tuple[Link, ...] = ()
    key: str = ""
    """The key that further messages about the same incident share."""
    sent: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="body")
    """The body as JSON: taken to pieces it would be up to thirty times as large."""

    @property
    def is_heartbeat(self) -> bool:
        """True of the watchdog's calls of a webhook, which say only that alerting works."""
        return self.service is Service.WEBHOOK and self.title == WATCHDOG

    @property
    def body(self) -> dict[str, Any]:
        """The body that was sent, decoded."""
        return msgspec.json.decode(self.sent, type=dict[str, Any])


class BadRequestError(UserError):
    """The service would not accept the body; the text is the service's answer."""


WATCHDOG = "MLWatchdog"
_MOST_LISTED, _LONGEST = 10, 2000
_ACTIONS = ("trigger", "acknowledge", "resolve")
_PAYLOAD = ("summary", "source", "severity")
_SEVERITIES = ("critical", "error", "warning", "info")


def slack_message(body: bytes, content_type: str, number: int, now: datetime) -> Message:
    """Parse a message to Slack's incoming webhook, as JSON or as a form whose ``payload`` is JSON.

    Raises:
        BadRequestError: it is not a JSON object, or has no text.
    """
    if content_type.startswith("application/x-www-form-urlencoded"):
        body = parse_qs(body.decode(errors="replace")).get("payload", [""])[0].encode()
    sent = _json(body, "invalid_payload")
    attachments = _mappings(sent.get("attachments"))
    if not (sent.get("text") or sent.get("blocks") or attachments):
        raise BadRequestError("no_text")
    first = attachments[0] if attachments else {}
    links = [Link(_text(action, "text"), _text(action, "url")) for action in _mappings(first.get("actions"))]
    return Message(
        id=number,
        received_at=now,
        service=Service.SLACK,
        to=_text(sent, "channel"),
        title=_text(first, "title") or _text(first, "fallback"),
        text="\n".join(filter(None, (_text(sent, "text"), *(_text(part, "text") for part in attachments)))),
        links=_usable(links),
        sent=_raw(sent),
    )


def pagerduty_message(body: bytes, new_key: str, number: int, now: datetime) -> Message:
    """Parse an event of PagerDuty's Events API version 2; `new_key` is its dedup_key if it has none.

    Raises:
        BadRequestError: PagerDuty would refuse it; the text names all errors.
    """
    sent = _json(body, "Event object is not valid JSON")
    action, payload = _text(sent, "event_action"), sent.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    if problems := [*_event_problems(sent, action), *(_payload_problems(payload) if action == "trigger" else ())]:
        raise BadRequestError("; ".join(problems))
    details = payload.get("custom_details")
    lines = details.items() if isinstance(details, dict) else ()
    links = [
        Link(_text(link, "text") or _text(link, "href"), _text(link, "href")) for link in _mappings(sent.get("links"))
    ]
    return Message(
        id=number,
        received_at=now,
        service=Service.PAGERDUTY,
        to=_text(payload, "group"),
        status=action,
        title=_text(payload, "summary"),
        text="\n".join(f"{name}: {str(value).strip()}" for name, value in lines if str(value).strip()),
        links=_usable(links),
        key=_text(sent, "dedup_key") or new_key,
        sent=_raw({name: value for name, value in sent.items() if name != "routing_key"}),
    )


def _event_problems(sent: Mapping[str, Any], action: str) -> Iterable[str]:
    if not _text(sent, "routing_key"):
        yield "'routing_key' is missing or blank"
    if action not in _ACTIONS:
        yield f"'event_action' is not one of {', '.join(_ACTIONS)}"
    elif action != "trigger" and not _text(sent, "dedup_key"):
        yield "'dedup_key' is missing or blank"


def _payload_problems(payload: Mapping[str, Any]) -> Iterable[str]:
    for name in _PAYLOAD:
        if not _text(payload, name):
            yield f"'payload.{name}' is missing or blank"
    if payload.get("severity") and payload["severity"] not in _SEVERITIES:
        yield f"'payload.severity' is not one of {', '.join(_SEVERITIES)}"


def webhook_message(body: bytes, number: int, now: datetime) -> Message:
    """Parse Alertmanager's request to a webhook.

    Raises:
        BadRequestError: it is not a JSON object.
    """
    sent = _json(body, "the body is not a JSON object")
    labels, annotations = (_mapping(sent.get(name)) for name in ("commonLabels", "commonAnnotations"))
    alerts = _mappings(sent.get("alerts"))
    names = dict.fromkeys(_text(_mapping(alert.get("labels")), "alertname") for alert in alerts)
    notes = [_mapping(alert.get("annotations")) for alert in alerts]
    said = dict.fromkeys([_text(annotations, "summary"), *(_text(note, "description") for note in notes)])
    runbooks = dict.fromkeys(_text(note, "runbook_url") for note in (annotations, *notes))
    return Message(
        id=number,
        received_at=now,
        service=Service.WEBHOOK,
        to=_text(sent, "receiver"),
        status=_text(sent, "status"),
        title=_text(labels, "alertname") or _listed(names, ", "),
        text=_listed(said, "\n"),
        links=_usable(Link("Runbook", url) for url in islice(filter(None, runbooks), 1)),
        key=_text(sent, "groupKey"),
        sent=_raw(sent),
    )


def _listed(texts: Iterable[str], separator: str) -> str:
    """Return the first of some texts, and how many more there are."""
    found = [text[:_LONGEST] for text in texts if text]
    more = [f"and {len(found) - _MOST_LISTED} more"] if len(found) > _MOST_LISTED else []
    return separator.join([*found[:_MOST_LISTED], *more])


# ---------------------------------------------------------------- reading untrusted input


def _json(body: bytes, otherwise: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRequestError(otherwise) from error


def _raw(sent: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(sent))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(mapping: Mapping[str, Any], name: str) -> str:
    value = mapping.get(name)
    return value if isinstance(value, str) else ""


def _usable(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return links that are safe in a browser, without executable schemes."""
    return tuple(link for link in links if link.url.startswith(("http://", "https://")))
