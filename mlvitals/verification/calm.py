"""Telling a query that is rightly empty while all is well from one that can never find anything.

`latency > 0.1` is empty on a good day. What it reads must be there all the same: without its comparisons, and without
what `and` and `unless` take away, the query has to find something.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser

from mlvitals.generator.promql import metric_names

_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_WRITTEN_BY_ALERTS = {"ALERTS", "ALERTS_FOR_STATE"}
"""Prometheus writes them while an alert is pending or fires, and not on a good day."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is known of the server."""

    has_data: Callable[[str], bool]
    """Asks it whether a query finds anything."""
    records: Mapping[str, Sequence[str]]
    """The expressions that are recorded under a name: a record of conditions is empty on a good day, too."""


def is_calm(expression: str, asking: Asking) -> bool:
    """Whether an empty answer to a query, written without variables, means that all is well.

    Raises:
        ValueError: the expression is not PromQL.
    """
    return _calm(promql_parser.parse(expression), asking, whole=True)


def _calm(node: Any, asking: Asking, *, whole: bool = False) -> bool:
    """Whether what the node reads is there."""
    kept = _kept(node)
    if kept is not None:
        return _calm(kept, asking, whole=whole and type(node).__name__ == "ParenExpr")
    if type(node).__name__ == "BinaryExpr" and str(node.op) == "or":
        return any(_calm(side, asking, whole=whole) for side in (node.lhs, node.rhs))
    if any(map(_may_drop, (node, *_below(node)))):
        return all(_calm(_of_range(child), asking) for child in _children(node) if _reads(child))
    text = str(node)
    names = metric_names(text)
    if names and names <= _WRITTEN_BY_ALERTS:
        return True
    # As a whole it is what was found empty already.
    return (not whole and asking.has_data(text)) or _records_conditions(text, names, asking)


def _records_conditions(text: str, names: frozenset[str], asking: Asking) -> bool:
    """Whether it reads records of what is wrong, and nothing is, or not yet at the last moment that was asked for."""
    conditions = {name for name in names if any(is_calm(one, asking) for one in asking.records.get(name, ()))}
    lacking = {name for name in names if not asking.has_data(name)}
    return lacking <= conditions if lacking else bool(conditions) and asking.has_data(text)


def _kept(node: Any) -> Any:
    """The side of which series are left over; None where both matter."""
    if type(node).__name__ == "ParenExpr":
        return node.expr
    if type(node).__name__ != "BinaryExpr" or not _may_drop(node):
        return None
    compared_with_constant = str(node.op) in _COMPARISONS and type(node.lhs).__name__ == "NumberLiteral"
    return node.rhs if compared_with_constant else node.lhs


def _gives_bool(node: Any) -> bool:
    return node.modifier is not None and bool(node.modifier.return_bool)


def _is_absence(node: Any) -> bool:
    return type(node).__name__ == "Call" and node.func.name in {"absent", "absent_over_time"}


def _may_drop(node: Any) -> bool:
    """Whether it takes series away or lets them appear only when something is amiss."""
    if _is_absence(node):
        return True
    if type(node).__name__ != "BinaryExpr":
        return False
    return str(node.op) in {"and", "unless"} or (str(node.op) in _COMPARISONS and not _gives_bool(node))


def _of_range(node: Any) -> Any:
    return node.vector_selector if type(node).__name__ == "MatrixSelector" else node


def _children(node: Any) -> Iterator[Any]:
    for name in ("lhs", "rhs", "expr"):
        if getattr(node, name, None) is not None:
            yield getattr(node, name)
    yield from getattr(node, "args", ())


def _below(node: Any) -> Iterator[Any]:
    for child in _children(node):
        yield child
        yield from _below(child)


def _reads(node: Any) -> bool:
    return any(type(found).__name__ in {"VectorSelector", "MatrixSelector"} for found in (node, *_below(node)))
