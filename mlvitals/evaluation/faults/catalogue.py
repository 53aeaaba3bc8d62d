"""The faults that can be put into a history, by name: what each is, where it must be noticed, and what ends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mlvitals.generator.errors import UserError
from mlvitals.generator.signals.signal import Layer
from mlvitals.generator.spec.diagnostics import did_you_mean
from mlvitals.generator.spec.model import FeatureType, Spec


class FaultError(UserError):
    """A fault that does not exist, or that this system or this history cannot have."""


class Subject(StrEnum):
    """The part of a system that a fault strikes; those in plural are one of several, named by the user."""

    NUMBER = "a numeric feature"
    CATEGORY = "a categorical feature"
    FEATURE = "a feature"
    SOURCE = "a source"
    SCORE = "the score"
    OUTCOME = "the outcomes"
    LOG = "the prediction log"
    SERVING = "the serving application"


NUMERIC = (FeatureType.FLOAT, FeatureType.INTEGER)
_PIPELINE = ("pipeline-fix", "feature-fallback", "rollback")
_MODEL = ("rollback", "traffic-shift", "retraining")
_SERVICE = ("rollback", "traffic-shift")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One kind of fault. Its strength is a share of the rows, 0 to 1, unless `strongest` says otherwise."""

    name: str
    story: str
    """A sentence for who plays it; `{subject}` and `{strength}` are filled in."""
    subject: Subject
    layer: Layer
    signals: tuple[str, ...]
    """Alerts, at least one of which should notice it."""
    ended_by: tuple[str, ...]
    """Mitigations that end it."""
    usual: float = 0.4
    strongest: float = 1.0
    pages: bool = True
    """False if a warning is right and a page is not."""
    of_users: bool = False
    """True if it strikes all rows of some users, not some rows of all users."""
    by_outcomes: bool = False
    """True if only outcomes show it, which are known later."""
    by_kpis: bool = False
    """True if KPIs show it, which are compared with an earlier time."""


_DRIFT = ("MLFeatureDrift", "MLFeatureOutOfRange", "MLFeatureMeanShift")
_NULLS = ("MLRequiredFeatureNull", "MLNullRateHigh", "MLServingRequiredFeatureNull", "MLServingNullRateHigh")
_OUTCOMES = ("MLConceptDrift", "MLLabelDrift", "MLPerformanceLoss")

KINDS = (
    FaultKind(
        name="march3",
        story="A batch job changes its unit: {subject} is a Unix timestamp for {strength:.0%} of the users.",
        subject=Subject.NUMBER, layer=Layer.DATA, signals=_DRIFT, ended_by=_PIPELINE, of_users=True,
    ),
    FaultKind(
        name="rescaled",
        story="{subject} is delivered in another unit, a thousand times as large, in {strength:.0%} of the rows.",
        subject=Subject.NUMBER, layer=Layer.DATA, signals=_DRIFT, ended_by=_PIPELINE,
    ),
    FaultKind(
        name="lost_reads",
        story="The feature store does not answer for {strength:.0%} of the users; serving takes 0 for {subject}.",
        subject=Subject.NUMBER, layer=Layer.DATA, signals=(*_DRIFT, "MLTrainingServingSkew", "MLTrainingServingMismatch"),
        ended_by=_PIPELINE, of_users=True,
    ),
    FaultKind(
        name="upstream_nulls",
        story="An upstream job leaves {subject} out: it is null in {strength:.0%} of the rows.",
        subject=Subject.FEATURE, layer=Layer.DATA, signals=_NULLS, ended_by=_PIPELINE,
    ),
    FaultKind(
        name="new_category",
        story="{subject} takes a value that was never seen in training, in {strength:.0%} of the rows.",
        subject=Subject.CATEGORY, layer=Layer.DATA, signals=("MLFeatureNewCategory", "MLFeatureDrift"),
        ended_by=_PIPELINE, usual=0.3,
    ),
    FaultKind(
        name="new_country",
        story="A new market opens: {subject} takes a new value in {strength:.1%} of the rows, and nothing is wrong.",
        subject=Subject.CATEGORY, layer=Layer.DATA, signals=("MLFeatureNewCategory",),
        ended_by=_PIPELINE, usual=0.015, pages=False,
    ),
    FaultKind(
        name="missing_rows",
        story="The log loses {strength:.0%} of its rows on the way.",
        subject=Subject.LOG, layer=Layer.DATA,
        signals=("MLWindowTooSmall", "MLFeatureUnmeasurable"), ended_by=_PIPELINE, usual=1.0,
    ),
    FaultKind(
        name="stale_source",
        story="{subject} is no longer updated; what it delivered last goes on being used.",
        subject=Subject.SOURCE, layer=Layer.DATA, signals=("MLDataStale", "MLErrorBudgetBurn"),
        ended_by=_PIPELINE, usual=1.0,
    ),
    FaultKind(
        name="misscaled_model",
        story="A new version of the model is deployed; its scores are {strength:.0%} of what they should be.",
        subject=Subject.SCORE, layer=Layer.MODEL, signals=("MLScoreDrift", "MLNewestScoreDrift"), ended_by=_MODEL,
    ),
    FaultKind(
        name="concept_drift",
        story="The same features no longer mean the same outcome, in {strength:.0%} of the rows.",
        subject=Subject.OUTCOME, layer=Layer.MODEL, signals=_OUTCOMES, ended_by=_MODEL, usual=0.8, by_outcomes=True,
    ),
    FaultKind(
        name="label_drift",
        story="{strength:.0%} of the positive outcomes no longer happen, whatever is predicted.",
        subject=Subject.OUTCOME, layer=Layer.MODEL, signals=_OUTCOMES, ended_by=_MODEL, by_outcomes=True,
    ),
    FaultKind(
        name="feedback_loss",
        story="The pipeline that brings outcomes back loses {strength:.0%} of them.",
        subject=Subject.OUTCOME, layer=Layer.MODEL, signals=("MLFeedbackRateFall",), ended_by=_PIPELINE,
        usual=0.6, by_outcomes=True,
    ),
    FaultKind(
        name="late_outcomes",
        story="{strength:.0%} of the outcomes arrive after the longest delay that counts.",
        subject=Subject.OUTCOME, layer=Layer.MODEL, signals=("MLFeedbackRateFall", "MLFeedbackRejected"),
        ended_by=_PIPELINE, usual=0.6, by_outcomes=True,
    ),
    FaultKind(
        name="click_drop",
        story="Users engage {strength:.0%} less, for a cause that no data of the model shows.",
        subject=Subject.OUTCOME, layer=Layer.BUSINESS, signals=("MLBusinessMetricDrop",),
        ended_by=("rollback", "traffic-shift", "other"), usual=0.2, by_kpis=True,
    ),
    FaultKind(
        name="latency_regression",
        story="Every stage of a request takes {strength:g} times as long.",
        subject=Subject.SERVING, layer=Layer.SYSTEM, signals=("MLLatencyHigh",), ended_by=_SERVICE,
        usual=4.0, strongest=1000.0,
    ),
    FaultKind(
        name="error_burst",
        story="{strength:.0%} of the requests fail.",
        subject=Subject.SERVING, layer=Layer.SYSTEM, signals=("MLErrorRateHigh",), ended_by=_SERVICE, usual=0.2,
    ),
)  # fmt: skip
"""Every kind that can be played."""

