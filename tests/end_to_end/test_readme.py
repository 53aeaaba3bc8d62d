"""The README leads to every page and names every command."""

import re
from pathlib import Path

from mlvitals.cli import main

ROOT = Path(__file__).parents[2]
README = re.sub("<!--.*?-->", "", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
LINKS = {link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link}


def test_every_page_of_the_documentation_is_linked():
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= LINKS


def test_every_command_is_named():
    assert [name for name in main.commands if f"`mlvitals {name}" not in README] == []


def test_set_up_takes_two_commands():
    [first] = re.findall(r"```sh\n(make .*?)```", README, re.DOTALL)
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
