"""Gaps between predictions and outcomes, and windows to put them in."""

from datetime import UTC, datetime, timedelta

import numpy as np
from msgspec.structs import replace

from mlvitals.exporters.parts import Measure, Window
from mlvitals.exporters.sections.concept.report import GapSample
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import Feature, FeatureType, Outcome, PredictionLog, Severity, Spec, System

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DELAY = 2
"""Windows from a prediction's to that which knows its outcome."""

SPEC = Spec(
    version=1,
    system=System(name="shop"),
    prediction_log=PredictionLog(path="log", score="score", id="id", outcome=Outcome(column="clicked", max_delay="2h")),
    features={"age": Feature(type=FeatureType.INTEGER), "plan": Feature(type=FeatureType.CATEGORICAL)},
)


def window(hour: int) -> Window:
    return Window(BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR)


def gap(hour: int, value: float, *, error: float = 0.01, count: int = 1000, explained: bool = False) -> GapSample:
    """The gap of the predictions of an hour."""
    of = window(hour)
    return GapSample(
        window_start=of.start, window_end=of.end, gap=value, gap_error=error, count=count, explained=explained
    )


def quiet_gaps(
    count: int, *, first: int = 0, target: float = 0.005, error: float = 0.01, seed: int = 0
) -> list[GapSample]:
    """Gaps that vary by their sampling errors and by nothing else."""
    values = np.random.default_rng(seed).normal(target, error, count)
    return [gap(first + place, value, error=error) for place, value in enumerate(values.tolist())]


def feature(severity: Severity | None = None, **changes: object) -> FeatureReport:
    return FeatureReport(
        **{"type": FeatureType.INTEGER, "status": Status.OK, "rows": 1000, "severity": severity, **changes}
    )


def hour_report(
    hour: int, *, version: str = "v1", score: Severity | None = None, **features: FeatureReport
) -> WindowReport:
    """What an hour's window measured; all is quiet where nothing else is said."""
    psi = Measure(value=0.01, critical_value=0.005, severity=score)
    return WindowReport(
        system="shop",
        window=window(hour),
        measured_at=window(hour).end,
        reference_version=version,
        reference_created=BEGIN,
        rows=1000,
        features={"age": feature(), "plan": feature(), **features},
        score=feature(score, psi=psi),
    )


def shifted(sample: GapSample, shift: float) -> GapSample:
    return replace(sample, gap=sample.gap + shift)
