"""Durations as Prometheus writes them."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.spec.durations import Duration, duration, milliseconds, seconds, span


@pytest.mark.parametrize(
    ("written", "length"),
    [("15s", 15), ("5m", 300), ("1h30m", 5400), ("28d", 2_419_200), ("1w", 604_800), ("250ms", 0.25), ("0s", 0)],
)
def test_a_duration_is_so_many_seconds(written: str, length: float):
    assert seconds(written) == length


def test_milliseconds_are_no_minutes():
    assert milliseconds("5ms") == 5
    assert milliseconds("5m") == 300_000


def test_a_length_is_written_with_the_largest_units_first():
    assert duration(5400) == "1h30m"
    assert duration(0.25) == "250ms"
    assert duration(0) == "0s"


@given(st.integers(0, 10**12))
def test_writing_and_reading_a_duration_loses_no_millisecond(length: int):
    assert milliseconds(duration(length / 1000)) == length


def test_a_moment_is_moved_by_a_duration():
    assert datetime(2026, 3, 2, tzinfo=UTC) + span("1d1h500ms") == datetime(2026, 3, 3, 1, 0, 0, 500_000, tzinfo=UTC)


@given(st.integers(0, 10**12))
def test_what_is_written_is_a_duration(length: int):
    assert msgspec.convert(duration(length / 1000), Duration)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1.5h", "-5m", "30m1h", "5m\n", "5M", "1y", "5mm"])
def test_what_prometheus_does_not_read_is_no_duration(text: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Duration)
