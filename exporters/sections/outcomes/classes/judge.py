"""Judges classes against the reference: their mix, the mean of their recalls, and the recall of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.reference.confusion import Confusion, shares
from mlvitals.exporters.sections.outcomes.classes.codes import ClassCodes
from mlvitals.exporters.sections.outcomes.classes.tally import ClassesFound
from mlvitals.exporters.sections.outcomes.report import ClassesReport, ClassReport, Figure
from mlvitals.exporters.statistics.distances import psi, psi_critical_value
from mlvitals.exporters.statistics.judging import LevelLimits, measure
from mlvitals.exporters.statistics.noise import TAIL, Share, reach, share_noise

FEWEST_OF_A_CLASS = 5
"""The recall of fewer outcomes of a class has no law to speak of: the class is left out on both sides."""
MOST_NAMED = 20
"""Classes that the spec does not list and that are named."""

Counts = NDArray[np.int64]


def classes_report(
    found: ClassesFound,
    labels: Mapping[int, int],
    reference: OutcomeReference | None,
    codes: ClassCodes,
    limits: LevelLimits,
    *,
    enough: bool,
) -> ClassesReport:
    """Return what became of each class.

    Args:
        found: what was counted of predictions with an outcome.
        labels: by code, how many outcomes there are, also of rows without a prediction.
        reference: the training data's.
        codes: the names of codes.
        limits: the levels of a loss of recall.
        enough: there are outcomes enough to judge the window.
    """
    now, before = found.confusion, reference.confusion if reference else None
    metrics = {name: _figures(now, before, name) for name in ("precision", "recall", "f1")}
    share_now = shares(_known(labels, now.names), np.full(len(now.names), sum(labels.values())))
    then = _expected(reference, now.names)
    share_then = None if then is None else shares(then[:-1], np.full(len(now.names), then.sum()))
    losses = _recall_losses(now, before, limits) if enough else {}
    true, predicted = now.true.tolist(), now.predicted.tolist()
    return ClassesReport(
        classes=tuple(
            ClassReport(
                name=name,
                true=true[place],
                predicted=predicted[place],
                share=_figure(share_now, share_then, place),
                recall_loss=losses.get(name),
                **{metric: figures[place] for metric, figures in metrics.items()},
            )
            for place, name in enumerate(now.names)
        ),
        matrix=now.matrix,
        reference_matrix=before.matrix if before else None,
        unseen_labels=_named(labels, codes),
        unseen_predictions=_named(found.unseen, codes),
        unlisted_ratio=dict(_unlisted(found, labels, codes)) if enough else {},
    )


def _unlisted(found: ClassesFound, labels: Mapping[int, int], codes: ClassCodes) -> Iterator[tuple[str, float]]:
    if outcomes := sum(labels.values()):
        yield "outcomes", sum(count for code, count in labels.items() if code >= len(codes)) / outcomes
    if predictions := found.confusion.total:
        yield "predictions", found.unseen.total() / predictions


def _known(labels: Mapping[int, int], names: Sequence[str]) -> Counts:
    return np.array([labels.get(place, 0) for place in range(len(names))], np.int64)


def _expected(reference: OutcomeReference | None, names: Sequence[str]) -> Counts | None:
    """Return the outcomes of the reference by class, none of them of a class that the spec does not list."""
    if reference is None or not reference.class_labels:
        return None
    return np.array([*(reference.class_labels.get(name, 0) for name in names), 0], np.int64)


def _named(counted: Mapping[int, int], codes: ClassCodes) -> dict[str, int]:
    """Return the most frequent of the classes that the spec does not list, by name."""
    names = Counter[str]()
    for code, count in counted.items():
        if code in codes.unseen:
            names[codes.unseen[code]] += count
    return dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED])


def _figures(now: Confusion, before: Confusion | None, name: str) -> list[Figure]:
    then = None if before is None else getattr(before, name)
    values = getattr(now, name)
    return [_figure(values, then, place) for place in range(len(values))]


def _figure(now: NDArray[np.float64], then: NDArray[np.float64] | None, place: int) -> Figure:
    value, reference = (None if side is None or np.isnan(side[place]) else float(side[place]) for side in (now, then))
    return Figure(value=value, reference=reference)


def _recall_losses(now: Confusion, before: Confusion | None, limits: LevelLimits) -> dict[str, Measure]:
    """Return the share of each class' recall that is lost, where it is known on both sides.

    As many classes are looked at together as there are: chance moves any of them beyond its noise once in 1000 windows.
    """
    if before is None:
        return {}
    hits, true, hits_then, true_then = (side.tolist() for side in (now.hits, now.true, before.hits, before.true))
    known = [place for place in range(len(now.names)) if true[place] and hits_then[place]]
    losses = {}
    for place in known:
        then, window = Share(hits_then[place], true_then[place]), Share(hits[place], true[place])
        loss = 1 - (window.hits / window.rows) / (then.hits / then.rows)
        noise = share_noise(then, window, TAIL / len(known))
        losses[now.names[place]] = measure(loss, noise, limits if loss > 0 else {})
    return losses


def class_shift(
    labels: Mapping[int, int], reference: OutcomeReference, names: Sequence[str], limits: LevelLimits
) -> Measure | None:
    """Return the population stability index of the classes of outcomes, those that the spec does not list as one."""
    expected = _expected(reference, names)
    if expected is None or not labels:
        return None
    known = _known(labels, names)
    current = np.append(known, sum(labels.values()) - known.sum())
    noise = psi_critical_value(int(expected.sum()), int(current.sum()), int(np.count_nonzero(expected)))
    return measure(psi(expected, current).value, noise, limits)


def balanced_loss(now: Confusion, before: Confusion, limits: LevelLimits) -> Measure | str:
    """Return the share that is lost of the mean recall above chance, or why it is not known.

    The mean recall is scikit-learn's balanced accuracy; that it exceeds chance, 1 over the number of classes, is its
    adjusted one. A changed mix of classes alone does not move it. It is taken over classes with enough outcomes.
    """
    enough = (now.true >= FEWEST_OF_A_CLASS) & (before.true >= FEWEST_OF_A_CLASS)
    classes = int(np.count_nonzero(enough))
    if classes < 2:
        return f"{classes} classes with at least {FEWEST_OF_A_CLASS} outcomes in the window and in the reference; 2 are needed"
    then, value = float(before.recall[enough].mean()) - 1 / classes, float(now.recall[enough].mean()) - 1 / classes
    if then <= 0:
        return "the model was no better than chance in the reference"
    noise = _recall_noise(*(side[enough] for side in (now.hits, now.true, before.hits, before.true)))
    loss = 1 - value / then
    return measure(loss, noise / then, limits if loss > 0 else {})


def _recall_noise(hits: Counts, true: Counts, hits_then: Counts, true_then: Counts) -> float:
    """Return how far chance alone puts the mean recall of a window below that of the reference.

    The rows of each class are pooled, and those of the window are drawn from them (Fisher 1935), class by class. Such a
    sum of draws has a heavier tail than a normal law where misses are rare: `reach` matches its skewness.
    """
    rows, missed = true + true_then, (true + true_then) - (hits + hits_then)
    share, drawn = missed / rows, true / rows
    scale = 1 / (len(true) * true * (1 - drawn))  # what one more miss in the window, and one less elsewhere, costs
    variances = true * share * (1 - share) * (1 - drawn) * rows / np.maximum(rows - 1, 1)
    variance = float((scale**2 * variances).sum())
    if not variance:
        return 0.0
    third = float((scale**3 * variances * (1 - 2 * share) * (1 - 2 * drawn)).sum())
    return reach(variance, max(third / variance, 0.0))
