"""The business events of one step, counted in the events log.

Windows may overlap, steps do not: rows are counted, and amounts added up, over the last step of a window. Distinct
values are counted over the whole window. Whatever is wrong with a file, a row or an amount is in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.columns import ColumnTypeError, comparable, is_text, readable, unwrapped
from mlvitals.exporters.reading.ids import Hashes, distinct_ids
from mlvitals.exporters.reading.instants import without
from mlvitals.exporters.reading.known import KnownFiles
from mlvitals.exporters.reading.log import Log
from mlvitals.exporters.reading.scan import TEXT_FORMATS, BrokenFileError, Chunk
from mlvitals.exporters.reading.sources import LogError, LogPart
from mlvitals.exporters.reading.text import Column, numbers_among
from mlvitals.exporters.schedule import schedule_of
from mlvitals.exporters.sections.events.report import EventCount, EventsReport, Reject
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Event, EventsLog, FeatureType, LogFormat, Spec

TOO_LARGE = 1e9
"""An amount from here on is an error: totals are kept as 64-bit millionths."""
NAMES_TOLD = 5
"""Unknown names of events that a report contains."""
_NAMES_KEPT = 1000
"""Unknown names that are counted separately: a log may put anything into the column."""
_LONGEST_NAME = 80
"""Characters of such a name that are reported."""
_SECTION = "business.events_log"


def measure_events(spec: Spec, base_dir: Path, window: Window, known: KnownFiles | None = None) -> EventsReport:
    """Count the events of the step that ends with a window, or earlier by the log's delay.

    Args:
        spec: the system's spec, with a business.events_log.
        base_dir: where its relative paths start.
        window: the measured window.
        known: what was learnt of files before.

    Raises:
        ValueError: the spec has no events log.
    """
    log = spec.business.events_log
    if log is None:
        raise ValueError("the spec has no business.events_log")
    delay = span(log.delay)
    looked_at = Window(window.start - delay, window.end - delay)
    step = schedule_of(spec).step_of(window)
    last_step = Window(step.start - delay, step.end - delay)
    counting = _Counting(log, spec.business.logged, last_step)
    stretch = looked_at if counting.distinct else last_step
    found = _Tally()
    try:
        for file in Log(log, base_dir, name=_SECTION, known=known).files(stretch):
            found.merge(_tally_of(file, counting))
    except LogError as error:
        found.problems.append(FileProblem(path=log.path, problem=str(error)))
    return _report(spec, last_step, looked_at, found)


class _Summed(NamedTuple):
    """Amounts of an event: their sum, and the rows left out, by reason."""

    total: float
    rejected: Counter[Reject]


@dataclass(frozen=True, slots=True)
class _Counting:
    """The events of the spec to count, by the names that the log gives them, in a step."""

    log: EventsLog
    events: dict[str, Event]
    step: Window

    @property
    def distinct(self) -> dict[str, str]:
        """Return, by event, the column whose distinct values are counted."""
        return {name: event.distinct for name, event in self.events.items() if event.distinct}

    @property
    def summed(self) -> dict[str, str]:
        """Return, by event, the column whose amounts are added up."""
        columns = {name: event.amount or self.log.amount for name, event in self.events.items() if event.unit}
        return {name: column for name, column in columns.items() if column}

    @property
    def columns(self) -> dict[str, FeatureType | None]:
        """Return the columns to read, amounts as they are written: each stands for itself."""
        amounts: dict[str, FeatureType | None] = dict.fromkeys(self.summed.values())
        items = dict.fromkeys((self.log.event, *self.distinct.values()), FeatureType.CATEGORICAL)
        return amounts | items

    @property
    def names(self) -> frozenset[str]:
        """Return what the log calls the events of the spec."""
        return frozenset(map(self.logged_as, self.events))

    def logged_as(self, name: str) -> str:
        """Return what the log calls an event of the spec."""
        return self.events[name].logged_as or name


@dataclass(slots=True)
class _Tally:
    """The counts so far, of one file or of many."""

    seen: int = 0
    """Rows of the interval that was read."""
    rows: int = 0
    """Those of the step."""
    unnamed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Rows in the step of events that the spec knows, by the name in the log."""
    unknown: int = 0
    unknown_names: Counter[str] = field(default_factory=Counter)
    """The most frequent ones."""
    sums: dict[str, float] = field(default_factory=dict)
    """By event of the spec, as far as its column could be read."""
    rejected: dict[str, Counter[Reject]] = field(default_factory=dict)
    items: dict[str, Hashes] = field(default_factory=dict)
    """By event of the spec, its distinct values."""
    uncountable: set[str] = field(default_factory=set)
    """Events whose column could not be read somewhere."""
    problems: list[FileProblem] = field(default_factory=list)

    def merge(self, other: _Tally) -> None:
        """Add what was counted elsewhere."""
        self.seen += other.seen
        self.rows += other.rows
        self.unnamed += other.unnamed
        self.counts.update(other.counts)
        self.unknown += other.unknown
        self.unknown_names = Counter(dict((self.unknown_names + other.unknown_names).most_common(_NAMES_KEPT)))
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
        for name, rejected in other.rejected.items():
            self.rejected.setdefault(name, Counter()).update(rejected)
        for name, items in other.items.items():
            self.items[name] = np.union1d(self.items[name], items) if name in self.items else items
        self.uncountable |= other.uncountable
        self.problems += (problem for problem in other.problems if problem not in self.problems)


