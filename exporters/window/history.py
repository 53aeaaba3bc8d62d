"""The evidence of earlier windows that bears on the drift type of a window, and the type itself.

Outcomes come late: the gap that a window finds is that of predictions made before it. Whether inputs or scores
drifted is therefore looked up for the very window of those predictions, not for the one that is measured now.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import msgspec

from mlvitals.exporters.parts import Measure, Window
from mlvitals.exporters.schedule import schedule_of
from mlvitals.exporters.sections.concept.kind import drift_type
from mlvitals.exporters.sections.concept.report import (
    ConceptReport,
    DriftType,
    Evidence,
    GapReference,
    GapSample,
    PastWindow,
)
from mlvitals.exporters.sections.concept.series import GapSeries, concept_report, gap_series
from mlvitals.exporters.sections.events.report import EventCount
from mlvitals.exporters.sections.events.totals import Counted, TotalsKeeper
from mlvitals.exporters.sections.features.findings import is_of_single_values, looks_broken
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.window.findings import with_findings
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import UNMEASURABLE, Contract, Status
from mlvitals.generator.spec.model import OutcomeKind, Severity, Spec

MOSTLY = 0.5
"""A gap is explained where more than this share of its excess was gathered while inputs or scores drifted."""
MOST_STRETCHES = 200
"""Intervals of drift that are remembered while their outcomes are to come. Beyond them the oldest two become one: what
lies between them counts as drift too."""
LAW = 4
"""Raise this with every change of what `DriftHistory.after` makes of a window: histories kept by other programs are then
computed anew from the windows. A test compares a history with the one that this number stands for."""
_BAD = (Severity.WARNING, Severity.CRITICAL)


class OutcomeFacts(NamedTuple):
    """The evidence of the outcomes of a matured window."""

    sample: GapSample
    outcome_rate_moved: bool | None = None
    """True if the rate, or mean, of the outcomes left the reference's; None where it is not known."""
    ranking_moved: bool | None = None
    """True if scores separate outcomes less well than in the reference; None where it is not known."""
    loss: bool | None = None
    """True if predictions are more wrong, one by one, than in the reference; None where it is not known."""


