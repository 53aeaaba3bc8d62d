"""Each fault of StreamRec changes what it says, from its start to its end, and nothing else."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from examples.streamrec.faults import (
    FAULTS,
    ClickDrop,
    ConceptDrift,
    Conditions,
    ErrorBurst,
    FeedbackLoss,
    LabelDrift,
    LatencyRegression,
    LateOutcomes,
    March3,
    MisscaledModel,
    NewCategory,
    NewCountry,
    StaleSource,
    UpstreamNulls,
    conditions_at,
)
from examples.streamrec.simulate import MODEL_VERSION, NEXT_MODEL_VERSION, Traffic, simulate, simulate_hour

START = datetime(2026, 3, 3, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUSY = Traffic(mean_per_hour=30_000)
OUTCOMES = {"clicked", "started", "completed", "revenue_dollars"}
CHANGES = {
    "march3": {"days_since_last_interaction", "score", "session_length_seconds", *OUTCOMES},
    "lost_reads": {"sessions_7d"},
    "stale_source": set(),
    "upstream_nulls": {"item_trend_ratio"},
    "new_category": {"device"},
    "new_country": {"country"},
    "concept_drift": OUTCOMES,
    "label_drift": OUTCOMES,
    "click_drop": {"session_length_seconds", *OUTCOMES},
    "feedback_loss": {"clicked", "started", "completed", "outcome_timestamp"},
    "late_outcomes": {"outcome_timestamp"},
    "misscaled_model": {"model_version", "score"},
    "latency_regression": set(),
    "error_burst": set(),
}


def hour_with(*faults, start=START) -> pa.Table:
    return simulate_hour(start, seed=1, faults=faults, traffic=BUSY)


@pytest.fixture(scope="module")
def sound() -> pa.Table:
    return hour_with()


def mean(column) -> float:
    return float(pc.mean(column.cast(pa.float64())).as_py())


def changed_columns(sound: pa.Table, broken: pa.Table) -> set[str]:
    return {name for name in sound.column_names if not sound[name].equals(broken[name])}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_its_columns_and_no_other(sound, name):
    assert changed_columns(sound, hour_with(FAULTS[name](START, 0.3))) == CHANGES[name]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_nothing_after_its_end(sound, name):
    over = FAULTS[name](START - 2 * HOUR, 0.3, START)
    assert changed_columns(sound, hour_with(over)) == set()


def test_a_fault_may_end_within_an_hour():
    rows = hour_with(NewCategory(START, 0.5, START + HOUR / 2))
    hit = rows.filter(pc.equal(rows["device"].cast(pa.string()), "games_console"))["timestamp"]
    assert pc.max(hit).as_py() < START + HOUR / 2


def test_upstream_nulls_empty_a_share_of_the_feature():
    rows = hour_with(UpstreamNulls(START, 0.15))
    assert rows["item_trend_ratio"].null_count / rows.num_rows == pytest.approx(0.15, abs=0.01)


def test_a_new_country_leaves_the_model_right(sound):
    rows = hour_with(NewCountry(START, 0.2))
    new = rows.filter(pc.equal(rows["country"].cast(pa.string()), "NG"))
    assert new.num_rows / rows.num_rows == pytest.approx(0.2, abs=0.01)
    assert mean(new["clicked"]) == pytest.approx(mean(new["score"]), abs=0.015)


def test_a_misscaled_model_is_a_new_version_whose_scores_are_too_low(sound):
    rows = hour_with(MisscaledModel(START + HOUR / 2, 0.6))
    of = {
        version: rows.filter(pc.equal(rows["model_version"].cast(pa.string()), version))
        for version in (MODEL_VERSION, NEXT_MODEL_VERSION)
    }
    assert pc.min(of[NEXT_MODEL_VERSION]["timestamp"]).as_py() >= START + HOUR / 2
    assert mean(of[NEXT_MODEL_VERSION]["score"]) == pytest.approx(0.6 * mean(of[MODEL_VERSION]["score"]), rel=0.05)
    assert rows["clicked"].equals(sound["clicked"])


def test_label_drift_lowers_every_chance_alike(sound):
    rows = hour_with(LabelDrift(START, 0.5))
    score = rows["score"].to_numpy()
    expected = 1 / (1 + np.exp(0.5) * (1 - score) / score)
    assert mean(rows["clicked"]) == pytest.approx(expected.mean(), abs=0.01)
    assert mean(rows["clicked"]) < 0.75 * mean(sound["clicked"])


def test_concept_drift_makes_what_was_liked_most_fall_most(sound):
    rows = hour_with(ConceptDrift(START, 0.5))
    close = pc.greater(sound["embedding_similarity"], 0.24)
    falls = [
        1 - mean(rows["clicked"].filter(which)) / mean(sound["clicked"].filter(which))
        for which in (close, pc.invert(close))
    ]
    assert falls[0] > falls[1] + 0.2


def test_gradual_concept_drift_grows_until_its_end():
    days = timedelta(days=2)
    fault = ConceptDrift(START, 1.0, START + days, gradual=True)
    first, last = (mean(hour_with(fault, start=start)["clicked"]) for start in (START, START + days - HOUR))
    after = mean(hour_with(fault, start=START + days)["clicked"])
    assert last < 0.75 * first
    assert after > 0.9 * first


def test_a_drop_in_clicks_shows_in_no_feature_and_no_score(sound):
    rows = hour_with(ClickDrop(START, 0.2))
    assert mean(rows["clicked"]) == pytest.approx(0.8 * mean(sound["clicked"]), rel=0.05)
    assert rows["score"].equals(sound["score"])


def test_lost_feedback_is_no_outcome_rather_than_no_click(sound):
    rows = hour_with(FeedbackLoss(START, 0.6))
    assert rows["clicked"].null_count / rows.num_rows == pytest.approx(1 - 0.4 * 0.92, abs=0.01)
    assert mean(rows["clicked"]) == pytest.approx(mean(sound["clicked"]), rel=0.1)


def test_late_outcomes_come_after_more_than_a_day():
    rows = hour_with(LateOutcomes(START, 0.01))
    delay = pc.subtract(rows["outcome_timestamp"], rows["timestamp"]).drop_null().cast(pa.int64()).to_numpy()
    assert (delay > 86_400_000).mean() == pytest.approx(0.01, abs=0.004)


def test_faults_of_one_moment_add_up():
    faults = [LatencyRegression(START, 3), ErrorBurst(START, 0.05), StaleSource(START, 1), LatencyRegression(START, 2)]
    found = conditions_at(START, Conditions(error_ratio=0.001), faults)
    assert found == Conditions(0.05, 6.0, frozenset({"item_popularity_features"}))


def test_conditions_are_sound_again_at_the_end():
    sound = Conditions(error_ratio=0.001)
    assert conditions_at(START + HOUR, sound, [ErrorBurst(START, 0.05, START + HOUR)]) == sound


def test_an_end_before_the_start_is_refused():
    with pytest.raises(ValueError, match="not after the start"):
        March3(START, 0.4, START - HOUR)


def test_traffic_grows_by_the_week():
    growing = Traffic(weekly_growth=0.02, since=START)
    week = timedelta(weeks=1)
    assert growing.rate(START + week) == pytest.approx(1.02 * growing.rate(START))
    assert growing.rate(START) == Traffic().rate(START)


def test_a_history_with_growth_is_larger_later():
    growing = Traffic(weekly_growth=0.5, since=START)
    rows = [simulate(start, start + HOUR, seed=1, traffic=growing).num_rows for start in (START, START + 7 * 24 * HOUR)]
    assert rows[1] > 1.4 * rows[0]
