"""Proposals: the smallest changes of a spec with which the past would have had no more false alarms than wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.parts import FindingKind, Window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.diagnostics import KeyPath
from mlvitals.generator.spec.durations import duration as written
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.model import Condition, Spec
from mlvitals.tuning.normal import Marked, real_alarms
from mlvitals.tuning.series import Alarm, Series, Values, alarms, duration, series_of

FEWEST_WINDOWS = 30
"""Quiet windows below which nothing is proposed, however long they are."""
_CYCLES = 4
"""Days or weeks that a rhythm must have been seen in."""
_RHYTHM = 0.5
"""The share of the variance of alarming or not that the hour or weekday must explain."""
_THIN = 0.2
"""The share of windows that may be too small to measure."""
_ENOUGH_ROWS = 1_000
"""Rows with which a window of ten cells and more is compared on all of them."""
_LENGTHS = ("1h", "2h", "3h", "6h", "12h", "1d", "2d", "1w", "4w")
_STANDING = "beyond its level in most windows; if that is as it should be, promote a reference of newer data."
_COOLDOWNS = ("12h", "1d", "2d", "3d", "1w")
_REPEATS = 2
"""Cooldowns that an alarm may last in the median: more, and it is repeated too often."""


class TooShortError(UserError):
    """The history is too short for what is wanted; the message says how much is needed."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value of the spec, and why it should be that."""

    path: KeyPath
    value: object
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """The alarms of one threshold."""

    false: int
    false_time: timedelta
    real: int
    real_time: timedelta


@dataclass(frozen=True, slots=True)
class Effect:
    """The alarms that the past would have had of one threshold, before and after."""

    title: str
    before: Tally
    after: Tally
    laid_to: tuple[str, ...]
    """The causes of its real alarms."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Proposals, their effect, and what could not be proposed."""

    proposals: tuple[Proposal, ...]
    effects: tuple[Effect, ...]
    """Of every threshold that raised an alarm."""
    remarks: tuple[str, ...]
    windows: int
    start: datetime
    end: datetime
    allowed: int
    """False alarms that the time allows."""

    @property
    def before(self) -> int:
        """Return the false alarms of the past as the spec is."""
        return sum(effect.before.false for effect in self.effects)

    @property
    def after(self) -> int:
        """Return those with the proposals."""
        return sum(effect.after.false for effect in self.effects)


def tune(spec: Spec, reports: Sequence[WindowReport], every: timedelta, marked: Sequence[Marked] = ()) -> Tuning:
    """Return what would have kept false alarms of the past to one in a time.

    Args:
        spec: the spec whose past it is.
        reports: the windows, which are judged anew by the spec's levels.
        every: the time in which one false alarm is accepted, of the whole system.
        marked: incidents and changes that people recorded.

    Raises:
        TooShortError: there are too few windows.
    """
    reports = sorted((one for one in reports if one.rows), key=lambda one: one.window.end)
    _check_length(spec, reports, every)
    past = _Past.of(spec, reports, marked)
    allowed = floor((past.windows[-1].end - past.windows[0].start) / every)
    judged = [_judged(one, past) for one in series_of(spec, reports)]
    rhythms = _rhythms(spec, judged, past)
    most = _most_each([len(one.false) for one in judged], allowed)
    raised: dict[Series, float] = {}
    remarks = [*rhythms.remarks, *(f"{one.series.title}: {_STANDING}" for one in judged if _is_standing(one.series))]
    for one in judged:
        if len(one.false) <= most or one.series in rhythms.series:
            continue
        level = _quieter(one.series, past, most)
        if _silences(one, level):
            remarks.append(
                f"{one.series.title}: left as it is; a level that ends its false alarms would silence a real one."
            )
        else:
            raised[one.series] = level
    effects = [_effect(one, raised.get(one.series), past) for one in judged if one.alarms]
    thresholds = (
        proposal for one in judged if one.series in raised for proposal in _levels(one, raised[one.series], most)
    )
    proposals = (*thresholds, *rhythms.proposals, *_longer(spec, reports), *_cooldowns(spec, judged, past))
    return Tuning(
        proposals, tuple(effects), tuple(remarks), len(reports), past.windows[0].start, past.windows[-1].end, allowed
    )


@dataclass(frozen=True)
class _Past:
    windows: Sequence[Window]
    step: timedelta
    stride: int
    """Windows that end within the length of one: those that share rows."""
    marked: Sequence[Marked]

    @classmethod
    def of(cls, spec: Spec, reports: Sequence[WindowReport], marked: Sequence[Marked]) -> _Past:
        step = span(spec.step)
        stride = max(1, round(span(spec.window_length) / step))
        return cls([report.window for report in reports], step, stride, marked)


