"""What is built and installed is one package, whole, and works wherever it lies."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from stat import S_ISLNK

import pytest

from mlvitals import __version__

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
NO_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "build", "data", "dist", "var", "*.egg-info")
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--no-compile")
METADATA = f"mlvitals-{__version__}.dist-info"
USE = """
from mlvitals import PredictionTelemetry, compile_spec, load_spec

PredictionTelemetry(load_spec("fraud.yaml")).event("payments")
"""
SPEC = """\
version: 1
system: {name: fraud}
prediction_log: {path: predictions, score: score}
features: {amount: {}}
business: {events: {payments: {}}}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as a clone has it, its links as links."""
    return shutil.copytree(REPOSITORY, tmp_path_factory.mktemp("clone") / "mlvitals", symlinks=True, ignore=NO_SOURCE)


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    return built("sdist", checkout)


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built("wheel", checkout)


def built(kind: str, source: Path) -> Path:
    """Build as pip and build do, with the setuptools that is here: nothing is downloaded."""
    script = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    run(sys.executable, "-c", script, place=source)
    [archive] = (source / "dist").glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return archive


def run(*command: str | Path, place: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def machine(folder: Path) -> Path:
    """Make an environment with everything mlvitals needs and without mlvitals; return its bin/.

    A path file lends the packages of these tests. Path files among those, such as that of an editable install, are
    not followed.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, place=folder.parent)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_holds_mlvitals_and_its_metadata_only(wheel: Path):
    assert {name.partition("/")[0] for name in content(wheel)} == {"mlvitals", METADATA}


def test_a_wheel_holds_every_module_and_every_data_file(wheel: Path, checkout: Path):
    folders = {"mlvitals": "mlvitals", "generator": "mlvitals/generator", "exporters": "mlvitals/exporters"}
    expected = {
        f"{inside}/{file.relative_to(checkout / folder).as_posix()}"
        for folder, inside in folders.items()
        for file in (checkout / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in content(wheel) if not name.startswith(METADATA)} == expected
    assert {Path(name).suffix or Path(name).name for name in expected} == {
        ".py",
        ".css",
        ".json",
        ".tmpl",
        ".md",
        ".typed",
    }


def test_distributions_hold_folders_where_a_checkout_has_links(wheel: Path, sdist: Path):
    with zipfile.ZipFile(wheel) as archive:
        assert [entry.filename for entry in archive.infolist() if S_ISLNK(entry.external_attr >> 16)] == []
    with tarfile.open(sdist) as archive:
        assert [member.name for member in archive if member.issym() or member.islnk()] == []


def test_a_wheel_of_the_sdist_is_the_wheel_of_the_checkout(wheel: Path, sdist: Path, tmp_path: Path):
    shutil.unpack_archive(sdist, tmp_path)
    again = built("wheel", tmp_path / f"mlvitals-{__version__}")
    assert content(again) == content(wheel)


@pytest.mark.parametrize("kind", ["sdist", "wheel", "editable"])
def test_what_is_installed_works_anywhere(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    programs = machine(tmp_path / "venv")
    source = (
        ["--editable", request.getfixturevalue("checkout")] if kind == "editable" else [request.getfixturevalue(kind)]
    )
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", *OFFLINE, *source, place=tmp_path)
    (tmp_path / "fraud.yaml").write_text(SPEC)

    assert run(programs / "mlvitals", "--version", place=tmp_path) == f"mlvitals, version {__version__}\n"
    run(programs / "mlvitals", "lint", "fraud.yaml", place=tmp_path)
    run(programs / "mlvitals", "compile", "fraud.yaml", place=tmp_path)
    run(programs / "python", "-c", USE, place=tmp_path)


def test_a_bare_checkout_runs_the_program_and_its_tests(checkout: Path, tmp_path: Path):
    python = machine(tmp_path / "venv") / "python"
    assert run(python, "-m", "mlvitals", "--version", place=checkout).endswith(f"{__version__}\n")
    run(python, "-m", "mlvitals", "lint", "specs/flights.yaml", "specs/streamrec.yaml", place=checkout)
    assert " passed" in run(python, "-m", "pytest", "tests/spec/test_durations.py", place=checkout)


def test_no_script_in_a_text_imports_what_only_a_checkout_has():
    """Ruff sees to the imports of the code itself (TID251); programs that tests write and start are text to it."""
    name = r"(?:generator|exporters|evaluation|incidents|verification)"
    wrong = re.compile(rf"\bfrom {name}(?:\.\w+)* import\b|\bimport {name}\s*(?:[.,;]|$)", re.MULTILINE)
    roots = ("benchmarks", "examples", "exporters", "generator", "mlvitals", "tests")
    texts = {file: file.read_text("utf-8") for root in roots for file in (REPOSITORY / root).rglob("*.py")}
    assert [str(file) for file, text in texts.items() if wrong.search(text) and "ruff: noqa: TID251" not in text] == []
