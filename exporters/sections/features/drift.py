"""Compare a window with the reference: statuses, statistics, severities and what to do."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.reference.artifact import FeatureReference, Reference
from mlvitals.exporters.sections.features.findings import feature_findings, probability_findings, score_findings
from mlvitals.exporters.sections.features.newest_scores import NewestScores
from mlvitals.exporters.sections.features.quality import QualityLimits, assess
from mlvitals.exporters.sections.features.report import (
    Bin,
    CountWindow,
    FeatureReport,
    FeaturesReport,
    SchemaDifference,
)
from mlvitals.exporters.statistics.cells import NumericCells
from mlvitals.exporters.statistics.distances import (
    Psi,
    Sides,
    benjamini_hochberg,
    ks_pvalue,
    statistics_of,
)
from mlvitals.exporters.statistics.judging import (
    MINIMUM_VALUES,
    LevelLimits,
    level_limits,
    measure,
    severity_of,
    worst,
)
from mlvitals.exporters.statistics.noise import TAIL, Share, share_increase
from mlvitals.exporters.statistics.profile import ColumnProblem, FeatureProfile
from mlvitals.generator.contract import STATISTICS, UNMEASURABLE, SchemaDifferenceKind, Status
from mlvitals.generator.contract.statistics import PSI
from mlvitals.generator.spec.model import Alerts, Feature, FeatureType, NoisePer, Severity, Spec

ColumnResult: TypeAlias = FeatureProfile | ColumnProblem
"""The result of counting a column: counts, or why it could not be counted."""

_ACTION_BY_SEVERITY = {
    None: "",
    Severity.INFO: "Keep an eye on it; nothing to do yet.",
    Severity.WARNING: "Investigate: look at the bins that moved and at the latest change of what feeds it.",
    Severity.CRITICAL: "Act now: find what changed upstream, and fall back to a safe value, the last good data or the "
    "last good model until it is fixed.",
}
_ACTION_BY_STATUS = {
    Status.INSUFFICIENT_DATA: "Wait for more rows, or lengthen the window.",
    Status.MISSING_IN_SERVING: "Restore the column in the prediction log, or take the feature out of the spec.",
    Status.MISSING_IN_REFERENCE: "Build a reference with this feature and promote it.",
    Status.TYPE_MISMATCH: "Restore the column's type upstream; if the change is wanted, change the spec and build a new "
    "reference.",
    Status.ALL_NULL: "Find out why the source delivers no values; fall back to a safe value until it does.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounts:
    """The counts of a window."""

    window: Window
    profiles: Mapping[str, ColumnResult]
    """By feature, what was counted on the reference's cells, or why it could not be. A feature that is not in here is
    missing in serving."""
    score: ColumnResult | None = None
    probabilities: Mapping[str, ColumnResult] = field(default_factory=dict)
    """By class, of outcomes that are classes."""
    newest_scores: NewestScores | None = None
    """The count window of the scores, where there is one."""
    unknown_columns: tuple[str, ...] = ()
    """Columns of the log that neither the spec nor the reference knows."""


class _Limits(NamedTuple):
    """The levels above which a feature's statistics have a severity."""

    levels: Mapping[str, LevelLimits]
    """By statistic; one that is not in here never raises an alarm."""
    comparisons: int = 1
    """Number of features looked at together, of which chance may move one once in 1000 windows."""


