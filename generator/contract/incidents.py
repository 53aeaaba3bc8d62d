"""Metric families of incidents, published by an exporter whose spec says where their files are."""

from collections.abc import Iterator

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import Spec

INCIDENTS_SHOWN = 50
"""Number of newest incidents that the exporter shows. Prometheus remembers the earlier ones."""
STAGES = ("detect", "acknowledge", "mitigate", "resolve")
"""The times of an incident."""
STATES = ("open", "mitigated", "resolved", "closed")
"""The stages that an incident goes through."""


def incident_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of incidents, if the spec says where their files are."""
    if spec.incidents.path is None:
        return
    yield gauge("incidents", "Incidents by state, of all files.", "state")
    yield gauge("incident_files_unreadable", "Files of incidents that could not be read.")
    yield gauge(
        "incident_opened_timestamp_seconds",
        "Time when an incident was opened, as a Unix timestamp.",
        "incident",
        "title",
        "severity",
    )
    yield gauge(
        "incident_resolved_timestamp_seconds",
        "Time when an incident was resolved for the last time, as a Unix timestamp.",
        "incident",
        "title",
    )
    yield gauge(
        "incident_duration_seconds",
        "Time an incident took to detect, acknowledge, mitigate and resolve; absent where it is unknown.",
        "incident",
        "stage",
    )
