"""Metric families of the age of feature sources."""

from collections.abc import Iterator

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import Spec


def freshness_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of a spec with sources."""
    if spec.sources:
        yield from _SOURCES


_SOURCES = (
    gauge("data_freshness_seconds", "Age of a feature source's newest data at scrape time.", "feature_source"),
    gauge(
        "data_freshness_timestamp_seconds",
        "Time of a feature source's newest data, as a Unix timestamp; absent if unknown.",
        "feature_source",
    ),
    gauge("data_freshness_max_age_seconds", "Age up to which a feature source is fresh.", "feature_source"),
    gauge(
        "data_freshness_tolerance_seconds",
        "Tolerated distance of a feature source's newest data into the future.",
        "feature_source",
    ),
)
