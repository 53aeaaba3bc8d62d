"""From reports to the kind of drift: what happened when, although outcomes come late, and what is kept in between."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from concept_samples import BEGIN, DELAY, HOUR, SPEC, feature, gap, hour_report, quiet_gaps, shifted, window
from databases import Database
from gap_history import drift_history
from msgspec.structs import replace

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.sections.features.report import Quality
from mlvitals.exporters.sections.outcomes.report import Figure, OutcomeReport
from mlvitals.exporters.window.history import OutcomeFacts, facts_of, outcome_facts, with_drift_type
from mlvitals.generator.contract import ConceptStatus, DriftKind, Status
from mlvitals.generator.spec.model import AlertPolicy, OutcomeKind, Severity

LEARNED = 110
"""Hours after which the charts watch: the baseline, the delay, and a few more."""
QUIET = quiet_gaps(200)
QUIET_WINDOW = window(0)


class Hours:
    """Measures hour after hour, and keeps what the results database would."""

    def __init__(self, reports=()) -> None:
        self.past = [report.past for report in reports]
        self.reports = [*reports]

    def measure(self, report, sample, **facts):
        history = drift_history(SPEC, report, self.past)
        found = with_drift_type(SPEC, report, sample and OutcomeFacts(sample, **facts), history)
        self.past.append(found.past)
        self.reports.append(found)
        return found

    def quiet(self, first: int, end: int) -> None:
        for hour in range(first, end):
            self.measure(hour_report(hour), QUIET[hour - DELAY] if hour >= DELAY else None)


@pytest.fixture(scope="module")
def learned():
    """The reports of the hours after which the charts watch."""
    hours = Hours()
    hours.quiet(0, LEARNED)
    return tuple(hours.reports)


@pytest.fixture
def hours(learned) -> Hours:
    return Hours(learned)


def kinds(hours: Hours, count: int) -> list[DriftKind]:
    return [report.drift_type.kind for report in hours.reports[-count:]]


def test_quiet_hours_show_no_drift(hours: Hours):
    assert kinds(hours, 4) == [DriftKind.NONE] * 4


def test_hours_before_the_baseline_are_unknown(hours: Hours):
    assert hours.reports[50].drift_type.kind is DriftKind.UNKNOWN
    assert hours.reports[50].concept.status is ConceptStatus.LEARNING


def test_predictions_that_miss_their_outcomes_while_all_else_is_quiet_are_concept_drift(hours: Hours):
    for hour in range(LEARNED, LEARNED + 5):
        hours.measure(hour_report(hour), shifted(QUIET[hour - DELAY], 0.1), ranking_moved=True)
    assert hours.reports[-1].drift_type.kind is DriftKind.CONCEPT
    assert hours.reports[-1].concept.severity is Severity.CRITICAL


def test_a_rate_of_outcomes_that_moved_with_the_ranking_held_is_label_drift(hours: Hours):
    for hour in range(LEARNED, LEARNED + 5):
        sample = shifted(QUIET[hour - DELAY], -0.1)
        hours.measure(hour_report(hour), sample, outcome_rate_moved=True, ranking_moved=False)
    assert hours.reports[-1].drift_type.kind is DriftKind.LABEL


def test_a_broken_feature_is_never_called_concept_drift_neither_while_it_lasts_nor_after(hours: Hours):
    broken = range(LEARNED, LEARNED + 6)
    for hour in range(LEARNED, LEARNED + 20):
        age = feature(Severity.CRITICAL, out_of_range_ratio=0.4) if hour in broken else feature()
        made = hour - DELAY
        sample = shifted(QUIET[made], 0.1) if made in broken else QUIET[made]
        hours.measure(hour_report(hour, age=age), sample)
    assert kinds(hours, 20) == [DriftKind.COVARIATE] * 6 + [DriftKind.NONE] * 14
    assert hours.reports[broken[-1]].concept.severity is not None


def test_a_drift_of_the_relation_that_follows_a_broken_feature_is_seen_all_the_same(hours: Hours):
    for hour in range(LEARNED, LEARNED + 30):
        age = feature(Severity.CRITICAL) if hour < LEARNED + 3 else feature()
        hours.measure(hour_report(hour, age=age), shifted(QUIET[hour - DELAY], 0.1), ranking_moved=True)
    assert hours.reports[-1].drift_type.kind is DriftKind.CONCEPT


def test_a_mis_scaled_model_is_prediction_drift_before_and_after_its_outcomes_are_known(hours: Hours):
    for hour in range(LEARNED, LEARNED + 6):
        made = hour - DELAY
        sample = shifted(QUIET[made], 0.2) if made >= LEARNED else QUIET[made]
        hours.measure(hour_report(hour, score=Severity.CRITICAL), sample)
    assert kinds(hours, 6) == [DriftKind.PREDICTION] * 6


def test_a_new_country_that_is_served_well_is_covariate_and_no_chart_signals(hours: Hours):
    for hour in range(LEARNED, LEARNED + 6):
        hours.measure(hour_report(hour, plan=feature(Severity.CRITICAL)), QUIET[hour - DELAY])
    assert kinds(hours, 6) == [DriftKind.COVARIATE] * 6
    assert {report.concept.severity for report in hours.reports[-6:]} == {None}


def test_lost_feedback_is_unknown(hours: Hours):
    assert hours.measure(hour_report(LEARNED), None).drift_type.kind is DriftKind.UNKNOWN


def test_features_with_too_few_rows_are_not_taken_for_quiet(hours: Hours):
    few = feature(status=Status.INSUFFICIENT_DATA)
    found = hours.measure(hour_report(LEARNED, age=few, plan=few), None)
    assert found.drift_type.evidence.features is None
    assert found.drift_type.kind is DriftKind.UNKNOWN


def test_a_feature_that_went_away_is_broken(hours: Hours):
    gone = feature(status=Status.MISSING_IN_SERVING)
    assert hours.measure(hour_report(LEARNED, age=gone), None).drift_type.evidence.unsound == ("age",)


def test_a_new_reference_version_starts_anew(hours: Hours):
    found = hours.measure(hour_report(LEARNED, version="v2"), QUIET[LEARNED - DELAY])
    assert found.concept.status is ConceptStatus.LEARNING
    assert found.concept.baseline_windows == 0  # its predictions were made before the version's first window


def test_measuring_an_hour_again_changes_nothing(hours: Hours):
    again = with_drift_type(
        SPEC,
        hour_report(LEARNED - 1),
        OutcomeFacts(QUIET[LEARNED - 1 - DELAY]),
        drift_history(SPEC, hour_report(LEARNED - 1), hours.past),
    )
    assert again == hours.reports[-1]


def test_a_system_without_outcomes_has_a_kind_and_no_charts():
    log = type(SPEC.prediction_log)(path="log", score="score")
    spec = type(SPEC)(version=1, system=SPEC.system, prediction_log=log, features=SPEC.features)
    report = hour_report(0)
    found = with_drift_type(spec, report, None, drift_history(spec, report, ()))
    assert (found.concept, found.drift_type.kind) == (None, DriftKind.UNKNOWN)


@pytest.mark.parametrize(
    ("shift", "loss", "expected"),
    [
        (None, None, (None, None)),
        (Measure(value=0.3, critical_value=0.1, severity=Severity.WARNING), None, (True, None)),
        (Measure(value=0.01, critical_value=0.1), Measure(value=0.01, critical_value=0.02), (False, False)),
        (None, Measure(value=0.05, critical_value=0.02), (None, True)),
    ],
)
def test_what_is_not_known_of_outcomes_stays_not_known(shift, loss, expected):
    facts = outcome_facts(QUIET[0], rate_shift=shift, ranking_loss=loss)
    assert (facts.outcome_rate_moved, facts.ranking_moved) == expected


# ---------------------------------------------------------------- in the results database


@pytest.fixture
def store(database: Database) -> Iterator[ResultsStore]:
    with closing(database.open()) as opened:
        yield opened


def test_what_is_kept_gives_the_same_history_after_a_restart(store: ResultsStore):
    short = Hours()
    short.quiet(0, 12)
    for report in short.reports:
        store.save(report)
    assert store.past_windows("shop", "v1") == short.past


def test_a_window_saved_again_is_kept_once(store: ResultsStore):
    short = Hours()
    short.quiet(0, 3)
    for report in (*short.reports, short.reports[-1]):
        store.save(report)
    assert len(store.past_windows("shop", "v1")) == 3


def test_the_baseline_outlives_the_retention_as_long_as_its_reference_is_in_use(store: ResultsStore):
    short = Hours()
    short.quiet(0, 5)
    short.measure(hour_report(5, version="v2"), gap(3, 0.0))
    for report in short.reports:
        store.save(report)
    store.forget_before("shop", BEGIN + 4 * HOUR)
    assert len(store.past_windows("shop", "v1")) == 5
    store.forget_before("shop", BEGIN + 6 * HOUR + timedelta(seconds=-1))
    assert store.past_windows("shop", "v1") == []


# ---------------------------------------------------------------- what is said, and what is not


def said_of(**features: object):
    """What an hour of these features says, before any outcome."""
    report = hour_report(0, **features)
    return with_drift_type(SPEC, report, None, drift_history(SPEC, report, ())).drift_type


OUT = Measure(value=0.012, critical_value=0.001, severity=Severity.WARNING)


def test_a_few_values_beyond_the_reference_s_maximum_do_not_look_broken():
    older = Quality(minimum=18.0, maximum=95.0, range_excess=0.01)
    found = said_of(age=feature(Severity.WARNING, out_of_range_ratio=0.012, out_of_range_increase=OUT, quality=older))
    assert found.evidence.unsound == ()
    assert "broken" not in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"out_of_range_increase": replace(OUT, value=0.06)},
        {"out_of_range_increase": OUT, "quality": Quality(range_excess=3.0)},
        {"null_rate": 0.06},
        {"quality": Quality(infinite_ratio=0.02)},
        {"status": Status.TYPE_MISMATCH},
    ],
    ids=["a large share", "far out", "nulls", "infinite", "another type"],
)
def test_a_large_share_a_distance_nulls_and_infinities_do(changes):
    found = said_of(age=feature(Severity.WARNING, **changes))
    assert found.evidence.unsound == ("age",)
    assert found.reason.startswith("The inputs changed, and look broken: age")


@pytest.mark.parametrize(
    "changes",
    [
        {"null_rate": 0.0003, "null_rate_increase": Measure(value=0.0003, critical_value=0.002)},
        {"quality": Quality(range_excess=11.0)},
        {"quality": Quality(infinite_ratio=0.0003)},
    ],
    ids=["a null", "an extreme", "an infinity"],
)
def test_a_single_bad_value_is_a_fault_of_its_row_and_no_drift(changes):
    spec = replace(SPEC, alerts=replace(SPEC.alerts, range_excess=AlertPolicy(warning=10)))
    report = hour_report(0, age=feature(Severity.WARNING, **changes))
    found = with_drift_type(spec, report, None, drift_history(spec, report, ())).drift_type
    assert found.evidence.features == ()
    assert found.kind is not DriftKind.COVARIATE


def test_nulls_of_a_required_feature_are_drift_where_they_are_more_than_chance():
    more = Measure(value=0.03, critical_value=0.002)
    assert said_of(age=feature(Severity.WARNING, null_rate=0.03, null_rate_increase=more)).kind is DriftKind.COVARIATE


def test_scores_that_turned_null_have_moved():
    null = replace(hour_report(0).score, severity=Severity.CRITICAL, null_rate=0.5)
    report = replace(hour_report(0), score=null)
    found = with_drift_type(SPEC, report, None, drift_history(SPEC, report, ())).drift_type
    assert found.kind is DriftKind.PREDICTION


def test_values_that_the_spec_calls_impossible_look_broken_however_near_they_are():
    spec = replace(SPEC, features={**SPEC.features, "age": replace(SPEC.features["age"], minimum=0)})
    negative = feature(Severity.WARNING, out_of_range_increase=OUT, quality=Quality(minimum=-1.0, range_excess=0.01))
    report = hour_report(0, age=negative)
    found = with_drift_type(spec, report, None, drift_history(spec, report, ())).drift_type
    assert found.evidence.unsound == ("age",)


def test_features_that_were_not_compared_are_not_said_to_have_stayed():
    found = said_of(plan=feature(status=Status.INSUFFICIENT_DATA))
    assert found.reason.startswith("Inputs and scores stayed, plan not compared.")


def test_of_less_than_half_of_the_features_nothing_is_said_of_the_inputs():
    thin = feature(status=Status.INSUFFICIENT_DATA)
    assert said_of(plan=thin, city=thin).kind is DriftKind.UNKNOWN


@pytest.mark.parametrize(
    ("loss", "words"), [(True, "it does harm"), (False, "no loss is seen"), (None, "one by one is not known")]
)
def test_harm_is_said_of_a_loss_and_of_no_mere_shift_of_the_mean(hours: Hours, loss: bool | None, words: str):
    for hour in range(LEARNED, LEARNED + 5):
        drifted = hour_report(hour, age=feature(Severity.CRITICAL))
        hours.measure(drifted, shifted(QUIET[hour - DELAY], 0.1), loss=loss)
    assert words in hours.reports[-1].drift_type.reason


def outcomes_with(kind: OutcomeKind, **changes: object) -> OutcomeReport:
    of = {"window": QUIET_WINDOW, "kind": kind, "gap": 0.1, "gap_error": 0.01, "paired": 1000}
    return OutcomeReport(**of, **changes)


def test_a_loss_is_a_rise_of_the_error_beyond_chance():
    def loss(value: float) -> bool | None:
        measure = Measure(value=value, critical_value=0.1)
        return facts_of(outcomes_with(OutcomeKind.CONTINUOUS, performance_loss=measure)).loss

    assert (loss(0.2), loss(0.04), loss(-0.17)) == (True, False, False)
    assert facts_of(outcomes_with(OutcomeKind.CONTINUOUS)).loss is None


def test_a_loss_of_binary_outcomes_is_a_rise_of_the_brier_score():
    worse, better = (Figure(value=value, reference=0.1) for value in (0.12, 0.09))
    assert facts_of(outcomes_with(OutcomeKind.BINARY, performance={"brier": worse})).loss is True
    assert facts_of(outcomes_with(OutcomeKind.BINARY, performance={"brier": better})).loss is False
    assert facts_of(outcomes_with(OutcomeKind.BINARY)).loss is None
