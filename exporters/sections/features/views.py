"""Features and prediction scores as gauges, as SQL rows and as words for people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import TABLES, UtcDateTime, window_key
from mlvitals.exporters.parts import Rows, Sample, Samples, Window, critical_value_of, single_sample, value_of
from mlvitals.exporters.sections.features.report import (
    Bin,
    CountWindow,
    FeatureReport,
    FeaturesReport,
    Quality,
    SchemaDifference,
)
from mlvitals.exporters.wording import printable, share
from mlvitals.generator.contract import STATISTICS, UNMEASURABLE, Contract, SchemaDifferenceKind, Statistic, Status

SCORE_NAME = "prediction_score"
"""The value of `feature_name` in rows of the score."""


def _feature_key() -> tuple[Column[Any], ...]:
    return (
        Column("feature_name", String(200), primary_key=True),
        Column("is_score", Boolean, primary_key=True),
    )


_FIRST = 3
"""Statistics of the first release. Columns of later ones stand where migrations put them, at the end."""


def _statistic_columns(statistics: Sequence[Statistic]) -> Iterator[Column[float]]:
    for statistic in statistics:
        yield Column(statistic.name, Float)
        yield Column(f"{statistic.name}_critical_value", Float)
        if statistic.pvalue_help:
            yield Column(f"{statistic.name}_pvalue", Float)


drift_features = Table(
    "drift_features",
    TABLES,
    *window_key(),
    *_feature_key(),
    Column("status", String(32), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("null_rate", Float),
    Column("mean", Float),
    Column("out_of_range_ratio", Float),
    *_statistic_columns(STATISTICS[:_FIRST]),
    Column("severity", String(16)),
    *_statistic_columns(STATISTICS[_FIRST:]),
)
drift_results = Table(
    "drift_results",
    TABLES,
    *window_key(),
    *_feature_key(),
    Column("bin_index", Integer, primary_key=True),
    Column("bin", Text, nullable=False),
    Column("reference_ratio", Float, nullable=False),
    Column("current_ratio", Float, nullable=False),
    Column("psi_contribution", Float, nullable=False),
    # The end of the window: the moment these shares stand for, whenever they were measured.
    Column("timestamp", UtcDateTime, nullable=False),
    Index("drift_results_by_time", "system", "timestamp"),
)


def rows(report: FeaturesReport, window: Window) -> Rows:
    """Yield the rows of every feature and of the score, and of each of their bins."""
    for name, feature in report.features.items():
        yield from _rows(feature, window.end, feature_name=name, is_score=False)
    if report.score is not None:
        yield from _rows(report.score, window.end, feature_name=SCORE_NAME, is_score=True)


def _rows(feature: FeatureReport, window_end: datetime, **key: object) -> Rows:
    yield (
        drift_features.name,
        key
        | {
            "status": feature.status.value,
            "rows": feature.rows,
            "null_rate": feature.null_rate,
            "mean": feature.mean,
            "out_of_range_ratio": feature.out_of_range_ratio,
            **dict(_statistic_values(feature)),
            "ks_pvalue": feature.ks_pvalue,
            "severity": feature.severity and feature.severity.value,
        },
    )
    for index, item in enumerate(feature.bins):
        yield (
            drift_results.name,
            key
            | {
                "bin_index": index,
                "bin": item.label.replace("\0", "\ufffd"),  # PostgreSQL has no text with NUL
                "reference_ratio": item.reference,
                "current_ratio": item.current,
                "psi_contribution": item.psi,
                "timestamp": window_end,
            },
        )


def _statistic_values(feature: FeatureReport) -> Iterator[tuple[str, float | None]]:
    for statistic in STATISTICS:
        measure = getattr(feature, statistic.name)
        yield statistic.name, value_of(measure)
        yield f"{statistic.name}_critical_value", critical_value_of(measure)


def info_gauges(contract: Contract) -> Samples:
    """Return the features that the spec has, which are known without any window."""
    features = contract.spec.features.items()
    return {"feature_info": [((name, feature.source or "", feature.type), 1) for name, feature in features]}


_FIGURES: dict[str, Callable[[FeatureReport], float | None]] = {
    "feature_rows": lambda feature: feature.rows,
    "feature_null_rate": lambda feature: feature.null_rate,
    "feature_reference_null_rate": lambda feature: feature.reference_null_rate,
    "feature_null_rate_increase": lambda feature: value_of(feature.null_rate_increase),
    "feature_null_rate_increase_critical_value": lambda feature: critical_value_of(feature.null_rate_increase),
    "feature_mean": lambda feature: feature.mean,
    "feature_reference_mean": lambda feature: feature.reference_mean,
    "feature_out_of_range_ratio": lambda feature: feature.out_of_range_ratio,
    "feature_out_of_range_increase": lambda feature: value_of(feature.out_of_range_increase),
    "feature_out_of_range_increase_critical_value": lambda feature: critical_value_of(feature.out_of_range_increase),
    "drift_ks_pvalue": lambda feature: feature.ks_pvalue_adjusted,
}
_QUALITY_FIGURES: dict[str, Callable[[Quality], float | None]] = {
    "feature_mean_shift": lambda quality: value_of(quality.mean_shift),
    "feature_mean_shift_critical_value": lambda quality: critical_value_of(quality.mean_shift),
    "feature_median_shift": lambda quality: value_of(quality.median_shift),
    "feature_median_shift_critical_value": lambda quality: critical_value_of(quality.median_shift),
    "feature_variance_ratio": lambda quality: value_of(quality.variance_ratio),
    "feature_variance_ratio_critical_value": lambda quality: critical_value_of(quality.variance_ratio),
    "feature_range_excess": lambda quality: quality.range_excess,
    "feature_infinite_ratio": lambda quality: quality.infinite_ratio,
    "feature_cardinality_change": lambda quality: value_of(quality.cardinality_change),
    "feature_cardinality_change_critical_value": lambda quality: critical_value_of(quality.cardinality_change),
    "feature_new_category_ratio": lambda quality: value_of(quality.new_category_ratio),
    "feature_new_category_ratio_critical_value": lambda quality: critical_value_of(quality.new_category_ratio),
    "feature_vanished_categories": lambda quality: None if quality.vanished is None else len(quality.vanished),
}
_QUANTILES: dict[str, Callable[[Quality], Mapping[str, float]]] = {
    "feature_quantile": lambda quality: quality.quantiles,
    "feature_reference_quantile": lambda quality: quality.reference_quantiles,
}
_SCORE_FIGURES: dict[str, Callable[[FeatureReport], float | None]] = {
    "prediction_score_rows": lambda score: score.rows,
    "prediction_score_null_rate": lambda score: score.null_rate,
    "prediction_score_null_rate_increase": lambda score: value_of(score.null_rate_increase),
    "prediction_score_null_rate_increase_critical_value": lambda score: critical_value_of(score.null_rate_increase),
    "prediction_score_out_of_range_ratio": lambda score: score.out_of_range_ratio,
    "prediction_score_out_of_range_increase": lambda score: value_of(score.out_of_range_increase),
    "prediction_score_out_of_range_increase_critical_value": lambda score: critical_value_of(
        score.out_of_range_increase
    ),
    "prediction_score_psi": lambda score: value_of(score.psi),
    "prediction_score_psi_critical_value": lambda score: critical_value_of(score.psi),
    "prediction_score_js": lambda score: value_of(score.js),
}
_BIN_FIGURES: dict[str, Callable[[Bin], float]] = {
    "bin_psi": lambda item: item.psi,
    "bin_reference_ratio": lambda item: item.reference,
    "bin_current_ratio": lambda item: item.current,
}


def gauges(contract: Contract, report: FeaturesReport) -> Samples:
    """Return the samples of the features that the spec still has (a stored report may be older), and of the scores."""
    top_bins = contract.spec.exporter.top_bins
    samples = {
        **_feature_samples(contract, report),
        "schema_differences": [
            ((kind,), sum(item.kind is kind for item in report.schema_differences)) for kind in SchemaDifferenceKind
        ],
    }
    if report.score is not None:
        samples |= _score_samples(report.score, top_bins)
    if report.score_count is not None:
        samples |= _count_window_samples(report.score_count)
    if contract.spec.has_probabilities:
        shown = {name: report.probabilities[name].psi for name in report.worst_probabilities}
        samples["class_probability_psi"] = [((name,), value_of(psi)) for name, psi in shown.items()]
        samples["class_probability_psi_critical_value"] = [
            ((name,), critical_value_of(psi)) for name, psi in shown.items()
        ]
    return samples


def _feature_samples(contract: Contract, report: FeaturesReport) -> dict[str, Iterable[Sample]]:
    features = {name: report.features[name] for name in contract.spec.features if name in report.features}
    samples: dict[str, Iterable[Sample]] = {
        short: [((name,), figure(feature)) for name, feature in features.items()] for short, figure in _FIGURES.items()
    }
    for statistic in STATISTICS:
        measures = {name: getattr(feature, statistic.name) for name, feature in features.items()}
        samples[statistic.family] = [((name,), value_of(item)) for name, item in measures.items()]
        samples[statistic.noise_family] = [((name,), critical_value_of(item)) for name, item in measures.items()]
    for short, of_quality in _QUALITY_FIGURES.items():
        samples[short] = [
            ((name,), of_quality(feature.quality)) for name, feature in features.items() if feature.quality
        ]
    for short, quantiles in _QUANTILES.items():
        samples[short] = [
            ((name, percentile), figure)
            for name, feature in features.items()
            if feature.quality
            for percentile, figure in quantiles(feature.quality).items()
        ]
    samples["feature_status"] = [
        ((name, status), float(feature.status is status)) for name, feature in features.items() for status in Status
    ]
    for short, figure in _BIN_FIGURES.items():
        samples[f"drift_top_{short}"] = [
            ((name, *labels), figure(item))
            for name, feature in features.items()
            for labels, item in _top_bins(feature, contract.spec.exporter.top_bins)
        ]
        samples[f"drift_{short}"] = [
            ((name, *labels), figure(item)) for name, feature in features.items() for labels, item in _bins(feature)
        ]
    return samples


def _score_samples(score: FeatureReport, top_bins: int) -> dict[str, Iterable[Sample]]:
    samples: dict[str, Iterable[Sample]] = {
        short: single_sample(figure(score)) for short, figure in _SCORE_FIGURES.items()
    }
    samples["prediction_score_status"] = [((status,), float(score.status is status)) for status in Status]
    for short, figure in _BIN_FIGURES.items():
        samples[f"prediction_score_top_{short}"] = [
            (labels, figure(item)) for labels, item in _top_bins(score, top_bins)
        ]
    return samples


def _count_window_samples(newest: CountWindow) -> dict[str, Iterable[Sample]]:
    span = newest.window.end - newest.window.start
    return {
        "prediction_score_count_rows": single_sample(newest.report.rows),
        "prediction_score_count_span_seconds": single_sample(span.total_seconds()),
        "prediction_score_count_psi": single_sample(value_of(newest.report.psi)),
        "prediction_score_count_psi_critical_value": single_sample(critical_value_of(newest.report.psi)),
    }


def _top_bins(feature: FeatureReport, count: int) -> Iterator[tuple[tuple[str, str], Bin]]:
    if feature.psi is not None:
        for rank, item in enumerate(feature.top_bins(count), start=1):
            yield (str(rank), item.label), item


def _bins(feature: FeatureReport) -> Iterator[tuple[tuple[str, str], Bin]]:
    """Yield every bin; its index has as many digits as the largest, so that bins sorted by text are in order."""
    if feature.psi is not None:
        digits = len(str(len(feature.bins) - 1))
        for index, item in enumerate(feature.bins):
            yield (f"{index:0{digits}}", item.label), item


def nulls(feature: FeatureReport) -> str:
    """Return the null rate, and the reference's where there is any: ``12.0% (10.0%)``."""
    if feature.null_rate is None:
        return ""
    usual = feature.reference_null_rate
    return f"{share(feature.null_rate)} ({share(usual)})" if usual else share(feature.null_rate)


