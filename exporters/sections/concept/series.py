"""Concept drift: the gap between predictions and outcomes as a series, on control charts against its own baseline.

The first windows of a reference version are the baseline. What a window's gap deviates by without any change is the
sampling error of that many predictions and what else varies between windows; a value is standardised by both. Limits
of the charts allow for the baseline being an estimate. Nothing is kept but the samples: the same samples always give
the same state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.sections.concept.charts import (
    Charts,
    ChartState,
    advance,
    cusum_limit,
    estimation_error,
    ewma_limit,
)
from mlvitals.exporters.sections.concept.report import ConceptReport, GapSample
from mlvitals.generator.contract import ConceptStatus
from mlvitals.generator.spec.model import Concept, OutcomeKind, Severity, Spec

MINIMUM_ANSWERS = 100
"""A gap of fewer predictions with outcomes is no sample."""
MINIMUM_OF_RARER_KIND = 5.0
"""Where a window is to hold fewer positive, or negative, outcomes than this, its gap is too skewed for the charts: they
are designed for the normal law. What is expected counts, not what came: else a window in which all are missing is left
out."""
STRONGEST_CORRELATION = 0.9
"""A baseline whose neighbours agree more than this moves too slowly to be distinguished from a drift."""


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

    def deviation(self, sample: GapSample) -> float:
        """Return the standard deviation of a sample's gap about the target.

        Its sampling error is that of as many predictions without change. The window's own would be small exactly where
        few of a rare kind of outcome came, which is where the gap is wide.
        """
        return self.stretch * sqrt(self.row_variance / sample.count + self.between**2)

    def of_rarer_kind(self, count: float) -> float:
        """Return how many positive or negative outcomes, whichever is rarer, to expect among that many predictions."""
        return count * self.row_variance


def baseline_of(samples: Sequence[GapSample]) -> Baseline | str:
    """Return the baseline that samples give, or why they give none.

    A prediction's error has one variance in all windows, the mean of theirs. The variance between windows is the method
    of moments' (DerSimonian and Laird 1986); windows are weighed by their variances. Where neighbours resemble each
    other, sums grow faster than those of independent values: the deviation is stretched by sqrt((1 + r) / (1 - r)), r the
    correlation of neighbours, which holds for a first-order autoregression.
    """
    gaps = np.array([sample.gap for sample in samples])
    counts = np.array([sample.count for sample in samples], np.float64)
    rows = counts * np.array([sample.gap_error for sample in samples]) ** 2
    row_variance = float(np.average(rows, weights=counts))
    squares = row_variance / counts
    between = _variance_between(gaps, squares)
    total = squares + between
    if not total.all():
        return "the gap did not vary at all in the baseline, so that nothing says how much it may"
    target = float(np.average(gaps, weights=1 / total))
    correlation = _neighbours((gaps - target) / np.sqrt(total))
    if correlation > STRONGEST_CORRELATION:
        return f"neighbouring windows of the baseline agree so much ({correlation:.2f}) that drift cannot be told"
    stretch = sqrt((1 + correlation) / (1 - correlation))
    return Baseline(len(samples), target, sqrt(between), row_variance, stretch)


def _variance_between(gaps: NDArray[np.float64], squares: NDArray[np.float64]) -> float:
    """Return the variance of the gaps beyond their sampling errors, at least 0."""
    if not squares.all():
        return float(gaps.var(ddof=1))
    weights = 1 / squares
    spread = float(weights @ (gaps - np.average(gaps, weights=weights)) ** 2)
    return max(0.0, (spread - (gaps.size - 1)) / float(weights.sum() - (weights**2).sum() / weights.sum()))


def _neighbours(values: NDArray[np.float64]) -> float:
    """Return the correlation of neighbours, 0 where it is negative or no more than noise gives once in 40 times."""
    correlation = float(values[1:] @ values[:-1] / (values @ values))
    return correlation if correlation > 2 / sqrt(values.size) else 0.0


@dataclass(frozen=True, slots=True)
class _Run:
    """The values since a CUSUM was last at zero."""

    since: datetime | None = None
    excess: float = 0.0
    """Sum of the values on its side, in standard deviations."""
    explained: float = 0.0
    """The part of it from windows in which inputs or scores drifted."""

    def after(self, total: float, value: float, sample: GapSample) -> "_Run":
        """Return the run after one more value, given where the CUSUM then stands."""
        if total <= 0:
            return _Run()
        excess = max(value, 0.0)
        return _Run(
            self.since or sample.window_start,
            self.excess + excess,
            self.explained + (excess if sample.explained else 0.0),
        )

    @property
    def explained_ratio(self) -> float:
        return self.explained / self.excess if self.excess else 0.0


Learning: TypeAlias = tuple[GapSample, ...]


@dataclass(frozen=True, slots=True)
class GapSeries:
    """The gaps of one reference version, up to a window."""

    plan: Concept
    binary: bool = False
    """True if outcomes are positive or negative: then there must be enough of both."""
    learned: Learning = ()
    """Samples of the baseline while it grows."""
    baseline: Baseline | None = None
    refused: str = ""
    """Why the baseline is none."""
    state: ChartState[float] = field(default_factory=ChartState)
    upper: _Run = field(default_factory=_Run)
    lower: _Run = field(default_factory=_Run)
    last_end: datetime | None = None

    def counts(self, sample: GapSample) -> bool:
        """True if a sample is a new one: enough outcomes, and no prediction in it that an earlier one held."""
        fresh = self.last_end is None or sample.window_start >= self.last_end
        return fresh and not self.shortage(sample)

    def shortage(self, sample: GapSample | None) -> str:
        """Return of what a sample has too few to be one, or nothing."""
        count = 0 if sample is None else sample.count
        if count < MINIMUM_ANSWERS:
            return f"{count} predictions have an outcome; at least {MINIMUM_ANSWERS} are needed"
        return "" if self.baseline is None else self._rarity(self.baseline, count)

    def _rarity(self, baseline: Baseline, count: float) -> str:
        expected = baseline.of_rarer_kind(count)
        if not self.binary or expected >= MINIMUM_OF_RARER_KIND:
            return ""
        return (
            f"{count:.0f} predictions have about {expected:.2g} outcomes of the rarer kind; at least "
            f"{MINIMUM_OF_RARER_KIND:g} are needed: lengthen the window"
        )

    def after(self, sample: GapSample) -> "GapSeries":
        """Return the series after one more sample; unchanged where it does not count."""
        if not self.counts(sample):
            return self
        moved = replace(self, last_end=sample.window_end)
        if self.baseline is None:
            return moved if self.refused else moved._learn(sample)
        return moved._watch(sample, self.baseline)

    def _learn(self, sample: GapSample) -> "GapSeries":
        if sample.explained:
            return self
        learned = (*self.learned, sample)
        if len(learned) < self.plan.baseline_windows:
            return replace(self, learned=learned)
        found = baseline_of(learned)
        if isinstance(found, Baseline):
            rarity = self._rarity(found, sum(one.count for one in learned) / len(learned))
            found = rarity or found
        if isinstance(found, str):
            return replace(self, learned=(), refused=found)
        return replace(self, learned=(), baseline=found)

    def _watch(self, sample: GapSample, baseline: Baseline) -> "GapSeries":
        value = (sample.gap - baseline.target) / baseline.deviation(sample)
        moved = advance(charts(self.plan, baseline.windows), self.state, value)
        state: ChartState[float] = ChartState(float(moved.ewma), float(moved.upper), float(moved.lower))
        return replace(
            self,
            state=state,
            upper=self.upper.after(state.upper, value, sample),
            lower=self.lower.after(state.lower, -value, sample),
        )


def gap_series(spec: Spec) -> GapSeries:
    """Return the series of a system before its first window."""
    outcome = spec.prediction_log.outcome
    return GapSeries(spec.concept, binary=outcome is not None and outcome.kind is OutcomeKind.BINARY)


def charts(plan: Concept, baseline_windows: int) -> Charts:
    """Return the charts that keep a plan's run lengths with a baseline of that many windows."""
    error, allowance = estimation_error(baseline_windows), plan.shift / 2
    return Charts(
        weight=plan.ewma_weight,
        ewma_limit=ewma_limit(plan.warning_run_length, plan.ewma_weight, error),
        allowance=allowance,
        cusum_limit=cusum_limit(plan.critical_run_length, allowance, error),
    )


