"""A results database that already holds the windows of a baseline, for tests that cannot measure a hundred hours."""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, Evidence, GapSample, PastWindow
from mlvitals.exporters.sections.concept.series import plan_of
from mlvitals.exporters.window.history import DriftHistory, first_history, reference_gap
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import ConceptStatus, DriftKind
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Spec

HOUR = timedelta(hours=1)


def keep_quiet_hours(spec: Spec, base_dir: Path, end: datetime) -> None:
    """Save an hourly window for each of the baseline's, the last of them ending at `end`, all of them quiet.

    The reference has to be built, for the baseline is that of the version in force.
    """
    assert spec.prediction_log.outcome is not None
    delay = span(spec.prediction_log.outcome.max_delay)
    version = open_store(spec.reference.store, base_dir, spec.system.name).load(spec.reference.alias).version
    # Those whose predictions were made before the first of them do not count.
    count = plan_of(spec).baseline_windows + delay // HOUR + 1
    gaps = np.random.default_rng(0).normal(0.0, 0.01, count).tolist()
    with closing(open_results(spec.results, base_dir)) as results:
        for back, gap in zip(range(count, 0, -1), gaps, strict=True):
            results.save(_quiet_hour(spec.system.name, version, end - back * HOUR, delay, gap))


def _quiet_hour(system: str, version: str, start: datetime, delay: timedelta, gap: float) -> WindowReport:
    sample = GapSample(window_start=start - delay, window_end=start + HOUR - delay, gap=gap, gap_error=0.01, count=1000)
    return WindowReport(
        system=system,
        window=Window(start, start + HOUR),
        measured_at=start + HOUR,
        reference_version=version,
        reference_created=datetime(2026, 1, 1, tzinfo=UTC),
        rows=1000,
        features={},
        concept=ConceptReport(status=ConceptStatus.LEARNING, sample=sample),
        drift_type=DriftType(kind=DriftKind.UNKNOWN, reason="", response="", evidence=Evidence()),
    )


def drift_history(spec: Spec, report: WindowReport, past: Iterable[PastWindow]) -> DriftHistory:
    """Return the history that a report continues, computed from all windows before it.

    Args:
        spec: the system's spec.
        report: what was measured.
        past: windows that are kept, by their end; those that ended at or after the report's are left out, so that
            measuring a window again gives what it gave before.
    """
    history = first_history(spec, report.reference_version, reference_gap(report))
    for one in past:
        if one.window.end < report.window.end and one.reference_version == history.version:
            history = history.after(one)
    return history
