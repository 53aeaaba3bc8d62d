"""What people did to a system: deployments and changes of its pipelines, noted for the dashboards to mark."""

from datetime import datetime
from enum import StrEnum

import msgspec


class ChangeKind(StrEnum):
    """What was changed."""

    DEPLOYMENT = "deployment"
    PIPELINE = "pipeline"


class Change(msgspec.Struct, frozen=True):
    """One change."""

    kind: ChangeKind
    name: str
    """The pipeline, or ``model``."""
    moment: datetime
    version: str
    """What it is since then."""
    author: str
