"""A drill through a real Alertmanager into the inbox, answered by somebody who takes its incident."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from routing_samples import routed
from test_delivery import FACTOR, addressed, alerting
from test_incident import hooked

from mlvitals.generator.spec.compression import compress_time
from mlvitals.incidents.drill.run import run_drill
from mlvitals.incidents.drill.server import Alertmanager
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Service
from mlvitals.incidents.inbox.server import Inbox
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import Assigned
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import incident_keeper

pytestmark = pytest.mark.slow
PATIENCE = timedelta(minutes=2)


def answer(incidents: Incidents, over: threading.Event) -> None:
    """Take the first incident that is opened, as somebody on call does."""
    while not over.wait(0.1):
        for incident in incidents.all()[0]:
            entry = Assigned(at=incident.opened_at + timedelta(milliseconds=1), actor="amara", to="amara")
            incidents.change(incident.id, adding(entry))
            return


def test_a_drill_is_heard_by_chat_and_pager_and_answered(alertmanager, tmp_path: Path):
    incidents = Incidents(tmp_path / "incidents")
    mailbox = Mailbox(arriving=incident_keeper(incidents.folder))
    over = threading.Event()
    with Inbox("127.0.0.1:0", mailbox) as inbox:
        spec = hooked(addressed(compress_time(routed(), FACTOR), inbox, tmp_path), inbox)
        with alerting(alertmanager, spec, tmp_path) as url:
            person = threading.Thread(target=answer, args=(incidents, over))
            person.start()
            try:
                server = Alertmanager(url)
                drill = run_drill(spec, server, "d1", patience=PATIENCE, incidents=incidents, sleep=time.sleep)
            finally:
                over.set()
                person.join()
    assert drill.is_good, drill
    assert drill.delivered.keys() >= {"slack", "pagerduty", "webhook"}
    heard = {message.service: message for message in mailbox.messages()}
    for service in (Service.SLACK, Service.PAGERDUTY):
        assert "MLDrill" in heard[service].title
        assert "DRILL: nothing is broken." in str(heard[service].body)
