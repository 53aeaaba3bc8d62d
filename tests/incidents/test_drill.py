"""A drill: an alert marked as one goes to everybody who hears of alerts, and what becomes of it is reported."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from incident_samples import alert, webhook

from mlvitals.cli import main
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.incidents.drill.run import ALERT, LABEL, run_drill
from mlvitals.incidents.drill.server import Routed, Sent
from mlvitals.incidents.record.changes import adding
from mlvitals.incidents.record.model import Assigned
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook

SPEC = """
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {}}
routing:
  receivers:
    chat: {slack: {channel: "#shop", webhook_file: /run/slack}}
    pager: {pagerduty: {routing_key_file: /run/pagerduty}}
    dead: {webhook: {url: "http://localhost:1/"}}
  warning: chat
  critical: pager
  watchdog: dead
"""
NAME = "20260303T080000"
GOES = {"critical": Routed(("pager",), (), ()), "warning": Routed(("chat",), (), ())}


class Played:
    """An Alertmanager that sends what it is told after a second look."""

    def __init__(self, routed: dict[str, Routed] = GOES, sends: dict[str, Sent] | None = None) -> None:
        self._routed = routed
        self._sends = {"slack": Sent(8, 1), "pagerduty": Sent(5, 0)} if sends is None else sends
        self.sent_alerts: list[tuple] = []
        self._looks = 0

    def send(self, alerts, begun, ends) -> None:
        self.sent_alerts.append((alerts, begun, ends))

    def routed(self, **labels: str) -> dict[str, Routed]:
        assert labels == {LABEL: NAME}
        return self._routed

    def sent(self) -> dict[str, Sent]:
        self._looks += 1
        before = {"slack": Sent(7, 1), "pagerduty": Sent(4, 0), "email": Sent(0, 0)}
        return before if self._looks < 3 else before | self._sends


@pytest.fixture
def spec() -> Spec:
    return parse_spec(SPEC)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 3, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def drilled(spec: Spec, server: Played, incidents: Incidents | None = None):
    clock = Clock()
    patience = timedelta(minutes=1)
    return run_drill(spec, server, NAME, patience=patience, incidents=incidents, now=clock.now, sleep=clock.sleep)


def test_every_severity_that_somebody_hears_of_is_tried(spec):
    server = Played()
    drill = drilled(spec, server)
    assert [(heard.severity, heard.expected, heard.integrations) for heard in drill.heard] == [
        (Severity.CRITICAL, "pager", ("pagerduty",)),
        (Severity.WARNING, "chat", ("slack",)),
    ]
    assert (drill.delivered, drill.failed, drill.missing) == ({"slack": 1, "pagerduty": 1}, {}, ())
    assert drill.is_good


def test_the_alerts_say_that_they_are_a_drill_and_are_taken_back(spec):
    server = Played()
    drilled(spec, server)
    (sent, begun, ends), (taken, begun_again, over) = server.sent_alerts
    assert sent == taken
    assert begun == begun_again < over < ends
    for labels, texts in sent:
        assert (labels["alertname"], labels[LABEL], labels["system"]) == (ALERT, NAME, "shop")
        assert "DRILL" in texts["summary"]


def test_the_drill_of_an_environment_carries_its_identity_and_so_takes_its_route():
    staging = parse_spec(SPEC + "identity: {labels: {env: staging}}\n")
    server = Played()
    drilled(staging, server)
    assert {labels["env"] for labels, _ in server.sent_alerts[0][0]} == {"staging"}


def test_they_are_taken_back_also_where_it_fails(spec):
    class Broken(Played):
        def routed(self, **labels: str) -> dict[str, Routed]:
            raise KeyboardInterrupt

    server = Broken()
    with pytest.raises(KeyboardInterrupt):
        drilled(spec, server)
    assert len(server.sent_alerts) == 2


def test_what_was_not_sent_is_named_when_patience_ends(spec):
    drill = drilled(spec, Played(sends={"pagerduty": Sent(5, 0)}))
    assert (drill.missing, drill.is_good) == (("slack",), False)


EVERY_WAY = """
  receivers:
    chat: {teams: {webhook_file: /run/teams}, email: {to: a@b.org, sender: c@d.org, smarthost: "localhost:25"}}
    pager:
      opsgenie: {api_key_file: /run/opsgenie}
      incidentio: {url: "http://localhost:1/", token_file: /run/token}
      other: {telegram_configs: [{chat_id: 1, bot_token_file: /run/bot}]}
"""


def test_every_way_to_reach_somebody_has_to_be_heard():
    spec = parse_spec(SPEC.replace(SPEC[SPEC.index("  receivers:\n") - 1 : SPEC.index("    dead:")], EVERY_WAY))
    drill = drilled(spec, Played())
    assert drill.missing == ("email", "incidentio", "msteamsv2", "opsgenie", "telegram")
    assert not drill.is_good


def test_what_failed_was_not_delivered(spec):
    drill = drilled(spec, Played(sends={"slack": Sent(8, 1), "pagerduty": Sent(5, 1)}))
    assert (drill.failed, drill.missing, drill.is_good) == ({"pagerduty": 1}, ("pagerduty",), False)


@pytest.mark.parametrize(
    "routed",
    [Routed(("chat",), (), ()), Routed(("pager",), ("a silence",), ()), Routed(("pager",), (), ("an alert",)), None],
    ids=["another receiver", "silenced", "inhibited", "unknown"],
)
def test_a_page_that_nobody_hears_is_no_success(spec, routed):
    goes = {**GOES, "critical": routed} if routed else {"warning": GOES["warning"]}
    assert not drilled(spec, Played(goes)).is_good


def test_an_answer_is_the_assignment_of_the_drills_own_incident(spec, tmp_path):
    incidents = Incidents(tmp_path)
    told = alert(starts=0)
    told["labels"] |= {"alertname": ALERT, LABEL: NAME}
    begun = datetime(2026, 3, 3, 8, tzinfo=UTC)
    opened = record_webhook(incidents, webhook(told), begun)
    assert drilled(spec, Played(), incidents).answered_after is None
    taken = begun + timedelta(seconds=20)
    incidents.change(opened.id, adding(Assigned(at=taken, actor="amara", to="amara")))
    assert drilled(spec, Played(), incidents).answered_after == timedelta(seconds=20)


def test_a_server_that_does_not_answer_is_named(tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(SPEC)
    failed = CliRunner().invoke(main, ["drill", str(file), "--alertmanager", "http://127.0.0.1:1", "--wait", "1s"])
    assert failed.exit_code == 1
    assert "error: http://127.0.0.1:1: Alertmanager does not answer" in failed.output