@dataclass(frozen=True)
class _Judged:
    """A series with the alarms of the present level, and which of them were real."""

    series: Series
    alarms: tuple[Alarm, ...]
    real: dict[Alarm, str]

    @property
    def false(self) -> tuple[Alarm, ...]:
        return tuple(one for one in self.alarms if one not in self.real)


def _judged(series: Series, past: _Past) -> _Judged:
    found = alarms(series.values, series.lowest)
    if _is_standing(series):
        return _Judged(series, found, dict.fromkeys(found, "most windows lie beyond the level"))
    return _Judged(
        series, found, real_alarms(found, series.values, series.lowest or 0.0, past.windows, past.marked, past.stride)
    )


def _is_standing(series: Series) -> bool:
    """True if a series lies beyond its level in most windows: that is no false alarm now and then, but another population."""
    level = series.lowest
    return level is not None and bool(np.nanmedian(series.values) > level)


def _check_length(spec: Spec, reports: Sequence[WindowReport], every: timedelta) -> None:
    """Refuse a history in which the wanted rate could not show: with fewer windows, or shorter than the time twice over."""
    needed = max(2 * every, FEWEST_WINDOWS * span(spec.mean_length))
    held = reports[-1].window.end - reports[0].window.start if reports else timedelta(0)
    if len(reports) < FEWEST_WINDOWS or held < needed:
        wanted, need, have = (written(time.total_seconds()) for time in (every, needed, held))
        raise TooShortError(
            f"the history is too short for one false alarm in {wanted}: it needs {FEWEST_WINDOWS} windows with rows over {need}, "
            f"and has {len(reports)} over {have}; measure more (mlvitals backfill --save), or want a shorter time (--every)"
        )


# ---------------------------------------------------------------- thresholds


def _most_each(counts: Sequence[int], allowed: int) -> int:
    """Return the most false alarms that each threshold may keep, so that all of them together are no more than allowed."""
    most = max(counts, default=0)
    while most and sum(min(count, most) for count in counts) > allowed:
        most -= 1
    return most


def _quieter(series: Series, past: _Past, most: int) -> float:
    """Return the lowest level of two digits from which on no level leaves a series more false alarms."""
    values = series.own_values
    known = np.unique(values[~np.isnan(values)])
    quieter = _rounded_up(float(known[-1]))
    for level in map(_rounded_up, known[known > 0][::-1]):
        found = alarms(values, level)
        if len(found) - len(real_alarms(found, values, level, past.windows, past.marked, past.stride)) > most:
            break
        quieter = level
    return quieter


def _silences(judged: _Judged, level: float) -> bool:
    """True if an alarm that was real would not have been raised at a level."""
    values = judged.series.own_values
    return any(not np.any(values[one.first : one.last + 1] > level) for one in judged.real)


def _rounded_up(value: float) -> float:
    digits = 1 - floor(log10(value))
    scale: float = 10.0**digits
    return round(ceil(round(value * scale, 6)) / scale, max(digits, 0))


def _levels(judged: _Judged, level: float, most: int) -> Iterator[Proposal]:
    """Yield the levels of a series whose lowest is to be another one; a higher one stays where it can, or keeps its distance."""
    series = judged.series
    lowest = series.lowest or 0.0
    reason = f"{len(judged.false)} false alarms at {lowest:g}, at most {most} at {level:g}"
    for severity, old in sorted(series.levels.items(), key=lambda item: item[1]):
        new = level if old == lowest else old if old > level else _rounded_up(level * (old / lowest if lowest else 2.0))
        is_share = series.policy.endswith(("ratio", "rate"))
        yield Proposal((*series.path, severity.value), min(new, 1.0) if is_share else new, reason)


def _effect(judged: _Judged, level: float | None, past: _Past) -> Effect:
    before = _tally(judged.alarms, judged.real, past)
    if level is None:
        return Effect(judged.series.title, before, before, _causes(judged))
    values = judged.series.own_values
    found = alarms(values, level)
    real = {one for one in found if any(one.first <= old.last and old.first <= one.last for old in judged.real)}
    real |= set(real_alarms(found, values, level, past.windows, past.marked, past.stride))
    return Effect(judged.series.title, before, _tally(found, real, past), _causes(judged))


def _causes(judged: _Judged) -> tuple[str, ...]:
    return tuple(dict.fromkeys(judged.real.values()))


def _tally(found: Sequence[Alarm], real: Collection[Alarm], past: _Past) -> Tally:
    false = [one for one in found if one not in real]
    true = [one for one in found if one in real]
    times = (duration(some, past.windows, past.step) for some in (false, true))
    return Tally(len(false), next(times), len(true), next(times))


