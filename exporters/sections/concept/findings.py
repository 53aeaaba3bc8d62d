"""Findings on the gap between predictions and outcomes, as the generated rules alert on it."""

from collections.abc import Iterator
from functools import partial

from mlvitals.exporters.parts import Finding, FindingKind, found
from mlvitals.exporters.sections.concept.report import Verdict
from mlvitals.generator.contract import ConceptStatus, DriftKind
from mlvitals.generator.spec.model import Severity, Spec

_found = partial(found, "concept")
_UNWATCHED = (ConceptStatus.REFUSED, ConceptStatus.STALLED)


def findings(spec: Spec, verdict: Verdict) -> Iterator[Finding]:
    """Yield what is wrong: a chart of the gap is beyond its limit, or there can be no charts."""
    concept, drift = verdict.concept, verdict.drift_type
    if concept is None or not spec.has_gap:
        return
    # With drift type none, what a chart beyond its limit shows is over.
    if spec.alerts.concept_drift.enabled and drift is not None and drift.kind is not DriftKind.NONE:
        yield from _found(FindingKind.CONCEPT_DRIFT, concept.severity)
    if spec.alerts.monitoring.enabled and concept.status in _UNWATCHED:
        yield from _found(FindingKind.CONCEPT_UNWATCHED, Severity.WARNING)