def compare(spec: Spec, reference: Reference, reference_version: str, counted: WindowCounts) -> FeaturesReport:
    """Compare every feature of the spec, and the scores, with the reference."""
    window, profiles = counted.window, counted.profiles
    comparisons = len(spec.features) if spec.alerts.noise_per is NoisePer.WINDOW else 1

    def report(
        kind: FeatureType, limits: _Limits, normal: FeatureReference | None, found: ColumnResult
    ) -> FeatureReport:
        if normal is None:
            return _state(kind, Status.MISSING_IN_REFERENCE, f"reference {reference_version} does not have it")
        expected = reference.counts_for(normal, window)
        return _report(kind, normal, expected, found, limits, spec.reference.min_rows_per_bin)

    def with_quality(drift: FeatureReport, name: str, feature: Feature) -> FeatureReport:
        normal, found = reference.features.get(name), profiles.get(name)
        if normal is None or normal.type is not feature.type or not isinstance(found, FeatureProfile):
            return drift
        expected, before = reference.counts_for(normal, window), reference.moments_for(normal, window)
        limits = QualityLimits.of(spec.alerts, feature, comparisons)
        compared = replace(drift, quality=assess(normal, expected, before, found, limits, MINIMUM_VALUES))
        return _against_reference(compared, normal, found, _feature_rates(spec.alerts, feature, limits.tail))

    def judged(name: str, feature: Feature) -> FeatureReport:
        limits, normal = _feature_limits(spec, feature, comparisons), reference.features.get(name)
        drift = report(feature.type, limits, normal, profiles.get(name, _MISSING))
        known = with_quality(drift, name, feature)
        return _as_bad_as(known, feature_findings(spec, name, known))

    features = {name: judged(name, feature) for name, feature in spec.features.items()}
    score_limits = _Limits({PSI.name: level_limits(spec.alerts.score_psi, None)})
    score_report = None
    if spec.score_type is not None:
        known = report(spec.score_type, score_limits, reference.score, counted.score or _MISSING)
        if reference.score is not None and isinstance(counted.score, FeatureProfile):
            known = _against_reference(known, reference.score, counted.score, _score_rates(spec.alerts))
        score_report = _as_bad_as(known, score_findings(spec, known))
    newest = None
    if counted.newest_scores is not None and reference.score is not None:
        newest = _count_window(reference, counted.newest_scores, score_limits, spec.reference.min_rows_per_bin)
    return FeaturesReport(
        features=_with_adjusted_pvalues(features),
        score=score_report,
        score_count=newest,
        probabilities=_probabilities(spec, report, reference, counted),
        schema_differences=tuple(_schema_differences(spec, features, counted.unknown_columns)),
    )


def _probabilities(
    spec: Spec,
    report: Callable[[FeatureType, _Limits, FeatureReference | None, ColumnResult], FeatureReport],
    reference: Reference,
    counted: WindowCounts,
) -> dict[str, FeatureReport]:
    """Return the reports on the probabilities of classes that the reference has."""
    limits = _Limits({PSI.name: level_limits(spec.alerts.score_psi, None)}, max(len(reference.probabilities), 1))
    reports = {
        name: report(FeatureType.FLOAT, limits, normal, counted.probabilities.get(name, _MISSING))
        for name, normal in reference.probabilities.items()
    }
    return {name: _as_bad_as(known, probability_findings(name, known)) for name, known in reports.items()}


def _count_window(reference: Reference, newest: NewestScores, limits: _Limits, rows_per_bin: int) -> CountWindow:
    assert reference.score is not None
    expected = reference.counts_for(reference.score, newest.window)
    report = _report(FeatureType.FLOAT, reference.score, expected, newest.profile, limits, rows_per_bin)
    return CountWindow(wanted=newest.wanted, window=newest.window, report=report)


def _schema_differences(
    spec: Spec, features: Mapping[str, FeatureReport], unknown_columns: Iterable[str]
) -> Iterator[SchemaDifference]:
    """Yield the columns in which the log differs from what the spec and the reference know."""
    for name, report in features.items():
        kind = _DIFFERENCE_BY_STATUS.get(report.status)
        if kind is not None:
            yield SchemaDifference(kind=kind, column=spec.column(name), detail=report.reason)
    for column in unknown_columns:
        yield SchemaDifference(kind=SchemaDifferenceKind.NEW_COLUMN, column=column)


_DIFFERENCE_BY_STATUS = {
    Status.MISSING_IN_SERVING: SchemaDifferenceKind.MISSING_COLUMN,
    Status.TYPE_MISMATCH: SchemaDifferenceKind.TYPE_CHANGED,
}

_MISSING = ColumnProblem(Status.MISSING_IN_SERVING, "the window has no such column")


