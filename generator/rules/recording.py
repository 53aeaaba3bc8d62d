"""Recording rules: expressions that several rules and panels read are computed once."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from typing import Any

from mlvitals.generator.promql import metric_names
from mlvitals.generator.signals.signal import Layer, Record, Signal

_Identity = tuple[str, tuple[tuple[str, str], ...]]
"""Return the name and the fixed labels of a record: no two records may share both."""


def records_of(signals: Iterable[Signal]) -> tuple[Record, ...]:
    """Return every record once, each after those it reads.

    Raises:
        ValueError: two records share a name and labels but not an expression.
    """
    known: dict[_Identity, Record] = {}
    for signal in signals:
        for record in signal.records:
            if known.setdefault(_identity(record), record) != record:
                raise ValueError(f"Two recording rules named {record.name} have different expressions.")
    by_name: dict[str, list[_Identity]] = {}
    for identity in known:
        by_name.setdefault(identity[0], []).append(identity)
    reads = {
        identity: [read for name in sorted(metric_names(record.expression) & by_name.keys()) for read in by_name[name]]
        for identity, record in known.items()
    }
    return tuple(known[identity] for identity in TopologicalSorter(reads).static_order())


def expressions_by_name(records: Iterable[Record]) -> dict[str, tuple[str, ...]]:
    """Return the expressions of the records of each name."""
    found: dict[str, tuple[str, ...]] = {}
    for record in records:
        found[record.name] = (*found.get(record.name, ()), record.expression)
    return found


def records_by_layer(signals: Sequence[Signal]) -> dict[Layer, list[Record]]:
    """Return the records of every layer: those that its signals use first."""
    owner = {_identity(record): signal.layer for signal in reversed(signals) for record in signal.records}
    found: dict[Layer, list[Record]] = {layer: [] for layer in Layer}
    for record in records_of(signals):
        found[owner[_identity(record)]].append(record)
    return found


def recording_rule(record: Record) -> dict[str, Any]:
    """Return a record as the rules file holds it."""
    labels = {"labels": dict(record.labels)} if record.labels else {}
    return {"record": record.name, "expr": record.expression, **labels}


def _identity(record: Record) -> _Identity:
    return record.name, record.labels
