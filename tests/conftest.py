"""What tests share: the repository's specs, and the real servers, whose absence is said loudly."""

import importlib.util
import os
from pathlib import Path

import pytest

from examples.servers import find_server
from generator.spec.load import load_spec
from generator.spec.model import Spec

REPOSITORY = Path(__file__).resolve().parent.parent
RELEASES = ("stable", "sid")
NOT_RUN = "did not run: no {} here (scripts/servers.sh unpacks it from Debian's packages)"


@pytest.fixture(scope="session")
def streamrec() -> Spec:
    return load_spec(REPOSITORY / "specs" / "streamrec.yaml")


@pytest.fixture(scope="session")
def flights() -> Spec:
    return load_spec(REPOSITORY / "specs" / "flights.yaml")


def server(name: str, release: str = "stable") -> str:
    """The path of a server program; without it the test is skipped, and the summary says so."""
    found = find_server(name, release=release)
    if found is None:
        pytest.skip(NOT_RUN.format(f"{name} of Debian {release}"))
    return found


@pytest.fixture(params=RELEASES)
def promtool(request: pytest.FixtureRequest) -> str:
    """promtool: Debian stable's, then Prometheus 3's."""
    return server("promtool", request.param)


@pytest.fixture
def stable_promtool() -> str:
    """promtool of Debian stable."""
    return server("promtool")


@pytest.fixture(params=RELEASES)
def prometheus(request: pytest.FixtureRequest) -> str:
    """Prometheus: Debian stable's, then 3."""
    return server("prometheus", request.param)


@pytest.fixture(scope="session")
def blank_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of a real MLflow in which nothing was stored yet; without MLflow the test is skipped, loudly."""
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("did not run: no MLflow here (pip install mlvitals[mlflow])")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the servers that were missing, so that a green run does not hide tests that did not run."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    lost = sorted({line.rpartition("Skipped: ")[2].rstrip("')") for line in skipped if "did not run" in line})
    if lost:
        terminalreporter.section("TESTS THAT NEED REAL SERVERS OR PACKAGES DID NOT RUN", sep="!", red=True, bold=True)
        for line in lost:
            terminalreporter.line(line)
