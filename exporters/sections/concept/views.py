"""Samples of concept drift and of the kind of drift, by the family's short name."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import Boolean, Column, Float, String, Table, Text
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import TABLES, UtcDateTime, window_key
from mlvitals.exporters.parts import Window
from mlvitals.exporters.sections.concept.kind import some_of
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, Evidence, GapSample, PastWindow
from mlvitals.exporters.statistics.distances import TWO_SIDED
from mlvitals.exporters.window.history import past_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.exporters.wording import printable, sentence
from mlvitals.generator.contract import CUSUM_SIDES, ConceptStatus, DriftKind
from mlvitals.generator.spec.model import Severity

drift_gaps = Table(
    "drift_gaps",
    TABLES,
    *window_key(),
    Column("reference_version", Text, nullable=False),
    Column("drift_type", String(16)),
    # Whether inputs or scores drifted so that a gap of this window's predictions would be theirs.
    Column("explains", Boolean, nullable=False),
    # The gap that the window found, of predictions made earlier; all null where it found none.
    Column("gap_start", UtcDateTime),
    Column("gap_end", UtcDateTime),
    Column("gap", Float),
    Column("gap_error", Float),
    Column("answered", BigInteger),
)


def gap_row(report: WindowReport) -> dict[str, object]:
    past = past_window(report)
    return {
        "reference_version": past.reference_version,
        "drift_type": report.drift_type and report.drift_type.kind.value,
        "explains": past.explains,
        "gap_start": past.sample and past.sample.window_start,
        "gap_end": past.sample and past.sample.window_end,
        "gap": past.sample and past.sample.gap,
        "gap_error": past.sample and past.sample.gap_error,
        "answered": past.sample and past.sample.count,
    }


def past_window_of_row(row: Any) -> PastWindow:
    sample = None
    if row.gap is not None:
        sample = GapSample(
            window_start=row.gap_start,
            window_end=row.gap_end,
            gap=row.gap,
            gap_error=row.gap_error,
            count=row.answered,
        )
    return PastWindow(Window(row.window_start, row.window_end), row.reference_version, row.explains, sample)


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


def kind_of_drift(found: DriftType) -> list[str]:
    """The kind of drift, why, and what to do: a line each."""
    lines = (f"Kind of drift: {found.kind.value}. {found.reason}", found.response)
    return [printable(line) for line in lines if line]


def gap_findings(concept: ConceptReport) -> list[str]:
    """What the charts of the gap between predictions and outcomes say."""
    if concept.sample is None or concept.expected_gap is None or concept.gap_deviation is None:
        return [f"Predictions against outcomes: {concept.status.value.replace('_', ' ')}. {sentence(concept.reason)}"]
    gap = (
        f"Predictions against outcomes: gap {concept.sample.gap:+.4g}, expected {concept.expected_gap:+.4g}, "
        f"{concept.standardised_gap:+.1f} standard deviations, over {concept.sample.count:,} outcomes."
    )
    if concept.since is None:
        return [gap]
    chart = "cumulative sum" if concept.severity is Severity.CRITICAL else "moving average"
    return [gap, f"The {chart} is beyond its limit; the run began at {concept.since:%Y-%m-%d %H:%M} UTC."]


def evidence_facts(evidence: Evidence) -> dict[str, str]:
    """What the kind of drift was decided from."""
    gap = {True: "beyond its limits", False: "within its limits", None: "not known"}[evidence.gap]
    explained = ", while inputs or scores drifted" if evidence.gap and evidence.gap_explained else ""
    return {
        "Inputs": _inputs(evidence),
        "Scores": _changed(evidence.prediction),
        "Gap to the outcomes": gap + explained,
        "Rate of outcomes": _changed(evidence.outcome_rate),
        "Telling outcomes apart": {True: "worse", False: "as before", None: "not known"}[evidence.ranking],
    }


def _inputs(evidence: Evidence) -> str:
    if evidence.unsound:
        return f"look broken: {printable(some_of(evidence.unsound))}"
    if evidence.features is None:
        return "not known"
    strongly = "strongly changed" if evidence.strong else "changed"
    return f"{strongly}: {printable(some_of(evidence.features))}" if evidence.features else "as before"


def _changed(known: bool | None) -> str:
    return {True: "changed", False: "as before", None: "not known"}[known]
