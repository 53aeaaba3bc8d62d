"""Production and staging of one system in one Prometheus and one Alertmanager: neither hears, hides or mutes the other."""

import json
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_servers import fetch, running
from test_delivery import Received

from mlvitals.generator.compiler import compile_specs
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Service
from mlvitals.incidents.inbox.server import WEBHOOK, Inbox

ENVIRONMENTS = ("production", "staging")
SLUGS = (*ENVIRONMENTS, "canary-1-aa73c089")


def environment(env: str, exporter: str = "localhost:9108", inbox: str = "http://inbox", secret: str = "s") -> Spec:
    """A small system whose messages go to channels of its environment; the receivers of all have the same names."""
    return parse_spec(
        f"""\
version: 1
system: {{name: shop, title: Shop}}
identity: {{labels: {{env: {env}}}}}
prediction_log: {{path: log}}
features: {{amount: {{}}}}
serving: {{enabled: false}}
exporter: {{targets: ["{exporter}"]}}
alerts: {{monitoring: {{enabled: false}}}}
routing:
  receivers:
    chat: {{slack: {{channel: "#chat-{env}", webhook_file: {secret}}}}}
    pager: {{slack: {{channel: "#page-{env}", webhook_file: {secret}}}}}
    dead: {{webhook: {{url: "{inbox}{WEBHOOK}"}}}}
  warning: chat
  critical: pager
  watchdog: dead
  quiet_hours: [{{days: [sat], start: "0{len(env) % 7}:00", end: "07:00"}}]
"""
    )


def together(*specs: Spec) -> dict[str, str]:
    return compile_specs((spec, f"{spec.environment}.yaml") for spec in specs)


# ---------------------------------------------------------------- what is written


@pytest.fixture(scope="module")
def joint() -> dict[str, str]:
    return together(*map(environment, ("production", "staging", "canary/1")))


