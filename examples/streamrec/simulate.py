"""The traffic of StreamRec: the rows of its prediction log for any stretch of time.

A row is one recommended item, with the features the model read, the score it gave, and what the user then did.
The rows of an hour depend on the seed and the hour alone: however a history is cut, it is the same history.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import cos, pi
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from examples.streamrec.faults import DAYS_SINCE, Fault, Requests
from examples.streamrec.population import Column, Floats, Integers, Population, category, population

MODEL_VERSION = "2026.02.3"
NEXT_MODEL_VERSION = "2026.03.0"
FRAMEWORK = "pytorch"
ENDPOINTS = ("/recommend/home", "/recommend/up_next", "/recommend/search")
DEVICES = ("mobile", "tv", "desktop", "tablet")
NETWORKS = ("wifi", "cellular", "ethernet")
SOURCES = (
    "user_batch_features",
    "user_streaming_features",
    "item_batch_features",
    "item_popularity_features",
    "model_embeddings",
)
"""Where the features come from; `specs/streamrec.yaml` says how old each may be."""

_HOUR = timedelta(hours=1)
_WEEK = timedelta(weeks=1)
_HOUR_MS = 3_600_000
_MAX_DAYS = 365
_LOTS = 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many predictions an hour, and how they follow the day and the week.

    The swing of the day is mild because the users live around the world: the default goes from about 4,400 at
    08:00 UTC on a Wednesday to 7,700 at 20:00 on a Saturday. `mean_per_hour` holds at `since`; from there it grows
    by `weekly_growth` a week, and was so much less before.
    """

    mean_per_hour: float = 6_000
    daily_swing: float = 0.22
    weekly_swing: float = 0.06
    weekly_growth: float = 0.0
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def rate(self, moment: datetime) -> float:
        """Expected predictions an hour at a moment."""
        hour = moment.hour + moment.minute / 60
        week = cos(2 * pi * (moment.weekday() + hour / 24 - 5.5) / 7)
        growth: float = (1 + self.weekly_growth) ** ((moment - self.since) / _WEEK)
        rhythm = (1 + self.daily_swing * _evening(hour)) * (1 + self.weekly_swing * week)
        return self.mean_per_hour * growth * rhythm


USUAL = Traffic()


def _evening(hour: float) -> float:
    """How much of an evening an hour of the day is: 1 at 20:00 UTC, -1 at 08:00."""
    return cos(2 * pi * (hour - 20) / 24)


def simulate(
    start: datetime, end: datetime, *, seed: int, faults: Iterable[Fault] = (), traffic: Traffic = USUAL
) -> pa.Table:
    """The log from `start` (included) to `end` (excluded), both aware, sorted by time."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = []
    while hour < end:
        rows = simulate_hour(hour, seed=seed, faults=faults, traffic=traffic)
        hours.append(rows.filter((pc.field("timestamp") >= start) & (pc.field("timestamp") < end)))
        hour += _HOUR
    if not hours:
        raise ValueError(f"the end {end} is not after the start {start}")
    return pa.concat_tables(hours)


def training_table(start: datetime, hours: int, *, seed: int, traffic: Traffic = USUAL) -> pa.Table:
    """The data that trained the model: as many hours of sound traffic, from the hour of `start` on."""
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return simulate(first, first + hours * _HOUR, seed=seed, traffic=traffic)


def simulate_hour(start: datetime, *, seed: int, faults: Iterable[Fault] = (), traffic: Traffic = USUAL) -> pa.Table:
    """The log of the hour that begins at `start`, an aware full hour, sorted by time."""
    start = start.astimezone(UTC)
    if (start.minute, start.second, start.microsecond) != (0, 0, 0):
        raise ValueError(f"{start} is not a full hour")
    start_seconds = int(start.timestamp())
    # An hour's number is part of its seed: hours are independent of each other and of the order they are made in.
    generator = np.random.default_rng((seed, start_seconds // 3600))
    people = population(seed)
    count = generator.poisson(traffic.rate(start + _HOUR / 2))
    milliseconds = 1000 * start_seconds + np.sort(generator.integers(0, _HOUR_MS, count))
    user = people.users.draw(generator, count)
    item = people.items.draw(generator, count)
    # From a generator of its own, so that faults that strike at random leave every other draw alone.
    lot = np.random.default_rng((seed, start_seconds // 3600, _LOTS)).random(count)
    sound, taste = _requests(generator, people, milliseconds // 1000, user, item, _evening(start.hour), lot)
    requests = sound
    for fault in faults:
        requests = fault.apply(requests)
    return pa.table(
        {
            "prediction_id": _prediction_ids(start, count),
            "timestamp": pa.array(milliseconds, pa.timestamp("ms", tz="UTC")),
            "user_id": user,
            "item_id": item,
            "model_version": _model_versions(requests),
            "endpoint": category(generator.choice(3, count, p=(0.6, 0.3, 0.1)), ENDPOINTS),
            "score": requests.scale * _chance(requests, taste),
            **_outcomes(generator, requests, _chance(sound, taste), milliseconds),
            **requests.features,
        }
    )


def _model_versions(requests: Requests) -> Column:
    versions = (MODEL_VERSION, NEXT_MODEL_VERSION) if requests.redeployed.any() else (MODEL_VERSION,)
    return category(requests.redeployed.astype(np.int8), versions)


def _prediction_ids(start: datetime, count: int) -> Column:
    """The hour and a number: ``2026030308-17``."""
    numbers: Any = pa.array(np.arange(count)).cast(pa.string())
    ids: Column = pc.binary_join_element_wise(pa.scalar(f"{start:%Y%m%d%H}"), numbers, pa.scalar("-"))
    return ids


def _requests(
    generator: np.random.Generator,
    people: Population,
    seconds: Integers,
    user: Integers,
    item: Integers,
    evening: float,
    lot: Floats,
) -> tuple[Requests, Floats]:
    """The requests of users for items without a fault, and all the model knows of them except the days since."""
    count = len(seconds)
    similarity = np.tanh(0.25 + 0.3 * generator.standard_normal(count))
    of_user = people.users.features.take(user)
    of_item = people.items.features.take(item)
    features = {
        DAYS_SINCE: pa.array(_days_since(generator, people.activity[user])),
        **dict(zip(of_user.schema.names, of_user.columns, strict=True)),
        **dict(zip(of_item.schema.names, of_item.columns, strict=True)),
        **_session(generator, count, evening),
        **_popularity(generator, people, item),
        "embedding_similarity": pa.array(similarity.astype(np.float32)),
    }
    likes_genre = people.users.genre[user] == people.items.genre[item]
    taste = people.users.appeal[user] + people.items.appeal[item] + 1.2 * (similarity - 0.24) + 0.5 * likes_genre
    return Requests.sound(seconds, people.position[user], lot, features), taste


def _days_since(generator: np.random.Generator, activity: Floats) -> Integers:
    """Full days since the user's last interaction: 0 for half of the rows, months for those who come back."""
    count = len(activity)
    away = generator.random(count) > 1 / (1 + np.exp(0.6 - 0.8 * activity))
    days = np.exp(1.9 - 0.3 * activity + 0.7 * generator.standard_normal(count)).clip(1, _MAX_DAYS)
    months = generator.integers(30, _MAX_DAYS, count, endpoint=True)
    returned = generator.random(count) < 0.02
    return np.where(returned, months, np.where(away, days, 0)).astype(np.int64)


