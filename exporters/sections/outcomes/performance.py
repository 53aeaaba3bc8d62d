"""Agreement of predictions with their outcomes: the usual metrics, as scikit-learn defines them.

Sums and counts merge. The exact area under the ROC curve does not: it needs every score, so that memory grows by
eight bytes with each answered binary prediction, and by nothing for the other kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, log2, sqrt
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from mlvitals.exporters.sections.outcomes.classes.tally import ClassesFound, ClassTally, balanced_accuracy_error
from mlvitals.exporters.sections.outcomes.join import PROBABILITIES, Partitions, Rows
from mlvitals.exporters.sections.outcomes.report import CALIBRATION_BINS, CalibrationBin, calibration_error
from mlvitals.exporters.statistics.moments import NO_MOMENTS, Moments
from mlvitals.exporters.statistics.noise import TAIL
from mlvitals.generator.spec.model import Outcome, OutcomeKind

Floats = NDArray[np.float64]

_EPSILON = float(np.finfo(np.float64).eps)
_SHOWN = np.dtype([("list", "<u8"), ("item", "<u8"), ("value", "<f8"), ("label", "<f8")])


@dataclass(frozen=True, slots=True)
class Performance:
    """The performance of the answered predictions of a window."""

    figures: dict[str, float | None]
    """By name, None where undefined."""
    quality: float | None = None
    """The metric by which windows are compared: AUC minus 0.5, mean absolute error, NDCG, or the mean recall of all
    classes minus that of chance."""
    quality_error: float | None = None
    """Its standard error."""
    calibration: tuple[CalibrationBin, ...] = ()
    parts: Moments = NO_MOMENTS
    """Of what the quality is the mean of: absolute errors, or the lists' NDCG. None of an AUC, which is no mean."""
    positives: int = 0
    negatives: int = 0
    """Of binary outcomes, as are the positives."""
    classes: ClassesFound | None = None
    """Of outcomes that are classes."""


class PerformanceTally(Protocol):
    """Collects predictions with their outcomes, part by part."""

    def add(self, predictions: Rows, labels: Floats) -> None:
        """Add predictions, each with a finite value, and their labels, NaN where one is missing."""

    def result(self) -> Performance:
        """Return the metrics of all that was added."""


def tally_for(outcome: Outcome) -> PerformanceTally:
    """Return the tally of an outcome's kind."""
    tallies: dict[OutcomeKind, Callable[[], PerformanceTally]] = {
        OutcomeKind.BINARY: lambda: BinaryTally(outcome.threshold),
        OutcomeKind.MULTICLASS: lambda: MulticlassTally(outcome.class_names),
        OutcomeKind.CONTINUOUS: ContinuousTally,
        OutcomeKind.RANKING: lambda: RankingTally(outcome.top, outcome.catalogue),
    }
    return tallies[outcome.kind]()


def moments_of(values: Floats) -> Moments:
    """Return the moments of values in any order."""
    return Moments.of(np.sort(values))


def standard_error(moments: Moments) -> float | None:
    """Return the standard error of a mean, from the sample's own spread; None for fewer than two values."""
    if moments.count < 2:
        return None
    return _finite(sqrt(moments.squares / (moments.count - 1) / moments.count))


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass(slots=True)
class BinaryTally:
    """Scores and whether each was right."""

    threshold: float
    positives: list[Floats] = field(default_factory=list)
    negatives: list[Floats] = field(default_factory=list)

    def add(self, predictions: Rows, labels: Floats) -> None:
        """Add predictions and their labels, 0, 1 or NaN."""
        self.positives.append(predictions["value"][labels == 1])
        self.negatives.append(predictions["value"][labels == 0])

    def result(self) -> Performance:
        """Return AUC, precision, recall, accuracy, MCC; of scores from 0 to 1 also log loss, Brier, calibration error."""
        positives, negatives = _sorted(self.positives), _sorted(self.negatives)
        found = int(np.count_nonzero(positives >= self.threshold))
        false = int(np.count_nonzero(negatives >= self.threshold))
        area = auc(positives, negatives)
        count = len(positives) + len(negatives)
        figures = {
            "auc": area,
            "precision": _share(found, found + false),
            "recall": _share(found, len(positives)),
            "accuracy": _share(found + len(negatives) - false, count),
            "mcc": matthews_correlation(found, false, len(positives), len(negatives)),
        }
        calibration: tuple[CalibrationBin, ...] = ()
        if count and _are_probabilities(positives) and _are_probabilities(negatives):
            calibration = calibration_curve(positives, negatives)
            figures |= {
                "log_loss": _log_loss(positives, negatives),
                "brier": float(((1 - positives) ** 2).sum() + (negatives**2).sum()) / count,
                "calibration_error": calibration_error(calibration),
            }
        else:
            figures |= dict.fromkeys(("log_loss", "brier", "calibration_error"))
        error = None if area is None else auc_error(area, len(positives), len(negatives))
        return Performance(
            figures,
            None if area is None else area - 0.5,
            error,
            calibration,
            positives=len(positives),
            negatives=len(negatives),
        )


