"""The effect of a mitigation: whether what got worse with the fault got better again, and when. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from mlvitals.incidents.evidence import LineFacts, Point
from mlvitals.incidents.timeline.times import FaultStart


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The means of one metric; None where no point lies wholly within."""

    title: str
    before: float | None
    """Before the fault."""
    during: float | None
    """From the start of the fault to the mitigation."""
    after: float | None
    """After the mitigation."""
    back_at: datetime | None
    """The end of the first interval after the mitigation whose value is within what it was before the fault."""


def effects_of(lines: Iterable[LineFacts], start: FaultStart | None, mitigated: datetime | None) -> tuple[Effect, ...]:
    """Return the effect on each metric; nothing where the start of the fault or its mitigation is unknown."""
    if start is None or mitigated is None:
        return ()
    return tuple(_effect(line, start, mitigated) for line in lines if line.points)


def _effect(line: LineFacts, start: FaultStart, mitigated: datetime) -> Effect:
    length = timedelta(seconds=line.seconds)
    before = [point for point in line.points if point.at <= start.earliest]
    during = [point for point in line.points if start.latest <= point.at - length and point.at <= mitigated]
    after = [point for point in line.points if mitigated <= point.at - length]
    usual = [point.value for point in before]
    back = [point.at for point in after if usual and min(usual) <= point.value <= max(usual)]
    return Effect(
        title=line.title,
        before=_mean(before),
        during=_mean(during),
        after=_mean(after),
        back_at=min(back, default=None),
    )


def _mean(points: Sequence[Point]) -> float | None:
    return sum(point.value for point in points) / len(points) if points else None
