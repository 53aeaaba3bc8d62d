"""Alertmanager's webhook opens one incident a group, however often it calls, and resolves it with the group."""

import json
import urllib.request
from itertools import permutations
from pathlib import Path

import pytest
from incident_samples import alert, at, webhook
from test_inbox import HEARTBEAT, post

from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.server import WEBHOOK, Inbox
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import Closed, Resolved, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import incident_keeper, record_webhook


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(tmp_path)


def only(incidents: Incidents):
    (found,), problems = incidents.all()
    assert problems == []
    return found


def test_a_group_that_fires_opens_an_incident(incidents):
    record_webhook(incidents, webhook(alert("age"), alert("days")), at(21))
    found = only(incidents)
    assert found.title == "MLFeatureDrift of user_batch_features"
    assert (found.system, found.state, found.opened_at) == ("streamrec", State.OPEN, at(21))
    assert [fired.labels["feature_name"] for fired in found.alerts] == ["age", "days"]
    assert found.alerts[0].text == "Feature age drifted."


def test_the_same_message_twice_changes_nothing(incidents):
    for message in (webhook(alert()), webhook(alert(ends=90))):
        record_webhook(incidents, message, at(21))
        before = only(incidents)
        record_webhook(incidents, message, at(25))
        assert only(incidents) == before


def test_it_is_resolved_when_the_group_is(incidents):
    record_webhook(incidents, webhook(alert("age"), alert("days")), at(21))
    record_webhook(incidents, webhook(alert("age", ends=80), alert("days")), at(81))
    assert only(incidents).state is State.OPEN
    record_webhook(incidents, webhook(alert("days", ends=90)), at(91))
    assert (only(incidents).state, only(incidents).resolved_at) == (State.RESOLVED, at(91))


def test_an_alert_that_flaps_reopens_the_incident_instead_of_opening_another(incidents):
    record_webhook(incidents, webhook(alert(starts=20)), at(21))
    record_webhook(incidents, webhook(alert(starts=20, ends=30)), at(31))
    record_webhook(incidents, webhook(alert(starts=40)), at(41))
    assert only(incidents).state is State.OPEN
    record_webhook(incidents, webhook(alert(starts=40, ends=50)), at(51))
    assert (only(incidents).state, len(only(incidents).alerts)) == (State.RESOLVED, 2)


def test_a_late_copy_of_the_first_message_does_not_reopen_it(incidents):
    record_webhook(incidents, webhook(alert()), at(21))
    record_webhook(incidents, webhook(alert(ends=30)), at(31))
    record_webhook(incidents, webhook(alert()), at(32))
    assert only(incidents).state is State.RESOLVED


def test_after_it_was_closed_a_new_one_is_opened(incidents):
    first = record_webhook(incidents, webhook(alert()), at(21))
    for entry in (Resolved(at=at(30), actor="a"), Closed(at=at(31), actor="a")):
        incidents.change(first.id, adding(entry))
    second = record_webhook(incidents, webhook(alert(starts=60)), at(61))
    assert second.id == f"{first.id}-2"


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_time_beyond_the_calendar_loses_no_page(incidents, written):
    found = record_webhook(incidents, webhook(alert() | {"startsAt": written}), at(20))
    assert [each.name for each in found.alerts] == ["MLFeatureDrift"]
    ended = alert(ends=30) | {"startsAt": written, "endsAt": written}
    resolved = record_webhook(incidents, webhook(ended), at(31))
    assert resolved.state is State.RESOLVED
    assert analyse(resolved, None).times.resolved == at(31)


def test_two_groups_are_two_incidents(incidents):
    record_webhook(incidents, webhook(alert()), at(21))
    record_webhook(incidents, webhook(alert("x"), key="another"), at(22))
    assert len(incidents.all()[0]) == 2


@pytest.mark.parametrize("body", [HEARTBEAT, {}, {"groupKey": 1}, webhook(alert(severity="none")), webhook()])
def test_heartbeats_and_other_messages_concern_no_incident(incidents, body):
    assert record_webhook(incidents, body, at(21)) is None
    assert incidents.all() == ([], [])


def test_a_group_that_ends_without_having_been_heard_of_opens_nothing(incidents):
    assert record_webhook(incidents, webhook(alert(ends=30)), at(31)) is None


def test_the_order_of_alerts_in_a_message_does_not_matter(tmp_path):
    alerts = [alert(name) for name in "abc"]
    found = set()
    for number, order in enumerate(permutations(alerts)):
        incidents = Incidents(tmp_path / str(number))
        record_webhook(incidents, webhook(*order), at(21))
        found.add((only(incidents).id, only(incidents).alerts.__len__(), only(incidents).state))
    assert len(found) == 1


def test_the_inbox_keeps_incidents_and_asks_for_another_try_where_it_cannot(tmp_path):
    with Inbox("127.0.0.1:0", Mailbox(arriving=incident_keeper(tmp_path))) as inbox:
        url = f"{inbox.url}{WEBHOOK}"
        assert post(url, webhook(alert()))[0] == 200
        (file,) = tmp_path.glob("*.yaml")
        file.write_text("<<<<<<< HEAD\n" + file.read_text())
        status, answer = post(url, webhook(alert(ends=30)))
        assert status == 503
        assert "a merge left its conflict here" in answer
        with urllib.request.urlopen(f"{inbox.url}/messages", timeout=60) as kept:
            assert len(json.load(kept)["messages"]) == 1
        assert post(url, webhook(alert(), key="another"))[0] == 200
