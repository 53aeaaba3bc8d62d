"""A threshold rule says nothing where its series are missing: each has a partner that then speaks."""

from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.signals import signals

EXPORTER = {"MLExporterDown", "MLResultsStale"}
"""Speak when the figures of windows are missing or old."""
SERVING = {"MLServingDown", "MLPredictionsUncounted"}
"""Speak when the application, or what it publishes, is missing."""
FEATURE = {"MLFeatureUnmeasurable", *EXPORTER}
SCORE = {"MLScoreUnmeasurable", *EXPORTER}
SKEW = {"MLSkewUnmeasured", *EXPORTER}
SOURCE = {"MLSourceAgeUnknown", *EXPORTER}
FIGURE = {"MLBusinessMetricAbsent", *SERVING}
OUTCOMES = {"MLFeedbackRateFall", *EXPORTER}
"""Outcomes that stop are a rate that falls to nothing."""
CONCEPT = {"MLConceptUnwatched", *EXPORTER}

PARTNERS = {
    **dict.fromkeys(
        (
            "MLFeatureDrift",
            "MLFeatureDistance",
            "MLManyFeaturesDrifting",
            "MLDriftWithBusinessImpact",
            "MLNullRateHigh",
            "MLRequiredFeatureNull",
            "MLFeatureOutOfRange",
            "MLFeatureMeanShift",
            "MLFeatureMedianShift",
            "MLFeatureVariance",
            "MLFeatureExtreme",
            "MLFeatureInfinite",
            "MLFeatureCardinality",
            "MLFeatureNewCategory",
            "MLFeatureCategoryVanished",
        ),
        FEATURE,
    ),
    **dict.fromkeys(
        (
            *("MLScoreDrift", "MLNewestScoreDrift", "MLSegmentScoreDrift", "MLClassScoreDrift"),
            *("MLScoreNullRateHigh", "MLScoreOutOfRange"),
        ),
        SCORE,
    ),
    "MLSegmentGap": EXPORTER,
    **dict.fromkeys(("MLTrainingServingSkew", "MLTrainingServingMismatch"), SKEW),
    **dict.fromkeys(("MLDataStale", "MLSourceInFuture"), SOURCE),
    **dict.fromkeys(
        (
            "MLLogNewColumn",
            "MLLogRowsRepeated",
            "MLWindowTooSmall",
            "MLLogFilesUnreadable",
            "MLRunFailed",
            "MLIncidentsUnreadable",
        ),
        EXPORTER,
    ),
    **dict.fromkeys(
        ("MLLatencyHigh", "MLErrorRateHigh", "MLGpuSaturated", "MLTrafficFall", "MLReplicasMissing"), SERVING
    ),
    **dict.fromkeys(("MLBusinessMetricDrop", "MLBusinessMetricLow"), FIGURE),
    "MLErrorBudgetBurn": {"MLErrorBudgetUnknown"},
    "MLRulesFailing": {"MLWatchdog"},
    **dict.fromkeys(("MLServingNullRateHigh", "MLServingRequiredFeatureNull"), SERVING),
    **dict.fromkeys(
        ("MLFeedbackRateFall", "MLFeedbackDelay", "MLFeedbackRejected", "MLFeedbackUnreadable"),
        EXPORTER,
    ),
    **dict.fromkeys(("MLLabelDrift", "MLPerformanceLoss", "MLClassRecallLoss", "MLUnlistedClass"), OUTCOMES),
    **dict.fromkeys(("MLConceptDrift", "MLHarmfulDrift"), CONCEPT),
}
ABOUT_ABSENCE = {
    *set().union(*PARTNERS.values()),
    "MLWatchdog",
}


def test_every_threshold_alert_has_its_absence_partners_in_the_same_system(any_spec):
    present = {rule.alert.name for rule in alert_rules(any_spec, signals(any_spec))}
    for name in present - ABOUT_ABSENCE:
        assert name in PARTNERS, f"{name} has no absence partner"
        assert PARTNERS[name] <= present, name


def test_nothing_at_all_is_told_by_the_exporter_the_application_and_the_budgets(streamrec):
    speaking = {rule.alert.name for rule in alert_rules(streamrec, signals(streamrec)) if rule.alert.fires_without_data}
    assert speaking == {"MLExporterDown", "MLServingDown", "MLErrorBudgetUnknown", "MLWatchdog"}
