"""What earlier windows say that bears on the kind of drift of a window, and the kind itself.

Outcomes come late: the gap that a window finds is that of predictions made before it. Whether inputs or scores
drifted is therefore looked up for the very window of those predictions, not for the one that is measured now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import msgspec

from exporters.concept_drift import GapSeries, concept_report
from exporters.concept_report import ConceptReport, DriftType, Evidence, GapSample
from exporters.drift_type import drift_type
from exporters.report import FeatureReport, Window, WindowReport
from generator.contract import UNMEASURABLE, Status
from generator.spec.levels import level_in_force
from generator.spec.model import AlertPolicy, Levels, Severity, Spec

MOSTLY = 0.5
"""A gap is explained where more than this share of its excess was gathered while inputs or scores drifted."""
_BAD = (Severity.WARNING, Severity.CRITICAL)


class OutcomeFacts(NamedTuple):
    """What the outcomes of a matured window say."""

    sample: GapSample
    outcome_rate_moved: bool | None = None
    """Whether the rate, or mean, of the outcomes left the reference's; None where it is not known."""
    ranking_moved: bool | None = None
    """Whether scores tell outcomes apart less well than in the reference; None where it is not known."""


class PastWindow(NamedTuple):
    """What is kept of a measured window."""

    window: Window
    reference_version: str
    explains: bool
    """Its inputs or scores drifted so that a gap between its predictions and their outcomes would be theirs."""
    sample: GapSample | None
    """The gap it found, of predictions made earlier."""


def past_window(report: WindowReport) -> PastWindow:
    """What to keep of a report."""
    return PastWindow(
        report.window,
        report.reference_version,
        report.drift_type is not None and report.drift_type.explains,
        report.concept.sample if report.concept else None,
    )


@dataclass(frozen=True, slots=True)
class DriftHistory:
    """The windows of one reference version, up to one."""

    version: str
    series: GapSeries
    begin: datetime | None = None
    """Begin of the first window: predictions made earlier may be another model's."""
    explaining: tuple[Window, ...] = ()
    """Windows whose inputs or scores drifted, and whose outcomes are still to come."""

    def after(self, past: PastWindow) -> "DriftHistory":
        """The history after one more window; one of another reference version starts it anew."""
        if past.reference_version != self.version:
            return DriftHistory(past.reference_version, GapSeries(self.series.plan)).after(past)
        begin = self.begin or past.window.start
        explaining = (*self.explaining, past.window) if past.explains else self.explaining
        if past.sample is None:
            return replace(self, begin=begin, explaining=explaining)
        sample = self.explained(past.sample)
        waiting = tuple(window for window in explaining if window.end > sample.window_start)
        series = self.series.after(sample) if sample.window_start >= begin else self.series
        return replace(self, series=series, begin=begin, explaining=waiting)

    def explained(self, sample: GapSample) -> GapSample:
        """The sample, told whether inputs or scores drifted in its window."""
        overlapping = any(
            window.start < sample.window_end and sample.window_start < window.end for window in self.explaining
        )
        return msgspec.structs.replace(sample, explained=overlapping)


def drift_history(spec: Spec, report: WindowReport, past: Iterable[PastWindow]) -> DriftHistory:
    """The history that a report continues.

    Args:
        spec: the system's spec.
        report: what was measured.
        past: windows that are kept, by their end; those that ended at or after the report's are left out, so that
            measuring a window again gives what it gave before.
    """
    history = DriftHistory(report.reference_version, GapSeries(spec.concept))
    for one in past:
        if one.window.end < report.window.end and one.reference_version == history.version:
            history = history.after(one)
    return history


def with_drift_type(
    spec: Spec, report: WindowReport, outcomes: OutcomeFacts | None, history: DriftHistory
) -> WindowReport:
    """The report, with what it says of concept drift and of the kind of drift.

    Args:
        spec: the system's spec.
        report: what was measured.
        outcomes: what the newest outcomes say; None where there are none.
        history: the windows before it.
    """
    if history.version != report.reference_version:
        history = DriftHistory(report.reference_version, GapSeries(spec.concept))
    facts = outcomes and outcomes._replace(sample=history.explained(outcomes.sample))
    found = _concept(report, facts, history) if spec.has_gap else None
    return msgspec.structs.replace(report, concept=found, drift_type=_drift_type(spec, report, facts, found))


def _concept(report: WindowReport, facts: OutcomeFacts | None, history: DriftHistory) -> ConceptReport:
    sample = facts.sample if facts else None
    now = history.after(PastWindow(report.window, report.reference_version, False, sample))
    return concept_report(now.series, sample)


def _drift_type(
    spec: Spec, report: WindowReport, facts: OutcomeFacts | None, concept: ConceptReport | None
) -> DriftType:
    own = bool(facts and not facts.sample.explained)
    gap = concept.severity is not None if concept and concept.ewma is not None else None
    unsound = tuple(name for name, feature in report.features.items() if _is_unsound(spec, name, feature))
    drifted = tuple(_drifted(report, unsound))
    evidence = Evidence(
        features=drifted if drifted or _any_compared(report) else None,
        unsound=unsound,
        strong=bool(unsound) or any(report.features[name].severity is Severity.CRITICAL for name in drifted),
        prediction=_prediction_moved(report),
        gap=gap,
        gap_explained=bool(gap and concept and (concept.explained_ratio or 0.0) > MOSTLY),
        outcome_rate=facts.outcome_rate_moved if facts and own else None,
        ranking=facts.ranking_moved if facts and own else None,
    )
    return drift_type(evidence)


def _drifted(report: WindowReport, unsound: tuple[str, ...]) -> Iterator[str]:
    ranked = sorted(report.features.items(), key=lambda item: item[1].rank)
    return (name for name, feature in ranked if feature.severity in _BAD or name in unsound)


def _any_compared(report: WindowReport) -> bool:
    return any(feature.status is Status.OK for feature in report.features.values())


def _prediction_moved(report: WindowReport) -> bool | None:
    if report.score is None or report.score.psi is None:
        return None
    return report.score.severity in _BAD


def _is_unsound(spec: Spec, name: str, report: FeatureReport) -> bool:
    """Whether a feature's values look broken rather than different."""
    feature = spec.features.get(name)
    if feature is None or report.status is Status.MISSING_IN_REFERENCE:
        return False
    if report.status in UNMEASURABLE:
        return True
    alerts, own = spec.alerts, feature.thresholds
    infinite = report.quality.infinite_ratio if report.quality else None
    return (
        _above(report.null_rate, alerts.null_rate if feature.nullable else alerts.required_null_rate, own.null_rate)
        or _above(report.out_of_range_ratio, alerts.out_of_range_ratio, own.out_of_range_ratio)
        or _above(infinite, alerts.infinite_ratio, own.infinite_ratio)
    )


def _above(value: float | None, policy: AlertPolicy, own: Levels | None) -> bool:
    level = level_in_force(policy, own, Severity.WARNING)
    return policy.enabled and value is not None and level is not None and value > level
