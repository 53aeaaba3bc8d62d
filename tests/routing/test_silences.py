"""Silences: every command of a runbook and Slack's button, against every alert there is, in a real Alertmanager."""

import json
import re
import shlex
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from routes import KnownAlerts
from routing_samples import routed
from test_delivery import addressed, alerting, drift, send

from mlvitals.generator.runbooks import runbook_pages
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.labels import alert_labels
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Service
from mlvitals.incidents.inbox.server import Inbox

Labels = dict[str, str]
_COMMAND = re.compile(r"^amtool silence add --alertmanager.url=\S+ .*$", re.MULTILINE)


IDENTITY = {
    "system", "alertname", "severity", "feature_name", "kpi", "slo", "segment", "segment_value", "status", "reason", "gpu",
    "measure", "compared_with", "feature_source",
}  # fmt: skip
"""The labels by which two alerts of one environment differ."""


def every_alert(spec: Spec) -> list[Labels]:
    """Each alert of a system about two subjects: that of its test, and another one."""
    found = []
    for signal in signals(spec):
        for alert in signal.alerts:
            subject = dict(alert.scenario(alert.threshold).labels)
            labels = {"alertname": alert.name, **alert_labels(spec, signal, alert), **subject}
            other = {name: f"another {value}" for name, value in subject.items()}
            found += [labels, labels | other] if subject else [labels]
    return [dict(each) for each in {tuple(sorted(labels.items())): labels for labels in found}.values()]


def commands(spec: Spec) -> dict[str, list[str]]:
    """The silence commands of all runbooks, by the alert on whose pages they stand."""
    found: dict[str, list[str]] = {}
    for path, text in runbook_pages(spec, signals(spec), "A marker").items():
        if written := _COMMAND.findall(text):
            known = found.setdefault(path.rpartition("/")[2].removesuffix(".md"), [])
            known += [line for line in written if line not in known]  # objectives are of several types of incident
    return found


def words_in_capitals(command: str) -> set[str]:
    """The labels of which a command needs to be given the values."""
    return {found.lower() for found in re.findall(r" \w+=([A-Z_]+)(?= |$)", command)}


def filled_in(command: str, labels: Mapping[str, str]) -> list[str]:
    """The matchers of a command as somebody types them, with an alert's own labels for the words in capitals."""
    matchers = [word for word in shlex.split(command)[3:] if not word.startswith("--")]
    return [
        f"{name}={json.dumps(labels[name])}" if value == name.upper() else f"{name}={value}"
        for name, _, value in (matcher.partition("=") for matcher in matchers)
    ]


def asked(url: str, path: str, **options: Any) -> Any:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v2/{path}", **options), timeout=60) as answer:
        body = answer.read()
    return json.loads(body) if body else None


