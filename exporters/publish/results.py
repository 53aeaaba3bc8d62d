"""Every measurement as SQL rows, in SQLite or PostgreSQL.

`drift_windows` has a row for each measured window, `drift_features` one for each feature in it, `drift_results` one for
each cell of each feature, `drift_outcomes` one for the outcomes of earlier predictions, all of which are in,
`drift_gaps` one for what the window says of concept drift, and `drift_durations` one for how long it took to measure;
`business_events` has one for what was counted of each business event of the events log in each step
(`sections.events.totals`), and `changes` one for each deployment or pipeline change that was recorded. Times are UTC.
The prediction score is stored next to the features and marked by `is_score`, since a feature may have any name.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Delete,
    Float,
    Insert,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from mlvitals.exporters.database import TABLES, window_key
from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish import histories
from mlvitals.exporters.publish.migrations import refuse_newer, upgrade
from mlvitals.exporters.publish.past import PastWindows, drift_windows, open_engine
from mlvitals.exporters.sections.changes import Change, ChangeKind, changes
from mlvitals.exporters.sections.concept.report import PastWindow
from mlvitals.exporters.sections.concept.views import concept_accepted, drift_gaps
from mlvitals.exporters.sections.events.totals import (
    Amounts,
    Counted,
    count_step,
    drop_nothing_after,
    fold_before,
    newest_totals,
)
from mlvitals.exporters.sections.features.views import drift_results
from mlvitals.exporters.window.history import DriftHistory
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.sections import SECTIONS
from mlvitals.generator.contract import TOP_BINS_SQL
from mlvitals.generator.spec.model import Results

drift_durations = Table(  # not part of the report, which is the same whenever a window is measured
    "drift_durations",
    TABLES,
    *window_key(),
    Column("seconds", Float, nullable=False),
)

_TOP_BINS = text(TOP_BINS_SQL).columns(
    *(drift_results.c[name] for name in ("feature_name", "is_score", "bin", "reference_ratio", "current_ratio")),
    *(drift_results.c[name] for name in ("psi_contribution", "window_start", "window_end")),
)


class TopBin(NamedTuple):
    """A row of `TOP_BINS_SQL`; ratios are shares from 0 to 1."""

    feature_name: str
    is_score: bool
    bin: str
    reference_ratio: float
    current_ratio: float
    psi_contribution: float
    window_start: datetime
    window_end: datetime


class Acceptance(NamedTuple):
    """Somebody's word that the gap between predictions and outcomes is as it should be."""

    since: datetime
    """Predictions made from here on."""
    accepted_at: datetime
    author: str
    reason: str


class StoredWindow(NamedTuple):
    """The facts known of a measured window without opening its report."""

    window: Window
    measured_at: datetime
    reference_version: str
    rows: int
    severity: str | None


_OF_WINDOWS = (
    *(TABLES.tables[name] for section in SECTIONS for name in section.tables if name != drift_gaps.name),
    drift_durations,
)
"""The tables with rows of windows that go with them. Gaps stay while their reference has a window: its charts rest on them."""
_KNOWN_OF_WINDOWS = [drift_windows.c[name] for name in ("window_start", "window_end", *StoredWindow._fields[1:])]


def open_results(results: Results, base_dir: Path, *, create: bool = True) -> "ResultsStore":
    """Return the store that a spec names; a relative SQLite file lies in the spec's folder.

    Its tables are created, or brought up to date, when it is first used. Without `create`, which is for reading only,
    neither happens: an older database is read as it is.

    Raises:
        DatabaseError: neither SQLite nor PostgreSQL, no driver, an unreadable password file, or, without `create`, a
            SQLite file that is missing.
    """
    engine = open_engine(results, base_dir, create=create)
    return ResultsStore(engine, upgrade if create else refuse_newer)


