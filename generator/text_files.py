"""Writing generated text files: the same document always gives the same bytes.

Of YAML, what is written is blocks of mappings, lists and scalars. PyYAML says which text needs quotes; the blocks are written
here, because its emitter, which is made for any stream of events, took three quarters of the time of compiling a spec.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from io import StringIO
from typing import Any

import msgspec
import yaml

_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""Characters that not all YAML parsers treat as line breaks; text with them is always quoted."""
_ESCAPED = re.compile('["\\\\\x85\u2028\u2029\ufeff]|[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]')
_LONG_KEY = 128
"""Characters from which on a key gets a question mark: PyYAML's limit, and parsers need none below 1024."""
_TEXT = "tag:yaml.org,2002:str"
_PYYAML = yaml.SafeDumper(StringIO(), allow_unicode=True)


def yaml_file(document: Mapping[str, Any], *comments: str) -> str:
    """Write a YAML file under its comment lines.

    Keys keep their order; text of several lines becomes a literal block, no line is ever folded, and equal values are written
    out instead of referred to.

    Raises:
        TypeError: a value is neither a dict, a list, text, a number, a boolean nor None.
    """
    return "".join(f"# {comment}\n" for comment in comments) + _node(document, "\n") + "\n"


def json_file(document: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    """Write a JSON file, indented by two spaces, with a newline at the end."""
    # The encoder of the standard library is written in C as long as it need not indent.
    return msgspec.json.format(json.dumps(document, sort_keys=sort_keys, ensure_ascii=False), indent=2) + "\n"


def _node(value: Any, start: str) -> str:
    """Return a value as YAML; `start` is the line break and the indentation of its lines after the first."""
    match value:
        case str():
            return _literal(value, start) if _is_literal(value) else _inline(value)
        case Mapping():
            return start.join(_entry(key, item, start) for key, item in value.items()) or "{}"
        case list() | tuple():
            return start.join(f"- {_node(item, start + '  ')}" for item in value) or "[]"
        case None | bool() | int() | float():
            return str(_PYYAML.represent_data(value).value)
    raise TypeError(f"YAML files hold plain data, not {type(value).__name__}")


def _entry(key: Any, value: Any, start: str) -> str:
    inner = f"{start}  "
    name = _inline(key) if isinstance(key, str) else _node(key, inner)
    name = f"{name}:" if len(name) < _LONG_KEY else f"? {name}{start}:"
    space = inner if value and isinstance(value, Mapping | list | tuple) else " "
    return f"{name}{space}{_node(value, inner)}"


@lru_cache(maxsize=1 << 14)
def _inline(text: str) -> str:
    """Return text on one line: plain if it then reads as this text, else in double quotes."""
    plain = _PYYAML.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT  # type: ignore[no-untyped-call]
    found = _PYYAML.analyze_scalar(text)
    if plain and found.allow_block_plain and not found.multiline and text and not _ODD_BREAKS.search(text):
        return text
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if short := _PYYAML.ESCAPE_REPLACEMENTS.get(character):
        return f"\\{short}"
    code = ord(character)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


@lru_cache(maxsize=1 << 14)
def _is_literal(text: str) -> bool:
    return "\n" in text and not _ODD_BREAKS.search(text) and bool(_PYYAML.analyze_scalar(text).allow_block)


def _literal(text: str, start: str) -> str:
    """Return text as a literal block: the indentation is stated where the text starts with space, then what ends it."""
    indentation = "2" if text[0] in " \n" else ""
    chomping = "-" if text[-1] != "\n" else "+" if text[-2:] in {"\n", "\n\n"} else ""
    lines = text.removesuffix("\n").split("\n")
    return f"|{indentation}{chomping}" + "".join(start + line if line else "\n" for line in lines)
