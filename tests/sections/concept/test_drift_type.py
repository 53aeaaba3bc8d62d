"""The decision table of docs/concept-drift.md, one row at a time."""

from itertools import product
from pathlib import Path

import pytest

from mlvitals.exporters.sections.concept.kind import (
    RULES,
    Gap,
    Inputs,
    Outcomes,
    Scores,
    Situation,
    drift_type,
    situation,
)
from mlvitals.exporters.sections.concept.report import Evidence
from mlvitals.generator.contract import DriftKind

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "concept-drift.md").read_text()


def evidence(**changes) -> Evidence:
    """A quiet window of which everything is known."""
    return Evidence(**{"prediction": False, "gap": False, "outcome_rate": False, "ranking": False, **changes})


def kind(**changes) -> DriftKind:
    return drift_type(evidence(**changes)).kind


def test_a_window_in_which_nothing_moves_has_no_drift():
    found = drift_type(evidence())
    assert (found.kind, found.response) == (DriftKind.NONE, "")


def test_a_new_population_that_the_model_serves_well_is_covariate_drift_without_urgency():
    found = drift_type(evidence(features=("country",), strong=True, prediction=True))
    assert found.kind is DriftKind.COVARIATE
    assert found.response.startswith("Nothing urgent")


def test_a_new_population_that_the_model_serves_badly_asks_for_retraining():
    found = drift_type(evidence(features=("country",), strong=True, gap=True))
    assert found.kind is DriftKind.COVARIATE
    assert found.response.startswith("Retrain on the new population")


def test_broken_inputs_ask_for_repair_and_never_for_retraining():
    found = drift_type(evidence(features=("days",), unsound=("days",), strong=True, gap=True))
    assert found.kind is DriftKind.COVARIATE
    assert "never retrain" in found.response


def test_a_mis_scaled_model_is_prediction_drift_although_its_gap_is_wide():
    assert kind(prediction=True, gap=True) is DriftKind.PREDICTION


def test_a_gap_without_any_drift_of_inputs_or_scores_is_concept_drift():
    assert kind(gap=True, ranking=True, outcome_rate=True) is DriftKind.CONCEPT


def test_a_gap_whose_outcomes_are_ranked_as_well_as_before_is_label_drift():
    assert kind(gap=True, outcome_rate=True) is DriftKind.LABEL


def test_a_gap_of_which_the_ranking_is_not_known_is_concept_drift():
    assert kind(gap=True, outcome_rate=True, ranking=None) is DriftKind.CONCEPT


def test_a_mild_shift_of_features_that_the_scores_do_not_feel_explains_no_gap():
    assert kind(features=("age",), gap=True, ranking=True) is DriftKind.CONCEPT


def test_a_mild_shift_of_features_alone_is_covariate_drift():
    assert kind(features=("age",)) is DriftKind.COVARIATE


def test_outcomes_that_change_their_rate_along_with_the_predictions_are_label_drift():
    assert kind(outcome_rate=True) is DriftKind.LABEL


def test_a_gap_that_comes_from_a_drift_that_is_over_is_none():
    found = drift_type(evidence(gap=True, gap_explained=True))
    assert found.kind is DriftKind.NONE
    assert "over" in found.reason


def test_lost_feedback_is_unknown_and_never_none():
    found = drift_type(evidence(gap=None, outcome_rate=None, ranking=None))
    assert found.kind is DriftKind.UNKNOWN
    assert "restore them" in found.response


def test_outcomes_that_no_chart_judges_yet_are_not_called_lost():
    found = drift_type(evidence(gap=None))
    assert found.kind is DriftKind.UNKNOWN
    assert "Outcomes are known" in found.reason
    assert "restore" not in found.response


def test_features_that_cannot_be_compared_are_unknown():
    assert kind(features=None, gap=False) is DriftKind.UNKNOWN


@pytest.mark.parametrize("gap", [True, False, None])
@pytest.mark.parametrize("prediction", [True, False, None])
def test_what_scores_and_gap_show_is_not_blamed_on_model_or_world_where_no_feature_could_be_compared(gap, prediction):
    assert kind(features=None, gap=gap, prediction=prediction) is DriftKind.UNKNOWN


