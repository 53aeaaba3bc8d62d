"""Texts for people use the words of CONTRIBUTING.md ("Words"); a text with one of the others names its place here."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from mlvitals.cli import main
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.load import load_spec

ROOT = Path(__file__).parents[2]
SOURCES = ("exporters", "generator", "mlvitals")
"""Folders of code that keep to the words; a folder joins once its texts do."""
SPECS = ("streamrec", "flights")
OTHER_WORDS = {
    "start": r"begin(s|ning)?|began",
    "fix": r"mend(s|ed|ing)?",
    "report, send, say": r"told|tells?|telling",
    "next to, with, compared with": r"beside",
    "separately": r"apart",
    "rejected": r"of no use",
    "valid, invalid": r"(un)?sound",
    "metric, statistic": r"figures?",
    "interval": r"stretch(es)?",
    "drift type": r"kinds? of drift",
    "that many": r"so many",
    "missing": r"there is none",
    "boolean": r"truth values?",
    "integer": r"whole numbers?",
    "recorded": r"noted",
    "baseline, expected": r"(what|its) (is )?normal",
    "active": r"in force",
}
"""By what to write: what not to write, as a regular expression of whole words."""
RIGHT_IN_CONTEXT = {
    "docs/report.md": {"figures"},  # a field of the JSON document, in the sentence that names it
}
"""By place: words that are right there; each with its reason."""
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"``[^`]+``|`[^`\n]+`|\{\{.*?\}\}|<[^>\n]+>")


def others(text: str) -> list[str]:
    """Words that are not ours, with what to write; code within the text counts as none."""
    plain = CODE.sub("", CODE_BLOCK.sub("", text))
    return [
        f"{match[0]!r} (write: {ours}) in {plain[max(0, match.start() - 40) : match.end() + 40]!r}"
        for ours, pattern in OTHER_WORDS.items()
        for match in re.finditer(rf"\b({pattern})\b", plain, re.IGNORECASE)
    ]


def help_texts(command: click.Command, context: click.Context) -> Iterator[str]:
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from help_texts(child, click.Context(child, parent=context, info_name=name))


def panel_texts(value: object) -> Iterator[str]:
    """Titles, descriptions and texts of empty panels, anywhere in a dashboard."""
    if isinstance(value, dict):
        yield from (value[key] for key in ("title", "description", "noValue") if isinstance(value.get(key), str))
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from panel_texts(child)


def alert_texts(rules: str) -> Iterator[str]:
    for group in yaml.load(rules, yaml.CSafeLoader)["groups"]:
        for rule in group["rules"]:
            annotations = rule.get("annotations", {})
            yield from (annotations[name] for name in ("summary", "description") if name in annotations)


def modules() -> list[Path]:
    found = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    # In a checkout mlvitals/ holds links to its sister folders.
    return sorted({path for path in found if path.resolve() == path})


@cache
def docstrings(module: Path) -> tuple[str, ...]:
    return tuple(_docstrings(module))


def _docstrings(module: Path) -> Iterator[str]:
    for block in _blocks(ast.parse(module.read_text("utf-8"))):
        for statement in getattr(block, "body", ()):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield str(statement.value.value)


def _blocks(node: ast.AST) -> Iterator[ast.AST]:
    """A node and the statements in it, without their expressions, which are many and hold no docstring."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _blocks(child)


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNBOOKS = sorted((ROOT / "runbooks").rglob("*.md"))


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_our_words(page: Path):
    allowed = RIGHT_IN_CONTEXT.get(str(page.relative_to(ROOT)), set())
    found = others(page.read_text("utf-8"))
    assert [hit for hit in found if hit.split("'")[1] not in allowed] == []


def test_the_help_of_every_command_uses_our_words():
    found = [hit for text in help_texts(main, click.Context(main, info_name="mlvitals")) for hit in others(text)]
    assert found == []


@pytest.mark.parametrize("system", SPECS)
def test_what_an_alert_says_uses_our_words(system: str):
    rules = (ROOT / "alert_rules" / f"{system}.rules.yml").read_text("utf-8")
    assert [hit for text in alert_texts(rules) for hit in others(text)] == []


@pytest.mark.parametrize("board", sorted((ROOT / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_the_panels_of_a_dashboard_use_our_words(board: Path):
    assert [hit for text in panel_texts(json.loads(board.read_bytes())) for hit in others(text)] == []


@pytest.mark.parametrize("system", SPECS)
def test_the_help_lines_of_metrics_use_our_words(system: str):
    families = Contract(load_spec(ROOT / "specs" / f"{system}.yaml")).families
    assert [hit for family in families for hit in others(family.help)] == []


def test_what_editors_say_of_a_key_uses_our_words():
    schema = json.loads((ROOT / "generator/spec/mlvitals.schema.json").read_bytes())
    assert [hit for text in panel_texts(schema) for hit in others(text)] == []


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_docstrings_of_a_module_use_our_words(module: Path):
    assert [hit for text in docstrings(module) for hit in others(text)] == []


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_says_what_one_gets_not_what_how_or_whether(module: Path):
    found = [text.partition("\n")[0] for text in docstrings(module)]
    assert [first for first in found if re.match(r"(What|How|Whether)\b", first)] == []


@pytest.mark.parametrize("word", ["begins", "Mended", "told", "beside", "unsound", "figures", "so many", "What normal"])
def test_a_word_that_is_not_ours_is_found(word: str):
    assert others(f"This {word} is here.")


@pytest.mark.parametrize("text", ["besides", "`figure` is a label", "```\nbegin\n```", "the normal range", "a metric"])
def test_our_words_and_code_are_left_alone(text: str):
    assert others(text) == []
