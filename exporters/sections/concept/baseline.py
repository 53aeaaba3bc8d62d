"""The gap to expect when nothing has changed: from the training data, or from the first windows where these have none.

The training data say it at once: their mean gap, the variance of a single prediction minus its outcome, and, where they
have a time, how much windows of them vary beyond sampling and how alike neighbours are. They may flatter the model, and
without a time they do not show that rows depend on each other: both are checked against the first windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.concept.charts import Error, estimation_error, likely_errors
from mlvitals.exporters.sections.concept.report import GapReference, GapSample
from mlvitals.generator.spec.model import OutcomeKind

STRONGEST_CORRELATION = 0.9
"""A baseline whose neighbours agree more than this moves too slowly to be distinguished from a drift."""
FEWEST_BLOCKS = 8
"""With fewer intervals, the training data say nothing of how windows vary."""
FIRST_WINDOWS = 30
"""Windows that are checked against the training data."""
_FEWEST_TO_COMPARE = 4
"""First windows whose spread is looked at."""
_CHANCE = 0.01
"""Probability with which chance alone makes the first windows vary more than the training data let expect."""
_FLATTERED = 3.0
"""Standard errors by which the first windows' variance of a row must exceed that of the training data."""
_OFF = 3.3
"""Standard errors by which the mean of all first windows must differ, to be called another than the training data's."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The gap to expect when nothing has changed."""

    windows: int
    target: float
    """Its mean."""
    between: float
    """Standard deviation between windows, beyond that of sampling."""
    row_variance: float
    """Variance of a single prediction minus its outcome."""
    stretch: float = 1.0
    """The factor on the deviation because neighbouring windows resemble each other."""
    rows: int = 0
    """Rows of the training data that it rests on; 0: it rests on windows of the log."""
    rarer_share: float | None = None
    """Share of the rarer kind of binary outcomes, where the training data say it."""

    def deviation(self, count: float) -> float:
        """Return the standard deviation about the target of a window's gap.

        Its sampling error is that of as many predictions without change. The window's own would be small exactly where
        few of a rare kind of outcome came, which is where the gap is wide.

        Args:
            count: predictions of the window whose outcome is known.
        """
        return self.stretch * sqrt(self.row_variance / count + self.between**2)

    def of_rarer_kind(self, count: float) -> float:
        """Return how many positive or negative outcomes, whichever is rarer, to expect among that many predictions."""
        return count * (self.row_variance if self.rarer_share is None else self.rarer_share)

    def errors(self, count: float) -> tuple[Error, ...]:
        """Return what the limits allow for because target and deviation are estimates.

        Args:
            count: predictions of a usual window.
        """
        if not self.rows:
            return (estimation_error(self.windows),)
        variance = self.row_variance / self.rows + (self.between**2 / self.windows if self.between else 0.0)
        shift = self.stretch * sqrt(variance) / self.deviation(count)
        return likely_errors(_rounded(shift), float(self.windows - 1) if self.between else None)


def mean_errors(windows: int) -> tuple[Error, ...]:
    """Return what the limits allow for where the target is the mean of that many windows, of somewhat different sizes."""
    return likely_errors(_rounded(1.1 / sqrt(windows)), float(windows - 1))


def _rounded(shift: float) -> float:
    """Return one of a few values near, so that limits are solved for once and not for each size of a window."""
    return float(2 ** (round(4 * np.log2(shift)) / 4))


def baseline_of(samples: Sequence[GapSample]) -> Baseline | str:
    """Return the baseline that samples give, or why they give none.

    A prediction's error has one variance in all windows, the mean of theirs. The variance between windows is the method
    of moments' (DerSimonian and Laird 1986); windows are weighed by their variances. Where neighbours resemble each
    other, sums grow faster than those of independent values: the deviation is stretched by sqrt((1 + r) / (1 - r)), r the
    correlation of neighbours, which holds for a first-order autoregression.
    """
    gaps = np.array([sample.gap for sample in samples])
    counts = np.array([sample.count for sample in samples], np.float64)
    return _baseline(gaps, counts, np.array([sample.gap_error for sample in samples]))


