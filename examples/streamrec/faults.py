"""What can go wrong with StreamRec, as values: each says from when, and how much.

A fault changes rows after they were drawn and draws nothing itself, so that a run with a fault and one without
differ by the fault alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np
import pyarrow as pa

from examples.streamrec.population import Column, Floats, Integers

DAYS_SINCE = "days_since_last_interaction"
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests before the model has seen them; all arrays run parallel.

    `seconds` is the Unix time of each; `position` places its user in [0, 1), so that those below
    s make the share s of the traffic; `features` are the columns the model
    will read; `engagement` multiplies the chance that the user clicks what the model finds clickable.
    """

    seconds: Integers
    position: Floats
    features: dict[str, Column]
    engagement: Floats


class Fault(Protocol):
    """A change to the requests."""

    def apply(self, requests: Requests) -> Requests:
        """The requests as the fault leaves them."""
        ...


STALE_ENGAGEMENT = 0.70
"""Users served stale content click 30 % less: at a share of 40 % the click-through rate falls by 12 %."""


@dataclass(frozen=True, slots=True)
class March3:
    """The reference incident: a feature changes its unit for some users, who make `share` of the traffic.

    From `start` on, `days_since_last_interaction` of these users is the Unix timestamp of their last interaction
    instead of the number of days since. The model clips its input at 365 days and leans little on it, so the
    scores hardly move, every answer is valid and nothing fails: the incident is silent at the model's output. The
    users get content chosen for somebody who was away for a year, and click 30 % less. What fewer clicks later do
    to other features is left out, so that exactly one feature drifts.
    """

    start: datetime
    share: float

    def __post_init__(self) -> None:
        """Raise ValueError where the fault makes no sense."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"the share of affected traffic is {self.share}; give a number from 0 to 1")
        if self.start.tzinfo is None:
            raise ValueError(f"the start {self.start} has no time zone; write 2026-03-03T00:00Z for UTC")

    def apply(self, requests: Requests) -> Requests:
        """Change the affected users' requests."""
        hit = (requests.seconds >= self.start.timestamp()) & (requests.position < self.share)
        days = requests.features[DAYS_SINCE].to_numpy()
        last_interaction = requests.seconds - _DAY_SECONDS * days - (_DAY_SECONDS * requests.position).astype(np.int64)
        return replace(
            requests,
            features={**requests.features, DAYS_SINCE: pa.array(np.where(hit, last_interaction, days))},
            engagement=np.where(hit, STALE_ENGAGEMENT * requests.engagement, requests.engagement),
        )


SESSIONS = "sessions_7d"


@dataclass(frozen=True, slots=True)
class LostReads:
    """The feature store does not answer for some users, who make `share` of the traffic, and serving takes a default.

    From `start` on, `sessions_7d` of these users is 0 in the log, while offline it is recomputed rightly. Zero is a
    value like others, so that a small share is no drift: only a comparison with the offline value shows it.
    """

    start: datetime
    share: float

    def apply(self, requests: Requests) -> Requests:
        """Change the affected users' requests."""
        hit = (requests.seconds >= self.start.timestamp()) & (requests.position < self.share)
        sessions = requests.features[SESSIONS].to_numpy()
        lost = pa.array(np.where(hit, 0, sessions).astype(sessions.dtype))
        return replace(requests, features={**requests.features, SESSIONS: lost})
