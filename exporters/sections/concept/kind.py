"""The drift type of a window, from what is known of inputs, scores and outcomes: one table, `RULES`.

P(X) is what features show, P(Y^) the scores, P(Y) the rate of outcomes, P(Y|X) the gap between scores and outcomes. A
kind is named by the earliest of them that moved: what comes later follows from it. What is not known is never taken for
unmoved. docs/concept-drift.md shows the table, by test.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from mlvitals.exporters.sections.concept.report import DriftType, Evidence
from mlvitals.generator.contract import DriftKind

NAMED = 5
"""Features that a reason names at most."""


class Inputs(StrEnum):
    """The evidence of the features."""

    BROKEN = "broken"
    CRITICAL = "critical"
    MILD = "mild"
    QUIET = "quiet"
    UNKNOWN = "not comparable"


class Scores(StrEnum):
    """The evidence of the scores."""

    DRIFTED = "drifted"
    QUIET = "quiet"
    UNKNOWN = "not comparable"


class Gap(StrEnum):
    """The evidence of the charts of the gap between predictions and outcomes."""

    SIGNALS = "signals"
    EXPLAINED = "explained"
    QUIET = "quiet"
    UNKNOWN = "unknown"


class Outcomes(StrEnum):
    """The evidence of the outcomes themselves."""

    RATE_ALONE = "rate moved, ranking held"
    RATE = "rate moved, ranking not known to have held"
    OTHER = "rate held"
    UNKNOWN = "unknown"


class Situation(NamedTuple):
    """Evidence as the table reads it."""

    inputs: Inputs
    scores: Scores
    gap: Gap
    outcomes: Outcomes


def situation(evidence: Evidence) -> Situation:
    """Return the situation that evidence describes."""
    return Situation(
        inputs=_inputs(evidence),
        scores={True: Scores.DRIFTED, False: Scores.QUIET, None: Scores.UNKNOWN}[evidence.prediction],
        gap=Gap.EXPLAINED
        if evidence.gap and evidence.gap_explained
        else {True: Gap.SIGNALS, False: Gap.QUIET, None: Gap.UNKNOWN}[evidence.gap],
        outcomes=_outcomes(evidence),
    )


def _inputs(evidence: Evidence) -> Inputs:
    if evidence.unsound:
        return Inputs.BROKEN
    if evidence.strong:
        return Inputs.CRITICAL
    if evidence.features is None:
        return Inputs.UNKNOWN
    return Inputs.MILD if evidence.features else Inputs.QUIET


def _outcomes(evidence: Evidence) -> Outcomes:
    if evidence.outcome_rate:
        return Outcomes.RATE_ALONE if evidence.ranking is False else Outcomes.RATE
    return Outcomes.UNKNOWN if evidence.outcome_rate is None and evidence.ranking is None else Outcomes.OTHER


def explains_gap(evidence: Evidence) -> bool:
    """True if inputs or scores drifted so much that a gap between these predictions and their outcomes may be theirs.

    A mild feature shift that leaves the scores unchanged explains none: the scores are what missed the outcomes.
    """
    return evidence.strong or evidence.prediction is True


def drift_type(evidence: Evidence) -> DriftType:
    """Decide the drift type: the first rule of the table that holds."""
    found = situation(evidence)
    rule = next(rule for rule in RULES if rule.holds(found))
    reason, response = rule.text(evidence)
    return DriftType(
        kind=rule.kind, reason=reason, response=response, evidence=evidence, explains=explains_gap(evidence)
    )


Text: TypeAlias = Callable[[Evidence], tuple[str, str]]
"""Gives the reason, and what to do."""


def _broken(evidence: Evidence) -> tuple[str, str]:
    return (
        f"The inputs changed, and look broken: {some_of(evidence.unsound)}. {_consequence(evidence)}",
        "Repair what feeds them, and fall back to safe values until then; never retrain on broken data.",
    )


def _covariate(evidence: Evidence) -> tuple[str, str]:
    response = {
        True: "Retrain on the new population, and weigh a fallback until then.",
        False: "Nothing urgent: the model still holds. Plan to retrain on the new population.",
        None: "Watch the outcomes when they come; retrain on the new population if it stays.",
    }[evidence.gap]
    return f"The inputs changed: {some_of(evidence.features or ())}. {_consequence(evidence)}", response


def _prediction(evidence: Evidence) -> tuple[str, str]:
    return (
        f"The scores changed, and the inputs did not. {_consequence(evidence)}",
        "Investigate the model: the version deployed, its scaling and its preprocessing. Roll it back if it is new.",
    )


def _concept(evidence: Evidence) -> tuple[str, str]:
    known = ", and tell them apart less well" if evidence.ranking else ""
    return (
        f"Outcomes left the predictions{known}, while {_stayed(evidence)}: what inputs mean has changed.",
        "Retrain with recent data.",
    )


def _label(evidence: Evidence) -> tuple[str, str]:
    left = "left the predictions" if evidence.gap else "changed their rate"
    held = " The scores tell them apart as well as before." if evidence.ranking is False else ""
    return (
        f"Outcomes {left}, while {_stayed(evidence)}: they have become more, or less, frequent.{held}",
        "Recalibrate the scores to the new rate; check first that outcomes are counted as before.",
    )


def _stayed(evidence: Evidence) -> str:
    """Return that inputs and scores stayed, as far as they were compared."""
    stayed = "scores stayed and inputs changed only mildly" if evidence.features else "inputs and scores stayed"
    return f"{stayed}, {some_of(evidence.unmeasured)} not compared" if evidence.unmeasured else stayed


def _all_stayed(evidence: Evidence) -> str:
    stayed = _stayed(evidence)
    return stayed[0].upper() + stayed[1:]


def _no_features(evidence: Evidence) -> tuple[str, str]:
    scores = "The scores changed, but no feature" if evidence.prediction else "No feature"
    return (
        f"{scores} could be compared, so that drift cannot be told. {_consequence(evidence)}",
        "Find out why nothing can be compared: too few rows, or no reference.",
    )


def _no_scores(evidence: Evidence) -> tuple[str, str]:
    return (
        f"The scores could not be compared: whether the model or the world changed cannot be told. {_consequence(evidence)}",
        "Find out why the scores cannot be compared: too few of them, none in the spec, or none in the reference.",
    )


def _over(_: Evidence) -> tuple[str, str]:
    return "Nothing drifts now. Outcomes still show a drift of inputs or scores that is over.", ""


def _no_outcomes(evidence: Evidence) -> tuple[str, str]:
    return (
        f"{_all_stayed(evidence)}. Without outcomes nobody knows whether they still mean the same.",
        "Wait for outcomes, or restore them where they are lost.",
    )


def _no_baseline(evidence: Evidence) -> tuple[str, str]:
    return (
        f"{_all_stayed(evidence)}. Outcomes are known, but not yet what gap between them and predictions is normal.",
        "Wait for the baseline of the charts, or see why it is refused.",
    )


def _nothing(evidence: Evidence) -> tuple[str, str]:
    return f"{_all_stayed(evidence)}, and predictions meet the outcomes as before.", ""


def _consequence(evidence: Evidence) -> str:
    """Return what is known of the harm."""
    missed = {
        True: "Predictions miss the outcomes, and are more wrong than in training: it does harm.",
        False: "Predictions miss the outcomes on average, but are no more wrong one by one: no loss is seen.",
        None: "Predictions miss the outcomes on average. Whether they are more wrong one by one is not known.",
    }[evidence.loss]
    return {
        True: missed,
        False: "Predictions still meet the outcomes that are known.",
        None: "Whether predictions still meet the outcomes is not known yet.",
    }[evidence.gap]


def some_of(names: tuple[str, ...]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


class Rule(NamedTuple):
    """A row of the table: it holds where each column holds one of the states named."""

    inputs: frozenset[Inputs]
    scores: frozenset[Scores]
    gap: frozenset[Gap]
    outcomes: frozenset[Outcomes]
    kind: DriftKind
    text: Text
    to_do: str
    """The steps to take, in short."""
    why: str

    def holds(self, found: Situation) -> bool:
        """True if every column holds the state found."""
        columns = (self.inputs, self.scores, self.gap, self.outcomes)
        return all(state in column for state, column in zip(found, columns, strict=True))


_ANY_SCORES, _ANY_GAP, _ANY_OUTCOMES = frozenset(Scores), frozenset(Gap), frozenset(Outcomes)
_RATE_MOVED = frozenset({Outcomes.RATE_ALONE, Outcomes.RATE})
_STAYED = frozenset({Inputs.QUIET, Inputs.MILD})
_QUIET, _QUIET_SCORES, _SIGNALS = frozenset({Inputs.QUIET}), frozenset({Scores.QUIET}), frozenset({Gap.SIGNALS})
_POPULATION = "gap signals: retrain on the new population; gap quiet: nothing urgent"

RULES = (
    Rule(
        frozenset({Inputs.BROKEN}),
        _ANY_SCORES,
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.COVARIATE,
        _broken,
        "repair what feeds them; never retrain on broken data",
        "a feature is not measurable, or null, infinite or out of range in a share, by a distance or with impossible values "
        "that no population turns to",
    ),
    Rule(
        frozenset({Inputs.CRITICAL}),
        _ANY_SCORES,
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.COVARIATE,
        _covariate,
        _POPULATION,
        "what follows from changed inputs is theirs; the gap shows whether it does harm",
    ),
    Rule(
        frozenset({Inputs.MILD}),
        frozenset({Scores.DRIFTED}),
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.COVARIATE,
        _covariate,
        _POPULATION,
        "the scores follow the inputs, however mildly these moved",
    ),
    Rule(
        _QUIET,
        frozenset({Scores.DRIFTED}),
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.PREDICTION,
        _prediction,
        "investigate the model: version, scaling, preprocessing",
        "the same inputs, other scores: the model itself changed",
    ),
    Rule(
        _STAYED,
        _QUIET_SCORES,
        _SIGNALS,
        frozenset({Outcomes.RATE_ALONE}),
        DriftKind.LABEL,
        _label,
        "recalibrate",
        "outcomes became more or less frequent; who is likelier than whom stayed",
    ),
    Rule(
        _STAYED,
        _QUIET_SCORES,
        _SIGNALS,
        _ANY_OUTCOMES,
        DriftKind.CONCEPT,
        _concept,
        "retrain with recent data",
        "the same inputs and scores lead to other outcomes",
    ),
    Rule(
        frozenset({Inputs.MILD}),
        _ANY_SCORES,
        _ANY_GAP - _SIGNALS,
        _ANY_OUTCOMES,
        DriftKind.COVARIATE,
        _covariate,
        "nothing urgent; gap explained: retrain on the new population",
        "a mild shift that nothing else is known to follow from",
    ),
    Rule(
        _QUIET,
        _QUIET_SCORES,
        frozenset({Gap.QUIET, Gap.UNKNOWN}),
        _RATE_MOVED,
        DriftKind.LABEL,
        _label,
        "recalibrate",
        "the predictions moved along with the outcomes, or no chart shows it",
    ),
    Rule(
        frozenset({Inputs.UNKNOWN}),
        _ANY_SCORES,
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.UNKNOWN,
        _no_features,
        "find out why",
        "too few rows, or no reference; what scores and gap show may be the inputs'",
    ),
    Rule(
        _STAYED,
        frozenset({Scores.UNKNOWN}),
        _ANY_GAP,
        _ANY_OUTCOMES,
        DriftKind.UNKNOWN,
        _no_scores,
        "find out why",
        "scores that could not be compared have not stayed: a gap may be the model's or the world's",
    ),
    Rule(
        _QUIET,
        _QUIET_SCORES,
        frozenset({Gap.EXPLAINED}),
        _ANY_OUTCOMES,
        DriftKind.NONE,
        _over,
        "",
        "the gap was gathered while inputs or scores drifted, and that is over",
    ),
    Rule(
        _QUIET,
        _QUIET_SCORES,
        frozenset({Gap.UNKNOWN}),
        frozenset({Outcomes.UNKNOWN}),
        DriftKind.UNKNOWN,
        _no_outcomes,
        "wait for outcomes, or restore them",
        "lost feedback is never none",
    ),
    Rule(
        _QUIET,
        _QUIET_SCORES,
        frozenset({Gap.UNKNOWN}),
        _ANY_OUTCOMES,
        DriftKind.UNKNOWN,
        _no_baseline,
        "wait for the baseline, or see why it is refused",
        "nor is a gap that no chart judges",
    ),
    Rule(
        _QUIET,
        _QUIET_SCORES,
        frozenset({Gap.QUIET}),
        _ANY_OUTCOMES,
        DriftKind.NONE,
        _nothing,
        "",
        "",
    ),
)
"""The first that holds decides. Every situation has one, and every rule a situation (by test)."""