@dataclass(frozen=True, slots=True)
class DriftHistory:
    """The windows of one reference version, up to one: all that later windows need of them, of bounded size.

    Kept as JSON, it goes on as if it had never been written: the same windows give the same history, bit by bit.
    """

    version: str
    series: GapSeries
    begin: datetime | None = None
    """Start of the first window: predictions made earlier may be another model's."""
    explaining: tuple[Window, ...] = ()
    """Intervals in which inputs or scores drifted, and whose outcomes are still to come; none touches another."""
    last: Window | None = None
    """The last window."""

    @property
    def settings(self) -> str:
        """Return what a history depends on besides its windows, as a number; the same for one that has none yet."""
        series = self.series
        empty = DriftHistory(self.version, GapSeries(series.plan, binary=series.binary, reference=series.reference))
        return sha256(b"%d %s" % (LAW, empty.to_json())).hexdigest()

    def to_json(self) -> bytes:
        """Return the history, to be kept."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "DriftHistory":
        """Return a history that was kept.

        Raises:
            msgspec.DecodeError: the text is none.
        """
        return msgspec.json.decode(text, type=cls)

    def after(self, past: PastWindow) -> "DriftHistory":
        """Return the history after one more window; one of another reference version starts it anew.

        So does the moment since which the gap is accepted: predictions made earlier are not looked at again.
        """
        if past.accepted:
            return replace(self, series=self.series.restarted(accepted=True), begin=past.window.end)
        if past.reference_version != self.version:
            return DriftHistory(past.reference_version, self.series.restarted()).after(past)
        begin = self.begin or past.window.start
        explaining = _with_stretch(self.explaining, past.window) if past.explains else self.explaining
        moved = replace(self, begin=begin, explaining=explaining, last=past.window)
        if past.sample is None:
            # Before the first outcomes are mature, none are missing.
            return moved if self.series.last_end is None else replace(moved, series=self.series.idled())
        sample = self.explained(past.sample)
        waiting = tuple(window for window in explaining if window.end > sample.window_start)
        series = self.series.after(sample) if sample.window_start >= begin else self.series
        return replace(moved, series=series, explaining=waiting)

    def explained(self, sample: GapSample) -> GapSample:
        """Return the sample, with whether inputs or scores drifted in its window."""
        overlapping = any(
            window.start < sample.window_end and sample.window_start < window.end for window in self.explaining
        )
        return msgspec.structs.replace(sample, explained=overlapping)


def _with_stretch(stretches: tuple[Window, ...], window: Window) -> tuple[Window, ...]:
    """Return intervals with one more, which ends last; those that it touches become one with it."""
    start, end = window.start, window.end
    apart = [one for one in stretches if one.end < start]
    touched = stretches[len(apart) :]
    joined = Window(min([start, *(one.start for one in touched)]), max([end, *(one.end for one in touched)]))
    if len(apart) >= MOST_STRETCHES:
        apart[:2] = [Window(apart[0].start, apart[1].end)]
    return (*apart, joined)


def first_history(spec: Spec, version: str, reference: GapReference | None = None) -> DriftHistory:
    """Return the history of a reference version before its first window, given the gap in the training data."""
    return DriftHistory(version, gap_series(spec, reference))


def reference_gap(report: WindowReport) -> GapReference | None:
    """Return what the training data say of the gap, as the measurement of a window found it."""
    return report.concept.reference if report.concept else None


def with_drift_type(
    spec: Spec, report: WindowReport, outcomes: OutcomeFacts | None, history: DriftHistory
) -> WindowReport:
    """Return the report, with the concept drift and the drift type added.

    Args:
        spec: the system's spec.
        report: what was measured.
        outcomes: what the newest outcomes say; None where there are none.
        history: the windows before it.
    """
    if history.version != report.reference_version:
        history = first_history(spec, report.reference_version, reference_gap(report))
    facts = outcomes and outcomes._replace(sample=history.explained(outcomes.sample))
    found = _concept(report, facts, history) if spec.has_gap else None
    kind = _drift_type(spec, report, facts, found)
    return with_findings(spec, msgspec.structs.replace(report, concept=found, drift_type=kind))


def _concept(report: WindowReport, facts: OutcomeFacts | None, history: DriftHistory) -> ConceptReport:
    sample = facts.sample if facts else None
    now = history.after(PastWindow(report.window, report.reference_version, False, sample))
    return concept_report(now.series, sample)


def _drift_type(
    spec: Spec, report: WindowReport, facts: OutcomeFacts | None, concept: ConceptReport | None
) -> DriftType:
    own = bool(facts and not facts.sample.explained)
    gap = concept.severity is not None if concept and concept.ewma is not None else None
    unsound = tuple(name for name, feature in report.features.items() if _is_unsound(spec, name, feature))
    drifted = tuple(_drifted(spec, report, unsound))
    evidence = Evidence(
        features=drifted if drifted or _mostly_compared(report) else None,
        unmeasured=tuple(_not_compared(report, unsound)),
        unsound=unsound,
        strong=bool(unsound) or any(report.features[name].severity is Severity.CRITICAL for name in drifted),
        prediction=_prediction_moved(report),
        gap=gap,
        gap_explained=bool(gap and concept and (concept.explained_ratio or 0.0) > MOSTLY),
        outcome_rate=facts.outcome_rate_moved if facts and own else None,
        ranking=facts.ranking_moved if facts and own else None,
        loss=facts.loss if facts else None,
    )
    return drift_type(evidence)


def _drifted(spec: Spec, report: WindowReport, unsound: tuple[str, ...]) -> Iterator[str]:
    ranked = sorted(report.features.items(), key=lambda item: item[1].rank)
    return (name for name, feature in ranked if name in unsound or _has_moved(spec, name, feature))


def _has_moved(spec: Spec, name: str, feature: FeatureReport) -> bool:
    if feature.severity not in _BAD or feature.status in UNMEASURABLE:
        return False
    return name not in spec.features or not is_of_single_values(spec, name, feature)


def _mostly_compared(report: WindowReport) -> bool:
    """True if at least half of the features were compared: of fewer it cannot be said that the inputs stayed."""
    compared = sum(feature.status is Status.OK for feature in report.features.values())
    return compared >= max(len(report.features) / 2, 1)


def _not_compared(report: WindowReport, unsound: tuple[str, ...]) -> Iterator[str]:
    return (
        name for name, feature in report.features.items() if feature.status is not Status.OK and name not in unsound
    )


def _prediction_moved(report: WindowReport) -> bool | None:
    if report.score is None or report.score.psi is None:
        return None
    return report.score.severity in _BAD


def _is_unsound(spec: Spec, name: str, report: FeatureReport) -> bool:
    """True if a feature's values look broken rather than different."""
    if name not in spec.features or report.status is Status.MISSING_IN_REFERENCE:
        return False
    return looks_broken(spec, name, report)


def judge(spec: Spec, report: WindowReport, history: DriftHistory, totals: TotalsKeeper | None = None) -> WindowReport:
    """Complete a measurement by what only earlier windows show: concept drift, the drift type, running totals.

    Args:
        spec: the system's spec.
        report: what was measured.
        history: the windows before it.
        totals: keeps the running totals of business events, to which the report's step is added; None where they are
            not wanted.
    """
    judged = with_drift_type(spec, report, facts_of(report.outcomes), history)
    return judged if totals is None else with_totals(spec, judged, totals)