class ResultsStore(PastWindows):
    """Measurements of any number of systems. Every method raises `DatabaseError` where the database fails."""

    def save(self, report: WindowReport, *, seconds: float | None = None, changed: Sequence[WindowReport] = ()) -> None:
        """Keep a report, in place of an earlier one of the same system and window: all of it, or nothing.

        `seconds` is the time it took to measure, where that was timed; `changed` are the reports of other windows that
        it changes, kept with it.

        Of several processes that save the same window at once, the last one's report stays.
        """
        with self._transaction() as connection:
            histories.lock(connection, report.system)
            for one in (report, *changed):
                self._save(connection, one)
            histories.drop_since(connection, report.system, min(one.window.end for one in (report, *changed)))
            self._time(connection, report, seconds)

    def _save(self, connection: Connection, report: WindowReport) -> None:
        key = _key(report.system, report.window)
        # First, for it locks the window's row: another process that saves the same window waits here.
        connection.execute(self._insert_or_replace(key, _window_row(report)))
        written: dict[str, list[dict[str, Any]]] = {table: [] for section in SECTIONS for table in section.tables}
        for section in SECTIONS:
            for table, row in section.rows_of(report):
                written[table].append({**key, **row})
        for name, rows in written.items():
            connection.execute(delete(TABLES.tables[name]).filter_by(**key))
            if rows:
                connection.execute(insert(TABLES.tables[name]), rows)

    def _time(self, connection: Connection, report: WindowReport, seconds: float | None) -> None:
        key = _key(report.system, report.window)
        connection.execute(delete(drift_durations).filter_by(**key))
        if seconds is not None:
            connection.execute(insert(drift_durations), key | {"seconds": seconds})

    def count_step(self, system: str, step: Window, amounts: Amounts) -> dict[str, Counted]:
        """Add what was counted in a step to the running totals of its counters, once, and return their totals."""
        with self._transaction() as connection:
            return {name: count_step(connection, system, name, step, amount) for name, amount in amounts.items()}

    def event_totals(self, system: str, counters: Iterable[str]) -> dict[str, float]:
        """Return the running totals of counters; 0 of one that was never counted."""
        with self._transaction() as connection:
            return newest_totals(connection, system, counters)

    def last_report(self, system: str, until: datetime | None = None) -> WindowReport | None:
        """Return the report of the system's newest window, or of the newest that ended not after `until`.

        None if it is missing or not readable by this version.
        """
        with self._transaction() as connection:
            stored = connection.execute(_newest(system, until).with_only_columns(drift_windows.c.report)).scalar()
        return None if stored is None else _readable(stored)

    def newest_window(
        self, system: str, until: datetime | None = None, *, with_rows: bool = False
    ) -> StoredWindow | None:
        """Return the newest window, or the newest that ended not after `until`; None where no such window is kept.

        `with_rows` leaves out windows in which no row of the log was found.
        """
        query = _newest(system, until)
        with self._transaction() as connection:
            row = connection.execute(query.where(drift_windows.c.rows > 0) if with_rows else query).one_or_none()
        return None if row is None else _stored_window(row)

    def rows_of(self, system: str, window: Window) -> int | None:
        """Return how many rows a window held when it was kept; None where it is not."""
        rows: int | None = self._of_window(drift_windows.c.rows, system, window)
        return rows

    def reports_after(self, report: WindowReport, until: datetime) -> list[WindowReport]:
        """Return the reports of windows that ended after one of the same system and reference and not after `until`.

        Oldest first. Those that this version cannot read are left out.
        """
        of = drift_windows.c
        query = select(of.report).filter_by(system=report.system, reference_version=report.reference_version)
        query = query.where(of.window_end > report.window.end, of.window_end <= until)
        return self._reports(query)

    def duration(self, system: str, window: Window) -> float | None:
        """Return how many seconds a window took to measure; None where that was not timed."""
        seconds: float | None = self._of_window(drift_durations.c.seconds, system, window)
        return seconds

    def windows_between(self, system: str, start: datetime, end: datetime) -> list[StoredWindow]:
        """Return the windows that ended after `start` and not after `end`, oldest first."""
        ended = drift_windows.c.window_end
        query = select(*_KNOWN_OF_WINDOWS).filter_by(system=system).where(ended > start, ended <= end).order_by(ended)
        with self._transaction() as connection:
            return [_stored_window(row) for row in connection.execute(query)]

    def reports_between(self, system: str, start: datetime, end: datetime) -> list[WindowReport]:
        """Return the reports of windows that ended after `start` and not after `end`, oldest first.

        Those that this version cannot read are left out.
        """
        of = drift_windows.c
        query = select(of.report).filter_by(system=system).where(of.window_end > start, of.window_end <= end)
        return self._reports(query)

    def report_of(self, system: str, window: Window) -> WindowReport | None:
        """Return the report of one window; None if it is missing or not readable by this version."""
        stored: str | None = self._of_window(drift_windows.c.report, system, window)
        return None if stored is None else _readable(stored)

    def _of_window(self, column: Column[Any], system: str, window: Window) -> Any:
        """Return what a column holds of a window; None where the window is not kept."""
        with self._transaction() as connection:
            return connection.execute(select(column).filter_by(**_key(system, window))).scalar_one_or_none()

    def _reports(self, query: Select[Any]) -> list[WindowReport]:
        with self._transaction() as connection:
            of = drift_windows.c
            stored = connection.scalars(query.order_by(of.window_end, of.window_start)).all()
        return [found for text_of in stored if (found := _readable(text_of)) is not None]

    def past_windows(self, system: str, reference_version: str, since: datetime | None = None) -> list[PastWindow]:
        """Return what the windows measured against a reference say of concept drift, by their end.

        With `since`, those that ended then or later.
        """
        with self._transaction() as connection:
            return histories.past_windows(connection, system, reference_version, since)

    def history(self, system: str, empty: DriftHistory, until: datetime) -> DriftHistory:
        """Return the history of a reference version up to the windows that ended before a moment.

        It is kept where the database may be written, so that the next one costs no more than the windows since.

        Args:
            system: whose windows.
            empty: the history before the first of them.
            until: the moment.
        """
        while self._make_ready is upgrade:  # else it is opened for reading
            with self._transaction(writing=True) as connection:
                histories.lock(connection, system)
                known = histories.kept_history(connection, system, empty, until)
                found, count = histories.extended(connection, system, known or empty, until, histories.ROWS_AT_ONCE)
                if count:
                    histories.keep(connection, system, found)
                if count < histories.ROWS_AT_ONCE:
                    return histories.with_accepted(connection, system, found, until)
        with self._transaction() as connection:
            is_there = histories.can_be_read(connection)
            known = histories.kept_history(connection, system, empty, until) if is_there else None
            found, _ = histories.extended(connection, system, known or empty, until)
            return histories.with_accepted(connection, system, found, until)

    def accept_gap(self, system: str, reference_version: str, acceptance: Acceptance) -> None:
        """Keep that the gap between predictions and outcomes is as it should be since a moment."""
        key = {"system": system, "reference_version": reference_version, "since": acceptance.since}
        with self._transaction() as connection:
            histories.lock(connection, system)
            histories.drop_since(connection, system, acceptance.since)
            connection.execute(delete(concept_accepted).filter_by(**key))
            connection.execute(insert(concept_accepted), key | acceptance._asdict())

    def top_bins(self, system: str, limit: int = 10) -> list[TopBin]:
        """Return what `TOP_BINS_SQL` finds: the bins of the newest window, largest contribution first."""
        with self._transaction() as connection:
            rows = connection.execute(_TOP_BINS, {"system": system, "limit": limit})
            return [TopBin(*row) for row in rows]

    def note(self, system: str, change: Change) -> None:
        """Keep a change, in place of one of the same kind, name and moment."""
        row = {"system": system, **msgspec.structs.asdict(change)}
        key = {name: row[name] for name in ("system", "kind", "name", "moment")}
        with self._transaction() as connection:
            connection.execute(delete(changes).filter_by(**key))
            connection.execute(insert(changes), row)

    def changes_between(self, system: str, start: datetime, end: datetime) -> tuple[Change, ...]:
        """Return the changes recorded of a system within an interval, oldest first."""
        columns = (changes.c[name] for name in Change.__struct_fields__)
        within = (changes.c.moment >= start, changes.c.moment <= end)
        query = select(*columns).filter_by(system=system).where(*within).order_by(changes.c.moment, changes.c.name)
        with self._transaction() as connection:
            return tuple(Change(ChangeKind(kind), *rest) for kind, *rest in connection.execute(query))

    def newest_changes(self, system: str, limit: int) -> tuple[Change, ...]:
        """Return the newest changes recorded of a system, newest first."""
        columns = (changes.c[name] for name in Change.__struct_fields__)
        query = select(*columns).filter_by(system=system).order_by(changes.c.moment.desc(), changes.c.name).limit(limit)
        with self._transaction() as connection:
            return tuple(Change(ChangeKind(kind), *rest) for kind, *rest in connection.execute(query))

    def forget_before(self, system: str, moment: datetime) -> int:
        """Drop what is known of windows that ended before `moment`; return the number of windows dropped.

        What was counted of business events before stays in their running totals.
        """
        with self._transaction(writing=True) as connection:
            histories.lock(connection, system)
            for table in _OF_WINDOWS:
                connection.execute(_ended_before(table, system, moment))
            fold_before(connection, system, moment)
            forgotten = connection.execute(
                _ended_before(drift_windows, system, moment).returning(drift_windows.c.reference_version)
            ).scalars()
            versions = list(forgotten)
            for version in set(versions):
                self._forget_unused(connection, system, version)
            return len(versions)

    def forget_empty_after(self, system: str, moment: datetime) -> None:
        """Drop windows that ended after `moment`, and steps of business events, where none of them holds anything.

        A clock that was ahead leaves such windows. Where one of them holds rows it is rather this moment that is wrong.
        """
        ahead = (drift_windows.c.system == system, drift_windows.c.window_end > moment)
        with self._transaction(writing=True) as connection:
            found = connection.execute(select(func.count(), func.max(drift_windows.c.rows)).where(*ahead)).one()
            if not found[0] or found[1]:
                return
            histories.lock(connection, system)
            histories.drop_since(connection, system, moment)
            for table in (*_OF_WINDOWS, drift_gaps, drift_windows):
                connection.execute(delete(table).filter_by(system=system).where(table.c.window_end > moment))
            drop_nothing_after(connection, system, moment)

    def _forget_unused(self, connection: Connection, system: str, version: str) -> None:
        """Drop the gaps of a reference that has no window any more; until then its charts rest on its first ones."""
        newest = select(drift_windows.c.window_end).filter_by(system=system, reference_version=version)
        newest = newest.order_by(drift_windows.c.window_end.desc()).limit(1)
        if connection.execute(newest).first() is None:
            connection.execute(delete(drift_gaps).filter_by(system=system, reference_version=version))

    def _insert_or_replace(self, key: dict[str, Any], row: dict[str, object]) -> Insert:
        statement = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        inserted = statement(drift_windows).values(key | row)
        return inserted.on_conflict_do_update(index_elements=list(key), set_=row)


