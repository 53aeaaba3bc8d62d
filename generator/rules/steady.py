"""The value of an expression while nothing changes: gauges are constant, and counters grow at one pace.

What a recording rule must record then is computed here, without Prometheus and as if one process published everything.
"""

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser

from mlvitals.generator.contract import Family, MetricType
from mlvitals.generator.promql import syntax_nodes
from mlvitals.generator.rules.expressions import looks_back, matches
from mlvitals.generator.signals.signal import Input, Record

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_FILTERS: Mapping[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt, "!=": operator.ne}
_AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min, "count": len}
_EACH: Mapping[str, Callable[..., float]] = {"abs": abs, "ln": math.log, "clamp_min": max, "clamp_max": min}
_CONSTANT_OVER_TIME = {"max_over_time", "min_over_time", "avg_over_time", "last_over_time"}


class UnsteadyError(Exception):
    """An expression has no steady value, or uses PromQL that is not understood here."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Steady inputs, and the records that are computed from them."""

    inputs: Sequence[Input]
    records: Mapping[str, Sequence[Record]]

    def recorded(self, record: Record) -> Vector:
        """Return the series of a record.

        Raises:
            UnsteadyError: they have no steady value.
        """
        if looks_back(record.expression):
            raise UnsteadyError(record.expression)
        found = self._value(promql_parser.parse(record.expression))
        if not isinstance(found, dict):
            raise UnsteadyError(record.expression)
        return {frozenset({**dict(labels), **dict(record.labels)}.items()): value for labels, value in found.items()}

    def _value(self, node: Any) -> Vector | float:
        match node:
            case promql_parser.NumberLiteral():
                return float(node.val)
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                inner = self._value(node.expr)
                return inner if isinstance(node, promql_parser.ParenExpr) else self._combined("*", -1.0, inner)
            case promql_parser.VectorSelector():
                return self._selected(node, lambda item: item.value)
            case promql_parser.AggregateExpr() if str(node.op) in _AGGREGATIONS:
                return self._aggregated(node)
            case promql_parser.Call():
                return self._called(node.func.name, node.args)
            case promql_parser.BinaryExpr() if _is_plain(node.modifier):
                return self._combined(str(node.op), self._value(node.lhs), self._value(node.rhs))
        raise UnsteadyError(str(node))

    def _vector(self, node: Any) -> Vector:
        found = self._value(node)
        if not isinstance(found, dict):
            raise UnsteadyError(str(node))
        return found

    def _selected(self, node: Any, value: Callable[[Input], float]) -> Vector:
        records = self.records.get(node.name, ())
        found = [series for record in records for series in self.recorded(record).items()]
        found += [(frozenset(item.labels.items()), value(item)) for item in self.inputs if item.metric == node.name]
        return {labels: each for labels, each in found if matches(node, dict(labels))}

    def _aggregated(self, node: Any) -> Vector:
        by = set(node.modifier.labels) if node.modifier is not None else set()
        groups: dict[Labels, list[float]] = {}
        for labels, value in self._vector(node.expr).items():
            groups.setdefault(frozenset(each for each in labels if each[0] in by), []).append(value)
        return {labels: float(_AGGREGATIONS[str(node.op)](values)) for labels, values in groups.items()}

    def _called(self, name: str, arguments: Sequence[Any]) -> Vector:
        if name == "vector":
            return self._combined("+", {frozenset(): 0.0}, self._value(arguments[0]))
        if not arguments:
            raise UnsteadyError(name)
        ranged = arguments[0]
        if name in {"rate", "increase"} and isinstance(ranged, promql_parser.MatrixSelector):
            seconds = ranged.range.total_seconds() if name == "increase" else 1
            return self._selected(ranged.vector_selector, lambda item: item.slope * seconds)
        if name in _CONSTANT_OVER_TIME:
            return self._vector(getattr(ranged, "vector_selector", None) or ranged.expr)
        if name in _EACH:
            rest = [self._value(each) for each in arguments[1:]]
            return {labels: _EACH[name](value, *rest) for labels, value in self._vector(arguments[0]).items()}
        raise UnsteadyError(name)

    def _combined(self, sign: str, left: Vector | float, right: Vector | float) -> Vector:
        if sign == "or" and isinstance(left, dict) and isinstance(right, dict):
            return {**right, **left}
        if isinstance(left, float):
            left = dict.fromkeys(right if isinstance(right, dict) else (frozenset(),), left)
        if isinstance(right, float):
            right = dict.fromkeys(left, right)
        both = [(labels, left[labels], right[labels]) for labels in left.keys() & right.keys()]
        if sign in _FILTERS:
            return {labels: one for labels, one, other in both if _FILTERS[sign](one, other)}
        if sign in _ARITHMETIC:
            return {labels: _ARITHMETIC[sign](one, other) for labels, one, other in both}
        raise UnsteadyError(sign)


def _is_plain(modifier: Any) -> bool:
    """True of an operation between series of equal labels; that of a set always has a modifier."""
    return modifier is None or (modifier.matching is None and not modifier.return_bool)


def steady_inputs(records: Iterable[Record], families: Mapping[str, Family]) -> Iterator[Input]:
    """Yield a series for every selector of the records that reads a published family, each with a value of its own."""
    known: set[tuple[str, Labels]] = set()
    for record in records:
        for node in syntax_nodes(record.expression):
            if isinstance(node, promql_parser.VectorSelector) and str(node.name) in families:
                metric, family = str(node.name), families[str(node.name)]
                given = {
                    each.name: each.value for each in node.matchers.matchers if each.op == promql_parser.MatchOp.Equal
                }
                labels = {**dict.fromkeys(family.labels, "example"), **given}
                identity = metric, frozenset(labels.items())
                if identity not in known and matches(node, labels):
                    known.add(identity)
                    # Eighths are exact in binary, so that sums of shares are exact too.
                    pace = 1 + len(known) / 8
                    counts = family.type is not MetricType.GAUGE
                    yield Input(metric, labels, slope=pace) if counts else Input(metric, labels, pace)