def _baseline(
    gaps: NDArray[np.float64], counts: NDArray[np.float64], errors: NDArray[np.float64], *, chance: float = 1.0
) -> Baseline | str:
    """Return the same of arrays; there is variance between windows only where chance gives theirs less often."""
    row_variance = float(np.average(counts * errors**2, weights=counts))
    squares = row_variance / counts
    between = _variance_between(gaps, squares, chance)
    total = squares + between
    if not total.all():
        return "the gap did not vary at all in the baseline, so that nothing says how much it may"
    target = float(np.average(gaps, weights=1 / total))
    correlation = _neighbours((gaps - target) / np.sqrt(total))
    if correlation > STRONGEST_CORRELATION:
        return f"neighbouring windows of the baseline agree so much ({correlation:.2f}) that drift cannot be told"
    stretch = sqrt((1 + correlation) / (1 - correlation))
    return Baseline(len(gaps), target, sqrt(between), row_variance, stretch)


def _variance_between(gaps: NDArray[np.float64], squares: NDArray[np.float64], chance: float) -> float:
    """Return the variance of the gaps beyond their sampling errors, at least 0."""
    if not squares.all():
        return float(gaps.var(ddof=1))
    weights = 1 / squares
    freedom = gaps.size - 1
    spread = float(weights @ (gaps - np.average(gaps, weights=weights)) ** 2)
    if chance < 1 and spread <= float(chdtri(freedom, chance)):
        return 0.0
    return max(0.0, (spread - freedom) / float(weights.sum() - (weights**2).sum() / weights.sum()))


def _neighbours(values: NDArray[np.float64]) -> float:
    """Return the correlation of neighbours, 0 where it is negative or no more than noise gives once in 40 times."""
    correlation = float(values[1:] @ values[:-1] / (values @ values))
    return correlation if correlation > 2 / sqrt(values.size) else 0.0


def gap_reference(reference: OutcomeReference | None, length: timedelta, *, grouped: bool) -> GapReference | None:
    """Return what the training data say of the gap; None where they hold no predictions with outcomes that differ.

    Args:
        reference: the outcomes of the training data.
        length: of the windows that will be compared with it.
        grouped: True if rows depend by groups, and these are known.
    """
    if reference is None or reference.errors.count < 2 or not reference.errors.squares:
        return None
    errors = reference.errors
    share = _rarer_share(reference)
    found = GapReference(
        rows=errors.count,
        gap=errors.mean,
        row_variance=errors.squares / (errors.count - 1) * reference.group_effect,
        kurtosis=errors.kurtosis,
        rarer_share=share,
    )
    blocks = reference.blocks
    if blocks is None:
        known = "only groups" if grouped else "nothing"
        return msgspec.structs.replace(
            found, lacks=f"no intervals of time, so that {known} is known of rows that depend on each other"
        )
    varied = _baseline(
        np.array(blocks.means), np.array(blocks.counts, np.float64), np.array(blocks.errors), chance=_CHANCE
    )
    if isinstance(varied, str):
        return msgspec.structs.replace(found, lacks=f"no use can be made of its intervals of time: {varied}")
    shorter = min(blocks.seconds / length.total_seconds(), 1.0)
    return msgspec.structs.replace(
        found,
        rows=sum(blocks.counts),
        gap=varied.target,
        row_variance=varied.row_variance,
        windows=varied.windows,
        between=varied.between * sqrt(shorter),
        stretch=varied.stretch,
    )


def _rarer_share(reference: OutcomeReference) -> float | None:
    """Return the share of the rarer kind of binary outcomes; of classes, of right or wrong predictions."""
    if reference.kind not in (OutcomeKind.BINARY, OutcomeKind.MULTICLASS):
        return None
    share = reference.observed.mean if reference.kind is OutcomeKind.BINARY else reference.errors.mean
    return min(share, 1 - share)


def baseline_of_reference(found: GapReference) -> Baseline:
    """Return the baseline that the training data give."""
    return Baseline(
        windows=found.windows,
        target=found.gap,
        between=found.between,
        row_variance=found.row_variance,
        stretch=found.stretch,
        rows=found.rows,
        rarer_share=found.rarer_share,
    )


