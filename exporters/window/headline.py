"""The headline of a report, on the terminal and on the page: how bad it is, and what is not known."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from mlvitals.exporters.parts import FindingKind, Line
from mlvitals.exporters.sections.features.report import SEVERITIES
from mlvitals.exporters.statistics.judging import worst
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.window.sections import SECTIONS
from mlvitals.exporters.wording import share
from mlvitals.generator.contract import SchemaDifferenceKind, Status
from mlvitals.generator.spec.model import Severity

_SCORE = "score"


class Headline(NamedTuple):
    """A few words each."""

    wrong: tuple[Line, ...]
    """The findings, as bad as they are; empty where there are no findings."""
    unmeasured: tuple[Line, ...]
    """The parts that could not be measured. A window is well only where this is empty too."""


def headline(report: WindowReport) -> Headline:
    """Return the headline of a report."""
    return Headline(tuple(_wrong(report)), tuple(_unmeasured(report)))


def counted_rows(report: WindowReport) -> str:
    """Return how many rows the window has, and how many of the log's were left out."""
    left_out = report.repeated.rows if report.repeated else 0
    return f"{report.rows:,} rows" + (f" ({left_out:,} repeated ones left out)" if left_out else "")


def _wrong(report: WindowReport) -> Iterator[Line]:
    compared = report.worst_first(_SCORE)
    if not report.is_measured:
        yield Line("nothing was read", Severity.WARNING)
    elif all(item.report.status is Status.INSUFFICIENT_DATA for item in compared):
        yield Line("nothing could be compared", Severity.WARNING)
    counts = Counter(item.report.severity for item in compared)
    yield from (Line(f"{counts[severity]} {severity}", severity) for severity in SEVERITIES if counts[severity])
    for section in SECTIONS:
        severity = worst(item.severity for item in report.found_in(section.name))
        if severity and section.name != "features":
            yield Line(f"{section.noun} {severity}", severity)
    found = {item.kind: item.severity for item in report.findings}
    if severity := found.get(FindingKind.NEW_COLUMNS):
        new = sum(item.kind is SchemaDifferenceKind.NEW_COLUMN for item in report.schema_differences)
        yield Line("1 new column" if new == 1 else f"{new} new columns", severity)
    if (severity := found.get(FindingKind.REPEATED_ROWS)) and report.repeated:
        yield Line(f"{share(report.repeated.ratio or 0.0)} of the rows repeated", severity)
    if severity := found.get(FindingKind.LOG_FILES_UNREADABLE):
        files = len({problem.path for problem in report.problems})
        yield Line("1 file not read in full" if files == 1 else f"{files} files not read in full", severity)


def _unmeasured(report: WindowReport) -> Iterator[Line]:
    compared = [item.report for item in report.worst_first(_SCORE)]
    if thin := sum(feature.status is Status.INSUFFICIENT_DATA for feature in compared):
        too_small = any(item.kind == FindingKind.WINDOW_TOO_SMALL for item in report.findings)
        yield Line(f"{thin} with too few rows", Severity.WARNING if too_small else None)
    known = (Status.OK, Status.INSUFFICIENT_DATA)
    if untold := sum(feature.status not in known and feature.severity is None for feature in compared):
        yield Line(f"{untold} not measurable")
    for section in SECTIONS:
        yield from map(Line, section.unmeasured_of(report))
