"""Our part of an alertmanager.yml that belongs to somebody else: added or replaced as text, so that all else stays as it is.

Each list that has a part of ours holds it between two comments, first of all items: routes are tried in order. A list that is
missing is written, and taken away again with its last part. Comments, order, quotes and anchors of the rest are not touched,
and before anything is returned the result is read again: without our parts it must say what the file said before.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from mlvitals.generator.errors import UserError
from mlvitals.generator.routing.fragment import Fragment
from mlvitals.generator.text_files import yaml_file

_LISTS = ("templates", "receivers", "inhibit_rules", "time_intervals")
_OPEN, _CLOSE = "# >>> mlvitals", "# <<< mlvitals"
_IN_BRACKETS = ", in brackets"
_PAD = " " * 24
"""Deeper than any key that a list in brackets may belong to: what follows our part has to be."""
_KEY = "key"
_LINE_OF_A_KEY = re.compile(rf"^[ ]*\w+: {_OPEN} {_KEY}\r?\n", re.MULTILINE)


class MergeError(UserError):
    """A file that our part cannot be added to; the message names the place."""


def merged(text: str, parts: Mapping[str, Fragment], template: str, file: str = "alertmanager.yml") -> str:
    """Return an alertmanager.yml with the parts of these systems in place of what it has of them.

    Args:
        text: the file.
        parts: of each system, by its name.
        template: the path of the message templates, as Alertmanager finds them.
        file: its name, for messages.

    Raises:
        MergeError: the file is no configuration of Alertmanager, or is written in a way that allows no addition.
    """
    stripped = without(text, parts)
    for part in parts.values():
        _check_names(_File(stripped, file), part)
    result = stripped
    for name, part in parts.items():
        lists = {
            "templates": (template,),
            "receivers": part.receivers,
            "inhibit_rules": part.inhibit_rules,
            "time_intervals": part.time_intervals,
        }
        for key in _LISTS:
            if lists[key]:
                result = _added(_File(result, file), (), key, name, lists[key])
        result = _added(_File(result, file), ("route",), "routes", name, (part.route,))
    restored = without(result, parts)
    if restored not in (stripped, f"{stripped}\n", f"{stripped}\r\n") or not _adds_only(result, stripped, parts):
        raise MergeError(
            f"{file}:1:1: error: is written in a way that allows no addition; write one item of a list a line"
        )
    return result


def without(text: str, names: Sequence[str] | Mapping[str, Any]) -> str:
    """Return an alertmanager.yml without the parts of these systems, and without the lists that were written for parts."""
    for name in names:
        text = re.sub(_part(name, ""), "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(_part(name, _IN_BRACKETS) + _PAD, "", text, flags=re.DOTALL)
    for found in reversed([*_LINE_OF_A_KEY.finditer(text)]):
        following = text[found.end() :].lstrip(" ")
        if not following.startswith(_OPEN):
            text = text[: found.start()] + text[found.end() :]
    return text


def _part(name: str, kind: str) -> str:
    """Return a regular expression of the part of a system."""
    start = "^[ ]*" if not kind else " "
    opened, closed = re.escape(f"{_OPEN} {name}{kind}"), re.escape(f"{_CLOSE} {name}{kind}")
    return rf"{start}{opened}\r?\n.*?{closed}\r?\n"


def _place(text: str, index: int, name: str, kind: str) -> int:
    """Return where the part of a system belongs in a list that starts at an index: the parts are in order of their names."""
    any_part = re.compile(rf"[ ]*{_OPEN} (?P<name>[\w-]+){kind}\r?\n.*?{_CLOSE} (?P=name){kind}\r?\n", re.DOTALL)
    while (found := any_part.match(text, index)) and found["name"] < name:
        index = found.end() + (len(_PAD) if kind else 0)
    return index


def _adds_only(result: str, before: str, parts: Mapping[str, Fragment]) -> bool:
    """True if the file says what it said before, and in addition our parts."""
    new, old = yaml.safe_load(result), yaml.safe_load(before)
    try:
        for part in parts.values():
            new["route"]["routes"].remove(part.route)
            del new["templates"][0]
            for key in _LISTS[1:]:
                for entry in getattr(part, key):
                    new[key].remove(entry)
    except (KeyError, IndexError, ValueError):
        return False
    return _without_empty(new) == _without_empty(old)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in which a list that is empty is as good as one that is missing."""
    route = {key: value for key, value in document["route"].items() if key != "routes" or value}
    return {**{key: value for key, value in document.items() if key not in _LISTS or value}, "route": route}


# ---------------------------------------------------------------- the file


