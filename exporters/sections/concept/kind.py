"""Which kind of drift a window shows, from what is known of inputs, scores and outcomes. docs/concept-drift.md has the table.

P(X) is what features show, P(Y^) the scores, P(Y) the rate of outcomes, P(Y|X) the gap between scores and outcomes. A
kind is named by the earliest of them that moved: what comes later follows from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mlvitals.exporters.sections.concept.report import DriftType, Evidence
from mlvitals.generator.contract import DriftKind

NAMED = 5
"""Features that a reason names at most."""


def explains_gap(evidence: Evidence) -> bool:
    """Whether inputs or scores drifted so much that a gap between these predictions and their outcomes may be theirs.

    A mild shift of features that the scores do not feel explains none: the scores are what missed the outcomes.
    """
    return evidence.strong or evidence.prediction is True


def drift_type(evidence: Evidence) -> DriftType:
    """Decide the kind of drift: the first rule of the table that holds."""
    verdict = next(_verdicts(evidence))
    return DriftType(
        kind=verdict.kind,
        reason=verdict.reason,
        response=verdict.response,
        evidence=evidence,
        explains=explains_gap(evidence),
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    kind: DriftKind
    reason: str
    response: str


def _verdicts(evidence: Evidence) -> Iterator[_Verdict]:
    """Every verdict that the evidence supports, the first one first."""
    if evidence.unsound:
        yield _broken(evidence)
    if evidence.features and explains_gap(evidence):
        yield _covariate(evidence)
    if evidence.prediction:
        yield _prediction(evidence)
    if evidence.gap and not evidence.gap_explained:
        yield _label(evidence) if evidence.outcome_rate and evidence.ranking is False else _concept(evidence)
    if evidence.features:
        yield _covariate(evidence)
    if evidence.outcome_rate and not evidence.gap:
        yield _label(evidence)
    yield _nothing(evidence)


def _broken(evidence: Evidence) -> _Verdict:
    return _Verdict(
        DriftKind.COVARIATE,
        f"The inputs changed, and look broken: {some_of(evidence.unsound)}. {_consequence(evidence)}",
        "Repair what feeds them, and fall back to safe values until then; never retrain on broken data.",
    )


def _covariate(evidence: Evidence) -> _Verdict:
    response = {
        True: "Retrain on the new population, and weigh a fallback until then.",
        False: "Nothing urgent: the model still holds. Plan to retrain on the new population.",
        None: "Watch the outcomes when they come; retrain on the new population if it stays.",
    }[evidence.gap]
    reason = f"The inputs changed: {some_of(evidence.features or ())}. {_consequence(evidence)}"
    return _Verdict(DriftKind.COVARIATE, reason, response)


def _prediction(evidence: Evidence) -> _Verdict:
    inputs = "no feature could be compared" if evidence.features is None else "the inputs did not"
    if evidence.features:
        inputs = "the inputs did only mildly"
    return _Verdict(
        DriftKind.PREDICTION,
        f"The scores changed, and {inputs}. {_consequence(evidence)}",
        "Investigate the model: the version deployed, its scaling and its preprocessing. Roll it back if it is new.",
    )


def _concept(evidence: Evidence) -> _Verdict:
    known = {True: ", and tell them apart less well", False: "", None: ""}[evidence.ranking]
    return _Verdict(
        DriftKind.CONCEPT,
        f"Outcomes left the predictions{known}, while inputs and scores stayed: what inputs mean has changed.",
        "Retrain with recent data.",
    )


def _label(evidence: Evidence) -> _Verdict:
    left = "left the predictions" if evidence.gap else "changed their rate"
    told = " The scores tell them apart as well as before." if evidence.ranking is False else ""
    return _Verdict(
        DriftKind.LABEL,
        f"Outcomes {left}, while inputs and scores stayed: they have become more, or less, frequent.{told}",
        "Recalibrate the scores to the new rate; check first that outcomes are counted as before.",
    )


def _nothing(evidence: Evidence) -> _Verdict:
    if evidence.gap and evidence.gap_explained:
        reason = "Nothing drifts now. Outcomes still show a drift of inputs or scores that is over."
        return _Verdict(DriftKind.NONE, reason, "")
    if evidence.features is None:
        reason = "No feature could be compared, so that drift cannot be told."
        return _Verdict(
            DriftKind.UNKNOWN, reason, "Find out why nothing can be compared: too few rows, or no reference."
        )
    if evidence.gap is None and not (evidence.outcome_rate is None and evidence.ranking is None):
        reason = (
            "Inputs and scores stayed. Outcomes are known, but not yet what gap between them and predictions is normal."
        )
        return _Verdict(DriftKind.UNKNOWN, reason, "Wait for the baseline of the charts, or see why it is refused.")
    if evidence.gap is None:
        reason = "Inputs and scores stayed. Without outcomes nobody knows whether they still mean the same."
        return _Verdict(DriftKind.UNKNOWN, reason, "Wait for outcomes, or restore them where they are lost.")
    return _Verdict(DriftKind.NONE, "Inputs and scores stayed, and predictions meet the outcomes as before.", "")


def _consequence(evidence: Evidence) -> str:
    """What is known of the harm."""
    return {
        True: "Predictions miss the outcomes: it does harm.",
        False: "Predictions still meet the outcomes that are known.",
        None: "Whether predictions still meet the outcomes is not known yet.",
    }[evidence.gap]


def some_of(names: tuple[str, ...]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
