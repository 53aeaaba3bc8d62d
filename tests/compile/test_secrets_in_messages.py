"""No message shows the secret of an address, whichever way it came there."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from command_line import mlvitals

from mlvitals.exporters.parts import FileProblem
from mlvitals.exporters.process.exporter import utc_now
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.generator.errors import UserError, without_secrets

SECRET = "s3cr/et+Key"
SPEC = """
version: 1
system: {{name: shop}}
prediction_log: {{path: "{log}", score: score}}
features: {{age: {{type: integer}}}}
serving: {{enabled: false}}
results: {{url: "{results}"}}
"""


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIAEXAMPLE:{SECRET}@bucket/log?region=eu",
        f"postgresql://me:{SECRET}@db/predictions",
        f"postgresql+psycopg://me:a@b{SECRET}@db/predictions",
        f"postgresql://db/predictions?user=me&password={SECRET}&sslmode=require",
        "http://me:s3cr-et@gateway:9091",
        "http://s3cr-et@gateway:9091",
        "https://host/health?x=1&api_key=s3cr-et",
        "https://host/health#access_token=s3cr-et",
        f"mlflow+http://me:{SECRET}@tracking:5000",
        "mssql+pyodbc:///?odbc_connect=PWD%3Ds3cr-et",
        "gs://bucket/log?X-Goog-Signature=s3cr-et",
    ],
)
def test_secrets_of_addresses_are_starred_out(address: str) -> None:
    for text in (address, f"{address}: no such host", f"cannot read '{address}' (see {address})"):
        shown = without_secrets(text)
        assert "s3cr" not in shown
        assert len(shown) == len(text)
        assert "s3cr" not in str(UserError(text))


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///results.db",
        "s3://bucket/log/date=2026-03-03",
        "http://127.0.0.1:9091/metrics/job/a@b",
        "postgresql://me@db:5432/predictions?sslmode=require",
        "https://grafana/d/x?orgId=1&from=now-6h",
        "mail me@example.com about http://host:9090",
    ],
)
def test_addresses_without_secrets_are_shown_as_they_are(address: str) -> None:
    assert without_secrets(address) == address


def test_the_log_of_the_process_shows_no_secret() -> None:
    stream = StringIO()
    JsonLog(stream, utc_now, "shop")("run_failed", error=f"s3://AKIA:{SECRET}@bucket: denied")
    assert "s3cr" not in stream.getvalue()
    assert json.loads(stream.getvalue())["error"].endswith("@bucket: denied")


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that fails, and returns all that it prints, and what libraries print past Python's streams."""

    def run(*arguments: str) -> str:
        done = mlvitals(*arguments)
        assert done.returncode != 0
        out, error = capfd.readouterr()
        return done.stdout + done.stderr + out + error

    return run


def written(folder: Path, log: str = "log", results: str = "sqlite:///results.db") -> str:
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(log=log, results=results))
    return str(path)


@pytest.mark.parametrize("form", ["text", "json", "github"])
@pytest.mark.parametrize(
    "results", ["postgresql://db/x?password=s3cret", "postgresql://me:s3cret@db/x", "postgresql://me:s3c/s3cret@db/x"]
)
def test_lint_refuses_a_password_without_showing_it(
    results: str, form: str, tmp_path: Path, printed: Callable[..., str]
) -> None:
    said = printed("lint", written(tmp_path, results=results), "--format", form)
    assert "contains a password" in said
    assert "s3c" not in said


@pytest.mark.parametrize(
    "options",
    [
        ["--data", "postgresql://db.invalid/x?password=s3cret", "--table", "training"],
        ["--data", "nodriver://me:s3cret@db.invalid/x", "--table", "training"],
        ["--data", "s3://AKIA:s3cr/et@no-such-bucket.invalid/x?region=nowhere&endpoint_override=127.0.0.1:1"],
        ["--data", "nofs://AKIA:s3cret@bucket/x"],
    ],
)
def test_reference_build_shows_no_secret_of_its_data(
    options: list[str], tmp_path: Path, printed: Callable[..., str]
) -> None:
    said = printed("reference", "build", written(tmp_path), *options)
    assert said.startswith("error: ")
    assert "s3c" not in said


@pytest.mark.parametrize("option", ["--pushgateway", "--data", "--html"])
def test_wrong_usage_shows_no_secret(option: str, tmp_path: Path, printed: Callable[..., str]) -> None:
    said = printed("drift", written(tmp_path), option, "ftp://me:s3cret@host/x")
    assert "s3c" not in said


def test_a_problem_that_is_kept_in_a_report_holds_no_secret() -> None:
    problem = FileProblem(path=f"s3://AKIA:{SECRET}@bucket/log", problem=f"postgresql://me:{SECRET}@db is down")
    assert "s3cr" not in str(problem)
    assert "s3cr" not in str(msgspec.json.decode(msgspec.json.encode(problem), type=FileProblem))
    assert problem.path.endswith("@bucket/log")
