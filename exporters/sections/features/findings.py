"""Findings on features, scores and columns, by the policies that the generated rules alert by.

KS and JS confirm what PSI finds: they affect a feature's severity, by the levels of their policies, and raise no alert.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from mlvitals.exporters.parts import Finding, FindingKind, Measure, found, severity_in
from mlvitals.exporters.sections.features.quality import QualityLimits
from mlvitals.exporters.sections.features.report import FeatureReport, FeaturesReport, Quality
from mlvitals.exporters.statistics.judging import level_limits, severity_of
from mlvitals.generator.contract import MOST_TOO_SMALL, STATISTICS, UNMEASURABLE, SchemaDifferenceKind, Status
from mlvitals.generator.spec.model import AlertPolicy, Alerts, Feature, Levels, Severity, Spec

BROKEN_SHARE = 0.05
"""A population does not change by itself so that this share of a feature's values turns null or leaves the range."""
BROKEN_DISTANCE = 1.0
"""Nor so that values lie beyond the range by more than its width."""
BROKEN_INFINITE = 0.01
"""Nor so that this share is infinite."""

_BAD = (Severity.WARNING, Severity.CRITICAL)
_OF_EXTREMES = frozenset({FindingKind.RANGE_EXCESS, FindingKind.INFINITE_RATIO})
_of_feature, _of_score, _of_window = (partial(found, section) for section in ("features", "score", "window"))


def findings(spec: Spec, report: FeaturesReport) -> Iterator[Finding]:
    """Yield what is wrong with the features that the spec still has (a stored report may be older), and the scores."""
    features = {name: report.features[name] for name in spec.features if name in report.features}
    for name, feature in features.items():
        yield from feature_findings(spec, name, feature)
    yield from _many_of_a_source(spec, features)
    if report.score is not None:
        yield from score_findings(spec, report.score)
    for name in report.worst_probabilities:
        yield from probability_findings(name, report.probabilities[name])
    if report.score_count is not None:
        yield from found("score_count", FindingKind.NEWEST_SCORE_PSI, severity_in(report.score_count.report.psi))
    unknown = sum(item.kind is SchemaDifferenceKind.NEW_COLUMN for item in report.schema_differences)
    yield from found("schema_differences", FindingKind.NEW_COLUMNS, _beyond(unknown, spec.alerts.new_columns))
    thin = sum(feature.status is Status.INSUFFICIENT_DATA for feature in features.values())
    scores_thin = report.score is not None and report.score.status is Status.INSUFFICIENT_DATA
    if spec.alerts.monitoring.enabled and (scores_thin or thin > MOST_TOO_SMALL * len(features)):
        yield from _of_window(FindingKind.WINDOW_TOO_SMALL, Severity.WARNING)


def feature_findings(spec: Spec, name: str, report: FeatureReport) -> Iterator[Finding]:
    """Yield what is wrong with a feature of the spec."""
    alerts, feature = spec.alerts, spec.features[name]
    own = feature.thresholds
    severities = {
        FindingKind.FEATURE_STATUS: _status(spec, report),
        **{statistic.policy: severity_in(getattr(report, statistic.name)) for statistic in STATISTICS},
        **_of_nulls(alerts, feature, report),
        FindingKind.OUT_OF_RANGE_RATIO: severity_in(report.out_of_range_increase)
        if own.out_of_range_ratio is None
        else _beyond(report.out_of_range_ratio, alerts.out_of_range_ratio, own.out_of_range_ratio),
        **(_of_quality(report.quality, QualityLimits.of(alerts, feature)) if report.quality else {}),
    }
    for kind, severity in severities.items():
        yield from _of_feature(kind, severity, name)


def looks_broken(spec: Spec, name: str, report: FeatureReport) -> bool:
    """True if a feature's values look broken rather than different.

    That takes evidence, beyond what chance and the reference's own rate make of it: a column that cannot be measured, a
    share that no population turns to by itself, values far out, or values that the spec calls impossible. A few customers
    older than any in training are news, and no fault.
    """
    if report.status in UNMEASURABLE:
        return True
    bad = {item.kind for item in feature_findings(spec, name, report) if item.severity in _BAD}
    quality = report.quality or Quality()
    nulls = (report.null_rate or 0.0) - (report.reference_null_rate or 0.0)
    increase = report.out_of_range_increase
    outside = increase.value if increase else report.out_of_range_ratio or 0.0
    far_out = (quality.range_excess or 0.0) >= BROKEN_DISTANCE or _impossible(spec.features[name], quality)
    return (
        (bool(bad & {FindingKind.NULL_RATE, FindingKind.REQUIRED_NULL_RATE}) and nulls >= BROKEN_SHARE)
        or (FindingKind.OUT_OF_RANGE_RATIO in bad and (outside >= BROKEN_SHARE or far_out))
        or (FindingKind.INFINITE_RATIO in bad and (quality.infinite_ratio or 0.0) >= BROKEN_INFINITE)
    )


