"""Finds what a post-mortem still lacks: answers to questions, and an owner and a date for each action item."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

_QUESTION = re.compile(r"^> \*\*Question:\*\*\s*(.*)$")
_HEADING = re.compile(r"^#+\s+(.*?)\s*$")
_REGION = re.compile(r"^<!-- (/?)mlvitals:\w+")
_COMMENT = re.compile(r"^<!--.*-->$")
_ITEMS = "action items"
_RULE = re.compile(r"^\|[\s:|-]*-[\s:|-]*\|$")
_DONE = frozenset({"x", "yes", "done", "true", "[x]"})
_CELL = re.compile(r"(?<!\\)\|")


class Missing(NamedTuple):
    """Something that is missing, and its line."""

    line: int
    text: str


def check(text: str, today: date) -> list[Missing]:
    """Return what is missing in a post-mortem, by line."""
    lines = text.split("\n")
    return sorted([*_open_questions(lines), *_items(lines, today)])


def _open_questions(lines: Sequence[str]) -> Iterator[Missing]:
    """A question is open until a person's line of text follows it, before the next question or heading."""
    asked: Missing | None = None
    generated = False
    for number, line in enumerate(lines, start=1):
        question = _QUESTION.match(line)
        if question or _HEADING.match(line):
            if asked:
                yield asked
            asked = Missing(number, f"open question: {question[1]}") if question else None
        elif region := _REGION.match(line):
            generated = not region[1]
        elif line.strip() and not generated and not _COMMENT.match(line):
            asked = None
    if asked:
        yield asked


def _items(lines: Sequence[str], today: date) -> Iterator[Missing]:
    """The rows of the table under the heading of the action items."""
    heading, rows = 0, 0
    inside = False
    for number, line in enumerate(lines, start=1):
        if found := _HEADING.match(line):
            inside = found[1].lower() == _ITEMS
            heading = number if inside else heading
        elif inside and line.startswith("|") and not _RULE.match(line):
            rows += 1
            if rows > 1:  # the first row is the header
                yield from _item(number, [cell.strip() for cell in _CELL.split(line.strip().strip("|"))], today)
    if not heading:
        yield Missing(1, "there is no heading 'Action items'")
    elif rows <= 1:
        yield Missing(heading, "no action items: what keeps this from happening again?")


def _item(number: int, cells: Sequence[str], today: date) -> Iterator[Missing]:
    action, owner, due, done = (*cells, "", "", "", "")[:4]
    if not action:
        yield Missing(number, "an action item says nothing")
    if not owner:
        yield Missing(number, f"action item without owner: {action}")
    if done.lower() in _DONE:
        return
    if not due:
        yield Missing(number, f"action item without a date: {action}")
        return
    try:
        day = date.fromisoformat(due)
    except ValueError:
        yield Missing(number, f"action item whose date {due!r} is not like 2026-03-31: {action}")
        return
    if day < today:
        yield Missing(number, f"action item overdue since {day}: {action}")
