"""What is published of business events from the log: the families that an application would publish, by short name."""

from collections.abc import Iterable, Mapping

from exporters.event_report import EventsReport, Reject
from exporters.sample import Sample
from generator.contract import Contract


def samples_of_events(contract: Contract, report: EventsReport) -> dict[str, Iterable[Sample]]:
    """The samples of a step. Of an event that could not be counted there is none.

    A stored report may be older than the spec: only events that the spec takes from the log are published.
    """
    business = contract.spec.business
    totals: dict[str, float | None] = {}
    samples: dict[str, Iterable[Sample]] = {}
    for name, event in report.events.items():
        if name not in business.logged:
            continue
        if name in business.unique:
            samples[name] = [((), event.amount)]
        elif event.unit == business.events[name].unit:
            totals[name] = event.total
    if business.events_log is None:
        return samples
    return {
        **samples,
        **samples_of_totals(contract, totals),
        "events_log_rows": [((), report.rows)],
        "events_log_rejected": [((reason.value,), report.rejected.get(reason, 0)) for reason in Reject],
        "events_log_files_unreadable": [((), len({problem.path for problem in report.problems}))],
    }


def samples_of_totals(contract: Contract, totals: Mapping[str, float | None]) -> dict[str, Iterable[Sample]]:
    """Running totals by event, where they are known."""
    prefix = contract.name("")
    return {contract.event(name).removeprefix(prefix): [((), total)] for name, total in totals.items()}