def matthews_correlation(found: int, false: int, positives: int, negatives: int) -> float | None:
    """Correlate positive predictions with positive outcomes, -1 to 1 (Matthews 1975); None where one never varies.

    Unlike accuracy it does not rise by always predicting the more frequent outcome.

    Args:
        found: positive predictions of positive outcomes.
        false: positive predictions of negative outcomes.
        positives: positive outcomes.
        negatives: negative outcomes.
    """
    predicted, count = found + false, positives + negatives
    spread = predicted * (count - predicted) * positives * negatives
    return (found * (negatives - false) - false * (positives - found)) / sqrt(spread) if spread else None


def _sorted(parts: list[Floats]) -> Floats:
    values = np.concatenate([np.empty(0), *parts])
    values.sort()
    return values


def _are_probabilities(ordered: Floats) -> bool:
    return not ordered.size or bool(ordered[0] >= 0 and ordered[-1] <= 1)


def auc(positives: Floats, negatives: Floats) -> float | None:
    """Return the chance that a positive is scored above a negative, ties counting half; None if either is missing.

    Args:
        positives: scores in ascending order.
        negatives: scores in ascending order.
    """
    if not positives.size or not negatives.size:
        return None
    below = int(np.searchsorted(negatives, positives, "left").sum())
    not_above = int(np.searchsorted(negatives, positives, "right").sum())
    return (below + not_above) / (2 * positives.size * negatives.size)


def auc_error(area: float, positives: int, negatives: int) -> float:
    """Return the standard error of an area under the ROC curve (Hanley and McNeil 1982)."""
    first, second = area / (2 - area), 2 * area * area / (1 + area)
    variance = (
        area * (1 - area) + (positives - 1) * (first - area * area) + (negatives - 1) * (second - area * area)
    ) / (positives * negatives)
    return sqrt(max(variance, 0.0))


class Classes(NamedTuple):
    """The numbers of outcomes of each kind in a sample."""

    positives: int
    negatives: int


def lowest_area(area: float, reference: Classes, window: Classes, tail: float = TAIL) -> float:
    """Return the area under the ROC curve that a window falls below by chance alone with probability `tail`.

    The variance is that of the reference's area and not of the window's own, which is small exactly where a few
    positives happen to lie alike. It is Hanley and McNeil's (1982), of whose two terms the larger stands for both
    kinds of outcomes: their law of scores gives rare negatives less than real scores have. The law is a beta with that
    mean and variance: exactly theirs for one positive among many negatives, and normal where there are many of both.

    Args:
        area: of the reference, above 0.5.
        reference: its outcomes, at least one of each kind.
        window: the outcomes of the window, at least one of each kind.
        tail: the probability.
    """
    fewest = min(reference)
    expected = (area * fewest + 0.5) / (fewest + 1)  # luck may have separated few outcomes perfectly
    variance = _area_variance(expected, reference) + _area_variance(expected, window)
    precision = expected * (1 - expected) / variance - 1
    if precision <= 0:
        return 0.0
    return float(betaincinv(expected * precision, (1 - expected) * precision, tail))


def _area_variance(area: float, classes: Classes) -> float:
    spread = 2 * area * area / (1 + area) - area * area
    positives, negatives = classes
    return (area * (1 - area) + (positives + negatives - 2) * spread) / (positives * negatives)


