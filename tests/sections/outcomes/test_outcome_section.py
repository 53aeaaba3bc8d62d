"""Outcomes, and what the kind of drift was decided from, as people read them."""

import io
import re
from html import unescape
from xml.etree import ElementTree

import pytest
from exporter_samples import CONCEPT, DRIFT_TYPE, HOUR, NOON, measured, report
from msgspec.structs import replace
from rich.console import Console

from mlvitals.exporters.parts import Finding, FindingKind, Interval, Measure, Window
from mlvitals.exporters.publish.html.calibration import calibration_chart
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.sections.concept.report import Evidence
from mlvitals.exporters.sections.concept.views import evidence_facts
from mlvitals.exporters.sections.outcomes.report import CalibrationBin, EstimatedPerformance, Figure, OutcomeReport
from mlvitals.exporters.sections.outcomes.views import lines
from mlvitals.exporters.statistics.judging import wilson_interval
from mlvitals.exporters.wording import delay, span
from mlvitals.generator.contract import DriftKind
from mlvitals.generator.spec.model import OutcomeKind, Severity
from mlvitals.terminal.drift import drift_table

MATURE = Window(NOON - 25 * HOUR, NOON - 24 * HOUR)
BINS = (
    CalibrationBin(count=400, predicted=0.1, observed=0.12),
    CalibrationBin(count=40, predicted=0.5, observed=0.75),
)
OUTCOMES = OutcomeReport(
    window=MATURE,
    kind=OutcomeKind.BINARY,
    predictions=1000,
    answered=800,
    late=12,
    duplicates=3,
    feedback_rate=0.8,
    feedback_interval=Interval(low=0.774, high=0.824),
    expected_feedback_rate=0.9,
    feedback_fall=Measure(value=0.111, critical_value=0.03),
    delay_p50_seconds=720.0,
    delay_p95_seconds=11_520.0,
    predicted_mean=0.33,
    observed_mean=0.24,
    observed_interval=Interval(low=0.22, high=0.26),
    reference_observed_mean=0.48,
    label_shift=Measure(value=-0.5, critical_value=0.09, severity=Severity.CRITICAL),
    paired=800,
    gap=0.09,
    gap_error=0.01,
    reference_gap=-0.005,
    performance={"auc": Figure(value=0.71, reference=0.83), "log_loss": Figure()},
    performance_loss=Measure(value=0.36, critical_value=0.15, severity=Severity.WARNING),
    calibration=BINS,
    estimated=EstimatedPerformance(
        window=Window(NOON - HOUR, NOON), scores=900, figures={"estimated_auc": 0.73, "estimated_recall": None}
    ),
    severity=Severity.CRITICAL,
)
QUIET = {"features": {"age": measured(0.01, severity=None)}, "score": None, "severity": None}


def page(**changes) -> str:
    return html_page(report(outcomes=replace(OUTCOMES, **changes)))


def text_of(html: str) -> str:
    return unescape(re.sub("<.*?>", " ", html))


def rows(html: str) -> dict[str, list[str]]:
    """The rows of the section's tables: the name, and the cells beside it."""
    section = html[html.index("<h2>Outcomes</h2>") : html.index("<h2>All features</h2>")]
    found = (re.findall("<td.*?>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", section))
    cells = ([" ".join(text_of(cell).split()) for cell in row] for row in found if row)
    return {name: values for name, *values in cells}


def written(outcomes: OutcomeReport) -> list[str]:
    return [line.text for line in lines(outcomes)]


# ---------------------------------------------------------------- the page


def test_feedback_stands_with_its_interval_what_is_expected_and_what_did_not_count():
    table = rows(page())
    assert table["Feedback rate"] == ["80.0% (77.4% to 82.4%)"]
    assert table["Expected"] == ["90.0%"]
    assert table["Fall"] == ["11.1% noise 3.0%"]
    assert table["Delay, 95% within"] == ["3.2 h"]
    assert table["Late after the maximal delay"] == ["12"]
    assert table["Duplicate a further one of the same prediction"] == ["3"]


def test_a_reason_that_cannot_be_told_has_no_row():
    assert not [name for name in rows(page(orphans=None)) if name.startswith("Orphan")]
    assert [name for name in rows(page(orphans=0)) if name.startswith("Orphan")]