def config(files: dict[str, str], name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(files[f"stack/shop/{name}"])
    return document


def test_alertmanager_has_a_route_for_each_environment(joint):
    routes = config(joint, "alertmanager.yml")["route"]["routes"]
    assert [route["matchers"] for route in routes] == [
        ['system="shop"', f'env="{env}"'] for env in ("production", "staging", "canary/1")
    ]


def test_receivers_and_times_of_each_environment_have_names_of_their_own(joint):
    document = config(joint, "alertmanager.yml")
    names = [receiver["name"] for receiver in document["receivers"]]
    assert len(names) == len(set(names))
    assert {"nobody", *(f"shop-{env}/{name}" for env in SLUGS for name in ("chat", "pager", "dead"))} <= set(names)
    assert "chat" not in names
    times = {each["name"] for each in document["time_intervals"]}
    assert times == {f"shop-{env}/quiet hours" for env in SLUGS}


def test_a_job_of_one_name_has_the_targets_of_every_environment(joint):
    scraped = {job["job_name"]: job["static_configs"] for job in config(joint, "prometheus.yml")["scrape_configs"]}
    assert [each.get("labels") for each in scraped["shop-exporter"]] == [
        {"env": env} for env in ("production", "staging", "canary/1")
    ]


@pytest.mark.parametrize("release", ["stable", "sid"])
def test_both_servers_take_it(release, joint, servers, tmp_path):
    for path, text in joint.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for tool, command, file in (
        ("promtool", ("check", "config"), "prometheus.yml"),
        ("amtool", ("check-config",), "alertmanager.yml"),
    ):
        program = servers(tool, release)
        done = subprocess.run(
            [program, *command, tmp_path / "stack/shop" / file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_environment_alone_pages_for_no_other_one(env, servers, tmp_path):
    """The file of one environment, in an Alertmanager that gets the alerts of all."""
    files = together(environment(env))
    path = tmp_path / "alertmanager.yml"
    path.write_text(files[f"stack/shop-{env}/alertmanager.yml"].replace("templates/notifications.tmpl", "none.tmpl"))
    ends = {}
    for other in ENVIRONMENTS:
        labels = ("system=shop", f"env={other}", "severity=critical", "alertname=X")
        done = subprocess.run(
            [servers("amtool"), "config", "routes", "test", f"--config.file={path}", *labels],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        ends[other] = done.stdout.strip()
    assert ends == {other: "pager" if other == env else "chat" for other in ENVIRONMENTS}


# ---------------------------------------------------------------- played


class Exporter:
    """A page of one feature's drift, of a value that can be changed."""

    def __init__(self) -> None:
        self.psi = 0.0
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = (
                    f'shop_drift_psi{{feature_name="amount"}} {page.psi}\n'
                    'shop_drift_psi_critical_value{feature_name="amount"} 0.01\n'
                    'shop_feature_info{feature_name="amount",feature_type="float"} 1\n'
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
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


class Played:
    """Both environments, the servers that they share, and what was heard of them."""

    def __init__(self, exporters: dict[str, Exporter], alertmanager: str, received: Received, files: dict[str, str]):
        self.exporters, self.alertmanager, self.received, self.files = exporters, alertmanager, received, files

    def heard(self, channel: str) -> list[str]:
        return [message.title for message in self.received.of(Service.SLACK) if message.to == channel]

    def alerts(self, env: str, severity: str) -> list[dict[str, Any]]:
        everything = json.loads(fetch(f"{self.alertmanager}/api/v2/alerts"))
        return [
            each
            for each in everything
            if (each["labels"].get("env"), each["labels"].get("severity")) == (env, severity)
        ]

    def silence(self, amtool: str, env: str) -> None:
        """Run the command of the environment's own runbook."""
        page = self.files[f"runbooks/shop-{env}/feature-drift/MLFeatureDrift.md"]
        (command,) = [line for line in page.splitlines() if line.startswith("amtool silence add") and "FEATURE" in line]
        filled = command.replace("SEVERITY", "critical").replace("FEATURE_NAME", "amount")
        words = [
            f"--alertmanager.url={self.alertmanager}" if "--alertmanager" in word else word
            for word in shlex.split(filled)
        ]
        subprocess.run([amtool, *words[1:]], check=True, capture_output=True)


@contextmanager
def play(prometheus: str, alertmanager: str, folder: Path) -> Iterator[Played]:
    exporters = {env: Exporter() for env in ENVIRONMENTS}
    mailbox = Mailbox()
    with ExitStack() as stack:
        for exporter in exporters.values():
            stack.callback(exporter.close)
        inbox = stack.enter_context(Inbox("127.0.0.1:0", mailbox))
        (folder / "slack").write_text(f"{inbox.url}/slack/T0/B0/secret")
        specs = [
            compress_time(environment(env, exporter.address, inbox.url, str(folder / "slack")), 300)
            for env, exporter in exporters.items()
        ]
        files = together(*specs)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        joint = folder / "stack/shop"
        options = (
            f"--config.file={joint}/alertmanager.yml",
            f"--storage.path={folder}/am",
            "--cluster.listen-address=",
        )
        address = stack.enter_context(running(alertmanager, *options, ready="/-/ready"))
        moved = (joint / "prometheus.yml").read_text().replace("localhost:9093", address.removeprefix("http://"))
        (joint / "prometheus.yml").write_text(moved)
        options = (f"--config.file={joint}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb")
        stack.enter_context(running(prometheus, *options, "--rules.alert.resend-delay=5s", ready="/-/ready"))
        yield Played(exporters, address, Received(mailbox), files)


@pytest.mark.slow
def test_each_environment_is_heard_by_its_own_people_alone(prometheus, alertmanager, servers, tmp_path):
    with play(prometheus, alertmanager, tmp_path) as both:
        wait, heard = both.received.wait, both.heard
        both.exporters["production"].psi = 0.9
        wait(lambda: len(heard("#page-production")) == 1)
        assert heard("#page-production") == ["[CRITICAL] shop (production) MLFeatureDrift: amount"]

        # A milder drift of the same feature in staging: production's page does not inhibit it.
        both.exporters["staging"].psi = 0.15
        wait(lambda: len(heard("#chat-staging")) == 1)
        assert heard("#chat-staging") == ["[WARNING] shop (staging) MLFeatureDrift: amount"]
        (warning,) = both.alerts("staging", "warning")
        assert warning["status"]["inhibitedBy"] == []

        # Production is silenced, as its runbook says: staging's page comes all the same, to staging's people.
        both.silence(servers("amtool"), "production")
        both.exporters["staging"].psi = 0.9
        wait(lambda: len(heard("#page-staging")) == 1)
        assert heard("#page-staging") == ["[CRITICAL] shop (staging) MLFeatureDrift: amount"]
        (silenced,), (paging,) = both.alerts("production", "critical"), both.alerts("staging", "critical")
        assert len(silenced["status"]["silencedBy"]) == 1
        assert paging["status"]["silencedBy"] == []
        assert heard("#chat-production") == []
        assert len(heard("#page-production")) == 1
