"""What can go wrong with StreamRec, as values: each says from when to when, and how much.

A fault changes rows after they were drawn and draws nothing itself, so that a run with a fault and one without
differ by the fault alone. Some faults touch no row: they slow the service, or stop a source.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from examples.streamrec.population import Column, Floats, Integers
from mlvitals.evaluation.faults.edits import nulled, relabelled, replaced

DAYS_SINCE = "days_since_last_interaction"
SESSIONS = "sessions_7d"
SIMILARITY = "embedding_similarity"
_DAY_SECONDS = 86_400

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests before the model has seen them; all arrays run parallel.

    `seconds` is the Unix time of each; `position` places its user in [0, 1), so that those below
    s make the share s of the traffic; `lot` is drawn evenly from [0, 1) for each request; `features` are the
    columns the model will read; `engagement` multiplies the chance that the user clicks what the model finds
    clickable, `log_odds` is added to that chance's log-odds; `scale` multiplies the model's score; `redeployed`
    marks what the next version of the model answers; `unheard` marks whose outcome never reaches the log, and
    `late_seconds` is added to the outcome's delay.
    """

    seconds: Integers
    position: Floats
    lot: Floats
    features: dict[str, Column]
    engagement: Floats
    log_odds: Floats
    scale: Floats
    redeployed: Flags
    unheard: Flags
    late_seconds: Floats

    @classmethod
    def sound(cls, seconds: Integers, position: Floats, lot: Floats, features: dict[str, Column]) -> "Requests":
        """Requests without any fault."""
        count = len(seconds)
        never = np.zeros(count, bool)
        zeros, ones = np.zeros(count), np.ones(count)
        return cls(seconds, position, lot, features, ones, zeros, ones, never, never, zeros)

    def with_feature(self, name: str, column: Column) -> "Requests":
        """These requests with another column in place of a feature."""
        return replace(self, features={**self.features, name: column})


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the service and its sources are at a moment."""

    error_ratio: float
    latency_factor: float = 1.0
    stale_sources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong from `start` (included) to `end` (excluded; None: for ever).

    What `strength` measures is each fault's own: mostly a share, 0 to 1.

    Raises:
        ValueError: the strength or the times make no sense.
    """

    start: datetime
    strength: float
    end: datetime | None = None

    strongest: ClassVar[float] = 1.0
    """The largest strength that makes sense; 1 where it is a share."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not 0 <= self.strength <= self.strongest:
            what = "share of affected traffic" if self.strongest == 1 else "strength"
            raise ValueError(f"the {what} is {self.strength}; give a number from 0 to {self.strongest:g}")
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"the {name} {moment} has no time zone; write 2026-03-03T00:00Z for UTC")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"the end {self.end} is not after the start {self.start}")

    @property
    def share(self) -> float:
        """The strength, where it is a share of the traffic."""
        return self.strength

    def is_on(self, moment: datetime) -> bool:
        """Whether it is wrong at a moment."""
        return self.start <= moment and (self.end is None or moment < self.end)

    def on(self, seconds: Integers) -> Flags:
        """Of Unix times, which lie within."""
        begun = seconds >= self.start.timestamp()
        return begun if self.end is None else begun & (seconds < self.end.timestamp())

    def apply(self, requests: Requests) -> Requests:
        """The requests as the fault leaves them."""
        return requests

    def worsen(self, conditions: Conditions) -> Conditions:
        """The conditions as the fault leaves them while it is on."""
        return conditions

    def _of_users(self, requests: Requests) -> Flags:
        """Requests of certain users, who make the share `strength` of the traffic."""
        return self.on(requests.seconds) & (requests.position < self.strength)

    def _at_random(self, requests: Requests) -> Flags:
        """A share `strength` of the requests, whoever they are of."""
        return self.on(requests.seconds) & (requests.lot < self.strength)


def conditions_at(moment: datetime, sound: Conditions, faults: Iterable[Fault]) -> Conditions:
    """What the faults that are on at a moment leave of the conditions."""
    active = (fault for fault in faults if fault.is_on(moment))
    return reduce(lambda conditions, fault: fault.worsen(conditions), active, sound)


# ---------------------------------------------------------------- the data


STALE_ENGAGEMENT = 0.70
"""Users served stale content click 30 % less: at a share of 40 % the click-through rate falls by 12 %."""


@dataclass(frozen=True, slots=True)
class March3(Fault):
    """The reference incident: a feature changes its unit for some users, who make the share `strength` of the traffic.

    `days_since_last_interaction` of these users is the Unix timestamp of their last interaction
    instead of the number of days since. The model clips its input at 365 days and leans little on it, so the
    scores hardly move, every answer is valid and nothing fails: the incident is silent at the model's output. The
    users get content chosen for somebody who was away for a year, and click 30 % less. What fewer clicks later do
    to other features is left out, so that exactly one feature drifts.
    """

    def apply(self, requests: Requests) -> Requests:
        """Change the affected users' requests."""
        hit = self._of_users(requests)
        days = requests.features[DAYS_SINCE].to_numpy()
        last_interaction = requests.seconds - _DAY_SECONDS * days - (_DAY_SECONDS * requests.position).astype(np.int64)
        column = replaced(requests.features[DAYS_SINCE], hit, pa.array(last_interaction))
        changed = requests.with_feature(DAYS_SINCE, column)
        return replace(changed, engagement=np.where(hit, STALE_ENGAGEMENT * requests.engagement, requests.engagement))


