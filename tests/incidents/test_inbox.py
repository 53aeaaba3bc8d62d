"""The inbox: answers as Slack, PagerDuty and a webhook do, keeps what arrives, and shows it without running it."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from real_servers import fetch

from examples.servers import free_port
from mlvitals.incidents.inbox.mailbox import KEPT, KEPT_BYTES, Mailbox, MailboxError
from mlvitals.incidents.inbox.messages import Link, Message, Service, webhook_message
from mlvitals.incidents.inbox.page import inbox_page
from mlvitals.incidents.inbox.server import LARGEST_BODY, Inbox

NOW = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
SLACK = {"channel": "#alerts", "attachments": [{"title": "[WARNING] drift", "text": "A &lt;b&gt; moved."}]}
EVENT = {
    "routing_key": "the-secret-key",
    "event_action": "trigger",
    "payload": {"summary": "[CRITICAL] drift", "source": "am", "severity": "critical", "group": "streamrec"},
    "links": [{"href": "https://runbook", "text": "Runbook"}],
}
HEARTBEAT = {"receiver": "dead", "status": "firing", "commonLabels": {"alertname": "MLWatchdog"}}


@pytest.fixture
def inbox():
    with Inbox("127.0.0.1:0", Mailbox()) as server:
        yield server


def post(url: str, sent: object, content_type: str = "application/json") -> tuple[int, str]:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def messages(inbox: Inbox) -> list[dict]:
    document = json.loads(fetch(f"{inbox.url}/messages"))
    assert document["schema"] == "mlvitals.inbox/1"
    return document["messages"]


def message(number: int = 1, **values) -> Message:
    return Message(**({"id": number, "received_at": NOW, "service": Service.SLACK} | values))


# ---------------------------------------------------------------- what the services answer


def test_it_may_listen_on_an_ipv6_address():
    with Inbox("[::1]:0", Mailbox()) as server:
        assert messages(server) == []


def test_slack_answers_ok(inbox):
    assert post(f"{inbox.url}/slack/T0/B0/secret", SLACK) == (200, "ok")
    (kept,) = messages(inbox)
    assert (kept["service"], kept["to"], kept["title"]) == ("slack", "#alerts", "[WARNING] drift")
    assert "secret" not in json.dumps(kept)


def test_slack_also_takes_a_form(inbox):
    form = b"payload=%7B%22text%22%3A%22hello%22%7D"
    assert post(f"{inbox.url}/slack", form, "application/x-www-form-urlencoded") == (200, "ok")
    assert messages(inbox)[0]["text"] == "hello"


@pytest.mark.parametrize(
    ("body", "answer"), [(b"{", "invalid_payload"), (b"[1]", "invalid_payload"), (b"{}", "no_text")]
)
def test_slack_refuses_what_slack_refuses(inbox, body, answer):
    assert post(f"{inbox.url}/slack", body) == (400, answer)
    assert messages(inbox) == []


def test_pagerduty_accepts_with_a_key_of_its_own(inbox):
    status, answer = post(f"{inbox.url}/v2/enqueue", EVENT)
    assert status == 202
    (kept,) = messages(inbox)
    assert json.loads(answer)["dedup_key"] == kept["key"] != ""
    assert (kept["status"], kept["title"], kept["to"]) == ("trigger", "[CRITICAL] drift", "streamrec")


def test_pagerduty_keeps_the_key_that_is_given(inbox):
    _, answer = post(f"{inbox.url}/v2/enqueue", EVENT | {"dedup_key": "k"})
    assert json.loads(answer)["dedup_key"] == "k"


def test_the_routing_key_is_never_kept(inbox):
    post(f"{inbox.url}/v2/enqueue", EVENT)
    assert "the-secret-key" not in json.dumps(messages(inbox))


def test_pagerduty_names_everything_that_is_wrong(inbox):
    status, answer = post(f"{inbox.url}/v2/enqueue", {"event_action": "trigger", "payload": {"severity": "page"}})
    assert status == 400
    assert json.loads(answer)["errors"] == [
        "'routing_key' is missing or blank",
        "'payload.summary' is missing or blank",
        "'payload.source' is missing or blank",
        "'payload.severity' is not one of critical, error, warning, info",
    ]


def test_resolving_needs_the_key_of_what_is_resolved(inbox):
    assert post(f"{inbox.url}/v2/enqueue", {"routing_key": "r", "event_action": "resolve"})[0] == 400
    assert post(f"{inbox.url}/v2/enqueue", {"routing_key": "r", "event_action": "resolve", "dedup_key": "k"})[0] == 202


def test_a_webhook_is_kept_as_it_came(inbox):
    assert post(f"{inbox.url}/alertmanager", HEARTBEAT) == (200, "ok\n")
    assert messages(inbox)[0]["body"] == HEARTBEAT


@pytest.mark.parametrize("path", ["/", "/slacker", "/v2", "/messages"])
def test_nothing_else_takes_messages(inbox, path):
    assert post(inbox.url + path, SLACK)[0] == 404


def test_a_body_too_large_is_refused(inbox):
    request = urllib.request.Request(f"{inbox.url}/slack", b"{}", {"Content-Length": str(LARGEST_BODY + 1)})
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=60)
    assert refusal.value.code == 413


@pytest.mark.parametrize("path", ["/slack", "/v2/enqueue", "/alertmanager"])
@pytest.mark.parametrize("text", [r"\ud800", r"\udfff and more", r"a\ud83d\ud83d"])
def test_half_a_character_is_refused_with_an_answer(inbox, path, text):
    body = json.dumps({**EVENT, **SLACK}).replace('"the-secret-key"', f'"the-secret-key{text}"').encode()
    assert post(inbox.url + path, body)[0] == 400
    assert post(inbox.url + path, json.dumps({text: 1}).replace(r"\\", "\\").encode())[0] == 400
    assert messages(inbox) == []


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "", "0x10", "2, 3", "\u0662"])
def test_a_length_that_is_none_is_refused_with_an_answer(inbox, length):
    address = inbox.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
        connection.sendall(f"POST /slack HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{{}}".encode())
        assert connection.recv(12) == b"HTTP/1.1 400"


def test_without_a_length_no_body_is_read(inbox):
    address = inbox.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
        connection.sendall(b"POST /slack HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 411"


def test_a_client_that_waits_to_be_told_so_may_send_its_body(inbox):
    address = inbox.url.removeprefix("http://").split(":")
    body = json.dumps(SLACK).encode()
    with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
        head = f"POST /slack HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_clients_that_drip_do_not_shut_out_a_page(inbox):
    address = inbox.url.removeprefix("http://").split(":")
    dripping = [socket.create_connection((address[0], int(address[1])), timeout=60) for _ in range(100)]
    try:
        for connection in dripping:
            with suppress(ConnectionError):
                connection.sendall(b"POST /slack HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
        assert post(f"{inbox.url}/slack", SLACK) == (200, "ok")
        assert fetch(f"{inbox.url}/healthz") == b"ok\n"
    finally:
        for connection in dripping:
            connection.close()


def test_it_says_that_it_is_well(inbox):
    assert fetch(f"{inbox.url}/healthz") == b"ok\n"


# ---------------------------------------------------------------- keeping


def test_messages_survive_a_restart_and_numbers_go_on(tmp_path):
    file = tmp_path / "messages.jsonl"
    Mailbox(file).add(message)
    again = Mailbox(file)
    assert again.messages() == (message(1),)
    assert again.add(message).id == 2


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path):
    file = tmp_path / "messages.jsonl"
    Mailbox(file).add(message)
    with file.open("ab") as open_file:
        open_file.write(b'{"id":2,"rec')
    assert [kept.id for kept in Mailbox(file).messages()] == [1]
    assert file.read_bytes().endswith(b"}\n")


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n")
    with pytest.raises(MailboxError, match="does not contain messages"):
        Mailbox(file)
    assert file.read_text() == "my notes\n"


def test_heartbeats_do_not_push_out_pages():
    mailbox = Mailbox()
    mailbox.add(lambda number: message(number, service=Service.PAGERDUTY))
    for _ in range(KEPT + 1):
        mailbox.add(lambda number: message(number, service=Service.WEBHOOK))
    assert mailbox.messages()[0].service is Service.PAGERDUTY
    assert len(mailbox.messages()) == KEPT + 1


def test_of_large_messages_the_newest_are_kept():
    mailbox = Mailbox()
    large = msgspec.Raw(json.dumps({"text": "x" * 1_000_000}).encode())
    for _ in range(40):
        mailbox.add(lambda number: message(number, sent=large))
    mailbox.add(lambda number: message(number, service=Service.PAGERDUTY))
    assert [kept.id for kept in mailbox.messages()] == [37, 38, 39, 40, 41]
    assert KEPT_BYTES >> 20 == 4


@pytest.mark.slow
def test_forty_large_messages_take_little_memory():
    program = """
