"""The reference artifact: the baseline, as cells and counts made from the data that trained the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from math import sqrt
from typing import Literal

import msgspec
import numpy as np

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.columns import Counts
from mlvitals.exporters.reference.conditions import condition_weights
from mlvitals.exporters.reference.confusion import Confusion
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.dependence import INDEPENDENT, GroupEffect
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import Condition, FeatureType, OutcomeKind, Spec


class ErrorBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """Prediction minus outcome over equal intervals of the training data, oldest first: how much windows vary."""

    seconds: float
    """Length of an interval."""
    counts: tuple[int, ...]
    """Rows with a prediction and an outcome. Intervals with few of them are left out."""
    means: tuple[float, ...]
    errors: tuple[float, ...]
    """Standard error of each mean; by groups where rows depend by groups."""


class OutcomeReference(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of the training data, and what the model's own predictions of them are worth.

    Predictions of rows that the model was trained on are better than those of new ones: data that were held out give
    the fairer reference.
    """

    kind: OutcomeKind
    rows: int
    answered: int
    """Rows with a valid outcome."""
    observed: Moments
    """Of the outcomes."""
    errors: Moments = NO_MOMENTS
    """Of prediction minus outcome; of classes, of whether they differ."""
    figures: dict[str, float | None] = {}
    """As `mlvitals.exporters.sections.outcomes.performance` names them."""
    quality: float | None = None
    quality_error: float | None = None
    quality_parts: Moments = NO_MOMENTS
    """Of what the quality is the mean of, see `Performance.parts`; references built before it have none."""
    blocks: ErrorBlocks | None = None
    """None where the training data have no time, cover too little of it, or the reference was built before it."""
    group_effect: float = 1.0
    """The factor on the variance of the mean error because rows of a group depend on each other."""
    class_labels: dict[str, int] = {}
    """For outcomes that are classes, how many of each there are; they have no moments of their own."""
    confusion: Confusion | None = None

    @property
    def feedback_rate(self) -> float | None:
        """Return the share of rows with an outcome; None where all have one, for then those without were left out."""
        return self.answered / self.rows if self.answered < self.rows else None

    @property
    def unit(self) -> float:
        """Return the standard deviation of the outcomes; of classes, of whether they were predicted right."""
        return sqrt(self.errors.variance if self.kind is OutcomeKind.MULTICLASS else self.observed.variance)


