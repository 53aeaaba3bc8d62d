"""The inbox's endpoints: the answers of Slack, PagerDuty and a webhook, and the pages with the messages."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

import msgspec

from mlvitals.exporters.listener import PLAIN_TEXT, Limits, Listener, Page, Request
from mlvitals.incidents.inbox.mailbox import Mailbox, MailboxError
from mlvitals.incidents.inbox.messages import (
    BadRequestError,
    Message,
    pagerduty_message,
    slack_message,
    webhook_message,
)
from mlvitals.incidents.inbox.page import inbox_page

SLACK, PAGERDUTY, WEBHOOK = "/slack", "/v2/enqueue", "/alertmanager"
"""Paths to send to. The rest of a path after SLACK is ignored, as it is a secret in Slack's own addresses."""

SCHEMA = "mlvitals.inbox/1"
LARGEST_BODY = 1 << 20
"""Bytes."""
_LIMITS = Limits(connections=32, body=LARGEST_BODY, threads=2)
"""At most this many bodies are in memory at once, and this many taken to pieces."""
_JSON, _HTML = "application/json", "text/html; charset=utf-8"
_NOTHING_RUNS = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
)


class Inbox(Listener):
    """Accepts messages from its creation until it is closed.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.
    """

    def __init__(self, listen: str, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        super().__init__(listen, self._page, "inbox", limits=_LIMITS)

    def _page(self, request: Request) -> Page:
        if request.method in ("GET", "HEAD"):
            return self._shown(request.path)
        if request.method != "POST":
            return _page(b"only GET, HEAD and POST are answered here\n", status=HTTPStatus.NOT_IMPLEMENTED)
        try:
            return self._taken(request)
        except MailboxError as error:
            return _page(f"{error}\n".encode(errors="replace"), status=HTTPStatus.SERVICE_UNAVAILABLE)

    # -------------------------------------------------------- pages

    def _shown(self, path: str) -> Page:
        """The page, the messages as JSON, or that all is well."""
        if path == "/":
            return _page(inbox_page(self._mailbox.messages(), datetime.now(UTC)).encode(), _HTML)
        if path == "/messages":
            document = {"schema": SCHEMA, "messages": self._mailbox.messages()}
            return _page(msgspec.json.encode(document), _JSON)
        if path == "/healthz":
            return _page(b"ok\n")
        return _page(b"not found: try /, /messages or /healthz\n", status=HTTPStatus.NOT_FOUND)

    # -------------------------------------------------------- incoming messages

    def _taken(self, request: Request) -> Page:
        if request.path == SLACK or request.path.startswith(f"{SLACK}/"):
            return self._slack(request.body, request.headers.get("content-type", ""))
        if request.path == PAGERDUTY:
            return self._pagerduty(request.body)
        if request.path == WEBHOOK:
            return self._webhook(request.body)
        return _page(b"not found\n", status=HTTPStatus.NOT_FOUND)

    def _slack(self, body: bytes, kind: str) -> Page:
        try:
            self._keep(lambda number, now: slack_message(body, kind, number, now))
        except BadRequestError as problem:
            return _page(str(problem).encode(), status=HTTPStatus.BAD_REQUEST)
        return _page(b"ok")

    def _pagerduty(self, body: bytes) -> Page:
        try:
            kept = self._keep(lambda number, now: pagerduty_message(body, uuid4().hex, number, now))
        except BadRequestError as problem:
            refusal = {
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": str(problem).split("; "),
            }
            return _page(msgspec.json.encode(refusal), _JSON, HTTPStatus.BAD_REQUEST)
        answer = {"status": "success", "message": "Event processed", "dedup_key": kept.key}
        return _page(msgspec.json.encode(answer), _JSON, HTTPStatus.ACCEPTED)

    def _webhook(self, body: bytes) -> Page:
        try:
            self._keep(lambda number, now: webhook_message(body, number, now))
        except BadRequestError as problem:
            return _page(f"{problem}\n".encode(), status=HTTPStatus.BAD_REQUEST)
        return _page(b"ok\n")

    def _keep(self, arrived: Callable[[int, datetime], Message]) -> Message:
        return self._mailbox.add(lambda number: arrived(number, datetime.now(UTC)))


def _page(text: bytes, content_type: str = PLAIN_TEXT, status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(text, status, content_type, headers=_NOTHING_RUNS)
