"""The pages that a real stack scrapes in an exercise: the history's values, at the time of the history that it is now."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlvitals.evaluation.history import Steps
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.load import parse_spec
from mlvitals.incidents.tabletop.stack import CompressedTime, HistoryPages, StackError, find_programs

START = datetime(2026, 3, 3, 8, tzinfo=UTC)
STEP = timedelta(minutes=5)
FACTOR = 60.0
SPEC = compress_time(
    parse_spec(
        """\
version: 1
system: {name: shop}
prediction_log: {path: log}
sources: {batch: {max_age: 6h, path: x}}
features: {age: {source: batch}}
"""
    ),
    FACTOR,
)
ORIGIN = datetime(2026, 11, 28, 12, tzinfo=UTC)
BATCH = frozenset({("feature_source", "batch")})


def page(series: dict, after: timedelta, producer: Producer = Producer.EXPORTER, monkeypatch=None) -> dict:
    """The samples of a page so long after the start of the history."""
    clock = CompressedTime(ORIGIN, START, FACTOR)
    pages = HistoryPages(SPEC, Steps(START, START + 10 * STEP, STEP), clock)
    pages.show(
        {Contract(SPEC).name(name): {labels: np.array(values, float)} for name, (labels, values) in series.items()}
    )
    monkeypatch.setattr(CompressedTime, "now", lambda _: START + after)
    text = pages.page(producer).text.decode()
    return {
        sample.name.removeprefix("shop_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_gauge_holds_until_the_next_step_and_is_absent_where_it_has_no_value(monkeypatch):
    series = {"window_rows": (frozenset(), [1, 2, np.nan, *[4] * 8])}
    assert page(series, 1.5 * STEP, monkeypatch=monkeypatch) == {"window_rows": 2}
    assert page(series, 2.5 * STEP, monkeypatch=monkeypatch) == {}


def test_a_counter_grows_evenly_between_steps(monkeypatch):
    series = {"predictions_total": (frozenset({("model_version", "1")}), [0, 100, 300, *[300] * 8])}
    for producer, expected in ((Producer.SERVING, {"predictions_total": 150}), (Producer.EXPORTER, {})):
        assert page(series, 1.25 * STEP, producer, monkeypatch) == expected


def test_a_time_is_that_of_the_clock_and_an_age_as_much_shorter(monkeypatch):
    moment = START + timedelta(minutes=30)
    series = {
        "window_end_timestamp_seconds": (frozenset(), [moment.timestamp()] * 11),
        "data_freshness_seconds": (BATCH, [3600] * 11),
        "data_freshness_max_age_seconds": (BATCH, [6 * 3600] * 11),
    }
    shown = page(series, STEP, monkeypatch=monkeypatch)
    assert shown["window_end_timestamp_seconds"] == (ORIGIN + timedelta(seconds=30)).timestamp()
    assert shown["data_freshness_seconds"] == 60
    assert shown["data_freshness_max_age_seconds"] == 360


def test_labels_are_escaped(monkeypatch):
    odd = 'a"b\\c\nd'
    series = {"drift_psi": (frozenset({("feature_name", odd)}), [0.5] * 11)}
    assert page(series, STEP, monkeypatch=monkeypatch) == {"drift_psi": 0.5}


def test_time_is_the_same_there_and_back():
    clock = CompressedTime(ORIGIN, START, FACTOR)
    assert clock.played(ORIGIN + timedelta(seconds=60)) == START + timedelta(hours=1)
    assert clock.wall(clock.played(ORIGIN + timedelta(seconds=7))) == ORIGIN + timedelta(seconds=7)


def test_a_program_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if "alertmanager" in name else f"/usr/bin/{name}")
    with pytest.raises(StackError, match="--stack needs alertmanager on PATH"):
        find_programs()


def test_a_counter_never_falls_when_a_fault_is_ended_between_two_steps(monkeypatch):
    name, labels = Contract(SPEC).name("prediction_errors_total"), frozenset({("model_version", "1")})
    pages = HistoryPages(SPEC, Steps(START, START + 10 * STEP, STEP), CompressedTime(ORIGIN, START, FACTOR))
    served = []

    def ask(after: timedelta) -> None:
        monkeypatch.setattr(CompressedTime, "now", lambda _: START + after)
        (line,) = pages.page(Producer.SERVING).text.decode().splitlines()
        served.append(float(line.split()[-1]))

    pages.show({name: {labels: np.array([0, 100, 200, *[300] * 8], float)}})
    ask(1.5 * STEP)
    pages.show({name: {labels: np.array([0, 100, 100, 110, *[200] * 7], float)}})
    for steps in (1.5, 2.5, 3.25, 3.5, 4):
        ask(steps * STEP)
    assert served == [150, 150, 150, 150, 155, 200]
