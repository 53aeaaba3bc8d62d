"""Metric families of the drift type, and of the gap between predictions and outcomes."""

from collections.abc import Iterator
from enum import StrEnum

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import Spec


class DriftKind(StrEnum):
    """The drift type of a window."""

    NONE = "none"
    COVARIATE = "covariate"
    PREDICTION = "prediction"
    LABEL = "label"
    CONCEPT = "concept"
    UNKNOWN = "unknown"


class ConceptStatus(StrEnum):
    """The status of the gap between predictions and outcomes: charts exist only if it is ok.

    Stalled: no window could be used for a time, because inputs drift while the charts learn or outcomes are too few.
    """

    OK = "ok"
    LEARNING = "learning"
    STALLED = "stalled"
    NO_OUTCOMES = "no_outcomes"
    REFUSED = "refused"


CUSUM_SIDES = ("upper", "lower")
"""The sides of a CUSUM: predictions further above the outcomes than before, and further below."""


def concept_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of the drift type, and of the gap with its control charts if the spec has outcomes."""
    yield gauge("drift_type", "1 for the drift type of the last window, 0 for the others.", "type")
    if spec.has_gap:
        yield from _GAP


_GAP = (
    gauge(
        "concept_status",
        "1 for the current status of the gap between predictions and outcomes, 0 for the others.",
        "status",
    ),
    gauge("concept_gap", "Mean prediction minus mean outcome of the last window whose outcomes are known."),
    gauge("concept_gap_expected", "Mean gap of the baseline, which the charts expect."),
    gauge("concept_gap_noise", "Distance from the expected gap that an unchanged window exceeds once in 1000."),
    gauge(
        "concept_baseline_windows",
        "Windows in the baseline, of the training data or of the log, or collected so far.",
    ),
    gauge("concept_ewma", "Moving average of the standardised gap, in standard deviations of a window."),
    gauge("concept_ewma_limit", "Limit beyond which, on either side, the moving average signals."),
    gauge("concept_cusum", "Cumulative sum of the standardised gap above or below its target, 0 and up.", "side"),
    gauge("concept_cusum_limit", "Limit beyond which a cumulative sum signals."),
)

CHARTS = tuple(family.name for family in _GAP if family.name not in ("concept_status", "concept_baseline_windows"))
"""Families, by their short names, that exist once the gap has a baseline, and outcomes to compare with it."""
