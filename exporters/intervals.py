"""Where a true share lies, given how often something happened."""

from math import sqrt

from exporters.outcome_report import Interval

CONFIDENCE = 1.959963984540054
"""Standard errors to either side that hold 95 % of a normal law."""


def wilson_interval(hits: float, count: int) -> Interval | None:
    """The interval of a share (Wilson 1927), 95 %: sound also near 0 and 1; None without rows."""
    if not count:
        return None
    z2 = CONFIDENCE * CONFIDENCE
    share = hits / count
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = CONFIDENCE * sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return Interval(low=max(0.0, centre - reach), high=min(1.0, centre + reach))
