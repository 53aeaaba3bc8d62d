"""Running totals: once for each step, never falling, whatever happens to the process or to old windows."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import msgspec
import pytest
from databases import Database
from event_samples import HOUR, MINUTE, NOON, SPEC, window, window_report

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.sections.events.report import EventCount, EventsReport
from mlvitals.exporters.sections.events.totals import TotalsInMemory
from mlvitals.exporters.window.history import with_totals

CLICKS = "shop_clicks_total"


@pytest.fixture
def store(database: Database) -> Iterator[ResultsStore]:
    with closing(database.open()) as opened:
        yield opened


def step(end: datetime, length: timedelta = HOUR) -> Window:
    return Window(end - length, end)


def add(store: ResultsStore, end: datetime, amount: float, length: timedelta = HOUR, counter: str = CLICKS) -> float:
    """Count a step; gives the total at its end."""
    return store.count_step("shop", step(end, length), {counter: amount})[counter].total


def total(store: ResultsStore) -> float:
    return store.event_totals("shop", [CLICKS])[CLICKS]


def counted(end: datetime, amount: float) -> EventsReport:
    return EventsReport(step=step(end), window=window(end), rows=1, events={"clicks": EventCount(amount=amount)})


def test_a_total_is_the_sum_of_the_steps_up_to_its_own(store: ResultsStore):
    assert [add(store, NOON + hour * HOUR, 10) for hour in range(3)] == [10, 20, 30]
    assert add(store, NOON, 10) == 10
    assert total(store) == 30


def test_a_step_that_is_measured_again_counts_once(store: ResultsStore, database: Database):
    for _ in range(3):
        add(store, NOON, 10)
    assert total(store) == 10
    assert database.count("business_events") == 1


def test_late_events_of_a_step_that_is_measured_again_raise_its_total(store: ResultsStore):
    add(store, NOON, 10)
    assert add(store, NOON, 12) == 12


def test_a_step_that_has_fewer_events_when_measured_again_keeps_those_counted_and_says_so(store: ResultsStore):
    add(store, NOON, 10)
    again = store.count_step("shop", step(NOON), {CLICKS: 4})[CLICKS]
    assert again.total == 10
    assert again.remark == "not lowered: 10 were counted when this step was measured before"


def test_a_lost_step_that_is_measured_later_is_added(store: ResultsStore):
    add(store, NOON, 10)
    add(store, NOON + 2 * HOUR, 10)
    add(store, NOON + HOUR, 5)
    assert total(store) == 25


def test_time_that_was_counted_in_another_step_is_not_counted_again(store: ResultsStore):
    add(store, NOON, 10)
    halves = [
        store.count_step("shop", step(NOON - back, HOUR / 2), {CLICKS: 5})[CLICKS] for back in (HOUR / 2, 0 * HOUR)
    ]
    assert {half.remark for half in halves} == {"not added: a part of this time was counted in another step"}
    assert total(store) == 10
    assert add(store, NOON + HOUR / 2, 5, HOUR / 2) == 15


def test_counters_and_systems_have_totals_of_their_own(store: ResultsStore):
    add(store, NOON, 10)
    add(store, NOON, 3, counter="shop_revenue_euros_total")
    store.count_step("other", step(NOON), {CLICKS: 99})
    assert store.event_totals("shop", [CLICKS, "shop_revenue_euros_total", "shop_new_total"]) == {
        CLICKS: 10,
        "shop_revenue_euros_total": 3,
        "shop_new_total": 0,
    }


def test_sums_of_cents_are_exact_in_whatever_order(store: ResultsStore):
    for hour in range(30):
        add(store, NOON + hour * HOUR, 0.1)
    assert total(store) == 3.0


def test_a_total_may_outgrow_64_bits_and_stays_when_it_is_folded(store: ResultsStore, database: Database):
    """A revenue in dong: a row holds 9.2e12 of them."""
    for hour in range(4):
        add(store, NOON + hour * HOUR, 6e12)
    assert total(store) == 24e12
    store.forget_before("shop", NOON + 9 * HOUR)
    assert total(store) == 24e12
    assert database.count("business_events") == 4
    assert add(store, NOON + 9 * HOUR, 1) == 24e12 + 1


def test_a_step_that_no_row_can_hold_is_cut_and_says_so(store: ResultsStore):
    found = store.count_step("shop", step(NOON), {CLICKS: 1e15})[CLICKS]
    assert found.total == pytest.approx(9.22e12, rel=1e-3)
    assert found.remark == "cut to 9.223e+12, the most that a step can hold"


# ---------------------------------------------------------------- retention


def test_what_is_forgotten_stays_in_the_total(store: ResultsStore, database: Database):
    for hour in range(6):
        add(store, NOON + hour * HOUR, 10)
    for moment in (NOON + 3 * HOUR, NOON + 5 * HOUR, NOON + 5 * HOUR):
        store.forget_before("shop", moment)
        assert total(store) == 60
    assert database.count("business_events") == 2
    assert add(store, NOON + 6 * HOUR, 10) == 70


def test_a_forgotten_step_that_is_measured_again_is_not_added(store: ResultsStore):
    for hour in range(3):
        add(store, NOON + hour * HOUR, 10)
    store.forget_before("shop", NOON + 2 * HOUR)
    add(store, NOON, 10)
    add(store, NOON + HOUR, 10)
    assert total(store) == 30


def test_forgetting_leaves_other_systems_alone(store: ResultsStore, database: Database):
    for hour in range(2):
        store.count_step("other", step(NOON + hour * HOUR), {CLICKS: 1})
    store.forget_before("shop", NOON + 9 * HOUR)
    assert database.count("business_events") == 2


KILLED_WHILE_FORGETTING = """
import os, sys
from datetime import datetime
from pathlib import Path
import msgspec
from sqlalchemy import event
from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.spec.model import Results