import resource
from datetime import UTC, datetime
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import webhook_message
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
mailbox, body = Mailbox(), b'{"a":[' + b",".join([b"{}"] * 273_000) + b"]}"
assert 810_000 < len(body) < 830_000
webhook_message(body, 0, datetime.now(UTC))
before = peak()
for _ in range(40):
    mailbox.add(lambda number: webhook_message(body, number, datetime.now(UTC)))
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) < 30


def test_a_message_that_cannot_be_written_is_not_acknowledged(tmp_path):
    file = tmp_path / "gone" / "messages.jsonl"
    file.parent.mkdir()
    with Inbox("127.0.0.1:0", Mailbox(file)) as server:
        file.unlink()
        file.parent.rmdir()
        assert post(f"{server.url}/slack", SLACK)[0] == 503
        assert messages(server) == []


# ---------------------------------------------------------------- the page


def test_the_newest_message_is_on_top():
    page = inbox_page([message(1, title="older"), message(2, title="newer")], NOW)
    assert page.index("newer") < page.index("older")


def test_nothing_that_is_sent_becomes_markup():
    hostile = "<script>alert(1)</script>"
    page = inbox_page(
        [message(title=hostile, text=hostile, to=hostile, status=hostile, links=(Link(hostile, 'http://x/"><b>'),))],
        NOW,
    )
    assert "<script" not in page
    assert "<b>" not in page


