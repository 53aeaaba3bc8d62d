"""One function decides how bad a report is: its findings are what the generated rules alert on, alert by alert.

The rules are evaluated on the very page that the exporter serves for the report, `for` left out.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from drift_samples import random
from exporter_samples import MATURE, NOON, WINDOW, log_rows, write_parquet
from exporter_samples import SPEC as SAMPLE
from exporter_samples import report as report_of_samples
from gap_history import drift_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from examples.alert_conditions import page_of
from mlvitals.evaluation.alerts import Recorded
from mlvitals.evaluation.expressions import Evaluator
from mlvitals.exporters.parts import FileProblem, FindingKind, Measure, RepeatedRows
from mlvitals.exporters.publish.prometheus import families_of_window
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, Evidence
from mlvitals.exporters.sections.events.report import EventCount, EventsReport
from mlvitals.exporters.sections.features.report import (
    CountWindow,
    FeatureReport,
    Quality,
    SchemaDifference,
)
from mlvitals.exporters.sections.outcomes.report import ClassesReport, ClassReport, OutcomeReport
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.exporters.sections.skew.report import FeatureSkew, SkewReport
from mlvitals.exporters.statistics.judging import level_limits, measure, worst
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.findings import with_findings
from mlvitals.exporters.window.history import judge
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import (
    SEGMENT_LABELS,
    STATISTICS,
    ConceptStatus,
    Contract,
    DriftKind,
    Producer,
    Rejection,
    SchemaDifferenceKind,
    SkewStatus,
    Status,
)
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.promql import metric_names
from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.rules.expressions import ranges
from mlvitals.generator.rules.recording import recording_rule, records_of
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.spec.defaults import completed
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import (
    AlertPolicy,
    Alerts,
    FeatureThresholds,
    FeatureType,
    Levels,
    OutcomeKind,
    Severity,
    SkewJoin,
    Spec,
)

SPECS = Path(__file__).resolve().parents[2] / "specs"
HOUR = timedelta(hours=1)
FEATURE = ("feature_name",)

FINDING_OF = {
    "MLFeatureDrift": ("feature_psi", FEATURE),
    "MLFeatureDistance": ("feature_wasserstein", FEATURE),
    "MLNullRateHigh": (FindingKind.NULL_RATE, FEATURE),
    "MLRequiredFeatureNull": (FindingKind.REQUIRED_NULL_RATE, FEATURE),
    "MLFeatureOutOfRange": (FindingKind.OUT_OF_RANGE_RATIO, FEATURE),
    "MLFeatureMeanShift": (FindingKind.MEAN_SHIFT, FEATURE),
    "MLFeatureMedianShift": (FindingKind.MEDIAN_SHIFT, FEATURE),
    "MLFeatureVariance": (FindingKind.VARIANCE_RATIO, FEATURE),
    "MLFeatureExtreme": (FindingKind.RANGE_EXCESS, FEATURE),
    "MLFeatureInfinite": (FindingKind.INFINITE_RATIO, FEATURE),
    "MLFeatureCardinality": (FindingKind.CARDINALITY_CHANGE, FEATURE),
    "MLFeatureNewCategory": (FindingKind.NEW_CATEGORY_RATIO, FEATURE),
    "MLFeatureCategoryVanished": (FindingKind.VANISHED_CATEGORIES, FEATURE),
    "MLFeatureUnmeasurable": (FindingKind.FEATURE_STATUS, FEATURE),
    "MLManyFeaturesDrifting": (FindingKind.MANY_FEATURES, ("feature_source",)),
    "MLScoreDrift": (FindingKind.SCORE_PSI, ()),
    "MLScoreUnmeasurable": (FindingKind.SCORE_STATUS, ()),
    "MLScoreNullRateHigh": (FindingKind.SCORE_NULL_RATE, ()),
    "MLScoreOutOfRange": (FindingKind.SCORE_OUT_OF_RANGE_RATIO, ()),
    "MLNewestScoreDrift": (FindingKind.NEWEST_SCORE_PSI, ()),
    "MLClassScoreDrift": (FindingKind.CLASS_PROBABILITY_PSI, ("class",)),
    "MLLogNewColumn": (FindingKind.NEW_COLUMNS, ()),
    "MLLogRowsRepeated": (FindingKind.REPEATED_ROWS, ()),
    "MLWindowTooSmall": (FindingKind.WINDOW_TOO_SMALL, ()),
    "MLLogFilesUnreadable": (FindingKind.LOG_FILES_UNREADABLE, ()),
    "MLConceptDrift": (FindingKind.CONCEPT_DRIFT, ()),
    "MLHarmfulDrift": (FindingKind.CONCEPT_DRIFT, ()),
    "MLConceptUnwatched": (FindingKind.CONCEPT_UNWATCHED, ()),
    "MLFeedbackRateFall": (FindingKind.FEEDBACK_RATE, ()),
    "MLFeedbackDelay": (FindingKind.FEEDBACK_DELAY, ()),
    "MLFeedbackRejected": (FindingKind.FEEDBACK_REJECTED, ("reason",)),
    "MLFeedbackUnreadable": (FindingKind.FEEDBACK_UNREADABLE, ()),
    "MLLabelDrift": (FindingKind.LABEL_SHIFT, ()),
    "MLPerformanceLoss": (FindingKind.PERFORMANCE_LOSS, ()),
    "MLClassRecallLoss": (FindingKind.CLASS_RECALL, ("class",)),
    "MLUnlistedClass": (FindingKind.UNLISTED_CLASS, ("side",)),
    "MLTrainingServingSkew": (FindingKind.SKEW, FEATURE),
    "MLTrainingServingMismatch": (FindingKind.SKEW_MISMATCH, FEATURE),
    "MLSkewUnmeasured": (FindingKind.SKEW_UNMEASURED, ()),
    "MLSegmentScoreDrift": (FindingKind.SEGMENT_PSI, SEGMENT_LABELS),
    "MLSegmentGap": (FindingKind.SEGMENT_GAP, SEGMENT_LABELS),
    "MLBusinessMetricLow": (FindingKind.KPI_FLOOR, ("kpi",)),
    "MLEventsLogUnreadable": (FindingKind.EVENTS_LOG_UNREADABLE, ()),
}
"""Each alert that one window decides: the finding it is about, and the labels that name the finding's subject."""

