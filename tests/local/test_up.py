"""`mlvitals up`: the stack of a ten-line spec without Docker, in which an injected drift reaches the inbox."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import mlvitals

from mlvitals.generator.spec.load import load_spec
from mlvitals.local import stack as local
from mlvitals.local.programs import find_program, port_for

TEN_LINES = """\
version: 1
system: {name: fraud}
prediction_log: {path: predictions, score: score}
serving: {enabled: false}
features:
  amount: {minimum: 0}
  country: {type: categorical}
"""
FASTER = 60
"""Windows of an hour take a minute."""


def rows(count: int, start: datetime, length: timedelta, factor: float) -> pa.Table:
    dice = np.random.default_rng(7)
    times = [start + length * share for share in np.sort(dice.random(count))]
    return pa.table({
        "timestamp": times,
        "score": dice.beta(2, 5, count),
        "amount": dice.lognormal(3, 1, count) * factor,
        "country": dice.choice(["de", "fr", "us"], count),
    })  # fmt: skip


@pytest.fixture
def fraud(tmp_path: Path) -> Path:
    """A spec with a reference and a folder of Parquet in which the amounts are suddenly five times as high."""
    now = datetime.now(UTC)
    (tmp_path / "predictions").mkdir()
    pq.write_table(rows(10_000, now - timedelta(days=30), timedelta(days=29), 1), tmp_path / "train.parquet")
    pq.write_table(
        rows(20_000, now - timedelta(minutes=5), timedelta(minutes=5), 5), tmp_path / "predictions/a.parquet"
    )
    spec = tmp_path / "fraud.yaml"
    spec.write_text(TEN_LINES)
    built = mlvitals("reference", "build", spec, "--data", tmp_path / "train.parquet", "--promote")
    assert built.returncode == 0, built.stderr
    return spec


def addresses(process: "subprocess.Popen[str]", count: int) -> dict[str, str]:
    """The URLs that the command prints, by name."""
    assert process.stdout
    lines = [process.stdout.readline().split() for _ in range(count)]
    assert all(lines), process.communicate()[1]
    return {line[0]: line[1] for line in lines}


def messages(inbox: str) -> list[dict]:
    return json.loads(urllib.request.urlopen(f"{inbox}/messages", timeout=10).read())["messages"]


@pytest.mark.slow
def test_an_injected_drift_arrives_in_the_inbox_and_ctrl_c_ends_everything(fraud, servers, tmp_path):
    servers("prometheus"), servers("alertmanager")
    command = [sys.executable, "-m", "mlvitals", "up", fraud, "--compress-time", FASTER, "--keep", tmp_path / "kept"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        found = addresses(process, 4)
        assert set(found) == {"exporter", "prometheus", "alertmanager", "inbox"}
        deadline = time.monotonic() + 180
        while not (arrived := [one for one in messages(found["inbox"]) if "MLFeatureDrift" in one["title"]]):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no message of the drift within three minutes"
            time.sleep(0.5)
        assert "amount" in json.dumps(arrived)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    for url in found.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0, f"{url} still listens"


@pytest.mark.slow
def test_without_prometheus_the_exporter_s_own_page_is_there(fraud, monkeypatch, tmp_path):
    monkeypatch.setattr(local, "_UNPACKED", Path("nowhere"))
    monkeypatch.setenv("PATH", "")
    (tmp_path / "kept").mkdir()
    with local.local_stack(load_spec(fraud), fraud, tmp_path / "kept", FASTER) as stack:
        assert set(stack.addresses) == {"exporter"}
        assert set(stack.missing) == {"prometheus", "alertmanager"}
        page = urllib.request.urlopen(stack.addresses["exporter"], timeout=30).read().decode()
        assert "fraud" in page


def test_a_port_that_is_taken_is_left_alone():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert port_for(taken) != taken
    assert port_for(taken) == taken


def test_debian_s_names_of_the_servers_are_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    program = tmp_path / "prometheus-node-exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_program("node_exporter", [tmp_path]) == str(program)
    assert find_program("node_exporter", [tmp_path / "none"]) is None


def test_everything_goes_to_the_inbox_whomever_the_spec_names(tmp_path):
    """A first look pages nobody."""
    spec = tmp_path / "spec.yaml"
    receivers = "routing: {receivers: {team: {webhook: {url: 'https://pager.example'}}}, critical: team, info: team}\n"
    spec.write_text(TEN_LINES + receivers)
    at = {
        name: f"127.0.0.1:{port}" for port, name in enumerate(("inbox", "exporter", "alertmanager", "prometheus"), 9000)
    }
    local._write_configuration(load_spec(spec), tmp_path, at)
    assert "pager.example" not in (tmp_path / "stack" / "alertmanager.yml").read_text()


def test_a_wrong_spec_is_named_with_its_place(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(TEN_LINES.replace("amount", "amount: {minimun: 0}\n  other"))
    done = mlvitals("up", spec)
    assert done.returncode == 1
    assert "spec.yaml:6:" in done.stderr
