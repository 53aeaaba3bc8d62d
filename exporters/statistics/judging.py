"""Severities: the levels that hold for a feature, and the worst of several severities."""

from collections.abc import Iterable
from math import sqrt
from typing import TypeAlias

from mlvitals.exporters.parts import Interval, Measure
from mlvitals.generator.spec.levels import ALERTING, level_in_force
from mlvitals.generator.spec.model import AlertPolicy, Levels, Severity

LevelLimits: TypeAlias = dict[Severity, float]
"""The values above which each severity holds; one that is not in here never does."""


def level_limits(policy: AlertPolicy, own: Levels | None) -> LevelLimits:
    """Return the feature's own level where it has one, else the policy's; of a disabled policy none."""
    levels = {severity: level_in_force(policy, own, severity) for severity in ALERTING}
    return {severity: level for severity, level in levels.items() if level is not None}


def measure(value: float, critical_value: float, limits: LevelLimits) -> Measure:
    """Judge a two-sided statistic: it gets a severity only beyond both its level and its own noise."""
    severity = severity_of(value, limits) if abs(value) > critical_value else None
    return Measure(value=value, critical_value=critical_value, severity=severity)


def severity_of(value: float, limits: LevelLimits) -> Severity | None:
    """Return the worst severity whose level a value exceeds, to either side of 0."""
    return worst(severity for severity, limit in limits.items() if abs(value) > limit)


def worst(severities: Iterable[Severity | None]) -> Severity | None:
    """Return the worst of some severities; None without any."""
    return max((severity for severity in severities if severity), key=ALERTING.index, default=None)


CONFIDENCE = 1.959963984540054
"""Standard errors to either side that hold 95 % of a normal law."""


def wilson_interval(hits: float, count: int) -> Interval | None:
    """Return the interval of a share (Wilson 1927), 95 %: valid also near 0 and 1; None without rows."""
    if not count:
        return None
    z2 = CONFIDENCE * CONFIDENCE
    share = hits / count
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = CONFIDENCE * sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    # Of no hits the interval starts at 0 and of nothing else it ends at 1, where rounding would leave 1e-19 of it.
    return Interval(low=centre - reach if hits > 0 else 0.0, high=centre + reach if hits < count else 1.0)


MINIMUM_VALUES = 100
"""Fewer values than this on either side are insufficient data, whatever they look like."""
