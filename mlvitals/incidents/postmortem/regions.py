"""Generated text and text of people in one file: a region between two comments is ours until somebody edits it.

A region's first comment holds the hash of what was generated into it. So a second run sees three things: what was
generated then, what stands there now, and what would be generated now. Only a region that nobody edited is written again.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.diagnostics import did_you_mean

_FIELD = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_BEGIN = re.compile(r"^<!-- mlvitals:(\w+) ([0-9a-f]{12}) -->$")
_END = re.compile(r"^<!-- /mlvitals:(\w+) -->$")


class RegionError(UserError):
    """A template or a post-mortem that cannot be filled in."""


class Updated(NamedTuple):
    """A text with what is new, and the regions that a person edited although what is generated has changed too."""

    text: str
    kept: tuple[str, ...]


def fill(template: str, fields: Mapping[str, str], file: str) -> str:
    """Write a first text: a field that stands alone on its line becomes a region, one within a line is only replaced.

    Raises:
        RegionError: the template has a field that does not exist.
    """
    for found in _FIELD.finditer(template):
        if found[1] not in fields:
            line = template.count("\n", 0, found.start()) + 1
            hint = did_you_mean(found[1], fields) or f"the fields are {', '.join(sorted(fields))}"
            raise RegionError(f"{file}:{line}: error: the template has an unknown field {found[1]!r}; {hint}")
    return "\n".join(_filled(line, fields) for line in template.split("\n"))


def _filled(line: str, fields: Mapping[str, str]) -> str:
    alone = _FIELD.fullmatch(line.strip())
    return _region(alone[1], fields[alone[1]]) if alone else _FIELD.sub(lambda found: fields[found[1]], line)


def update(text: str, fields: Mapping[str, str], file: str) -> Updated:
    """Write the regions of an earlier text again, but for those that somebody edited.

    Raises:
        RegionError: the comments around a region are damaged.
    """
    written, kept = [], []
    for name, mark, part in _parts(text, file):
        if not name or name not in fields:
            written.append(_region_of(name, mark, part) if name else part)
        elif _hash(part) == mark:
            written.append(_region(name, fields[name]))
        else:
            if _hash(fields[name]) != mark:
                kept.append(name)
            written.append(_region_of(name, _hash(fields[name]), part))
    return Updated("\n".join(written), tuple(kept))


def _parts(text: str, file: str) -> Iterator[tuple[str, str, str]]:
    """The text in pieces: name and mark of a region, empty outside of all, and what stands there."""
    name, mark, begun = "", "", 0
    piece: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        begin, end = _BEGIN.match(line), _END.match(line)
        if begin and name:
            raise RegionError(f"{file}:{number}: error: region {begin[1]} begins before {name} of line {begun} ends")
        if end and end[1] != name:
            raise RegionError(f"{file}:{number}: error: region {end[1]} ends here and begins nowhere")
        if begin or end:
            if piece or name:
                yield name, mark, "\n".join(piece)
            piece = []
            name, mark, begun = (begin[1], begin[2], number) if begin else ("", "", number)
        else:
            piece.append(line)
    if name:
        raise RegionError(f"{file}:{begun}: error: region {name} begins here and ends nowhere")
    if piece:
        yield "", "", "\n".join(piece)


def _region(name: str, content: str) -> str:
    return _region_of(name, _hash(content), content)


def _region_of(name: str, mark: str, content: str) -> str:
    return f"<!-- mlvitals:{name} {mark} -->\n{content}\n<!-- /mlvitals:{name} -->"


def _hash(content: str) -> str:
    return sha256(content.encode()).hexdigest()[:12]