KINDS = {*FindingKind, *(statistic.policy for statistic in STATISTICS)}
CONFIRMING = {"feature_ks", "feature_js"}
"""Findings that confirm the PSI and have no alert of their own."""

NOT_OF_ONE_WINDOW = {
    "MLResultsStale": "asks how long ago a window was measured",
    "MLRunFailed": "counts runs",
    "MLIncidentsUnreadable": "is about files of incidents",
    "MLDataStale": "is about sources, at every moment",
    "MLSourceAgeUnknown": "is about sources",
    "MLSourceInFuture": "is about sources",
    "MLErrorBudgetBurn": "is about the windows of days",
    "MLErrorBudgetUnknown": "is about the windows of days",
    "MLBusinessMetricDrop": "compares with the week before",
    "MLBusinessMetricAbsent": "is a rate over running totals",
    "MLDriftWithBusinessImpact": "compares with the week before",
    "MLServingNullRateHigh": "is about the serving application, next to the reference's null rate",
}


def is_of_one_window(alert: Alert, expressions: Mapping[str, list[str]]) -> bool:
    """Of alerts with several rules, some look back: on feedback and business figures."""
    return (
        alert.name in FINDING_OF and "offset" not in alert.expression and not any(ranges(alert.expression, expressions))
    )


# ---------------------------------------------------------------- what is drawn

