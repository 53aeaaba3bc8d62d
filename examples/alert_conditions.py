"""Which generated alerts a window's figures raise, without a Prometheus: what a year would page, in seconds.

The conditions are the generated rules themselves, evaluated on the very page that the exporter serves for the window.
Understood is the part of PromQL that rules on one window need; anything else is an error, never a silent no.
`for` and cooldowns are left out: a window stands for its whole step.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

from exporters.exposition import render_window
from exporters.report import WindowReport
from generator.contract import Contract, Producer
from generator.promql import metric_names
from generator.rules.alerts import AlertRule, alert_rules
from generator.rules.expressions import looks_back, matches
from generator.signals import signals
from generator.spec.model import Severity, Spec

Labels: TypeAlias = frozenset[tuple[str, str]]
Vector: TypeAlias = dict[Labels, float]
Page: TypeAlias = Mapping[str, Vector]
"""The samples of a page, by metric name."""

_OF_THE_PROCESS = ("exporter_", "data_freshness_")
"""Families that change with the clock or with every run, not with a window."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda one, other: one / other if other else float("nan"),
}
_AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "count": lambda values: float(len(values)),
}


class UnknownSyntaxError(Exception):
    """An expression needs more of PromQL than is understood here."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert whose condition holds for one set of labels."""

    name: str
    severity: Severity
    labels: Mapping[str, str]
    value: float
    threshold: float

    @property
    def subject(self) -> str:
        """The feature it is about; empty for the score and for the window itself."""
        return self.labels.get("feature_name", "")


class AlertConditions:
    """The alerts of a system that a window alone decides."""

    def __init__(self, spec: Spec) -> None:
        self._contract = Contract(spec)
        self.rules = tuple(rule for rule in alert_rules(spec, signals(spec)) if self._is_of_a_window(rule))
        self._trees = tuple(promql_parser.parse(rule.alert.rule) for rule in self.rules)

    def raised(self, report: WindowReport) -> tuple[Raised, ...]:
        """The alerts that a window raises, in order of the rules.

        Raises:
            UnknownSyntaxError: a rule cannot be evaluated here.
        """
        return tuple(self.raised_by(page_of(render_window(self._contract, report).decode())))

    def raised_by(self, page: Page) -> Iterator[Raised]:
        """The alerts that the samples of a page raise."""
        for rule, tree in zip(self.rules, self._trees, strict=True):
            for labels, value in _vector(tree, page).items():
                yield Raised(rule.alert.name, rule.alert.severity, dict(labels), value, rule.alert.threshold)

    def _is_of_a_window(self, rule: AlertRule) -> bool:
        read = metric_names(rule.alert.rule)
        return (
            bool(read)
            and not looks_back(rule.alert.rule)
            and all(
                family is not None
                and family.producer is Producer.EXPORTER
                and not family.name.startswith(tuple(map(self._contract.name, _OF_THE_PROCESS)))
                for family in map(self._contract.by_series.get, read)
            )
        )


def page_of(text: str) -> Page:
    """The samples of a /metrics page."""
    page: dict[str, Vector] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # To Prometheus a label that is empty and one that is not there are the same.
            labels = frozenset((name, value) for name, value in sample.labels.items() if value)
            page.setdefault(sample.name, {})[labels] = sample.value
    return page


def evaluate(expression: str, page: Page) -> Vector:
    """The series an expression gives on a page.

    Raises:
        UnknownSyntaxError: it needs more of PromQL than is understood here.
    """
    return _vector(promql_parser.parse(expression), page)


# ---------------------------------------------------------------- evaluation


def _vector(node: Any, page: Page) -> Vector:
    found = _value(node, page)
    if isinstance(found, float):
        raise UnknownSyntaxError(f"{node} is a number where series are expected")
    return found


