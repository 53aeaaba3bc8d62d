"""Changes that people made to a system: deployments and pipeline changes, recorded for the dashboards to mark."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Column, Index, String, Table, Text

from mlvitals.exporters.database import TABLES, UtcDateTime
from mlvitals.exporters.parts import Samples


class ChangeKind(StrEnum):
    """The kinds of change."""

    DEPLOYMENT = "deployment"
    PIPELINE = "pipeline"


class Change(msgspec.Struct, frozen=True):
    """One change."""

    kind: ChangeKind
    name: str
    """The pipeline, or ``model``."""
    moment: datetime
    version: str
    """The version since then."""
    author: str


changes = Table(
    "changes",
    TABLES,
    Column("system", String(40), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("moment", UtcDateTime, primary_key=True),
    Column("version", Text, nullable=False),
    Column("author", Text, nullable=False),
    Index("changes_by_time", "system", "moment"),
)


def gauges(recorded: Iterable[Change]) -> Samples:
    """Return when each change was made."""
    labelled = (((change.kind, change.name, change.version, change.author), change.moment) for change in recorded)
    return {"change_timestamp_seconds": [(labels, moment.timestamp()) for labels, moment in labelled]}
