"""What is wrong with the events log, as the generated rules alert on it.

What business figures do is compared with the week before, which one window does not tell.
"""

from collections.abc import Iterator

from mlvitals.exporters.parts import Finding, FindingKind, found
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.generator.spec.model import Severity, Spec


def findings(spec: Spec, report: EventsReport) -> Iterator[Finding]:
    """Yield that files could not be read in full."""
    if report.problems and spec.business.events_log is not None and spec.alerts.monitoring.enabled:
        yield from found("events", FindingKind.EVENTS_LOG_UNREADABLE, Severity.WARNING)
