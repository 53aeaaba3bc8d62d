"""An hour of July's real flights against June: what conditioning on the hour of day takes away, and what it leaves."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from examples.flights.data import FEATURES, read_flights
from mlvitals.exporters.parts import FindingKind, Window
from mlvitals.exporters.sections.features.drift import WindowCounts
from mlvitals.exporters.statistics.distances import psi, psi_critical_value
from mlvitals.exporters.statistics.profile import profile_column
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import report_on
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import Condition, Spec

pytestmark = pytest.mark.slow
JUNE, JULY = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNTED = {FindingKind.NULL_RATE, FindingKind.REQUIRED_NULL_RATE, FindingKind.OUT_OF_RANGE_RATIO}
"""What is found by counting, in however few rows: the rules alert on it. Nothing that is compared is found."""
NIGHT_AND_DAY = tuple(JULY + number * HOUR for number in range(31 * 24))


@cache
def flights() -> tuple[pa.Table, np.ndarray]:
    table = read_flights().combine_chunks()
    return table, table["timestamp"].cast(pa.int64()).to_numpy() // 1000


def between(start: datetime, end: datetime) -> pa.Table:
    table, seconds = flights()
    first, last = np.searchsorted(seconds, [start.timestamp(), end.timestamp()])
    return table.slice(first, last - first)


class Alarms(NamedTuple):
    """By feature, in how many of July's hours PSI is above 0.25."""

    plain: Counter[str]
    gated: Counter[str]
    """Above its critical value too."""
    busy: Counter[str]
    """In hours with 50 flights or more."""


def hourly(spec: Spec, condition: Condition) -> Iterator[tuple[str, float, float, WindowReport]]:
    """Of every hour with flights and every feature: PSI, its critical value, and the report of the hour."""
    settings = msgspec.structs.replace(spec.reference, condition=condition, bins=10)
    spec = msgspec.structs.replace(spec, reference=settings)
    reference = build_reference(spec, between(JUNE, JULY), created=JULY, source_hash="June")
    for start in NIGHT_AND_DAY:
        window, rows = Window(start, start + HOUR), between(start, start + HOUR)
        profiles = {name: profile_column(rows[name], known.cells) for name, known in reference.features.items()}
        counted = WindowCounts(window=window, profiles=profiles)
        report = report_on(spec, reference, "June", counted, rows=rows.num_rows, measured_at=window.end)
        for name, known in reference.features.items():
            before = known.cells.fold(reference.counts_for(known, window))
            now = known.cells.fold(profiles[name].counts)
            if before.any() and now.any():
                critical = psi_critical_value(int(before.sum()), int(now.sum()), int(np.count_nonzero(before)))
                yield name, psi(before, now).value, critical, report


def alarms(spec: Spec, condition: Condition) -> Alarms:
    found = Alarms(Counter(), Counter(), Counter())
    for name, value, critical, report in hourly(spec, condition):
        found.plain[name] += value > 0.25
        found.gated[name] += value > max(0.25, critical)
        found.busy[name] += value > 0.25 and report.rows >= 50
        assert {item.kind for item in report.found_in("features", name)} <= COUNTED
        assert report.features[name].status is Status.INSUFFICIENT_DATA
    return found


@pytest.fixture(scope="module")
def all_hours(flights: Spec) -> Alarms:
    return alarms(flights, Condition.NONE)


@pytest.fixture(scope="module")
def same_hour(flights: Spec) -> Alarms:
    return alarms(flights, Condition.HOUR_OF_DAY)


def test_against_all_hours_every_hour_has_another_schedule(all_hours: Alarms):
    assert all_hours.plain["sched_dep_minute"] > 550
    assert all_hours.gated["sched_dep_minute"] > 450
    assert sum(all_hours.plain[name] for name in ("carrier", "dest", "distance", "origin")) > 400


def test_in_hours_with_enough_flights_the_time_of_day_always_differs_and_the_distance_hardly_ever(
    all_hours: Alarms, same_hour: Alarms
):
    """The 375 of 750 that this project was designed by: 375 hours of July have 50 flights, and two features are counted."""
    assert sum(between(start, start + HOUR).num_rows >= 50 for start in NIGHT_AND_DAY) == 375
    assert all_hours.busy["sched_dep_minute"] == 375
    assert all_hours.busy["distance"] < 10
    assert same_hour.busy["sched_dep_minute"] == same_hour.busy["distance"] == 0


def test_against_the_same_hour_and_its_noise_the_schedule_stands_still(same_hour: Alarms):
    assert {name: same_hour.gated[name] for name in FEATURES if name != "dep_delay"} == dict.fromkeys(
        (name for name in FEATURES if name != "dep_delay"), 0
    )


def test_what_is_left_are_hours_in_which_flights_were_late(all_hours: Alarms, same_hour: Alarms):
    """An hour's flights share the same storm: departure delays do differ from June's in about one hour of eleven."""
    assert same_hour.gated["dep_delay"] < all_hours.gated["dep_delay"] / 2
    assert same_hour.gated["dep_delay"] < 75
