"""A serving application and the checks of a spec need none of the packages that measure."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlvitals.commands.common import MEASURING_PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
STREAMREC = REPOSITORY / "specs" / "streamrec.yaml"
NEEDED = "error: this command needs the measuring packages: pip install 'mlvitals[measure]'\n"
WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(MEASURING_PACKAGES)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""What Python does at its start here: as if the measuring packages were not installed."""
SERVE = """
import mlvitals
from datetime import UTC, datetime

telemetry = mlvitals.PredictionTelemetry(mlvitals.load_spec({spec!r}), workers={workers})
telemetry.model("v7", "lightgbm", datetime(2026, 3, 1, tzinfo=UTC))
telemetry.observe("v7", "/recommend", {{"total": 0.021}}, scores=[0.81], features={{"device_type": None}})
telemetry.event("clicks")
with telemetry.start_server() as server:
    from urllib.request import urlopen
    print(urlopen(f"http://127.0.0.1:{{server.port}}/metrics").read().decode())
"""


@pytest.fixture
def lean(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has what `pip install mlvitals` brings and no more."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    return os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}


def python(lean: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=lean, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_extra_is_what_the_message_speaks_of():
    measuring = {re.split(r"[^\w-]", package)[0].lower() for package in PROJECT["optional-dependencies"]["measure"]}
    assert measuring == MEASURING_PACKAGES


@pytest.mark.slow
def test_without_the_extra_its_packages_cannot_be_imported(lean: dict[str, str]):
    for package in MEASURING_PACKAGES:
        assert f"No module named {package!r}" in python(lean, "-c", f"import {package}").stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["None", "__import__('pathlib').Path({folder!r})"], ids=["alone", "workers"])
def test_an_application_is_instrumented_without_the_extra(workers: str, lean: dict[str, str], tmp_path: Path):
    workers = workers.format(folder=str(tmp_path / "workers"))
    done = python(lean, "-c", SERVE.format(spec=str(STREAMREC), workers=workers))
    assert done.returncode == 0, done.stderr
    assert 'streamrec_predictions_total{endpoint="/recommend",model_version="v7"} 1.0' in done.stdout


@pytest.mark.slow
def test_a_spec_is_checked_compiled_and_estimated_without_the_extra(lean: dict[str, str], tmp_path: Path):
    for command in (["lint"], ["compile", "--out", tmp_path], ["estimate"]):
        done = python(lean, "-m", "mlvitals", *command, STREAMREC)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["slo", "verify"])
def test_a_prometheus_is_asked_without_the_extra(command: str, lean: dict[str, str]):
    done = python(lean, "-m", "mlvitals", command, STREAMREC, "--prometheus", "http://127.0.0.1:1")
    assert "not answer" in done.stderr


@pytest.mark.slow
def test_an_incident_is_kept_without_the_extra(lean: dict[str, str], tmp_path: Path):
    where = ["--dir", tmp_path]
    opened = python(lean, "-m", "mlvitals", "incident", "open", "Drift", "--system", "streamrec", *where)
    assert opened.returncode == 0, opened.stderr
    name = opened.stdout.strip()
    incident = (
        ["note", name, "seen"],
        ["show", name],
        ["list"],
        ["collect", name],
        ["timeline", name],
        ["triage", name],
    )
    for command in (*(["incident", *words] for words in incident), ["postmortem", name]):
        done = python(lean, "-m", "mlvitals", *command, *where)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["annotate", "deployment", STREAMREC, "--version", "42"],
        ["backfill", STREAMREC, "--start", "2026-03-01", "--end", "2026-03-02", "--save"],
        ["drift", STREAMREC],
        ["evaluate", STREAMREC, "--data", ".", "--truth", "truth.yaml"],
        ["export", STREAMREC],
        ["init", "--data", "train.parquet", "--name", "fraud"],
        ["reference", "build", STREAMREC, "--data", "train.parquet"],
        ["reference", "list", STREAMREC],
        ["tabletop", STREAMREC, "--fault", "march3"],
    ],
    ids=lambda command: " ".join(map(str, command[:2])).partition(" /")[0],
)
def test_a_command_that_measures_says_in_one_line_what_to_install(command: list[str | Path], lean: dict[str, str]):
    done = python(lean, "-m", "mlvitals", *command)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", NEEDED)
