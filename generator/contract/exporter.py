"""Metric families of the exporter's windows and of the exporter itself, and those that Prometheus adds."""

from collections.abc import Iterator

from mlvitals.generator.contract.family import Family, Producer, counter, gauge
from mlvitals.generator.spec.model import Spec

CHANGES_SHOWN = 50
"""Number of newest deployments and pipeline changes that the exporter shows. Prometheus remembers the earlier ones."""

MOST_TOO_SMALL = 0.5
"""Where a larger share of the features has too few rows, the window itself is too small."""

_WINDOW_FAMILIES = (
    gauge("window_start_timestamp_seconds", "Start of the last measured window, as a Unix timestamp."),
    gauge("window_end_timestamp_seconds", "End of the last measured window, as a Unix timestamp."),
    gauge("window_rows", "Rows in the last measured window."),
    gauge(
        "schema_differences",
        "Columns of the last window that differ from the spec and the reference.",
        "kind",
    ),
    gauge("log_files_unreadable", "Files of the last window that could not be read."),
)

_REPEATED = gauge(
    "window_repeated_ratio",
    "Share of the last window's rows that repeat the id of an earlier one, and are not counted.",
)


def window_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of the last window as a whole."""
    yield from _WINDOW_FAMILIES
    if spec.prediction_log.id is not None:
        yield _REPEATED


EXPORTER_FAMILIES = (
    gauge(
        "change_timestamp_seconds",
        "Time of a recorded deployment or pipeline change, as a Unix timestamp.",
        "kind",
        "name",
        "version",
        "author",
    ),
    gauge("reference_info", "The active reference; always 1.", "reference_version"),
    gauge("reference_created_timestamp_seconds", "Time when the reference was built, as a Unix timestamp."),
    counter("exporter_runs_total", "Windows that the exporter tried to measure."),
    counter("exporter_run_failures_total", "Windows that the exporter failed to measure."),
    gauge("exporter_last_run_timestamp_seconds", "End of the last attempt to measure a window, as a Unix timestamp."),
    gauge("exporter_last_success_timestamp_seconds", "End of the last successful measurement, as a Unix timestamp."),
    gauge("exporter_run_duration_seconds", "Duration of the last measurement."),
)

PROMETHEUS_FAMILIES = (
    gauge("up", "1 if the last scrape succeeded.", "job", "instance", producer=Producer.PROMETHEUS),
    gauge(
        "scrape_samples_scraped",
        "Samples that the last scrape returned.",
        "job",
        "instance",
        producer=Producer.PROMETHEUS,
    ),
    gauge(
        "scrape_duration_seconds",
        "Duration of the last scrape.",
        "job",
        "instance",
        producer=Producer.PROMETHEUS,
    ),
    counter(
        "prometheus_rule_evaluation_failures_total",
        "Evaluations of rules that failed.",
        "rule_group",
        producer=Producer.PROMETHEUS,
    ),
    gauge("ALERTS", "Pending and firing alerts.", "alertname", "alertstate", producer=Producer.PROMETHEUS),
    gauge(
        "ALERTS_FOR_STATE",
        "Time since which an alert's condition holds, as a Unix timestamp.",
        "alertname",
        producer=Producer.PROMETHEUS,
    ),
)
"""The names are the same in every system."""
