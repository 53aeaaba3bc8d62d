"""The real servers that tests and the demonstration start: had where they can be, and whole where they are unpacked."""

from pathlib import Path

import pytest
from real_servers import fetch, running

from tests import conftest


@pytest.fixture
def without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "find_server", lambda name, release: None)


@pytest.mark.usefixtures("without_servers")
def test_a_missing_server_is_a_failure_where_the_machine_could_have_it(monkeypatch, tmp_path):
    monkeypatch.setattr(conftest, "SERVERS_SCRIPT", script(tmp_path, "exit 0"))
    with pytest.raises(
        pytest.fail.Exception, match=r"did not run: no promtool of Debian sid here \(scripts/servers.sh"
    ):
        conftest.server("promtool", "sid")


@pytest.mark.usefixtures("without_servers")
def test_elsewhere_it_is_a_skip_that_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(conftest, "SERVERS_SCRIPT", script(tmp_path, "exit 1"))
    with pytest.raises(pytest.skip.Exception, match="did not run: no promtool of Debian stable here"):
        conftest.server("promtool")


def script(folder: Path, text: str) -> Path:
    file = folder / "servers.sh"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("release", conftest.RELEASES)
def test_alertmanager_has_its_templates_wherever_it_was_unpacked(release, tmp_path):
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    options = (f"--config.file={config}", f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address=")
    with running(conftest.server("alertmanager", release), *options, ready="/-/ready") as address:
        assert b"alertmanager" in fetch(f"{address}/").lower()


@pytest.mark.slow
def test_the_pushgateway_has_its_page_wherever_it_was_unpacked():
    with running(conftest.server("pushgateway")) as address:
        assert b"Pushgateway" in fetch(f"{address}/")
