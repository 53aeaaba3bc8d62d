"""Input series of promtool tests: samples, at every step, of what an `Input` says."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

from mlvitals.generator.promql import number, series
from mlvitals.generator.signals.signal import Input


def whole(time: float, step: int) -> int:
    """Return the first step at or after a time, in seconds."""
    return step * ceil(time / step)


def input_series(phases: Sequence[Input], starts: Sequence[int], step: int, end: int) -> dict[str, str]:
    """Return a series of a test from its input in each phase, the phases starting at `starts`."""
    return {"series": series(phases[0].metric, phases[0].labels), "values": _values(phases, starts, step, end)}


def _values(phases: Sequence[Input], starts: Sequence[int], step: int, end: int) -> str:
    """Return the samples of a series until `end`, given as its input in each phase; in promtool ``1x3`` is four samples."""
    first = phases[0]
    if first.slope:
        return _growing(first, step, end // step)
    begins = [starts[0] if first.change else 0, *starts[1:], end + step]
    stretches = [(first.value, begins[0])] if first.change else []
    stretches += [
        (item.change[1] if item.change else item.value, until - since)
        for item, (since, until) in zip(phases, pairwise(begins), strict=True)
    ]
    return " ".join(f"{number(value)}x{length // step - 1}" for value, length in stretches)


def _growing(item: Input, step: int, steps: int) -> str:
    """Return the samples of a series that grows at one pace, for that many steps after the first sample."""
    sign, each = "+" if item.slope > 0 else "-", number(abs(item.slope * step))
    if not item.restarts or steps < 2:
        return f"{number(item.value)}{sign}{each}x{steps}"
    before = steps // 2
    return f"0+{each}x{before} {each}+{each}x{steps - before - 1}"
