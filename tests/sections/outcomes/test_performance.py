"""Figures of performance: scikit-learn's, to the last digits that matter."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve as sklearn_curve

from mlvitals.exporters.sections.outcomes.join import PREDICTION
from mlvitals.exporters.sections.outcomes.performance import (
    BinaryTally,
    ContinuousTally,
    RankingTally,
    estimated_figures,
    tally_for,
)
from mlvitals.generator.contract import PERFORMANCE_FIGURES
from mlvitals.generator.spec.model import Outcome, OutcomeKind

random = np.random.default_rng(7)
SCORES = np.round(random.random(2000), 2)
LABELS = (random.random(2000) < SCORES**1.5).astype(float)


def rows(values, lists=None, items=None):
    made = np.zeros(len(values), PREDICTION)
    made["value"] = values
    made["list"] = 0 if lists is None else lists
    made["item"] = 0 if items is None else items
    return made


def added(tally, predictions, labels, parts=1):
    for part in np.array_split(np.arange(len(labels)), parts):
        tally.add(predictions[part], labels[part])
    return tally.result()


def test_binary_figures_are_those_of_scikit_learn_ties_included():
    found = added(BinaryTally(0.6), rows(SCORES), LABELS, parts=3).figures
    chosen = SCORES >= 0.6
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(LABELS, SCORES), abs=1e-12)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(LABELS, SCORES), abs=1e-12)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(LABELS, SCORES), abs=1e-12)
    assert found["precision"] == metrics.precision_score(LABELS, chosen)
    assert found["recall"] == metrics.recall_score(LABELS, chosen)
    assert found["accuracy"] == metrics.accuracy_score(LABELS, chosen)
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(LABELS, chosen), abs=1e-12)


def test_matthews_correlation_is_1_for_a_perfect_model_and_minus_1_for_its_opposite():
    assert added(BinaryTally(0.5), rows(LABELS), LABELS).figures["mcc"] == 1
    assert added(BinaryTally(0.5), rows(1 - LABELS), LABELS).figures["mcc"] == -1


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([0.9, 0.9], [1, 0]), ([0.1, 0.1], [1, 0]), ([0.9, 0.1], [1, 1]), ([0.9, 0.1], [0, 0])],
    ids=["all predicted positive", "none predicted positive", "all positive", "none positive"],
)
def test_matthews_correlation_is_undefined_where_predictions_or_outcomes_never_vary(scores, labels):
    figures = added(BinaryTally(0.5), rows(np.array(scores)), np.array(labels, float)).figures
    assert figures["mcc"] is None


@pytest.mark.parametrize("kind", OutcomeKind)
def test_a_tally_gives_the_figures_that_the_contract_lists_and_no_others(kind: OutcomeKind):
    listed, outcome = (
        {figure.name for figure in PERFORMANCE_FIGURES[kind]},
        Outcome(column="y", kind=kind, classes=("a", "b")),
    )
    assert set(added(tally_for(outcome), rows(np.empty(0)), np.empty(0)).figures) == listed
    assert set(added(tally_for(outcome), rows(SCORES), LABELS).figures) == listed


def test_certain_scores_cost_in_log_loss_what_they_cost_in_scikit_learn():
    scores, labels = np.array([0.0, 1.0, 0.3]), np.array([1.0, 0.0, 1.0])
    found = added(BinaryTally(0.5), rows(scores), labels).figures
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, scores), abs=1e-9)


def test_the_calibration_curve_is_that_of_scikit_learn():
    curve = added(BinaryTally(0.5), rows(SCORES), LABELS).calibration
    observed, predicted = sklearn_curve(LABELS, SCORES, n_bins=10)
    assert [part.observed for part in curve] == pytest.approx(observed)
    assert [part.predicted for part in curve] == pytest.approx(predicted)


def test_scores_that_are_no_probabilities_have_an_auc_and_no_log_loss():
    found = added(BinaryTally(0.5), rows(SCORES * 10 - 5), LABELS)
    assert found.figures["auc"] == pytest.approx(metrics.roc_auc_score(LABELS, SCORES))
    assert (found.figures["log_loss"], found.figures["brier"], found.calibration) == (None, None, ())


def test_outcomes_of_one_kind_alone_have_no_auc():
    found = added(BinaryTally(0.5), rows(SCORES), np.ones(len(SCORES)))
    assert (found.figures["auc"], found.quality, found.figures["recall"]) == (None, None, np.mean(SCORES >= 0.5))


def test_the_error_of_the_auc_is_how_far_it_spreads():
    areas, errors = [], []
    for seed in range(200):
        chance = np.random.default_rng(seed)
        labels = np.repeat([0.0, 1.0], 150)
        result = added(BinaryTally(0.5), rows(chance.normal(labels)), labels)
        areas.append(result.quality)
        errors.append(result.quality_error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


def test_continuous_figures_are_those_of_scikit_learn():
    outcomes = 40 * random.standard_normal(500) + 1e6
    predictions = outcomes + 3 + random.standard_normal(500)
    found = added(ContinuousTally(), rows(predictions), outcomes, parts=4).figures
    assert found["bias"] == pytest.approx(np.mean(predictions - outcomes))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(outcomes, predictions))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(outcomes, predictions))


@pytest.mark.parametrize("decimals", [1, 9], ids=["with ties", "without ties"])
def test_ndcg_is_that_of_scikit_learn_over_the_lists_with_a_relevant_item(decimals):
    scores = np.round(random.random((60, 12)), decimals)
    relevance = random.integers(0, 3, (60, 12)) * (random.random((60, 12)) < 0.3).astype(float)
    lists = np.repeat(np.arange(60, dtype=np.uint64) << np.uint64(57), 12)
    found = added(RankingTally(5, None), rows(scores.ravel(), lists), relevance.ravel()).figures
    useful = relevance.sum(axis=1) > 0
    assert found["ndcg"] == pytest.approx(metrics.ndcg_score(relevance[useful], scores[useful], k=5))


def test_recall_of_the_first_places_is_the_share_of_relevant_items_among_them():
    lists = np.repeat(np.array([1, 2, 3], np.uint64), 4)
    scores = np.tile([0.9, 0.8, 0.7, 0.6], 3)
    relevance = np.array([1, 0, 0, 1, 0, 1, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan])
    found = added(RankingTally(2, None), rows(scores, lists), relevance).figures
    assert found["recall"] == pytest.approx((1 / 2 + 1) / 2)


def test_equal_scores_share_the_places_they_hold():
    found = added(RankingTally(1, None), rows(np.array([0.5, 0.5, 0.5, 0.5])), np.array([1.0, 0, 0, 0])).figures
    assert found["recall"] == 0.25


def test_coverage_is_the_share_of_the_catalogue_that_was_shown_in_the_first_places():
    lists, items = np.repeat(np.array([1, 2], np.uint64), 3), np.array([7, 8, 9, 7, 5, 9], np.uint64)
    found = added(RankingTally(2, 10), rows(np.tile([3.0, 2.0, 1.0], 2), lists, items), np.ones(6)).figures
    assert found["coverage"] == 0.3


def test_nothing_answered_gives_no_figure():
    for tally in (BinaryTally(0.5), ContinuousTally(), RankingTally(5, 10)):
        assert set(added(tally, rows(np.empty(0)), np.empty(0)).figures.values()) == {None}


def test_calibrated_scores_estimate_the_performance_that_outcomes_then_show():
    scores = np.random.default_rng(1).beta(2, 3, 200_000)
    labels = (np.random.default_rng(2).random(200_000) < scores).astype(float)
    estimated, found = estimated_figures(scores, 0.5), added(BinaryTally(0.5), rows(scores), labels).figures
    for name in ("auc", "accuracy", "precision", "recall"):
        assert estimated[f"estimated_{name}"] == pytest.approx(found[name], abs=0.005)


def test_the_estimated_auc_counts_a_score_beside_itself_as_a_tie():
    assert estimated_figures(np.array([0.5, 0.5]), 0.5)["estimated_auc"] == pytest.approx(0.5)
    assert estimated_figures(np.array([1.0, 0.0]), 0.5)["estimated_auc"] == pytest.approx(1.0)
    assert estimated_figures(np.array([1.0, 1.0]), 0.5)["estimated_auc"] is None
