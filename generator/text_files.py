"""Writing generated text files: the same document always gives the same bytes."""

import sys
from collections.abc import Mapping
from typing import Any

import yaml

_ODD_BREAKS = ("\r", "\x85", "\u2028", "\u2029")
"""Characters that not all YAML parsers treat as line breaks; text with them is always quoted."""


class _Writer(yaml.SafeDumper):
    """PyYAML's writer with items indented under their key, double quotes, and no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def choose_scalar_style(self) -> Any:
        style = super().choose_scalar_style()
        return '"' if style == "'" else style


def _write_text(writer: _Writer, text: str) -> yaml.ScalarNode:
    if any(character in text for character in _ODD_BREAKS):
        return writer.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Writer.add_representer(str, _write_text)


def yaml_file(document: Mapping[str, Any], *comments: str) -> str:
    """Write a YAML file under its comment lines.

    Keys keep their order; text of several lines becomes a literal block, and no line is ever folded.
    """
    body = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    return "".join(f"# {comment}\n" for comment in comments) + body
