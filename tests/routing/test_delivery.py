"""What people get, through a real Alertmanager (and once a real Prometheus) into the inbox, in compressed time."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from real_servers import running
from routing_samples import routed

from mlvitals.generator.prometheus import prometheus_config
from mlvitals.generator.routing import routing_files
from mlvitals.generator.rules import rules_file
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Message, Service
from mlvitals.incidents.inbox.server import PAGERDUTY, WEBHOOK, Inbox

pytestmark = pytest.mark.slow

FACTOR = 300
"""Group waits, group intervals and `for` become a second; what follows hold then a few seconds."""
PATIENCE = 120
SLACK_SECRET, PAGERDUTY_SECRET = "T0/B0/very-secret", "routing-key-very-secret"


def addressed(spec: Spec, inbox: Inbox, folder: Path) -> Spec:
    """The spec with its receivers' addresses at the inbox and its secrets in files."""
    (folder / "slack").write_text(f"{inbox.url}/slack/{SLACK_SECRET}")
    (folder / "pagerduty").write_text(PAGERDUTY_SECRET)
    replace, receivers = msgspec.structs.replace, spec.routing.receivers
    chat, pager, dead = receivers["chat"].slack, receivers["pager"].pagerduty, receivers["dead"].webhook
    moved = receivers | {
        "chat": replace(receivers["chat"], slack=replace(chat, webhook_file=str(folder / "slack"))),
        "pager": replace(
            receivers["pager"],
            pagerduty=replace(pager, routing_key_file=str(folder / "pagerduty"), url=inbox.url + PAGERDUTY),
        ),
        "dead": replace(receivers["dead"], webhook=replace(dead, url=inbox.url + WEBHOOK)),
    }
    return replace(spec, routing=replace(spec.routing, receivers=moved))


@contextmanager
def alerting(program: str, spec: Spec, folder: Path) -> Iterator[str]:
    """The address of an Alertmanager that runs on what is generated; its state stays in the folder."""
    for name, text in routing_files(spec, signals(spec), "A marker").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    options = (
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/state",
        "--cluster.listen-address=",
    )
    with running(program, *options, ready="/-/ready") as url:
        yield url


def send(url: str, *labels: dict[str, str], ends: timedelta = timedelta(hours=1)) -> None:
    """Tell Alertmanager of alerts as Prometheus does."""
    now = datetime.now(UTC)
    alerts = [
        {
            "labels": each,
            "annotations": {
                "summary": "A feature has drifted.",
                "description": f"PSI of {each.get('feature_name', 'it')} is 0.3, above the threshold 0.25.",
                "runbook_url": "https://example.com/runbooks/shop/feature-drift.md#mlfeaturedrift",
                "dashboard_url": f"http://localhost:3000/d/shop?var-feature_name={number}",
            },
            "startsAt": min(now, now + ends).isoformat(),
            "endsAt": (now + ends).isoformat(),
        }
        for number, each in enumerate(labels)
    ]
    body = json.dumps(alerts).encode()
    request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60):
        pass


OVER = timedelta(milliseconds=-1)


def drift(severity: str, feature: str = "amount", cooldown: str = "1h") -> dict[str, str]:
    return {
        "alertname": "MLFeatureDrift",
        "severity": severity,
        "system": "shop",
        "incident": "feature-drift",
        "cooldown": cooldown,
        "feature_name": feature,
        "feature_source": "batch",
    }


