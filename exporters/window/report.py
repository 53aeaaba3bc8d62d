"""The report on one window. Gauges, SQL rows, JSON and pages are all rendered from it."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from mlvitals.exporters.parts import FileProblem, Finding, RepeatedRows, Window
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, PastWindow, Verdict
from mlvitals.exporters.sections.events.report import EventsReport
from mlvitals.exporters.sections.features.report import (
    SEVERITIES,
    CountWindow,
    FeatureReport,
    FeaturesReport,
    SchemaDifference,
)
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.sections.segments.report import SegmentsReport
from mlvitals.exporters.sections.skew.report import SkewReport
from mlvitals.generator.spec.model import Severity


class Compared(NamedTuple):
    """A feature, or the scores, and what was found wrong with it."""

    name: str
    report: FeatureReport
    findings: tuple[Finding, ...]


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one measurement."""

    schema: Literal["mlvitals.drift/1"] = "mlvitals.drift/1"
    """Name and version of the JSON form; a change that breaks a reader raises the number."""
    system: str
    window: Window
    measured_at: datetime
    reference_version: str
    reference_created: datetime
    rows: int
    """Rows of the log in the window, of those with the same id the first one."""
    repeated: RepeatedRows | None = None
    """None where the spec has no prediction_log.id, and in reports older than this field."""
    features: dict[str, FeatureReport]
    score: FeatureReport | None = None
    score_count: CountWindow | None = None
    probabilities: dict[str, FeatureReport] = {}
    """By class, of outcomes that are classes."""
    schema_differences: tuple[SchemaDifference, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    severity: Severity | None = None
    """The worst of all that was found, in any section."""
    findings: tuple[Finding, ...] = ()
    """All that was found wrong, section by section; empty in reports older than this field."""
    skew: SkewReport | None = None
    """None where the spec has no skew.path."""
    concept: ConceptReport | None = None
    """None where the spec has no outcome that is compared with a prediction."""
    drift_type: DriftType | None = None
    outcomes: OutcomeReport | None = None
    """None where the spec has no prediction_log.outcome."""
    segments: dict[str, SegmentsReport] = {}
    """By segment column of the spec."""
    events: EventsReport | None = None
    """None where the spec has no business.events_log."""

    @property
    def comparison(self) -> FeaturesReport:
        """Return the features, the scores and the schema, compared with the reference."""
        return FeaturesReport(
            features=self.features,
            score=self.score,
            score_count=self.score_count,
            probabilities=self.probabilities,
            schema_differences=self.schema_differences,
        )

    @property
    def past(self) -> PastWindow:
        """Return the facts that later windows need of this one."""
        return PastWindow(
            self.window,
            self.reference_version,
            self.drift_type is not None and self.drift_type.explains,
            self.concept.sample if self.concept else None,
        )

    @property
    def verdict(self) -> Verdict:
        """Return the concept drift and the drift type of the window."""
        return Verdict(self.past, self.drift_type, self.concept)

    def worst_first(self, score_name: str) -> list[Compared]:
        """Return all features, and the scores under the name given, as people should read them.

        The newest scores, and the probabilities of classes, appear only when they are to be shown: mostly the former are
        those of the window, and the latter move with the scores.
        """
        compared = [Compared(name, item, self.found_in("features", name)) for name, item in self.features.items()]
        if self.score:
            compared.append(Compared(score_name, self.score, self.found_in("score")))
        if self.score_count and self.score_count.report.severity:
            newest = f"{score_name} newest {self.score_count.wanted:,}"
            compared.append(Compared(newest, self.score_count.report, self.found_in("score_count")))
        compared += [
            Compared(f"{score_name}: probability of {name}", found, self.found_in("probabilities", name))
            for name, found in self.probabilities.items()
            if found.severity
        ]
        return sorted(compared, key=lambda item: item.report.rank)

    @property
    def is_measured(self) -> bool:
        """True if anything was read: rows of the log, or, if it has no problems and holds none, business events."""
        return bool(self.rows or (self.events and self.events.rows and not self.problems))

    def found_in(self, section: str, subject: str | None = None) -> tuple[Finding, ...]:
        """Return what was found wrong in a section, or with one subject of it."""
        of_section = (item for item in self.findings if item.section == section)
        return tuple(item for item in of_section if subject is None or item.subject == subject)

    def is_at_least(self, severity: Severity) -> bool:
        """True if anything was found that is as bad as this, or worse."""
        return self.severity is not None and SEVERITIES.index(self.severity) <= SEVERITIES.index(severity)

    def to_json(self) -> bytes:
        """Return the stable JSON form."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "WindowReport":
        """Read the JSON form back.

        Raises:
            msgspec.ValidationError: the text is not a report of this schema version.
        """
        return msgspec.json.decode(text, type=cls)
