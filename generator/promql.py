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
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|(?P<name>[A-Za-z_:][\w:]*)(?P<brace>\{)?')
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


def with_matchers(expression: str, wanted: Mapping[str, str]) -> str:
    """Add matchers to every selector of the given metrics.

    It works on tokens: metric names are distinguished from labels and functions by their system prefix, and the contents
    of strings are left alone.
    """

    def widened(token: re.Match[str]) -> str:
        matchers = wanted.get(token["name"] or "")
        if not matchers:
            return token[0]
        return f"{token['name']}{{{matchers}" + ("," if token["brace"] else "}")

    return _TOKEN.sub(widened, expression)
