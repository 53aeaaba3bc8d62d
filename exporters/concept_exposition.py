"""Samples of concept drift and of the kind of drift, by the family's short name."""

from collections.abc import Iterable
from typing import TypeAlias

from exporters.concept_report import ConceptReport, DriftType
from exporters.statistics import TWO_SIDED
from generator.contract import CUSUM_SIDES, ConceptStatus, DriftKind

Samples: TypeAlias = dict[str, Iterable[tuple[tuple[str, ...], float | None]]]


def drift_type_samples(found: DriftType) -> Samples:
    """1 for the kind that holds, 0 for the others."""
    return {"drift_type": [((kind,), float(kind is found.kind)) for kind in DriftKind]}


def concept_samples(found: ConceptReport) -> Samples:
    """The gap and its charts; what is undefined is None."""
    single: dict[str, float | None] = {
        "concept_gap": found.sample.gap if found.sample else None,
        "concept_gap_expected": found.expected_gap,
        "concept_gap_noise": None if found.gap_deviation is None else TWO_SIDED * found.gap_deviation,
        "concept_baseline_windows": found.baseline_windows,
        "concept_ewma": found.ewma,
        "concept_ewma_limit": found.ewma_limit,
        "concept_cusum_limit": found.cusum_limit,
    }
    sums = (found.cusum_upper, found.cusum_lower)
    return {
        **{short: [((), value)] for short, value in single.items()},
        "concept_cusum": [((side,), value) for side, value in zip(CUSUM_SIDES, sums, strict=True)],
        "concept_status": [((status,), float(status is found.status)) for status in ConceptStatus],
    }
