"""The inputs of an expression: its lookback and its series."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import promql_parser

from mlvitals.generator.promql import syntax_nodes


def ranges(expression: str, records: Mapping[str, Sequence[str]]) -> Iterator[float]:
    """Yield the seconds of samples of each range that an expression reads, including those of the records it reads.

    `records` gives the expressions of the records of each name.
    """
    nodes = tuple(syntax_nodes(expression))
    yield from (
        node.range.total_seconds() for node in nodes if type(node).__name__ in {"MatrixSelector", "SubqueryExpr"}
    )
    for node in _selectors(nodes):
        for one in records.get(node.name, ()):
            yield from ranges(one, records)


def reads_only(expression: str, series: tuple[tuple[str, Mapping[str, str]], ...]) -> bool:
    """True if every selector of an expression matches one of the series, each given by name and labels."""
    return all(
        any(selector.name == name and matches(selector, labels) for name, labels in series)
        for selector in _selectors(syntax_nodes(expression))
    )


def looks_back(expression: str) -> bool:
    """True if a selector of an expression reads another time than now."""
    return any(node.offset is not None or node.at is not None for node in _selectors(syntax_nodes(expression)))


def _selectors(nodes: Any) -> Iterator[Any]:
    return (node for node in nodes if type(node).__name__ == "VectorSelector")


def matches(selector: Any, labels: Mapping[str, str]) -> bool:
    """True if a series of a vector selector's own metric has the labels that it requires."""
    return all(_holds(matcher, labels.get(matcher.name, "")) for matcher in selector.matchers.matchers)


def _holds(matcher: Any, value: str) -> bool:
    kind = promql_parser.MatchOp
    plain = matcher.op == kind.Equal or matcher.op == kind.NotEqual  # noqa: PLR1714  (the operators have no hash)
    agrees = value == matcher.value if plain else re.fullmatch(matcher.value, value, re.DOTALL) is not None
    return agrees is (matcher.op == kind.Equal or matcher.op == kind.Re)  # noqa: PLR1714
