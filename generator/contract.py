"""The metrics contract: every metric family of a monitored system, and who publishes it.

Dashboards, rules, tests and runbooks may read only families listed here, and the exporter and the serving
instrumentation may publish only families listed here; `tests/test_contract.py` holds both directions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mlvitals.generator.spec.model import EventSource, OutcomeKind, SkewJoin, SloKind, Spec

TOP_BINS_SQL = """\
SELECT feature_name, is_score, bin, reference_ratio, current_ratio, psi_contribution, window_start, window_end
FROM drift_results
WHERE system = :system
  AND window_end = (SELECT MAX(window_end) FROM drift_windows WHERE system = :system)
ORDER BY psi_contribution DESC, feature_name, is_score, bin_index
LIMIT :limit"""
"""The bins that contributed most to PSI in a system's newest window, in the results database; the exporter's tables
are in `exporters.publish.results`. Runs on SQLite and PostgreSQL. Empty where the newest window had too few rows to compare."""


class MetricType(StrEnum):
    """Prometheus metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Producer(StrEnum):
    """Who publishes a family."""

    SERVING = "serving"
    EXPORTER = "exporter"
    PROCESS = "process"
    PROMETHEUS = "prometheus"


class TelemetryFailure(StrEnum):
    """What the instrumentation of a serving application can fail at, without the application noticing."""

    STORE = "store"
    READ = "read"


OPEN_LABELS = ("endpoint", "error_type", "framework", "gpu", "model_version")
"""Labels of serving families whose values the application chooses."""


class Status(StrEnum):
    """What could be said of a feature in a window: a number only where the status is ok."""

    OK = "ok"
    INSUFFICIENT_DATA = "insufficient_data"
    MISSING_IN_SERVING = "missing_in_serving"
    MISSING_IN_REFERENCE = "missing_in_reference"
    TYPE_MISMATCH = "type_mismatch"
    ALL_NULL = "all_null"


UNMEASURABLE = (Status.MISSING_IN_SERVING, Status.TYPE_MISMATCH, Status.ALL_NULL, Status.MISSING_IN_REFERENCE)
"""States in which nothing can be said of a feature although there is data; each pages."""


class SkewStatus(StrEnum):
    """What comparing a feature's values at serving with those recomputed offline came to."""

    OK = "ok"
    INVESTIGATE = "investigate"
    ALERT = "alert"
    INSUFFICIENT_DATA = "insufficient_data"
    MISSING_IN_SERVING = "missing_in_serving"
    TYPE_MISMATCH = "type_mismatch"
    NOT_RECOMPUTED = "not_recomputed"


class DriftKind(StrEnum):
    """Which kind of drift a window shows."""

    NONE = "none"
    COVARIATE = "covariate"
    PREDICTION = "prediction"
    LABEL = "label"
    CONCEPT = "concept"
    UNKNOWN = "unknown"


class ConceptStatus(StrEnum):
    """What could be said of the gap between predictions and outcomes: charts exist only where the status is ok."""

    OK = "ok"
    LEARNING = "learning"
    NO_OUTCOMES = "no_outcomes"
    REFUSED = "refused"


PERCENTILES = ("5", "50", "95")
"""The quantiles of a feature that are published."""
SEGMENT_LABELS = ("segment", "segment_value")
"""The labels of a segment: the column, and its value."""


CUSUM_SIDES = ("upper", "lower")
"""The sides of a CUSUM: predictions above the outcomes more than they were, and below."""


class SchemaDifferenceKind(StrEnum):
    """How a column of the log can differ from what the spec and the reference know."""

    MISSING_COLUMN = "missing_column"
    NEW_COLUMN = "new_column"
    TYPE_CHANGED = "type_changed"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as its TYPE and HELP lines describe it."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...]
    producer: Producer
    buckets: tuple[float, ...] = ()

    @property
    def series_names(self) -> tuple[str, ...]:
        """The names under which its samples are stored."""
        if self.type is MetricType.HISTOGRAM:
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count"))
        return (self.name,)


CHANGES_SHOWN = 50
"""Deployments and pipeline changes that the exporter shows: the newest ones. Prometheus remembers those before."""
SCORE_BUCKETS = tuple(round(step / 10, 1) for step in range(1, 11))
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
TOTAL_STAGE = "total"
"""The stage label of a whole request; it contains the other stages, so never sum over stage."""