class Received:
    """What has arrived in an inbox, apart from heartbeats."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def all(self) -> list[Message]:
        return [message for message in self._mailbox.messages() if message.service is not Service.WEBHOOK]

    def of(self, service: Service) -> list[Message]:
        return [message for message in self._mailbox.messages() if message.service is service]

    def wait(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, "\n".join(message.title for message in self._mailbox.messages())
            time.sleep(0.05)

    def unmarked(self) -> list[Message]:
        return [message for message in self.all() if "Marker" not in message.title]

    def nothing_more(self, url: str, marked: str) -> None:
        """A later alert has arrived: what must not come had as long to come.

        Groups are notified of independently of each other: wait first for what must come, it may come after the marker.
        """
        send(url, {**drift("warning", marked), "alertname": "Marker", "feature_source": marked})
        self.wait(lambda: any("Marker" in message.title and marked in message.title for message in self.all()))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def received(mailbox) -> Received:
    return Received(mailbox)


@pytest.fixture
def spec(mailbox, tmp_path) -> Iterator[Spec]:
    with Inbox("127.0.0.1:0", mailbox) as inbox:
        yield addressed(compress_time(routed(), FACTOR), inbox, tmp_path)


def slow_to_group(spec: Spec) -> Spec:
    """What is sent together is grouped and inhibited together, even where the machine takes seconds to take it in."""
    return msgspec.structs.replace(spec, routing=msgspec.structs.replace(spec.routing, group_wait="5s"))


def test_warnings_go_to_slack_only_and_critical_alerts_to_pagerduty_only(alertmanager, spec, tmp_path, received):
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning", "amount"), drift("critical", "country"))
        received.wait(lambda: len(received.all()) >= 2)
        received.nothing_more(url, "marker")
        (warning, _), (page,) = received.of(Service.SLACK), received.of(Service.PAGERDUTY)
    assert warning.title == "[WARNING] shop MLFeatureDrift of batch: amount"
    assert "PSI of amount is 0.3, above the threshold 0.25. Since " in warning.text
    assert [link.text for link in warning.links] == ["Runbook", "Dashboard", "Silence"]
    assert warning.links[1].url == "http://localhost:3000/d/shop?var-feature_name=0"
    assert (page.title, page.status) == ("[CRITICAL] shop MLFeatureDrift of batch: country", "trigger")
    assert page.body["payload"]["severity"] == "critical"
    assert [link.text for link in page.links] == ["Runbook", "Dashboard"]


def test_thirty_features_that_drift_together_are_one_notification_that_lists_them(
    alertmanager, spec, tmp_path, received
):
    features = [f"feature_{number:02}" for number in range(30)]
    with alerting(alertmanager, slow_to_group(spec), tmp_path) as url:
        send(url, *(drift("warning", feature) for feature in features))
        received.wait(lambda: bool(received.unmarked()))
        received.nothing_more(url, "marker")
        (message,) = received.unmarked()
    assert message.title == "[WARNING] shop MLFeatureDrift, 30 alerts of batch"
    assert all(feature in message.text for feature in features)
    assert message.text.count("•") == 5
    assert message.links[1].url == "http://localhost:3000/d/shop"


def test_a_drifting_source_is_one_page_and_its_features_are_none(alertmanager, spec, tmp_path, received):
    many = {**drift("critical"), "alertname": "MLManyFeaturesDrifting"}
    del many["feature_name"]
    with alerting(alertmanager, slow_to_group(spec), tmp_path) as url:
        send(url, many, *(drift("critical", f"feature_{number}") for number in range(6)))
        received.wait(lambda: bool(received.of(Service.PAGERDUTY)))
        received.nothing_more(url, "marker")
        assert [page.title for page in received.of(Service.PAGERDUTY)] == [
            "[CRITICAL] shop MLManyFeaturesDrifting of batch"
        ]


def test_when_a_critical_alert_is_over_its_warning_does_not_come_back(alertmanager, spec, tmp_path, received):
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning"))
        received.wait(lambda: len(received.of(Service.SLACK)) == 1)
        send(url, drift("critical"))
        received.wait(lambda: len(received.of(Service.PAGERDUTY)) == 1)
        send(url, drift("critical"), ends=OVER)
        received.wait(lambda: len(received.of(Service.PAGERDUTY)) == 2)
        received.nothing_more(url, "marker")
        assert [message.title for message in received.of(Service.SLACK) if "Marker" not in message.title] == [
            "[WARNING] shop MLFeatureDrift of batch: amount"
        ]
        assert received.of(Service.PAGERDUTY)[1].status == "resolve"


def test_a_warning_that_its_critical_alert_silenced_ends_with_it_in_silence(alertmanager, spec, tmp_path, received):
    with alerting(alertmanager, slow_to_group(spec), tmp_path) as url:
        send(url, drift("warning"), drift("critical"))
        received.wait(lambda: len(received.of(Service.PAGERDUTY)) == 1)
        send(url, drift("warning"), drift("critical"), ends=OVER)
        received.wait(lambda: len(received.of(Service.PAGERDUTY)) == 2)
        received.nothing_more(url, "marker")
        assert ["Marker" in message.title for message in received.of(Service.SLACK)] == [True]


def test_a_restart_of_alertmanager_neither_repeats_nor_loses(alertmanager, spec, tmp_path, received):
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning", "amount", "24h"))
        received.wait(lambda: len(received.of(Service.SLACK)) == 1)
        received.nothing_more(url, "before")
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning", "amount", "24h"), drift("critical", "country"))
        received.wait(lambda: len(received.of(Service.PAGERDUTY)) == 1)
        received.nothing_more(url, "marker")
        assert [message.title for message in received.of(Service.SLACK) if "Marker" not in message.title] == [
            "[WARNING] shop MLFeatureDrift of batch: amount"
        ]


def test_a_hostile_name_calls_nobody_and_links_nowhere(alertmanager, spec, tmp_path, received):
    name = 'x <!channel> <http://evil|click> {{ .Value }} "q"\n& more'
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning", name), drift("critical", name + "2"))
        received.wait(lambda: len(received.all()) == 2)
    (message,), (page,) = received.of(Service.SLACK), received.of(Service.PAGERDUTY)
    shown = 'x &lt;!channel&gt; &lt;http://evil|click&gt; {{ .Value }} "q" &amp; more'
    assert message.title == f"[WARNING] shop MLFeatureDrift of batch: {shown}"
    assert f"PSI of {shown} is" in message.text
    assert '<http://evil|click> {{ .Value }} "q" & more2' in page.title


def test_no_secret_is_kept_by_the_inbox(alertmanager, spec, tmp_path, received, mailbox):
    with alerting(alertmanager, spec, tmp_path) as url:
        send(url, drift("warning", "amount"), drift("critical", "country"))
        received.wait(lambda: len(received.all()) == 2)
    kept = msgspec.json.encode(mailbox.messages()).decode()
    assert SLACK_SECRET not in kept
    assert PAGERDUTY_SECRET not in kept


# ---------------------------------------------------------------- flapping, through Prometheus


class FlappingPage:
    """A page of metrics on which one alert's condition holds at every other scrape."""

    def __init__(self, alert: Alert) -> None:
        self.scrapes = 0
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                holds = page.scrapes % 2 == 0
                page.scrapes += 1
                value = alert.threshold * (2 if holds else 0.1)
                lines = [
                    f"{each.metric}{{{','.join(f'{k}={json.dumps(v)}' for k, v in each.labels.items())}}} {each.value}\n"
                    for each in alert.scenario(value).inputs
                ]
                body = "".join(lines).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_flapping_condition_notifies_once_a_cooldown_and_never_resolves(
    alertmanager, stable_prometheus, spec, tmp_path, received
):
    """The condition flaps at every scrape; its alert may notify again after 5 s and resolves after 60 s."""
    timing = spec.alerts.feature_psi
    quick = msgspec.structs.replace(
        timing, for_="0s", keep_firing_for="60s", cooldown=msgspec.structs.replace(timing.cooldown, critical="5s")
    )
    # The page also has the values that the text names. An alert on those would join the incident, and be told of at once.
    off = msgspec.structs.replace(spec.alerts.out_of_range_ratio, enabled=False)
    alerts = msgspec.structs.replace(spec.alerts, feature_psi=quick, out_of_range_ratio=off)
    # Where scrapes fail for a moment, as on a busy machine, the application counts as down, and its features fall silent.
    batches = msgspec.structs.replace(spec.serving, enabled=False)
    spec = msgspec.structs.replace(spec, alerts=alerts, serving=batches)
    (alert,) = [
        alert
        for signal in signals(spec)
        for alert in signal.alerts
        if alert.name == "MLFeatureDrift" and alert.severity is Severity.CRITICAL
    ]
    page = FlappingPage(alert)
    rules, config = tmp_path / "rules.yml", tmp_path / "prometheus.yml"
    rules.write_text(rules_file(spec, signals(spec), "A marker"))
    with ExitStack() as stack:
        stack.callback(page.close)
        address = stack.enter_context(alerting(alertmanager, spec, tmp_path)).removeprefix("http://")
        config.write_text(
            prometheus_config(
                spec,
                "A marker",
                rule_files=[str(rules)],
                serving_targets=[page.address],
                exporter_targets=[page.address],
                alertmanagers=[address],
            )
        )
        options = (f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data", "--rules.alert.resend-delay=10s")
        stack.enter_context(running(stable_prometheus, *options, ready="/-/ready"))

        def pages() -> list[Message]:
            return [message for message in received.of(Service.PAGERDUTY) if "MLFeatureDrift" in message.title]

        received.wait(lambda: len(pages()) >= 3 and page.scrapes > 10)
        received.wait(lambda: bool(received.of(Service.WEBHOOK)))  # the watchdog's heartbeat
    times = [message.received_at for message in pages()]
    assert {message.status for message in pages()} == {"trigger"}
    assert {message.key for message in pages()} == {pages()[0].key}
    assert min(later - earlier for earlier, later in pairwise(times)) >= timedelta(seconds=seconds("5s") - 0.5)