FEATURES: dict[str, dict[str, Any]] = {
    "age": {"type": "integer", "source": "batch"},
    "plan": {"type": "categorical", "nullable": True, "source": "batch", "skew": "js"},
    "height": {"skew": "ks"},
}
POLICIES = [field.name for field in msgspec.structs.fields(Alerts) if isinstance(field.default, AlertPolicy)]
TIMINGS = ["feature_status", "monitoring", "concept_drift", "business_drop"]
OWN = [name for name in FeatureThresholds.__struct_fields__ if name != "variance_ratio"]
GRID = st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 0.6, 1.0, 2.0, 3.0, 12.0])
SIGNED = st.tuples(GRID, st.sampled_from([-1, 1])).map(lambda pair: pair[0] * pair[1])
NOISE = st.sampled_from([0.0, 0.001, 0.05, 0.6])
LEVEL = st.none() | st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 2.0])
LEVELS = st.fixed_dictionaries({"info": LEVEL, "warning": LEVEL, "critical": LEVEL})
BOUNDS = st.sampled_from([[0.5, 2.0], [0.0, 1.0], [0.25, 3.0]])
SOMETIMES = st.sampled_from([False, False, False, True])


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """A spec with every section, whose policies and thresholds are anything that a spec may say."""
    alerts: dict[str, Any] = {
        name: {**draw(LEVELS), "enabled": not draw(SOMETIMES)} for name in POLICIES if draw(st.booleans())
    }
    alerts |= {name: {"enabled": not draw(SOMETIMES)} for name in TIMINGS}
    alerts |= {"variance_ratio": draw(st.none() | BOUNDS), "many_features": 2}
    features = {}
    for name, feature in FEATURES.items():
        own: dict[str, Any] = {key: draw(LEVELS) for key in OWN if draw(SOMETIMES)}
        features[name] = {**feature, "thresholds": own | ({"variance_ratio": draw(BOUNDS)} if draw(SOMETIMES) else {})}
    return spec_of(features, alerts, CLASSES if draw(st.booleans()) else None)


CLASSES = {"kind": "multiclass", "probabilities": {"cat": "p", "dog": "q", 'a "b" {{ c }} $d': "r"}}


def spec_of(features: dict[str, Any], alerts: dict[str, Any], classes: dict[str, Any] | None = None) -> Spec:
    data = {
        "version": 1,
        "system": {"name": "shop"},
        "prediction_log": {
            "path": "log",
            "id": "id",
            "score": "score",
            "segments": ["device"],
            "outcome": {"column": "clicked", "timestamp": "seen", "max_delay": "24h", **(classes or {})},
        },
        "features": features,
        "skew": {"path": "offline", "join": "id"},
        "sources": {"batch": {"max_age": "6h", "path": "batch"}},
        "business": {
            "events_log": {"path": "events"},
            "events": {
                "views": {"source": "log"},
                "clicks": {"source": "log"},
                "shown": {"source": "log", "distinct": "item"},
                "items": {"source": "log", "distinct": "item"},
            },
            "kpis": {
                "rate": {"numerator": "clicks", "denominator": "views", "floor": 0.1},
                "coverage": {
                    "kind": "unique",
                    "title": "coverage",
                    "numerator": "shown",
                    "denominator": "items",
                    "floor": 0.2,
                },
            },
        },
        "alerts": {"feature_wasserstein": {"enabled": True}} | alerts,
    }
    return msgspec.convert(completed(data), Spec)


Measured: TypeAlias = st.SearchStrategy[Measure | None]


def measures(policy: AlertPolicy, own: Levels | None = None, values: st.SearchStrategy[float] = GRID) -> Measured:
    """Figures beside their noise, judged as they are when a window is measured."""
    limits = level_limits(policy, own)
    judged = st.builds(lambda value, noise: measure(value, noise, limits), values, NOISE)
    return st.one_of(judged, judged, judged, st.none())


def one_sided(policy: AlertPolicy) -> Measured:
    """Figures of which only a rise is bad."""
    return measures(policy, values=SIGNED).map(
        lambda found: replace(found, severity=None) if found and found.value <= 0 else found
    )


