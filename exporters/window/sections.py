"""The sections of a window's report, in the order in which they are read: the one list that every view goes through."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mlvitals.exporters.parts import FileProblem, Finding, Line, Rows, Samples, Window
from mlvitals.exporters.sections.concept import findings as concept_findings
from mlvitals.exporters.sections.concept import views as concept
from mlvitals.exporters.sections.events import findings as events_findings
from mlvitals.exporters.sections.events import views as events
from mlvitals.exporters.sections.features import findings as features_findings
from mlvitals.exporters.sections.features import views as features
from mlvitals.exporters.sections.outcomes import findings as outcomes_findings
from mlvitals.exporters.sections.outcomes import views as outcomes
from mlvitals.exporters.sections.segments import findings as segments_findings
from mlvitals.exporters.sections.segments import views as segments
from mlvitals.exporters.sections.skew import findings as skew_findings
from mlvitals.exporters.sections.skew import views as skew
from mlvitals.exporters.statistics.judging import worst
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.wording import found, printable, section_noun
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import Spec

R = TypeVar("R")


MOST_PROBLEMS = 20
"""Problems of files that people are shown one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Generic[R]):
    """One section: its part of the report, and the views of that part."""

    name: str
    title: str
    part: Callable[[WindowReport], R | None]
    """None where the window's report has nothing of this section."""
    gauges: Callable[[Contract, R], Samples]
    findings: Callable[[Spec, R], Iterable[Finding]]
    """The findings on the part, by the policies that the rules alert by."""
    unmeasured: Callable[[R], Iterable[str]] = lambda _: ()
    """The parts that could not be measured, hence are not known to be well; features have their own status instead."""
    rows: Callable[[R, Window], Rows] = lambda _part, _window: ()
    tables: tuple[str, ...] = ()
    """The tables of `rows`."""
    lines: Callable[[R], list[Line]] = lambda _: []
    """The lines for people; features are shown as a table instead."""
    problems: Callable[[R], tuple[FileProblem, ...]] = lambda _: ()

    @property
    def noun(self) -> str:
        """Return the section's name in a headline."""
        return section_noun(self.name)

    def gauges_of(self, contract: Contract, report: WindowReport) -> Samples:
        """Return the section's samples of a report."""
        part = self.part(report)
        return {} if part is None else self.gauges(contract, part)

    def findings_of(self, spec: Spec, report: WindowReport) -> Iterable[Finding]:
        """Return what is wrong with the section of a report."""
        part = self.part(report)
        return () if part is None else self.findings(spec, part)

    def unmeasured_of(self, report: WindowReport) -> Iterable[str]:
        """Return what the section could not measure."""
        part = self.part(report)
        return () if part is None else self.unmeasured(part)

    def rows_of(self, report: WindowReport) -> Rows:
        """Return the section's SQL rows of a report."""
        part = self.part(report)
        return () if part is None else self.rows(part, report.window)

    def lines_of(self, report: WindowReport) -> list[Line]:
        """Return the section's lines of a report, the first of which continues the title."""
        part, findings = self.part(report), report.found_in(self.name)
        lines = [] if part is None else self.lines(part)
        if lines and findings:
            lines.append(Line(f"Found: {found(findings)}.", worst(item.severity for item in findings)))
        return lines

    def problems_of(self, report: WindowReport) -> tuple[FileProblem, ...]:
        """Return the files that the section could not read in full."""
        part = self.part(report)
        return () if part is None else self.problems(part)


SECTIONS: tuple[Section[Any], ...] = (
    Section(
        name="features",
        title="Features",
        part=lambda report: report.comparison,
        gauges=features.gauges,
        findings=features_findings.findings,
        rows=features.rows,
        tables=("drift_features", "drift_results"),
    ),
    Section(
        name="concept",
        title="Drift type",
        part=lambda report: report.verdict,
        gauges=concept.gauges,
        findings=concept_findings.findings,
        unmeasured=concept.unmeasured,
        rows=concept.rows,
        tables=("drift_gaps",),
        lines=concept.lines,
    ),
    Section(
        name="outcomes",
        title="Outcomes",
        part=lambda report: report.outcomes,
        gauges=outcomes.gauges,
        findings=outcomes_findings.findings,
        unmeasured=outcomes.unmeasured,
        rows=outcomes.rows,
        tables=("drift_outcomes",),
        lines=outcomes.lines,
        problems=lambda report: report.problems,
    ),
    Section(
        name="skew",
        title="Serving against offline",
        part=lambda report: report.skew,
        gauges=skew.gauges,
        findings=skew_findings.findings,
        unmeasured=skew.unmeasured,
        lines=skew.lines,
        problems=lambda report: report.problems,
    ),
    Section(
        name="segments",
        title="Segments",
        part=lambda report: report.segments or None,
        gauges=segments.gauges,
        findings=segments_findings.findings,
        unmeasured=segments.unmeasured,
        lines=segments.lines,
    ),
    Section(
        name="events",
        title="Business events",
        part=lambda report: report.events,
        gauges=events.gauges,
        findings=events_findings.findings,
        unmeasured=events.unmeasured,
        lines=events.lines,
        problems=lambda report: report.problems,
    ),
)


def unread(report: WindowReport) -> list[str]:
    """Return a line for each file that the window or one of its sections could not read in full, each problem once.

    Of many, the first ones and how many more there are: the report itself holds all.
    """
    found = [*report.problems, *(problem for section in SECTIONS for problem in section.problems_of(report))]
    problems = list(dict.fromkeys(found))
    lines = [printable(f"{item.path}: {item.problem}") for item in problems[:MOST_PROBLEMS]]
    if rest := problems[MOST_PROBLEMS:]:
        files = len({item.path for item in rest})
        lines.append(f"{len(rest)} more problems, of {files} file{'' if files == 1 else 's'}: --json shows all")
    return lines
