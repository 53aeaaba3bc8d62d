"""What the exporter publishes of its windows and of itself, and what Prometheus adds of its own."""

from mlvitals.generator.contract.family import Producer, counter, gauge

CHANGES_SHOWN = 50
"""Deployments and pipeline changes that the exporter shows: the newest ones. Prometheus remembers those before."""

EXPORTER_FAMILIES = (
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
    gauge("exporter_last_success_timestamp_seconds", "End of the last measurement that succeeded, in Unix time."),
    gauge("exporter_run_duration_seconds", "How long the last measurement took."),
)

PROMETHEUS_FAMILIES = (
    gauge("up", "1 where the last scrape succeeded.", "job", "instance", producer=Producer.PROMETHEUS),
    gauge(
        "scrape_samples_scraped",
        "Samples that the last scrape gave.",
        "job",
        "instance",
        producer=Producer.PROMETHEUS,
    ),
    gauge(
        "scrape_duration_seconds",
        "How long the last scrape took.",
        "job",
        "instance",
        producer=Producer.PROMETHEUS,
    ),
    gauge("ALERTS", "Pending and firing alerts.", "alertname", "alertstate", producer=Producer.PROMETHEUS),
    gauge(
        "ALERTS_FOR_STATE",
        "Unix time since which an alert's condition holds.",
        "alertname",
        producer=Producer.PROMETHEUS,
    ),
)
"""The names are the same in every system."""