def _tally_of(file: LogPart, counting: _Counting) -> _Tally:
    """Return what one file holds; nothing but the problem where it breaks."""
    tally = _Tally()
    try:
        for chunk in file.chunks(counting.columns):
            tally.merge(_tally_of_chunk(chunk, counting))
        tally.problems += (*file.problems, *file.remarks)
    except BrokenFileError as error:
        return _Tally(problems=[FileProblem(path=file.path, problem=str(error))])
    except ColumnTypeError as error:
        return _Tally(problems=[_column_problem(file.path, counting.log.event, error)])
    _leave_out_columns_without_numbers(tally, file.path, counting)
    return tally


def _leave_out_columns_without_numbers(tally: _Tally, path: str, counting: _Counting) -> None:
    """Leave out a column in which a file has no readable amount: it is the wrong one, and its sum is unknown, not 0."""
    for name, column in counting.summed.items():
        rejected = tally.rejected.get(name, Counter())
        unreadable = rejected[Reject.UNREADABLE_AMOUNT]
        if unreadable and unreadable + rejected[Reject.NULL_AMOUNT] == tally.counts[counting.logged_as(name)]:
            del tally.sums[name], tally.rejected[name]
            tally.uncountable.add(name)
            tally.problems.append(FileProblem(path=path, problem=f"column {column!r} holds no numbers"))


def _tally_of_chunk(chunk: Chunk, counting: _Counting) -> _Tally:
    if counting.log.event not in chunk.columns:
        raise BrokenFileError(f"lacks the column {counting.log.event!r}, which names the events")
    names: Any = comparable(chunk.columns[counting.log.event], FeatureType.CATEGORICAL).dictionary_encode()
    levels: list[str] = names.dictionary.to_pylist()
    codes = pc.fill_null(names.indices, -1).to_numpy(zero_copy_only=False)
    in_step = _since(chunk, counting.step)
    of_step = codes[in_step]
    counts = np.bincount(of_step[of_step >= 0], minlength=len(levels)).tolist()
    by_name = Counter({level: count for level, count in zip(levels, counts, strict=True) if count})
    known = Counter({name: by_name.pop(name) for name in counting.names if name in by_name})
    unknown: Counter[str] = Counter()
    for level, count in by_name.items():
        unknown[level[:_LONGEST_NAME]] += count
    tally = _Tally(
        seen=chunk.rows,
        rows=len(of_step),
        unnamed=int((of_step < 0).sum()),
        counts=known,
        unknown=unknown.total(),
        unknown_names=unknown,
    )
    code_of = {level: code for code, level in enumerate(levels)}
    for name in counting.events:
        rows = codes == code_of.get(counting.logged_as(name), len(levels))
        _add_event(tally, chunk, counting, name, rows, in_step)
    return tally


def _add_event(
    tally: _Tally, chunk: Chunk, counting: _Counting, name: str, rows: NDArray[np.bool_], in_step: NDArray[np.bool_]
) -> None:
    """Add the amounts or the values of an event; a column that cannot be read makes it uncountable here."""
    column = counting.summed.get(name) or counting.distinct.get(name)
    if column is None or not rows.any():
        return
    try:
        if name in counting.distinct:
            tally.items[name] = _items(_column(chunk, column), rows)
        else:
            tally.sums[name], tally.rejected[name] = _summed(
                _column(chunk, column), rows & in_step, counting.log.format
            )
    except ColumnTypeError as error:
        tally.uncountable.add(name)
        tally.problems.append(_column_problem(chunk.path, column, error))


