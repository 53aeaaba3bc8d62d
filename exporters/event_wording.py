"""Business events of a report as people read them."""

from collections.abc import Iterator

from exporters.event_report import EventCount, EventsReport
from exporters.outcome_wording import span
from exporters.wording import number, printable


def event_lines(found: EventsReport) -> Iterator[str]:
    """What was counted: a line for the step, then one for each event and each KPI."""
    yield f"Business events of {span(found.step)}: {found.rows:,} rows of the log."
    if not found.events:
        yield "Nothing could be counted."
    for name, event in found.events.items():
        yield f"{name}: {_counted(event)}"
    for name, value in found.kpis.items():
        yield f"{name} over this step: {number(value)}"


def left_out(found: EventsReport) -> Iterator[str]:
    """What was not counted, and why."""
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