def increases(policy: AlertPolicy, own: Levels | None, *, judged: bool = True) -> Measured:
    """Increases against the reference, which are bad where the feature has no threshold of its own."""
    if own is None and judged:
        return one_sided(policy)
    return one_sided(policy).map(lambda found: found and replace(found, severity=None))


@st.composite
def qualities(draw: st.DrawFn, spec: Spec, name: str) -> Quality:
    alerts, own = spec.alerts, spec.features[name].thresholds
    ratio, noise = draw(GRID), 1 + draw(GRID)
    low, high = own.variance_ratio or alerts.variance_ratio or (0.0, inf)
    beyond = (ratio > high and ratio > noise) or (ratio < low and ratio * noise < 1)
    variance = Measure(value=ratio, critical_value=noise, severity=Severity.WARNING if beyond else None)
    return Quality(
        mean_shift=draw(measures(alerts.mean_shift, own.mean_shift, SIGNED)),
        median_shift=draw(measures(alerts.mean_shift, own.mean_shift, SIGNED)),
        variance_ratio=draw(st.sampled_from([None, variance])),
        range_excess=draw(st.none() | GRID),
        infinite_ratio=draw(st.none() | GRID),
        cardinality_change=draw(measures(alerts.cardinality_change, own.cardinality_change, SIGNED)),
        new_category_ratio=draw(measures(alerts.new_category_ratio, own.new_category_ratio)),
        vanished=draw(st.sampled_from([None, (), ("free",), ("free", "basic")])),
    )


@st.composite
def features(draw: st.DrawFn, spec: Spec, name: str) -> FeatureReport:
    feature, status = spec.features[name], draw(st.sampled_from([Status.OK, Status.OK, *Status]))
    own = feature.thresholds
    distances = {
        statistic.name: draw(measures(statistic.policy_in(spec.alerts), statistic.levels_of(feature)))
        for statistic in STATISTICS
        if status is Status.OK and statistic.suits(feature.type)
    }
    return FeatureReport(
        type=feature.type,
        status=status,
        null_rate=draw(st.none() | GRID),
        null_rate_increase=draw(increases(spec.alerts.null_rate, own.null_rate, judged=feature.nullable)),
        out_of_range_ratio=draw(st.none() | GRID),
        out_of_range_increase=draw(increases(spec.alerts.out_of_range_ratio, own.out_of_range_ratio)),
        quality=draw(st.none() | qualities(spec, name)),
        **distances,
    )


@st.composite
def scores(draw: st.DrawFn, spec: Spec) -> FeatureReport:
    status = draw(st.sampled_from([Status.OK, *Status]))
    psi = draw(measures(spec.alerts.score_psi)) if status is Status.OK else None
    return FeatureReport(
        type=FeatureType.FLOAT,
        status=status,
        psi=psi,
        null_rate_increase=draw(one_sided(spec.alerts.score_null_rate)),
        out_of_range_increase=draw(one_sided(spec.alerts.score_out_of_range_ratio)),
    )


@st.composite
def gaps(draw: st.DrawFn) -> ConceptReport:
    status = draw(st.sampled_from(ConceptStatus))
    if status is not ConceptStatus.OK:
        return ConceptReport(status=status)
    ewma, upper, lower = draw(SIGNED), draw(GRID), draw(GRID)
    ewma_limit, cusum_limit = 0.5, 2.0
    critical, warning = max(upper, lower) > cusum_limit, abs(ewma) > ewma_limit
    return ConceptReport(
        status=status,
        ewma=ewma,
        ewma_limit=ewma_limit,
        cusum_upper=upper,
        cusum_lower=lower,
        cusum_limit=cusum_limit,
        severity=Severity.CRITICAL if critical else Severity.WARNING if warning else None,
    )


