"""The report on features and prediction scores: drift, data quality, schema."""

import msgspec

from mlvitals.exporters.parts import Measure, Window
from mlvitals.exporters.statistics.distances import Distances
from mlvitals.generator.contract import CLASSES_SHOWN, STATISTICS, SchemaDifferenceKind, Status
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.model import FeatureType, Severity

SEVERITIES = ALERTING[::-1]
"""The severities of a finding, worst first."""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a feature, with its share of both sides.

    `reference` and `current` are plain shares (count / n, 0 to 1); `psi` is the cell's smoothed contribution.
    """

    label: str
    reference: float
    current: float
    psi: float


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The data quality of a feature in a window, next to its drift. Statistics that are undefined are None.

    Every shift is in standard deviations of the reference and has its sign.
    """

    standard_deviation: float | None = None
    reference_standard_deviation: float | None = None
    median: float | None = None
    median_error: float | None = None
    """The window's true median is at most this far from `median`."""
    reference_median: float | None = None
    quantiles: dict[str, float] = {}
    """By percentile; empty where no median is known."""
    reference_quantiles: dict[str, float] = {}
    minimum: float | None = None
    maximum: float | None = None
    """Of the finite values, as is `minimum`."""
    mean_shift: Measure | None = None
    median_shift: Measure | None = None
    variance_ratio: Measure | None = None
    """Variance over the reference's. Noise alone keeps it between 1/critical_value and critical_value."""
    range_excess: float | None = None
    """Distance of the smallest or largest value beyond the valid range, in widths of that range."""
    infinite_ratio: float | None = None
    """Share of the values that are infinite."""
    distinct: float | None = None
    expected_distinct: float | None = None
    """Distinct values that as many rows hold where nothing changed."""
    cardinality_change: Measure | None = None
    """distinct / expected_distinct - 1."""
    new_category_ratio: Measure | None = None
    """Share of the values that the reference does not hold."""
    vanished: tuple[str, ...] | None = None
    """Categories that held 2 % or more of the reference and are gone."""
    severity: Severity | None = None
    """The worst of all statistics here."""


class FeatureReport(Distances[Measure], frozen=True, kw_only=True):
    """One feature (or the score) in one window.

    Every statistic is None where it is undefined; `status` and `reason` then say why. Never NaN.
    """

    type: FeatureType
    status: Status
    reason: str = ""
    rows: int = 0
    """Non-null values measured."""
    null_rate: float | None = None
    reference_null_rate: float | None = None
    null_rate_increase: Measure | None = None
    """null_rate - reference_null_rate, which is bad where a feature may be null and has no threshold of its own."""
    nulls: int = 0
    nans: int = 0
    infinities: int = 0
    mean: float | None = None
    reference_mean: float | None = None
    out_of_range_ratio: float | None = None
    out_of_range_increase: Measure | None = None
    """The same of out_of_range_ratio, which is bad where a feature has no threshold of its own."""
    ks_pvalue: float | None = None
    ks_pvalue_adjusted: float | None = None
    """The p-value after Benjamini and Hochberg, over all features of the window."""
    ks_error_bound: float | None = None
    """The true D lies between ks.value and ks.value plus this."""
    quality: Quality | None = None
    severity: Severity | None = None
    """The worst of all that was found of it: drift, quality, nulls, values out of range, that it cannot be measured."""
    action: str = ""
    bins: tuple[Bin, ...] = ()
    """Every cell, in order of the cells."""

    @property
    def distances(self) -> dict[str, Measure]:
        """Return the drift statistics that are known, by name, in the order of the metrics contract."""
        found = {statistic.name: getattr(self, statistic.name) for statistic in STATISTICS}
        return {name: measure for name, measure in found.items() if measure is not None}

    @property
    def rank(self) -> tuple[int, float]:
        """Return a key, worst first: by severity, then by PSI; those without a PSI before those below thresholds."""
        psi = self.psi.value if self.psi else float("inf")
        return (SEVERITIES.index(self.severity) if self.severity else len(SEVERITIES), -psi)

    def top_bins(self, count: int) -> tuple[Bin, ...]:
        """Return the bins that contribute most to PSI, largest first; ties in cell order."""
        return tuple(sorted(self.bins, key=lambda item: -item.psi)[:count])


class SchemaDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A column in which the log and the reference differ."""

    kind: SchemaDifferenceKind
    column: str
    detail: str = ""


class CountWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest scores up to the end of the window, however long ago they were given."""

    wanted: int
    """Number of scores that the window is to hold."""
    window: Window
    """From the oldest of them to the end of the time window."""
    report: FeatureReport


class FeaturesReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing a window with the reference. A window's report holds these fields as its own."""

    features: dict[str, FeatureReport]
    score: FeatureReport | None = None
    score_count: CountWindow | None = None
    probabilities: dict[str, FeatureReport] = {}
    schema_differences: tuple[SchemaDifference, ...] = ()

    @property
    def worst_probabilities(self) -> tuple[str, ...]:
        """Return the classes whose probabilities are published, those that drifted most first."""
        return tuple(sorted(self.probabilities, key=lambda name: self.probabilities[name].rank)[:CLASSES_SHOWN])
