"""Metric families of business events, counted by the application or the exporter, and of the health of the events log."""

from collections.abc import Iterator

from mlvitals.generator.contract.family import Family, Producer, counter, gauge
from mlvitals.generator.spec.model import Business, EventSource, Spec

_PRODUCERS = {EventSource.APPLICATION: Producer.SERVING, EventSource.LOG: Producer.EXPORTER}


def event_counter(business: Business, event: str) -> str:
    """Return the short name of the counter that a business event adds to."""
    unit = business.events[event].unit
    return f"{event}_{unit}_total" if unit else f"{event}_total"


def event_families(spec: Spec) -> Iterator[Family]:
    """Yield one family per business event: a running total, or a gauge if distinct items are counted."""
    business = spec.business
    for event, described in business.events.items():
        by = _PRODUCERS[described.source]
        if event in business.unique:
            otherwise = f"Distinct {event} {'in the last window' if described.distinct else 'now'}."
            yield gauge(event, described.description or otherwise, producer=by)
        else:
            yield counter(event_counter(business, event), described.description or f"Sum of {event}.", producer=by)


def events_log_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of the health of the events log, if the spec has one."""
    if spec.business.events_log:
        yield gauge("events_log_rows", "Rows of the events log in the last step.")
        yield gauge(
            "events_log_rejected",
            "Rows of the last step that a business event could not count, by reason.",
            "reason",
        )
        yield gauge("events_log_files_unreadable", "Files of the events log that could not be read in full.")