@st.composite
def outcomes(draw: st.DrawFn, spec: Spec) -> OutcomeReport:
    alerts, outcome = spec.alerts, spec.prediction_log.outcome
    assert outcome is not None
    return OutcomeReport(
        window=MATURE,
        kind=outcome.kind,
        classes=draw(classes(spec)) if outcome.kind is OutcomeKind.MULTICLASS else None,
        mature=not draw(SOMETIMES),
        predictions=1000,
        feedback_fall=draw(one_sided(alerts.feedback_rate)),
        rejected_ratio={reason: draw(GRID) for reason in Rejection if draw(st.booleans())},
        delay_p95_seconds=draw(st.none() | GRID.map(lambda share: share * 86_400)),
        label_shift=draw(measures(alerts.label_shift, values=SIGNED)),
        performance_loss=draw(one_sided(alerts.performance_loss)),
        problems=draw(PROBLEMS),
    )


@st.composite
def classes(draw: st.DrawFn, spec: Spec) -> ClassesReport:
    assert spec.prediction_log.outcome is not None
    losses = one_sided(spec.alerts.performance_loss)
    return ClassesReport(
        classes=tuple(
            ClassReport(name=name, recall_loss=draw(losses)) for name in spec.prediction_log.outcome.class_names
        ),
        matrix=(),
        unlisted_ratio={side: draw(GRID) for side in ("outcomes", "predictions") if draw(st.booleans())},
    )


@st.composite
def skews(draw: st.DrawFn, spec: Spec) -> SkewReport:
    found = {
        name: FeatureSkew(
            status=draw(st.sampled_from(SkewStatus)),
            measure=feature.skew,
            distance=draw(measures(SKEW_MEASURES[feature.skew].policy_in(spec.alerts))),
            mismatch_ratio=draw(st.none() | GRID),
        )
        for name, feature in spec.features.items()
    }
    return SkewReport(window=WINDOW, join=SkewJoin.ID, offline_rows=draw(st.sampled_from([0, 990])), features=found)


@st.composite
def segments(draw: st.DrawFn, spec: Spec) -> SegmentsReport:
    return SegmentsReport(
        values=tuple(
            SegmentReport(
                value=value,
                score_psi=draw(measures(spec.alerts.segment_psi)),
                gap_shift=draw(measures(spec.alerts.segment_gap, values=SIGNED)) if spec.has_gap else None,
            )
            for value in ("tv", "phone")
        )
    )


REPEATED = st.none() | st.builds(
    RepeatedRows, rows=st.sampled_from([0, 9, 10, 11, 500]), checked=st.sampled_from([0, 1000]), unchecked=st.just(7)
)


@st.composite
def events(draw: st.DrawFn) -> EventsReport:
    shown, items = draw(GRID), draw(GRID)
    return EventsReport(
        step=WINDOW,
        window=WINDOW,
        events={"shown": EventCount(amount=shown), "items": EventCount(amount=items), "views": EventCount(amount=9)},
        kpis={"coverage": shown / items} if items else {},
        problems=draw(PROBLEMS),
    )


PROBLEMS = st.sampled_from([(), (FileProblem(path="a", problem="broken"),)])


@st.composite
def reports(draw: st.DrawFn) -> tuple[Spec, WindowReport]:
    """A spec, and a report under it in which anything may be wrong, judged."""
    spec = draw(specs())
    columns = draw(st.integers(0, 3))
    report = WindowReport(
        system="shop",
        window=WINDOW,
        measured_at=NOON + timedelta(minutes=5),
        reference_version="v1",
        reference_created=NOON - timedelta(days=30),
        rows=draw(st.sampled_from([0, 99, 100, 5000])),
        repeated=draw(REPEATED),
        features={name: draw(features(spec, name)) for name in spec.features},
        score=draw(scores(spec)),
        score_count=draw(
            st.none() | st.builds(CountWindow, wanted=st.just(10), window=st.just(WINDOW), report=scores(spec))
        ),
        probabilities={name: draw(scores(spec)) for name in ("cat", "dog") if spec.has_classes},
        schema_differences=tuple(
            SchemaDifference(kind=SchemaDifferenceKind.NEW_COLUMN, column=str(index)) for index in range(columns)
        ),
        problems=draw(PROBLEMS),
        skew=draw(skews(spec)),
        concept=draw(gaps()),
        drift_type=DriftType(kind=draw(st.sampled_from(DriftKind)), reason="", response="", evidence=Evidence()),
        outcomes=draw(outcomes(spec)),
        segments={"device": draw(segments(spec))},
        events=draw(events()),
    )
    return spec, with_findings(spec, report)