def concept_report(series: GapSeries, sample: GapSample | None) -> ConceptReport:
    """Return what is known after a window: `series` holds its sample already, `sample` is None where it has none."""
    shortage = series.shortage(sample)
    if sample is None or shortage:
        return ConceptReport(status=ConceptStatus.NO_OUTCOMES, reason=shortage, baseline_windows=_gathered(series))
    if series.refused:
        return ConceptReport(status=ConceptStatus.REFUSED, reason=series.refused, sample=sample)
    if series.baseline is None:
        return ConceptReport(
            status=ConceptStatus.LEARNING,
            reason=f"{_gathered(series)} of {series.plan.baseline_windows} windows of the baseline are gathered; those "
            "whose inputs or scores drifted do not count",
            sample=sample,
            baseline_windows=_gathered(series),
        )
    return _watched(series, sample, series.baseline)


def _gathered(series: GapSeries) -> int:
    return series.baseline.windows if series.baseline else len(series.learned)


def _watched(series: GapSeries, sample: GapSample, baseline: Baseline) -> ConceptReport:
    limits, state = charts(series.plan, baseline.windows), series.state
    ewma, upper, lower = state.ewma, state.upper, state.lower
    critical = max(upper, lower) > limits.cusum_limit
    warning = abs(ewma) > limits.ewma_limit
    rising = upper >= lower if critical else ewma > 0
    run = series.upper if rising else series.lower
    signals = critical or warning
    deviation = baseline.deviation(sample)
    return ConceptReport(
        status=ConceptStatus.OK,
        sample=sample,
        baseline_windows=baseline.windows,
        expected_gap=baseline.target,
        gap_deviation=deviation,
        standardised_gap=(sample.gap - baseline.target) / deviation,
        ewma=ewma,
        ewma_limit=limits.ewma_limit,
        cusum_upper=upper,
        cusum_lower=lower,
        cusum_limit=limits.cusum_limit,
        since=run.since if signals else None,
        explained_ratio=run.explained_ratio if signals else None,
        severity=Severity.CRITICAL if critical else Severity.WARNING if warning else None,
    )
