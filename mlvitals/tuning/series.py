"""The past of each threshold: by window, the value that it is compared with, and the alarms that levels would have raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.parts import Measure, Window
from mlvitals.exporters.sections.features.report import FeatureReport, Quality
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.diagnostics import KeyPath
from mlvitals.generator.spec.levels import level_in_force
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Consecutive windows in which a value was beyond a level: what people would have heard of as one alert."""

    first: int
    """The place of its first window."""
    last: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.last - self.first + 1


@dataclass(frozen=True, eq=False)
class Series:
    """The values that one threshold was compared with, window by window."""

    title: str
    """A name for people: ``psi of age``."""
    policy: str
    """The key below `alerts` of its policy."""
    path: KeyPath
    """The key of the spec that a level of its own is written at."""
    levels: dict[Severity, float]
    """The levels that hold now."""
    values: Values
    """The values compared with the present levels: 0 where it is no more than noise, NaN where it is not known."""
    own_values: Values
    """The values compared with levels of its own, which may be absolute where the present ones are relative."""

    @property
    def lowest(self) -> float | None:
        """Return the level from which people hear of it; None without one."""
        return min(
            (self.levels[name] for name in (Severity.WARNING, Severity.CRITICAL) if name in self.levels), default=None
        )


def alarms(values: Values, level: float | None) -> tuple[Alarm, ...]:
    """Return the alarms that a level raises. One window without the condition ends none: alerts keep firing past it."""
    if level is None:
        return ()
    places = np.flatnonzero(values > level)
    if not places.size:
        return ()
    starts = np.flatnonzero(np.diff(places, prepend=-9) > _BRIDGED)
    ends = np.append(starts[1:], places.size) - 1
    return tuple(Alarm(int(places[start]), int(places[end])) for start, end in zip(starts, ends, strict=True))


_BRIDGED = 2
"""Windows from one with the condition to the next, up to which an alert keeps firing: `signals.timing.past_a_window`."""


def duration(found: Iterable[Alarm], windows: Sequence[Window], step: timedelta) -> timedelta:
    """Return how long alarms lasted together: each until the window after its last one was measured."""
    return sum((windows[one.last].end + step - windows[one.first].end for one in found), timedelta(0))


def series_of(spec: Spec, reports: Sequence[WindowReport]) -> tuple[Series, ...]:
    """Return every threshold that is worth tuning, in the order of the spec.

    Args:
        spec: the spec whose levels hold.
        reports: those of windows that follow each other.
    """
    return tuple(one for one in _all(spec, reports) if one.lowest is not None and not np.all(np.isnan(one.values)))


def _all(spec: Spec, reports: Sequence[WindowReport]) -> Iterator[Series]:
    for name, feature in spec.features.items():
        found = [report.features.get(name) for report in reports]
        for kind in _KINDS:
            yield _of_feature(spec, name, feature, kind, found)
    yield _of_system(
        "score PSI", "score_psi", spec.alerts.score_psi, [one.score.psi if one.score else None for one in reports]
    )
    outcomes = [report.outcomes if report.outcomes and report.outcomes.mature else None for report in reports]
    shifts, losses = (
        [getattr(one, name) if one else None for one in outcomes] for name in ("label_shift", "performance_loss")
    )
    yield _of_system("label shift", "label_shift", spec.alerts.label_shift, shifts)
    yield _of_system("performance loss", "performance_loss", spec.alerts.performance_loss, losses)


def _of_system(title: str, key: str, policy: AlertPolicy, measures: Iterable[Measure | None]) -> Series:
    values = np.array([_beyond_noise(one) for one in measures])
    return Series(title, key, ("alerts", key), _levels(policy, None), values, values)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A statistic of features whose threshold a feature may have of its own."""

    name: str
    """Its key below `thresholds`."""
    policy: Callable[[Feature], str]
    values: Callable[[FeatureReport], float]
    own_values: Callable[[FeatureReport], float] | None = None


def _of_feature(spec: Spec, name: str, feature: Feature, kind: _Kind, found: Sequence[FeatureReport | None]) -> Series:
    key, own = kind.policy(feature), getattr(feature.thresholds, kind.name)
    is_absolute = kind.own_values is not None and (
        own is not None or (kind.name == "null_rate" and not feature.nullable)
    )
    own_values = np.array([np.nan if one is None else (kind.own_values or kind.values)(one) for one in found])
    values = own_values if is_absolute else np.array([np.nan if one is None else kind.values(one) for one in found])
    path = ("features", name, "thresholds", kind.name)
    return Series(f"{kind.name} of {name}", key, path, _levels(getattr(spec.alerts, key), own), values, own_values)


def _levels(policy: AlertPolicy, own: Levels | None) -> dict[Severity, float]:
    levels = {severity: level_in_force(policy, own, severity) for severity in (Severity.WARNING, Severity.CRITICAL)}
    return {severity: level for severity, level in levels.items() if level is not None}


def _beyond_noise(*measures: Measure | None) -> float:
    """Return the largest of some statistics, each 0 while it is no more than noise; NaN where none is known."""
    known = [abs(one.value) if abs(one.value) > one.critical_value else 0.0 for one in measures if one is not None]
    return max(known, default=np.nan)


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def _quality(report: FeatureReport) -> Quality:
    return report.quality or Quality()


_KINDS = (
    _Kind("psi", lambda _: "feature_psi", lambda one: _beyond_noise(one.psi)),
    _Kind(
        "null_rate",
        lambda feature: "null_rate" if feature.nullable else "required_null_rate",
        lambda one: _beyond_noise(one.null_rate_increase),
        lambda one: _known(one.null_rate),
    ),
    _Kind(
        "out_of_range_ratio",
        lambda _: "out_of_range_ratio",
        lambda one: _beyond_noise(one.out_of_range_increase),
        lambda one: _known(one.out_of_range_ratio),
    ),
    _Kind(
        "mean_shift",
        lambda _: "mean_shift",
        lambda one: _beyond_noise(_quality(one).mean_shift, _quality(one).median_shift),
    ),
    _Kind(
        "cardinality_change",
        lambda _: "cardinality_change",
        lambda one: _beyond_noise(_quality(one).cardinality_change),
    ),
    _Kind(
        "new_category_ratio",
        lambda _: "new_category_ratio",
        lambda one: _beyond_noise(_quality(one).new_category_ratio),
    ),
)