# ---------------------------------------------------------------- the law


Found: TypeAlias = dict[tuple[FindingKind, str], Severity]
"""By kind and subject, the worst severity."""


def alerted(spec: Spec, report: WindowReport) -> Found:
    """What the generated rules alert on, as the findings that it is about."""
    watched = signals(spec)
    records: dict[str, list[Any]] = {}
    for record in records_of(watched):
        records.setdefault(record.name, []).append(recording_rule(record))
    page = page_of(families_of_window(Contract(spec), report))
    measured = {name: {key: np.array([value]) for key, value in found.items()} for name, found in page.items()}
    evaluator = Evaluator(Recorded(np.zeros(1), HOUR, measured, records))
    expressions = {name: [rule["expr"] for rule in rules] for name, rules in records.items()}
    found: Found = {}
    for rule in alert_rules(spec, watched):
        if not is_of_one_window(rule.alert, expressions):
            continue
        kind, subject = FINDING_OF[rule.alert.name]
        for labels in evaluator.vector(rule.alert.rule):
            named = dict((*labels, *rule.alert.labels))
            key = (kind, "=".join(named[name] for name in subject))
            found[key] = worst((found.get(key), rule.alert.severity)) or rule.alert.severity
    return found


def findings_of(report: WindowReport) -> Found:
    """What the report says was found."""
    keys = [(item.kind, item.subject) for item in report.findings]
    assert len(keys) == len(set(keys)), "found twice"
    return {(item.kind, item.subject): item.severity for item in report.findings}


def assert_agree(spec: Spec, report: WindowReport) -> None:
    found = findings_of(report)
    assert {key: severity for key, severity in found.items() if key[0] not in CONFIRMING} == alerted(spec, report)
    assert report.severity is worst(found.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(reports())
def test_what_is_found_is_what_the_rules_alert_on_alert_by_alert(drawn: tuple[Spec, WindowReport]):
    assert_agree(*drawn)


REFERENCE = build_reference(
    SAMPLE, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 20_000), created=NOON - 90 * HOUR, source_hash=""
)
ROWS = 3000
SPOILT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "nulls": {"age": pa.array([None] * 2000 + [30] * 1000, pa.int64())},
    "all null": {"hostile": pa.nulls(ROWS, pa.float64())},
    "infinities": {"hostile": np.where(np.arange(ROWS) < 200, np.inf, 0.1)},
    "one extreme": {"hostile": np.where(np.arange(ROWS) < 1, 1e9, random(1).normal(size=ROWS))},
    "another unit": {"age": random(2).integers(18, 90, ROWS) * 12},
    "a constant": {"hostile": np.zeros(ROWS)},
    "new categories": {"country": random(3).choice(["de", "fr", "pl", "xx"], ROWS, p=[0.3, 0.3, 0.3, 0.1])},
    "a category gone": {"country": random(4).choice(["de", "fr"], ROWS)},
    "another type": {"age": [f"{row} years" for row in range(ROWS)]},
    "other scores": {"score": random(5).random(ROWS) ** 3},
    "texts as scores": {"score": ["high"] * ROWS},
    "scores half null": {"score": [None, 0.4] * 200 + [*random(6).random(ROWS - 400)]},
    "scores mostly null": {"score": pa.array([None if row % 10 else 0.5 for row in range(ROWS)], pa.float64())},
    "scores all null": {"score": pa.nulls(ROWS, pa.float64())},
    "scores that are NaN": {"score": np.where(np.arange(ROWS) % 2, np.nan, random(7).random(ROWS))},
    "scores of -1": {"score": np.where(np.arange(ROWS) % 50, random(8).random(ROWS), -1.0)},
    "infinite scores": {"score": np.where(np.arange(ROWS) % 50, random(9).random(ROWS), np.inf)},
    "scores in per cent": {"score": 100 * random(10).random(ROWS)},
    "a new column": {"arm": ["a"] * ROWS},
}


