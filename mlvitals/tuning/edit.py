"""Changes of a spec's text that keep its comments and its layout.

A value is replaced where it stands, and a key that is missing is added to the innermost section that is there, in the style that
this section is written in. The result is read back: it is the old spec with exactly these values, or it is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import yaml

from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.diagnostics import KeyPath, dotted
from mlvitals.generator.spec.document import parse
from mlvitals.generator.spec.load import parse_spec
from mlvitals.tuning.propose import Proposal

_INDENT = 2


class EditError(UserError):
    """The text of the spec cannot be changed in place, as where a section is an alias of another one."""


def edited(text: str, proposals: Sequence[Proposal], file: str) -> str:
    """Return the text of a spec with proposed values, and the reason next to each.

    Raises:
        EditError: it cannot be changed without changing something else.
    """
    wanted = parse(text.encode(), file).data
    for proposal in proposals:
        text = _with(text, proposal)
        _set(wanted, proposal.path, proposal.value)
    if parse(text.encode(), file).data != wanted:
        paths = ", ".join(dotted(proposal.path) for proposal in proposals)
        raise EditError(f"{file} cannot be changed in place (anchors, aliases or unusual layout); set by hand: {paths}")
    parse_spec(text, file)
    return text


def diff(before: str, after: str, file: str) -> str:
    """Return the unified diff of two texts of a file, which `patch -p1` takes."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{file}", f"b/{file}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _set(data: Any, path: KeyPath, value: object) -> None:
    for key in path[:-1]:
        if data.get(key) is None:
            data[key] = {}
        data = data[key]
    data[path[-1]] = value


def _with(text: str, proposal: Proposal) -> str:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    node, place, outer = root, 0, root
    for place, key in enumerate(proposal.path):
        outer, child = node, next((value for name, value in node.value if name.value == str(key)), None)
        if child is None or (place < len(proposal.path) - 1 and not isinstance(child, yaml.MappingNode)):
            break
        node = child
    else:
        return _noted(
            _spliced(text, node.start_mark.index, node.end_mark.index, _scalar(proposal.value)), node, proposal
        )
    rest = proposal.path[place:]
    if child is not None:  # the key is there, without a section: `thresholds:`
        raise EditError(
            f"{dotted(proposal.path[: place + 1])} has no section to add to; remove it, or set {dotted(proposal.path)}"
        )
    if outer.flow_style:
        return _noted(_in_flow(text, outer, rest, proposal.value), outer, proposal)
    return _in_block(text, outer, rest, proposal)


def _in_flow(text: str, node: Any, rest: KeyPath, value: object) -> str:
    """Add a key after the last one in braces, and after the comma that may follow that."""
    if not node.value:
        at = node.start_mark.index + 1
        return _spliced(text, at, at, _flow(rest, value))
    at = max(child.end_mark.index for _, child in node.value)
    behind = text[at : node.end_mark.index].lstrip()
    if behind.startswith(","):
        at = text.index(",", at) + 1
        return _spliced(text, at, at, f" {_flow(rest, value)}")
    return _spliced(text, at, at, f", {_flow(rest, value)}")


def _in_block(text: str, node: Any, rest: KeyPath, proposal: Proposal) -> str:
    """Add a key below the last one of a section, before comments and empty lines that follow it."""
    last = max((value for _, value in node.value), key=lambda value: value.end_mark.index)
    before = text[: last.end_mark.index].rstrip()
    at = text.find("\n", len(before))
    at = len(text) if at < 0 else at
    indent = " " * node.start_mark.column
    lines = [f"{indent}{' ' * _INDENT * depth}{_scalar(key)}:" for depth, key in enumerate(rest)]
    lines[-1] += f" {_scalar(proposal.value)}  # {proposal.reason}"
    return _spliced(text, at, at, "".join(f"\n{line}" for line in lines))


def _noted(text: str, node: Any, proposal: Proposal) -> str:
    """Return the text with the reason at the end of the line of a node, or on a line before it that has a comment already."""
    start = text.rfind("\n", 0, node.start_mark.index) + 1
    end = text.find("\n", node.start_mark.index)
    end = len(text) if end < 0 else end
    line, note = text[start:end], f"# {proposal.reason}"
    earlier = text[:start].rsplit("\n", 2)[-2:-1]
    if note in line or any(note in above for above in earlier):
        return text
    if _has_comment(line) or not _is_whole(line):
        indent = line[: len(line) - len(line.lstrip())]
        return _spliced(text, start, start, f"{indent}{note}\n")
    return _spliced(text, end, end, f"  {note}")


def _has_comment(line: str) -> bool:
    return any(mark in line for mark in (" #", "\t#"))


def _is_whole(line: str) -> bool:
    """True if a line ends nothing that goes on below, such as an open brace or quote, in which a comment could be text."""
    try:
        yaml.compose(line.strip(), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    return True


def _flow(rest: KeyPath, value: object) -> str:
    text = _scalar(value)
    for key in reversed(rest[1:]):
        text = f"{{{_scalar(key)}: {text}}}"
    return f"{_scalar(rest[0])}: {text}"


def _scalar(value: object) -> str:
    written: str = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True)
    return written.removesuffix("\n").removesuffix("\n...").strip()


def _spliced(text: str, start: int, end: int, inserted: str) -> str:
    return text[:start] + inserted + text[end:]
