"""Sixty days in which everything goes wrong once, with sound days between: when, how much, and what should notice."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from examples.streamrec.faults import (
    ClickDrop,
    ConceptDrift,
    ErrorBurst,
    Fault,
    FeedbackLoss,
    LabelDrift,
    LatencyRegression,
    March3,
    MisscaledModel,
    NewCategory,
    NewCountry,
    StaleSource,
    UpstreamNulls,
)
from mlvitals.evaluation.truth import FaultRecord, Truth
from mlvitals.generator.signals.signal import Layer

DAYS = 60
"""The days that the whole schedule takes."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SERVING_SETTLES = 2 * _HOUR
_WINDOWS_SETTLE = 4 * _HOUR
"""A window of an hour, its grace, and the time for which an alert is kept."""
_OUTCOMES_SETTLE = 2 * _DAY
"""Outcomes count for a day, and business figures are compared over a day."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault of the schedule, and what is known of it."""

    fault: Fault
    record: FaultRecord


@dataclass(frozen=True, slots=True)
class _Plan:
    """A fault before it has a date."""

    name: str
    kind: type[Fault]
    day: int
    lasts: timedelta
    strength: float
    layer: Layer
    settles: timedelta
    signals: tuple[str, ...]
    drift_types: tuple[str, ...] = ("none",)
    pages: bool = True
    gradual: bool = False

    def dated(self, begin: datetime, seed: int) -> Planned:
        """The fault in a history that begins at `begin`; its hour of the day follows the seed."""
        hour = np.random.default_rng((seed, self.day)).integers(6, 18)
        start = begin + self.day * _DAY + int(hour) * _HOUR
        end = start + self.lasts
        more = {"gradual": True} if self.gradual else {}
        record = FaultRecord(
            name=self.name,
            kind=self.kind.__name__,
            layer=self.layer,
            start=start,
            end=end,
            settled=end + self.settles,
            strength=self.strength,
            signals=self.signals,
            drift_types=self.drift_types,
            pages=self.pages,
        )
        return Planned(self.kind(start, self.strength, end, **more), record)


_FEATURE_DRIFT = ("MLFeatureDrift",)
_OUTCOME_DRIFT = ("MLConceptDrift", "MLLabelDrift", "MLPerformanceLoss")
# Faults that lower the clicks come late, and never raise them: a week later nothing looks like a fall.
# Concept drift needs some hundred windows as its baseline first.
_PLANS = (
    _Plan(
        "latency_regression", LatencyRegression, 7, 3 * _HOUR, 3.0,
        Layer.SYSTEM, _SERVING_SETTLES, ("MLLatencyHigh",),
    ),
    _Plan("error_burst", ErrorBurst, 9, 2 * _HOUR, 0.05, Layer.SYSTEM, _SERVING_SETTLES, ("MLErrorRateHigh",)),
    _Plan("stale_source", StaleSource, 11, 10 * _HOUR, 1.0, Layer.DATA, _SERVING_SETTLES, ("MLDataStale",)),
    _Plan(
        "upstream_nulls", UpstreamNulls, 13, _DAY, 0.15,
        Layer.DATA, _WINDOWS_SETTLE, ("MLRequiredFeatureNull",), ("none", "covariate"),
    ),
    _Plan(
        "new_category", NewCategory, 15, _DAY, 0.05,
        Layer.DATA, _WINDOWS_SETTLE, ("MLFeatureNewCategory",), ("covariate",),
    ),
    _Plan(
        "march3", March3, 18, 2 * _DAY, 0.4,
        Layer.DATA, _OUTCOMES_SETTLE, ("MLFeatureOutOfRange", *_FEATURE_DRIFT), ("covariate",),
    ),
    _Plan(
        "new_country", NewCountry, 24, 2 * _DAY, 0.015,
        Layer.DATA, _WINDOWS_SETTLE, ("MLFeatureNewCategory", *_FEATURE_DRIFT), ("covariate",), pages=False,
    ),
    _Plan(
        "misscaled_model", MisscaledModel, 28, _DAY, 0.6,
        Layer.MODEL, _OUTCOMES_SETTLE, ("MLScoreDrift", "MLNewestScoreDrift"), ("prediction",),
    ),
    _Plan("label_drift", LabelDrift, 32, 2 * _DAY, 0.5, Layer.MODEL, _OUTCOMES_SETTLE, _OUTCOME_DRIFT, ("label",)),
    _Plan(
        "sudden_concept_drift", ConceptDrift, 37, 2 * _DAY, 0.5,
        Layer.MODEL, _OUTCOMES_SETTLE, _OUTCOME_DRIFT, ("concept",),
    ),
    _Plan(
        "slow_concept_drift", ConceptDrift, 42, 5 * _DAY, 0.6,
        Layer.MODEL, _OUTCOMES_SETTLE, _OUTCOME_DRIFT, ("concept",), gradual=True,
    ),
    _Plan(
        "feedback_loss", FeedbackLoss, 50, _DAY, 0.6,
        Layer.MODEL, _OUTCOMES_SETTLE, ("MLFeedbackRateFall",), ("none", "unknown"),
    ),
    _Plan(
        "click_drop", ClickDrop, 54, 2 * _DAY, 0.2,
        Layer.BUSINESS, _OUTCOMES_SETTLE, ("MLBusinessMetricDrop",), ("label", "concept"),
    ),
)  # fmt: skip

NAMES = tuple(plan.name for plan in _PLANS)


def schedule(begin: datetime, *, seed: int, names: Collection[str] = NAMES) -> tuple[Planned, ...]:
    """The faults of that name in a history that begins at `begin`, in order of time.

    Raises:
        ValueError: there is no fault of a name.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"no fault is called {unknown[0]!r}; the schedule has {', '.join(NAMES)}")
    return tuple(plan.dated(begin, seed) for plan in _PLANS if plan.name in names)


def truth_of(system: str, begin: datetime, end: datetime, planned: Iterable[Planned]) -> Truth:
    """The ground truth of a history with these faults."""
    return Truth(system=system, start=begin, end=end, faults=tuple(item.record for item in planned))