@contextmanager
def silenced(url: str, amtool: str, *matchers: str) -> Iterator[list[Labels]]:
    """The alerts that are silent while a silence lasts."""
    added = subprocess.run(
        [amtool, "silence", "add", f"--alertmanager.url={url}", "--comment=test", "--duration=2h", *matchers],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    name = added.stdout.strip()
    yield [each["labels"] for each in asked(url, "alerts") if name in each["status"]["silencedBy"]]
    asked(url, f"silence/{name}", method="DELETE")


@pytest.fixture
def running_alertmanager(alertmanager, streamrec, tmp_path) -> Iterator[str]:
    with alerting(alertmanager, streamrec, tmp_path) as url:
        send(url, *every_alert(streamrec))
        yield url


def test_every_alert_but_the_watchdog_has_a_command_that_silences_it(streamrec):
    names = {alert.name for signal in signals(streamrec) for alert in signal.alerts}
    assert commands(streamrec).keys() == names - {"MLWatchdog"}


@pytest.mark.slow
def test_a_runbooks_command_silences_one_subject_of_one_alert_and_nothing_else(
    running_alertmanager, streamrec, servers
):
    written, everything = commands(streamrec), every_alert(streamrec)
    for name, lines in written.items():
        telling = sorted(set().union(*map(words_in_capitals, lines)))
        of_name = [labels for labels in everything if labels["alertname"] == name]
        by_subject: dict[tuple[str, ...], list[Labels]] = {}
        for labels in of_name:
            by_subject.setdefault(tuple(labels.get(label, "") for label in telling), []).append(labels)
        for values, same in by_subject.items():
            needed = {label for label, value in zip(telling, values, strict=True) if value}
            (command,) = (line for line in lines if words_in_capitals(line) == needed)
            with silenced(running_alertmanager, servers("amtool"), *filled_in(command, same[0])) as silent:
                assert as_set(silent) == as_set(same), command


def test_every_change_of_a_silence_silences_something_else(streamrec):
    """Against every alert in every severity, and others that differ in one label: no matcher is one too many."""
    known = every_alert(streamrec)
    own = [{**each, "severity": severity} for each in known for severity in ("info", "warning", "critical")]
    near = [{**each, label: f"near {each[label]}"} for each in own for label in IDENTITY & each.keys()]
    universe = KnownAlerts([*own, *near])
    survivors, tried = set(), 0
    for name, lines in commands(streamrec).items():
        for labels in (each for each in every_alert(streamrec) if each["alertname"] == name):
            needed = {label for line in lines for label in words_in_capitals(line) if label in labels}
            (command,) = (line for line in lines if words_in_capitals(line) == needed)
            matchers = [quoted(each) for each in filled_in(command, labels)]
            silent = universe.matching(matchers)
            telling = (IDENTITY & {*labels, "compared_with"}) - (
                {"feature_source"} if "feature_name" in labels else set()
            )
            subject = universe.matching(f"{label}={json.dumps(labels.get(label, ''))}" for label in telling)
            assert silent == subject, command
            for mutant in changed_silences(matchers):
                tried += 1
                survivors |= {(name, mutant)} if universe.matching(mutant) == silent else set()
    assert tried > 1000
    assert survivors == set()


def quoted(matcher: str) -> str:
    name, _, value = matcher.partition("=")
    return matcher if value.startswith('"') else f"{name}={json.dumps(value)}"


def changed_silences(matchers: list[str]) -> Iterator[tuple[str, ...]]:
    for place, matcher in enumerate(matchers):
        rest = [*matchers[:place], *matchers[place + 1 :]]
        yield tuple(rest)
        yield (*rest, matcher.replace('="', '!="', 1))
        yield (*rest, matcher.replace('="', '="x', 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        [drift("warning", "amount")],
        [drift("warning", "amount"), drift("warning", 'co"unt|ry.*')],
        [drift("warning", "amount"), {**drift("warning", "amount"), "alertname": "MLFeatureVariance"}],
        [{**drift("warning", "amount"), "feature_source": ""}],
    ],
    ids=["one feature", "two features", "two alerts on a feature", "no source"],
)
def test_slacks_button_silences_what_the_message_is_about_and_nothing_else(
    message, alertmanager, servers, tmp_path, streamrec
):
    mailbox = Mailbox()
    with Inbox("127.0.0.1:0", mailbox) as inbox:
        spec = addressed(compress_time(routed(), 300), inbox, tmp_path)
        with alerting(alertmanager, spec, tmp_path) as url:
            send(url, *message)
            (heard,) = wait_for_slack(mailbox)
            others = [{**each, "system": "shop"} for each in every_alert(streamrec)]
            near = [drift("critical", "amount"), drift("warning", "am.unt"), drift("warning", "amoun")]
            send(url, *others, *near)
            (link,) = (each.url for each in heard.links if each.text == "Silence")
            matchers = urllib.parse.unquote_plus(link.partition("filter=")[2]).strip("{}")
            with silenced(url, servers("amtool"), *split(matchers)) as silent:
                expected = [{name: value for name, value in each.items() if value} for each in message]
                assert as_set(silent) == as_set(expected)


def as_set(alerts: Iterable[Mapping[str, str]]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(labels.items()) for labels in alerts}


def split(matchers: str) -> list[str]:
    return re.findall(r'\w+=~?"(?:[^"\\]|\\.)*"', matchers)


def wait_for_slack(mailbox: Mailbox) -> list[Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [each for each in mailbox.messages() if each.service is Service.SLACK]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("no message came")
