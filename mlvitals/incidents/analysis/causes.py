"""The seven root causes of incidents of models, each with what speaks for and against it in the evidence."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum

import msgspec

from mlvitals.incidents.analysis.fault import Fault, Shape
from mlvitals.incidents.evidence import WindowFacts
from mlvitals.incidents.timeline.events import EventKind, TimelineEntry

JUST_BEFORE_WINDOWS = 24
"""A change this many windows before the fault, or fewer, counts as just before it."""
STALE_AFTER = timedelta(days=30)


class Cause(StrEnum):
    """Root causes of what is wrong with a model."""

    PIPELINE = "data pipeline change"
    SHIFT = "distribution shift"
    CONCEPT = "concept drift"
    SKEW = "training-serving skew"
    LEAKAGE = "label leakage"
    FEEDBACK = "feedback loop"
    STALE = "stale model"


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: what speaks for it, what against it, and what the evidence cannot say."""

    cause: Cause
    speaks_for: tuple[str, ...] = ()
    speaks_against: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def balance(self) -> int:
        """More is likelier."""
        return len(self.speaks_for) - len(self.speaks_against)


def rank_causes(
    fault: Fault | None, windows: Sequence[WindowFacts], timeline: Sequence[TimelineEntry]
) -> tuple[Hint, ...]:
    """Rank the causes, likeliest first; causes that are even keep the order of `Cause`."""
    facts = _Facts(fault, windows, timeline)
    hints = [_hint(cause, facts) for cause in Cause]
    return tuple(sorted(hints, key=lambda hint: -hint.balance))


Sign = tuple[str, str]
"""``for``, ``against`` or ``unknown``, and a sentence."""


def _hint(cause: Cause, facts: "_Facts") -> Hint:
    signs = list(_SIGNS[cause](facts))
    said = {side: tuple(text for which, text in signs if which == side) for side in ("for", "against", "unknown")}
    return Hint(cause=cause, speaks_for=said["for"], speaks_against=said["against"], unknown=said["unknown"])


class _Facts:
    """Facts that several causes ask for."""

    def __init__(self, fault: Fault | None, windows: Sequence[WindowFacts], timeline: Sequence[TimelineEntry]) -> None:
        self.fault = fault
        self.windows = windows
        self.during: Sequence[WindowFacts] = fault.windows if fault else windows
        self.timeline = timeline

    @property
    def moved(self) -> dict[str, str]:
        """Features that were bad during the fault, with their source."""
        return {
            name: feature.source
            for window in self.during
            for name, feature in sorted(window.features.items())
            if feature.severity
        }

    @property
    def sources(self) -> set[str]:
        """The pipelines of features that were bad."""
        return {source for source in self.moved.values() if source}

    def before(self, *kinds: EventKind) -> list[TimelineEntry]:
        """Changes just before the fault."""
        if self.fault is None:
            return []
        first = self.fault.windows[0]
        since = first.start - JUST_BEFORE_WINDOWS * (first.end - first.start)
        return [entry for entry in self.timeline if entry.kind in kinds and since <= entry.at <= first.end]

    def worst(self, field: str) -> bool:
        """True if a severity of this name was given during the fault."""
        return any(getattr(window, field) for window in self.during)

    @property
    def broken(self) -> float:
        """The largest share of values outside the valid range, or missing beyond what was usual before."""
        if self.fault is None:
            return 0.0
        usual = (self.fault.in_window(self.fault.before).null_rate or 0.0) if self.fault.before else 0.0
        features = [self.fault.in_window(window) for window in self.during]
        nulls = max((feature.null_rate or 0.0 for feature in features), default=0.0) - usual
        return max(nulls, *(feature.out_of_range or 0.0 for feature in features), 0.0)


def _pipeline(facts: _Facts) -> Iterator[Sign]:
    changes = facts.before(EventKind.PIPELINE, EventKind.COMMIT)
    for entry in changes:
        yield "for", f"Just before the fault: {entry.text}"
    if not changes:
        yield "unknown", "No change of a pipeline was recorded just before (`mlvitals annotate pipeline`)."
    if len(facts.sources) == 1:
        yield "for", f"Everything that moved comes from one source, {min(facts.sources)}."
    elif len(facts.sources) > 1:
        yield "against", f"What moved comes from {len(facts.sources)} sources: {', '.join(sorted(facts.sources))}."
    if facts.broken > 0.001:
        yield "for", f"Up to {facts.broken:.1%} of the values are outside the valid range or missing."
    if differences := sorted({each for window in facts.during for each in window.schema_differences}):
        yield "for", f"Columns differ from the reference: {', '.join(differences)}."
    yield from _by_shape(facts, Shape.STEP)
    if not facts.moved:
        yield "against", "No feature moved."


