"""Concept drift: the gap between predictions and outcomes as a series, on control charts against what is expected.

The training data say what to expect, and charts run from the first window on; where they hold no predictions with
outcomes, the first windows of a reference version are the baseline (`baseline`). What a window's gap deviates by without
any change is the sampling error of that many predictions and what else varies between windows; a value is standardised
by both. Limits of the charts allow for the baseline being an estimate. Nothing is kept but the samples: the same samples
always give the same state, and `GapSeries.after` is a step from one state to the next.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from math import isfinite
from typing import NamedTuple, TypeAlias

import msgspec

from mlvitals.exporters.sections.concept.baseline import (
    Baseline,
    FirstWindows,
    baseline_of,
    baseline_of_reference,
    checked,
    mean_errors,
    relearned,
)
from mlvitals.exporters.sections.concept.charts import Charts, ChartState, Error, advance, cusum_limit, ewma_limit
from mlvitals.exporters.sections.concept.report import ConceptReport, GapReference, GapSample
from mlvitals.generator.contract import ConceptStatus
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import OutcomeKind, Severity, Spec

MINIMUM_ANSWERS = 100
"""A gap of fewer predictions with outcomes is no sample."""
RELEARNED_WINDOWS = 10
"""Windows that teach a new mean, where the training data say how much these vary."""
MINIMUM_OF_RARER_KIND = 5.0
"""Where a window is to hold fewer positive, or negative, outcomes than this, its gap is too skewed for the charts: they
are designed for the normal law. What is expected counts, not what came: else a window in which all are missing is left
out."""


class Plan(NamedTuple):
    """The charts that a spec asks for, counted in windows."""

    warning_run_length: float
    """Average number of windows without change between false warnings."""
    critical_run_length: float
    """And between false pages."""
    ewma_weight: float
    shift: float
    baseline_windows: int
    """First windows to learn from where the reference holds no gap."""
    patience: int
    """Windows in a row that teach nothing, until learning is said to stand still."""


SHORTEST_RUNS = 10, 50
"""Windows between false warnings, and false pages, that charts promise at least, however long windows are."""


def plan_of(spec: Spec) -> Plan:
    """Return the charts of a spec, whose run lengths are times.

    A window counts once, hence one in each length of a window, however often windows end.
    """
    concept, length = spec.concept, span(spec.mean_length)
    warning, page = (
        max(span(every) / length, shortest)
        for every, shortest in zip((concept.false_warning_every, concept.false_page_every), SHORTEST_RUNS, strict=True)
    )
    return Plan(
        warning_run_length=warning,
        critical_run_length=page,
        ewma_weight=concept.ewma_weight,
        shift=concept.shift,
        baseline_windows=concept.baseline_windows or _between(30, timedelta(days=60) // length, 100),
        patience=_between(5, timedelta(days=7) // length, 48),
    )


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


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

    plan: Plan
    binary: bool = False
    """True if outcomes are positive or negative: then there must be enough of both."""
    reference: GapReference | None = None
    """The gap in the training data; None: the first windows have to show it."""
    accepted: bool = False
    """True if somebody accepted the gap as it is: what to expect is learned from the windows since then."""
    relearned: GapReference | None = None
    """The gap since then, with what the training data say of its variance."""
    learned: Learning = ()
    """Samples of the baseline while it grows."""
    idle: int = field(default=0, compare=False)
    """Windows in a row that could not be used: they taught nothing, or had too few outcomes. No chart depends on it."""
    baseline: Baseline | None = None
    """Learned from the first windows, where the training data say nothing."""
    refused: str = ""
    """Why the baseline is none."""
    first: FirstWindows = field(default_factory=FirstWindows)
    """Sums over the first windows, where the training data say what to expect."""
    state: ChartState[float] = field(default_factory=ChartState)
    upper: _Run = field(default_factory=_Run)
    lower: _Run = field(default_factory=_Run)
    last_end: datetime | None = None

    def restarted(self, *, accepted: bool = False) -> "GapSeries":
        """Return the series before its first window: of another reference, or of this one whose gap was accepted."""
        return GapSeries(
            self.plan, binary=self.binary, reference=self.reference if accepted else None, accepted=accepted
        )

    @property
    def _known(self) -> GapReference | None:
        """Return what is known of the gap beforehand."""
        return self.relearned if self.accepted else self.reference

    @property
    def wanted(self) -> int:
        """Return how many windows have to be learned from, where nothing is known beforehand."""
        return _relearned_windows(self.plan) if self.accepted and self.reference else self.plan.baseline_windows

    @property
    def expected(self) -> Baseline | None:
        """Return what is expected of a window now; None while it has to be learned."""
        return self._beforehand or self.baseline

    @property
    def _beforehand(self) -> Baseline | None:
        """Return the baseline that is known without learning, if it is known well enough for windows of this size."""
        if self._known is None:
            return None
        found, usual = checked(self._known, self.first)[0], self.first.usual
        is_precise = self.accepted or usual is None or isfinite(self.charts(found, usual).cusum_limit)
        return found if is_precise else None

    @property
    def note(self) -> str:
        """Return what is assumed, or contradicted, of the training data."""
        if self._known is None:
            return ""
        if self._beforehand is None:
            return (
                f"The training data hold {self._known.rows} predictions with outcomes, too few for windows of "
                f"{self.first.usual:.0f}: the first windows show the gap"
            )
        return checked(self._known, self.first)[1]

    @property
    def is_stalled(self) -> bool:
        """True if no window could be used for a time."""
        return not self.refused and self.idle >= self.plan.patience

    def charts(self, baseline: Baseline, count: float) -> Charts:
        """Return the charts for a baseline and a window of that many answered predictions."""
        return charts(self.plan, baseline.errors(self.first.usual or count))

    def counts(self, sample: GapSample) -> bool:
        """True if a sample is a new one: enough outcomes, and no prediction in it that an earlier one held."""
        fresh = self.last_end is None or sample.window_start >= self.last_end
        return fresh and not self.shortage(sample)

    def shortage(self, sample: GapSample | None) -> str:
        """Return of what a sample has too few to be one, or nothing."""
        count = 0 if sample is None else sample.count
        if count < MINIMUM_ANSWERS:
            return f"{count} predictions have an outcome; at least {MINIMUM_ANSWERS} are needed"
        return "" if self.expected is None else self._rarity(self.expected, count)

    def _rarity(self, baseline: Baseline, count: float) -> str:
        expected = baseline.of_rarer_kind(count)
        if not self.binary or expected >= MINIMUM_OF_RARER_KIND:
            return ""
        return (
            f"{count:.0f} predictions have about {expected:.2g} outcomes of the rarer kind; at least "
            f"{MINIMUM_OF_RARER_KIND:g} are needed: lengthen the window"
        )

    def _imprecise(self, baseline: Baseline, count: float) -> str:
        if isfinite(self.charts(baseline, count).cusum_limit):
            return ""
        return (
            f"{baseline.windows} windows say too little of the gap for that few false alarms: raise concept.baseline_windows, or "
            "allow false alarms more often"
        )

    def after(self, sample: GapSample) -> "GapSeries":
        """Return the series after one more sample; unchanged, but for that, where it does not count."""
        if self.shortage(sample):
            return self.idled()
        if not self.counts(sample):
            return self
        moved = replace(self, last_end=sample.window_end)
        if self._known is not None:
            baseline = baseline_of_reference(self._known)
            moved = replace(moved, first=self.first.after(sample, baseline))
        expected = moved.expected
        if expected is None:
            return moved if self.refused else moved._learn(sample)
        return moved._watch(sample, expected)

    def idled(self) -> "GapSeries":
        """Return the series after a window that could not be used."""
        return replace(self, idle=self.idle + 1)

    def _learn(self, sample: GapSample) -> "GapSeries":
        if sample.explained and not self.accepted:
            return self.idled()
        learned = (*self.learned, sample)
        if len(learned) < self.wanted:
            return replace(self, learned=learned, idle=0)
        if self.accepted and self.reference:
            return replace(self, learned=(), idle=0, relearned=relearned(self.reference, learned))
        found = baseline_of(learned)
        if isinstance(found, Baseline):
            usual = sum(one.count for one in learned) / len(learned)
            found = self._rarity(found, usual) or self._imprecise(found, usual) or found
        if isinstance(found, str):
            return replace(self, learned=(), refused=found)
        return replace(self, learned=(), idle=0, baseline=found)

    def _watch(self, sample: GapSample, baseline: Baseline) -> "GapSeries":
        value = (sample.gap - baseline.target) / baseline.deviation(sample.count)
        moved = advance(self.charts(baseline, sample.count), self.state, value)
        state: ChartState[float] = ChartState(float(moved.ewma), float(moved.upper), float(moved.lower))
        return replace(
            self,
            idle=0,
            state=state,
            upper=self.upper.after(state.upper, value, sample),
            lower=self.lower.after(state.lower, -value, sample),
        )


@cache
def _relearned_windows(plan: Plan) -> int:
    """Return the fewest windows, from `RELEARNED_WINDOWS`, whose mean is a target that the charts can be kept for."""
    windows = RELEARNED_WINDOWS
    while windows < plan.baseline_windows and not isfinite(charts(plan, mean_errors(windows)).cusum_limit):
        windows = windows * 5 // 4
    return min(windows, plan.baseline_windows)


def gap_series(spec: Spec, reference: GapReference | None = None) -> GapSeries:
    """Return the series of a system before its first window.

    Args:
        spec: the system's spec.
        reference: what the training data say of the gap.
    """
    outcome = spec.prediction_log.outcome
    binary = outcome is not None and outcome.kind in (OutcomeKind.BINARY, OutcomeKind.MULTICLASS)
    return GapSeries(plan_of(spec), binary=binary, reference=reference)


def charts(plan: Plan, errors: tuple[Error, ...]) -> Charts:
    """Return the charts that keep a plan's run lengths, given how far a baseline may be off."""
    allowance = plan.shift / 2
    return Charts(
        weight=plan.ewma_weight,
        ewma_limit=ewma_limit(plan.warning_run_length, plan.ewma_weight, *errors),
        allowance=allowance,
        cusum_limit=cusum_limit(plan.critical_run_length, allowance, *errors),
    )