def _log_loss(positives: Floats, negatives: Floats) -> float:
    """Return the mean negative logarithm of the given outcome's probability; certain scores are clipped as usual."""
    losses = -np.log(np.clip(positives, _EPSILON, 1 - _EPSILON)).sum()
    losses -= np.log(1 - np.clip(negatives, _EPSILON, 1 - _EPSILON)).sum()
    return float(losses) / (positives.size + negatives.size)


def calibration_curve(positives: Floats, negatives: Floats) -> tuple[CalibrationBin, ...]:
    """Return ten score ranges of equal width, those without scores left out; an edge belongs to the range below it."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    counts, sums = [], []
    for scores in (positives, negatives):
        places = np.searchsorted(edges, scores)
        counts.append(np.bincount(places, minlength=CALIBRATION_BINS))
        sums.append(np.bincount(places, scores, minlength=CALIBRATION_BINS))
    rows = zip((counts[0] + counts[1]).tolist(), (sums[0] + sums[1]).tolist(), counts[0].tolist(), strict=True)
    return tuple(
        CalibrationBin(count=count, predicted=total / count, observed=hits / count)
        for count, total, hits in rows
        if count
    )


class MulticlassTally:
    """Predicted classes, and the true ones."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._tally = ClassTally(names)

    def add(self, predictions: Rows, labels: Floats) -> None:
        """Add predictions and their labels, codes of classes or NaN."""
        known = ~np.isnan(labels)
        has_probabilities = PROBABILITIES in (predictions.dtype.names or ())
        probabilities = predictions[PROBABILITIES][known] if has_probabilities else None
        self._tally.add(predictions["value"][known], probabilities, labels[known])

    def result(self) -> Performance:
        """Return accuracy, the means of precision, recall and F1, with probabilities log loss and calibration error."""
        found = self._tally.found()
        recall, chance = found.figures["macro_recall"], 1 / len(found.confusion.names)
        return Performance(
            found.figures,
            None if recall is None else recall - chance,
            balanced_accuracy_error(found.confusion),
            found.calibration,
            classes=found,
        )


@dataclass(slots=True)
class ContinuousTally:
    """Errors: prediction minus outcome."""

    errors: Moments = NO_MOMENTS
    distances: Moments = NO_MOMENTS

    def add(self, predictions: Rows, labels: Floats) -> None:
        """Add predictions and their labels, numbers or NaN."""
        known = ~np.isnan(labels)
        errors = predictions["value"][known] - labels[known]
        self.errors = self.errors.merge(moments_of(errors))
        self.distances = self.distances.merge(moments_of(np.abs(errors)))

    def result(self) -> Performance:
        """Return bias (prediction minus outcome), mean absolute error, and root of the mean squared error."""
        if not self.errors.count:
            return Performance(dict.fromkeys(("bias", "mae", "rmse")))
        bias, error = _finite(self.errors.mean), _finite(self.distances.mean)
        square = _finite(self.errors.variance + self.errors.mean * self.errors.mean)
        figures = {"bias": bias, "mae": error, "rmse": None if square is None else sqrt(square)}
        return Performance(figures, error, standard_error(self.distances), parts=self.distances)