def shift(item: Bin) -> str:
    """Return what happened to a bin: ``> 365: 0.0% to 40.2%``."""
    return f"{printable(item.label)}: {share(item.reference)} to {share(item.current)}"


def state(feature: FeatureReport) -> str:
    """Return the severity, or the status in words where that is what is wrong or all there is to say."""
    severity = None if feature.status in UNMEASURABLE else feature.severity
    return severity or feature.status.value.replace("_", " ")


def quality_findings(quality: Quality | None) -> str:
    """Return the quality statistics that are bad: ``mean +2.5 sd, new 3.0%``; empty where none is."""
    if quality is None or quality.severity is None:
        return ""
    written = {
        "mean {:+,.3g} sd": quality.mean_shift,
        "median {:+,.3g} sd": quality.median_shift,
        "variance x{:.2g}": quality.variance_ratio,
        "cardinality {:+.0%}": quality.cardinality_change,
        "new {:.1%}": quality.new_category_ratio,
    }
    found = [form.format(item.value) for form, item in written.items() if item and item.severity]
    if quality.infinite_ratio:
        found.append(f"infinite {quality.infinite_ratio:.1%}")
    if quality.range_excess and not found:
        found.append(f"from {quality.minimum:g} to {quality.maximum:g}")
    return ", ".join([*found, *(f"without {printable(name)}" for name in quality.vanished or ())])


def difference(found: SchemaDifference) -> str:
    """Return a column that differs: ``device: missing column``."""
    return f"{printable(found.column)}: {found.kind.replace('_', ' ')}"