def _report(
    kind: FeatureType,
    normal: FeatureReference,
    expected: Counts,
    found: ColumnResult,
    limits: _Limits,
    rows_per_bin: int,
) -> FeatureReport:
    if isinstance(found, ColumnProblem):
        return _state(kind, found.status, found.reason)
    if normal.type is not kind:
        return _state(
            kind, Status.TYPE_MISMATCH, f"the reference was built for type {normal.type}, the spec says {kind}"
        )
    known = _figures(kind, normal, found)
    if found.rows and not found.values:
        return _in_state(known, Status.ALL_NULL, "every value is null or NaN")
    shortage = _shortage(normal, expected, found)
    if shortage:
        return _in_state(known, Status.INSUFFICIENT_DATA, shortage)
    return _with_statistics(known, normal, expected, found, limits, rows_per_bin)


def _as_bad_as(known: FeatureReport, findings: Iterable[Finding]) -> FeatureReport:
    """Judge a feature by the worst that was found of it; a state that has a remedy of its own keeps it."""
    severity = worst(finding.severity for finding in findings)
    keeps = severity is known.severity or known.status in UNMEASURABLE
    return replace(known, severity=severity, action=known.action if keeps else _ACTION_BY_SEVERITY[severity])


def _state(kind: FeatureType, status: Status, reason: str) -> FeatureReport:
    """Return the report of a feature of which nothing could be counted."""
    return FeatureReport(type=kind, status=status, reason=reason, action=_ACTION_BY_STATUS[status])


def _in_state(known: FeatureReport, status: Status, reason: str) -> FeatureReport:
    return replace(known, status=status, reason=reason, action=_ACTION_BY_STATUS[status])


def _figures(kind: FeatureType, normal: FeatureReference, found: FeatureProfile) -> FeatureReport:
    """Return what is known without comparing distributions."""
    return FeatureReport(
        type=kind,
        status=Status.OK,
        rows=found.values,
        null_rate=found.null_rate,
        nulls=found.nulls,
        nans=found.nans,
        infinities=found.infinities,
        mean=found.mean,
        reference_mean=normal.summary.mean,
        out_of_range_ratio=_out_of_range_ratio(normal, found),
    )


class _RateLimits(NamedTuple):
    """The levels above which growing shares of nulls and of values out of range have a severity."""

    nulls: LevelLimits
    out_of_range: LevelLimits
    tail: float = TAIL
    """The probability that chance alone exceeds the noise."""


def _feature_rates(alerts: Alerts, feature: Feature, tail: float) -> _RateLimits:
    """Return the limits of a feature.

    A threshold that the spec gives a feature is meant for its rate as such, and so is that of a feature that may not be
    null: how much the rate has grown is then not judged.
    """
    own = feature.thresholds
    nulls = level_limits(alerts.null_rate, None) if feature.nullable and own.null_rate is None else {}
    outside = level_limits(alerts.out_of_range_ratio, None) if own.out_of_range_ratio is None else {}
    return _RateLimits(nulls, outside, tail)


def _score_rates(alerts: Alerts) -> _RateLimits:
    return _RateLimits(level_limits(alerts.score_null_rate, None), level_limits(alerts.score_out_of_range_ratio, None))


def _against_reference(
    known: FeatureReport, normal: FeatureReference, found: FeatureProfile, limits: _RateLimits
) -> FeatureReport:
    """Compare nulls and values out of range with the reference's own rate.

    A feature that was null in one row of ten when the model was trained is no news when it is so now.
    """
    outside = normal.cells.out_of_range(found.counts), normal.cells.out_of_range(normal.total)
    values = int(normal.total.sum())
    missing = found.nulls + found.nans
    return replace(
        known,
        reference_null_rate=normal.null_rate,
        null_rate_increase=_increase((normal.missing, normal.rows), (missing, found.rows), limits.nulls, limits.tail),
        out_of_range_increase=_increase(
            (outside[1], values), (outside[0], found.values), limits.out_of_range, limits.tail
        ),
    )


def _increase(
    before: tuple[int | None, int], now: tuple[int | None, int], limits: LevelLimits, tail: float
) -> Measure | None:
    """Return how much a share has grown; only growth is bad. None where one side is not known."""
    if before[0] is None or now[0] is None or not before[1] or not now[1]:
        return None
    found = share_increase(Share(before[0], before[1]), Share(now[0], now[1]), tail)
    severity = severity_of(found.value, limits) if found.value > found.critical_value else None
    return Measure(value=found.value, critical_value=found.critical_value, severity=severity)