def _column(chunk: Chunk, name: str) -> Column:
    if name not in chunk.columns:
        raise ColumnTypeError("is missing")
    return chunk.columns[name]


def _column_problem(path: str, column: str, error: ColumnTypeError) -> FileProblem:
    return FileProblem(path=path, problem=f"column {column!r} {error.finding}")


def _since(chunk: Chunk, step: Window) -> NDArray[np.bool_]:
    """Return which rows lie in the step; all of them lie before its end."""
    if chunk.times is None:
        return np.zeros(chunk.rows, bool)
    inside: Any = pc.greater_equal(chunk.times, pa.scalar(step.start, chunk.times.type))
    mask: NDArray[np.bool_] = inside.to_numpy(zero_copy_only=False)
    return mask


def _summed(column: Column, rows: NDArray[np.bool_], log_format: LogFormat) -> _Summed:
    """Return the sum of the valid amounts in some rows. Of text, each amount stands for itself.

    Raises:
        ColumnTypeError: the column holds no numbers.
    """
    written = unwrapped(column)
    if is_text(written.type):
        written = without(readable(written))
    numbers = numbers_among(written) if is_text(written.type) else written
    if log_format not in TEXT_FORMATS and numbers.null_count == len(numbers):
        numbers = written
    values: Any = comparable(numbers, FeatureType.FLOAT)
    amounts = values.cast(pa.float64()).to_numpy(zero_copy_only=False)[rows]
    unreadable = np.asarray(pc.and_(pc.is_null(numbers), pc.is_valid(written)))[rows]
    wrong = {
        Reject.NULL_AMOUNT: np.isnan(amounts) & ~unreadable,
        Reject.UNREADABLE_AMOUNT: unreadable,
        Reject.INFINITE_AMOUNT: np.isinf(amounts),
        Reject.NEGATIVE_AMOUNT: (amounts < 0) & np.isfinite(amounts),
        Reject.TOO_LARGE_AMOUNT: (amounts >= TOO_LARGE) & np.isfinite(amounts),
    }
    left_out = np.logical_or.reduce(list(wrong.values()))
    rejected = Counter({reason: int(found.sum()) for reason, found in wrong.items() if found.any()})
    return _Summed(float(amounts[~left_out].sum()), rejected)


def _items(column: Column, rows: NDArray[np.bool_]) -> Hashes:
    """Return the distinct values in some rows, as numbers; a missing value is none.

    Raises:
        ColumnTypeError: the column holds no ids.
    """
    return distinct_ids(column.filter(pa.array(rows)))


def _report(spec: Spec, step: Window, window: Window, found: _Tally) -> EventsReport:
    events = dict(_counts(spec, found))
    rejected = Counter({Reject.UNKNOWN_EVENT: found.unknown, Reject.UNNAMED_EVENT: found.unnamed})
    for event in events.values():
        rejected.update({Reject(reason): count for reason, count in event.rejected.items()})
    return EventsReport(
        step=step,
        window=window,
        rows=found.rows,
        events=events,
        kpis=dict(_kpis(spec, events)),
        rejected={reason.value: count for reason, count in rejected.items() if count},
        unknown_names=dict(found.unknown_names.most_common(NAMES_TOLD)),
        problems=tuple(found.problems),
    )


def _counts(spec: Spec, found: _Tally) -> Iterator[tuple[str, EventCount]]:
    """Yield the events that could be counted: a column that no file had right leaves nothing to say.

    Nor does a step, or of distinct values a window, without a row: its rows may be in what could not be read.
    """
    for name, event in spec.business.logged.items():
        if found.problems and not (found.seen if event.distinct else found.rows):
            continue
        if name in found.uncountable and name not in found.sums.keys() | found.items.keys():
            continue
        rejected = {reason.value: count for reason, count in found.rejected.get(name, {}).items()}
        if event.distinct:
            amount = float(len(found.items.get(name, ())))
        else:
            amount = found.sums.get(name, 0.0) if event.unit else float(found.counts[event.logged_as or name])
        yield name, EventCount(amount=amount, unit=event.unit, rejected=rejected)


def _kpis(spec: Spec, events: dict[str, EventCount]) -> Iterator[tuple[str, float]]:
    for name, kpi in spec.business.kpis.items():
        numerator, denominator = events.get(kpi.numerator), events.get(kpi.denominator)
        if numerator and denominator and denominator.amount > 0:
            yield name, numerator.amount / denominator.amount
