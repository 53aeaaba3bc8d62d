"""Metric families of features and scores: their status, values, quality and drift."""

from collections.abc import Iterator
from enum import StrEnum

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.contract.statistics import STATISTICS
from mlvitals.generator.spec.model import Spec

TOP_BINS_SQL = """\
SELECT feature_name, is_score, bin, reference_ratio, current_ratio, psi_contribution, window_start, window_end
FROM drift_results
WHERE system = :system
  AND window_end = (SELECT MAX(window_end) FROM drift_windows WHERE system = :system)
ORDER BY psi_contribution DESC, feature_name, is_score, bin_index
LIMIT :limit"""
"""The bins that contributed most to PSI in a system's newest window, in the results database; the exporter's tables
are in `exporters.publish.results`. Runs on SQLite and PostgreSQL. Empty if the newest window had too few rows to compare."""


class Status(StrEnum):
    """The status of a feature in a window: there are numbers only if it is ok."""

    OK = "ok"
    INSUFFICIENT_DATA = "insufficient_data"
    MISSING_IN_SERVING = "missing_in_serving"
    MISSING_IN_REFERENCE = "missing_in_reference"
    TYPE_MISMATCH = "type_mismatch"
    ALL_NULL = "all_null"


UNMEASURABLE = (Status.MISSING_IN_SERVING, Status.TYPE_MISMATCH, Status.ALL_NULL, Status.MISSING_IN_REFERENCE)
"""Statuses in which a feature cannot be measured although there is data; each pages."""


class SchemaDifferenceKind(StrEnum):
    """The ways in which a column of the log can differ from the spec and the reference."""

    MISSING_COLUMN = "missing_column"
    NEW_COLUMN = "new_column"
    TYPE_CHANGED = "type_changed"


PERCENTILES = ("5", "50", "95")
"""The quantiles of a feature that are published."""


