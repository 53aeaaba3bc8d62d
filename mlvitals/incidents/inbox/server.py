"""The inbox's endpoints: the answers of Slack, PagerDuty and a webhook, and the pages with the messages."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

import msgspec

from mlvitals.exporters.process.listener import Listener, ListeningServer
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
CLIENT_TIMEOUT_SECONDS = 10.0
_TEXT, _JSON, _HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"


class Inbox(Listener):
    """Accepts messages from its creation until it is closed.

    Raises:
        ListenError: the address is taken, not this machine's, or not HOST:PORT.
    """

    def __init__(self, listen: str, mailbox: Mailbox) -> None:
        super().__init__(listen, lambda host, port: _Server(host, port, partial(_Handler, mailbox)), "inbox")


class _Server(ListeningServer):
    def handle_error(self, *_: object) -> None:
        """Ignore a client that hung up."""


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server_version, sys_version = "mlvitals-inbox", ""

    def __init__(self, mailbox: Mailbox, *connection: object) -> None:
        self._mailbox = mailbox
        super().__init__(*connection)  # type: ignore[arg-type]

    # -------------------------------------------------------- pages

    def do_GET(self) -> None:
        """Answer with the page, the messages as JSON, or the health."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(inbox_page(self._mailbox.messages(), datetime.now(UTC)), _HTML)
        elif path == "/messages":
            document = {"schema": SCHEMA, "messages": self._mailbox.messages()}
            self._answer(msgspec.json.encode(document).decode(), _JSON)
        elif path == "/healthz":
            self._answer("ok\n", _TEXT)
        else:
            self._answer("not found: try /, /messages or /healthz\n", _TEXT, HTTPStatus.NOT_FOUND)

    # -------------------------------------------------------- incoming messages

    def do_POST(self) -> None:
        """Accept a message."""
        body = self._body()
        if body is None:
            return
        try:
            self._take(self.path.partition("?")[0], body)
        except MailboxError as error:
            self._answer(f"{error}\n", _TEXT, HTTPStatus.SERVICE_UNAVAILABLE)

    def _take(self, path: str, body: bytes) -> None:
        if path == SLACK or path.startswith(f"{SLACK}/"):
            self._slack(body)
        elif path == PAGERDUTY:
            self._pagerduty(body)
        elif path == WEBHOOK:
            self._webhook(body)
        else:
            self._answer("not found\n", _TEXT, HTTPStatus.NOT_FOUND)

    def _slack(self, body: bytes) -> None:
        kind = self.headers.get("Content-Type", "")
        try:
            self._keep(lambda number, now: slack_message(body, kind, number, now))
        except BadRequestError as problem:
            self._answer(str(problem), _TEXT, HTTPStatus.BAD_REQUEST)
        else:
            self._answer("ok", _TEXT)

    def _pagerduty(self, body: bytes) -> None:
        try:
            kept = self._keep(lambda number, now: pagerduty_message(body, uuid4().hex, number, now))
        except BadRequestError as problem:
            refusal = {
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": str(problem).split("; "),
            }
            self._answer(json.dumps(refusal), _JSON, HTTPStatus.BAD_REQUEST)
        else:
            answer = {"status": "success", "message": "Event processed", "dedup_key": kept.key}
            self._answer(json.dumps(answer), _JSON, HTTPStatus.ACCEPTED)

    def _webhook(self, body: bytes) -> None:
        try:
            self._keep(lambda number, now: webhook_message(body, number, now))
        except BadRequestError as problem:
            self._answer(f"{problem}\n", _TEXT, HTTPStatus.BAD_REQUEST)
        else:
            self._answer("ok\n", _TEXT)

    def _keep(self, arrived: Callable[[int, datetime], Message]) -> Message:
        return self._mailbox.add(lambda number: arrived(number, datetime.now(UTC)))

    # -------------------------------------------------------- bytes

    def _body(self) -> bytes | None:
        """Return the body of the request, or None if it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer("Content-Length is missing or invalid\n", _TEXT, HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > LARGEST_BODY:
            self._answer("too large\n", _TEXT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return self.rfile.read(int(length))
        self.close_connection = True
        return None

    def _answer(self, text: str, content_type: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: messages are on the page."""