# ---------------------------------------------------------------- conditions


@dataclass(frozen=True)
class _Rhythms:
    proposals: tuple[Proposal, ...] = ()
    series: frozenset[Series] = frozenset()
    """Those that a condition quietens, so that no level needs to."""
    remarks: tuple[str, ...] = ()


def _rhythms(spec: Spec, judged: Sequence[_Judged], past: _Past) -> _Rhythms:
    """Return the condition of the reference that the false alarms of features follow."""
    alarming = [one.series for one in judged if one.false and one.series.policy == "feature_psi"]
    follows = {one: condition for one in alarming if (condition := _rhythm(one, past)) is not None}
    if not follows:
        return _Rhythms()
    kinds = set(follows.values())
    condition = kinds.pop() if len(kinds) == 1 else Condition.HOUR_OF_WEEK
    if spec.reference.condition in {condition, Condition.HOUR_OF_WEEK}:
        return _Rhythms()
    titles = ", ".join(one.title for one in follows)
    reason = f"the {condition.value.replace('_', ' ')} explains most of {titles}"
    remark = "A condition takes effect with a new reference; tune again once windows were measured against it."
    return _Rhythms((Proposal(("reference", "condition"), condition.value, reason),), frozenset(follows), (remark,))


def _rhythm(series: Series, past: _Past) -> Condition | None:
    values = np.where(np.isnan(series.values), np.nan, series.values > (series.lowest or 0.0))[:: past.stride]
    ends = [window.end for window in past.windows[:: past.stride]]
    length = ends[-1] - ends[0]
    hours = np.array([end.hour for end in ends])
    days = np.array([end.weekday() for end in ends])
    by_hour = length >= _CYCLES * timedelta(days=1) and _explained(values, hours) >= _RHYTHM
    by_day = length >= _CYCLES * timedelta(weeks=1) and _explained(values, days) >= _RHYTHM
    if by_hour and by_day:
        return Condition.HOUR_OF_WEEK
    return Condition.HOUR_OF_DAY if by_hour else Condition.DAY_OF_WEEK if by_day else None


def _explained(values: Values, groups: NDArray[np.int_]) -> float:
    """Return the share of the variance that groups explain, less what any such groups would (adjusted R squared)."""
    values, groups = values[~np.isnan(values)], groups[~np.isnan(values)]
    kinds, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(kinds) < 2 or len(values) <= 2 * len(kinds) or not values.var():
        return 0.0
    means = np.bincount(places, values) / counts
    within = float(((values - means[places]) ** 2).mean() / values.var())
    return 1 - within * (len(values) - 1) / (len(values) - len(kinds))


# ---------------------------------------------------------------- windows and cooldowns


def _longer(spec: Spec, reports: Sequence[WindowReport]) -> Iterator[Proposal]:
    """Yield a length with which windows hold enough rows, where many are too small."""
    small = sum(any(item.kind == FindingKind.WINDOW_TOO_SMALL for item in report.findings) for report in reports)
    if small <= _THIN * len(reports) or spec.windows.calendar is not None or spec.windows.rows is not None:
        return
    rows = float(np.median([report.rows for report in reports]))
    length, step = seconds(spec.window_length), seconds(spec.step)
    longer = (one for one in _LENGTHS if seconds(one) % step == 0 and rows * seconds(one) / length >= _ENOUGH_ROWS)
    if (chosen := next(longer, None)) is not None:
        share = f"{small} of {len(reports)} windows are too small, with {rows:,.0f} rows in the median"
        yield Proposal(("windows", "length"), chosen, share)
        if spec.windows.step is None:
            yield Proposal(("windows", "step"), spec.step, "results come as often as before")


def _cooldowns(spec: Spec, judged: Sequence[_Judged], past: _Past) -> Iterator[Proposal]:
    """Yield cooldowns with which an alarm of middling length is notified at most twice."""
    lengths: dict[str, list[timedelta]] = {}
    for one in judged:
        lengths.setdefault(one.series.policy, []).extend(
            duration([alarm], past.windows, past.step) for alarm in one.false
        )
    for policy, found in lengths.items():
        now = span(getattr(spec.alerts, policy).cooldown.warning)
        middling = sorted(found)[len(found) // 2] if found else timedelta(0)
        if middling / now > _REPEATS:
            chosen = next((one for one in _COOLDOWNS if middling / span(one) <= _REPEATS), _COOLDOWNS[-1])
            lasts = written(middling.total_seconds())
            reason = (
                f"half of its false alarms last {lasts} or longer, and are repeated each {written(now.total_seconds())}"
            )
            if span(chosen) > now:
                yield Proposal(("alerts", policy, "cooldown", "warning"), chosen, reason)