def test_predicted_stands_beside_observed_with_the_interval_and_the_reference():
    table = rows(page())
    assert table["Mean prediction"] == ["0.33"]
    assert table["Mean outcome"] == ["0.24 (0.22 to 0.26)"]
    assert table["Mean outcome, reference"] == ["0.48"]
    assert table["Shift of outcomes"] == ["-50.0% noise 9.0%"]
    assert table["Gap prediction less outcome"] == ["+0.09 ± 0.01"]


def test_the_shift_of_numbers_is_in_standard_deviations():
    assert rows(page(kind=OutcomeKind.CONTINUOUS))["Shift of outcomes"] == ["-0.5 sd noise 0.09"]


def test_performance_stands_beside_the_references_and_undefined_figures_have_no_row():
    html = page(estimated=None)
    assert rows(html)["AUC"] == ["0.71", "0.83"]
    assert "log loss" not in rows(html)


def test_estimated_performance_is_called_so():
    html = page(performance={})
    assert '<h3>Performance to come<span class="pill">estimated</span></h3>' in html
    assert "Not measured: what 900 scores of 2026-03-03 11:00 to 12:00 UTC promise" in text_of(html)
    assert rows(html)["AUC"] == ["0.73"]


def test_without_an_estimate_the_reason_is_told():
    nothing = EstimatedPerformance(window=MATURE, scores=0, reason="the <scores> are not calibrated")
    assert "None: The <scores> are not calibrated." in text_of(page(estimated=nothing))


def test_outcomes_that_may_still_come_are_not_judged():
    section = text_of(page(mature=False))
    assert "Of the predictions of 2026-03-02 11:00 to 12:00 UTC: not mature, more may come." in section
    assert "Feedback rate" not in section


def test_a_system_without_outcomes_has_no_section():
    assert "<h2>Outcomes</h2>" not in html_page(report(outcomes=None))


def test_bad_outcomes_are_told_at_the_top_though_no_feature_drifted():
    found = (Finding(section="outcomes", kind=FindingKind.LABEL_SHIFT, severity=Severity.CRITICAL),)
    html = html_page(report(**QUIET, drift_type=None, concept=None, outcomes=OUTCOMES, findings=found))
    assert '<span class="pill critical">outcomes critical</span>' in html
    assert "nothing drifted" not in html


# ---------------------------------------------------------------- calibration


def test_each_range_of_scores_is_a_point_with_its_interval():
    chart = ElementTree.fromstring(calibration_chart(BINS))
    corner = {kind: chart.find(f"line[@class='{kind}']").attrib for kind in ("perfect",)}["perfect"]
    left, right, bottom, top = (float(corner[name]) for name in ("x1", "x2", "y1", "y2"))
    points = [(float(point.attrib["cx"]), float(point.attrib["cy"])) for point in chart.iter("circle")]
    shares = [((x - left) / (right - left), (y - bottom) / (top - bottom)) for x, y in points]
    assert shares == [pytest.approx((item.predicted, item.observed), abs=1e-3) for item in BINS]
    whiskers = [line.attrib for line in chart.iter("line") if line.attrib["class"] == "whisker"]
    known = wilson_interval(30, 40)
    ends = [(float(whiskers[1][name]) - bottom) / (top - bottom) for name in ("y1", "y2")]
    assert ends == pytest.approx([known.low, known.high], abs=1e-3)


def test_a_point_tells_its_figures():
    titles = [title.text for title in ElementTree.fromstring(calibration_chart(BINS)).iter("title")]
    assert titles[1] == "40 predictions: mean score 50.0%, 75.0% positive"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_points_at_the_ends_stay_within_the_drawing(share: float):
    chart = ElementTree.fromstring(calibration_chart([CalibrationBin(count=1, predicted=share, observed=share)]))
    _, _, width, height = map(float, chart.attrib["viewBox"].split())
    [point] = chart.iter("circle")
    radius = float(point.attrib["r"])
    assert radius <= float(point.attrib["cx"]) <= width - radius
    assert radius <= float(point.attrib["cy"]) <= height - radius


# ---------------------------------------------------------------- the terminal


