"""The report on training-serving skew: features at serving against the same features recomputed offline."""

from datetime import datetime
from typing import Literal

import msgspec

from mlvitals.exporters.parts import FileProblem, Measure, Window
from mlvitals.generator.contract import SkewStatus
from mlvitals.generator.spec.model import SkewJoin


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction whose value at serving differs from the one recomputed offline; values as text, None for null."""

    key: str
    """The prediction's id or its entity. It stands in reports alone, never in a metric."""
    time: datetime
    serving: str | None
    offline: str | None


class FeatureSkew(msgspec.Struct, frozen=True, kw_only=True):
    """One feature at serving against the same feature recomputed offline. Statistics are None where undefined."""

    status: SkewStatus
    reason: str = ""
    measure: Literal["psi", "ks", "js"]
    serving_values: int = 0
    offline_values: int = 0
    distance: Measure | None = None
    """Distance of the distributions, by `measure`."""
    mismatches: int | None = None
    """Matched predictions whose two values differ; None where predictions are not matched."""
    mismatch_ratio: float | None = None
    offenders: tuple[Offender, ...] = ()
    """The largest differences, largest first."""


class SkewReport(msgspec.Struct, frozen=True, kw_only=True):
    """Training-serving skew of one window."""

    window: Window
    """The window whose predictions were compared: the measured one, or an earlier one where offline rows come late."""
    join: SkewJoin
    serving_rows: int = 0
    """Predictions compared. Of a very large window a fixed share of the keys is compared."""
    offline_rows: int = 0
    """Offline rows that they were compared with."""
    features: dict[str, FeatureSkew] = {}
    problems: tuple[FileProblem, ...] = ()