class SegmentReference(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline of one segment."""

    rows: int
    scores: dict[str, tuple[int, ...]] = {}
    """By condition key, the scores per cell of the score."""
    errors: Moments = NO_MOMENTS
    """Of prediction minus outcome."""


REFERENCE_SCHEMA = "mlvitals.reference/1"
"""Name and version of the artifact's form; a change that breaks a reader raises the number."""


class ArtifactError(UserError):
    """A stored reference cannot be used; the message says which, why and what to do."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a feature's finite values, for people; each None where it is undefined.

    Quantiles, the median among them, are values that occur: the smallest with at least that share below or at it.
    """

    distinct: int
    mean: float | None = None
    std: float | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quantiles: dict[str, float] = {}
    """By percent: "1", "5", "25", "50", "75", "95", "99"."""


class FeatureReference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The baseline of one feature."""

    cells: Cells
    counts: dict[str, tuple[int, ...]]
    """By condition key, the counts per fine interval or level."""
    nulls: int
    nans: int
    infinities: int
    summary: Summary
    moments: dict[str, Moments] = {}
    """By condition key, of the finite values; empty where a sum overflows."""
    group_effect: GroupEffect = INDEPENDENT
    """Where rows depend by `prediction_log.group`."""

    @property
    def type(self) -> FeatureType:
        """Return the feature's type when the reference was built."""
        return self.cells.type

    @cached_property
    def total(self) -> Counts:
        """Return counts over all rows."""
        return sum(self._by_key.values(), start=np.zeros(self.cells.size, np.int64))

    @property
    def missing(self) -> int:
        """Return how many rows are null or NaN."""
        return self.nulls + self.nans

    @cached_property
    def rows(self) -> int:
        """Return how many rows there are, with and without a value."""
        return int(self.total.sum()) + self.missing

    @property
    def null_rate(self) -> float | None:
        """Return the share of rows that are null or NaN; None without rows."""
        return self.missing / self.rows if self.rows else None

    def weighted(self, weights: Mapping[str, float]) -> Counts:
        """Return counts over the rows of some condition keys, weighted by key; keys without rows add nothing.

        Rows that weigh differently say less than as many equal ones. The counts are scaled to sum to the effective
        sample size (Kish 1965, (sum of w)^2 / sum of w^2 over the rows), so that critical values hold for them.

        Args:
            weights: by condition key, at most 1. Where all are 1, the result is the plain sum.
        """
        return weighted_counts(self._by_key, weights, self.cells.size)

    @cached_property
    def _by_key(self) -> dict[str, Counts]:
        return {key: np.array(counts, np.int64) for key, counts in self.counts.items()}

    def weighted_moments(self, weights: Mapping[str, float]) -> Moments:
        """Return the moments over the rows of some condition keys, weighed as `weighted` does."""
        return Moments.mixed((self.moments[key], weight) for key, weight in weights.items() if key in self.moments)


def weighted_counts(by_key: Mapping[str, Counts], weights: Mapping[str, float], size: int) -> Counts:
    """Return counts by condition key as one, see `FeatureReference.weighted`."""
    present = [(by_key[key], weight) for key, weight in weights.items() if key in by_key]
    mixed = sum((weight * counts for counts, weight in present), start=np.zeros(size))
    squares = sum(weight**2 * int(counts.sum()) for counts, weight in present)
    if not squares:
        return np.zeros(size, np.int64)
    # Running sums are rounded, not counts: many small counts would all lose, or all win, the same half.
    running = np.rint(np.cumsum(mixed) * (mixed.sum() / squares))
    counts: Counts = np.diff(running, prepend=0.0).astype(np.int64)
    return counts


class Reference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The baseline of a system. Its version is the hash of its JSON form."""

    schema: Literal["mlvitals.reference/1"] = "mlvitals.reference/1"
    system: str
    created: datetime
    source_hash: str
    """Identifies the training data."""
    rows: int
    span: Window | None
    """The time the training data covers, its last moment included; None where it has no time column."""
    condition: Condition
    features: dict[str, FeatureReference]
    score: FeatureReference | None = None
    probabilities: dict[str, FeatureReference] = {}
    """By class, of outcomes that are classes."""
    columns: tuple[str, ...] = ()
    """Every column of the training data, measured or not."""
    model_version: str | None = None
    """The version of the model that the training data trained, as whoever built the reference calls it."""
    outcome: OutcomeReference | None = None
    """The outcomes of the training data, where they hold them."""
    segments: dict[str, dict[str, SegmentReference]] = {}
    """By segment column, the baseline of its largest values and of the rest."""

    def check(self, spec: Spec) -> None:
        """Refuse a reference whose counts are not split by hour or day as the spec says.

        Raises:
            ArtifactError: with both conditions, and the remedy.
        """
        if self.condition is not spec.reference.condition:
            raise ArtifactError(
                f"the reference {self.version} was built with condition {self.condition}, and the spec's "
                f"reference.condition is {spec.reference.condition}: build it again with "
                "`mlvitals reference build --promote`, or change the spec back"
            )

    def counts_for(self, feature: FeatureReference, window: Window) -> Counts:
        """Return the reference's counts in the window's mix of hours or days, to compare it with (`condition_weights`).

        All zero where the window covers an hour or day that the training data do not.
        """
        weights = self._weights(window)
        return feature.total if weights is None else feature.weighted(weights)

    def segment_counts_for(self, segment: SegmentReference, window: Window, cells: int) -> Counts:
        """Return the scores of one segment, per cell, as `counts_for` does."""
        by_key = {key: np.array(counts, np.int64) for key, counts in segment.scores.items()}
        weights = self._weights(window)
        return weighted_counts(by_key, dict.fromkeys(by_key, 1.0) if weights is None else weights, cells)

    def moments_for(self, feature: FeatureReference, window: Window) -> Moments:
        """Return the moments of the values, as `counts_for` does."""
        weights = self._weights(window)
        return feature.weighted_moments(dict.fromkeys(feature.moments, 1.0) if weights is None else weights)

    def _weights(self, window: Window) -> dict[str, float] | None:
        """Return what a row of each condition key weighs for a window; None where all rows weigh the same."""
        if self.condition is Condition.NONE or self.span is None:
            return None
        return condition_weights(self.condition, window, self.span, self._keys_with_rows)

    @cached_property
    def _keys_with_rows(self) -> frozenset[str]:
        """Return the condition keys of which the training data hold rows: their span may have holes."""
        known = [*self.features.values(), *self.probabilities.values(), *([self.score] if self.score else [])]
        return frozenset(key for feature in known for key, counts in feature.counts.items() if any(counts))

    def to_json(self) -> bytes:
        """Return the artifact. Floats are written so that they read back bit by bit."""
        return msgspec.json.encode(self)

    @cached_property
    def version(self) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 of the JSON form, as written where it was read."""
        return version_of(self.to_json())

    @classmethod
    def from_json(cls, text: bytes) -> Reference:
        """Read an artifact back.

        Raises:
            ArtifactError: the text is not a reference, or one of another schema version.
        """
        try:
            schema = msgspec.json.decode(text, type=_Header).schema
            if schema != REFERENCE_SCHEMA:
                raise ArtifactError(
                    f"the reference has the form {schema!r}, this mlvitals reads {REFERENCE_SCHEMA!r}: "
                    "build it again with `mlvitals reference build`"
                )
            reference = msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise ArtifactError(
                f"the reference is damaged ({error}): build it again with `mlvitals reference build`"
            ) from None
        # A field that came later would be written too: what was read keeps the version under which it is stored.
        reference.__dict__["version"] = version_of(text)
        return reference


class _Header(msgspec.Struct):
    schema: str


def version_of(artifact: bytes) -> str:
    """Return the version that an artifact's bytes have."""
    return hashlib.sha256(artifact).hexdigest()[:16]