@dataclass(frozen=True, slots=True)
class LostReads(Fault):
    """The feature store does not answer for some users, who make the share `strength`, and serving takes a default.

    `sessions_7d` of these users is 0 in the log, while offline it is recomputed rightly. Zero is a
    value like others, so that a small share is no drift: only a comparison with the offline value shows it.
    """

    def apply(self, requests: Requests) -> Requests:
        """Change the affected users' requests."""
        sessions = requests.features[SESSIONS]
        nothing: Any = pa.scalar(0, sessions.type)
        return requests.with_feature(SESSIONS, replaced(sessions, self._of_users(requests), nothing))


@dataclass(frozen=True, slots=True)
class UpstreamNulls(Fault):
    """An upstream job leaves a feature out for a share of the requests, which then carry null."""

    feature: str = "item_trend_ratio"

    def apply(self, requests: Requests) -> Requests:
        """Empty the feature of the affected requests."""
        column = nulled(requests.features[self.feature], self._at_random(requests))
        return requests.with_feature(self.feature, column)


@dataclass(frozen=True, slots=True)
class NewCategory(Fault):
    """A feature takes a value that was never seen in training, in a share of the requests."""

    feature: str = "device"
    value: str = "games_console"

    def apply(self, requests: Requests) -> Requests:
        """Give the affected requests the new value."""
        column = relabelled(requests.features[self.feature], self._at_random(requests), self.value)
        return requests.with_feature(self.feature, column)


@dataclass(frozen=True, slots=True)
class NewCountry(NewCategory):
    """StreamRec opens in a new country, which makes a share of the requests: a benign covariate shift.

    The model knows nothing of the country and needs not to: what its people like, it predicts as well as before.
    """

    feature: str = "country"
    value: str = "NG"


# ---------------------------------------------------------------- the users


@dataclass(frozen=True, slots=True)
class ConceptDrift(Fault):
    """Users no longer like what they liked: the same features no longer mean the same click.

    What is close to a user's taste pleases less from now on, by `strength` in the log-odds of a click at a typical
    closeness and more at a higher one. With `gradual` it grows evenly from the start to the end, and is gone then.
    """

    gradual: bool = False

    strongest: ClassVar[float] = 5.0
    typical_similarity: ClassVar[float] = 0.24

    def apply(self, requests: Requests) -> Requests:
        """Change what the users do; the log's features and the scores stay as they were."""
        similarity = requests.features[SIMILARITY].to_numpy()
        fall = self._reached(requests.seconds) * (1 + 3 * (similarity - self.typical_similarity))
        return replace(requests, log_odds=requests.log_odds - fall)

    def _reached(self, seconds: Integers) -> Floats:
        if not self.gradual or self.end is None:
            return np.where(self.on(seconds), self.strength, 0.0)
        length = (self.end - self.start).total_seconds()
        grown: Floats = np.clip((seconds - self.start.timestamp()) / length, 0, 1)
        reached: Floats = self.strength * grown * self.on(seconds)
        return reached


