"""The concept drift and the drift type of a window: parts of the report."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from mlvitals.exporters.parts import Window
from mlvitals.generator.contract import ConceptStatus, DriftKind
from mlvitals.generator.spec.model import Severity


class GapSample(msgspec.Struct, frozen=True, kw_only=True):
    """The gap between predictions and outcomes in one window."""

    window_start: datetime
    """Start of the window in which the predictions were made; their outcomes came later."""
    window_end: datetime
    gap: float
    """Mean prediction minus mean outcome."""
    gap_error: float
    """Standard error of the gap from sampling alone."""
    count: int
    """Predictions whose outcome is known."""
    explained: bool = False
    """Inputs or scores drifted in that window: a gap in it says nothing of the relation between them and outcomes."""


class GapReference(msgspec.Struct, frozen=True, kw_only=True):
    """The gap between predictions and outcomes in the training data: what to expect of a window without change."""

    rows: int
    """Rows with a prediction and an outcome."""
    gap: float
    """Mean prediction minus mean outcome."""
    row_variance: float
    """Variance of a single prediction minus its outcome; that of its group where rows depend by groups."""
    kurtosis: float = 3.0
    """Of a prediction minus its outcome."""
    rarer_share: float | None = None
    """Share of the rarer kind of binary outcomes."""
    windows: int = 0
    """Intervals of the training data that were compared with each other; 0 where nothing is known of their variance."""
    between: float = 0.0
    """Standard deviation of a window's gap, beyond that of sampling."""
    stretch: float = 1.0
    """The factor on the deviation because neighbouring windows resemble each other."""
    lacks: str = ""
    """The part that the reference lacks, hence the first windows have to show."""


class ConceptReport(msgspec.Struct, frozen=True, kw_only=True):
    """The gap between predictions and outcomes on its control charts. Metrics are None where undefined."""

    status: ConceptStatus
    reason: str = ""
    sample: GapSample | None = None
    """The newest window whose outcomes are known; None where this run found none."""
    baseline_windows: int = 0
    """Windows, of the log or of the training data, that the charts learned from, or have gathered so far."""
    reference: GapReference | None = None
    """The gap in the training data; None where they hold no predictions with outcomes."""
    note: str = ""
    """Assumptions of the charts that were not measured, or that the first windows contradict."""
    expected_gap: float | None = None
    """Mean gap of the baseline."""
    gap_deviation: float | None = None
    """Standard deviation that the gap of this window has without any change: sampling and what else varies."""
    standardised_gap: float | None = None
    """(gap - expected_gap) / gap_deviation."""
    ewma: float | None = None
    ewma_limit: float | None = None
    cusum_upper: float | None = None
    cusum_lower: float | None = None
    cusum_limit: float | None = None
    since: datetime | None = None
    """Start of the first window of the run that signals; None where nothing does."""
    explained_ratio: float | None = None
    """Share of the run's excess that was gathered while inputs or scores drifted, 0 to 1."""
    severity: Severity | None = None
    """Warning where the EWMA is beyond its limit, critical where the CUSUM is."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence that the drift type is decided from. None is not known, which is never taken for false."""

    features: tuple[str, ...] | None = ()
    """Features that drifted, worst first; None where no feature could be compared."""
    unsound: tuple[str, ...] = ()
    """Features whose values look broken: not measurable, or null, out of range or infinite as no population is."""
    strong: bool = False
    """A feature drifted critically, or is invalid."""
    unmeasured: tuple[str, ...] = ()
    """Features that could not be compared, though they do not look broken."""
    prediction: bool | None = None
    """The scores drifted."""
    gap: bool | None = None
    """A control chart of the gap signals."""
    gap_explained: bool = False
    """Most of the gap's excess was gathered while inputs or scores drifted."""
    outcome_rate: bool | None = None
    """The rate, or mean, of the outcomes is another than the reference's."""
    ranking: bool | None = None
    """Scores separate outcomes less well than they did: a fall of AUC, or of what stands for it."""
    loss: bool | None = None
    """Predictions are more wrong, one by one, than in the reference."""


class DriftType(msgspec.Struct, frozen=True, kw_only=True):
    """The drift type of a window, the reason, and what to do."""

    kind: DriftKind
    reason: str
    response: str
    evidence: Evidence
    explains: bool = False
    """True if what is seen of inputs and scores explains a gap between this window's predictions and outcomes."""


class PastWindow(NamedTuple):
    """The facts kept of a measured window."""

    window: Window
    reference_version: str
    explains: bool
    """Its inputs or scores drifted so that a gap between its predictions and their outcomes would be theirs."""
    sample: GapSample | None
    """The gap it found, of predictions made earlier."""
    accepted: bool = False
    """No window, but the moment since which somebody accepted the gap as it is: what to expect is learned anew."""


class Verdict(NamedTuple):
    """The concept drift and the drift type of a window."""

    past: PastWindow
    drift_type: DriftType | None
    concept: ConceptReport | None
