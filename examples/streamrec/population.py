"""Who uses StreamRec and what it recommends: fixed users and items, drawn once from a seed.

What is known of a user or an item stays the same for all time. Rows differ because different users meet
different items at different moments, which keeps every feature's distribution the same from hour to hour:
any drift that is measured comes from a fault.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Column: TypeAlias = "pa.Array[Any]"

USERS = 20_000
ITEMS = 3_000

COUNTRIES = (
    "US", "BR", "IN", "MX", "DE", "GB", "FR", "JP", "ES", "CA",
    "IT", "PL", "AU", "AR", "NL", "SE", "CO", "KR", "TR", "PT",
)  # fmt: skip
LANGUAGES = ("en", "es", "pt", "hi", "de", "fr", "ja")
GENRES = ("drama", "comedy", "documentary", "crime", "animation", "romance", "science_fiction", "sport", "music")
PLANS = ("free", "basic", "standard", "premium")


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Users or items.

    `features` has a row for each; `cumulative` is the running share of traffic, up to 1; `appeal` is what each
    adds to the logit of a click; `genre` is the position in `GENRES` of what a user likes or an item is.
    """

    features: pa.RecordBatch
    cumulative: Floats
    appeal: Floats
    genre: Integers

    def draw(self, generator: np.random.Generator, count: int) -> Integers:
        """Draw row numbers by share of traffic, independently."""
        return np.searchsorted(self.cumulative, generator.random(count), side="right").astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Everyone and everything.

    `position` places each user in [0, 1) so that the users below a share s make the share s of the traffic.
    """

    users: Catalogue
    items: Catalogue
    position: Floats
    activity: Floats


@cache
def population(seed: int) -> Population:
    """The users and items of a seed."""
    generator = np.random.default_rng(seed)
    activity = generator.standard_normal(USERS)
    users = _users(generator, activity)
    return Population(users, _items(generator), _positions(generator, users), activity)


def _users(generator: np.random.Generator, activity: Floats) -> Catalogue:
    """Users; the active ones come more often, watch longer and click more."""
    plan = np.clip(np.digitize(activity + generator.standard_normal(USERS), (0.2, 0.9, 1.9)), 0, 3)
    genre = zipf(generator, len(GENRES), 0.7, USERS)
    sessions_7d = generator.poisson(3.0 * np.exp(0.5 * activity))
    sessions_30d = sessions_7d + generator.poisson(9.0 * np.exp(0.5 * activity))
    watch_seconds_7d = sessions_7d * np.exp(7.0 + 0.4 * generator.standard_normal(USERS))
    completion = generator.beta(4.0, 3.0, USERS)
    clicks = generator.beta(2.0, 12.0, USERS)
    features = pa.record_batch(
        {
            "account_age_days": np.minimum(generator.exponential(700.0, USERS), 4000).astype(np.int32),
            "user_age_years": pa.array(
                np.clip(generator.normal(36.0, 13.0, USERS), 13, 90).astype(np.int32),
                mask=generator.random(USERS) < 0.15,
            ),
            "country": category(zipf(generator, len(COUNTRIES), 1.0, USERS), COUNTRIES),
            "preferred_language": category(zipf(generator, len(LANGUAGES), 1.0, USERS), LANGUAGES),
            "favourite_genre": category(genre, GENRES),
            "subscription_plan": category(plan, PLANS),
            "is_subscriber": plan > 0,
            "notifications_enabled": generator.random(USERS) < 0.58,
            "sessions_7d": sessions_7d.astype(np.int32),
            "sessions_30d": sessions_30d.astype(np.int32),
            "watch_seconds_7d": watch_seconds_7d.astype(np.float32),
            "mean_session_seconds_30d": np.exp(7.1 + 0.5 * generator.standard_normal(USERS)).astype(np.float32),
            "completion_rate_30d": pa.array(completion.astype(np.float32), mask=sessions_30d < 4),
            "click_rate_30d": clicks.astype(np.float32),
            "distinct_genres_30d": (1 + generator.binomial(len(GENRES) - 1, completion)).astype(np.int32),
            "user_embedding_norm": generator.gamma(60.0, 0.02, USERS).astype(np.float32),
        }
    )
    appeal = 0.25 * activity + 5.0 * (clicks - clicks.mean()) + 0.1 * (plan > 0)
    weight = np.exp(0.7 * activity)
    return Catalogue(features, np.cumsum(weight / weight.sum()), appeal, genre)


def _items(generator: np.random.Generator) -> Catalogue:
    """Items in order of popularity; the popular ones are shown more and liked more."""
    share = np.arange(1, ITEMS + 1) ** -0.7
    share /= share.sum()
    popularity = np.log(share * ITEMS)
    genre = zipf(generator, len(GENRES), 0.5, ITEMS)
    age_days = np.minimum(generator.exponential(400.0, ITEMS), 3000)
    completion = generator.beta(6.0, 4.0, ITEMS)
    features = pa.record_batch(
        {
            "item_age_days": age_days.astype(np.int32),
            "item_release_year": (2025 - generator.geometric(0.18, ITEMS).clip(max=40)).astype(np.int32),
            "item_duration_seconds": np.exp(generator.normal(7.9, 0.6, ITEMS)).astype(np.float32),
            "item_genre": category(genre, GENRES),
            "item_language": category(zipf(generator, len(LANGUAGES), 1.2, ITEMS), LANGUAGES),
            "item_is_original": generator.random(ITEMS) < 0.22,
            "item_mean_rating": pa.array(
                (1 + 4 * generator.beta(7.0, 3.0, ITEMS)).astype(np.float32), mask=generator.random(ITEMS) < 0.08
            ),
            "item_completion_rate_7d": completion.astype(np.float32),
            "item_embedding_norm": generator.gamma(45.0, 0.025, ITEMS).astype(np.float32),
        }
    )
    appeal = 0.15 * popularity + 1.5 * (completion - completion.mean())
    return Catalogue(features, np.cumsum(share), appeal, genre)


def _positions(generator: np.random.Generator, users: Catalogue) -> Floats:
    """Line the users up at random, each taking the room of their share of traffic."""
    share = np.diff(users.cumulative, prepend=0)
    order = generator.permutation(USERS)
    position = np.empty(USERS)
    position[order] = np.cumsum(share[order]) - share[order]
    return position


def zipf(generator: np.random.Generator, levels: int, exponent: float, count: int) -> Integers:
    """Draw level numbers from 0, level k with a share proportional to (k + 1) ** -exponent."""
    share = np.arange(1, levels + 1) ** -exponent
    return generator.choice(levels, count, p=share / share.sum())


def category(codes: NDArray[np.integer], levels: tuple[str, ...]) -> Column:
    """A categorical column from level numbers."""
    return pa.DictionaryArray.from_arrays(codes.astype(np.int8), pa.array(levels))
