"""Writing PromQL safely: quoting, selectors, durations, exact numbers, and reading an expression back."""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

_ESCAPES = str.maketrans(
    {chr(code): f"\\x{code:02x}" for code in (*range(0x20), ord("$"), 0x7F)}
    | {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)
_STRING = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)"""
_COMMENT = r"\#[^\n]*+"
_NAME = r"[A-Za-z_:][\w:]*+"
_TOKEN = re.compile(
    rf"""
    {_STRING} | (?P<comment>{_COMMENT})
    | (?<![\w:])\d[\w.]*                                                     # numbers and durations
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\((?:{_COMMENT}|[^()#])*\)
    | (?P<name>{_NAME})? (?P<gap>(?:\s|{_COMMENT})*+) \{{ (?P<inside>(?:{_STRING}|{_COMMENT}|[^}}"'`#])*+) \}}
    | (?P<bare>{_NAME})
    """,
    re.VERBOSE | re.DOTALL,
)
"""Tokens of PromQL: selectors, and everything that only looks like one."""
_STRING_OR_COMMENT = re.compile(rf"(?P<string>{_STRING})|{_COMMENT}", re.DOTALL)
_GAP = rf"(?:\s|{_COMMENT})*+"
_MATCHER = re.compile(
    rf"{_COMMENT}|(?P<matcher>(?P<label>{_NAME}|{_STRING}){_GAP}(?:=~|!~|!=|=){_GAP}{_STRING})|{_STRING}", re.DOTALL
)
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quote(text: str) -> str:
    r"""Quote text as a PromQL string.

    A dollar sign is written ``\x24``, which Prometheus reads back as a dollar, so that neither Grafana's
    variables nor Prometheus's own templates can expand text from a spec.
    """
    return f'"{text.translate(_ESCAPES)}"'


def regex(values: Iterable[str]) -> str:
    """Return a regular expression (RE2) that matches exactly the given values."""
    return "|".join(_REGEX_SPECIAL.sub(lambda match: "\\" + match[0], value) for value in values)


def selector(metric: str, **labels: str) -> str:
    """Return a selector with equality matchers: ``selector("up", job="a")`` is ``up{job="a"}``."""
    return metric + _braces(f"{name}={quote(value)}" for name, value in labels.items())


def one_of(label: str, values: Iterable[str], *, negate: bool = False) -> str:
    """Return a matcher for a label that has, or does not have, one of the values."""
    return f"{label}{'!~' if negate else '=~'}{quote(regex(values))}"


def matching(metric: str, *matchers: str) -> str:
    """Return a selector from ready matchers."""
    return metric + _braces(matchers)


def _braces(matchers: Iterable[str]) -> str:
    inside = ",".join(matchers)
    return f"{{{inside}}}" if inside else ""


def number(value: float) -> str:
    """Write a number exactly as a person would: 0.999, 100, 0.075; never 0.9990000000000001 or 1e-05."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def series(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as promtool's input_series and alert tests write it."""
    return selector(name, **labels)


@lru_cache(maxsize=2048)
def metric_names(expression: str) -> frozenset[str]:
    """Return the names of all metrics an expression reads.

    Raises:
        ValueError: the expression is not PromQL.

    """
    return frozenset(node.name for node in syntax_nodes(expression) if type(node).__name__ == "VectorSelector")


def syntax_nodes(expression: str) -> Iterator[Any]:
    """Yield every node of an expression's syntax tree, as promql-parser's types.

    Raises:
        ValueError: the expression is not PromQL.
    """
    import promql_parser  # noqa: PLC0415  (a native module: loaded by the commands that parse)

    yield from _nodes(promql_parser.parse(expression))


def _nodes(node: Any) -> Iterator[Any]:
    """Walk promql-parser's tree, whose node classes share no interface."""
    yield node
    for child in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if getattr(node, child, None) is not None:
            yield from _nodes(getattr(node, child))
    for argument in getattr(node, "args", ()):
        yield from _nodes(argument)


def with_matchers(expression: str, wanted: Mapping[str, str], *, unsaid: bool = False) -> str:
    """Add matchers to every selector of the given metrics; what a selector has already is not added again.

    With `unsaid`, a selector that says anything about a label keeps its own word about it. Labels, functions, strings and
    comments are no selectors, whatever they contain.
    """

    def widened(token: re.Match[str]) -> str:
        name = token["name"] or token["bare"] or ""
        matchers = wanted.get(name)
        if not matchers:
            return token[0]
        inside = token["inside"] or ""
        part = "label" if unsaid else "matcher"
        there = {found[part].strip("\"'`") if unsaid else found[part] for found in _matchers(inside)}
        added = [found["matcher"] for found in _matchers(matchers) if found[part] not in there]
        if not added:
            return token[0]
        return f"{name}{token['gap'] or ''}{{{','.join(added)}{',' + inside if inside else ''}}}"

    return _TOKEN.sub(widened, expression)


def with_replaced(expression: str, matchers: Mapping[str, str]) -> str:
    """Replace matchers of every selector by others, where they stand exactly as given."""

    def replaced(token: re.Match[str]) -> str:
        inside = token["inside"]
        if not inside:
            return token[0]
        changed = _MATCHER.sub(lambda found: matchers.get(found[0], found[0]), inside)
        return f"{token['name'] or ''}{token['gap'] or ''}{{{changed}}}"

    return _TOKEN.sub(replaced, expression)


def _matchers(inside: str) -> Iterator[re.Match[str]]:
    """Yield the matchers between the braces of a selector."""
    return (found for found in _MATCHER.finditer(inside) if found["matcher"])


def without_comments(expression: str) -> str:
    """Return the same PromQL without its comments, so that it can stand inside another expression."""
    return _STRING_OR_COMMENT.sub(lambda token: token["string"] or "", expression)