def judge_again(
    spec: Spec,
    late: WindowReport,
    before: DriftHistory,
    since: Iterable[PastWindow],
    later: Iterable[WindowReport],
) -> list[WindowReport]:
    """Judge the windows after a late one again and return the reports that changed.

    Args:
        spec: the system's spec.
        late: the window that was measured late, judged.
        before: the history that it continues.
        since: windows of its reference that are kept and ended with it or later.
        later: the reports of windows that ended after it and were judged without it, by their end.
    """
    known = {one.window: one for one in (*since, late.past)}
    waiting = deque(sorted(known, key=lambda window: (window.end, window.start)))
    history, changed = before, []
    for report in later:
        while waiting and waiting[0].end < report.window.end:
            history = history.after(known[waiting.popleft()])
        again = judge(spec, report, history)
        known[again.window] = again.past
        if again != report:
            changed.append(again)
    return changed


ONCE_IN_20 = 0.5
"""Of a two-sided 99.9 % critical value, 3.29 standard errors: what chance exceeds upwards in 5 % of the windows."""
_ALL_LOST = 1.0
"""The loss of scores that say nothing any more: where chance alone gives it, whether they still do is not known."""


def facts_of(outcomes: OutcomeReport | None) -> OutcomeFacts | None:
    """Return what a window's outcomes say; None where they leave no gap to speak of.

    The separation of outcomes by predictions is known of binary outcomes and of classes only.
    """
    if outcomes is None or outcomes.gap is None or outcomes.gap_error is None:
        return None
    sample = GapSample(
        window_start=outcomes.window.start,
        window_end=outcomes.window.end,
        gap=outcomes.gap,
        gap_error=outcomes.gap_error,
        count=outcomes.paired,
    )
    # AUC and the mean recall of classes say whether predictions still separate outcomes, whatever their mix is.
    separates = outcomes.kind in (OutcomeKind.BINARY, OutcomeKind.MULTICLASS)
    found = outcome_facts(
        sample, rate_shift=outcomes.label_shift, ranking_loss=outcomes.performance_loss if separates else None
    )
    return found._replace(loss=_loss(outcomes))


def _loss(outcomes: OutcomeReport) -> bool | None:
    """Return whether predictions are more wrong than in the reference: by the Brier score, or by the absolute error.

    A mean that moved is no loss by itself: the error may have fallen meanwhile.
    """
    if outcomes.kind is OutcomeKind.MULTICLASS:
        return outcomes.gap is not None and outcomes.reference_gap is not None and outcomes.gap > outcomes.reference_gap
    if outcomes.kind is OutcomeKind.BINARY:
        brier = outcomes.performance.get("brier")
        if brier is None or brier.value is None or brier.reference is None:
            return None
        return brier.value > brier.reference
    rise = outcomes.performance_loss
    return None if rise is None else rise.value > ONCE_IN_20 * rise.critical_value


def outcome_facts(sample: GapSample, *, rate_shift: Measure | None, ranking_loss: Measure | None) -> OutcomeFacts:
    """Judge what was measured of a window's outcomes.

    Args:
        sample: the gap between predictions and outcomes.
        rate_shift: change of the outcomes' rate, or mean, against the reference; None where it is not known.
        ranking_loss: the share that is lost of how well scores separate outcomes (of AUC - 0.5); None where it is
            not known. How bad it is does not matter here, and chance may exceed it once in 20 windows: it does not
            raise an alarm, it distinguishes concept from label drift once the gap has.
    """
    rate = None if rate_shift is None else rate_shift.severity in (Severity.WARNING, Severity.CRITICAL)
    if ranking_loss is None or ONCE_IN_20 * ranking_loss.critical_value >= _ALL_LOST:
        return OutcomeFacts(sample, rate)
    return OutcomeFacts(sample, rate, ranking_loss.value > ONCE_IN_20 * ranking_loss.critical_value)


def with_totals(spec: Spec, report: WindowReport, keeper: TotalsKeeper) -> WindowReport:
    """Return the report with the running totals of its business events, to which its step is added.

    Only windows of the exporter's own series count: others, and those that are not over yet, would count events
    that belong to steps of their own.
    """
    found = report.events
    if found is None or not _is_of_series(spec, report):
        return report
    contract, business = Contract(spec), spec.business
    counters = {name: contract.event(name) for name in found.events if name not in business.unique}
    amounts = {counter: found.events[name].amount for name, counter in counters.items()}
    counted = keeper.count_step(report.system, found.step, amounts)
    told = {name: _told(found.events[name], counted[counter]) for name, counter in counters.items()}
    return msgspec.structs.replace(report, events=msgspec.structs.replace(found, events=found.events | told))


def _is_of_series(spec: Spec, report: WindowReport) -> bool:
    return report.window.end <= report.measured_at and schedule_of(spec).is_of_series(report.window)


def _told(event: EventCount, counted: Counted) -> EventCount:
    return msgspec.structs.replace(event, total=counted.total, remark=counted.remark)
