"""Running totals of business events, so that they are counters although they are counted step by step.

The table `business_events` holds what was counted in each step, under the name of its metric. A total is the sum over
the steps. It never falls, for Prometheus would take that for a restart and add all of it again: a step that is measured
again keeps the larger amount, a step that overlaps others than itself is not added, and what is past its retention is
folded into one long step. Amounts are whole millionths, so that a sum is exact in whatever order it is made. A step has
to fit into 64 bits; a total, as of a revenue in dong, need not.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

from sqlalchemy import Column, Connection, String, Table, and_, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import TABLES, UtcDateTime
from mlvitals.exporters.parts import Window
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import Spec

MILLION = 1_000_000
_LARGEST = 2**63 - 1
"""Millionths that a row can hold."""

Amounts: TypeAlias = Mapping[str, float]
"""The amounts counted in a step, by the counter's metric name."""

business_events = Table(
    "business_events",
    TABLES,
    Column("system", String(40), primary_key=True),
    # The metric's name: an event that gets another unit starts anew, as its metric does.
    Column("counter", String(200), primary_key=True),
    Column("step_end", UtcDateTime, primary_key=True),
    Column("step_start", UtcDateTime, nullable=False),
    Column("millionths", BigInteger, nullable=False),
)


class Counted(NamedTuple):
    """The result of adding a step's amount."""

    total: float
    """Up to the end of the step."""
    remark: str = ""
    """Why the total did not grow by the amount; else empty."""


class TotalsKeeper(Protocol):
    """Keeps running totals."""

    def count_step(self, system: str, step: Window, amounts: Amounts) -> Mapping[str, Counted]:
        """Add what was counted in a step, and return the totals at its end."""


class TotalsInMemory:
    """Totals of successive steps, for a history that is kept nowhere."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}

    def count_step(self, system: str, step: Window, amounts: Amounts) -> Mapping[str, Counted]:
        """Add what was counted in the next step."""
        for counter, amount in amounts.items():
            self._totals[counter] = self._totals.get(counter, 0) + _millionths(amount)
        return {counter: Counted(self._totals[counter] / MILLION) for counter in amounts}


def logged_counters(spec: Spec) -> dict[str, str]:
    """Return the metric names of the events of the log that have a running total, by event."""
    contract, unique = Contract(spec), spec.business.unique
    return {name: contract.event(name) for name in spec.business.logged if name not in unique}


def _millionths(amount: float) -> int:
    return round(amount * MILLION)


def count_step(connection: Connection, system: str, counter: str, step: Window, amount: float) -> Counted:
    """Add the amount of a step to a counter, unless it is in there; return the total at the end of the step."""
    key = {"system": system, "counter": counter, "step_end": step.end}
    row = {"step_start": step.start, "millionths": min(_millionths(amount), _LARGEST)}
    # First, for it locks the row: another process that counts the same step waits here.
    connection.execute(_insert_or_raise(connection, key, row))
    own = and_(*(business_events.c[name] == value for name, value in key.items()))
    remark = ""
    if connection.execute(_overlapping(system, counter, step)).first():
        connection.execute(delete(business_events).where(own, business_events.c.step_start == step.start))
        remark = "not added: a part of this time was counted in another step"
    stored = connection.execute(select(business_events.c.millionths).where(own)).scalar_one_or_none()
    if not remark and stored is not None and stored > row["millionths"]:
        remark = f"not lowered: {stored / MILLION:,.12g} were counted when this step was measured before"
    if not remark and _millionths(amount) > _LARGEST:
        remark = f"cut to {_LARGEST / MILLION:,.4g}, the most that a step can hold"
    total = select(*_SUM).filter_by(system=system, counter=counter)
    counted = connection.execute(total.where(business_events.c.step_end <= step.end)).one()
    return Counted(_total(*counted), remark)


def newest_totals(connection: Connection, system: str, counters: Iterable[str]) -> dict[str, float]:
    """Return the totals over all steps; 0 of a counter that has none."""
    events = business_events.c
    sums = select(events.counter, *_SUM).filter_by(system=system).group_by(events.counter)
    found = {counter: _total(*parts) for counter, *parts in connection.execute(sums)}
    return {counter: found.get(counter, 0.0) for counter in counters}


def fold_before(connection: Connection, system: str, moment: datetime) -> None:
    """Make one long step of all that ended before a moment, of each counter: no total changes.

    What does not fit into one step becomes several that follow each other.
    """
    events = business_events.c
    old = delete(business_events).where(events.system == system, events.step_end < moment)
    taken = connection.execute(old.returning(events.counter, events.step_start, events.step_end, events.millionths))
    folded: list[dict[str, Any]] = []
    for counter, start, end, millionths in sorted(taken.all()):
        last = folded[-1] if folded else None
        if last and last["counter"] == counter and last["millionths"] + millionths <= _LARGEST:
            last |= {"step_end": end, "millionths": last["millionths"] + millionths}
        else:
            row = {"counter": counter, "step_start": start, "step_end": end, "millionths": millionths}
            folded.append({"system": system, **row})
    if folded:
        connection.execute(insert(business_events), folded)


def drop_nothing_after(connection: Connection, system: str, moment: datetime) -> None:
    """Drop steps that ended after a moment and in which nothing was counted: no total changes."""
    of = business_events.c
    connection.execute(delete(business_events).where(of.system == system, of.step_end > moment, of.millionths == 0))


# Units and what is left of them separately, for neither sum leaves 64 bits.
_SUM = (func.sum(business_events.c.millionths // MILLION), func.sum(business_events.c.millionths % MILLION))


def _total(units: Any, millionths: Any) -> float:
    return (int(units or 0) * MILLION + int(millionths or 0)) / MILLION


def _insert_or_raise(connection: Connection, key: dict[str, Any], row: dict[str, Any]) -> Any:
    """Keep a step, or raise what is kept of the very same one."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = dialect.insert(business_events).values(**key, **row)
    kept = business_events.c
    return inserted.on_conflict_do_update(
        index_elements=list(key),
        set_={"millionths": row["millionths"]},
        where=and_(kept.step_start == row["step_start"], kept.millionths < row["millionths"]),
    )


def _overlapping(system: str, counter: str, step: Window) -> Any:
    """Return steps with a part of this one's time, other than itself."""
    events = business_events.c
    itself = and_(events.step_start == step.start, events.step_end == step.end)
    shared = and_(events.step_start < step.end, events.step_end > step.start)
    return select(events.step_end).filter_by(system=system, counter=counter).where(shared, ~itself).limit(1)
