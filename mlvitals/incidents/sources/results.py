"""Reads the results database: changes, and how far each feature was from the reference in each window."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from mlvitals.exporters.parts import Measure, critical_value_of, value_of
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.evidence import BinFacts, FeatureFacts, SegmentFacts, WindowFacts
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent

_CHANGES = {ChangeKind.DEPLOYMENT: EventKind.DEPLOYMENT, ChangeKind.PIPELINE: EventKind.PIPELINE}


def read_results(
    spec: Spec, base_dir: Path, since: datetime, until: datetime
) -> tuple[list[TimelineEvent], list[WindowFacts]]:
    """Read the changes and the windows of an interval.

    Raises:
        DatabaseError: the database is missing or cannot be read.
    """
    with closing(open_results(spec.results, base_dir, create=False)) as results:
        changed = results.changes_between(spec.system.name, since, until)
        reports = results.reports_between(spec.system.name, since, until)
    windows = windows_facts(reports, spec)
    return [*change_events(changed, "table changes"), *window_events(windows, "table drift_windows")], windows


def change_events(changed: Iterable[Change], origin: str) -> Iterator[TimelineEvent]:
    """Yield an event for each deployment and pipeline change."""
    for change in changed:
        yield TimelineEvent(
            at=change.moment,
            kind=_CHANGES[change.kind],
            source=EventSource.RESULTS,
            subject=change.name,
            text=f"{change.kind.capitalize()} of {change.name}: {change.version}.",
            actor=change.author,
            origin=origin,
        )


def window_events(windows: Sequence[WindowFacts], origin: str) -> Iterator[TimelineEvent]:
    """Yield for each feature the first window beyond noise that leads to a threshold, the first beyond it, and its end.

    An event stands at the window's end: earlier nobody could have known.
    """
    for name in sorted({name for window in windows for name in window.features}):
        yield from _feature_events(name, windows, origin)


def _feature_events(name: str, windows: Sequence[WindowFacts], origin: str) -> Iterator[TimelineEvent]:
    before: list[WindowFacts] = []
    drifting = False
    for window in windows:
        feature = window.features.get(name)
        if feature is None or (feature.psi is None and not feature.severity):
            continue
        if feature.severity and not drifting:
            drifting = True
            if before:
                yield _event(before[0], EventKind.FIRST_SIGN, name, origin, "is further from the reference than noise")
            yield _event(window, EventKind.DRIFT, name, origin, f"is {feature.severity}")
        elif not feature.severity and drifting:
            drifting = False
            yield _event(window, EventKind.CALM, name, origin, "is within its thresholds again")
        before = [*before, window] if feature.over_noise and not feature.severity and not drifting else []


def _event(window: WindowFacts, kind: EventKind, name: str, origin: str, what: str) -> TimelineEvent:
    psi = window.features[name].psi
    measured = "" if psi is None else f" (PSI {psi:.3f})"
    text = f"{name} {what}{measured} in the window from {window.start:%H:%M:%S} to {window.end:%H:%M:%S} UTC."
    return TimelineEvent(at=window.end, kind=kind, source=EventSource.RESULTS, subject=name, text=text, origin=origin)


# ---------------------------------------------------------------- reports -> facts


def windows_facts(reports: Sequence[WindowReport], spec: Spec) -> list[WindowFacts]:
    """Return what an incident needs of the reports; cells of features that were bad at any time, before and after it too."""
    shown = {name for report in reports for name, feature in report.features.items() if _is_moved(feature)}
    return [_window_facts(report, spec, shown) for report in reports]


def _is_moved(feature: FeatureReport) -> bool:
    """True if a feature is bad or beyond noise."""
    psi, noise = value_of(feature.psi), critical_value_of(feature.psi)
    return bool(feature.severity) or (psi is not None and noise is not None and psi > noise)


def _window_facts(report: WindowReport, spec: Spec, shown: Collection[str]) -> WindowFacts:
    skewed = report.skew.features if report.skew else {}
    mismatches = {name: each.mismatch_ratio for name, each in skewed.items() if each.mismatch_ratio is not None}
    outcomes, score = report.outcomes, report.score
    return WindowFacts(
        start=report.window.start,
        end=report.window.end,
        reference_created=report.reference_created,
        rows=report.rows,
        severity=report.severity or "",
        drift_type=report.drift_type.kind if report.drift_type else "",
        drift_reason=report.drift_type.reason if report.drift_type else "",
        features={
            name: _feature_facts(feature, _source(spec, name), mismatches.get(name), with_cells=name in shown)
            for name, feature in report.features.items()
        },
        score_psi=value_of(score.psi) if score else None,
        score_noise=critical_value_of(score.psi) if score else None,
        score_severity=(score.severity or "") if score else "",
        schema_differences=tuple(f"{each.column}: {each.kind.replace('_', ' ')}" for each in report.schema_differences),
        segments=tuple(
            SegmentFacts(column=column, value=each.value, rows=each.rows, severity=each.severity or "")
            for column, segments in report.segments.items()
            for each in segments.values
        ),
        predictions=outcomes.predictions if outcomes and outcomes.mature else None,
        feedback_rate=outcomes.feedback_rate if outcomes else None,
        expected_feedback_rate=outcomes.expected_feedback_rate if outcomes else None,
        feedback_severity=_severity(outcomes.feedback_fall if outcomes else None),
        label_severity=_severity(outcomes.label_shift if outcomes else None),
        performance_severity=_severity(outcomes.performance_loss if outcomes else None),
        gap_severity=(report.concept.severity or "") if report.concept else "",
        kpis=dict(report.events.kpis) if report.events else {},
    )


def _feature_facts(feature: FeatureReport, source: str, skewed: float | None, *, with_cells: bool) -> FeatureFacts:
    return FeatureFacts(
        rows=feature.rows,
        source=source,
        psi=value_of(feature.psi),
        noise=critical_value_of(feature.psi),
        severity=feature.severity or "",
        status=feature.status,
        null_rate=feature.null_rate,
        out_of_range=feature.out_of_range_ratio,
        skewed=skewed,
        bins=tuple(
            BinFacts(label=cell.label, reference=cell.reference, current=cell.current, psi=cell.psi)
            for cell in (feature.bins if with_cells else ())
        ),
    )


def _source(spec: Spec, name: str) -> str:
    feature = spec.features.get(name)
    return (feature.source or "") if feature else ""


def _severity(measure: Measure | None) -> str:
    return (measure.severity or "") if measure else ""
