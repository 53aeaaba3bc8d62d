"""What a benchmark found, and how it measures time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """Our measurement beside another's; what could not be measured says why."""

    subject: str
    ours: float | None
    other: str
    theirs: float | None
    unit: str = "s"
    target: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by theirs: below 1 is less time or memory."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None


def best_of(rounds: int, *tasks: Callable[[], object], clock: Callable[[], float] = perf_counter) -> list[float]:
    """The shortest of a few runs of each task, in seconds: the one the machine disturbed least.

    The tasks take turns, so that a disturbance that lasts meets them alike. On one core `clock` should be
    `time.process_time`: other programs then count only as far as they empty the caches.
    """
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, taken in zip(tasks, times, strict=True):
            start = clock()
            task()
            taken.append(clock() - start)
    return [min(taken) for taken in times]


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
