"""A spec, reports and log rows that the tests of the measuring side share."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client.parser import text_string_to_metric_families
from serving_samples import HOSTILE, SPEC  # noqa: F401  (tests of the measuring side find the spec here)

from mlvitals.exporters.parts import FileProblem, Interval, Measure, Window
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, Evidence, GapSample
from mlvitals.exporters.sections.features.report import Bin, CountWindow, FeatureReport, Quality, SchemaDifference
from mlvitals.exporters.sections.outcomes.report import EstimatedPerformance, Figure, OutcomeReport
from mlvitals.exporters.sections.skew.report import FeatureSkew, SkewReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import ConceptStatus, DriftKind, SchemaDifferenceKind, SkewStatus, Status
from mlvitals.generator.spec.model import FeatureType, OutcomeKind, Severity, SkewJoin

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(NOON - HOUR, NOON)


QUALITY = Quality(
    quantiles={"5": 19.0, "50": 35.0, "95": 71.0},
    reference_quantiles={"5": 18.0, "50": 34.0, "95": 70.0},
    mean_shift=Measure(value=2.5, critical_value=0.1, severity=Severity.WARNING),
    median_shift=Measure(value=-0.5, critical_value=0.2),
    variance_ratio=Measure(value=0.25, critical_value=1.5, severity=Severity.WARNING),
    range_excess=0.75,
    infinite_ratio=0.001,
    cardinality_change=Measure(value=-0.05, critical_value=0.02),
    new_category_ratio=Measure(value=0.03, critical_value=0.001, severity=Severity.WARNING),
    vanished=("premium", "family"),
    severity=Severity.WARNING,
)


def measured(psi: float = 0.4, **changes: Any) -> FeatureReport:
    """A feature of which everything is known."""
    return FeatureReport(
        **{
            "type": FeatureType.INTEGER,
            "status": Status.OK,
            "rows": 990,
            "null_rate": 0.01,
            "reference_null_rate": 0.002,
            "null_rate_increase": Measure(value=0.008, critical_value=0.003),
            "nulls": 10,
            "mean": 41.5,
            "reference_mean": 40.0,
            "out_of_range_ratio": 0.125,
            "out_of_range_increase": Measure(value=0.125, critical_value=0.001, severity=Severity.CRITICAL),
            "psi": Measure(value=psi, critical_value=0.03, severity=Severity.CRITICAL),
            "ks": Measure(value=0.2, critical_value=0.05, severity=Severity.CRITICAL),
            "ks_pvalue": 1e-9,
            "ks_pvalue_adjusted": 3e-9,
            "js": Measure(value=0.05, critical_value=0.004),
            "wasserstein": Measure(value=0.5, critical_value=0.02),
            "quality": QUALITY,
            "severity": Severity.CRITICAL,
            "bins": (
                Bin(label="(-inf, 30]", reference=0.5, current=0.25, psi=psi / 4),
                Bin(label="(30, 60]", reference=0.4, current=0.35, psi=psi / 8),
                Bin(label="(60, +inf)", reference=0.1, current=0.4, psi=psi * 5 / 8),
            ),
            **changes,
        }
    )


def too_little() -> FeatureReport:
    """A feature with too few rows to compare."""
    return FeatureReport(type=FeatureType.CATEGORICAL, status=Status.INSUFFICIENT_DATA, rows=7, null_rate=0.0)


def skewed(**changes: Any) -> SkewReport:
    """Skew of a window in which one feature differs, one had too few rows, one agrees and one is not recomputed."""
    features = {
        "age": FeatureSkew(
            status=SkewStatus.INVESTIGATE,
            measure="psi",
            serving_values=1000,
            offline_values=990,
            distance=Measure(value=0.02, critical_value=0.01),
            mismatches=50,
            mismatch_ratio=0.05,
        ),
        "country": FeatureSkew(status=SkewStatus.INSUFFICIENT_DATA, measure="js", reason="7 values offline"),
        HOSTILE: FeatureSkew(status=SkewStatus.OK, measure="psi", mismatches=0, mismatch_ratio=0.0),
        "plan": FeatureSkew(status=SkewStatus.NOT_RECOMPUTED, measure="psi", reason="no offline row has it"),
    }
    return SkewReport(
        **{
            "window": WINDOW,
            "join": SkewJoin.ID,
            "serving_rows": 1000,
            "offline_rows": 990,
            "features": features,
            **changes,
        }
    )


CONCEPT = ConceptReport(
    status=ConceptStatus.OK,
    sample=GapSample(
        window_start=NOON - 25 * HOUR,
        window_end=NOON - 24 * HOUR,
        gap=0.0625,
        gap_error=0.01,
        count=900,
        explained=True,
    ),
    baseline_windows=100,
    expected_gap=0.0125,
    gap_deviation=0.0125,
    standardised_gap=4.0,
    ewma=2.0,
    ewma_limit=1.25,
    cusum_upper=9.0,
    cusum_lower=0.0,
    cusum_limit=12.0,
    since=NOON - 28 * HOUR,
    explained_ratio=0.75,
    severity=Severity.WARNING,
)
DRIFT_TYPE = DriftType(
    kind=DriftKind.COVARIATE,
    reason="The inputs changed: age.",
    response="Retrain on the new population.",
    evidence=Evidence(features=("age",), strong=True, prediction=False, gap=True, gap_explained=True),
    explains=True,
)


MATURE = Window(NOON - 25 * HOUR, NOON - 24 * HOUR)
OUTCOMES = OutcomeReport(
    window=MATURE,
    kind=OutcomeKind.BINARY,
    predictions=1000,
    answered=900,
    feedback_rate=0.9,
    feedback_interval=Interval(low=0.88, high=0.92),
    expected_feedback_rate=0.95,
    feedback_fall=Measure(value=0.05, critical_value=0.02),
    rejected_ratio={"early": 0.01, "late": 0.0},
    delay_p50_seconds=60.0,
    delay_p95_seconds=600.0,
    predicted_mean=0.3,
    observed_mean=0.25,
    observed_interval=Interval(low=0.22, high=0.28),
    reference_observed_mean=0.3,
    label_shift=Measure(value=-0.17, critical_value=0.1),
    gap=0.05,
    gap_error=0.01,
    performance={"auc": Figure(value=0.7, reference=0.75), "log_loss": Figure()},
    performance_loss=Measure(value=0.2, critical_value=0.1),
    estimated=EstimatedPerformance(window=MATURE, scores=500, figures={"estimated_auc": 0.72}),
    problems=(FileProblem(path="a", problem="broken"),),
)


def report(**changes: Any) -> WindowReport:
    """A window in which one feature drifted and one had too few rows."""
    return WindowReport(
        **{
            "system": "shop",
            "window": WINDOW,
            "measured_at": NOON + timedelta(minutes=5),
            "reference_version": "0123456789abcdef",
            "reference_created": NOON - timedelta(days=30),
            "rows": 1000,
            "features": {"age": measured(), "country": too_little(), HOSTILE: measured(0.1, severity=None)},
            "score": measured(0.02, type=FeatureType.FLOAT, severity=None),
            "score_count": CountWindow(
                wanted=10_000,
                window=Window(NOON - 3 * HOUR, NOON),
                report=measured(0.05, type=FeatureType.FLOAT, rows=9000, severity=None),
            ),
            "schema_differences": (SchemaDifference(kind=SchemaDifferenceKind.NEW_COLUMN, column="extra"),),
            "severity": Severity.CRITICAL,
            "concept": CONCEPT,
            "drift_type": DRIFT_TYPE,
            **changes,
        }
    )


def log_rows(begin: datetime, end: datetime, count: int = 1000, *, seed: int = 0, **columns: Any) -> pa.Table:
    """Rows of the prediction log, evenly spread over a stretch of time."""
    generator = np.random.default_rng(seed)
    moments = [begin + (end - begin) * (index / count) for index in range(count)]
    return pa.table(
        {
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "age": generator.integers(18, 90, count),
            "country": generator.choice(["de", "fr", "pl"], count),
            "hostile": generator.normal(size=count),
            "score": generator.random(count),
        }
        | columns
    )


def write_parquet(table: pa.Table, path: Path) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def spoil(file: Path) -> None:
    """Overwrite a file so that nobody notices who does not open it."""
    before = file.stat()
    file.write_bytes(bytes(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def samples_of(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of an exposition by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(page: bytes, name: str, **labels: str) -> float | None:
    """The value of one series, or None where it is absent."""
    return samples_of(page).get((name, frozenset(labels.items())))
