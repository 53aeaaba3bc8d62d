"""The JSON Schema that editors read."""

from pathlib import Path

import pytest
from command_line import mlvitals
from jsonschema import Draft202012Validator

from mlvitals.generator.spec.schema import FILE, json_schema, schema_text

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))


def test_the_committed_schema_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m mlvitals.generator.spec.schema"


def test_an_installed_mlvitals_writes_the_schema_that_editors_read(tmp_path: Path):
    assert mlvitals("schema").stdout == schema_text()
    written = mlvitals("schema", "--out", tmp_path / "spec.json")
    assert (tmp_path / "spec.json").read_text(encoding="utf-8") == schema_text()
    assert "# yaml-language-server: $schema=spec.json" in written.stderr


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(json_schema())


def test_the_schema_carries_defaults_and_descriptions():
    windows = json_schema()["$defs"]["Windows"]
    assert windows["properties"]["grace"]["default"] == "5m"
    assert (
        windows["properties"]["grace"]["description"] == "How long after its end a window is measured, for late rows."
    )
    assert windows["additionalProperties"] is False


@pytest.mark.parametrize("section", sorted(json_schema()["$defs"]))
def test_every_section_is_described(section: str):
    assert json_schema()["$defs"][section].get("description")


def test_every_pattern_says_in_words_what_it_asks_for():
    patterns = [node for node in _nodes(json_schema()) if "pattern" in node]
    assert patterns
    assert all(node["patternErrorMessage"].startswith("must be ") for node in patterns)


def test_no_pattern_lets_a_trailing_newline_through():
    assert all(node["pattern"].endswith(r"$(?!\n)") for node in _nodes(json_schema()) if "pattern" in node)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_spec_names_the_schema_for_editors(spec: Path):
    first, *_ = spec.read_text(encoding="utf-8").splitlines()
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (spec.parent / schema).resolve() == FILE


def _nodes(value: object) -> list[dict[str, str]]:
    if isinstance(value, dict):
        return [value, *(node for entry in value.values() for node in _nodes(entry))]
    if isinstance(value, list):
        return [node for entry in value for node in _nodes(entry)]
    return []
