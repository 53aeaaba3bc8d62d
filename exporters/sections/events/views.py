"""Business events as gauges and as lines for people."""

from collections.abc import Iterable, Iterator, Mapping

from mlvitals.exporters.parts import Line, Sample, Samples
from mlvitals.exporters.sections.events.report import EventCount, EventsReport, Reject
from mlvitals.exporters.wording import number, printable, span
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import Severity


def lines(found: EventsReport) -> list[Line]:
    """Return what was counted, an event or KPI a line, and what was left out and why."""
    return [*map(Line, _event_lines(found)), *(Line(text, Severity.WARNING) for text in _left_out(found))]


def _event_lines(found: EventsReport) -> Iterator[str]:
    yield f"{span(found.step)}: {found.rows:,} rows of the log."
    if not found.events:
        yield "Nothing could be counted."
    for name, event in found.events.items():
        yield f"{name}: {_counted(event)}"
    for name, value in found.kpis.items():
        yield f"{name} over this step: {number(value)}"


def _left_out(found: EventsReport) -> Iterator[str]:
    for name, event in found.events.items():
        if event.rejected:
            yield f"{name}: rows left out: {_by_reason(event.rejected)}"
    if unknown := found.rejected.get("unknown_event"):
        names = ", ".join(f'"{printable(name)}" {count:,}' for name, count in found.unknown_names.items())
        yield f"rows of events that the spec does not know: {unknown:,} ({names})"
    if unnamed := found.rejected.get("unnamed_event"):
        yield f"rows without the name of an event: {unnamed:,}"


def _counted(event: EventCount) -> str:
    parts = [f"{number(event.amount)}{f' {event.unit}' if event.unit else ''}"]
    if event.total is not None:
        parts.append(f"{number(event.total)} in all")
    return "; ".join(filter(None, (", ".join(parts), event.remark)))


def _by_reason(rejected: dict[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in rejected.items())


def gauges(contract: Contract, report: EventsReport) -> Samples:
    """Return the samples of a step. An event that could not be counted has none.

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
        **total_samples(contract, totals),
        "events_log_rows": [((), report.rows)],
        "events_log_rejected": [((reason.value,), report.rejected.get(reason, 0)) for reason in Reject],
        "events_log_files_unreadable": [((), len({problem.path for problem in report.problems}))],
    }


def total_samples(contract: Contract, totals: Mapping[str, float | None]) -> Samples:
    """Return running totals by event, where they are known."""
    prefix = contract.name("")
    return {contract.event(name).removeprefix(prefix): [((), total)] for name, total in totals.items()}


def unmeasured(found: EventsReport) -> Iterator[str]:
    """Yield that no event could be counted."""
    if not found.events:
        yield "business events not counted"
