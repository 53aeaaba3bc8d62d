"""The history of earlier windows is kept: it is what all windows, gone through anew, would give, whatever happened."""

import dataclasses
import random
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from concept_samples import BEGIN, HOUR, SPEC, gap, hour_report, quiet_gaps, shifted, window
from databases import Database
from gap_history import drift_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import event

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish import histories
from mlvitals.exporters.publish.results import Acceptance, ResultsStore, open_results
from mlvitals.exporters.sections.concept.charts import ChartState
from mlvitals.exporters.sections.concept.report import GapReference, GapSample, PastWindow
from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.window.history import (
    MOST_STRETCHES,
    DriftHistory,
    first_history,
    judge,
    judge_again,
)
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Concept, OutcomeKind, Results, Severity, Spec

QUICK = replace(SPEC, concept=Concept(baseline_windows=30))
"""Charts that learn from as few windows as a spec may say."""
LEARNED = 40
"""Hours after which they watch."""
SAMPLES = quiet_gaps(60, seed=3)
LAW_GIVES = (0.005810966934907156, 0.0, 1.0, 1.2058911436217437, 10.633602797866324, 0.0)
"""Of the history in the test of `LAW`: the baseline's target, variance between windows and stretch, and the charts."""
FAR = BEGIN + 1000 * HOUR


def empty(spec: Spec, version: str = "v1") -> DriftHistory:
    """The history before the first hour."""
    return first_history(spec, version)


def outcomes_of(sample: GapSample) -> OutcomeReport:
    """Outcomes that leave a gap."""
    of = Window(sample.window_start, sample.window_end)
    known = {"predictions": 1000, "answered": 1000, "paired": 1000, "gap": sample.gap, "gap_error": sample.gap_error}
    return OutcomeReport(window=of, kind=OutcomeKind.BINARY, **known)


def found(
    store: ResultsStore, hour: int, *, spec: Spec = QUICK, version: str = "v1", drifts: bool = False, shift: float = 0.0
) -> WindowReport:
    """Judge an hour as a run does, and keep it with what it changes."""
    report = hour_report(hour, version=version, score=Severity.CRITICAL if drifts else None)
    if hour >= 2 and hour % 7:
        report = replace(report, outcomes=outcomes_of(shifted(SAMPLES[hour - 2], shift)))
    history = store.history("shop", empty(spec, version), until=report.window.end)
    report = judge(spec, report, history)
    later = store.reports_after(report, until=FAR)
    since = store.past_windows("shop", version, since=report.window.end)
    store.save(report, changed=judge_again(spec, report, history, since, later))
    return report


def anew(store: ResultsStore, hour: int, *, spec: Spec = QUICK, version: str = "v1") -> DriftHistory:
    """The history of an hour, from all windows before it."""
    report = hour_report(hour, version=version)
    return drift_history(spec, report, store.past_windows("shop", version))


