"""The clock is wrong: nothing is lost, doubled or deleted."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest
from exporter_samples import HOUR, NOON
from lab import DAY, MINUTE, YEAR, Lab, later, predictions, write_parquet

from mlvitals.generator.spec.model import Results, Windows

Happens = Callable[[str], None]


@pytest.mark.fault("clock", "two years ahead for a while, with a retention of 400 days", "nothing is deleted")
def test_a_clock_two_years_ahead_deletes_nothing(lab: Lab, happens: Happens) -> None:
    lab.replace(results=Results(retention="400d"))
    exporter = lab.start()
    lab.pass_hours(exporter, -1, 0, 1)
    lab.clock.now += 2 * YEAR
    exporter.run_due()
    lab.pass_hours(exporter, 2, 3)
    happens(lab.audit(exporter, besides=later))
    happens(lab.audit(lab.start(), besides=later))


@pytest.mark.fault(
    "clock", "two years ahead, and rows written by the same clock, with a retention of 400 days", "nothing is deleted"
)
def test_rows_of_a_clock_that_is_ahead_confirm_nothing(lab: Lab, happens: Happens) -> None:
    lab.replace(results=Results(retention="400d"))
    exporter = lab.start()
    lab.pass_hours(exporter, -1, 0, 1)
    lab.clock.now += 2 * YEAR
    write_parquet(predictions(lab.clock.now - 65 * MINUTE), lab.folder / "log" / "future.parquet")
    exporter.run_due()
    assert lab.kept()[max(lab.kept())] > 0
    lab.pass_hours(exporter, 2, 3)
    happens(lab.audit(exporter, besides=later))


@pytest.mark.fault("clock", "two years ahead and back", "windows that fell due meanwhile are measured")
@pytest.mark.parametrize("restarts", [False, True])
def test_windows_that_fell_due_while_the_clock_was_ahead_are_measured(
    lab: Lab, restarts: bool, happens: Happens
) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1, 0)
    lab.clock.now += 2 * YEAR
    exporter.run_due()
    lab.write(1, 2, 3)
    lab.at(4)
    exporter = lab.start() if restarts else exporter
    exporter.run_due()
    happens(lab.audit(exporter, besides=later))


@pytest.mark.fault("clock", "set right in the middle of a batch that catches up on a wrong time", "the batch ends")
def test_a_batch_of_a_wrong_time_ends_when_the_clock_is_right(lab: Lab, happens: Happens) -> None:
    lab.replace(windows=Windows(catch_up=1000))
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    right = lab.clock.now
    looked = 0

    def clock() -> datetime:
        nonlocal looked
        looked += 1
        return right if looked > 12 else right + YEAR

    exporter._clock = clock
    exporter.run_due()
    assert len(lab.kept()) < 8
    exporter._clock = lab.clock
    lab.pass_hours(exporter, 0)
    happens(lab.audit(exporter, besides=lambda end: end > NOON + 9 * DAY))


@pytest.mark.fault("clock", "90 minutes ahead and back", "a window measured before it was over is measured again")
def test_a_window_that_was_measured_too_early_is_measured_again(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.clock.now += 90 * MINUTE
    exporter.run_due()
    assert lab.kept()[NOON + HOUR] == 0
    lab.at(0.2)
    exporter.run_due()
    lab.pass_hours(exporter, 0, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault("clock", "two years ahead and back", "windows that fell due meanwhile are measured")
def test_nothing_remains_of_a_clock_that_was_ahead(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.pass_hours(exporter, -1)
    lab.clock.now += 2 * YEAR
    exporter.run_due()
    assert max(lab.kept()) > NOON + YEAR
    lab.pass_hours(exporter, 0)
    happens(lab.audit(exporter))


@pytest.mark.slow
@pytest.mark.fault("clock", "six hours behind, in a running process", "no window is measured twice, none is left out")
def test_a_clock_that_is_hours_behind_measures_nothing_twice(lab: Lab, happens: Happens) -> None:
    exporter = lab.start()
    lab.write(*range(-9, -1))
    lab.at(-8)
    for hour in range(-8, 1):
        lab.at(hour)
        exporter.run_due()
    before = lab.kept()
    for hour in (-6, -5, -4):
        lab.at(hour)
        exporter.run_due()
    assert lab.kept() == before
    lab.pass_hours(exporter, 0, 1)
    happens(lab.audit(exporter))


@pytest.mark.fault("clock", "at 1970 when a process starts", "the page shows what is kept; nothing is measured")
def test_a_clock_at_1970_measures_nothing(lab: Lab, happens: Happens) -> None:
    lab.pass_hours(lab.start(), -1)
    right, lab.clock.now = lab.clock.now, datetime.fromtimestamp(0, NOON.tzinfo) + DAY
    exporter = lab.start()
    exporter.run_due()
    happens(lab.audit(exporter))
    lab.clock.now = right
    lab.pass_hours(exporter, 0)
    happens(lab.audit(exporter))


@pytest.mark.slow
@pytest.mark.fault("clock", "set to and fro at random, within days", "nothing is lost or doubled")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.endurance) for seed in range(1, 10))])
def test_a_clock_set_to_and_fro(lab: Lab, seed: int, happens: Happens) -> None:
    import random

    jumps = random.Random(seed)
    lab.replace(results=Results(retention="400d"))
    exporter = lab.start()
    for hour in range(-1, 12):
        lab.write(hour)
        lab.at(hour + 1)
        right = lab.clock.now
        lab.clock.now += jumps.choice([0, 0, 1, -1]) * jumps.choice([20 * MINUTE, 3 * HOUR, 9 * DAY, 3 * YEAR])
        exporter.run_due()
        exporter = lab.start() if jumps.random() < 0.3 else exporter
        lab.clock.now = right
        exporter.run_due()
    lab.pass_hours(exporter, 12, 13)
    happens(lab.audit(exporter, besides=lambda end: end > NOON + 14 * HOUR or end < NOON))


def test_without_a_wrong_clock_what_is_past_its_retention_is_forgotten(lab: Lab) -> None:
    lab.spec = msgspec.structs.replace(lab.spec, results=Results(retention="5h"))
    exporter = lab.start()
    lab.pass_hours(exporter, *range(-1, 12))
    assert sorted(lab.kept()) == [NOON + hour * HOUR for hour in range(7, 13)]
    assert lab.total() == sum(lab.clicks.values())
