"""The pages of reference say what the program does: all keys, alerts, metrics and commands, and nothing of yesterday."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from mlvitals.generator.runbooks.checks import FIRST
from mlvitals.generator.spec.schema import json_schema

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "scripts" / "reference_pages.py")
assert _spec and _spec.loader
reference_pages = importlib.util.module_from_spec(_spec)
sys.modules["reference_pages"] = reference_pages
_spec.loader.exec_module(reference_pages)
PAGES: dict[str, str] = reference_pages.pages()
SCHEMA = json_schema()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_reference_is_up_to_date(name: str):
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name], "run: make compile"


def test_every_alert_is_described():
    assert {name for name in FIRST if f"| `{name}` |" not in PAGES["alerts.md"]} == set()


KEYS = [(section, key) for section, each in SCHEMA["$defs"].items() for key in each.get("properties", {})]


def test_every_key_of_a_spec_has_a_meaning():
    without = [
        f"{section}.{key}"
        for section, key in KEYS
        if not reference_pages.meaning(SCHEMA, SCHEMA["$defs"][section]["properties"][key])
    ]
    assert without == []


def test_every_section_of_a_spec_stands_on_the_page_once():
    tables = PAGES["keys.md"].count("| Key | Value | Default | Meaning |")
    assert tables == sum("properties" in each for each in SCHEMA["$defs"].values())


def test_the_messages_of_the_troubleshooting_page_are_messages_of_the_program():
    rows = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    quoted = [
        text for row in rows for text in re.findall("`([^`]+)`", row.split("|")[1] if row.startswith("|") else "")
    ]
    code = [
        path.read_text(encoding="utf-8")
        for folder in ("exporters", "generator", "mlvitals")
        for path in (ROOT / folder).rglob("*.py")
    ]
    program = re.sub(r'"\s*f?"', "", "\n".join(code))
    assert quoted
    assert [text for text in quoted if text not in program] == []