def _out_of_range_ratio(normal: FeatureReference, found: FeatureProfile) -> float | None:
    outside = normal.cells.out_of_range(found.counts)
    return outside / found.values if outside is not None and found.values else None


def _shortage(normal: FeatureReference, expected: Counts, found: FeatureProfile) -> str:
    """Return why no statistic is defined, or nothing."""
    size = int(expected.sum())
    if found.values < MINIMUM_VALUES:
        return f"{found.values} values in the window; at least {MINIMUM_VALUES} are needed"
    if size < MINIMUM_VALUES:
        return f"{size} values in the reference for the hours of this window; at least {MINIMUM_VALUES} are needed"
    if len(normal.cells.labels) < 2:
        return (
            "the reference holds no finite value"
            if isinstance(normal.cells, NumericCells)
            else "no category is frequent in the reference: there is nothing that could move"
        )
    return ""


def sides_of(
    normal: FeatureReference, expected: Counts, found: FeatureProfile, comparisons: int, rows_per_bin: int
) -> Sides:
    """Return window and reference on the reference's cells, or on fewer where the rows do not fill these.

    With few rows a cell, PSI is mostly noise. Its floor guards against that, but little is left to be seen above it.
    Neighbours are then merged until their number suits the rows; a change so strong that the fine cells show it all the
    same is shown on them. That is to look twice, and each look is given half the chance of being wrong.
    """
    fine = Sides(
        normal.cells,
        expected,
        found.counts,
        normal.summary.std,
        comparisons=comparisons,
        group_effect=normal.group_effect,
    )
    size = min(fine.sizes)
    if size >= rows_per_bin * fine.occupied:
        return fine
    merged = normal.cells.merged(size // rows_per_bin)
    if merged.labels == normal.cells.labels:
        return fine
    first, second = (dataclasses.replace(fine, cells=cells, looks=2) for cells in (fine.cells, merged))
    stability = statistics_of(first)[PSI.name]
    return first if stability.value > stability.critical_value else second


def _with_statistics(
    known: FeatureReport,
    normal: FeatureReference,
    expected: Counts,
    found: FeatureProfile,
    limits: _Limits,
    rows_per_bin: int,
) -> FeatureReport:
    sides = sides_of(normal, expected, found, limits.comparisons, rows_per_bin)
    measures = {
        name: measure(statistic.value, statistic.critical_value, limits.levels.get(name, {}))
        for name, statistic in statistics_of(sides).items()
    }
    severity = worst(item.severity for item in measures.values())
    measured = replace(
        known,
        **measures,
        bins=_bins(sides.cells.labels, *sides.folded, sides.psi),
        severity=severity,
        action=_ACTION_BY_SEVERITY[severity],
    )
    if sides.ks is None:
        return measured
    pvalue = ks_pvalue(sides.ks.value, *sides.effective_sizes)
    return replace(measured, ks_pvalue=pvalue, ks_error_bound=sides.ks.error_bound)


def _bins(labels: tuple[str, ...], before: Counts, now: Counts, stability: Psi) -> tuple[Bin, ...]:
    reference, current = before / before.sum(), now / now.sum()
    parts = zip(labels, reference.tolist(), current.tolist(), stability.contributions.tolist(), strict=True)
    return tuple(Bin(label=label, reference=p, current=q, psi=part) for label, p, q, part in parts)


def _with_adjusted_pvalues(features: dict[str, FeatureReport]) -> dict[str, FeatureReport]:
    """Adjust the p-values for there being many features."""
    pvalues = {name: report.ks_pvalue for name, report in features.items() if report.ks_pvalue is not None}
    adjusted = dict(zip(pvalues, benjamini_hochberg(list(pvalues.values())), strict=True))
    return {name: replace(report, ks_pvalue_adjusted=adjusted.get(name)) for name, report in features.items()}


def _feature_limits(spec: Spec, feature: Feature, comparisons: int) -> _Limits:
    levels = {
        statistic.name: level_limits(statistic.policy_in(spec.alerts), statistic.levels_of(feature))
        for statistic in STATISTICS
    }
    return _Limits(levels, comparisons)