def is_of_single_values(spec: Spec, name: str, report: FeatureReport) -> bool:
    """True if all that is wrong with a feature is of a few values, which say nothing of the others.

    Nulls of a required feature, infinities and extremes alert from the first one on: a fault of those rows, and no other
    population as long as their share has not grown beyond noise.
    """
    increase: dict[str, Measure | None] = {
        FindingKind.NULL_RATE: report.null_rate_increase,
        FindingKind.REQUIRED_NULL_RATE: report.null_rate_increase,
        FindingKind.OUT_OF_RANGE_RATIO: report.out_of_range_increase,
    }

    def is_of_few(kind: str) -> bool:
        grown = increase.get(kind)
        return kind in _OF_EXTREMES or (grown is not None and grown.value <= grown.critical_value)

    bad = [item.kind for item in feature_findings(spec, name, report) if item.severity in _BAD]
    return bool(bad) and all(map(is_of_few, bad))


def _impossible(feature: Feature, quality: Quality) -> bool:
    """True if there are values outside the range that the spec gives, and not only outside that of the reference."""
    low, high = quality.minimum, quality.maximum
    below = feature.minimum is not None and low is not None and low < feature.minimum
    return below or (feature.maximum is not None and high is not None and high > feature.maximum)


def _of_nulls(alerts: Alerts, feature: Feature, report: FeatureReport) -> dict[str, Severity | None]:
    """Judge nulls by the feature's own threshold, by none at all where it is required, else by the reference's rate."""
    own = feature.thresholds.null_rate
    if not feature.nullable:
        return {FindingKind.REQUIRED_NULL_RATE: _beyond(report.null_rate, alerts.required_null_rate, own)}
    if own is None:
        return {FindingKind.NULL_RATE: severity_in(report.null_rate_increase)}
    return {FindingKind.NULL_RATE: _beyond(report.null_rate, alerts.null_rate, own)}


def score_findings(spec: Spec, score: FeatureReport) -> Iterator[Finding]:
    """Yield what is wrong with the scores of the window."""
    yield from _of_score(FindingKind.SCORE_STATUS, _status(spec, score))
    yield from _of_score(FindingKind.SCORE_PSI, severity_in(score.psi))
    yield from _of_score(FindingKind.SCORE_NULL_RATE, severity_in(score.null_rate_increase))
    yield from _of_score(FindingKind.SCORE_OUT_OF_RANGE_RATIO, severity_in(score.out_of_range_increase))


def probability_findings(name: str, probability: FeatureReport) -> Iterator[Finding]:
    """Yield what is wrong with the probability of a class."""
    yield from found("probabilities", FindingKind.CLASS_PROBABILITY_PSI, severity_in(probability.psi), name)


def _of_quality(quality: Quality, limits: QualityLimits) -> dict[str, Severity | None]:
    return {
        FindingKind.MEAN_SHIFT: severity_in(quality.mean_shift),
        FindingKind.MEDIAN_SHIFT: severity_in(quality.median_shift),
        FindingKind.VARIANCE_RATIO: severity_in(quality.variance_ratio),
        FindingKind.RANGE_EXCESS: severity_of(quality.range_excess or 0.0, limits.range_excess),
        FindingKind.INFINITE_RATIO: severity_of(quality.infinite_ratio or 0.0, limits.infinite_ratio),
        FindingKind.CARDINALITY_CHANGE: severity_in(quality.cardinality_change),
        FindingKind.NEW_CATEGORY_RATIO: severity_in(quality.new_category_ratio),
        FindingKind.VANISHED_CATEGORIES: severity_of(len(quality.vanished or ()), limits.vanished_categories),
    }


def _many_of_a_source(spec: Spec, features: dict[str, FeatureReport]) -> Iterator[Finding]:
    """Yield a broken pipeline for each source of which many features drift critically."""
    drifting = (name for name, report in features.items() if severity_in(report.psi) is Severity.CRITICAL)
    for source, count in Counter(spec.features[name].source for name in drifting).items():
        if source and count >= spec.alerts.many_features:
            yield from _of_window(FindingKind.MANY_FEATURES, Severity.CRITICAL, source)


def _status(spec: Spec, report: FeatureReport) -> Severity | None:
    """Return the worst severity for a feature of which nothing can be said although there is data."""
    counts = spec.alerts.feature_status.enabled and report.status in UNMEASURABLE
    return Severity.CRITICAL if counts else None


def _beyond(value: float | None, policy: AlertPolicy, own: Levels | None = None) -> Severity | None:
    return None if value is None else severity_of(value, level_limits(policy, own))
