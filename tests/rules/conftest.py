"""Specs to generate rules for, and promtool run over what is generated."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from mlvitals.generator.rules import rules_file, test_files
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

HOSTILE_FEATURE = 'we"ird\\{{ $name }} é\nx'
HOSTILE_TEXT = 'a {{ .Value }} $labels "quoted" `ticked` </script> | table\n# heading {'


def hostile() -> Spec:
    """A spec whose every free text tries to be something else."""
    return parse_spec(
        yaml.safe_dump(
            {
                "version": 1,
                "system": {"name": "odd", "title": HOSTILE_TEXT, "team": HOSTILE_TEXT, "description": HOSTILE_TEXT},
                "prediction_log": {
                    "path": "log",
                    "score": "score",
                    "segments": [HOSTILE_TEXT],
                    "outcome": {
                        "column": "animal",
                        "kind": "multiclass",
                        "probabilities": {HOSTILE_TEXT: "p_first", "dog": "p_dog"},
                    },
                },
                "sources": {HOSTILE_TEXT: {"max_age": "1h", "path": "here"}},
                "features": {
                    HOSTILE_FEATURE: {
                        "source": HOSTILE_TEXT,
                        "description": HOSTILE_TEXT,
                        "thresholds": {"psi": {"critical": 0.4}, "wasserstein": {"warning": 0.3}},
                    },
                    "plain": {"nullable": True, "skew": "js", "source": HOSTILE_TEXT},
                },
                "skew": {"path": "offline"},
                "business": {
                    "compare_with": "1h",
                    "events": {"clicks": {}, "views": {}},
                    "kpis": {
                        "rate": {"numerator": "clicks", "denominator": "views", "title": HOSTILE_TEXT, "floor": 0.2}
                    },
                },
                "serving": {"gpu": True},
                "slos": {
                    "answers": {"kind": "availability", "objective": 0.999, "description": HOSTILE_TEXT},
                    "fresh": {"kind": "freshness", "objective": 0.95, "period": "30d", "deploy_above": 0.1},
                },
                "alerts": {"many_features": 2, "feature_wasserstein": {"enabled": True}},
                "links": {"runbooks": "https://example.com/{{.Value}}/{"},
            },
            allow_unicode=True,
        )
    )


def tiny() -> Spec:
    """Ten lines describe a small system."""
    return parse_spec(
        """\
version: 1
system: {name: tiny}
prediction_log: {path: log}
features:
  age: {type: integer}
  country: {type: categorical, nullable: true}
"""
    )


@pytest.fixture(params=["tiny", "hostile", "flights", "streamrec", "tiny compressed"])
def any_spec(request: pytest.FixtureRequest) -> Spec:
    """Each spec in turn."""
    if request.param == "tiny":
        return tiny()
    if request.param == "hostile":
        return hostile()
    if request.param == "tiny compressed":
        return compress_time(tiny(), 60)
    spec: Spec = request.getfixturevalue(request.param)
    return spec


@pytest.fixture
def hostile_spec() -> Spec:
    return hostile()


@pytest.fixture
def tiny_spec() -> Spec:
    return tiny()


@pytest.fixture(scope="session")
def generated() -> Callable[[Spec], dict[str, str]]:
    """Make the rules file of a spec, and its test files, once: name to text."""
    files: dict[bytes, dict[str, str]] = {}

    def make(spec: Spec) -> dict[str, str]:
        key = msgspec.json.encode(spec)
        if key not in files:
            watched = signals(spec)
            rules = {f"{spec.slug}.rules.yml": rules_file(spec, watched, "A marker")}
            files[key] = rules | test_files(spec, watched, "A marker")
        return files[key]

    return make


@pytest.fixture
def generate(generated: Callable[[Spec], dict[str, str]], tmp_path: Path) -> Callable[[Spec], tuple[Path, list[Path]]]:
    """Write the rules file of a spec, and its test files; gives their paths."""

    def write(spec: Spec) -> tuple[Path, list[Path]]:
        rules, *tests = [tmp_path / name for name in generated(spec)]
        for name, text in generated(spec).items():
            (tmp_path / name).write_text(text)
        return rules, tests

    return write


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program, its output in hand."""

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
