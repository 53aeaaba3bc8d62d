"""What calibrated scores promise of themselves before any outcome is known: an estimate, never a measurement.

Confidence-based performance estimation: a score of 0.8 is right in eight of ten cases, so that the expected counts of
the confusion matrix follow from the scores alone. It sees what a shift of the inputs does to performance, and is blind
to concept drift, which is just what makes scores wrong.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

Floats: TypeAlias = NDArray[np.float64]

FIGURES = ("estimated_auc", "estimated_accuracy", "estimated_precision", "estimated_recall")


def estimated_figures(scores: Floats, threshold: float) -> dict[str, float | None]:
    """Expected AUC, accuracy, precision and recall of scores that are calibrated probabilities.

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
    """The area under the expected ROC curve: at every distinct score the expected true and false positives."""
    ordered = np.sort(scores)[::-1]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits, misses = np.cumsum(ordered)[last], np.cumsum(1 - ordered)[last]
    if not hits[-1] or not misses[-1]:
        return None
    return float(trapezoid(np.append(0.0, hits), np.append(0.0, misses)) / (hits[-1] * misses[-1]))
