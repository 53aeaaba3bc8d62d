"""The severity of a window: all that is wrong in it, which whoever reads its report agrees on.

The generated rules alert on the gauges of a window; a finding is what such an alert is about, judged by the same policies
of the spec. `tests/window/test_findings.py` holds every alert that one window decides against its finding.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from mlvitals.exporters.parts import Finding, FindingKind, found
from mlvitals.exporters.statistics.judging import level_limits, severity_of, worst
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.sections import SECTIONS
from mlvitals.generator.contract import SKEW_ROWS
from mlvitals.generator.spec.model import Severity, Spec


def with_findings(spec: Spec, report: WindowReport) -> WindowReport:
    """Return the report, with all that is wrong in it and how bad it is."""
    findings = (
        *_of_window(spec, report),
        *_of_rows(spec, report),
        *(item for section in SECTIONS for item in section.findings_of(spec, report)),
    )
    outcomes = report.outcomes
    if outcomes is not None:
        outcomes = replace(outcomes, severity=worst(item.severity for item in findings if item.section == "outcomes"))
    return replace(report, outcomes=outcomes, findings=findings, severity=worst(item.severity for item in findings))


def _of_window(spec: Spec, report: WindowReport) -> Iterator[Finding]:
    """Yield what no section says alone: the files of the log, and skew where there are rows to compare."""
    if not spec.alerts.monitoring.enabled:
        return
    if report.problems:
        yield from found("problems", FindingKind.LOG_FILES_UNREADABLE, Severity.WARNING)
    if report.skew is not None and not report.skew.offline_rows and report.rows >= SKEW_ROWS:
        yield from found("skew", FindingKind.SKEW_UNMEASURED, Severity.WARNING)


def _of_rows(spec: Spec, report: WindowReport) -> Iterator[Finding]:
    """Yield that rows repeat each other."""
    ratio = report.repeated.ratio if report.repeated else None
    if ratio is not None and spec.prediction_log.id is not None:
        severity = severity_of(ratio, level_limits(spec.alerts.repeated_rows, None))
        yield from found("repeated", FindingKind.REPEATED_ROWS, severity)
