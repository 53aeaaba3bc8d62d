"""Data-quality checks of one feature: location, spread, range and categories of a window against the reference.

A statistic that sampling moves comes with its noise, so that a small window does not alarm. Where the reference is
conditioned, the window is compared with the rows of its own hours.
"""

from math import inf, isfinite, sqrt
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.reference.artifact import FeatureReference
from mlvitals.exporters.sections.features.report import Quality
from mlvitals.exporters.statistics.cells import OWN_CELL_SHARE, CategoricalCells, NumericCells
from mlvitals.exporters.statistics.distances import NOISE, two_sided
from mlvitals.exporters.statistics.distinct import LevelSamples, level_change, new_row_noise
from mlvitals.exporters.statistics.judging import LevelLimits, level_limits, measure, severity_of, worst
from mlvitals.exporters.statistics.moments import Moments
from mlvitals.exporters.statistics.noise import TAIL, mean_noise
from mlvitals.exporters.statistics.profile import FeatureProfile
from mlvitals.exporters.statistics.quantiles import Median, median_of, quantiles_of
from mlvitals.generator.contract import PERCENTILES
from mlvitals.generator.spec.model import Alerts, Feature, FeatureType, Severity


class QualityLimits(NamedTuple):
    """The values from which a feature's statistics are bad."""

    mean_shift: LevelLimits
    variance_ratio: tuple[float, float] | None
    range_excess: LevelLimits
    infinite_ratio: LevelLimits
    cardinality_change: LevelLimits
    new_category_ratio: LevelLimits
    vanished_categories: LevelLimits
    comparisons: int
    """Number of features looked at together, of which chance may move one once in 1000 windows."""

    @property
    def tail(self) -> float:
        """Return how often chance alone may exceed the noise on one side."""
        return TAIL / self.comparisons

    @classmethod
    def of(cls, alerts: Alerts, feature: Feature, comparisons: int = 1) -> "QualityLimits":
        """Return the feature's own limits where it has them, else the system's."""
        own = feature.thresholds
        return cls(
            mean_shift=level_limits(alerts.mean_shift, own.mean_shift),
            variance_ratio=own.variance_ratio or alerts.variance_ratio,
            range_excess=level_limits(alerts.range_excess, own.range_excess),
            infinite_ratio=level_limits(alerts.infinite_ratio, own.infinite_ratio),
            cardinality_change=level_limits(alerts.cardinality_change, own.cardinality_change),
            new_category_ratio=level_limits(alerts.new_category_ratio, own.new_category_ratio),
            vanished_categories=level_limits(alerts.vanished_categories, own.vanished_categories),
            comparisons=comparisons,
        )


def assess(
    normal: FeatureReference,
    expected: Counts,
    before: Moments,
    found: FeatureProfile,
    limits: QualityLimits,
    minimum_values: int,
) -> Quality:
    """Return the quality statistics of one feature.

    Args:
        normal: the feature's baseline.
        expected: the reference's counts that the window is compared with.
        before: the moments of those values.
        found: what the window holds.
        limits: from which values a statistic is bad.
        minimum_values: with fewer values on either side nothing is compared.
    """
    enough = min(found.values, int(expected.sum())) >= minimum_values
    if isinstance(normal.cells, CategoricalCells):
        quality = Quality()
    else:
        quality = _extremes(normal.cells, found, limits)
        if enough:
            quality = _location_and_spread(quality, normal, expected, before, found, limits)
    if enough:
        quality = _categories(quality, normal, expected, found, limits)
    measures = (
        quality.mean_shift,
        quality.median_shift,
        quality.variance_ratio,
        quality.cardinality_change,
        quality.new_category_ratio,
    )
    severities = [quality.severity, *(item.severity for item in measures if item)]
    return replace(quality, severity=worst(severities))


def _extremes(cells: NumericCells, found: FeatureProfile, limits: QualityLimits) -> Quality:
    """Return what needs no comparison: infinities, and how far the extremes lie beyond the valid range."""
    infinite = found.infinities / found.values if found.values else None
    finite = found.minimum <= found.maximum
    excess = _range_excess(cells, found) if finite else None
    return Quality(
        minimum=found.minimum if finite else None,
        maximum=found.maximum if finite else None,
        range_excess=excess,
        infinite_ratio=infinite,
        severity=worst(
            (severity_of(infinite or 0, limits.infinite_ratio), severity_of(excess or 0, limits.range_excess))
        ),
    )


def _range_excess(cells: NumericCells, found: FeatureProfile) -> float | None:
    low, high = cells.minimum, cells.maximum
    if cells.type is FeatureType.BOOLEAN or low is None or high is None or not low < high:
        return None
    excess = max(low - found.minimum, found.maximum - high, 0.0) / (high - low)
    return excess if isfinite(excess) else None


def _location_and_spread(
    quality: Quality,
    normal: FeatureReference,
    expected: Counts,
    before: Moments,
    found: FeatureProfile,
    limits: QualityLimits,
) -> Quality:
    """Return shifts of mean and median in standard deviations of the reference, and the ratio of the variances."""
    now = found.moments
    if not now.count or not before.count or not now.is_finite or not before.is_finite:
        return quality
    quality = replace(
        quality,
        standard_deviation=sqrt(now.variance),
        reference_standard_deviation=sqrt(before.variance),
        mean_shift=_mean_shift(before, now, limits),
    )
    if normal.type is FeatureType.BOOLEAN:
        return quality  # its mean says it all
    median, reference = _medians(normal, expected, found, limits.comparisons)
    quantiles, reference_quantiles = _quantiles(normal, expected, found)
    return replace(
        quality,
        quantiles=quantiles,
        reference_quantiles=reference_quantiles,
        median=median.value,
        median_error=median.error,
        reference_median=reference.value,
        median_shift=_in_deviations(median.value - reference.value, median.noise, before, limits.mean_shift),
        variance_ratio=_variance_ratio(before, now, limits),
    )