def _newest(system: str, until: datetime | None) -> Select[Any]:
    """Return a query for the newest window; of those that end together for the one measured last."""
    of = drift_windows.c
    query = select(*_KNOWN_OF_WINDOWS).filter_by(system=system)
    query = query.order_by(of.window_end.desc(), of.measured_at.desc()).limit(1)
    return query if until is None else query.where(of.window_end <= until)


def _stored_window(row: Sequence[Any]) -> StoredWindow:
    start, end, *rest = row
    return StoredWindow(Window(start, end), *rest)


def _ended_before(table: Table, system: str, moment: datetime) -> Delete:
    """Return a deletion of windows that ended before a moment.

    That they started before it is implied; it is what the tables' primary keys can be searched by.
    """
    return delete(table).filter_by(system=system).where(table.c.window_start < moment, table.c.window_end < moment)


def _key(system: str, window: Window) -> dict[str, Any]:
    return {"system": system, "window_start": window.start, "window_end": window.end}


def _window_row(report: WindowReport) -> dict[str, object]:
    return {
        "measured_at": report.measured_at,
        "reference_version": report.reference_version,
        "rows": report.rows,
        "repeated_ratio": report.repeated and report.repeated.ratio,
        "severity": report.severity and report.severity.value,
        "report": report.to_json().decode(),
    }


def _readable(stored: str) -> WindowReport | None:
    """Return a stored report; None where this version cannot read it."""
    try:
        return WindowReport.from_json(stored)
    except msgspec.DecodeError:
        return None
