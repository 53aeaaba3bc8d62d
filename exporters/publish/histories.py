"""Drift histories, kept so that a run costs the same however many windows are stored.

A history is computed from all windows of its reference version (`drift_gaps`), and nothing else says what it is: what is
kept in the rows of the newest windows only saves computing it again. Whatever changes a window drops the histories that
hold it, and those that other settings, or another program, have computed are not looked at. Without any, the windows are
gone through once.

Whoever computes one holds a lock that whoever saves windows takes too, so that none is kept that lacks a window.
"""

from collections.abc import Iterable
from datetime import datetime
from zlib import crc32

import msgspec
from sqlalchemy import Connection, Select, inspect, or_, select, update
from sqlalchemy import text as sql

from mlvitals.exporters.sections.concept.report import PastWindow
from mlvitals.exporters.sections.concept.views import (
    accepted_since,
    concept_accepted,
    drift_gaps,
    past_window_of_row,
)
from mlvitals.exporters.window.history import DriftHistory

ROWS_AT_ONCE = 2_000
"""Windows gone through under one lock, a fraction of a second."""
KEPT = 64
"""Histories kept of a reference version, of its newest windows: one that is measured late finds the one before it."""
_NOTHING = {"settings": None, "history": None}
_LOCK = 0x6D6C76  # any number, as long as every process takes the same; the second key is the system


def lock(connection: Connection, system: str) -> None:
    """Wait until no other process computes histories or saves windows of a system; lasts until the transaction ends."""
    if connection.dialect.name == "postgresql":
        keys = {"first": _LOCK, "second": crc32(system.encode()) - 2**31}
        connection.execute(sql("SELECT pg_advisory_xact_lock(:first, :second)"), keys)


def kept_history(connection: Connection, system: str, empty: DriftHistory, until: datetime) -> DriftHistory | None:
    """Return the newest history kept of windows that ended before a moment, computed by the settings of `empty`."""
    of = drift_gaps.c
    query = select(of.history).filter_by(system=system, reference_version=empty.version, settings=empty.settings)
    query = query.where(of.window_end < until).order_by(of.window_end.desc(), of.window_start.desc()).limit(1)
    stored = connection.execute(query).scalar_one_or_none()
    if stored is None:
        return None
    try:
        return DriftHistory.from_json(stored)
    except msgspec.DecodeError:
        return None


def extended(
    connection: Connection, system: str, history: DriftHistory, until: datetime, most: int | None = None
) -> tuple[DriftHistory, int]:
    """Return a history with the next windows that ended before a moment, and how many they are, at most `most`.

    It ends with a window: what was accepted later than its last one is left to `with_accepted`, so that a history that
    is kept stands for windows up to its own and nothing else.
    """
    windows = [
        past_window_of_row(row) for row in connection.execute(_windows_after(system, history, until).limit(most))
    ]
    if windows:
        accepted = _accepted(connection, system, history, until=windows[-1].window.end)
        for past in _in_order((*windows, *accepted)):
            history = history.after(past)
    return history, len(windows)


def with_accepted(connection: Connection, system: str, history: DriftHistory, until: datetime) -> DriftHistory:
    """Return a history with what was accepted after its last window and before a moment."""
    for past in _accepted(connection, system, history, until):
        history = history.after(past)
    return history


def keep(connection: Connection, system: str, history: DriftHistory) -> None:
    """Keep a history with its last window, and forget those of windows long past."""
    assert history.last is not None
    of = drift_gaps.c
    of_version = update(drift_gaps).filter_by(system=system, reference_version=history.version)
    own = of_version.filter_by(window_start=history.last.start, window_end=history.last.end)
    connection.execute(own.values(settings=history.settings, history=history.to_json().decode()))
    kept = select(of.window_end).filter_by(system=system, reference_version=history.version)
    edge = kept.where(of.settings.is_not(None)).order_by(of.window_end.desc()).offset(KEPT).limit(1)
    if (end := connection.execute(edge).scalar_one_or_none()) is not None:
        connection.execute(of_version.where(of.settings.is_not(None), of.window_end <= end).values(_NOTHING))


def drop_since(connection: Connection, system: str, end: datetime) -> None:
    """Drop the histories that hold a window which ended at a moment, of whatever reference."""
    of = drift_gaps.c
    later = update(drift_gaps).filter_by(system=system).where(of.window_end >= end, of.settings.is_not(None))
    connection.execute(later.values(_NOTHING))


def can_be_read(connection: Connection) -> bool:
    """True if the database has histories: one that is only read may be older than they are."""
    return any(column["name"] == "history" for column in inspect(connection).get_columns(drift_gaps.name))


def past_windows(
    connection: Connection, system: str, reference_version: str, since: datetime | None = None
) -> list[PastWindow]:
    """Return what the windows measured against a reference say of concept drift, and what was accepted, in order."""
    query, accepted = _windows_of(system, reference_version), _accepted_of(system, reference_version)
    if since is not None:
        query = query.where(drift_gaps.c.window_end >= since)
        accepted = accepted.where(concept_accepted.c.since >= since)
    windows = [past_window_of_row(row) for row in connection.execute(query)]
    return _in_order((*windows, *_entries(connection, accepted, reference_version)))


def _accepted(connection: Connection, system: str, history: DriftHistory, until: datetime) -> list[PastWindow]:
    """Return what was accepted since the last window of a history, and before a moment."""
    query = _accepted_of(system, history.version).where(concept_accepted.c.since < until)
    if history.last is not None:
        query = query.where(concept_accepted.c.since >= history.last.end)
    return _entries(connection, query, history.version)


def _accepted_of(system: str, reference_version: str) -> Select[tuple[datetime]]:
    of = concept_accepted.c
    return select(of.since).filter_by(system=system, reference_version=reference_version).order_by(of.since)


def _entries(connection: Connection, query: Select[tuple[datetime]], reference_version: str) -> list[PastWindow]:
    if not inspect(connection).has_table(concept_accepted.name):  # an older database is read as it is
        return []
    return [accepted_since(row.since, reference_version) for row in connection.execute(query)]


def _in_order(past: Iterable[PastWindow]) -> list[PastWindow]:
    return sorted(past, key=lambda one: (one.window.end, one.window.start))


def _windows_after(system: str, history: DriftHistory, until: datetime) -> Select[tuple[PastWindow]]:
    of, last = drift_gaps.c, history.last
    query = _windows_of(system, history.version).where(of.window_end < until)
    if last is None:
        return query
    # The first condition is implied; it is what an index can be searched by.
    later = or_(of.window_end > last.end, of.window_start > last.start)
    return query.where(of.window_end >= last.end, later)


def _windows_of(system: str, reference_version: str) -> Select[tuple[PastWindow]]:
    of = drift_gaps.c
    known = (column for column in of if column.name not in _NOTHING)
    query = select(*known).filter_by(system=system, reference_version=reference_version)
    return query.order_by(of.window_end, of.window_start)
