"""Distinguishes a query that is empty because all is well from one that can never find anything.

`latency > 0.1` is empty while all is well, but the series that it reads must exist: without its comparisons, and without
the series that `and` and `unless` remove, the query must find something.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import promql_parser

from mlvitals.generator.contract import ConceptStatus, Contract
from mlvitals.generator.contract.concept import CHARTS
from mlvitals.generator.promql import metric_names
from mlvitals.generator.spec.model import Spec

_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_WRITTEN_BY_ALERTS = {"ALERTS", "ALERTS_FOR_STATE"}
"""Series that Prometheus writes only while an alert is pending or firing."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The knowledge about the server."""

    has_data: Callable[[str], bool]
    """Returns True if a query finds anything."""
    records: Mapping[str, Sequence[str]]
    """The expressions that are recorded under a name: a record of conditions is empty too while all is well."""
    excuses: Mapping[str, str] = field(default_factory=dict)
    """By metric that a healthy system may lack, a query that finds something while it does."""


def is_calm(expression: str, asking: Asking) -> bool:
    """True if an empty answer to a query, written without variables, means that all is well.

    Raises:
        ValueError: the expression is not PromQL.
    """
    return _calm(promql_parser.parse(expression), asking, whole=True)


def is_pending(expression: str, asking: Asking) -> bool:
    """True if all that an empty query lacks is what a new system cannot have yet."""
    lacking = [name for name in metric_names(expression) if not asking.has_data(name)]
    return bool(lacking) and all(_is_excused(name, asking) for name in lacking)


def _is_excused(name: str, asking: Asking) -> bool:
    if excuse := asking.excuses.get(name):
        return asking.has_data(excuse)
    return any(is_pending(one, asking) for one in asking.records.get(name, ()))


def excuses_of(spec: Spec) -> Mapping[str, str]:
    """Return the metrics that a healthy new system lacks, and the queries by which it says so.

    The charts of the gap between predictions and outcomes come once the baseline is learnt. Learning that stalled is no
    excuse.
    """
    contract = Contract(spec)
    waiting = "|".join((ConceptStatus.LEARNING, ConceptStatus.NO_OUTCOMES))
    excuse = f'{contract.name("concept_status")}{{status=~"{waiting}"}} == 1'
    return {contract.name(short): excuse for short in CHARTS}


def _calm(node: Any, asking: Asking, *, whole: bool = False) -> bool:
    """True if the series that the node reads exist."""
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
    # The whole expression is already known to be empty.
    return (not whole and asking.has_data(text)) or _records_conditions(text, names, asking)


def _records_conditions(text: str, names: frozenset[str], asking: Asking) -> bool:
    """True if it reads records of problems, and there are none, or none yet at the last time queried."""
    conditions = {name for name in names if any(is_calm(one, asking) for one in asking.records.get(name, ()))}
    lacking = {name for name in names if not asking.has_data(name)}
    return lacking <= conditions if lacking else bool(conditions) and asking.has_data(text)


def _kept(node: Any) -> Any:
    """Return the side whose series remain; None if both matter."""
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
    """True if it removes series, or lets them appear only if something is wrong."""
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