@dataclass(frozen=True, slots=True)
class LabelDrift(Fault):
    """Everybody clicks less, whatever is shown: the log-odds of a click fall by `strength` alike for all.

    The order in which the model ranks stays right; its chances are too high.
    """

    strongest: ClassVar[float] = 5.0

    def apply(self, requests: Requests) -> Requests:
        """Change what the users do."""
        return replace(requests, log_odds=requests.log_odds - self.strength * self.on(requests.seconds))


@dataclass(frozen=True, slots=True)
class ClickDrop(Fault):
    """Users engage less by the share `strength`, for a cause that no data of the model shows.

    A redesign that hides the button, say. Features and scores are as they were.
    """

    def apply(self, requests: Requests) -> Requests:
        """Change what the users do."""
        factor = np.where(self.on(requests.seconds), 1 - self.strength, 1.0)
        return replace(requests, engagement=requests.engagement * factor)


# ---------------------------------------------------------------- the outcomes' way back


@dataclass(frozen=True, slots=True)
class FeedbackLoss(Fault):
    """The pipeline that brings outcomes back loses a share of them; the users do what they always did."""

    def apply(self, requests: Requests) -> Requests:
        """Let no outcome of the affected requests be heard of."""
        return replace(requests, unheard=requests.unheard | self._at_random(requests))


@dataclass(frozen=True, slots=True)
class LateOutcomes(Fault):
    """A share of the outcomes comes a day late: after the longest delay that counts."""

    def apply(self, requests: Requests) -> Requests:
        """Delay the outcomes of the affected requests."""
        late = np.where(self._at_random(requests), float(_DAY_SECONDS), 0.0)
        return replace(requests, late_seconds=requests.late_seconds + late)


# ---------------------------------------------------------------- the model and the service


@dataclass(frozen=True, slots=True)
class MisscaledModel(Fault):
    """A new version of the model is deployed whose scores are `strength` times what they should be."""

    strongest: ClassVar[float] = 1.0

    def apply(self, requests: Requests) -> Requests:
        """Let the new version answer."""
        hit = self.on(requests.seconds)
        scale = np.where(hit, self.strength * requests.scale, requests.scale)
        return replace(requests, scale=scale, redeployed=requests.redeployed | hit)


@dataclass(frozen=True, slots=True)
class StaleSource(Fault):
    """A source of features is no longer updated; what it delivered last goes on being used."""

    source: str = "item_popularity_features"

    def worsen(self, conditions: Conditions) -> Conditions:
        """Name the source."""
        return replace(conditions, stale_sources=conditions.stale_sources | {self.source})


@dataclass(frozen=True, slots=True)
class LatencyRegression(Fault):
    """Every stage of a request takes `strength` times as long."""

    strongest: ClassVar[float] = 1000.0

    def worsen(self, conditions: Conditions) -> Conditions:
        """Slow the service."""
        return replace(conditions, latency_factor=self.strength * conditions.latency_factor)


@dataclass(frozen=True, slots=True)
class ErrorBurst(Fault):
    """A share `strength` of the requests fails."""

    def worsen(self, conditions: Conditions) -> Conditions:
        """Let more requests fail."""
        return replace(conditions, error_ratio=max(self.strength, conditions.error_ratio))


FAULTS: dict[str, type[Fault]] = {
    "march3": March3,
    "lost_reads": LostReads,
    "stale_source": StaleSource,
    "upstream_nulls": UpstreamNulls,
    "new_category": NewCategory,
    "new_country": NewCountry,
    "concept_drift": ConceptDrift,
    "label_drift": LabelDrift,
    "click_drop": ClickDrop,
    "feedback_loss": FeedbackLoss,
    "late_outcomes": LateOutcomes,
    "misscaled_model": MisscaledModel,
    "latency_regression": LatencyRegression,
    "error_burst": ErrorBurst,
}
"""Every fault by the name under which people switch it on."""
