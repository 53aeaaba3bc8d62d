"""Diagnostics of a spec: problems with their places, and their formats for people, programs and GitHub.

Whatever a spec contains, these formats are safe to print: characters that control a terminal are written as escapes,
and passwords inside URLs are masked.
"""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlvitals.generator.errors import UserError, without_secrets

KeyPath = tuple[str | int, ...]
"""The place of a value in a spec: keys of mappings and indices of lists, outermost first."""

MERGE_KEY = "<<"
"""The YAML merge key. Specs may not use it, but the keys that it would add are not reported as missing."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_COLUMNS_BEFORE, _COLUMNS_SHOWN = 60, 110
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text; line and column count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with the values of a spec.

    `paths` are the values it was derived from, the one to blame first; where that one is a default that nobody wrote,
    the next is blamed. `message` continues after the first path, written out (``is longer than ...``), or
    is `complete` without. `at_key` says that the key is wrong, not its value.
    """

    paths: tuple[KeyPath, ...]
    message: str
    rule: str
    hint: str = ""
    at_key: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem at its place in a file; `length` is how many characters of the line it concerns."""

    file: str
    position: Position
    message: str
    rule: str
    hint: str = ""
    length: int = 1
    severity: str = "error"
    """``error`` of what makes a spec unusable, ``warning`` of advice."""

    @property
    def text(self) -> str:
        """Message and hint in one printable line."""
        return printable(f"{self.message}; {self.hint}" if self.hint else self.message)


class SpecError(UserError):
    """A spec that cannot be used.

    `diagnostics` holds every problem, by position; `source_lines` the lines of the file, for showing them.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic], source_lines: Sequence[str] = ()) -> None:
        self.diagnostics = tuple(sorted(dict.fromkeys(diagnostics), key=lambda item: (item.position, item.message)))
        self.source_lines = tuple(source_lines)
        super().__init__(self.diagnostics, self.source_lines)

    def __str__(self) -> str:
        return "\n".join(render(diagnostic, self.source_lines) for diagnostic in self.diagnostics)


# ---------------------------------------------------------------- words


def dotted(path: KeyPath) -> str:
    """Write a path as in documentation: ``features.amount``, ``escalation[1].role``, ``features["a b"]``."""
    return "".join(map(_step, path)).removeprefix(".") or "the spec"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{quoted(step)}]"


def quoted(text: str) -> str:
    """Return text in double quotes, cut if it is long."""
    shown = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word most similar to the given one; empty if there is no similar one."""
    nearest = difflib.get_close_matches(word[:200], list(known), n=1)
    return f"did you mean {quoted(nearest[0])}?" if nearest else ""


def printable(text: str) -> str:
    """Return text that is safe to print: control, format and unassigned characters become escapes."""
    return "".join(map(_printable_character, without_secrets(text)))


def _printable_character(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


# ---------------------------------------------------------------- formats


def render(diagnostic: Diagnostic, source_lines: Sequence[str]) -> str:
    """Render for people: ``file:line:column: severity: message``, the source line, and a caret under the place."""
    place = f"{printable(diagnostic.file)}:{diagnostic.position.line}:{diagnostic.position.column}"
    headline = f"{place}: {diagnostic.severity}: {diagnostic.text}"
    if diagnostic.position.line > len(source_lines):
        return headline
    return "\n".join((headline, *_excerpt(diagnostic, source_lines[diagnostic.position.line - 1])))


def _excerpt(diagnostic: Diagnostic, line: str) -> tuple[str, str]:
    """Return the source line around the place, and the line of carets that marks it."""
    from rich.cells import cell_len  # noqa: PLC0415  (only a broken spec needs it)

    start = min(diagnostic.position.column - 1, len(line))
    first = max(0, start - _COLUMNS_BEFORE)
    last = first + _COLUMNS_SHOWN
    masked = without_secrets(line)
    before = ("…" if first else "") + _shown(masked[first:start])
    marked = _shown(masked[start : min(start + diagnostic.length, last)])
    after = _shown(masked[start + diagnostic.length : last]) + ("…" if len(line) > last else "")
    carets = " " * cell_len(before) + "^" * max(1, cell_len(marked))
    return f"    {before}{marked}{after}".rstrip(), f"    {carets}"


def _shown(text: str) -> str:
    return "".join(map(_printable_character, text.replace("\t", "    ")))


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Render for programs: one list of objects; `end_column` is the first column after the place."""
    return json.dumps(
        [
            {
                "file": printable(diagnostic.file),
                "line": diagnostic.position.line,
                "column": diagnostic.position.column,
                "end_column": diagnostic.position.column + diagnostic.length,
                "severity": diagnostic.severity,
                "rule": diagnostic.rule,
                "message": printable(diagnostic.message),
                "hint": printable(diagnostic.hint),
            }
            for diagnostic in diagnostics
        ],
        indent=2,
    )


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Render for GitHub Actions: one ``::error`` or ``::warning`` workflow command per line."""
    return "\n".join(map(_workflow_command, diagnostics))


def _workflow_command(diagnostic: Diagnostic) -> str:
    position = diagnostic.position
    properties = {
        "file": printable(diagnostic.file),
        "line": str(position.line),
        "col": str(position.column),
        "endColumn": str(position.column + diagnostic.length),
        "title": diagnostic.rule,
    }
    written = ",".join(f"{name}={_command_property(value)}" for name, value in properties.items())
    return f"::{diagnostic.severity} {written}::{_command_data(diagnostic.text)}"


def _command_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _command_property(text: str) -> str:
    return _command_data(text).replace(":", "%3A").replace(",", "%2C")