def test_a_link_that_would_run_is_left_out(inbox):
    post(f"{inbox.url}/v2/enqueue", EVENT | {"links": [{"href": "javascript:alert(1)", "text": "x"}]})
    assert messages(inbox)[0]["links"] == []


def test_slack_escapes_are_undone_once():
    assert "&lt;b&gt; &amp;lt;" in inbox_page([message(text="&lt;b&gt; &amp;lt;")], NOW)


def test_heartbeats_are_one_line():
    beats = [message(number, service=Service.WEBHOOK, title="MLWatchdog") for number in range(1, 4)]
    page = inbox_page(beats, NOW + timedelta(seconds=12))
    assert "Last heartbeat of the watchdog: 12 s ago" in page
    assert "<article" not in page


def alert(name: str, description: str) -> dict:
    return {
        "labels": {"alertname": name},
        "annotations": {"description": description, "runbook_url": f"http://wiki/{name}"},
    }


def test_alerts_of_a_webhook_are_shown_with_what_each_says_and_stay_apart_from_heartbeats(inbox):
    group = {"receiver": "inbox", "status": "firing", "commonLabels": {"system": "shop"}, "commonAnnotations": {}}
    post(f"{inbox.url}/alertmanager", group | {"alerts": [alert("A", "amount drifted"), alert("B", "<b> too")]})
    post(f"{inbox.url}/alertmanager", HEARTBEAT)
    page = urllib.request.urlopen(f"{inbox.url}/", timeout=60).read().decode()
    assert page.count("<article") == 1
    assert "<h2>A, B</h2>" in page
    assert "amount drifted\n&lt;b&gt; too" in page
    assert "http://wiki/A" in page
    assert "Last heartbeat of the watchdog" in page


def test_a_large_group_names_ten_alerts_and_how_many_more():
    sent = {"alerts": [alert(f"A{number}", f"says {number}") for number in range(40)]}
    found = webhook_message(json.dumps(sent).encode(), 1, NOW)
    assert found.title.endswith("A9, and 30 more")
    assert found.text.endswith("says 9\nand 30 more")


# ---------------------------------------------------------------- the command


@contextmanager
def command(*options: str):
    process = subprocess.Popen([sys.executable, "-m", "mlvitals", "inbox", *options], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.slow
def test_the_command_listens_says_where_and_ends_quietly():
    listen = f"127.0.0.1:{free_port()}"
    with command("--listen", listen) as process:
        assert process.stderr.readline().startswith(f"http://{listen}: Slack at /slack")
        assert fetch(f"http://{listen}/healthz") == b"ok\n"
    assert process.returncode == 0
    assert process.stderr.read() == ""


@pytest.mark.slow
def test_an_address_that_is_taken_is_a_message(inbox):
    with command("--listen", inbox.url.removeprefix("http://")) as process:
        assert process.wait(timeout=60) == 1
        assert "error: cannot listen on" in process.stderr.read()