NAMES = tuple(kind.name for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault in a history: from `start` to before `end`, or for ever."""

    kind: FaultKind
    subject: str
    """The feature or source that it strikes; empty for kinds that strike something there is only one of."""
    strength: float
    start: datetime
    end: datetime | None = None

    @property
    def story(self) -> str:
        """The sentence that says what happens."""
        return self.kind.story.format(subject=self.subject or self.kind.subject, strength=self.strength)


def fault_of(
    spec: Spec, name: str, *, start: datetime, subject: str | None = None, strength: float | None = None
) -> Fault:
    """Return the fault of a name, on the first suitable feature or source of the spec unless one is named.

    Raises:
        FaultError: no fault has this name, the system has nothing that it could strike, or the strength is out of range.
    """
    kind = next((each for each in KINDS if each.name == name), None)
    if kind is None:
        raise FaultError(
            f"no fault is called {name!r}; {did_you_mean(name, NAMES) or 'the faults are ' + ', '.join(NAMES)}"
        )
    chosen = kind.usual if strength is None else strength
    if not 0 < chosen <= kind.strongest:
        raise FaultError(f"{name}: the strength is {chosen:g}; give a number above 0 and at most {kind.strongest:g}")
    return Fault(kind=kind, subject=_subject(spec, kind, subject), strength=chosen, start=start)


def _subject(spec: Spec, kind: FaultKind, wanted: str | None) -> str:
    candidates = suitable(spec, kind)
    if candidates is None:
        if wanted is not None:
            raise FaultError(f"{kind.name} strikes {kind.subject}, of which there is one; leave {wanted!r} out")
        return ""
    if wanted is not None and wanted not in candidates:
        hint = did_you_mean(wanted, candidates) or f"it could be {', '.join(candidates) or 'nothing of this spec'}"
        raise FaultError(f"{kind.name} needs {kind.subject}, and {wanted!r} is none of this system; {hint}")
    if not candidates:
        raise FaultError(f"{kind.name} needs {kind.subject}, and the spec of {spec.system.name} has none")
    return wanted or candidates[0]


def suitable(spec: Spec, kind: FaultKind) -> Sequence[str] | None:
    """Return the names that a fault could strike, in the order of the spec; None where there is nothing to choose.

    Raises:
        FaultError: the system has no outcomes, no score or no serving application, which the fault strikes.
    """
    log = spec.prediction_log
    lacking = {
        Subject.SCORE: log.score is None,
        Subject.OUTCOME: log.outcome is None,
        Subject.SERVING: not spec.serving.enabled,
    }
    if lacking.get(kind.subject):
        raise FaultError(f"{kind.name} strikes {kind.subject}, and the spec of {spec.system.name} has none")
    types = {
        Subject.NUMBER: NUMERIC,
        Subject.CATEGORY: (FeatureType.CATEGORICAL,),
        Subject.FEATURE: tuple(FeatureType),
    }
    if kind.subject in types:
        found = [name for name, feature in spec.features.items() if feature.type in types[kind.subject]]
        required = [name for name in found if not spec.features[name].nullable]
        return [*required, *(name for name in found if name not in required)]
    return list(spec.sources) if kind.subject is Subject.SOURCE else None
