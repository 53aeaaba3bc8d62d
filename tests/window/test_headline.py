"""What is said first of a window: how bad it is, and what is not known of it. Nothing unmeasured is green."""

import io
from typing import Any

import pytest
from exporter_samples import CONCEPT, OUTCOMES, WINDOW, measured, report, skewed, too_little
from msgspec.structs import replace
from rich.console import Console

from mlvitals.exporters.parts import FileProblem, Finding, FindingKind
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.sections.concept.report import ConceptReport
from mlvitals.exporters.sections.events.report import EventCount, EventsReport
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.sections.segments.report import SegmentsReport
from mlvitals.exporters.window.headline import headline
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import ConceptStatus, SkewStatus, Status
from mlvitals.generator.spec.model import FeatureType, Severity
from mlvitals.terminal.drift import drift_table

WELL = measured(0.01, severity=None)
UNMEASURED: dict[str, dict[str, Any]] = {
    "1 with too few rows": {"features": {"age": WELL, "country": too_little()}},
    "1 not measurable": {
        "features": {"age": WELL, "gone": FeatureReport(type=FeatureType.FLOAT, status=Status.ALL_NULL)}
    },
    "gap to the outcomes not judged": {"concept": ConceptReport(status=ConceptStatus.LEARNING)},
    "outcomes not measured": {"outcomes": replace(OUTCOMES, feedback_rate=None)},
    "training-serving skew not measured": {"skew": skewed(offline_rows=0)},
    "training-serving skew not measured in 1 of 4 features": {"skew": skewed()},
    "segments by device not measured in full": {"segments": {"device": SegmentsReport(problem="no such column")}},
    "business events not counted": {"events": EventsReport(step=WINDOW, window=WINDOW)},
}


def quiet(**changes: Any) -> WindowReport:
    """A window in which nothing was found."""
    well = {"features": {"age": WELL}, "severity": None, "concept": None, "drift_type": None, "schema_differences": ()}
    return report(**{**well, **changes})


def found(section: str, kind: FindingKind, severity: Severity) -> Finding:
    return Finding(section=section, kind=kind, severity=severity)


def coloured(found: WindowReport) -> str:
    console = Console(width=160, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    drift_table(found, console)
    return console.export_text(styles=True)


def test_a_window_of_which_everything_is_known_and_nothing_is_wrong_is_green():
    well = replace(skewed().features["age"], status=SkewStatus.OK)
    sound = quiet(
        concept=replace(CONCEPT, severity=None),
        outcomes=OUTCOMES,
        skew=skewed(features={"age": well}),
        events=EventsReport(step=WINDOW, window=WINDOW, events={"clicks": EventCount(amount=3)}),
    )
    assert headline(sound) == ((), ())
    assert "\x1b[32mnothing found" in coloured(sound)
    assert '<span class="pill ok">nothing drifted</span>' in html_page(sound)


@pytest.mark.parametrize("told", UNMEASURED)
def test_what_could_not_be_measured_is_said_and_keeps_a_quiet_window_from_being_green(told: str):
    window = quiet(**UNMEASURED[told])
    assert [line.text for line in headline(window).unmeasured] == [told]
    assert "\x1b[32m" not in coloured(window)
    assert f", {told}" in coloured(window)
    assert '<span class="pill ok">' not in html_page(window).partition("</header>")[0]
    assert f'<span class="pill ">{told}</span>' in html_page(window)


@pytest.mark.parametrize(
    ("section", "kind", "told"),
    [
        ("concept", FindingKind.CONCEPT_DRIFT, "gap to the outcomes critical"),
        ("outcomes", FindingKind.FEEDBACK_DELAY, "outcomes critical"),
        ("skew", FindingKind.SKEW_MISMATCH, "training-serving skew critical"),
        ("segments", FindingKind.SEGMENT_GAP, "segments critical"),
        ("events", FindingKind.EVENTS_LOG_UNREADABLE, "business events critical"),
    ],
)
def test_every_section_has_its_say_in_the_headline(section: str, kind: FindingKind, told: str):
    window = quiet(findings=(found(section, kind, Severity.CRITICAL),))
    assert [line.text for line in headline(window).wrong] == [told]
    assert f"\x1b[1;31m{told}" in coloured(window)
    assert f'<span class="pill critical">{told}</span>' in html_page(window)


def test_new_columns_and_files_that_could_not_be_read_are_counted():
    differences = report().schema_differences
    problems = tuple(FileProblem(path=path, problem="broken") for path in ("a", "b", "b"))
    window = quiet(
        schema_differences=differences,
        problems=problems,
        findings=(
            found("schema_differences", FindingKind.NEW_COLUMNS, Severity.INFO),
            found("problems", FindingKind.LOG_FILES_UNREADABLE, Severity.WARNING),
        ),
    )
    assert [line.text for line in headline(window).wrong] == ["1 new column", "2 files not read in full"]


def test_what_was_found_of_a_feature_is_named_with_it():
    nulls = Finding(section="features", kind=FindingKind.REQUIRED_NULL_RATE, severity=Severity.CRITICAL, subject="age")
    window = quiet(features={"age": measured(0.01)}, findings=(nulls,))
    assert "found: nulls critical" in coloured(window)
    assert "<p>Found: nulls critical.</p>" in html_page(window)


def test_what_was_found_of_outcomes_is_named_with_them():
    late = found("outcomes", FindingKind.FEEDBACK_DELAY, Severity.WARNING)
    window = quiet(outcomes=OUTCOMES, findings=(late,))
    assert "Found: feedback delay warning." in coloured(window)
    assert "<p>Found: feedback delay warning.</p>" in html_page(window)
