"""Findings on business events, as the generated rules alert on them.

Most metrics are rates over running totals, or compared with the week before, which one window does not show.
"""

from collections.abc import Iterator

from mlvitals.exporters.parts import Finding, FindingKind, found
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.generator.spec.model import KpiKind, Severity, Spec


def findings(spec: Spec, report: EventsReport) -> Iterator[Finding]:
    """Yield the shares of distinct items that are below their floor, and that files could not be read in full."""
    kpis = spec.business.kpis.items() if spec.alerts.business_drop.enabled else ()
    for name, kpi in kpis:
        value = report.kpis.get(name)
        if kpi.kind is KpiKind.UNIQUE and kpi.floor is not None and value is not None and value < kpi.floor:
            yield from found("events", FindingKind.KPI_FLOOR, Severity.CRITICAL, name)
    if report.problems and spec.business.events_log is not None and spec.alerts.monitoring.enabled:
        yield from found("events", FindingKind.EVENTS_LOG_UNREADABLE, Severity.WARNING)