def concept_report(series: GapSeries, sample: GapSample | None) -> ConceptReport:
    """Return what is known after a window: `series` holds its sample already, `sample` is None where it has none."""
    shortage, baseline = series.shortage(sample), series.expected
    known = ConceptReport(
        status=ConceptStatus.NO_OUTCOMES,
        reason=shortage,
        baseline_windows=len(series.learned) if baseline is None else baseline.windows,
        reference=series.reference,
        note=series.note,
    )
    if (sample is None or shortage) and series.is_stalled:
        reason = (
            f"{shortage}; so it was in the last {series.idle} windows: lengthen the windows, or restore the outcomes"
        )
        return msgspec.structs.replace(known, status=ConceptStatus.STALLED, reason=reason)
    if sample is None or shortage:
        return known
    known = msgspec.structs.replace(known, sample=sample)
    if series.refused:
        return msgspec.structs.replace(known, status=ConceptStatus.REFUSED, reason=series.refused)
    if baseline is None:
        status = ConceptStatus.STALLED if series.is_stalled else ConceptStatus.LEARNING
        return msgspec.structs.replace(known, status=status, reason=_learning(series))
    return _watched(known, series, sample, baseline)


def _learning(series: GapSeries) -> str:
    gathered = f"{len(series.learned)} of {series.wanted} windows of the baseline are gathered"
    if series.accepted:
        return f"{gathered}, since the gap was accepted"
    lacking = f"{gathered}; those whose inputs or scores drifted do not count"
    if not series.is_stalled:
        return lacking
    return (
        f"{lacking}, and the last {series.idle} all did: fix the inputs, promote a reference of newer data, or run `mlvitals "
        "concept accept` if they are as they should be"
    )


def _watched(known: ConceptReport, series: GapSeries, sample: GapSample, baseline: Baseline) -> ConceptReport:
    limits, state = series.charts(baseline, sample.count), series.state
    ewma, upper, lower = state.ewma, state.upper, state.lower
    critical = max(upper, lower) > limits.cusum_limit
    warning = abs(ewma) > limits.ewma_limit
    rising = upper >= lower if critical else ewma > 0
    run = series.upper if rising else series.lower
    signals = critical or warning
    deviation = baseline.deviation(sample.count)
    return msgspec.structs.replace(
        known,
        status=ConceptStatus.OK,
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