@pytest.mark.parametrize("fault", [*SPOILT, "a column gone", "a broken file", "no rows", "few rows"])
def test_a_measured_window_is_as_bad_as_the_rules_say(tmp_path: Path, fault: str):
    count = {"no rows": 0, "few rows": 50}.get(fault, ROWS)
    table = log_rows(WINDOW.start, WINDOW.end, count, **SPOILT.get(fault, {}))
    write_parquet(table.drop_columns("age") if fault == "a column gone" else table, tmp_path / "log" / "a.parquet")
    if fault == "a broken file":
        (tmp_path / "log" / "b.parquet").write_bytes(b"no parquet")
    measured = measure_window(SAMPLE, tmp_path, REFERENCE, "v1", WINDOW, NOON + timedelta(minutes=5), 1)
    report = judge(SAMPLE, measured, drift_history(SAMPLE, measured, ()))
    assert_agree(SAMPLE, report)
    assert (report.severity is None) == (fault == "nothing"), report.findings
    assert WindowReport.from_json(report.to_json()) == report


def test_a_report_that_was_stored_before_there_were_findings_is_read_with_its_severity():
    stored = msgspec.json.decode(report_of_samples().to_json())
    del stored["findings"]
    old = WindowReport.from_json(msgspec.json.encode(stored))
    assert (old.severity, old.findings) == (Severity.CRITICAL, ())
    assert old.is_at_least(Severity.CRITICAL)


def _unsuited(kind: FeatureType) -> dict[str, None]:
    return {statistic.name: None for statistic in STATISTICS if not statistic.suits(kind)}


def wrong(spec: Spec) -> WindowReport:
    """A window in which everything that can be measured is wrong."""
    far, broken = Measure(value=9.0, critical_value=0.1, severity=Severity.CRITICAL), FileProblem(path="a", problem="b")
    warned = replace(far, severity=Severity.WARNING)
    quality = Quality(
        mean_shift=warned,
        median_shift=warned,
        variance_ratio=warned,
        range_excess=11.0,
        infinite_ratio=1.0,
        cardinality_change=warned,
        new_category_ratio=warned,
        vanished=("free",),
    )
    bad = FeatureReport(
        type=FeatureType.FLOAT,
        status=Status.OK,
        null_rate=1.0,
        null_rate_increase=far,
        out_of_range_ratio=1.0,
        out_of_range_increase=far,
        psi=far,
        ks=far,
        js=far,
        wasserstein=far,
        quality=quality,
    )
    scored = FeatureReport(
        type=FeatureType.FLOAT,
        status=Status.TYPE_MISMATCH,
        psi=far,
        null_rate_increase=far,
        out_of_range_increase=far,
    )
    device = SegmentReport(value="tv", score_psi=warned, gap_shift=warned if spec.has_gap else None)
    of_classes = spec.prediction_log.outcome is not None and spec.prediction_log.outcome.kind is OutcomeKind.MULTICLASS
    return WindowReport(
        system="shop",
        window=WINDOW,
        measured_at=NOON,
        reference_version="v1",
        reference_created=NOON,
        rows=5000,
        features={
            **{name: replace(bad, **_unsuited(feature.type)) for name, feature in spec.features.items()},
            "height": replace(bad, status=Status.MISSING_IN_REFERENCE),
        },
        score=scored,
        score_count=CountWindow(wanted=10, window=WINDOW, report=scored),
        schema_differences=(SchemaDifference(kind=SchemaDifferenceKind.NEW_COLUMN, column="arm"),),
        problems=(broken,),
        probabilities={"cat": scored} if spec.has_classes else {},
        repeated=RepeatedRows(rows=800, checked=1000),
        skew=SkewReport(
            window=WINDOW,
            join=SkewJoin.ID,
            offline_rows=990,
            features={
                name: FeatureSkew(status=SkewStatus.ALERT, measure=feature.skew, distance=far, mismatch_ratio=1.0)
                for name, feature in spec.features.items()
            },
        ),
        concept=ConceptReport(
            status=ConceptStatus.OK,
            ewma=-9.0,
            ewma_limit=1.0,
            cusum_upper=0.0,
            cusum_lower=13.0,
            cusum_limit=12.0,
            severity=Severity.CRITICAL,
        ),
        drift_type=DriftType(kind=DriftKind.CONCEPT, reason="", response="", evidence=Evidence()),
        outcomes=OutcomeReport(
            window=MATURE,
            kind=OutcomeKind.MULTICLASS if of_classes else OutcomeKind.BINARY,
            classes=ClassesReport(
                classes=(ClassReport(name="cat", recall_loss=far),),
                matrix=(),
                unlisted_ratio={"outcomes": 1.0},
            )
            if of_classes
            else None,
            feedback_fall=far,
            rejected_ratio=dict.fromkeys(Rejection, 0.1),
            delay_p95_seconds=86_400.0,
            label_shift=far,
            performance_loss=far,
            problems=(broken,),
        ),
        segments={"device": SegmentsReport(values=(device,))},
        events=EventsReport(
            step=WINDOW,
            window=WINDOW,
            events={"shown": EventCount(amount=1), "items": EventCount(amount=10)},
            kpis={"coverage": 0.1},
            problems=(broken,),
        ),
    )


