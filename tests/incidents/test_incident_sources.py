"""Each source alone: what it says becomes events, and what it does not know is not made up."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_samples import alert, at, webhook

from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.incidents.evidence import FeatureFacts, WindowFacts
from mlvitals.incidents.inbox.messages import pagerduty_message, slack_message, webhook_message
from mlvitals.incidents.record.model import Action, Mitigated, Opened
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook
from mlvitals.incidents.sources.alertmanager import event_log_events, silence_events
from mlvitals.incidents.sources.git import GitError, git_events
from mlvitals.incidents.sources.inbox import inbox_events
from mlvitals.incidents.sources.pagerduty import pagerduty_events
from mlvitals.incidents.sources.prometheus import prometheus_events
from mlvitals.incidents.sources.record import record_events
from mlvitals.incidents.sources.results import change_events, window_events
from mlvitals.incidents.timeline.events import EventKind, EventSource, merge

SUBJECT = "MLFeatureDrift critical age"
ALERT = {"alertname": "MLFeatureDrift", "severity": "critical", "feature_name": "age", "system": "streamrec"}
WATCHDOG = {"alertname": "MLWatchdog", "severity": "none", "alertstate": "firing"}


def told(events) -> list[tuple[EventKind, float]]:
    """Kinds, and minutes after the fault began, in order."""
    return [(entry.kind, (entry.at - at(0)).total_seconds() / 60) for entry in merge(events)]


# ---------------------------------------------------------------- Prometheus


def asked(*, firing: list[float], watchdog: list[float], since: list[float] = []):  # noqa: B006
    """A Prometheus whose samples are a minute apart, at these minutes."""

    def ask(query: str):
        if query.startswith("ALERTS_FOR_STATE"):
            return [(ALERT, [(at(0).timestamp(), at(minute).timestamp()) for minute in since])]
        return [
            (ALERT | {"alertstate": "firing"}, [(at(minute).timestamp(), 1.0) for minute in firing]),
            (WATCHDOG, [(at(minute).timestamp(), 1.0) for minute in watchdog]),
        ]

    return ask


def test_prometheus_tells_when_an_alert_was_pending_fired_and_ended():
    found = prometheus_events("streamrec", asked(firing=[20, 21, 22], watchdog=list(range(60)), since=[19]), 60)
    assert told(found) == [(EventKind.PENDING, 19), (EventKind.FIRING, 20), (EventKind.ENDED, 22)]
    assert {event.subject for event in found} == {SUBJECT}


def test_an_alert_that_still_fires_has_not_ended():
    assert told(prometheus_events("s", asked(firing=[20, 21], watchdog=list(range(22))), 60)) == [
        (EventKind.FIRING, 20)
    ]


def test_an_alert_that_flapped_fired_twice():
    found = prometheus_events("s", asked(firing=[20, 21, 30, 31], watchdog=list(range(60))), 60)
    assert told(found) == [
        (EventKind.FIRING, 20),
        (EventKind.ENDED, 21),
        (EventKind.FIRING, 30),
        (EventKind.ENDED, 31),
    ]


def test_a_gap_in_prometheus_is_a_gap_and_ends_no_alert():
    firing, watchdog = [20, 21, 35, 36], [*range(22), *range(35, 60)]
    found = prometheus_events("s", asked(firing=firing, watchdog=watchdog), 60)
    assert told(found) == [(EventKind.FIRING, 20), (EventKind.UNSEEN, 21), (EventKind.ENDED, 36)]


def test_without_a_watchdog_a_gap_cannot_be_told_from_an_end():
    found = prometheus_events("s", asked(firing=[20, 21, 35], watchdog=[]), 60)
    assert EventKind.UNSEEN not in {event.kind for event in found}


# ---------------------------------------------------------------- Alertmanager


def pairs(labels: dict) -> dict:
    return {"labels": [{"key": name, "value": value} for name, value in labels.items()]}


def line(minutes: float, name: str, content: dict, instance: str = "am-0") -> str:
    return json.dumps({"@timestamp": at(minutes).isoformat(), "instance": instance, "data": {name: content}})


DETAILS = {"fingerprint": "11939129189879930159", "name": "MLFeatureDrift", "labels": pairs(ALERT)}
DETAILS |= {"startsAt": at(20).isoformat(), "endsAt": at(90).isoformat()}
GROUP = {"groupKey": "{}:{}", "receiverName": "pager"}
HASH = "12496905315671917571"
LOG = [
    line(0, "alertmanagerStartupEvent", {"version": "0.33.1"}),
    line(20.1, "alertCreated", {"alert": DETAILS}),
    line(20.1, "alertGrouped", {"alert": {"hash": HASH, "details": DETAILS}, "groupInfo": GROUP}),
    line(
        20.6,
        "notification",
        {
            "firingAlerts": [{"hash": HASH}],
            "groupInfo": GROUP,
            "reason": "NOTIFY_REASON_FIRST_NOTIFICATION",
            "flushId": "1",
            "integration": {"name": "pagerduty"},
        },
    ),
    line(90.2, "alertResolved", {"alert": {"hash": HASH, "details": DETAILS | {"resolved": True}}}),
    line(91, "somethingNew", {"of": ["a", "later", "version"]}),
]


@st.composite
def altered_lines(draw):
    """A log in which some parts are something else: another version, another program, half a disk."""
    strange = st.none() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=2), max_size=2) | st.just({})

    def altered(value):
        if draw(st.integers(0, 12)) == 0:
            return draw(strange | st.just("9999-12-31T23:59:59-23:59"))
        if isinstance(value, dict):
            return {name: altered(part) for name, part in value.items()}
        return [altered(part) for part in value] if isinstance(value, list) else value

    return [json.dumps(altered(json.loads(line))) for line in LOG]


@given(altered_lines())
def test_an_event_log_that_is_written_otherwise_is_read_as_far_as_it_goes(lines):
    found, unreadable = event_log_events(lines, "events.jsonl")
    assert unreadable <= len(lines)
    assert len(found) <= 3 * len(lines)


def test_the_event_log_of_alertmanager_tells_the_life_of_an_alert():
    found, unreadable = event_log_events(LOG, "events.jsonl")
    assert unreadable == 0
    assert told(found) == [(EventKind.FIRING, 20), (EventKind.NOTIFIED, 20.6), (EventKind.ENDED, 90)]
    assert {event.subject for event in found} == {SUBJECT}
    (notified,) = [event for event in found if event.kind is EventKind.NOTIFIED]
    assert notified.text == f"{SUBJECT}: pager is notified through pagerduty for the first time."


def test_numbers_of_64_bits_are_texts_and_are_not_rounded():
    other = "12496905315671917572"  # as a floating-point number it is the same
    renamed = DETAILS | {"labels": pairs(ALERT | {"feature_name": "other"})}
    grouped = line(20.2, "alertGrouped", {"alert": {"hash": other, "details": renamed}, "groupInfo": GROUP})
    found, _ = event_log_events([*LOG[:3], grouped, *LOG[3:]], "events.jsonl")
    (notified,) = [event for event in found if event.kind is EventKind.NOTIFIED]
    assert notified.subject == SUBJECT


def test_peers_of_a_cluster_tell_of_an_alert_once():
    peer = [one.replace("am-0", "am-1") for one in LOG]
    later = [one.replace("08:20:06", "08:20:09") for one in peer]
    assert told(event_log_events([*LOG, *later], "x")[0]) == told(event_log_events(LOG, "x")[0])


def test_lines_that_are_none_of_an_event_log_are_counted():
    found, unreadable = event_log_events([*LOG, "{", "[1]", '{"a": 1}', ""], "x")
    assert (len(found), unreadable) == (3, 3)


MUTED = {"labels": pairs(ALERT), "fingerprint": "11939129189879930159"}


def test_muted_alerts_are_told_when_it_began_and_not_at_every_evaluation():
    muted = [
        *(line(minutes, "inhibitionMutedAlert", {"mutedAlert": MUTED}) for minutes in (21, 21.1, 30, 120)),
        line(22, "silenceMutedAlert", {"mutedAlert": MUTED}),
    ]
    found, _ = event_log_events([*LOG[:3], *muted], "x")
    assert told(found)[1:] == [(EventKind.INHIBITED, 21), (EventKind.SILENCED, 22), (EventKind.INHIBITED, 120)]
    assert {event.subject for event in found} == {SUBJECT}


def test_a_notification_through_several_integrations_is_one():
    another = LOG[3].replace("pagerduty", "slack").replace("08:20:36", "08:20:37")
    (notified,) = [event for event in event_log_events([*LOG, another], "x")[0] if event.kind is EventKind.NOTIFIED]
    assert notified.text == f"{SUBJECT}: pager is notified through pagerduty, slack for the first time."


def test_a_silence_is_told_with_what_it_mutes_and_why():
    matchers = [{"name": "alertname", "value": "ML.*", "isRegex": True, "isEqual": True}]
    silence = {"id": "1", "matchers": matchers, "createdBy": "amara", "comment": "migration"}
    silence |= {"startsAt": at(5).isoformat(), "endsAt": at(65).isoformat()}
    (found,) = silence_events([silence], "silences.json")
    assert (found.kind, found.at, found.actor) == (EventKind.SILENCED, at(5), "amara")
    assert found.text == 'Silence of alertname=~"ML.*" until 2026-03-03 09:05:00 UTC: migration'


# ---------------------------------------------------------------- people


def test_the_inbox_tells_what_people_were_sent_and_no_heartbeat():
    event = {"routing_key": "k", "event_action": "trigger", "payload": {"summary": "drift", "source": "s"}}
    event["payload"]["severity"] = "critical"
    heartbeat = webhook(alert(severity="none"))
    messages = [
        webhook_message(json.dumps(heartbeat).encode(), 1, at(19)),
        webhook_message(json.dumps(webhook(alert())).encode(), 2, at(20)),
        slack_message(b'{"text": "drift"}', "application/json", 3, at(21)),
        pagerduty_message(json.dumps(event).encode(), "key", 4, at(22)),
        pagerduty_message(
            json.dumps(event | {"event_action": "acknowledge", "dedup_key": "k"}).encode(), "k", 5, at(25)
        ),
    ]
    assert told(inbox_events(messages, "inbox.jsonl")) == [
        (EventKind.NOTIFIED, 20),
        (EventKind.NOTIFIED, 21),
        (EventKind.NOTIFIED, 22),
        (EventKind.ACKNOWLEDGED, 25),
    ]


def test_an_export_of_pagerduty_tells_who_acknowledged_and_when_it_escalated():
    entries = [
        {"type": "trigger_log_entry", "created_at": "2026-03-03T09:20:00+01:00", "summary": "Triggered"},
        {"type": "escalate_log_entry", "created_at": at(35).isoformat(), "summary": "Escalated to chiyo"},
        {"type": "acknowledge_log_entry", "created_at": at(36).isoformat(), "agent": {"summary": "chiyo"}},
        {"type": "annotate_log_entry", "created_at": at(40).isoformat(), "channel": {"summary": "it is the batch job"}},
        {"type": "snooze_log_entry", "created_at": at(41).isoformat()},
    ]
    found = list(pagerduty_events({"log_entries": entries}, "log.json"))
    assert told(found) == [
        (EventKind.NOTIFIED, 20),
        (EventKind.ESCALATED, 35),
        (EventKind.ACKNOWLEDGED, 36),
        (EventKind.NOTE, 40),
    ]
    assert [event.actor for event in found if event.kind is EventKind.ACKNOWLEDGED] == ["chiyo"]


def test_the_incident_itself_is_a_source(tmp_path):
    incidents = Incidents(tmp_path)
    record_webhook(incidents, webhook(alert()), at(21))
    opened = record_webhook(incidents, webhook(alert(ends=90)), at(91))
    assert told(record_events(opened)) == [
        (EventKind.NOTIFIED, 21),
        (EventKind.OPENED, 21),
        (EventKind.ENDED, 90),
        (EventKind.RESOLVED, 91),
    ]
    hand = incidents.open(
        "x", "s", [Opened(at=at(0), actor="a"), Mitigated(at=at(1), actor="a", action=Action.ROLLBACK)]
    )
    assert [event.text for event in record_events(hand)] == ["Opened.", "Mitigation: rollback."]


# ---------------------------------------------------------------- changes and windows


def test_changes_that_were_annotated_are_told():
    noted = [
        Change(ChangeKind.PIPELINE, "batch", at(-10), "v2", "team"),
        Change(ChangeKind.DEPLOYMENT, "model", at(-5), "7", "x"),
    ]
    found = list(change_events(noted, "table changes"))
    assert told(found) == [(EventKind.PIPELINE, -10), (EventKind.DEPLOYMENT, -5)]
    assert found[0].text == "Pipeline of batch: v2."


def window(hour: int, psi: float | None, severity: str = "", noise: float = 0.03) -> WindowFacts:
    return WindowFacts(
        start=at(60 * hour),
        end=at(60 * (hour + 1)),
        reference_created=at(-10_000),
        rows=1000,
        features={"age": FeatureFacts(psi=psi, noise=noise, severity=severity, rows=1000)},
    )


def test_windows_tell_the_first_sign_the_drift_and_its_end():
    windows = [window(0, 0.01), window(1, 0.05), window(2, 0.08), window(3, 0.3, "critical"), window(4, 0.01)]
    assert told(window_events(windows, "results")) == [
        (EventKind.FIRST_SIGN, 120),
        (EventKind.DRIFT, 240),
        (EventKind.CALM, 300),
    ]


def test_noise_that_led_to_nothing_is_no_sign():
    windows = [window(0, 0.05), window(1, 0.01), window(2, 0.3, "critical")]
    assert told(window_events(windows, "results")) == [(EventKind.DRIFT, 180)]


def test_a_window_that_measured_nothing_ends_nothing():
    windows = [window(0, 0.3, "critical"), window(1, None), window(2, 0.4, "critical")]
    assert told(window_events(windows, "results")) == [(EventKind.DRIFT, 60)]


# ---------------------------------------------------------------- git


def test_commits_of_a_path_are_told_at_their_time(tmp_path):
    def git(*arguments: str, minutes: float = 0) -> None:
        env = {
            "GIT_COMMITTER_DATE": at(minutes).isoformat(),
            "GIT_AUTHOR_DATE": at(-9999).isoformat(),
            "HOME": str(tmp_path),
        }
        who = ["-c", "user.name=Dana\u2028| x", "-c", "user.email=d@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, env=env)

    git("init", "-q")
    for name, minutes in (("pipeline", 0), ("other", 1), ("pipeline", 2), ("pipeline", 500)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "job.py").write_text(str(minutes))
        git("add", "-A")
        git("commit", "-qm", f"change of {name} |\x85 at\u2028{minutes}", minutes=minutes)
    found = git_events(tmp_path / "pipeline", at(-10), at(60))
    assert told(found) == [(EventKind.COMMIT, 0), (EventKind.COMMIT, 2)]
    assert found[0].actor == "Dana\u2028| x"
    assert found[0].text.endswith("change of pipeline |\x85 at\u20282")
    assert {event.source for event in found} == {EventSource.GIT}


def test_a_path_in_no_repository_is_named(tmp_path):
    with pytest.raises(GitError, match="not a git repository"):
        git_events(tmp_path, at(0), at(1))
