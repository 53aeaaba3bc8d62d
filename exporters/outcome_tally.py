"""What was found of a window's predictions and outcomes so far: counts and sums that grow partition by partition."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exporters.moments import NO_MOMENTS, Moments
from exporters.outcome_join import NO_COUNTS, Counts, Joined
from exporters.performance import PerformanceTally, moments_of
from exporters.segment_outcomes import SegmentOutcomes


@dataclass(slots=True)
class OutcomeTally:
    """Everything that figures of outcomes are made of."""

    performance: PerformanceTally
    segments: SegmentOutcomes
    counts: Counts = NO_COUNTS
    observed: Moments = NO_MOMENTS
    """Of the outcomes."""
    predicted: Moments = NO_MOMENTS
    """Of the answered predictions that have a value."""
    errors: Moments = NO_MOMENTS
    """Of prediction less outcome."""
    _delays: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, joined: Joined) -> None:
        """Add one partition."""
        answered = ~np.isnan(joined.labels)
        values = joined.predictions["value"]
        known = ~np.isnan(values)
        paired = answered & known
        self.counts += joined.counts
        self.observed = self.observed.merge(moments_of(joined.labels[answered]))
        self.predicted = self.predicted.merge(moments_of(values[paired]))
        self.errors = self.errors.merge(moments_of(values[paired] - joined.labels[paired]))
        self._delays.append(joined.delays[answered].astype(np.float32))
        self.performance.add(joined.predictions[known], joined.labels[known])
        self.segments.add(joined)

    def delays(self) -> NDArray[np.float32]:
        """Seconds from each answered prediction to its outcome; nothing where outcomes have no time."""
        delays = np.concatenate([np.empty(0, np.float32), *self._delays])
        known: NDArray[np.float32] = delays[~np.isnan(delays)]
        return known
