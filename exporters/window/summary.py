"""A window at a glance, for views of many windows: the part of a stored report that such a view shows.

The fields are those of `WindowReport`, by the same names, so that its JSON is read without the rest: the bins of every
feature are most of a report, and a view of a month would wait for them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.statistics.judging import worst
from mlvitals.exporters.wording import section_noun
from mlvitals.generator.contract import DriftKind, Status
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.model import Severity

if TYPE_CHECKING:
    from mlvitals.exporters.window.report import WindowReport  # slow to import, and known to who has one


class CellLevel(StrEnum):
    """The states of one thing in one window, the one that is shown for several windows together last."""

    QUIET = "quiet"
    """Measured, and no more than noise."""
    MOVED = "moved"
    """Beyond noise, and below every threshold."""
    UNMEASURED = "unmeasured"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return the place in that order."""
        return list(CellLevel).index(self)


def worst_level(levels: Sequence[CellLevel]) -> CellLevel:
    """Return the level that is shown for several; not measured where there are none."""
    return max(levels, key=lambda level: level.rank, default=CellLevel.UNMEASURED)


class FeatureSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A feature, or the scores, in one window."""

    status: Status
    severity: Severity | None = None
    psi: Measure | None = None
    mean: float | None = None
    reference_mean: float | None = None

    @property
    def level(self) -> CellLevel:
        """Return the state to show; what was not compared is never quiet."""
        if self.severity is not None:
            return CellLevel(self.severity.value)
        if self.psi is None:
            return CellLevel.UNMEASURED
        return CellLevel.MOVED if self.psi.value > self.psi.critical_value else CellLevel.QUIET

    @property
    def rank(self) -> tuple[int, float]:
        """Return a key that grows with how bad it is: by severity, then by PSI."""
        severity = 0 if self.severity is None else 1 + ALERTING.index(self.severity)
        return severity, self.psi.value if self.psi else -1.0


class OutcomesSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes that a window found, of predictions made earlier."""

    window: Window
    """When the predictions were made."""
    predictions: int = 0
    predicted_mean: float | None = None
    observed_mean: float | None = None
    feedback_rate: float | None = None


class GapOfWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The gap between predictions and outcomes of one earlier window."""

    window_start: datetime
    window_end: datetime
    gap: float


class ConceptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The gap between predictions and outcomes, and the gap to expect."""

    sample: GapOfWindow | None = None
    expected_gap: float | None = None
    gap_deviation: float | None = None


class DriftTypeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The drift type of a window, and the reason."""

    kind: DriftKind
    reason: str = ""


class WindowSummary(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One measured window: what was found, the features, the scores, and the outcomes of earlier predictions."""

    window: Window
    rows: int
    severity: Severity | None = None
    findings: tuple[Finding, ...] = ()
    features: dict[str, FeatureSummary] = {}
    score: FeatureSummary | None = None
    drift_type: DriftTypeSummary | None = None
    outcomes: OutcomesSummary | None = None
    concept: ConceptSummary | None = None

    @classmethod
    def from_json(cls, text: str) -> "WindowSummary":
        """Read what a view of many windows shows from the JSON of a report.

        Raises:
            msgspec.ValidationError: the text is not a report.
        """
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def of(cls, report: "WindowReport") -> "WindowSummary":
        """Return what a view of many windows shows of a report."""
        return msgspec.json.decode(report.to_json(), type=cls)

    @cached_property
    def sections(self) -> dict[str, Severity]:
        """Return the worst severity of each section in which something was found."""
        by_section: dict[str, list[Severity]] = {}
        for finding in self.findings:
            by_section.setdefault(finding.section, []).append(finding.severity)
        return {name: max(severities, key=ALERTING.index) for name, severities in by_section.items()}

    @property
    def worst_feature(self) -> tuple[str, FeatureSummary] | None:
        """Return the feature that is worst by severity, then by PSI; None where nothing was found of any."""
        found = [item for item in self.features.items() if item[1].severity]
        return max(found, key=lambda item: item[1].rank, default=None)

    @property
    def level(self) -> CellLevel:
        """Return the state of the whole window; one without rows is not measured."""
        if severity := self.severity or worst(item.severity for item in self.features.values()):
            return CellLevel(severity.value)
        levels = [item.level for item in (*self.features.values(), *([self.score] if self.score else []))]
        compared = any(level is not CellLevel.UNMEASURED for level in levels)
        return CellLevel.QUIET if self.rows and compared else CellLevel.UNMEASURED

    @property
    def score_mean(self) -> float | None:
        """Return the mean score; None where it is undefined."""
        return None if self.score is None else self.score.mean

    @property
    def observed_mean(self) -> float | None:
        """Return the mean outcome of the predictions whose outcomes the window found; None where it is undefined."""
        return None if self.outcomes is None else self.outcomes.observed_mean

    @property
    def gap(self) -> GapOfWindow | None:
        """Return the gap that the window found, of predictions made earlier; None where it found none."""
        return None if self.concept is None else self.concept.sample

    @property
    def is_found(self) -> bool:
        """True if the window is worth reading: something was found, or it was not measured."""
        return self.level not in (CellLevel.QUIET, CellLevel.MOVED)

    @property
    def verdict(self) -> str:
        """Return what was found, section by section: ``features critical, outcomes warning``."""
        if self.sections:
            return ", ".join(f"{section_noun(name)} {severity}" for name, severity in self.sections.items())
        if self.severity:
            return self.severity.value
        return "not measured" if self.level is CellLevel.UNMEASURED else "nothing found"


class _History(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of many windows."""

    schema: str = "mlvitals.history/1"
    system: str
    windows: Sequence[WindowSummary]


def history_json(system: str, windows: Sequence[WindowSummary]) -> bytes:
    """Return the JSON of some windows, in the order given; each has fields of its report by the same names."""
    return msgspec.json.encode(_History(system=system, windows=windows))


MOST_WINDOWS = 10_000
"""A view shows at most this many windows, the newest."""
_KEY_TIME = "%Y%m%dT%H%M%S.%fZ"


def key_of(window: Window) -> str:
    """Return a window as a word for an address or a file name: ``20260302T110000Z-20260302T120000Z``."""
    return "-".join(f"{time:{_KEY_TIME}}".replace(".000000", "") for time in (window.start, window.end))


def window_of_key(key: str) -> Window | None:
    """Return the window of a word that `key_of` made; None of any other."""
    try:
        start, end = (
            datetime.strptime(part if "." in part else part.replace("Z", ".0Z"), _KEY_TIME).replace(tzinfo=UTC)
            for part in key.split("-")
        )
    except ValueError:
        return None
    return Window(start, end)
