"""Whether what got worse with a fault got better again after its mitigation, and when."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_samples import at

from mlvitals.incidents.analysis.effect import effects_of
from mlvitals.incidents.evidence import LineFacts, Point
from mlvitals.incidents.timeline.times import FaultStart

START = FaultStart(at=at(5), earliest=at(0), latest=at(60), reason="")
MITIGATED = at(200)


def line(values: list[float], first: int = -2) -> LineFacts:
    """A KPI by the hour, whose first interval ends this many hours after the start of the fault."""
    points = tuple(Point(at(60 * (first + number)), value) for number, value in enumerate(values))
    return LineFacts(name="ctr", title="Click-through rate", seconds=3600, points=points, query="q")


def test_the_means_are_those_of_intervals_that_lie_wholly_within():
    before, mixed, during, across, after = [0.20, 0.22, 0.21], [0.18], [0.10, 0.12], [0.15], [0.18, 0.21, 0.22]
    (effect,) = effects_of([line(before + mixed + during + across + after)], START, MITIGATED)
    assert effect.before == pytest.approx(0.21)
    assert effect.during == pytest.approx(0.11)
    assert effect.after == pytest.approx(0.2033, abs=1e-4)
    assert effect.back_at == at(60 * 6)


def test_what_did_not_recover_has_no_time_of_recovery():
    (effect,) = effects_of([line([0.2, 0.2, 0.2, *[0.1] * 6])], START, MITIGATED)
    assert effect.back_at is None


def test_without_points_before_nothing_is_compared():
    (effect,) = effects_of([line([0.1] * 6, first=1)], START, MITIGATED)
    assert (effect.before, effect.back_at) == (None, None)


def test_without_a_start_or_a_mitigation_there_is_no_effect():
    assert effects_of([line([0.1] * 6)], None, MITIGATED) == effects_of([line([0.1] * 6)], START, None) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(-10, 4))
def test_the_recovery_is_after_the_mitigation_and_within_what_was_before(values, first):
    shown = line(values, first)
    (effect,) = effects_of([shown], START, MITIGATED)
    if effect.back_at is not None:
        value = next(point.value for point in shown.points if point.at == effect.back_at)
        before = [point.value for point in shown.points if point.at <= START.earliest]
        assert effect.back_at - timedelta(hours=1) >= MITIGATED
        assert min(before) <= value <= max(before)