def latency_buckets(spec: Spec) -> tuple[float, ...]:
    """Bucket bounds in seconds, with a bound at every latency threshold and objective of the spec."""
    policy = spec.alerts.latency_p99
    alerts = (policy.info, policy.warning, policy.critical)
    objectives = (slo.threshold for slo in spec.slos.values() if slo.kind is SloKind.LATENCY)
    wanted = {bound for bound in (*alerts, *objectives) if bound}
    # A quantile is interpolated within finite buckets: one above the highest threshold lets it be exceeded.
    highest = max(wanted, default=0.0)
    beyond = {2 * highest} if highest >= LATENCY_BUCKETS[-1] else set()
    return tuple(sorted({*LATENCY_BUCKETS, *wanted, *beyond}))


class Contract:
    """The families of one system. Attributes name each family's full metric name where expressions need it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.namespace = spec.system.name

    def name(self, short: str) -> str:
        """The full name of a family or series: ``name("drift_psi")`` is ``streamrec_drift_psi``."""
        return f"{self.namespace}_{short}"

    def event(self, event: str) -> str:
        """The counter a business event adds to."""
        unit = self.spec.business.events[event].unit
        return self.name(f"{event}_{unit}_total" if unit else f"{event}_total")

    @property
    def deploy_allowed(self) -> str:
        """The recorded series by which a CI job knows whether the error budgets allow a deployment: 1, 0 or absent."""
        return f"system:{self.name('deploy_allowed')}:min"

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """Every family, in order of producer."""
        process = _PROCESS if self.spec.serving.enabled else ()
        return (*self._serving(), *self._business(), *self._exporter(), *process, *_PROMETHEUS)

    @cached_property
    def by_name(self) -> dict[str, Family]:
        """Families by name."""
        return {family.name: family for family in self.families}

    @cached_property
    def by_series(self) -> dict[str, Family]:
        """Families by the names of their stored samples."""
        return {series: family for family in self.families for series in family.series_names}

    def of(self, *producers: Producer) -> tuple[Family, ...]:
        """The families that the producers publish."""
        return tuple(family for family in self.families if family.producer in producers)

    def _family(
        self,
        short: str,
        kind: MetricType,
        text: str,
        labels: tuple[str, ...],
        producer: Producer,
        buckets: tuple[float, ...] = (),
    ) -> Family:
        return Family(self.name(short), kind, text, labels, producer, buckets)

    def _serving(self) -> tuple[Family, ...]:
        if not self.spec.serving.enabled:
            return ()

        def family(short: str, kind: MetricType, text: str, *labels: str, buckets: tuple[float, ...] = ()) -> Family:
            return self._family(short, kind, text, labels, Producer.SERVING, buckets)

        counter, gauge, histogram = MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM
        return (
            family(
                "predictions_total",
                counter,
                "Predictions asked for, failed ones included.",
                "model_version",
                "endpoint",
            ),
            family(
                "prediction_errors_total",
                counter,
                "Predictions that failed, by kind of error.",
                "model_version",
                "error_type",
            ),
            family(
                "prediction_latency_seconds",
                histogram,
                "Time a request took, by stage; stage total is the whole request and contains the others.",
                "model_version",
                "stage",
                buckets=latency_buckets(self.spec),
            ),
            family(
                "prediction_score",
                histogram,
                "Scores answered, 0 to 1.",
                "model_version",
                buckets=SCORE_BUCKETS,
            ),
            family("serving_feature_rows_total", counter, "Predictions whose features were handed over."),
            family(
                "serving_feature_null_total",
                counter,
                "Predictions whose feature was null, NaN or missing.",
                "feature_name",
            ),
            family(
                "serving_label_overflow_total",
                counter,
                "Values of a label counted as other, for the spec names them not and there is no room for more.",
                "label_name",
            ),
            family(
                "serving_telemetry_failures_total",
                counter,
                "Series that a worker could not store, and stored ones that could not be read.",
                "operation",
            ),
            family("model_info", gauge, "The model being served; always 1.", "model_version", "framework"),
            family(
                "model_trained_timestamp_seconds",
                gauge,
                "When the model being served was trained, in Unix time.",
                "model_version",
            ),
            *(
                (family("gpu_utilization_ratio", gauge, "Share of time the GPU was busy, 0 to 1.", "gpu"),)
                if self.spec.serving.gpu
                else ()
            ),
        )

    def _business(self) -> tuple[Family, ...]:
        business = self.spec.business
        return tuple(
            Family(
                self.name(event),
                MetricType.GAUGE,
                described.description or f"Distinct {event} {'in the last window' if described.distinct else 'now'}.",
                (),
                _EVENT_PRODUCERS[described.source],
            )
            if event in business.unique
            else Family(
                self.event(event),
                MetricType.COUNTER,
                described.description or f"Sum of {event}.",
                (),
                _EVENT_PRODUCERS[described.source],
            )
            for event, described in business.events.items()
        )

    def _events_log(self) -> Iterator[Family]:
        """How sound the events log is, where the spec has one."""
        for short, described in _EVENTS_LOG.items() if self.spec.business.events_log else ():
            labels = ("reason",) if short == "events_log_rejected" else ()
            yield self._family(short, MetricType.GAUGE, described, labels, Producer.EXPORTER)

    def _exporter(self) -> tuple[Family, ...]:
        def gauge(short: str, text: str, *labels: str) -> Family:
            return self._family(short, MetricType.GAUGE, text, labels, Producer.EXPORTER)

        def counter(short: str, text: str) -> Family:
            return self._family(short, MetricType.COUNTER, text, (), Producer.EXPORTER)

        feature = "feature_name"
        bins, every_bin = ("rank", "bin"), ("bin_index", "bin")
        score = self.spec.prediction_log.score is not None
        return (
            gauge("feature_info", "A monitored feature; always 1.", feature, "feature_source", "feature_type"),
            gauge(
                "feature_status",
                "1 for the status that holds for the feature in the last window, 0 for the others.",
                feature,
                "status",
            ),
            gauge("feature_rows", "Values measured in the last window, nulls excluded.", feature),
            gauge("feature_null_rate", "Share of null or NaN values in the last window, 0 to 1.", feature),
            gauge("feature_mean", "Mean of the finite values in the last window, in the feature's own unit.", feature),
            gauge("feature_reference_mean", "Mean in the reference, in the feature's own unit.", feature),
            gauge(
                "feature_quantile",
                "Quantiles of the values in the last window, infinite ones as the outermost, in the feature's own unit.",
                feature,
                "percentile",
            ),
            gauge("feature_reference_quantile", "The same quantiles of the reference.", feature, "percentile"),
            gauge(
                "feature_out_of_range_ratio",
                "Share of values in the last window outside the sound range, 0 to 1.",
                feature,
            ),
            *self._quality(),
            gauge("drift_psi", "Population stability index of the last window against the reference, 0 up.", feature),
            gauge("drift_psi_critical_value", "PSI that sampling noise alone exceeds once in 1000 windows.", feature),
            gauge("drift_ks", "Kolmogorov-Smirnov D of the last window against the reference, 0 to 1.", feature),
            gauge("drift_ks_critical_value", "D that sampling noise alone exceeds once in 1000 windows.", feature),
            gauge(
                "drift_ks_pvalue",
                "Chance that noise alone gives a D this large, adjusted for the number of features, 0 to 1.",
                feature,
            ),
            gauge("drift_js", "Jensen-Shannon divergence in nats, 0 to ln 2.", feature),
            gauge(
                "drift_js_critical_value", "Divergence that sampling noise alone exceeds once in 1000 windows.", feature
            ),
            gauge("drift_top_bin_psi", "Contribution to PSI of the bins that contribute most.", feature, *bins),
            gauge("drift_top_bin_reference_ratio", "Share of the reference in that bin, 0 to 1.", feature, *bins),
            gauge("drift_top_bin_current_ratio", "Share of the last window in that bin, 0 to 1.", feature, *bins),
            gauge("drift_bin_psi", "Contribution to PSI of each bin, in order of bin_index.", feature, *every_bin),
            gauge("drift_bin_reference_ratio", "Share of the reference in each bin, 0 to 1.", feature, *every_bin),
            gauge("drift_bin_current_ratio", "Share of the last window in each bin, 0 to 1.", feature, *every_bin),
            *(
                (
                    gauge(
                        "prediction_score_status",
                        "1 for the status that holds for the scores in the last window, 0 for the others.",
                        "status",
                    ),
                    gauge("prediction_score_rows", "Scores measured in the last window, nulls excluded."),
                    gauge("prediction_score_psi", "Population stability index of the scores, 0 up."),
                    gauge(
                        "prediction_score_psi_critical_value",
                        "Score PSI that noise alone exceeds once in 1000 windows.",
                    ),
                    gauge("prediction_score_js", "Jensen-Shannon divergence of the scores in nats, 0 to ln 2."),
                    gauge("prediction_score_top_bin_psi", "Contribution to the score PSI of its top bins.", *bins),
                    gauge(
                        "prediction_score_top_bin_reference_ratio",
                        "Share of reference scores in that bin, 0 to 1.",
                        *bins,
                    ),
                    gauge(
                        "prediction_score_top_bin_current_ratio", "Share of current scores in that bin, 0 to 1.", *bins
                    ),
                )
                if score
                else ()
            ),
            *(
                (
                    gauge("prediction_score_count_rows", "Scores in the count window: the newest up to its end."),
                    gauge("prediction_score_count_span_seconds", "Time from the oldest of them to the window's end."),
                    gauge("prediction_score_count_psi", "Population stability index of the newest scores, 0 up."),
                    gauge(
                        "prediction_score_count_psi_critical_value",
                        "PSI of the newest scores that noise alone exceeds once in 1000 windows.",
                    ),
                )
                if score and self.spec.windows.score_count
                else ()
            ),
            *(
                (
                    gauge(
                        "data_freshness_seconds", "Age of a feature source's newest data, at scrape.", "feature_source"
                    ),
                    gauge(
                        "data_freshness_timestamp_seconds",
                        "Unix time of a feature source's newest data; absent where it is not known.",
                        "feature_source",
                    ),
                    gauge("data_freshness_max_age_seconds", "Age up to which a source is fresh.", "feature_source"),
                    gauge(
                        "data_freshness_tolerance_seconds",
                        "How far in the future a source's newest data may be.",
                        "feature_source",
                    ),
                )
                if self.spec.sources
                else ()
            ),
            *(self._skew() if self.spec.skew.path else ()),
            gauge("drift_type", "1 for the kind of drift that the last window shows, 0 for the others.", "type"),
            *(self._concept() if self.spec.has_gap else ()),
            *self._outcomes(),
            *self._segments(),
            *self._events_log(),
            gauge("window_start_timestamp_seconds", "Begin of the last measured window, in Unix time."),
            gauge("window_end_timestamp_seconds", "End of the last measured window, in Unix time."),
            gauge("window_rows", "Rows of the last measured window."),
            gauge(
                "schema_differences",
                "Columns of the last window that differ from what the spec and the reference know.",
                "kind",
            ),
            gauge("log_files_unreadable", "Files of the last window that could not be read."),
            gauge(
                "change_timestamp_seconds",
                "When a deployment or a pipeline change that was noted happened, in Unix time.",
                "kind",
                "name",
                "version",
                "author",
            ),
            gauge("reference_info", "The reference in force; always 1.", "reference_version"),
            gauge("reference_created_timestamp_seconds", "When the reference was built, in Unix time."),
            counter("exporter_runs_total", "Windows the exporter tried to measure."),
            counter("exporter_run_failures_total", "Windows it failed to measure."),
            gauge("exporter_last_run_timestamp_seconds", "End of the last try, in Unix time."),
            gauge(
                "exporter_last_success_timestamp_seconds", "End of the last measurement that succeeded, in Unix time."
            ),
            gauge("exporter_run_duration_seconds", "How long the last measurement took."),
        )

    def _skew(self) -> tuple[Family, ...]:
        """Families of training-serving skew: of the measures that features are compared by, and no others."""

        def gauge(short: str, text: str, *labels: str) -> Family:
            return self._family(short, MetricType.GAUGE, text, labels, Producer.EXPORTER)

        feature = "feature_name"
        measures = sorted({described.skew for described in self.spec.features.values()})
        return (
            gauge(
                "skew_status",
                "1 for the status that holds for the feature, serving against offline, 0 for the others.",
                feature,
                "status",
            ),
            gauge("skew_offline_rows", "Offline rows that the predictions of the last window were compared with."),
            *(gauge(f"skew_{name}", _SKEW_HELP[name], feature) for name in measures),
            *(
                gauge(f"skew_{name}_critical_value", "Skew that noise alone exceeds once in 1000 windows.", feature)
                for name in measures
            ),
            *(
                (
                    gauge(
                        "skew_mismatch_ratio",
                        "Share of matched predictions whose value differs from the one recomputed offline, 0 to 1.",
                        feature,
                    ),
                )
                if self.spec.skew_join is not SkewJoin.WINDOW
                else ()
            ),
        )

    def _concept(self) -> Iterator[Family]:
        """The gap between predictions and outcomes, and its control charts."""
        labels = {"concept_status": ("status",), "concept_cusum": ("side",)}
        for short, described in _CONCEPT.items():
            yield self._family(short, MetricType.GAUGE, described, labels.get(short, ()), Producer.EXPORTER)

    def _outcomes(self) -> Iterator[Family]:
        """Families of outcomes, where the spec has some, and of the performance that their kind allows."""
        outcome = self.spec.prediction_log.outcome
        if outcome is None:
            return
        expected = (
            _OUTCOMES
            | (_TIMED if outcome.timestamp else {})
            | (_ESTIMATED if outcome.kind is OutcomeKind.BINARY else {})
        )
        for short, described in expected.items():
            yield self._family(short, MetricType.GAUGE, described, _OUTCOME_LABELS.get(short, ()), Producer.EXPORTER)

    def _segments(self) -> Iterator[Family]:
        """Figures by segment, where the spec has segments: of the score and of the outcomes, where it has these."""
        log = self.spec.prediction_log
        expected = (
            _SEGMENTS
            | (_SEGMENT_SCORES if log.score else {})
            | (_SEGMENT_OUTCOMES if log.outcome else {})
            | (_SEGMENT_GAPS if self.spec.has_gap else {})
        )
        for short, described in expected.items() if log.segments else ():
            yield self._family(short, MetricType.GAUGE, described, SEGMENT_LABELS, Producer.EXPORTER)

    def _quality(self) -> Iterator[Family]:
        """How sound a feature's values are."""
        for short, described in _QUALITY.items():
            yield self._family(short, MetricType.GAUGE, described, ("feature_name",), Producer.EXPORTER)


