"""A report as a page."""

import re
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from exporter_samples import DRIFT_TYPE, HOSTILE, QUALITY, WINDOW, measured, report, skewed, too_little
from msgspec.structs import replace

from mlvitals.exporters.parts import FileProblem, Finding, FindingKind, Measure
from mlvitals.exporters.publish.html.charts import bin_chart
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.sections.concept.report import Evidence
from mlvitals.exporters.sections.features.report import Bin, FeatureReport, SchemaDifference
from mlvitals.exporters.sections.outcomes.report import EstimatedPerformance, OutcomeReport
from mlvitals.exporters.sections.segments.report import SegmentReport, SegmentsReport
from mlvitals.generator.contract import SchemaDifferenceKind, Status
from mlvitals.generator.spec.model import FeatureType, OutcomeKind, Severity

EVIL = "</style></svg><script>alert('x')</script><img src=http://evil.example/>\u202e\x1b[31m"
SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


def gone() -> FeatureReport:
    return FeatureReport(
        type=FeatureType.FLOAT,
        status=Status.MISSING_IN_SERVING,
        reason="no such column",
        severity=Severity.CRITICAL,
        action="Restore it.",
    )


class Page(HTMLParser):
    """What a browser makes of a page: its tags, that they are closed in order, and the text between them."""

    VOID = frozenset({"meta", "br", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def text(self) -> str:
        return "".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def headings(page: str) -> list[str]:
    return [unescape(re.sub("<.*?>", "", found)) for found in re.findall("<h3>(.*?)</h3>", page)]


def remarks(page: str, title: str) -> list[str]:
    [card] = re.findall(f'<h2>{title}</h2>\n<div class="card remarks">(.*?)</div>', page)
    return [unescape(line) for line in re.findall("<p>(.*?)</p>", card)]


def test_head_names_system_window_rows_reference_and_how_bad_it_is():
    text = Page(html_page(report())).text
    for expected in ("shop", "2026-03-03 11:00 to 2026-03-03 12:00 UTC", "1,000", "0123456789abcdef", "1 critical"):
        assert expected in text


def test_what_needs_attention_comes_worst_first_and_what_is_well_is_in_the_table_alone():
    features = {
        "mild": measured(0.15, severity=Severity.WARNING),
        "bad": measured(0.4),
        "gone": gone(),
        "well": measured(0.01, severity=None),
        "worse": measured(0.9),
    }
    page = html_page(report(features=features))
    assert headings(page) == ["gone", "worse", "bad", "mild"]
    assert 'class="name">well</td>' in page


def test_the_score_is_among_the_findings_when_it_drifts():
    assert "Prediction score" in headings(html_page(report(score=measured(0.5))))
    assert "Prediction score" not in html_page(report(score=None))


def test_a_drifting_feature_shows_every_bin_with_both_shares_and_its_part_of_psi():
    [chart] = SVG.findall(html_page(report(features={"age": measured(0.4)})))
    written = [element.text for element in ElementTree.fromstring(chart).iter("text")]
    for item in measured(0.4).bins:
        assert {item.label, f"{item.reference:.1%}", f"{item.current:.1%}", f"{item.psi:.3f}"} <= set(written)


def test_bars_are_as_long_as_their_shares():
    chart = ElementTree.fromstring(bin_chart(measured().bins))
    widths = {
        kind: [float(bar.attrib["width"]) for bar in chart.iter("rect") if bar.attrib["class"] == kind]
        for kind in ("reference", "current")
    }
    longest = max(widths["reference"])
    assert [width / longest for width in widths["reference"]] == pytest.approx([1, 0.8, 0.2], abs=0.01)
    assert [width / longest for width in widths["current"]] == pytest.approx([0.5, 0.7, 0.8], abs=0.01)


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 1.0), (1e-6, 3e-6), (0.5, 0.02)])
def test_every_bar_stays_within_the_drawing(shares: tuple[float, float]):
    chart = ElementTree.fromstring(bin_chart([Bin(label="x", reference=shares[0], current=shares[1], psi=0.0)]))
    _, _, width, height = map(float, chart.attrib["viewBox"].split())
    for bar in chart.iter("rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) <= height


def test_the_action_and_the_reason_are_told():
    text = Page(html_page(report(features={"gone": gone(), "thin": too_little()}))).text
    assert "No such column." in text
    assert "Restore it." in text
    assert "1 with too few rows" in text


def test_the_quality_figures_that_are_bad_are_told():
    bad = "mean +2.5 sd, variance x0.25, new 3.0%, infinite 0.1%, without premium, without family"
    text = Page(html_page(report(features={"age": measured()}, score=None))).text
    assert f"Quality: {bad}" in text
    assert f"quality: {bad}" in text, "and in the table"


def test_sound_values_have_no_word_of_quality():
    page = html_page(report(features={"age": measured(quality=replace(QUALITY, severity=None))}, score=None))
    assert "uality:" not in page


def test_where_quality_alone_is_bad_no_bin_is_said_to_have_moved():
    still = {name: Measure(value=0.001, critical_value=0.1) for name in ("psi", "ks", "js")}
    page = html_page(report(features={"age": replace(measured(), **still)}, score=None))
    assert headings(page) == ["age"]
    assert "of the reference and holds" not in page


def test_what_differs_between_serving_and_offline_is_told_and_what_agrees_is_not():
    lines = remarks(html_page(report(skew=skewed())), "Serving against offline")
    assert lines == [
        "1,000 predictions, 990 offline rows",
        "age: investigate, 5.0% of the values differ, PSI 0.020",
        "country: insufficient data, 7 values offline",
    ]


def test_columns_that_differ_are_named():
    gone_column = SchemaDifference(kind=SchemaDifferenceKind.MISSING_COLUMN, column="age")
    page = html_page(report(schema_differences=(gone_column, *report().schema_differences)))
    assert remarks(page, "Columns that differ") == ["age: missing column", "extra: new column"]


def test_a_file_that_window_and_skew_could_not_read_is_named_once():
    broken = (FileProblem(path="7.parquet", problem="cannot be opened"),)
    page = html_page(report(problems=broken, skew=skewed(problems=broken)))
    assert remarks(page, "Files that could not be read in full") == ["7.parquet: cannot be opened"]


def test_without_remarks_there_are_no_empty_cards():
    assert 'class="card remarks"' not in html_page(report(schema_differences=(), drift_type=None))


def test_without_findings_the_page_says_so():
    page = html_page(report(features={"age": measured(0.01, severity=None)}, severity=None, concept=None))
    assert "nothing drifted" in page
    assert not headings(page)


def test_hostile_text_stays_text():
    bins = (
        Bin(label=EVIL, reference=0.1, current=0.9, psi=1.0),
        Bin(label=HOSTILE, reference=0.9, current=0.1, psi=1.0),
    )
    quality = replace(QUALITY, vanished=(EVIL,))
    features = {EVIL: measured(bins=bins, action=EVIL, quality=quality), HOSTILE: gone()}
    problems = (FileProblem(path=EVIL, problem=EVIL),)
    kind = replace(DRIFT_TYPE, reason=EVIL, evidence=Evidence(features=(EVIL,)))
    unknown = EstimatedPerformance(window=WINDOW, scores=0, reason=EVIL)
    outcomes = OutcomeReport(window=WINDOW, kind=OutcomeKind.BINARY, predictions=1, estimated=unknown)
    differences = (SchemaDifference(kind=SchemaDifferenceKind.NEW_COLUMN, column=EVIL),)
    skew = skewed(features={EVIL: replace(skewed().features["country"], reason=EVIL)}, problems=problems)
    page = html_page(
        report(
            system=EVIL,
            reference_version=EVIL,
            features=features,
            problems=problems,
            schema_differences=differences,
            skew=skew,
            drift_type=kind,
            outcomes=outcomes,
        )
    )
    parsed = Page(page)
    assert not {"script", "img"} & set(parsed.tags)
    assert "<script>alert('x')" in parsed.text
    assert not {"\u202e", "\x1b"} & set(page)
    assert [ElementTree.fromstring(chart) for chart in SVG.findall(page)]


def test_the_page_asks_nobody_for_anything():
    page = html_page(report())
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(parsed.tags)
    assert not [
        name for name, _ in parsed.attributes if name in {"src", "href", "xlink:href", "style"} or name[:2] == "on"
    ]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def finding(kind: FindingKind, severity: Severity) -> Finding:
    return Finding(section="features", kind=kind, severity=severity, subject="age")


def test_nulls_and_values_out_of_range_have_the_colour_of_their_finding():
    findings = (
        finding(FindingKind.NULL_RATE, Severity.WARNING),
        finding(FindingKind.OUT_OF_RANGE_RATIO, Severity.CRITICAL),
    )
    page = html_page(report(features={"age": measured(reference_null_rate=None)}, score=None, findings=findings))
    assert page.count('<span class="warning">1.0%</span>') == 2, "in its card and in the table"
    assert page.count('<span class="critical">12.5%</span>') == 2
    assert '<span class="warning">1.0%' not in html_page(report(features={"age": measured()}, score=None, findings=()))


def test_an_action_is_said_once():
    features = {"gone": gone(), "thin": replace(too_little(), reason="too few", action="Wait.")}
    text = Page(html_page(report(features=features, score=None))).text
    assert (text.count("Restore it."), text.count("Wait.")) == (1, 1)


SEGMENT = SegmentReport(
    value="tablet",
    rows=50,
    score_mean=0.2,
    score_psi=Measure(value=0.3, critical_value=0.1, severity=Severity.WARNING),
    gap=0.1,
    expected_gap=0.0,
    gap_shift=Measure(value=-0.25, critical_value=0.1),
)


def segment_charts(*segments: SegmentReport) -> list[ElementTree.Element]:
    page = html_page(report(features={}, score=None, segments={"device": SegmentsReport(values=segments)}))
    return [ElementTree.fromstring(svg) for svg in SVG.findall(page)]


def test_segments_are_drawn_with_their_size_shift_and_gap_beside_their_noise():
    [chart] = segment_charts(SEGMENT, SegmentReport(value="phone", rows=100))
    written = [element.text for element in chart.iter("text")]
    assert {"tablet", "phone", "50", "100", "0.300", "-0.25", "not compared"} <= set(written)
    assert [bar.attrib["class"] for bar in chart.iter("rect")] == ["reference", "warning", "current", "reference"]
    assert len([line for line in chart.iter("line") if line.attrib["class"] == "noise"]) == 3


@pytest.mark.parametrize("rows", [0, 1, 10**9])
@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 1e6])
def test_every_bar_of_a_segment_stays_within_the_drawing(rows: int, value: float):
    measure = Measure(value=value, critical_value=0.1)
    [chart] = segment_charts(replace(SEGMENT, rows=rows, score_psi=measure, gap_shift=measure))
    _, _, width, height = map(float, chart.attrib["viewBox"].split())
    for bar in chart.iter("rect"):
        assert float(bar.attrib["x"]) >= 0
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) <= height


def test_a_hostile_segment_stays_text():
    page = html_page(report(segments={EVIL: SegmentsReport(values=(replace(SEGMENT, value=EVIL),), problem=EVIL)}))
    assert not {"script", "img"} & set(Page(page).tags)
    assert [ElementTree.fromstring(chart) for chart in SVG.findall(page)]


def test_the_same_report_gives_the_same_page():
    assert html_page(report()) == html_page(report())