def _value(node: Any, page: Page) -> Vector | float:
    match node:
        case promql_parser.NumberLiteral():
            return float(node.val)
        case promql_parser.ParenExpr():
            return _value(node.expr, page)
        case promql_parser.VectorSelector() if node.offset is None and node.at is None:
            series = page.get(str(node.name), {})
            return {labels: value for labels, value in series.items() if matches(node, dict(labels))}
        case promql_parser.AggregateExpr() if str(node.op) in _AGGREGATIONS:
            return _aggregated(node, _vector(node.expr, page))
        case promql_parser.Call() if node.func.name == "abs":
            return {labels: abs(value) for labels, value in _vector(node.args[0], page).items()}
        case promql_parser.BinaryExpr():
            return _combined(node, _value(node.lhs, page), _value(node.rhs, page))
    raise UnknownSyntaxError(f"alert conditions cannot evaluate {node}")


def _aggregated(node: Any, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(_kept(labels, node.modifier, promql_parser.AggModifierType.By), []).append(value)
    return {labels: _AGGREGATIONS[str(node.op)](values) for labels, values in groups.items()}


def _kept(labels: Labels, modifier: Any, including: Any) -> Labels:
    """The labels that `by (...)` or `on (...)` keeps, or `without (...)` or `ignoring (...)` leaves; none for None."""
    if modifier is None:
        return frozenset()
    included = modifier.type == including
    return frozenset((name, value) for name, value in labels if (name in modifier.labels) is included)


def _combined(node: Any, left: Vector | float, right: Vector | float) -> Vector | float:
    symbol = str(node.op)
    if node.modifier is not None and node.modifier.return_bool:
        raise UnknownSyntaxError(f"alert conditions cannot evaluate {node}")
    if not isinstance(left, float):
        if not isinstance(right, float):
            return _joined(node, symbol, left, right)
        return _each(symbol, {labels: (value, right) for labels, value in left.items()})
    if symbol not in _ARITHMETIC:
        raise UnknownSyntaxError(f"write the number on the right in {node}")
    if isinstance(right, float):
        return _ARITHMETIC[symbol](left, right)
    return _each(symbol, {labels: (left, value) for labels, value in right.items()})


def _each(symbol: str, pairs: Mapping[Labels, tuple[float, float]]) -> Vector:
    if symbol in _COMPARISONS:
        return {labels: pair[0] for labels, pair in pairs.items() if _COMPARISONS[symbol](*pair)}
    if symbol in _ARITHMETIC:
        return {labels: _ARITHMETIC[symbol](*pair) for labels, pair in pairs.items()}
    raise UnknownSyntaxError(f"alert conditions do not know the operator {symbol}")


def _joined(node: Any, symbol: str, left: Vector, right: Vector) -> Vector:
    modifier = node.modifier
    matching = None if modifier is None else modifier.matching

    def signature(labels: Labels) -> Labels:
        return labels if matching is None else _kept(labels, matching, promql_parser.LabelModifierType.Include)

    on_the_right = {signature(labels): labels for labels in right}
    if symbol == "and":
        return {labels: value for labels, value in left.items() if signature(labels) in on_the_right}
    if symbol == "unless":
        return {labels: value for labels, value in left.items() if signature(labels) not in on_the_right}
    if symbol == "or":
        on_the_left = {signature(labels) for labels in left}
        return left | {labels: value for labels, value in right.items() if signature(labels) not in on_the_left}
    grouped = modifier is not None and modifier.card == promql_parser.VectorMatchCardinality.ManyToOne
    if len(on_the_right) < len(right) or not (grouped or len({signature(labels) for labels in left}) == len(left)):
        raise UnknownSyntaxError(f"many series match one in {node}")
    pairs: dict[Labels, tuple[float, float]] = {}
    for labels, value in left.items():
        partner = on_the_right.get(signature(labels))
        if partner is not None:
            joined = _with_labels(labels, partner, modifier.group_labels) if grouped else signature(labels)
            pairs[joined] = (value, right[partner])
    return _each(symbol, pairs)


def _with_labels(labels: Labels, partner: Labels, names: Any) -> Labels:
    brought = frozenset(item for item in partner if item[0] in names)
    return frozenset(item for item in labels if item[0] not in names) | brought
