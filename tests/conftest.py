"""What tests share: the repository's specs, and the real servers, whose absence is said loudly."""

import gc
import importlib.util
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

# Each worker of pytest has a core. Threads of BLAS would wait for each other in loops: a fit takes four times the CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

from examples.servers import find_server
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Results, Spec

if TYPE_CHECKING:
    from databases import Database
    from postgres import Postgres

REPOSITORY = Path(__file__).resolve().parent.parent
RELEASES = ("stable", "sid")
# No test is timed: the machines are shared.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")
NOT_RUN = "did not run: no {} here (scripts/servers.sh unpacks it from Debian's packages)"
SERVERS_SCRIPT = REPOSITORY / "scripts" / "servers.sh"


@pytest.fixture(scope="session")
def streamrec() -> Spec:
    return load_spec(REPOSITORY / "specs" / "streamrec.yaml")


@pytest.fixture(scope="session")
def streamrec_files(streamrec: Spec) -> Mapping[str, str]:
    """The files that StreamRec's spec gives: relative path to text."""
    from mlvitals.generator.compiler import compile_spec

    return MappingProxyType(compile_spec(streamrec, "streamrec.yaml"))


@pytest.fixture(scope="session")
def flights() -> Spec:
    return load_spec(REPOSITORY / "specs" / "flights.yaml")


def server(name: str, release: str = "stable") -> str:
    """The path of a server program; without it the test does not run."""
    return find_server(name, release=release) or not_run(f"{name} of Debian {release}")


def not_run(needed: str) -> NoReturn:
    """Fail the test for want of a server where this machine could have it, else skip it and say so in the summary."""
    if subprocess.run([SERVERS_SCRIPT, "possible"], check=False).returncode == 0:
        pytest.fail(NOT_RUN.format(needed), pytrace=False)
    pytest.skip(NOT_RUN.format(needed))


@pytest.fixture(scope="session")
def servers() -> Callable[..., str]:
    """Find server programs. Every test that needs one asks for this, itself or through another fixture."""
    return server


@pytest.fixture(params=RELEASES)
def promtool(request: pytest.FixtureRequest, servers: Callable[..., str]) -> str:
    """promtool: Debian stable's, then Prometheus 3's."""
    return servers("promtool", request.param)


@pytest.fixture
def stable_promtool(servers: Callable[..., str]) -> str:
    """promtool of Debian stable."""
    return servers("promtool")


@pytest.fixture(params=RELEASES)
def prometheus(request: pytest.FixtureRequest, servers: Callable[..., str]) -> str:
    """Prometheus: Debian stable's, then 3."""
    return servers("prometheus", request.param)


@pytest.fixture(params=RELEASES)
def amtool(request: pytest.FixtureRequest, servers: Callable[..., str]) -> str:
    """amtool: Debian stable's, then the newest."""
    return servers("amtool", request.param)


@pytest.fixture
def alertmanager(servers: Callable[..., str]) -> str:
    """Alertmanager of Debian stable, the oldest that what is generated must suit."""
    return servers("alertmanager")


@pytest.fixture
def stable_prometheus(servers: Callable[..., str]) -> str:
    """Prometheus of Debian stable."""
    return servers("prometheus")


@pytest.fixture(scope="session")
def postgres(servers: Callable[..., str]) -> Iterator["Postgres"]:
    """A PostgreSQL server that only these tests use."""
    pytest.importorskip("psycopg", reason="did not run: no driver of PostgreSQL here (the postgres extra brings it)")
    from postgres import find_postgres, running

    initdb = find_postgres("initdb")
    if initdb is None:
        not_run("PostgreSQL")
    with running(initdb.parent) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> "Database":
    """An empty results database, of each kind."""
    from databases import Database  # not at the top: pytest-xdist's controller, which runs no test, has no need of it

    if request.param == "sqlite":
        return Database(Results(), tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    server.create(name)
    return Database(server.results(name), tmp_path)


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server, and let workers begin with the files that take long: these decide when all are done."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if "servers" in getattr(item, "fixturenames", ()) or parameters.get("database") == "postgresql":
            item.add_marker(pytest.mark.server)
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector forget what lives as long as the run: it walked modules and tests over and over.

    Afterwards it looks less often: few objects of the tests are in cycles, and memory is no bottleneck.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the servers that were missing, so that a green run does not hide tests that did not run."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    lost = sorted({line.rpartition("Skipped: ")[2].rstrip("')") for line in skipped if "did not run" in line})
    if lost:
        terminalreporter.section("TESTS THAT NEED REAL SERVERS OR PACKAGES DID NOT RUN", sep="!", red=True, bold=True)
        for line in lost:
            terminalreporter.line(line)
