"""Concept drift and the drift type as gauges, as an SQL row and as lines for people."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, String, Table, Text, text
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import TABLES, UtcDateTime, window_key
from mlvitals.exporters.parts import Line, Rows, Sample, Samples, Window
from mlvitals.exporters.sections.concept.kind import some_of
from mlvitals.exporters.sections.concept.report import ConceptReport, Evidence, GapSample, PastWindow, Verdict
from mlvitals.exporters.statistics.distances import TWO_SIDED
from mlvitals.exporters.wording import printable, sentence
from mlvitals.generator.contract import CUSUM_SIDES, ConceptStatus, Contract, DriftKind
from mlvitals.generator.spec.model import Severity

_WITH_HISTORY: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), text("settings IS NOT NULL"))

drift_gaps = Table(
    "drift_gaps",
    TABLES,
    *window_key(),
    Column("reference_version", Text, nullable=False),
    Column("drift_type", String(16)),
    # True if inputs or scores drifted so that a gap of this window's predictions would be theirs.
    Column("explains", Boolean, nullable=False),
    # The gap that the window found, of predictions made earlier; all null where it found none.
    Column("gap_start", UtcDateTime),
    Column("gap_end", UtcDateTime),
    Column("gap", Float),
    Column("gap_error", Float),
    Column("answered", BigInteger),
    # The history up to this window, in the newest windows only: see exporters/publish/histories.py.
    Column("settings", String(64)),
    Column("history", Text),
    Index("drift_gaps_by_end", "system", "reference_version", "window_end"),
    Index("drift_gaps_with_history", "system", "reference_version", "window_end", **_WITH_HISTORY),
)


concept_accepted = Table(
    "concept_accepted",
    TABLES,
    Column("system", String(40), primary_key=True),
    Column("reference_version", Text, primary_key=True),
    # Predictions made from here on are as they should be.
    Column("since", UtcDateTime, primary_key=True),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
)


def accepted_since(moment: datetime, reference_version: str) -> PastWindow:
    """Return the past's entry for the moment since which the gap is accepted."""
    return PastWindow(Window(moment, moment), reference_version, explains=False, sample=None, accepted=True)


def rows(verdict: Verdict, _: Window) -> Rows:
    """Yield the row of a window: what later windows need of it."""
    past, found = verdict.past, verdict.drift_type
    yield (
        drift_gaps.name,
        {
            "reference_version": past.reference_version,
            "drift_type": found and found.kind.value,
            "explains": past.explains,
            "gap_start": past.sample and past.sample.window_start,
            "gap_end": past.sample and past.sample.window_end,
            "gap": past.sample and past.sample.gap,
            "gap_error": past.sample and past.sample.gap_error,
            "answered": past.sample and past.sample.count,
        },
    )


def past_window_of_row(row: Any) -> PastWindow:
    """Return what `rows` stored."""
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


def gauges(_: Contract, verdict: Verdict) -> Samples:
    """Return the drift type, the gap and its charts; what is undefined is None."""
    samples: dict[str, Iterable[Sample]] = {}
    if verdict.drift_type is not None:
        samples["drift_type"] = [((kind,), float(kind is verdict.drift_type.kind)) for kind in DriftKind]
    return samples if verdict.concept is None else samples | _concept_samples(verdict.concept)


def _concept_samples(found: ConceptReport) -> dict[str, Iterable[Sample]]:
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


def lines(verdict: Verdict) -> list[Line]:
    """Return the drift type and the reason, what to do, and what is known of the gap to the outcomes."""
    found, concept = verdict.drift_type, verdict.concept
    if found is None:
        return []
    severity = None if found.kind is DriftKind.NONE else Severity.WARNING
    texts = (f"{found.kind.value}. {found.reason}", found.response, *(gap_lines(concept) if concept else ()))
    return [Line(printable(text), severity) for text in texts if text]


def gap_lines(concept: ConceptReport) -> list[str]:
    """Return what the charts of the gap between predictions and outcomes say."""
    if concept.sample is None or concept.expected_gap is None or concept.gap_deviation is None:
        return [f"Predictions against outcomes: {concept.status.value.replace('_', ' ')}. {sentence(concept.reason)}"]
    gap = (
        f"Predictions against outcomes: gap {concept.sample.gap:+.4g}, expected {concept.expected_gap:+.4g}, "
        f"{concept.standardised_gap:+.1f} standard deviations, over {concept.sample.count:,} outcomes."
    )
    lines = [gap]
    if concept.since is not None:
        chart = "cumulative sum" if concept.severity is Severity.CRITICAL else "moving average"
        lines.append(f"The {chart} is beyond its limit; the run began at {concept.since:%Y-%m-%d %H:%M} UTC.")
    return [*lines, *([sentence(concept.note)] if concept.note else [])]


def evidence_facts(evidence: Evidence) -> dict[str, str]:
    """Return the evidence that the drift type was decided from."""
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


def unmeasured(verdict: Verdict) -> Iterator[str]:
    """Yield that the gap is not watched, or not yet."""
    if verdict.concept is not None and verdict.concept.status is not ConceptStatus.OK:
        yield "gap to the outcomes not judged"