def test_the_terminal_has_a_line_each_for_feedback_counts_delay_means_performance_and_estimate():
    assert written(OUTCOMES) == [
        "predictions of 2026-03-02 11:00 to 12:00 UTC: 800 of 1,000, 80.0% (77.4% to 82.4%), "
        "expected 90.0%, fall 11.1%, noise 3.0%.",
        "Not counted: late 12, duplicate 3.",
        "Delay: median 12 min, 95th percentile 3.2 h.",
        "Mean predicted 0.33, observed 0.24 (0.22 to 0.26), in the reference 0.48, shift -0.5, noise 0.09, critical.",
        "Performance (in the reference): AUC 0.71 (0.83), loss 36.0%, noise 15.0%, warning.",
        "Estimated, not measured, from 900 scores of 2026-03-03 11:00 to 12:00 UTC: AUC 0.73.",
    ]


def test_what_is_not_known_is_not_told():
    bare = OutcomeReport(window=MATURE, kind=OutcomeKind.BINARY, predictions=10, feedback_rate=0.0)
    assert written(bare) == ["predictions of 2026-03-02 11:00 to 12:00 UTC: 0 of 10, 0.0%."]


def test_outcomes_that_belong_to_no_prediction_are_told_where_there_were_no_predictions():
    lines = written(OutcomeReport(window=MATURE, kind=OutcomeKind.BINARY, orphans=1_523))
    assert lines == [
        "predictions of 2026-03-02 11:00 to 12:00 UTC: there were no predictions.",
        "Not counted: orphan 1,523.",
    ]


def test_immature_outcomes_have_one_line():
    [line] = written(replace(OUTCOMES, mature=False))
    assert line.endswith("not mature, more may come.")


def test_a_bad_figure_is_coloured_and_a_sound_one_is_not():
    console = Console(width=200, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    drift_table(report(outcomes=OUTCOMES), console)
    lines = console.export_text(styles=True).splitlines()
    [means] = [line for line in lines if "Mean predicted" in line]
    [feedback] = [line for line in lines if "800 of 1,000" in line]
    assert "\x1b[1;31m" in means
    assert "\x1b[1;31m" not in feedback


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (90_000, "1.04 d")]
)
def test_a_delay_is_in_the_largest_unit_it_fills(seconds: float, text: str):
    assert delay(seconds) == text


def test_a_span_over_midnight_names_both_days():
    assert span(Window(NOON - 13 * HOUR, NOON)) == "2026-03-02 23:00 to 2026-03-03 12:00 UTC"


# ---------------------------------------------------------------- the kind of drift


def test_the_kind_of_drift_stands_before_the_findings_with_evidence_and_response():
    html = html_page(report())
    assert html.index("<h2>Drift type</h2>") < html.index("<h2>What needs attention</h2>")
    section = text_of(html[html.index("<h2>Drift type") : html.index("<h2>What needs")])
    for told in ("covariate", "The inputs changed: age.", "Retrain on the new population.", "strongly changed: age"):
        assert told in section
    assert "gap +0.0625, expected +0.0125" in section


def test_no_drift_is_shown_as_well():
    quiet = replace(DRIFT_TYPE, kind=DriftKind.NONE, reason="Inputs and scores stayed.", response="")
    html = html_page(report(**QUIET, drift_type=quiet, concept=None))
    assert '<section class="card finding ok">' in html


def test_concept_drift_is_as_bad_as_its_chart():
    found = replace(DRIFT_TYPE, kind=DriftKind.CONCEPT)
    gap = Finding(section="concept", kind=FindingKind.CONCEPT_DRIFT, severity=Severity.WARNING)
    html = html_page(report(**QUIET, drift_type=found, concept=CONCEPT, findings=(gap,)))
    assert '<section class="card finding warning">\n<div class="name"><span class="pill">concept</span>' in html
    assert "gap to the outcomes warning" in html


def test_evidence_that_is_not_known_is_not_taken_for_false():
    facts = evidence_facts(Evidence(features=None))
    assert set(facts.values()) == {"not known"}


def test_evidence_names_what_looks_broken_before_what_drifted():
    assert evidence_facts(Evidence(features=("a",), unsound=("b", "c")))["Inputs"] == "look broken: b, c"