@pytest.mark.parametrize("gap", [True, False, None])
def test_scores_that_could_not_be_compared_have_not_stayed(gap):
    found = drift_type(evidence(prediction=None, gap=gap))
    assert found.kind is DriftKind.UNKNOWN
    assert found.reason.startswith("The scores could not be compared")
    assert "Retrain" not in found.response


def test_a_gap_over_mild_inputs_is_unknown_where_the_scores_could_not_be_compared():
    assert kind(features=("age",), prediction=None, gap=True) is DriftKind.UNKNOWN
    assert kind(features=("age",), prediction=None, gap=False) is DriftKind.COVARIATE


def test_scores_that_move_with_mild_inputs_are_covariate_drift():
    assert kind(features=("age",), prediction=True) is DriftKind.COVARIATE


def test_a_gap_beside_a_mild_shift_does_not_say_that_inputs_stayed():
    assert "inputs changed only mildly" in drift_type(evidence(features=("age",), gap=True)).reason


def test_what_is_seen_of_the_inputs_does_not_wait_for_outcomes():
    assert kind(features=("country",), strong=True, gap=None) is DriftKind.COVARIATE
    assert kind(prediction=True, gap=None) is DriftKind.PREDICTION


@pytest.mark.parametrize(
    ("changes", "explains"),
    [({}, False), ({"features": ("a",)}, False), ({"strong": True}, True), ({"prediction": True}, True)],
)
def test_only_what_moves_the_scores_or_moves_critically_explains_a_gap(changes: dict, explains: bool):
    assert drift_type(evidence(**changes)).explains is explains


def test_a_reason_names_five_features_and_counts_the_rest():
    reason = drift_type(evidence(features=tuple("abcdefg"), strong=True)).reason
    assert "a, b, c, d, e and 2 more" in reason


@pytest.mark.parametrize("named", DriftKind)
def test_every_kind_is_in_the_document(named: DriftKind):
    assert f"**{named}**" in DOCUMENT


SITUATIONS = [Situation(*states) for states in product(Inputs, Scores, Gap, Outcomes)]


def test_every_situation_has_a_rule_and_every_rule_a_situation_that_no_earlier_one_takes():
    first = [next(number for number, rule in enumerate(RULES) if rule.holds(found)) for found in SITUATIONS]
    assert {*first} == {*range(len(RULES))}


def test_every_situation_comes_from_some_evidence_and_every_evidence_is_decided():
    known = (True, False, None)
    inputs = (
        {"features": ("a",), "unsound": ("a",), "strong": True},
        {"features": ("a",), "strong": True},
        {"features": ("a",)},
        {},
        {"features": None},
    )
    found = set()
    for shown, *rest in product(inputs, known, known, (True, False), known, known):
        names = ("prediction", "gap", "gap_explained", "outcome_rate", "ranking")
        given = evidence(**shown, **dict(zip(names, rest, strict=True)))
        found.add(situation(given))
        assert drift_type(given).reason
    assert found == {*SITUATIONS}


def test_what_is_not_known_never_gives_a_kind_that_another_answer_would_change():
    """Where scores or inputs are not comparable, a kind is named only if it is that of every answer."""
    for unknown in SITUATIONS:
        if Scores.UNKNOWN is not unknown.scores:
            continue
        kinds = {decided(unknown._replace(scores=scores)) for scores in (Scores.DRIFTED, Scores.QUIET)}
        assert decided(unknown) in (DriftKind.UNKNOWN, *(kinds if len(kinds) == 1 else ()))


def decided(found: Situation) -> DriftKind:
    return next(rule.kind for rule in RULES if rule.holds(found))


def table():
    yield "| # | inputs | scores | gap | outcomes | kind | what to do | why |"
    yield "|---|---|---|---|---|---|---|---|"
    for number, rule in enumerate(RULES, 1):
        states = (
            cell(rule.inputs, Inputs),
            cell(rule.scores, Scores),
            cell(rule.gap, Gap),
            "rate moved" if rule.outcomes == {Outcomes.RATE_ALONE, Outcomes.RATE} else cell(rule.outcomes, Outcomes),
        )
        cells = (str(number), *states, f"**{rule.kind}**", rule.to_do, rule.why)
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def cell(states, names):
    return "any" if states == frozenset(names) else " or ".join(name for name in names if name in states)


def test_the_document_shows_the_table_that_decides():
    assert "\n".join(table()) in DOCUMENT
