"""PromQL over a whole interval: a series is an array with one value for each step, NaN where it has none.

It supports what generated rules need; anything else is an error, never a silent "no". Steps are regular and samples are
on them, so that nothing is interpolated: the increase over a range is the difference between its two ends, resets
added, where Prometheus with samples elsewhere would extrapolate to the ends.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
import promql_parser
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from mlvitals.generator.rules.expressions import matches

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = frozenset[tuple[str, str]]
Vector: TypeAlias = dict[Labels, Floats]
Value: TypeAlias = Vector | Floats
"""Series, or a number for each step."""

_COMPARISONS: dict[str, Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}
_AGGREGATIONS: dict[str, Callable[[Floats], Floats]] = {
    "max": np.fmax.reduce,
    "min": np.fmin.reduce,
    "sum": lambda values: _where_any(values, np.nansum(values, axis=0)),
    "count": lambda values: _where_any(values, (~np.isnan(values)).sum(axis=0).astype(float)),
    "avg": lambda values: _where_any(
        values, np.nansum(values, axis=0) / np.maximum(1, (~np.isnan(values)).sum(axis=0))
    ),
    "group": lambda values: _where_any(values, np.ones(values.shape[1])),
}
_EACH: dict[str, Callable[..., Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "ln": np.log,
    "sgn": np.sign,
    "clamp_min": np.maximum,
    "clamp_max": np.minimum,
    "clamp": np.clip,
}


class UnknownSyntaxError(Exception):
    """An expression needs PromQL that is not supported here."""


class Store(Protocol):
    """A store of series."""

    @property
    def times(self) -> Floats:
        """The Unix time of each step."""
        ...

    @property
    def step(self) -> timedelta:
        """The time from one step to the next."""
        ...

    def series(self, name: str) -> Mapping[Labels, Floats]:
        """Return the series of a name; empty if there are no such series."""
        ...


# The rules of a system are evaluated again for every window.
_parsed = lru_cache(maxsize=1024)(promql_parser.parse)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates expressions on the series of a store."""

    store: Store

    def vector(self, expression: str) -> Vector:
        """Evaluate an expression.

        Raises:
            UnknownSyntaxError: it needs PromQL that is not supported here.
        """
        with np.errstate(all="ignore"):  # NaN represents absence
            return self._vector(_parsed(expression))

    def _vector(self, node: Any) -> Vector:
        found = self._value(node)
        if not isinstance(found, dict):
            raise UnknownSyntaxError(f"{node} is a number where series are expected")
        return {labels: values for labels, values in found.items() if not np.isnan(values).all()}

    def _number(self, node: Any) -> Floats:
        found = self._value(node)
        if isinstance(found, dict):
            raise UnknownSyntaxError(f"{node} is a vector where a number is expected")
        return found

    def _value(self, node: Any) -> Value:  # noqa: PLR0911  (one return for each kind of node)
        match node:
            case promql_parser.NumberLiteral():
                return np.full(len(self.store.times), float(node.val))
            case promql_parser.ParenExpr():
                return self._value(node.expr)
            case promql_parser.UnaryExpr():
                found = self._value(node.expr)
                return {key: -values for key, values in found.items()} if isinstance(found, dict) else -found
            case promql_parser.VectorSelector() if node.at is None:
                return self._selected(node)
            case promql_parser.AggregateExpr() if str(node.op) in _AGGREGATIONS:
                return self._aggregated(node)
            case promql_parser.Call():
                return self._called(node)
            case promql_parser.BinaryExpr():
                return self._combined(node, self._value(node.lhs), self._value(node.rhs))
        raise UnknownSyntaxError(f"{node} cannot be evaluated here")

    # ---------------------------------------------------------------- selectors and ranges

    def _selected(self, node: Any) -> Vector:
        found = self.store.series(str(node.name))
        selected = {labels: values for labels, values in found.items() if matches(node, dict(labels))}
        # The parser returns an offset as a timedelta, negative if it looks ahead.
        back = self._steps(node.offset, node) if node.offset is not None else 0
        return {labels: _delayed(values, back) for labels, values in selected.items()} if back else selected

    def _steps(self, length: Any, node: Any) -> int:
        steps = length / self.store.step
        if steps != int(steps) or steps < 0:
            raise UnknownSyntaxError(f"{node}: {length} is not a multiple of the step {self.store.step}")
        return int(steps)

    def _range(self, node: Any) -> tuple[Vector, int]:
        """Return the series of a range, and the number of steps that it spans."""
        if isinstance(node, promql_parser.ParenExpr):
            return self._range(node.expr)
        if isinstance(node, promql_parser.MatrixSelector):
            # For less than a step the history has no more information than for the step.
            length = max(node.range, self.store.step)
            return self._selected(node.vector_selector), self._steps(length, node)
        if isinstance(node, promql_parser.SubqueryExpr) and node.offset is None and node.at is None:
            return self._vector(node.expr), self._steps(node.range, node)
        raise UnknownSyntaxError(f"{node} is not a range that can be evaluated here")

    # ---------------------------------------------------------------- functions

    def _called(self, node: Any) -> Value:  # noqa: PLR0911  (one return for each kind of function)
        name, arguments = node.func.name, node.args
        if name == "time":
            return self.store.times
        if name == "vector":
            return {frozenset(): self._number(arguments[0])}
        if name == "absent":
            return self._absent(arguments[0], self._vector(arguments[0]))
        if name == "histogram_quantile":
            return _quantiles(self._number(arguments[0]), self._vector(arguments[1]))
        if name == "label_replace":
            return self._relabelled(node)
        if name in _EACH:
            rest = [self._number(argument) for argument in arguments[1:]]
            return {key: _EACH[name](values, *rest) for key, values in self._vector(arguments[0]).items()}
        if name in _OVER_TIME or name in _RATES:
            return self._over_time(name, arguments[0])
        if name == "absent_over_time":
            vector, steps = self._range(arguments[0])
            return self._absent(arguments[0], {key: _last(values, steps) for key, values in vector.items()})
        raise UnknownSyntaxError(f"the function {name} is not supported here")

    def _over_time(self, name: str, node: Any) -> Vector:
        vector, steps = self._range(node)
        if not steps:
            raise UnknownSyntaxError(f"{node} is shorter than a step of {self.store.step}")
        if name in _OVER_TIME:
            return {key: _OVER_TIME[name](values, steps) for key, values in vector.items()}
        divisor = steps * self.store.step.total_seconds() if name == "rate" else 1.0
        return {key: _increase(values, steps) / divisor for key, values in vector.items()}

    def _absent(self, node: Any, vector: Vector) -> Vector:
        while not isinstance(node, promql_parser.VectorSelector | promql_parser.MatrixSelector):
            if not isinstance(node, promql_parser.ParenExpr):
                break
            node = node.expr
        selector = getattr(node, "vector_selector", node)
        asked = getattr(getattr(selector, "matchers", None), "matchers", ())
        equal = promql_parser.MatchOp.Equal
        labels = frozenset((matcher.name, matcher.value) for matcher in asked if matcher.op == equal)
        there = np.zeros(len(self.store.times), bool)
        for values in vector.values():
            there |= ~np.isnan(values)
        return {labels: np.where(there, np.nan, 1.0)}

    def _relabelled(self, node: Any) -> Vector:
        target, replacement, source, pattern = (_text(argument) for argument in node.args[1:])
        found: Vector = {}
        for labels, values in self._vector(node.args[0]).items():
            named = dict(labels)
            match = re.fullmatch(pattern, named.get(source, ""), re.DOTALL)
            if match:
                named[target] = match.expand(re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", replacement))
            _put(found, frozenset((name, value) for name, value in named.items() if value), values, node)
        return found

    def _aggregated(self, node: Any) -> Vector:
        groups: dict[Labels, list[Floats]] = {}
        for labels, values in self._vector(node.expr).items():
            groups.setdefault(_kept(labels, node.modifier, promql_parser.AggModifierType.By), []).append(values)
        return {labels: _AGGREGATIONS[str(node.op)](np.array(values)) for labels, values in groups.items()}

    # ---------------------------------------------------------------- operators

    def _combined(self, node: Any, left: Value, right: Value) -> Value:
        symbol = str(node.op)
        as_bool = node.modifier is not None and node.modifier.return_bool

        def calculated(one: Floats, other: Floats, kept: Floats) -> Floats:
            return _calculated(symbol, one, other, kept, as_bool=as_bool)

        if isinstance(left, dict) and isinstance(right, dict):
            if symbol in _SET_OPERATIONS:
                return _set_operation(node, symbol, left, right)
            return _joined(node, left, right, calculated)
        if isinstance(left, dict):
            return {key: calculated(values, right, values) for key, values in left.items()}  # type: ignore[arg-type]
        if isinstance(right, dict):
            return {key: calculated(left, values, values) for key, values in right.items()}
        return calculated(left, right, left)


def _calculated(symbol: str, one: Floats, other: Floats, kept: Floats, *, as_bool: bool) -> Floats:
    """Compare: series keep their own values where the comparison holds; NaN stays NaN."""
    if symbol in _ARITHMETIC:
        return _ARITHMETIC[symbol](one, other)
    if symbol not in _COMPARISONS:
        raise UnknownSyntaxError(f"the operator {symbol} is not supported here")
    holds = _COMPARISONS[symbol](one, other)
    if as_bool:
        return np.where(np.isnan(one) | np.isnan(other), np.nan, holds.astype(float))
    return np.where(holds & ~np.isnan(one) & ~np.isnan(other), kept, np.nan)


def _signature(node: Any) -> Callable[[Labels], Labels]:
    matching = None if node.modifier is None else node.modifier.matching
    if matching is None:
        return lambda labels: labels
    return lambda labels: _kept(labels, matching, promql_parser.LabelModifierType.Include)


def _kept(labels: Labels, modifier: Any, including: Any) -> Labels:
    """Return the labels that `by` or `on` keeps, or that `without` or `ignoring` leaves; empty for None."""
    if modifier is None:
        return frozenset()
    included = modifier.type == including
    return frozenset((name, value) for name, value in labels if (name in modifier.labels) is included)


_SET_OPERATIONS = ("and", "or", "unless")


def _set_operation(node: Any, symbol: str, left: Vector, right: Vector) -> Vector:
    signature = _signature(node)

    def there(vector: Vector) -> dict[Labels, NDArray[np.bool_]]:
        found: dict[Labels, NDArray[np.bool_]] = {}
        for labels, values in vector.items():
            key = signature(labels)
            found[key] = found.get(key, np.zeros(len(values), bool)) | ~np.isnan(values)
        return found

    if symbol == "or":
        on_the_left = there(left)
        result = dict(left)
        for labels, values in right.items():
            hidden = on_the_left.get(signature(labels))
            shown = values if hidden is None else np.where(hidden, np.nan, values)
            result[labels] = np.where(np.isnan(result[labels]), shown, result[labels]) if labels in result else shown
        return result
    on_the_right = there(right)
    result = {}
    for labels, values in left.items():
        partner = on_the_right.get(signature(labels), np.zeros(len(values), bool))
        result[labels] = np.where(partner if symbol == "and" else ~partner, values, np.nan)
    return result


def _joined(node: Any, left: Vector, right: Vector, calculated: Callable[[Floats, Floats, Floats], Floats]) -> Vector:
    """Match one-to-one or with group_left; each step must have at most one partner."""
    card = None if node.modifier is None else node.modifier.card
    if card is not None and card not in _CARDS:
        raise UnknownSyntaxError(f"{node}: only one-to-one and group_left are supported here")
    grouped = card == promql_parser.VectorMatchCardinality.ManyToOne
    signature = _signature(node)
    partners: dict[Labels, dict[Labels, Floats]] = {}
    for labels, values in right.items():
        partners.setdefault(signature(labels), {})[labels] = values
    result: Vector = {}
    for labels, values in left.items():
        for theirs, partner in partners.get(signature(labels), {}).items():
            brought = node.modifier.group_labels if grouped else None
            key = _with_labels(labels, theirs, brought or ()) if grouped else signature(labels)
            both = np.where(np.isnan(partner), np.nan, values)
            _put(result, key, calculated(both, partner, both), node)
    return result


_CARDS = (promql_parser.VectorMatchCardinality.OneToOne, promql_parser.VectorMatchCardinality.ManyToOne)


def _with_labels(labels: Labels, partner: Labels, names: Any) -> Labels:
    brought = frozenset(item for item in partner if item[0] in names)
    return frozenset(item for item in labels if item[0] not in names) | brought


def _put(result: Vector, labels: Labels, values: Floats, node: Any) -> None:
    """Add a series; series with the same resulting labels must not have a value at the same step."""
    known = result.get(labels)
    if known is None:
        result[labels] = values
        return
    if (~np.isnan(known) & ~np.isnan(values)).any():
        raise UnknownSyntaxError(f"several series match one in {node}")
    result[labels] = np.where(np.isnan(known), values, known)


def _text(node: Any) -> str:
    if not isinstance(node, promql_parser.StringLiteral):
        raise UnknownSyntaxError(f"{node} is not a string")
    return str(node.val)


# ---------------------------------------------------------------- arrays


def _where_any(values: Floats, result: Floats) -> Floats:
    return np.where(np.isnan(values).all(axis=0), np.nan, result)


def _delayed(values: Floats, steps: int) -> Floats:
    shifted = np.full(len(values), np.nan)
    if steps < len(values):
        shifted[steps:] = values[: len(values) - steps]
    return shifted


def _window_sum(values: Floats, steps: int) -> Floats:
    """Aggregate each step and the steps before it, over the length of a range; NaN is ignored."""
    total = np.concatenate(([0.0], np.cumsum(np.nan_to_num(values))))
    start = np.maximum(0, np.arange(1, len(values) + 1) - steps)
    result: Floats = total[1:] - total[start]
    return result


def _counted(values: Floats, steps: int) -> Floats:
    found = _window_sum((~np.isnan(values)).astype(float), steps)
    return np.where(found > 0, found, np.nan)


def _increase(values: Floats, steps: int) -> Floats:
    """Return the increase of a counter over the previous steps; a fall is a restart from 0."""
    before = _delayed(values, 1)
    grown = np.where(values >= before, values - before, values)
    grown[np.isnan(before) | np.isnan(values)] = np.nan
    enough = _window_sum((~np.isnan(grown)).astype(float), steps) > 0
    return np.where(enough, _window_sum(grown, steps), np.nan)


def _changes(values: Floats, steps: int) -> Floats:
    before = _delayed(values, 1)
    changed = ((values != before) & ~np.isnan(before) & ~np.isnan(values)).astype(float)
    return np.where(np.isnan(_counted(values, steps)), np.nan, _window_sum(changed, max(1, steps - 1)))


def _extreme(values: Floats, steps: int, *, highest: bool) -> Floats:
    nothing = -math.inf if highest else math.inf
    filled = np.where(np.isnan(values), nothing, values)
    function = maximum_filter1d if highest else minimum_filter1d
    # An origin of half the size makes the window end at its step.
    found = function(filled, steps, mode="constant", cval=nothing, origin=(steps - 1) // 2)
    return np.where(np.isinf(found), np.nan, found)


def _last(values: Floats, steps: int) -> Floats:
    index = np.where(np.isnan(values), -1, np.arange(len(values)))
    newest = np.maximum.accumulate(index)
    recent = (newest >= 0) & (newest > np.arange(len(values)) - steps)
    return np.where(recent, values[newest], np.nan)


_OVER_TIME: dict[str, Callable[[Floats, int], Floats]] = {
    "sum_over_time": lambda values, steps: np.where(
        np.isnan(_counted(values, steps)), np.nan, _window_sum(values, steps)
    ),
    "count_over_time": _counted,
    "avg_over_time": lambda values, steps: _window_sum(values, steps) / _counted(values, steps),
    "max_over_time": lambda values, steps: _extreme(values, steps, highest=True),
    "min_over_time": lambda values, steps: _extreme(values, steps, highest=False),
    "last_over_time": _last,
    "present_over_time": lambda values, steps: np.where(np.isnan(_last(values, steps)), np.nan, 1.0),
    "changes": _changes,
}
_RATES = ("rate", "increase")


def _quantiles(quantile: Floats, buckets: Vector) -> Vector:
    """Compute `histogram_quantile` of cumulative buckets: interpolated within a bucket, the last finite bound beyond."""
    groups: dict[Labels, dict[float, Floats]] = {}
    for labels, values in buckets.items():
        bounds = [value for name, value in labels if name == "le"]
        if bounds:
            rest = frozenset(item for item in labels if item[0] != "le")
            groups.setdefault(rest, {})[float(bounds[0].replace("+Inf", "inf"))] = values
    return {labels: _quantile(quantile, histogram) for labels, histogram in groups.items() if math.inf in histogram}


def _quantile(quantile: Floats, histogram: Mapping[float, Floats]) -> Floats:
    bounds = np.array(sorted(histogram))
    counts = np.array([histogram[bound] for bound in bounds])
    wanted = quantile * counts[-1]
    reached = np.argmax(counts >= wanted, axis=0)
    reached = np.minimum(reached, len(bounds) - 1)
    steps = np.arange(counts.shape[1])
    below = np.where(reached > 0, counts[reached - 1, steps], 0.0)
    low = np.where(reached > 0, bounds[reached - 1], 0.0)
    share = (wanted - below) / (counts[reached, steps] - below)
    inside = low + (bounds[reached] - low) * share
    found = np.where(np.isinf(bounds[reached]), bounds[-2] if len(bounds) > 1 else np.nan, inside)
    return np.where(counts[-1] > 0, found, np.nan)
