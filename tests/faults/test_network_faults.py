"""Networks and stores that drip, hang or answer garbage: given up in time, and said in one sentence."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import msgspec
import pytest
from lab import Lab
from sockets import Script, answer, dripping, dripping_body, saying, server, silent

from mlvitals.exporters.publish import handover
from mlvitals.exporters.publish.handover import PublishError, push
from mlvitals.exporters.sections import freshness
from mlvitals.exporters.sections.freshness import newest
from mlvitals.generator.spec.model import Source

Happens = Callable[[str], None]
SOURCES: list[tuple[str, Script]] = [
    ("a source's endpoint that accepts and says nothing", silent),
    ("a source's endpoint whose header drips", dripping),
    ("a source's endpoint whose body drips", dripping_body),
    ("a source's endpoint that hangs up", saying()),
    ("a source's endpoint that does not speak HTTP", saying(b"SSH-2.0-OpenSSH_9.2\r\n")),
    ("a source's endpoint that answers with a web page", saying(answer(b"<html>Sign in</html>"))),
    ("a source's endpoint that answers with bytes that are no text", saying(answer(bytes(range(256))))),
    ("a source's endpoint that answers 503", saying(answer(b"", "503 Service Unavailable"))),
    ("a source's endpoint that redirects to itself", saying(answer(b"", "302 Found", "Location: /"))),
    ("a source's endpoint that redirects to a file", saying(answer(b"", "302 Found", "Location: file:///etc/passwd"))),
    ("a source's endpoint whose time is no time", saying(answer(b'{"at": "soon"}'))),
    ("a source's endpoint whose time is beyond the calendar", saying(answer(b'{"at": 1e300}'))),
    ("a source's endpoint that answers without end", saying(answer(b"[" * 2_000_000))),
]


def cases(group: str, promise: str, faults: list[tuple[str, Script]]) -> list[object]:
    return [pytest.param(script, id=fault, marks=pytest.mark.fault(group, fault, promise)) for fault, script in faults]


@pytest.mark.parametrize(
    "script", cases("network", "its age is unknown, with the reason, within its deadline", SOURCES)
)
def test_an_endpoint_of_a_source(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Happens
) -> None:
    monkeypatch.setattr(freshness, "HTTP_TIMEOUT_SECONDS", 0.7)
    with server(script) as port:
        begin = monotonic()
        reading = newest(Source(max_age="1h", url=f"http://127.0.0.1:{port}/", field="at"), tmp_path)
        assert monotonic() - begin < 5
    assert reading.newest is None
    assert reading.reason
    assert reading.reason.isprintable()
    happens(reading.reason.replace(f"http://127.0.0.1:{port}/", "URL")[:100].replace("|", " "))


GATEWAYS: list[tuple[str, Script]] = [
    ("a Pushgateway that accepts and says nothing", silent),
    ("a Pushgateway whose answer drips", dripping),
    ("a Pushgateway that does not speak HTTP", saying(b"\x00\xff\x00\xff\r\n\r\n")),
    ("a Pushgateway that refuses the page", saying(answer(b"pushed metrics are invalid\n", "400 Bad Request"))),
    ("a Pushgateway that hangs up", saying()),
]


@pytest.mark.parametrize("script", cases("network", "exit code 1 and one sentence, within its deadline", GATEWAYS))
def test_a_pushgateway(script: Script, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    monkeypatch.setattr(handover, "PUSH_TIMEOUT_SECONDS", 0.7)
    with server(script) as port:
        begin = monotonic()
        with pytest.raises(PublishError) as raised:
            push(b"a 1\n" * 100_000, f"http://127.0.0.1:{port}", "shop")
        assert monotonic() - begin < 5
    assert str(raised.value).isprintable()
    happens(str(raised.value).partition("shop-exporter")[2] or str(raised.value).rpartition("/shop ")[2])


@pytest.mark.fault("network", "a Pushgateway that is not there", "exit code 1 and one sentence")
def test_a_pushgateway_that_is_not_there(happens: Happens) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(PublishError) as raised:
        push(b"a 1\n", f"http://127.0.0.1:{port}", "shop")
    happens(str(raised.value).rpartition("/shop ")[2])
    assert os.strerror(errno.ECONNREFUSED) in str(raised.value)


STORES: list[tuple[str, Script]] = [
    ("an S3 that refuses every request", saying(answer(b"<Error><Code>AccessDenied</Code></Error>", "403 Forbidden"))),
    ("an S3 whose bucket is gone", saying(answer(b"<Error><Code>NoSuchBucket</Code></Error>", "404 Not Found"))),
]


@pytest.mark.parametrize("script", cases("network", "the run fails and says so; the page stays", STORES))
def test_an_object_store(script: Script, lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "tester",
        "SECRET_ACCESS_KEY": "s3cret",
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    lab.pass_hours(lab.start(), -1)
    with server(script) as port:
        url = f"s3://log/parts?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        lab.replace(prediction_log=msgspec.structs.replace(lab.spec.prediction_log, path=url))
        exporter = lab.start()
        page = exporter._window_page
        lab.at(1)
        exporter.run_due()
    assert exporter._window_page == page
    (event,) = lab.events("run_failed")
    assert "s3cret" not in event["error"]
    happens(event["error"].rpartition("cannot be read: ")[2][:100] or event["error"][:100])


@pytest.mark.fault(
    "network", "an S3 that answers 200 and garbage to everything", "a window without rows, and a finding"
)
def test_an_object_store_of_garbage(lab: Lab, monkeypatch: pytest.MonkeyPatch, happens: Happens) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "tester")
    with server(saying(answer(b"\x00garbage"))) as port:
        url = f"s3://log/parts?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        lab.replace(prediction_log=msgspec.structs.replace(lab.spec.prediction_log, path=url))
        exporter = lab.start()
        exporter.run_due()
    report = exporter._results.last_report("shop")
    assert report.rows == 0
    happens(", ".join(sorted({finding.kind for finding in report.findings})))
    assert report.findings