class RankingTally:
    """Lists of items, best first by their predicted value, and how relevant each turned out to be.

    A list counts when one of its items has an outcome; its others were of no relevance.
    """

    def __init__(self, top: int, catalogue: int | None) -> None:
        self._top = top
        self._catalogue = catalogue
        self._rows = Partitions(_SHOWN, "list")
        ranks = np.arange(top)
        self._gains = np.concatenate(([0.0], np.cumsum([1 / log2(rank + 2) for rank in ranks])))
        self._places = np.concatenate(([0.0], ranks + 1.0))

    def add(self, predictions: Rows, labels: Floats) -> None:
        """Add shown items and their relevance, 0 and up or NaN."""
        rows = np.empty(len(predictions), _SHOWN)
        for name in ("list", "item", "value"):
            rows[name] = predictions[name]
        rows["label"] = labels
        self._rows.add(rows)

    def result(self) -> Performance:
        """Return recall and NDCG of the first k places, means over the lists with a relevant item, and coverage."""
        recalls, gains, items = NO_MOMENTS, NO_MOMENTS, np.empty(0, np.uint64)
        with self._rows:
            for rows in self._rows:
                if len(rows):
                    recall, gain, shown = self._lists(rows)
                    recalls, gains = recalls.merge(moments_of(recall)), gains.merge(moments_of(gain))
                    items = np.union1d(items, shown)
        recall_mean, gain_mean = (moments.mean if moments.count else None for moments in (recalls, gains))
        coverage = _share(len(items), self._catalogue) if self._catalogue and len(items) else None
        figures = {"recall": recall_mean, "ndcg": gain_mean, "coverage": coverage}
        return Performance(figures, gain_mean, standard_error(gains), parts=gains)

    def _lists(self, rows: Rows) -> tuple[Floats, Floats, NDArray[np.uint64]]:
        """Return recall and NDCG of each list with a relevant item, and the items in the first places of all lists."""
        rows = rows[np.lexsort((-rows["value"], rows["list"]))]
        starts = np.flatnonzero(np.concatenate(([True], rows["list"][1:] != rows["list"][:-1])))
        sizes = np.diff(np.append(starts, len(rows)))
        ranks = np.arange(len(rows)) - np.repeat(starts, sizes)
        relevance = np.nan_to_num(rows["label"])
        ties = _tied(rows, starts)
        hits = relevance > 0
        found = np.add.reduceat(hits * _mean_weight(self._places, ranks, ties), starts)
        gain = np.add.reduceat(relevance * _mean_weight(self._gains, ranks, ties), starts)
        ideal_rows = relevance[np.lexsort((-relevance, rows["list"]))]
        single = np.diff(self._gains, append=self._gains[-1])[np.minimum(ranks, self._top)]
        ideal = np.add.reduceat(ideal_rows * single, starts)
        relevant = np.add.reduceat(hits.astype(float), starts)
        useful = relevant > 0
        return (
            found[useful] / relevant[useful],
            gain[useful] / ideal[useful],
            np.unique(rows["item"][ranks < self._top]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Ties:
    """Rows of one list with one value stand together: the rank of the first of them, and how many there are."""

    offset: NDArray[np.int64]
    """Distance of each row from the first of its equals."""
    size: NDArray[np.int64]


def _tied(rows: Rows, starts: NDArray[np.int64]) -> _Ties:
    new = np.concatenate(([True], rows["value"][1:] != rows["value"][:-1]))
    new[starts] = True
    firsts = np.flatnonzero(new)
    sizes = np.diff(np.append(firsts, len(rows)))
    return _Ties(np.arange(len(rows)) - np.repeat(firsts, sizes), np.repeat(sizes, sizes))


def _mean_weight(cumulative: Floats, ranks: NDArray[np.int64], ties: _Ties) -> Floats:
    """Return the weight of each row's rank, averaged over the orders of its equals (McSherry and Najork 2008).

    `cumulative` holds the sums of the weights of the first ranks; ranks beyond them weigh nothing.
    """
    last = len(cumulative) - 1
    begin = ranks - ties.offset
    span = cumulative[np.minimum(begin + ties.size, last)] - cumulative[np.minimum(begin, last)]
    weights: Floats = span / ties.size
    return weights


FIGURES = ("estimated_auc", "estimated_accuracy", "estimated_precision", "estimated_recall")


def estimated_figures(scores: Floats, threshold: float) -> dict[str, float | None]:
    """Return expected AUC, accuracy, precision and recall of scores that are calibrated probabilities.

    Args:
        scores: each from 0 to 1, in any order.
        threshold: a score at or above it is a positive prediction.
    """
    if not scores.size:
        return dict.fromkeys(FIGURES)
    chosen = scores >= threshold
    positives, found = float(scores.sum()), float(scores[chosen].sum())
    accuracy = (found + float((1 - scores[~chosen]).sum())) / scores.size
    count = int(np.count_nonzero(chosen))
    return {
        "estimated_auc": _area(scores),
        "estimated_accuracy": accuracy,
        "estimated_precision": found / count if count else None,
        "estimated_recall": found / positives if positives else None,
    }


def _area(scores: Floats) -> float | None:
    """Return the area under the expected ROC curve: at every distinct score the expected true and false positives."""
    ordered = np.sort(scores)[::-1]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits, misses = np.cumsum(ordered)[last], np.cumsum(1 - ordered)[last]
    if not hits[-1] or not misses[-1]:
        return None
    heights, widths = hits + np.append(0.0, hits[:-1]), np.diff(misses, prepend=0.0)
    return float((widths * heights / 2).sum() / (hits[-1] * misses[-1]))
