"""A classifier of handwritten digits (in scikit-learn's own files), and logs of it, that the tests of classes share."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from outcome_samples import NOON, minutes, spec_with, write
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.model import Outcome, OutcomeKind, Spec

NAMES = tuple(f"digit {number}" for number in range(10))


class Digits(NamedTuple):
    """Rows that the classifier was not trained on."""

    labels: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[np.float64]

    def columns(self) -> dict[str, Any]:
        """What a log, or training data, hold of them."""
        shares = {f"p{place}": self.probabilities[:, place] for place in range(len(NAMES))}
        return {"x": self.probabilities[:, 0], "digit": self.labels, "guess": self.predicted, **shares}

    def take(self, rows: Any) -> "Digits":
        return Digits(self.labels[rows], self.predicted[rows], self.probabilities[rows])


@cache
def digits() -> tuple[Digits, Digits]:
    """Rows for the reference, and others for a window."""
    pixels, numbers = load_digits(return_X_y=True)
    labels = np.array(NAMES)[numbers]
    learnt, rest, label, rest_labels = train_test_split(pixels, labels, train_size=400, random_state=3, stratify=labels)
    model = LogisticRegression(max_iter=500, C=0.01).fit(learnt, label)
    held, now, held_labels, now_labels = train_test_split(rest, rest_labels, train_size=0.5, random_state=3)
    return tuple(
        Digits(truth, model.predict(values), model.predict_proba(values))
        for values, truth in ((held, held_labels), (now, now_labels))
    )  # type: ignore[return-value]


def of_classes(**changes: Any) -> Spec:
    """A system whose outcomes are digits, in the log itself."""
    given = {
        "column": "digit",
        "kind": OutcomeKind.MULTICLASS,
        "max_delay": "1h",
        "probabilities": {name: f"p{place}" for place, name in enumerate(NAMES)},
    } | changes
    return spec_with(Outcome(**given), score=None)


def log_of(folder: Path, rows: Digits, name: str = "log/a.parquet", first: int = 0, **columns: Any) -> None:
    """Write predictions of the mature window."""
    numbers = np.arange(first, first + len(rows.labels))
    times = minutes(*(numbers % 3540 / 60))
    write(folder, name, **({"id": numbers, "timestamp": times} | rows.columns() | columns))


def reference_of(spec: Spec, rows: Digits, **columns: Any) -> Reference:
    """The reference that such rows give."""
    return build_reference(spec, pa.table(rows.columns() | columns), created=NOON, source_hash="digits")
