"""A shop whose business events are files, and the rows of its log."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TEXT = """\
version: 1
system: {name: shop}
serving: {enabled: false}
prediction_log: {path: log}
features: {age: {type: integer}}
windows: {length: 2h, step: 1h, grace: 5m}
business:
  compare_window: 2h
  events_log: {path: events, timestamp: at, event: kind, amount: euros}
  events:
    impressions: {source: log, logged_as: impression}
    clicks: {source: log, logged_as: click}
    revenue: {source: log, logged_as: purchase, unit: euros}
    shown_items: {source: log, logged_as: impression, distinct: item}
    listed_items: {source: log, logged_as: listing, distinct: item}
  kpis:
    click_through_rate: {numerator: clicks, denominator: impressions}
    revenue_per_click: {kind: mean, numerator: revenue, denominator: clicks, unit: dollars}
    coverage: {kind: unique, numerator: shown_items, denominator: listed_items}
"""
SPEC: Spec = parse_spec(TEXT)

Row = tuple[datetime | None, str | None, float | None, str | None]


def window(end: datetime) -> Window:
    """The shop's window that ends at a moment."""
    return Window(end - 2 * HOUR, end)


def events(
    kind: str | None, at: datetime | None, count: int = 1, euros: float | None = None, item: str = ""
) -> list[Row]:
    """Some events of a kind, all alike."""
    return [(at, kind, euros, item or None)] * count


def table(rows: Iterable[Row], **columns: Any) -> pa.Table:
    """Rows of the events log."""
    at, kind, euros, item = zip(*rows, strict=True)
    found = {
        "at": pa.array(at, pa.timestamp("us", "UTC")),
        "kind": pa.array(kind, pa.string()),
        "euros": pa.array(euros, pa.float64()),
        "item": pa.array(item, pa.string()),
    }
    return pa.table(found | columns)


def write(folder: Path, *parts: list[Row], name: str = "a.parquet") -> None:
    """Write a file of the events log."""
    write_table(folder, table([row for part in parts for row in part]), name)


def write_table(folder: Path, rows: pa.Table, name: str = "a.parquet") -> None:
    path = folder / "events" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)


def window_report(found: EventsReport | None, end: datetime = NOON, **changes: Any) -> WindowReport:
    """A window of which nothing is known but its business events."""
    known = {
        "system": "shop",
        "window": window(end),
        "measured_at": end + 5 * MINUTE,
        "reference_version": "1",
        "reference_created": NOON,
        "rows": 0,
        "features": {},
        "events": found,
    }
    return WindowReport(**known | changes)
