"""docs/report.md describes the JSON form that machines read."""

import json
import re
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest

from mlvitals.exporters.parts import FileProblem, Finding, FindingKind, Interval, Measure, Window
from mlvitals.exporters.sections.concept.report import ConceptReport, DriftType, Evidence, GapSample
from mlvitals.exporters.sections.features.report import Bin, CountWindow, FeatureReport, Quality, SchemaDifference
from mlvitals.exporters.sections.outcomes.report import CalibrationBin, EstimatedPerformance, Figure, OutcomeReport
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.exporters.sections.skew.report import FeatureSkew, Offender, SkewReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import ConceptStatus, DriftKind, SchemaDifferenceKind, SkewStatus, Status

DOCUMENT = (Path(__file__).resolve().parent.parent.parent / "docs" / "report.md").read_text()
WINDOW, FEATURE, QUALITY, SKEW, CONCEPT, OUTCOMES, SEGMENTS = (
    re.search(rf"^## {title}$.*?(?=^## )", DOCUMENT, re.DOTALL | re.MULTILINE).group()
    for title in ("The window", "A feature", "Quality", "Skew", "Concept drift", "Outcomes", "Segments")
)
DESCRIPTIONS = {
    WindowReport: WINDOW,
    Window: WINDOW,
    CountWindow: WINDOW,
    SchemaDifference: WINDOW,
    FileProblem: WINDOW,
    Finding: WINDOW,
    FeatureReport: FEATURE,
    Measure: FEATURE,
    Bin: FEATURE,
    Quality: QUALITY,
    SkewReport: SKEW,
    FeatureSkew: SKEW,
    Offender: SKEW,
    ConceptReport: CONCEPT,
    GapSample: CONCEPT,
    DriftType: CONCEPT,
    Evidence: CONCEPT,
    OutcomeReport: OUTCOMES,
    Interval: OUTCOMES,
    Figure: OUTCOMES,
    CalibrationBin: OUTCOMES,
    EstimatedPerformance: OUTCOMES,
    SegmentsReport: SEGMENTS,
    SegmentReport: SEGMENTS,
}


def fields_of(form: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(form)}


@pytest.mark.parametrize("form", DESCRIPTIONS, ids=lambda form: form.__name__)
def test_every_field_is_described(form: type[msgspec.Struct]):
    assert not [name for name in fields_of(form) if f"`{name}`" not in DESCRIPTIONS[form]]


@pytest.mark.parametrize("values", [ConceptStatus, DriftKind])
def test_every_kind_of_drift_and_status_of_the_gap_is_described(values: type[StrEnum]):
    assert not [item for item in values if f"`{item.value}`" not in CONCEPT]


def test_every_kind_of_finding_is_described():
    assert not [kind for kind in FindingKind if f"`{kind.value}`" not in WINDOW]


@pytest.mark.parametrize(("values", "section"), [(Status, FEATURE), (SkewStatus, SKEW), (SchemaDifferenceKind, WINDOW)])
def test_every_status_and_kind_is_described(values: type[StrEnum], section: str):
    assert not [item for item in values if f"| `{item.value}` |" not in section]


def test_the_example_is_a_report():
    [example] = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    report = WindowReport.from_json(example)
    feature = report.features["days_since_last_interaction"]
    assert report.is_at_least(feature.psi.severity)
    assert feature.quality.severity
    written = json.loads(example)
    assert set(written) == fields_of(WindowReport)
    assert set(written["features"]["days_since_last_interaction"]) == fields_of(FeatureReport)
    assert set(written["features"]["days_since_last_interaction"]["quality"]) == fields_of(Quality)
    assert set(written["findings"][0]) == fields_of(Finding)
    assert set(written["segments"]["device"]) == fields_of(SegmentsReport)
    assert set(written["segments"]["device"]["values"][0]) == fields_of(SegmentReport)
    assert set(written["concept"]) == fields_of(ConceptReport)
    assert set(written["drift_type"]["evidence"]) == fields_of(Evidence)
    assert set(written["skew"]) == fields_of(SkewReport)
    assert set(written["skew"]["features"]["sessions_7d"]) == fields_of(FeatureSkew)
