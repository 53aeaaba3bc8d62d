"""Writing Markdown in which text from a spec stays text."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"[\\`*_\[\]{}<>&#|!~$]")
_LINE_START = re.compile(r"^(\d+)([.)])|^([-+=:])")


def escape(text: str) -> str:
    """Return text on one line that no Markdown or HTML reader interprets as markup."""
    line = " ".join(text.split())
    escaped = _SPECIAL.sub(lambda found: f"&{_ENTITIES[found[0]]};" if found[0] in _ENTITIES else f"\\{found[0]}", line)
    return _LINE_START.sub(lambda found: f"{found[1] or ''}\\{found[2] or found[3]}", escaped)


_ENTITIES = {"<": "lt", ">": "gt", "&": "amp"}


def block(code: str, language: str = "") -> str:
    """Return a code block, fenced longer than any run of backticks inside."""
    fence = "`" * max(3, _longest_run(code) + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def _longest_run(code: str) -> int:
    return max((len(run) for run in re.findall("`+", code)), default=0)


def bullets(items: Iterable[str]) -> str:
    """Return a list; the items are Markdown."""
    return "\n".join(f"- {item}" for item in items)


def numbered(items: Iterable[str]) -> str:
    """Return a numbered list; the items are Markdown."""
    return "\n".join(f"{position}. {item}" for position, item in enumerate(items, start=1))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