store = open_results(msgspec.json.decode(sys.argv[2], type=Results), Path(sys.argv[1]))

@event.listens_for(store._engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.startswith("DELETE FROM business_events"):
        os.kill(os.getpid(), 9)

store.forget_before("shop", datetime.fromisoformat(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_process_killed_while_it_forgets_changes_no_total(store: ResultsStore, database: Database):
    for hour in range(4):
        add(store, NOON + hour * HOUR, 10)
    arguments = (str(database.folder), msgspec.json.encode(database.results), (NOON + 3 * HOUR).isoformat())
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_FORGETTING, *arguments], check=False)
    assert killed.returncode == -9
    assert total(store) == 40
    assert database.count("business_events") == 4


COUNTED_BY_MANY = """
import sys
from pathlib import Path
import msgspec
from mlvitals.exporters.window.report import Window
from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.spec.model import Results

store = open_results(msgspec.json.decode(sys.argv[2], type=Results), Path(sys.argv[1]))
print("ready", flush=True)
for step in msgspec.json.decode(sys.stdin.read(), type=list[Window]):
    store.count_step("shop", step, {"shop_clicks_total": 10.0})
"""


@pytest.mark.slow
def test_processes_that_count_the_same_steps_at_once_count_each_once(database: Database):
    arguments = [sys.executable, "-c", COUNTED_BY_MANY, database.folder, msgspec.json.encode(database.results)]
    counters = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    steps = msgspec.json.encode([step(NOON + hour * HOUR) for hour in range(10)])
    for counter in counters:
        counter.stdout.readline()
        counter.stdin.write(steps)
    for counter in counters:  # all at once, on a database that has no tables yet
        counter.stdin.close()
    for counter in counters:
        assert counter.wait(timeout=60) == 0
        counter.stdout.close()
    with closing(database.open()) as store:
        assert total(store) == 100


# ---------------------------------------------------------------- reports


def test_a_report_gets_the_totals_at_the_end_of_its_step():
    totals = TotalsInMemory()
    reports = [with_totals(SPEC, window_report(counted(end, 7), end), totals) for end in (NOON, NOON + HOUR)]
    assert [report.events.events["clicks"].total for report in reports] == [7, 14]


@pytest.mark.parametrize(
    "changes",
    [
        {"window": window(NOON + 30 * MINUTE)},
        {"window": Window(NOON - HOUR, NOON)},
        {"measured_at": NOON - MINUTE},
    ],
    ids=["off the steps", "of another length", "not over yet"],
)
def test_a_window_that_is_none_of_the_exporters_counts_into_no_total(changes: dict[str, object]):
    report = window_report(counted(NOON, 7), **changes)
    assert with_totals(SPEC, report, TotalsInMemory()) == report


def test_distinct_values_have_no_total():
    found = msgspec.structs.replace(counted(NOON, 7), events={"shown_items": EventCount(amount=3)})
    report = with_totals(SPEC, window_report(found), TotalsInMemory())
    assert report.events.events["shown_items"].total is None


def test_a_report_with_events_comes_back_as_it_was(store: ResultsStore):
    report = with_totals(SPEC, window_report(counted(NOON, 7)), store)
    store.save(report)
    assert store.last_report("shop") == report