def kept(store: ResultsStore, hour: int, *, spec: Spec = QUICK, version: str = "v1") -> DriftHistory:
    return store.history("shop", empty(spec, version), until=window(hour).end)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results database that knows the hours from which the charts learn."""
    folder = tmp_path_factory.mktemp("learned")
    with closing(open_results(Results(), folder)) as store:
        for hour in range(LEARNED):
            found(store, hour)
    return folder


HOURS = st.integers(LEARNED - 10, 59)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.booleans(), st.sampled_from([0.0, 0.1])),
        st.tuples(st.just("gap")),
        st.tuples(st.just("late"), HOURS, st.booleans()),
        st.tuples(st.just("promote")),
        st.tuples(st.just("forget"), HOURS),
        st.tuples(st.just("accept"), HOURS),
        st.tuples(st.just("another plan")),
        st.tuples(st.just("restart")),
    ),
    min_size=4,
    max_size=16,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.data())
def test_the_history_that_is_kept_is_that_of_all_windows_whatever_happened(
    learned: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]], data: st.DataObject
):
    folder, spec, version, hour = tmp_path_factory.mktemp("kept") / "copy", QUICK, "v1", LEARNED
    copytree(learned, folder)
    store = open_results(Results(), folder)
    for step in steps:
        match step:
            case "next", drifts, shift:
                hour += 1
                found(store, min(hour, 59), spec=spec, version=version, drifts=drifts, shift=shift)
            case ("gap",):
                hour += 1
            case "late", late, drifts:
                found(store, late, spec=spec, version=version, drifts=drifts)
            case ("promote",):
                version = "v2" if version == "v1" else "v1"
            case "forget", until:
                store.forget_before("shop", window(until).start)
            case "accept", since:
                moment = window(since).start
                store.accept_gap("shop", version, Acceptance(moment, accepted_at=moment, author="me", reason="so"))
            case ("another plan",):
                spec = replace(spec, concept=replace(spec.concept, shift=3 - spec.concept.shift))
            case ("restart",):
                store.close()
                store = open_results(Results(), folder)
        at = data.draw(HOURS)
        for looked_at in (at, 60):
            assert kept(store, looked_at, spec=spec, version=version) == anew(
                store, looked_at, spec=spec, version=version
            )
    store.close()


def test_a_late_window_leaves_the_history_that_it_gives_in_its_place(learned: Path, tmp_path: Path):
    in_order, late = ([*range(LEARNED, 50)], [*range(LEARNED, 44), *range(45, 50), 44])
    histories_of = []
    for place, hours in enumerate((in_order, late)):
        copytree(learned, tmp_path / str(place))
        with closing(open_results(Results(), tmp_path / str(place))) as store:
            for hour in hours:
                found(store, hour, shift=0.1 * (hour > 43), drifts=hour in (43, 44))
            histories_of.append(kept(store, 50))
    assert histories_of[0] == histories_of[1]


def count(database: Database) -> int:
    """How many histories are kept."""
    return database.rows("SELECT count(*) FROM drift_gaps WHERE settings IS NOT NULL")[0][0]


def test_what_is_kept_is_the_same_in_both_databases(database: Database):
    with closing(database.open()) as store:
        for hour in range(30):
            found(store, hour, shift=0.05 * (hour > 20), drifts=hour in (12, 13, 25))
        assert kept(store, 30) == anew(store, 30)
        found(store, 11, drifts=True)
        assert kept(store, 30) == anew(store, 30)
    assert count(database) == 12


def rows_read(database: Database, store: ResultsStore, hour: int) -> int:
    """How many earlier windows an hour goes through."""
    after, seen = DriftHistory.after, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DriftHistory, "after", lambda self, past: (seen.append(past), after(self, past))[1])
        kept(store, hour)
    return len(seen)


def test_a_run_goes_through_the_windows_since_the_last_one_and_no_others(database: Database):
    with closing(database.open()) as store:
        for hour in range(40):
            found(store, hour)
        assert rows_read(database, store, 40) == 1
        assert rows_read(database, store, 40) == 0
        found(store, 30)
        assert rows_read(database, store, 40) == 10
        database.rows("UPDATE drift_gaps SET settings = NULL")
        assert rows_read(database, store, 40) == 40


def test_no_more_histories_are_kept_than_late_windows_need(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(histories, "KEPT", 8)
    with closing(database.open()) as store:
        for hour in range(30):
            found(store, hour)
    assert count(database) == 8


def test_long_histories_are_gone_through_in_parts_that_each_are_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(histories, "ROWS_AT_ONCE", 7)
    with closing(database.open()) as store:
        for hour in range(25):
            found(store, hour)
        database.rows("UPDATE drift_gaps SET settings = NULL")
        assert kept(store, 25) == anew(store, 25)
    assert count(database) == 4


def test_a_database_that_is_only_read_is_left_as_it_is(database: Database):
    with closing(database.open()) as store:
        for hour in range(20):
            found(store, hour)
        expected = anew(store, 20)
    before = database.rows("SELECT * FROM drift_gaps ORDER BY window_end")
    with closing(open_results(database.results, database.folder, create=False)) as store:
        assert kept(store, 20) == expected
    assert database.rows("SELECT * FROM drift_gaps ORDER BY window_end") == before
    database.rows("DROP INDEX drift_gaps_with_history")
    for column in ("settings", "history"):
        database.rows(f"ALTER TABLE drift_gaps DROP COLUMN {column}")
    database.rows("UPDATE mlvitals_schema SET version = 2")
    with closing(open_results(database.results, database.folder, create=False)) as store:
        assert kept(store, 20) == expected


@pytest.mark.parametrize("stored", ["", "{}", '{"version": 7}'])
def test_what_is_no_history_is_computed_anew(database: Database, stored: str):
    with closing(database.open()) as store:
        for hour in range(12):
            found(store, hour)
        database.rows("UPDATE drift_gaps SET history = :stored", stored=stored)
        assert kept(store, 12) == anew(store, 12)


@pytest.mark.parametrize("accepted", [False, True])
def test_a_history_that_knows_the_training_data_is_read_as_it_was_written(accepted: bool):
    reference = GapReference(rows=5000, gap=0.004, row_variance=0.1, rarer_share=0.2, windows=40, between=0.001)
    history = first_history(QUICK, "v1", reference)
    if accepted:
        history = history.after(PastWindow(Window(BEGIN, BEGIN), "v1", explains=False, sample=None, accepted=True))
    series = dataclasses.replace(
        history.series,
        learned=tuple(SAMPLES[:3]),
        idle=2,
        refused="so",
        state=ChartState(0.1, 0.2, 0.3),
        last_end=BEGIN,
    )
    kept = dataclasses.replace(history, series=series, explaining=(window(3),), last=window(4))
    assert DriftHistory.from_json(kept.to_json()) == kept
    assert kept.settings == first_history(QUICK, "v1", reference).settings != first_history(QUICK, "v1").settings


def test_drift_that_lasts_without_outcomes_is_one_stretch_however_long():
    history = empty(QUICK)
    for hour in range(500):
        history = history.after(PastWindow(window(hour), "v1", True, None))
    assert history.explaining == (Window(window(0).start, window(499).end),)
    assert history.explained(gap(250, 0.0)).explained
    assert not history.explained(gap(500, 0.0)).explained


def test_drift_that_comes_and_goes_without_outcomes_is_remembered_in_bounded_space():
    history = empty(QUICK)
    for hour in range(6 * MOST_STRETCHES):
        history = history.after(PastWindow(window(hour), "v1", hour % 2 == 0, None))
    assert len(history.explaining) == MOST_STRETCHES
    assert [history.explained(gap(hour, 0.0)).explained for hour in (0, 6 * MOST_STRETCHES - 2)] == [True, True]
    assert not history.explained(gap(6 * MOST_STRETCHES - 1, 0.0)).explained


def test_windows_of_any_lengths_leave_the_stretches_that_they_cover():
    rolled = random.Random(5)
    for _ in range(50):
        history, drifting = empty(QUICK), []
        end = BEGIN
        for _ in range(20):
            end += timedelta(minutes=rolled.randrange(0, 90))
            of = Window(end - timedelta(minutes=rolled.randrange(10, 200)), end)
            drifts = rolled.random() < 0.3
            drifting += [of] if drifts else []
            history = history.after(PastWindow(of, "v1", drifts, None))
        for minute in range(-200, 2000, 10):
            start = BEGIN + timedelta(minutes=minute)
            sample = replace(gap(0, 0.0), window_start=start, window_end=start + timedelta(minutes=10))
            overlapping = any(one.start < sample.window_end and start < one.end for one in drifting)
            assert history.explained(sample).explained == overlapping


def test_the_law_by_which_histories_are_computed_has_a_number_that_changes_with_it():
    history = empty(SPEC)
    for hour, quiet in enumerate(quiet_gaps(130)):
        sample = shifted(quiet, 0.02) if hour > 120 else quiet
        history = history.after(PastWindow(window(hour), "v1", hour in (3, 126), sample))
    baseline, state = history.series.baseline, history.series.state
    values = (baseline.target, baseline.between, baseline.stretch, state.ewma, state.upper, state.lower)
    assert values == pytest.approx(LAW_GIVES, rel=1e-9), "raise window.history.LAW, then change LAW_GIVES"


def test_retention_and_histories_search_by_indices(database: Database):
    statements: list[str] = []
    with closing(database.open()) as store:
        found(store, 0)
        event.listen(store._engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        store.forget_before("shop", BEGIN)
        kept(store, 5)
    if database.results.url.startswith("sqlite"):
        searched = [line for line in statements if line.startswith(("DELETE", "SELECT"))]
        for line in searched:
            plan = plan_of(database, line)
            assert "SCAN" not in plan, (line, plan)


def plan_of(database: Database, statement: str) -> str:
    engine = database.engine()
    try:
        with engine.begin() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("x",) * statement.count("?"))
            return "\n".join(str(row) for row in rows)
    finally:
        engine.dispose()