def unmeasured(spec: Spec) -> WindowReport:
    """A window of which hardly anything could be measured."""
    thin = FeatureReport(type=FeatureType.FLOAT, status=Status.INSUFFICIENT_DATA)
    return replace(
        wrong(spec),
        features=dict.fromkeys(spec.features, thin),
        skew=SkewReport(window=WINDOW, join=SkewJoin.ID),
        concept=ConceptReport(status=ConceptStatus.REFUSED),
    )


def test_every_kind_is_found_where_it_is_wrong_and_alerts():
    kinds = set()
    for classes_or_not in (None, CLASSES):
        spec = spec_of(FEATURES, {"many_features": 2}, classes_or_not)
        for report in (wrong(spec), unmeasured(spec)):
            found = with_findings(spec, report)
            assert_agree(spec, found)
            kinds |= {item.kind for item in found.findings}
    assert kinds == KINDS


def exporter_alerts(spec: Spec) -> Iterator[Alert]:
    """The alerts that read what the exporter publishes, themselves or through records."""
    watched, contract = signals(spec), Contract(spec)
    published = {name for family in contract.of(Producer.EXPORTER) for name in family.series_names}
    records = {record.name: record.expression for signal in watched for record in signal.records}

    def read(expression: str) -> set[str]:
        names = metric_names(expression)
        return {found for name in names for found in (read(records[name]) if name in records else {name})}

    return (alert for signal in watched for alert in signal.alerts if read(alert.rule) & published)


def test_every_alert_on_what_the_exporter_publishes_has_its_finding_or_a_reason_to_have_none():
    everything = [
        *(spec_of(FEATURES, {"many_features": 2}, each) for each in (None, CLASSES)),
        *map(load_spec, SPECS.glob("*.yaml")),
    ]
    names = {alert.name for spec in everything for alert in exporter_alerts(spec)}
    assert names <= FINDING_OF.keys() | NOT_OF_ONE_WINDOW.keys()
    assert FINDING_OF.keys() <= names
    assert not FINDING_OF.keys() & NOT_OF_ONE_WINDOW.keys()


def test_every_kind_of_finding_has_an_alert_or_confirms_one():
    assert {kind for kind, _ in FINDING_OF.values()} | CONFIRMING == KINDS