def feature_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of features, and of the scores if the spec has some."""
    yield from _VALUES
    yield from _QUALITY
    for statistic in STATISTICS:
        yield from statistic.families()
    yield from _BINS
    if spec.score_type is not None:
        yield from _SCORES
        if spec.counts_newest_scores:
            yield from _NEWEST_SCORES
    if spec.has_probabilities:
        yield from _PROBABILITIES


_PROBABILITIES = (
    gauge(
        "class_probability_psi",
        "Population stability index of the probability of a class against the reference, of the worst classes.",
        "class",
    ),
    gauge(
        "class_probability_psi_critical_value",
        "PSI that noise alone exceeds in any class once in 1000 windows.",
        "class",
    ),
)
_FEATURE = "feature_name"
_TOP = ("rank", "bin")
_EVERY = ("bin_index", "bin")

_VALUES = (
    gauge("feature_info", "A monitored feature; always 1.", _FEATURE, "feature_source", "feature_type"),
    gauge(
        "feature_status",
        "1 for the status of the feature in the last window, 0 for the others.",
        _FEATURE,
        "status",
    ),
    gauge("feature_rows", "Values measured in the last window, nulls excluded.", _FEATURE),
    gauge("feature_null_rate", "Share of null or NaN values in the last window, 0 to 1.", _FEATURE),
    gauge("feature_reference_null_rate", "Share of null or NaN values in the reference, 0 to 1.", _FEATURE),
    gauge("feature_null_rate_increase", "Null rate of the last window minus that of the reference.", _FEATURE),
    gauge(
        "feature_null_rate_increase_critical_value",
        "Increase of the null rate that noise alone exceeds once in 2000 windows.",
        _FEATURE,
    ),
    gauge("feature_mean", "Mean of the finite values in the last window, in the feature's own unit.", _FEATURE),
    gauge("feature_reference_mean", "Mean in the reference, in the feature's own unit.", _FEATURE),
    gauge(
        "feature_quantile",
        "Quantiles of the values in the last window, infinite ones as the outermost, in the feature's own unit.",
        _FEATURE,
        "percentile",
    ),
    gauge("feature_reference_quantile", "The same quantiles of the reference.", _FEATURE, "percentile"),
    gauge(
        "feature_out_of_range_ratio",
        "Share of values in the last window outside the valid range, 0 to 1.",
        _FEATURE,
    ),
    gauge(
        "feature_out_of_range_increase",
        "Share of values outside the valid range, minus that of the reference.",
        _FEATURE,
    ),
    gauge(
        "feature_out_of_range_increase_critical_value",
        "Increase of that share that noise alone exceeds once in 2000 windows.",
        _FEATURE,
    ),
)

_QUALITY = (
    gauge(
        "feature_mean_shift",
        "Mean of the last window minus the reference's, in standard deviations of the reference.",
        _FEATURE,
    ),
    gauge(
        "feature_mean_shift_critical_value",
        "Mean shift that noise alone exceeds once in 1000 windows, on either side.",
        _FEATURE,
    ),
    gauge(
        "feature_median_shift",
        "Median of the last window minus the reference's, in standard deviations of the reference.",
        _FEATURE,
    ),
    gauge(
        "feature_median_shift_critical_value", "Median shift that noise alone exceeds once in 1000 windows.", _FEATURE
    ),
    gauge("feature_variance_ratio", "Variance of the last window divided by that of the reference.", _FEATURE),
    gauge(
        "feature_variance_ratio_critical_value",
        "Noise alone keeps the variance ratio between 1 divided by this and this.",
        _FEATURE,
    ),
    gauge(
        "feature_range_excess",
        "Distance of the extreme values from the valid range, in widths of that range; 0 within it.",
        _FEATURE,
    ),
    gauge("feature_infinite_ratio", "Share of infinite values in the last window, 0 to 1.", _FEATURE),
    gauge(
        "feature_cardinality_change",
        "Distinct values divided by the number expected in that many unchanged rows, minus 1.",
        _FEATURE,
    ),
    gauge(
        "feature_cardinality_change_critical_value",
        "Cardinality change that noise alone exceeds once in 1000 windows.",
        _FEATURE,
    ),
    gauge("feature_new_category_ratio", "Share of values that are not in the reference, 0 to 1.", _FEATURE),
    gauge(
        "feature_new_category_ratio_critical_value",
        "Share of new values that noise alone exceeds once in 1000 windows.",
        _FEATURE,
    ),
    gauge(
        "feature_vanished_categories",
        "Categories that made up 2% or more of the reference and are missing from the window.",
        _FEATURE,
    ),
)

_BINS = (
    gauge("drift_top_bin_psi", "Contribution to PSI of the bins that contribute most.", _FEATURE, *_TOP),
    gauge("drift_top_bin_reference_ratio", "Share of the reference in that bin, 0 to 1.", _FEATURE, *_TOP),
    gauge("drift_top_bin_current_ratio", "Share of the last window in that bin, 0 to 1.", _FEATURE, *_TOP),
    gauge("drift_bin_psi", "Contribution to PSI of each bin, in order of bin_index.", _FEATURE, *_EVERY),
    gauge("drift_bin_reference_ratio", "Share of the reference in each bin, 0 to 1.", _FEATURE, *_EVERY),
    gauge("drift_bin_current_ratio", "Share of the last window in each bin, 0 to 1.", _FEATURE, *_EVERY),
)

_SCORES = (
    gauge(
        "prediction_score_status",
        "1 for the status of the scores in the last window, 0 for the others.",
        "status",
    ),
    gauge("prediction_score_rows", "Scores measured in the last window, nulls excluded."),
    gauge("prediction_score_null_rate", "Share of null or NaN scores in the last window, 0 to 1."),
    gauge("prediction_score_null_rate_increase", "Null rate of the last window's scores minus that of the reference."),
    gauge(
        "prediction_score_null_rate_increase_critical_value",
        "Increase of the scores' null rate that noise alone exceeds once in 2000 windows.",
    ),
    gauge(
        "prediction_score_out_of_range_ratio",
        "Share of scores in the last window outside the range of the reference, 0 to 1.",
    ),
    gauge("prediction_score_out_of_range_increase", "Share of scores outside that range, minus that of the reference."),
    gauge(
        "prediction_score_out_of_range_increase_critical_value",
        "Increase of that share of scores that noise alone exceeds once in 2000 windows.",
    ),
    gauge("prediction_score_psi", "Population stability index of the scores, 0 and up."),
    gauge("prediction_score_psi_critical_value", "Score PSI that noise alone exceeds once in 1000 windows."),
    gauge("prediction_score_js", "Jensen-Shannon divergence of the scores in nats, 0 to ln 2."),
    gauge("prediction_score_top_bin_psi", "Contribution to the score PSI of its top bins.", *_TOP),
    gauge("prediction_score_top_bin_reference_ratio", "Share of the reference's scores in that bin, 0 to 1.", *_TOP),
    gauge("prediction_score_top_bin_current_ratio", "Share of the last window's scores in that bin, 0 to 1.", *_TOP),
)

_NEWEST_SCORES = (
    gauge("prediction_score_count_rows", "Scores in the count window: the newest scores up to its end."),
    gauge("prediction_score_count_span_seconds", "Time from the oldest score of the count window to its end."),
    gauge("prediction_score_count_psi", "Population stability index of the newest scores, 0 and up."),
    gauge(
        "prediction_score_count_psi_critical_value",
        "PSI of the newest scores that noise alone exceeds once in 1000 windows.",
    ),
)
