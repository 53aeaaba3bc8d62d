"""What one measurement found: the value that statistics produce and that gauges, SQL rows and JSON are made of."""

from datetime import datetime
from typing import Literal

import msgspec

from exporters.concept_report import ConceptReport, DriftType
from exporters.event_report import EventsReport
from exporters.outcome_report import OutcomeReport
from exporters.report_parts import FileProblem as FileProblem
from exporters.report_parts import Measure as Measure
from exporters.report_parts import Window as Window
from exporters.segment_report import SegmentsReport
from generator.contract import UNMEASURABLE, SchemaDifferenceKind, SkewStatus, Status
from generator.spec.levels import ALERTING
from generator.spec.model import FeatureType, Severity, SkewJoin

SEVERITIES = ALERTING[::-1]
"""How bad a finding may be, worst first."""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a feature, with its share of both sides.

    `reference` and `current` are plain shares (count / n, 0 to 1); `psi` is the cell's smoothed contribution.
    """

    label: str
    reference: float
    current: float
    psi: float


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How sound a feature's values are in a window, beside its drift. Figures that are undefined are None.

    Every shift is in standard deviations of the reference and has its sign.
    """

    standard_deviation: float | None = None
    reference_standard_deviation: float | None = None
    median: float | None = None
    median_error: float | None = None
    """The window's true median is at most this far from `median`."""
    reference_median: float | None = None
    quantiles: dict[str, float] = {}
    """By percentile; empty where no median is known."""
    reference_quantiles: dict[str, float] = {}
    minimum: float | None = None
    maximum: float | None = None
    """Of the finite values, as is `minimum`."""
    mean_shift: Measure | None = None
    median_shift: Measure | None = None
    variance_ratio: Measure | None = None
    """Variance over the reference's. Noise alone keeps it between 1/critical_value and critical_value."""
    range_excess: float | None = None
    """How far the smallest or largest value lies beyond the sound range, in widths of that range."""
    infinite_ratio: float | None = None
    """Share of the values that are infinite."""
    distinct: float | None = None
    expected_distinct: float | None = None
    """Distinct values that as many rows hold where nothing changed."""
    cardinality_change: Measure | None = None
    """distinct / expected_distinct - 1."""
    new_category_ratio: Measure | None = None
    """Share of the values that the reference does not hold."""
    vanished: tuple[str, ...] | None = None
    """Categories that held 2 % or more of the reference and are gone."""
    severity: Severity | None = None
    """The worst of all figures here."""


class FeatureReport(msgspec.Struct, frozen=True, kw_only=True):
    """One feature (or the score) in one window.

    Every figure is None where it is undefined; `status` and `reason` then say why. Never NaN.
    """

    type: FeatureType
    status: Status
    reason: str = ""
    rows: int = 0
    """Non-null values measured."""
    null_rate: float | None = None
    nulls: int = 0
    nans: int = 0
    infinities: int = 0
    mean: float | None = None
    reference_mean: float | None = None
    out_of_range_ratio: float | None = None
    psi: Measure | None = None
    ks: Measure | None = None
    ks_pvalue: float | None = None
    ks_pvalue_adjusted: float | None = None
    """The p-value after Benjamini and Hochberg, over all features of the window."""
    ks_error_bound: float | None = None
    """The true D lies between ks.value and ks.value plus this."""
    js: Measure | None = None
    quality: Quality | None = None
    severity: Severity | None = None
    """The worst of psi, ks, js and quality."""
    action: str = ""
    bins: tuple[Bin, ...] = ()
    """Every cell, in order of the cells."""

    @property
    def urgency(self) -> Severity | None:
        """How bad it is that this was found: the severity, or critical where the feature cannot be measured."""
        return Severity.CRITICAL if self.status in UNMEASURABLE else self.severity

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts reports worst first: by urgency, then by PSI; those without a figure before those below thresholds."""
        psi = self.psi.value if self.psi else float("inf")
        return (SEVERITIES.index(self.urgency) if self.urgency else len(SEVERITIES), -psi)

    def top_bins(self, count: int) -> tuple[Bin, ...]:
        """The bins that contribute most to PSI, largest first; ties in cell order."""
        return tuple(sorted(self.bins, key=lambda item: -item.psi)[:count])


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction whose value at serving differs from the one recomputed offline; values as text, None for null."""

    key: str
    """The prediction's id or its entity. It stands in reports alone, never in a metric."""
    time: datetime
    serving: str | None
    offline: str | None


class FeatureSkew(msgspec.Struct, frozen=True, kw_only=True):
    """One feature at serving against the same feature recomputed offline. Figures are None where undefined."""

    status: SkewStatus
    reason: str = ""
    measure: Literal["psi", "ks", "js"]
    serving_values: int = 0
    offline_values: int = 0
    distance: Measure | None = None
    """How far the distributions are apart, by `measure`."""
    mismatches: int | None = None
    """Matched predictions whose two values differ; None where predictions are not matched."""
    mismatch_ratio: float | None = None
    offenders: tuple[Offender, ...] = ()
    """The largest differences, largest first."""


class SkewReport(msgspec.Struct, frozen=True, kw_only=True):
    """Training-serving skew of one window."""

    window: Window
    """The window whose predictions were compared: the measured one, or an earlier one where offline rows come late."""
    join: SkewJoin
    serving_rows: int = 0
    """Predictions compared. Of a very large window a fixed share of the keys is compared."""
    offline_rows: int = 0
    """Offline rows that they were compared with."""
    features: dict[str, FeatureSkew] = {}
    problems: tuple[FileProblem, ...] = ()


class SchemaDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A column in which the log and the reference differ."""

    kind: SchemaDifferenceKind
    column: str
    detail: str = ""


class CountWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest scores up to the end of the window, however long ago they were given."""

    wanted: int
    """How many scores the window is to hold."""
    window: Window
    """From the oldest of them to the end of the time window."""
    report: FeatureReport


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one measurement found."""

    schema: Literal["mlvitals.drift/1"] = "mlvitals.drift/1"
    """Name and version of the JSON form; a change that breaks a reader raises the number."""
    system: str
    window: Window
    measured_at: datetime
    reference_version: str
    reference_created: datetime
    rows: int
    features: dict[str, FeatureReport]
    score: FeatureReport | None = None
    score_count: CountWindow | None = None
    schema_differences: tuple[SchemaDifference, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    severity: Severity | None = None
    """The worst of all features and the scores."""
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
    def urgency(self) -> Severity | None:
        """The worst urgency of the features and the scores, of the window and the newest."""
        found = {report.urgency for _, report in self.worst_first("score")}
        return next((severity for severity in SEVERITIES if severity in found), None)

    def worst_first(self, score_name: str) -> list[tuple[str, FeatureReport]]:
        """Names and reports of all features, and of the scores under the name given, as people should read them.

        The newest scores appear only when they are to be told: mostly they are those of the window.
        """
        scores = [(score_name, self.score)] if self.score else []
        if self.score_count and self.score_count.report.urgency:
            scores.append((f"{score_name} newest {self.score_count.wanted:,}", self.score_count.report))
        return sorted([*self.features.items(), *scores], key=lambda item: item[1].rank)

    def is_at_least(self, severity: Severity) -> bool:
        """Whether anything was found that is as bad as this, or worse."""
        return self.urgency is not None and SEVERITIES.index(self.urgency) <= SEVERITIES.index(severity)

    def to_json(self) -> bytes:
        """The stable JSON form."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "WindowReport":
        """Read the JSON form back.

        Raises:
            msgspec.ValidationError: the text is not a report of this schema version.
        """
        return msgspec.json.decode(text, type=cls)