def _session(generator: np.random.Generator, count: int, evening: float) -> dict[str, Column]:
    """Features of the running session; `evening`, -1 to 1, moves some viewers from desks to sofas."""
    impressions = 1 + generator.negative_binomial(2, 0.12, count)
    clicks = generator.binomial(impressions, 0.12)
    seconds = impressions * np.exp(3.2 + 0.6 * generator.standard_normal(count))
    device = generator.choice(4, count, p=(0.46, 0.27 + 0.02 * evening, 0.18 - 0.02 * evening, 0.09))
    network = np.where(device == 1, 2 * (generator.random(count) < 0.3), generator.random(count) < 0.3 * (device == 0))
    return {
        "session_impressions": pa.array(impressions.astype(np.int32)),
        "session_clicks": pa.array(clicks.astype(np.int32)),
        "session_seconds": pa.array(seconds.astype(np.float32)),
        "seconds_since_last_click": pa.array((seconds * generator.random(count)).astype(np.float32), mask=clicks == 0),
        "device": category(device, DEVICES),
        "network": category(network, NETWORKS),
        "autoplay_enabled": pa.array(generator.random(count) < 0.7),
    }


def _popularity(generator: np.random.Generator, people: Population, item: Integers) -> dict[str, Column]:
    """What others did with the item lately: its share of traffic, and chance."""
    share = np.diff(people.items.cumulative, prepend=0)[item]
    views_24h = generator.poisson(100_000 * share)
    trend = np.exp(0.25 * generator.standard_normal(len(item)))
    return {
        "item_views_24h": pa.array(views_24h.astype(np.int32)),
        "item_clicks_1h": pa.array(generator.binomial(views_24h, 0.01).astype(np.int32)),
        "item_trend_ratio": pa.array(trend.astype(np.float32)),
    }


def _chance(requests: Requests, taste: Floats) -> Floats:
    """The model: a logistic function of the features, 0 to 1; without a fault it is the chance of a click.

    It clips the days at a year and gives them little weight: that is why March 3 does not show in the scores.
    """
    days = requests.features[DAYS_SINCE].to_numpy().clip(0, _MAX_DAYS)
    result: Floats = 1 / (1 + np.exp(2.0 - taste + 0.03 * np.log1p(days)))
    return result


def _outcomes(
    generator: np.random.Generator, requests: Requests, chance: Floats, milliseconds: Integers
) -> dict[str, Column]:
    """What the users did. Eight reports in a hundred are lost: no outcome is known, which is not 'no click'."""
    count = len(milliseconds)
    lost = (generator.random(count) < 0.08) | requests.unheard
    clicked = generator.random(count) < _shifted(chance, requests.log_odds) * requests.engagement
    delay_ms = 1000 * np.minimum(np.exp(generator.normal(4.5, 1.3, count)), 80_000) + 1000 * requests.late_seconds
    started = clicked & (generator.random(count) < 0.9)
    completed = generator.random(count) < 0.62 * requests.engagement
    session_ends = generator.random(count) < 0.12
    session_seconds = requests.engagement**0.5 * np.exp(generator.normal(7.0, 0.7, count))
    subscriber = requests.features["is_subscriber"].to_numpy(zero_copy_only=False)
    revenue = clicked * np.where(subscriber, 0.004, 0.02) * generator.gamma(4.0, 0.25, count)
    observed = pa.array((milliseconds + delay_ms).astype(np.int64), mask=lost)
    return {
        "clicked": pa.array(clicked, mask=lost),
        "outcome_timestamp": observed.cast(pa.timestamp("ms", tz="UTC")),
        "started": pa.array(started, mask=lost),
        "completed": pa.array(completed, mask=lost | ~started),
        "session_length_seconds": pa.array(session_seconds, mask=~session_ends),
        "revenue_dollars": pa.array(revenue),
    }


def _shifted(chance: Floats, log_odds: Floats) -> Floats:
    """Chances with something added to their log-odds; exactly the same chances where nothing is added."""
    odds = np.exp(log_odds)
    return np.where(log_odds == 0, chance, odds * chance / (1 - chance + odds * chance))
