"""Evidence collected about an incident: events, the measurements of each window, and the sources asked for them.

It is kept next to the incident as `ID.evidence.json`, so that a post-mortem can be written again after Prometheus has
forgotten, on any machine and without any server. Collecting again adds to it.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlvitals.generator.atomic import replacing
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import SeverityCriteria
from mlvitals.incidents.timeline.events import TimelineEvent

SCHEMA = "mlvitals.evidence/1"
Moment = Annotated[datetime, Meta(tz=True)]


class EvidenceError(UserError):
    """A file of evidence that cannot be used."""


class BinFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a feature: its share of the reference and of the window."""

    label: str
    reference: float
    current: float
    psi: float


class FeatureFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feature in one window. Statistics are None where they are undefined."""

    rows: int = 0
    source: str = ""
    """The pipeline that delivers it, as the spec says."""
    psi: float | None = None
    noise: float | None = None
    """The value that PSI exceeds once in 1000 windows by chance."""
    severity: str = ""
    """The worst of drift and quality; empty where nothing is wrong."""
    status: str = ""
    null_rate: float | None = None
    out_of_range: float | None = None
    skewed: float | None = None
    """Share of the values that differ from those recomputed offline; None where that is not compared."""
    bins: tuple[BinFacts, ...] = ()
    """All cells, of features that have a severity or are beyond noise in any window."""

    @property
    def over_noise(self) -> bool:
        """True if PSI is beyond what chance explains."""
        return self.psi is not None and self.noise is not None and self.psi > self.noise


class SegmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a segment column in one window."""

    column: str
    value: str
    rows: int
    severity: str


class WindowFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The results of one measured window, as far as an incident needs them."""

    start: Moment
    end: Moment
    reference_created: Moment
    rows: int
    severity: str = ""
    drift_type: str = ""
    drift_reason: str = ""
    features: dict[str, FeatureFacts] = {}
    score_psi: float | None = None
    score_noise: float | None = None
    score_severity: str = ""
    schema_differences: tuple[str, ...] = ()
    segments: tuple[SegmentFacts, ...] = ()
    predictions: int | None = None
    """Of the mature window, as are all outcomes; None where no outcomes are known."""
    feedback_rate: float | None = None
    expected_feedback_rate: float | None = None
    feedback_severity: str = ""
    label_severity: str = ""
    performance_severity: str = ""
    gap_severity: str = ""
    kpis: dict[str, float] = {}


class KpiFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI over the incident, and over the same time a week before; None where it has no value."""

    name: str
    title: str
    during: float | None
    week_before: float | None
    low: float | None = None
    high: float | None = None
    """The 95 % interval of the difference; None where it is not a share of counted events."""
    query: str

    @property
    def loss(self) -> float | None:
        """The loss relative to the week before; None if unknown or no more than chance."""
        by_chance = self.high is not None and self.high >= 0
        if self.during is None or not self.week_before or by_chance:
            return None
        return 1 - self.during / self.week_before


class BudgetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The rest of an objective's error budget at the start and at the end of the incident."""

    slo: str
    before: float
    after: float
    query: str


class EventFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A business event over the incident, and over the same time a week before: a number, or an amount in its unit."""

    name: str
    during: float
    week_before: float
    hours: float
    unit: str = ""
    query: str

    @property
    def lost_per_hour(self) -> float:
        """The loss in an hour; negative if there was more."""
        return (self.week_before - self.during) / self.hours


class Point(msgspec.Struct, frozen=True, array_like=True):
    """The value of a metric over the interval that ends at a time."""

    at: Moment
    value: float


class LineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over time, in intervals of equal length: a KPI, or the share of requests that fail."""

    name: str
    title: str
    seconds: float
    """The length of an interval."""
    points: tuple[Point, ...]
    query: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One source that was asked: what for, and what came of it."""

    source: str
    query: str
    found: int = 0
    problem: str = ""


class IncidentEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was collected about one incident."""

    schema: Literal["mlvitals.evidence/1"] = "mlvitals.evidence/1"
    incident: str
    since: Moment
    until: Moment
    asked: tuple[Asked, ...] = ()
    events: tuple[TimelineEvent, ...] = ()
    windows: tuple[WindowFacts, ...] = ()
    kpis: tuple[KpiFacts, ...] = ()
    budgets: tuple[BudgetFacts, ...] = ()
    counts: tuple[EventFacts, ...] = ()
    lines: tuple[LineFacts, ...] = ()
    criteria: dict[str, SeverityCriteria] = {}
    """Criteria of the severities, by `sev1` to `sev3`, as the spec said; empty where no spec was given."""

    def with_more(self, later: "IncidentEvidence") -> "IncidentEvidence":
        """Both together: every event of either, and of a window or a question what was collected later."""
        asked = {(each.source, each.query): each for each in (*self.asked, *later.asked)}
        windows = {(each.start, each.end): each for each in (*self.windows, *later.windows)}
        return IncidentEvidence(
            incident=self.incident,
            since=min(self.since, later.since),
            until=max(self.until, later.until),
            asked=tuple(asked[key] for key in sorted(asked)),
            events=_sorted({*self.events, *later.events}),
            windows=tuple(windows[key] for key in sorted(windows)),
            kpis=later.kpis or self.kpis,
            budgets=later.budgets or self.budgets,
            counts=later.counts or self.counts,
            lines=later.lines or self.lines,
            criteria=later.criteria or self.criteria,
        )


def _sorted(events: Iterable[TimelineEvent]) -> tuple[TimelineEvent, ...]:
    return tuple(
        sorted(events, key=lambda each: (each.at, each.source, each.kind, each.subject, each.text, each.origin))
    )


def evidence_file(folder: Path, incident: str) -> Path:
    """Return where the evidence of an incident is kept."""
    return folder / f"{incident}.evidence.json"


def read_evidence(folder: Path, incident: str) -> IncidentEvidence | None:
    """Read what was collected; None where nothing was.

    Raises:
        EvidenceError: the file is none of mlvitals, or of a newer version.
    """
    path = evidence_file(folder, incident)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=IncidentEvidence)
    except msgspec.DecodeError as error:  # a ValidationError is one
        raise EvidenceError(f"{path} is no evidence ({SCHEMA}): {error}; move it away and collect again") from error


def write_evidence(folder: Path, evidence: IncidentEvidence) -> None:
    """Write what was collected, for people to read and to review as well."""
    with replacing(evidence_file(folder, evidence.incident)) as file:
        file.write(msgspec.json.format(msgspec.json.encode(evidence), indent=1) + b"\n")