def _mean_shift(before: Moments, now: Moments, limits: QualityLimits) -> Measure | None:
    return _in_deviations(now.mean - before.mean, mean_noise(before, now, limits.tail), before, limits.mean_shift)


def _in_deviations(distance: float, noise: float, before: Moments, limits: LevelLimits) -> Measure | None:
    """Return a distance in standard deviations of the reference; None where that is constant, which drift reports."""
    deviation = sqrt(before.variance)
    if not deviation or not isfinite(distance / deviation) or not isfinite(noise / deviation):
        return None
    return measure(distance / deviation, noise / deviation, limits)


def _medians(
    normal: FeatureReference, expected: Counts, found: FeatureProfile, comparisons: int
) -> tuple[Median, Median]:
    """Return the medians of window and reference, both from the same fine intervals."""
    cells, summary = normal.cells, normal.summary
    assert isinstance(cells, NumericCells)
    assert summary.minimum is not None
    assert summary.maximum is not None
    size = int(expected.sum())
    now = median_of(found.counts, cells, found.minimum, found.maximum, reference_size=size, comparisons=comparisons)
    return now, median_of(expected, cells, summary.minimum, summary.maximum)


def _quantiles(
    normal: FeatureReference, expected: Counts, found: FeatureProfile
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the quantiles of window and reference by percentile, both from the same fine intervals."""
    cells, summary = normal.cells, normal.summary
    assert isinstance(cells, NumericCells)
    assert summary.minimum is not None
    assert summary.maximum is not None
    shares = [int(percentile) / 100 for percentile in PERCENTILES]
    now = quantiles_of(found.counts, cells, found.minimum, found.maximum, shares)
    before = quantiles_of(expected, cells, summary.minimum, summary.maximum, shares)
    return dict(zip(PERCENTILES, now, strict=True)), dict(zip(PERCENTILES, before, strict=True))


def _variance_ratio(before: Moments, now: Moments, limits: QualityLimits) -> Measure | None:
    """Return the ratio of the variances, and the factor by which noise alone moves it about once in 1000 windows.

    A sample's variance has a relative error of sqrt((kurtosis - 1) / n) (Layard 1973). The window is given the larger
    kurtosis of the two: a variance that rests on a few extreme values is uncertain, and a window that happens to hold
    none of them does not show it. None where the error is too large for any ratio to prove anything.
    """
    if not before.variance or not isfinite(now.variance / before.variance):
        return None
    ratio = now.variance / before.variance
    kurtosis = max(now.kurtosis, before.kurtosis)
    uncertain = two_sided(limits.comparisons) * sqrt((kurtosis - 1) / now.count + (before.kurtosis - 1) / before.count)
    if uncertain >= 1:
        return None
    factor = 1 / (1 - uncertain)
    low, high = limits.variance_ratio or (0.0, inf)
    beyond = (ratio > high and ratio > factor) or (ratio < low and ratio * factor < 1)
    return Measure(value=ratio, critical_value=factor, severity=Severity.WARNING if beyond else None)


def _categories(
    quality: Quality, normal: FeatureReference, expected: Counts, found: FeatureProfile, limits: QualityLimits
) -> Quality:
    """Return new, vanished and distinct values, where the reference kept a count for each of its values."""
    unseen = normal.cells.unseen
    if unseen is None or normal.total[unseen].any():
        return quality
    levels = LevelSamples(
        reference=expected[~unseen],
        window=found.counts[~unseen],
        new_levels=found.unseen.count,
        new_rows=int(found.counts[unseen].sum()),
    )
    vanished = _vanished(normal, unseen, expected, found, NOISE / limits.comparisons)
    quality = replace(
        quality,
        vanished=vanished,
        new_category_ratio=measure(
            levels.new_rows / found.values, new_row_noise(levels, limits.tail), limits.new_category_ratio
        ),
        severity=worst((quality.severity, severity_of(len(vanished), limits.vanished_categories))),
    )
    if normal.type is FeatureType.BOOLEAN:
        return quality
    compared = level_change(levels, limits.tail)
    if compared is None:
        return replace(quality, distinct=levels.distinct)
    return replace(
        quality,
        distinct=levels.distinct,
        expected_distinct=compared.expected,
        cardinality_change=measure(compared.change, compared.noise, limits.cardinality_change),
    )


def _vanished(
    normal: FeatureReference, unseen: NDArray[np.bool_], expected: Counts, found: FeatureProfile, chance: float
) -> tuple[str, ...]:
    """Return values with `OWN_CELL_SHARE` of the reference that this many rows lack by chance less often than given."""
    size = int(expected.sum())
    labels = normal.cells.labels
    places = np.flatnonzero(~unseen & (expected >= OWN_CELL_SHARE * size) & (found.counts == 0))
    return tuple(
        labels[normal.cells.cell_of[place]]
        for place in places.tolist()
        if (1 - expected[place] / size) ** found.values < chance
    )