def relearned(found: GapReference, samples: Sequence[GapSample]) -> GapReference:
    """Return the gap of some windows, with what the training data say of its variance."""
    rows = sum(sample.count for sample in samples)
    gap = sum(sample.gap * sample.count for sample in samples) / rows
    return msgspec.structs.replace(found, gap=gap, rows=rows, windows=len(samples))


@dataclass(frozen=True, slots=True)
class FirstWindows:
    """The first windows of the log, in sums, next to what the training data let expect of them."""

    windows: int = 0
    rows: int = 0
    squares: float = 0.0
    """Variance of a row, by rows."""
    sum: float = 0.0
    """Of the standardised gaps."""
    steps: float = 0.0
    """Squared differences of neighbouring standardised gaps, halved: what they vary by, however their mean moved (von
    Neumann 1941)."""
    last: float = 0.0

    def after(self, sample: GapSample, baseline: Baseline) -> "FirstWindows":
        """Return the sums with one more window, unless there are enough or its inputs drifted."""
        if self.windows == FIRST_WINDOWS or sample.explained:
            return self
        value = (sample.gap - baseline.target) / baseline.deviation(sample.count)
        return FirstWindows(
            windows=self.windows + 1,
            rows=self.rows + sample.count,
            squares=self.squares + (sample.count * sample.gap_error) ** 2,
            sum=self.sum + value,
            steps=self.steps + ((value - self.last) ** 2 / 2 if self.windows else 0.0),
            last=value,
        )

    @property
    def usual(self) -> float | None:
        """Return the mean number of predictions with an outcome; None before the first window."""
        return self.rows / self.windows if self.windows else None


def checked(found: GapReference, first: FirstWindows) -> tuple[Baseline, str]:
    """Return the baseline of the training data, corrected by what the first windows show, and what that is.

    Two things are corrected, for no drift makes them: a variance of single rows beyond the one in the training data,
    which flatter the model that they trained; and a spread of neighbouring windows beyond sampling, for then rows, or
    windows, depend on each other. A mean that differs is a drift like any other, and is reported.
    """
    expected = baseline_of_reference(found)
    usual = first.usual
    if usual is None:
        return expected, found.lacks and f"The training data show {found.lacks}"
    notes = [f"The training data show {found.lacks}"] if found.lacks and first.windows < FIRST_WINDOWS else []
    seen = first.squares / first.rows
    corrected = expected
    if seen > found.row_variance * (1 + _FLATTERED * sqrt(max(found.kurtosis - 1, 0.0) / first.rows)):
        corrected = replace(expected, row_variance=seen)
        notes.append(
            f"Predictions vary about their outcomes {sqrt(seen / found.row_variance):.2g} times as much as in the training "
            "data, which may flatter the model: data that were held out give the fairer reference"
        )
    if first.windows >= _FEWEST_TO_COMPARE:
        steps = first.windows - 1
        spread = first.steps / steps * (expected.deviation(usual) / corrected.deviation(usual)) ** 2
        freedom = steps * 2 / 3  # that a variance from neighbours' differences is worth
        if spread > float(chdtri(freedom, _CHANCE)) / freedom:
            corrected = replace(corrected, stretch=corrected.stretch * sqrt(spread))
            notes.append(
                f"The first {first.windows} windows vary {sqrt(spread):.2g} times as much as independent rows would: "
                "limits are widened; name the rows' prediction_log.group if they have one"
            )
    if first.windows == FIRST_WINDOWS:
        mean = first.sum / first.windows * expected.deviation(usual) / corrected.deviation(usual)
        if abs(mean) * sqrt(first.windows) > _OFF * sqrt(1 + first.rows / found.rows):
            notes.append(
                f"The first {first.windows} windows were {mean:+.2g} standard deviations off the training data: if that is as "
                "it should be, promote a reference of newer data or run `mlvitals concept accept`"
            )
    return corrected, ". ".join(notes)
