"""Alerts as they were at their times, sent to a real Alertmanager whose receivers are the inbox."""

import json
import time
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from real_servers import running

from mlvitals.evaluation.notifications import ActiveAlert
from mlvitals.generator.routing import routing_files
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Receiver, Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Message
from mlvitals.incidents.inbox.server import PAGERDUTY, WEBHOOK, Inbox

_LONG = timedelta(hours=1)


def replay(program: str, spec: Spec, alerts: Iterable[ActiveAlert], lasting: float, folder: Path) -> list[Message]:
    """Send alerts at their times, in seconds from now, and return what arrived within so many seconds."""
    mailbox = Mailbox()
    with Inbox("127.0.0.1:0", mailbox) as inbox:
        for name, text in routing_files(*_of_the_inbox(spec, inbox.url, folder), "A marker").items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        options = (
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/state",
            "--cluster.listen-address=",
        )
        with running(program, *options, ready="/-/ready") as url:
            _play(url, tuple(alerts), lasting)
    return list(mailbox.messages())


def _of_the_inbox(spec: Spec, inbox: str, folder: Path):
    """The spec whose receivers are the inbox, and its signals."""
    (folder / "slack").write_text(f"{inbox}/slack/secret")
    (folder / "pagerduty").write_text("secret")

    def moved(receiver: Receiver) -> Receiver:
        replace = msgspec.structs.replace
        slack, pager, hook = receiver.slack, receiver.pagerduty, receiver.webhook
        return replace(
            receiver,
            slack=slack and replace(slack, webhook_file=str(folder / "slack")),
            pagerduty=pager and replace(pager, routing_key_file=str(folder / "pagerduty"), url=inbox + PAGERDUTY),
            webhook=hook and replace(hook, url=inbox + WEBHOOK, url_file=None),
        )

    receivers = {name: moved(receiver) for name, receiver in spec.routing.receivers.items()}
    there = msgspec.structs.replace(spec, routing=msgspec.structs.replace(spec.routing, receivers=receivers))
    return there, signals(there)


def _play(url: str, alerts: tuple[ActiveAlert, ...], lasting: float) -> None:
    """Send what begins or ends at each time at which anything does."""
    began = time.monotonic()
    changes = sorted({at for alert in alerts for at in (max(alert.start, 0.0), alert.end) if 0 <= at < lasting})
    for at in changes:
        time.sleep(max(0.0, began + at - time.monotonic()))
        firing = [alert for alert in alerts if alert.start <= at < alert.end]
        ended = [alert for alert in alerts if alert.end == at]
        _send(url, [(alert, _LONG) for alert in firing] + [(alert, timedelta(0)) for alert in ended])
    time.sleep(max(0.0, began + lasting - time.monotonic()))


def _send(url: str, alerts: Iterable[tuple[ActiveAlert, timedelta]]) -> None:
    now = datetime.now(UTC)
    body = [
        {
            "labels": dict(alert.labels),
            "annotations": {
                "summary": "It fires.",
                "description": "It does.",
                "runbook_url": "http://x/r",
                "dashboard_url": "http://x/d",
            },
            "startsAt": (now - timedelta(seconds=1)).isoformat(),
            "endsAt": (now + remaining).isoformat(),
        }
        for alert, remaining in alerts
    ]
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60):
        pass