class _File:
    """A text, and the nodes of YAML in it with their places."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.newline = "\r\n" if "\r\n" in text else "\n"
        try:
            documents = list(yaml.compose_all(text, yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"
            raise MergeError(f"{place}: error: is not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise MergeError(f"{name}:1:1: error: is not YAML: {error}") from None
        if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
            raise MergeError(
                f"{name}:1:1: error: is no configuration of Alertmanager: it needs one mapping with route and receivers"
            )
        self.root = documents[0]
        for key in ("route", "receivers"):
            if self.find(self.root, key) is None:
                raise MergeError(f"{name}:1:1: error: has no {key}; is this the configuration of an Alertmanager?")

    def find(self, mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        """Return key and value of an entry that stands in a mapping itself."""
        found = [(name, value) for name, value in mapping.value if name.value == key]
        if len(found) > 1:
            raise self.error(found[1][0], f"{key} is written twice; keep one")
        merge = next((name for name, _ in mapping.value if name.tag == "tag:yaml.org,2002:merge"), None)
        if not found and merge is not None:
            raise self.error(merge, f"{key} may come from a merge key here; write it out")
        if found and found[0][1].start_mark.index < found[0][0].end_mark.index:
            raise self.error(found[0][0], f"{key} is an alias of something above; write it out")
        return found[0] if found else None

    def error(self, node: yaml.Node, message: str) -> MergeError:
        """Return an error at a node."""
        return MergeError(f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: error: {message}")

    def line_after(self, index: int) -> int:
        """Return where the line after the one of an index starts."""
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1

    def with_lines(self, index: int, lines: str) -> str:
        """Return the text with more lines at the start of a line."""
        before = self.text[:index]
        if before and not before.endswith("\n"):
            before += self.newline
        return before + lines.replace("\n", self.newline) + self.text[index:]


def _added(file: _File, path: Sequence[str], key: str, name: str, items: Sequence[Any]) -> str:
    """Return the text of a file with our items at the start of a list, which is written if it is missing."""
    mapping = file.root
    for step in path:
        found = file.find(mapping, step)
        if found is None or not isinstance(found[1], yaml.MappingNode):
            raise file.error(mapping, f"has no mapping {step}")
        mapping = found[1]
    found = file.find(mapping, key)
    if found is None:
        return _added(_File(_with_key(file, mapping, key), file.name), path, key, name, items)
    key_node, value = found
    if isinstance(value, yaml.SequenceNode) and value.flow_style:
        return _in_brackets(file, value, name, items)
    if isinstance(value, yaml.SequenceNode):
        index = _place(file.text, file.line_after(key_node.end_mark.index), name, "")
        return file.with_lines(index, _block(name, items, value.start_mark.column))
    if isinstance(value, yaml.ScalarNode) and not value.value:
        indent = key_node.start_mark.column + 2
        return file.with_lines(file.line_after(key_node.end_mark.index), _block(name, items, indent))
    raise file.error(value, f"{key} is no list; write one, or nothing")


def _with_key(file: _File, mapping: yaml.MappingNode, key: str) -> str:
    """Return the text with an empty list after the last entry of a mapping."""
    if mapping.flow_style or not mapping.value:
        raise file.error(mapping, f"has no {key}, and is written in braces; write one key a line")
    pad = " " * mapping.value[0][0].start_mark.column
    return file.with_lines(_end(file, mapping.value[-1][1]), f"{pad}{key}: {_OPEN} {_KEY}\n")


def _end(file: _File, node: yaml.Node) -> int:
    """Return where the line after the last one of a node starts."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    mark = node.end_mark
    is_block_text = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    index: int = mark.index if is_block_text and mark.column == 0 else file.line_after(mark.index)
    while file.text[index:].lstrip(" ").startswith(_CLOSE):
        index = file.line_after(index)
    return index


def _block(name: str, items: Sequence[Any], column: int) -> str:
    """Return items of a list in block style between our comments."""
    pad = " " * column
    _, _, written = yaml_file({"items": list(items)}).partition("\n")
    lines = "".join(f"{pad}{line.removeprefix('  ')}\n" if line else "\n" for line in written.splitlines())
    return f"{pad}{_OPEN} {name}\n{lines}{pad}{_CLOSE} {name}\n"


def _in_brackets(file: _File, node: yaml.SequenceNode, name: str, items: Sequence[Any]) -> str:
    """Return the text with items at the start of a list in brackets."""
    # An anchor or a tag may stand before the bracket.
    start = _place(file.text, file.text.index("[", node.start_mark.index) + 1, name, _IN_BRACKETS)
    lines = "".join(f"{_PAD}{json.dumps(item)},\n" for item in items)
    part = f" {_OPEN} {name}{_IN_BRACKETS}\n{lines}{_PAD}{_CLOSE} {name}{_IN_BRACKETS}\n{_PAD}"
    return file.text[:start] + part.replace("\n", file.newline) + file.text[start:]


def _check_names(file: _File, part: Fragment) -> None:
    """Refuse a file that has our names already, outside of our parts."""
    wanted = {entry["name"] for entry in (*part.receivers, *part.time_intervals)}
    for name in _names(file):
        if name.value in wanted:
            raise file.error(name, f"{json.dumps(name.value)} is what ours is called; remove it, or rename it")


def _names(file: _File) -> Iterator[yaml.Node]:
    """Yield the names of the receivers and times of a file."""
    for key in ("receivers", "time_intervals", "mute_time_intervals"):
        found = next((value for name, value in file.root.value if name.value == key), None)
        for entry in found.value if isinstance(found, yaml.SequenceNode) else ():
            if isinstance(entry, yaml.MappingNode):
                yield from (value for name, value in entry.value if name.value == "name")