_EVENT_PRODUCERS = {EventSource.APPLICATION: Producer.SERVING, EventSource.LOG: Producer.EXPORTER}
_EVENTS_LOG = {
    "events_log_rows": "Rows of the events log in the last step.",
    "events_log_rejected": "Rows of the last step that a business event could not count, by reason.",
    "events_log_files_unreadable": "Files of the events log that could not be read, or only in part.",
}
_CONCEPT = {
    "concept_status": "1 for the status that holds for the gap between predictions and outcomes, 0 for the others.",
    "concept_gap": "Mean prediction less mean outcome of the last window whose outcomes are known.",
    "concept_gap_expected": "Mean gap of the baseline: what the charts take for normal.",
    "concept_gap_noise": "Distance from the expected gap that an unchanged window exceeds once in 1000.",
    "concept_baseline_windows": "Windows that the baseline rests on, or has gathered so far.",
    "concept_ewma": "Moving average of the standardised gap, in standard deviations of a window.",
    "concept_ewma_limit": "Beyond this, to either side, the moving average signals.",
    "concept_cusum": "Cumulative sum of the standardised gap above its target or below it, 0 up.",
    "concept_cusum_limit": "Beyond this a cumulative sum signals.",
}
_SKEW_HELP = {
    "psi": "Population stability index of serving against offline, 0 up.",
    "ks": "Kolmogorov-Smirnov D of serving against offline, 0 to 1.",
    "js": "Jensen-Shannon divergence of serving and offline in nats, 0 to ln 2.",
}
_QUALITY = {
    "feature_mean_shift": "Mean of the last window less the reference's, in standard deviations of the reference.",
    "feature_mean_shift_critical_value": "Mean shift that noise alone exceeds once in 1000 windows, to either side.",
    "feature_median_shift": "Median of the last window less the reference's, in standard deviations of the reference.",
    "feature_median_shift_critical_value": "Median shift that noise alone exceeds once in 1000 windows.",
    "feature_variance_ratio": "Variance of the last window over that of the reference.",
    "feature_variance_ratio_critical_value": "Noise alone keeps the ratio between 1 over this and this.",
    "feature_range_excess": "How far values lie beyond the sound range, in widths of that range; 0 within it.",
    "feature_infinite_ratio": "Share of infinite values in the last window, 0 to 1.",
    "feature_cardinality_change": "Distinct values over what as many rows hold without any change, less 1.",
    "feature_cardinality_change_critical_value": "Cardinality change that noise alone exceeds once in 1000 windows.",
    "feature_new_category_ratio": "Share of values that the reference does not hold, 0 to 1.",
    "feature_new_category_ratio_critical_value": "Share that noise alone exceeds once in 1000 windows.",
    "feature_vanished_categories": "Categories that held 2 % or more of the reference and are gone.",
}
_OUTCOMES = {
    "feedback_predictions": "Predictions of the mature window, each id once.",
    "feedback_rate": "Share of them that received a valid outcome in time, 0 to 1.",
    "feedback_rate_upper_bound": "The true share lies below this with a confidence of 97.5 %.",
    "feedback_expected_rate": "Share that normally receives one, 0 to 1, by the spec or the reference.",
    "feedback_fall": "1 less the share over the expected one; 0 is no fall.",
    "feedback_fall_critical_value": "Fall that noise alone exceeds once in 1000 windows.",
    "feedback_rejected_ratio": "Share of the window's outcomes that were of no use, 0 to 1.",
    "feedback_files_unreadable": "Files of predictions or outcomes that could not be read, or only in part.",
    "feedback_window_end_timestamp_seconds": "End of the mature window, in Unix time.",
    "outcome_mean": "Mean outcome of the mature window: the share of positives, or in the outcome's own unit.",
    "outcome_mean_lower_bound": "Begin of the 95 % interval of the mean outcome.",
    "outcome_mean_upper_bound": "End of the 95 % interval of the mean outcome.",
    "outcome_reference_mean": "Mean outcome of the reference.",
    "outcome_predicted_mean": "Mean prediction of the answered predictions.",
    "outcome_gap": "Mean of prediction less outcome.",
    "outcome_gap_error": "Standard error of the gap.",
    "outcome_shift": "Mean outcome against the reference: relative where binary, else in reference standard deviations.",
    "outcome_shift_critical_value": "Shift that noise alone exceeds once in 1000 windows, to either side.",
    "performance": "Figures of performance of the answered predictions of the mature window.",
    "performance_reference": "The same figures in the reference.",
    "performance_loss": "Share of the reference's AUC above chance or NDCG that is lost, or relative rise of the error.",
    "performance_loss_critical_value": "Loss that noise alone exceeds once in 1000 windows.",
}
_TIMED = {"feedback_delay_seconds": "Time from a prediction to the outcome that counts, by percentile."}
_ESTIMATED = {
    "performance_estimated": "Figures estimated from the last window's scores alone, before outcomes are known."
}
_SEGMENTS = {"segment_rows": "Rows of the segment in the last window."}
_SEGMENT_SCORES = {
    "segment_score_mean": "Mean score of the segment.",
    "segment_score_psi": "Population stability index of the segment's scores against the reference, 0 up.",
    "segment_score_psi_critical_value": "Score PSI that noise alone exceeds in any segment once in 1000 windows.",
}
_SEGMENT_OUTCOMES = {
    "segment_feedback_rate": "Share of the segment's mature predictions that received a valid outcome, 0 to 1.",
    "segment_outcome_mean": "Mean outcome of the segment in the mature window.",
}
_SEGMENT_GAPS = {
    "segment_gap": "Mean of prediction less outcome of the segment.",
    "segment_gap_shift": "The gap less the reference's, in standard deviations of the reference's outcomes.",
    "segment_gap_shift_critical_value": "Shift that noise alone exceeds in any segment once in 1000 windows.",
}
_OUTCOME_LABELS = {
    "feedback_rejected_ratio": ("reason",),
    "feedback_delay_seconds": ("percentile",),
    "performance": ("figure",),
    "performance_reference": ("figure",),
    "performance_estimated": ("figure",),
}
_PROCESS = (
    Family("process_cpu_seconds_total", MetricType.COUNTER, "CPU time used.", (), Producer.PROCESS),
    Family("process_resident_memory_bytes", MetricType.GAUGE, "Memory in use.", (), Producer.PROCESS),
)
_PROMETHEUS = (
    Family("up", MetricType.GAUGE, "1 where the last scrape succeeded.", ("job", "instance"), Producer.PROMETHEUS),
    Family(
        "scrape_samples_scraped",
        MetricType.GAUGE,
        "Samples that the last scrape gave.",
        ("job", "instance"),
        Producer.PROMETHEUS,
    ),
    Family(
        "scrape_duration_seconds",
        MetricType.GAUGE,
        "How long the last scrape took.",
        ("job", "instance"),
        Producer.PROMETHEUS,
    ),
    Family("ALERTS", MetricType.GAUGE, "Pending and firing alerts.", ("alertname", "alertstate"), Producer.PROMETHEUS),
    Family(
        "ALERTS_FOR_STATE",
        MetricType.GAUGE,
        "Unix time since which an alert's condition holds.",
        ("alertname",),
        Producer.PROMETHEUS,
    ),
)