def _shift(facts: _Facts) -> Iterator[Sign]:
    if len(facts.sources) > 1:
        yield "for", f"Features of {len(facts.sources)} sources moved."
    elif len(facts.sources) == 1:
        yield "against", "Features of one source moved, those of all others did not."
    if facts.moved and facts.broken <= 0.001:
        yield "for", "All values are within the valid range."
    elif facts.moved:
        yield "against", f"Up to {facts.broken:.1%} of the values are outside the valid range or missing."
    yield from _by_shape(facts, Shape.SLOPE)
    if not facts.moved:
        yield "against", "No feature moved."


def _by_shape(facts: _Facts, wanted: Shape) -> Iterator[Sign]:
    if facts.fault is None or facts.fault.shape is Shape.UNKNOWN:
        return
    said = {Shape.STEP: "PSI jumped from one window to the next.", Shape.SLOPE: "PSI grew over several windows."}
    yield ("for" if facts.fault.shape is wanted else "against"), said[facts.fault.shape]


def _concept(facts: _Facts) -> Iterator[Sign]:
    if facts.worst("gap_severity"):
        yield "for", "The gap between predictions and outcomes left its control limits."
    elif facts.during:
        yield "against", "The gap between predictions and outcomes stayed within its control limits."
    if any(window.drift_type == "concept" for window in facts.during):
        yield "for", "The drift type of a window is concept drift."
    if facts.moved:
        yield "against", "Features moved, which would explain worse predictions by themselves."


def _skew(facts: _Facts) -> Iterator[Sign]:
    compared = {
        name: ratio
        for window in facts.during
        for name, feature in window.features.items()
        if (ratio := feature.skewed) is not None
    }
    if differing := sorted(name for name, ratio in compared.items() if ratio > 0.001):
        yield "for", f"Values at serving differ from those recomputed offline: {', '.join(differing)}."
    elif compared:
        yield "against", "Values at serving equal those recomputed offline."
    else:
        yield "unknown", "Values at serving are not compared with those recomputed offline (`skew` in the spec)."
    for entry in facts.before(EventKind.DEPLOYMENT):
        yield "for", f"Just before the fault: {entry.text}"


def _leakage(facts: _Facts) -> Iterator[Sign]:
    if facts.worst("performance_severity") and not facts.moved and not facts.worst("label_severity"):
        yield "for", "Performance is worse than in the reference although neither features nor outcomes moved."
    elif facts.moved:
        yield "against", "It began with a change of the inputs; leakage is there from the first day of a model."
    yield "unknown", "Whether a feature predicts the label far better in training than at serving is not measured."


def _feedback(facts: _Facts) -> Iterator[Sign]:
    if facts.worst("score_severity") and not facts.moved:
        yield "for", "The scores moved although no feature did."
    elif facts.fault is not None and facts.fault.shape is Shape.STEP:
        yield "against", "PSI jumped from one window to the next; a feedback loop builds up."
    yield (
        "unknown",
        "Whether recommendations earn their own clicks cannot be told without traffic that is not recommended to.",
    )


def _stale(facts: _Facts) -> Iterator[Sign]:
    if not facts.during:
        return
    age = facts.during[0].start - facts.during[0].reference_created
    days = age / timedelta(days=1)
    if age > STALE_AFTER:
        yield "for", f"The reference is {days:.0f} days old."
    else:
        yield "against", f"The reference is {max(days, 0):.1f} days old."
    yield from _by_shape(facts, Shape.SLOPE)


_SIGNS = {
    Cause.PIPELINE: _pipeline,
    Cause.SHIFT: _shift,
    Cause.CONCEPT: _concept,
    Cause.SKEW: _skew,
    Cause.LEAKAGE: _leakage,
    Cause.FEEDBACK: _feedback,
    Cause.STALE: _stale,
}
