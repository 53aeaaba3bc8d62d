"""Recording rules: what several rules and panels read is computed once."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from typing import Any

from generator.promql import metric_names
from generator.signals.signal import Layer, Record, Signal


def records_of(signals: Iterable[Signal]) -> tuple[Record, ...]:
    """Every record once, each after those it reads.

    Raises:
        ValueError: two records share a name but not an expression.
    """
    by_name: dict[str, Record] = {}
    for signal in signals:
        for record in signal.records:
            if by_name.setdefault(record.name, record) != record:
                raise ValueError(f"Two recording rules named {record.name} have different expressions.")
    reads = {name: sorted(metric_names(record.expression) & by_name.keys()) for name, record in by_name.items()}
    return tuple(by_name[name] for name in TopologicalSorter(reads).static_order())


def recording_rules(layer: Layer, signals: Sequence[Signal], *, thinned: bool = False) -> list[dict[str, Any]]:
    """The rules for the records, thinned ones or all others, that signals of the layer were the first to ask for."""
    owner = {record.name: signal.layer for signal in reversed(signals) for record in signal.records}
    return [
        {"record": record.name, "expr": record.expression}
        for record in records_of(signals)
        if owner[record.name] is layer and record.thinned is thinned
    ]
