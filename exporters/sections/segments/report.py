"""The results of one measurement for each segment: the values of a declared column, separately."""

from typing import Literal

import msgspec

from mlvitals.exporters.parts import Measure
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.model import Severity


class SegmentReport(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a segment column in one window. Statistics are None where they are undefined. Never NaN."""

    value: str
    """The value, shortened to 80 characters; ``other`` for all that are not kept, ``(missing)`` for rows without."""
    rows: int = 0
    scores: int = 0
    """Rows with a score."""
    score_mean: float | None = None
    score_psi: Measure | None = None
    compared_with: Literal["segment", "all rows"] | None = None
    """The rows that the scores were compared with: the reference's own of this value, or all where it has too few."""
    predictions: int | None = None
    """Of the mature window, as are all statistics below; None where the spec has no outcomes."""
    feedback_rate: float | None = None
    outcome_mean: float | None = None
    gap: float | None = None
    """Mean of prediction minus outcome."""
    expected_gap: float | None = None
    """The same in the reference: of this value, or of all rows where it has too few."""
    gap_shift: Measure | None = None
    """gap - expected_gap, in standard deviations of the reference's outcomes."""

    severity: Severity | None = None
    """The worse of the two judged statistics."""

    @property
    def rank(self) -> tuple[int, int, str]:
        """Return the key that sorts worst first, then largest first."""
        return (ALERTING[::-1].index(self.severity) if self.severity else len(ALERTING), -self.rows, self.value)


class SegmentsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The segments of one column, worst first."""

    values: tuple[SegmentReport, ...] = ()
    problem: str = ""
    """Why the column could not be measured, in some files at least."""
