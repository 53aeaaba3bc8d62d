"""A real Alertmanager on generated routes: its webhook opens and resolves the incident, its event log tells the same."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from real_servers import running
from routing_samples import routed
from test_delivery import FACTOR, OVER, addressed, drift, send, slow_to_group

from mlvitals.generator.routing import routing_files
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.model import Receiver, Spec, Webhook
from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.collect import Period, Sources, collect
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.server import WEBHOOK, Inbox
from mlvitals.incidents.record.model import Incident, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import incident_keeper
from mlvitals.incidents.timeline.events import EventKind, EventSource
from tests.conftest import server

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 120
A_DELIVERY = timedelta(seconds=5)
"""Alertmanager records a notification when it sent it, the incident when it arrived."""


def hooked(spec: Spec, inbox: Inbox) -> Spec:
    """The spec whose pager also calls the webhook."""
    replace = msgspec.structs.replace
    pager: Receiver = replace(spec.routing.receivers["pager"], webhook=Webhook(url=inbox.url + WEBHOOK))
    return replace(spec, routing=replace(spec.routing, receivers=spec.routing.receivers | {"pager": pager}))


@contextmanager
def recording(program: str, spec: Spec, folder: Path) -> Iterator[str]:
    """The address of an Alertmanager on generated routes that writes its event log."""
    for name, text in routing_files(spec, signals(spec), "A marker").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    config = folder / "alertmanager.yml"
    recorder = {"event_recorder": {"file_outputs": [{"path": str(folder / "events.jsonl")}]}}
    config.write_text(config.read_text() + yaml.safe_dump(recorder))
    options = (
        f"--config.file={config}",
        f"--storage.path={folder}/state",
        "--cluster.listen-address=",
        "--enable-feature=event-recorder",
    )
    with running(program, *options, ready="/-/ready") as url:
        yield url


def wait_for(incidents: Incidents, state: State) -> Incident:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [each for each in incidents.all()[0] if each.state is state]
        if found:
            return found[0]
        assert time.monotonic() < deadline, f"no incident is {state}"
        time.sleep(0.1)


def test_its_webhook_opens_and_resolves_an_incident_and_its_event_log_tells_the_same(tmp_path):
    incidents = Incidents(tmp_path / "incidents")
    mailbox = Mailbox(tmp_path / "inbox.jsonl", incident_keeper(incidents.folder))
    begun = datetime.now(UTC)
    with Inbox("127.0.0.1:0", mailbox) as inbox:
        spec = hooked(addressed(slow_to_group(compress_time(routed(), FACTOR)), inbox, tmp_path), inbox)
        with recording(server("alertmanager", "sid"), spec, tmp_path) as url:
            send(url, drift("critical", "age"), drift("warning", "age"))
            opened = wait_for(incidents, State.OPEN)
            send(url, drift("critical", "age"), drift("warning", "age"), ends=OVER)
            resolved = wait_for(incidents, State.RESOLVED)
    assert opened.id == resolved.id
    assert [alert.name for alert in resolved.alerts] == ["MLFeatureDrift"]

    interval = Period(begun - timedelta(seconds=5), datetime.now(UTC), timedelta(seconds=1))
    sources = Sources(event_logs=(tmp_path / "events.jsonl",), inbox=tmp_path / "inbox.jsonl")
    found = analyse(resolved, collect(resolved, sources, interval))
    assert [each.problem for each in found.evidence.asked] == ["", ""]
    subject = "MLFeatureDrift critical age"
    told = {(entry.kind, entry.subject): entry.sources for entry in found.timeline}
    assert EventSource.ALERTMANAGER in told[EventKind.FIRING, subject]
    assert {EventSource.RECORD, EventSource.INBOX} <= set(told[EventKind.NOTIFIED, subject])
    assert EventSource.ALERTMANAGER in told[EventKind.INHIBITED, "MLFeatureDrift warning age"]
    assert {EventSource.RECORD, EventSource.ALERTMANAGER} <= set(told[EventKind.ENDED, subject])
    assert abs(found.times.detected - opened.opened_at) < A_DELIVERY
    assert found.times.resolved == resolved.resolved_at
