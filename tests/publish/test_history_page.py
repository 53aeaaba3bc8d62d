"""Many windows as a page."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from exporter_samples import HOSTILE, HOUR, NOON, measured, report, too_little
from msgspec.structs import replace
from test_html_report import EVIL, SVG, Page

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.publish.html.history import Links, history_page
from mlvitals.exporters.window.summary import WindowSummary, key_of
from mlvitals.generator.spec.model import Severity

CRITICAL = Finding(section="features", kind="feature_psi", severity=Severity.CRITICAL, subject="age")


def window(hours: float, **changes: object) -> WindowSummary:
    """The window that ends so many hours after noon, in which nothing was found."""
    end = NOON + hours * HOUR
    calm = replace(measured(severity=None), psi=Measure(value=0.01, critical_value=0.03))
    options = {"features": {"age": calm}, "score": None, "findings": (), "severity": None}
    found = report(**{**options, "window": Window(end - HOUR, end), **changes})
    return WindowSummary.from_json(found.to_json().decode())


def critical(hours: float) -> WindowSummary:
    return window(hours, features={"age": measured(0.4)}, findings=(CRITICAL,), severity=Severity.CRITICAL)


def page(*windows: WindowSummary, links: Links = Links()) -> str:  # noqa: B008
    return history_page("shop", windows, HOUR, links)


def cells(text: str, level: str) -> list[str]:
    """The paths of a level, row by row."""
    chart = ElementTree.fromstring(SVG.findall(text)[0])
    return [path.attrib["d"] for path in chart.iter("path") if path.attrib["class"] == level]


def starts(path: str) -> list[float]:
    return [float(x) for x in re.findall(r"M([\d.]+) ", path)]


def test_it_counts_windows_by_severity_and_names_the_period():
    text = Page(page(window(0), critical(1), window(2))).text
    assert "3 windows, 2026-03-03 11:00 to 2026-03-03 14:00 UTC" in text
    assert "1 critical" in text
    assert "2 nothing found" in text


def test_a_feature_is_red_where_it_was_critical_and_nowhere_else():
    text = page(window(0), critical(1), window(2), window(3))
    assert all(starts(path) == [250] for path in cells(text, "critical"))
    assert "quiet" in text


def test_a_missing_window_is_empty_and_never_quiet():
    quiet = cells(page(window(0), window(3)), "quiet")
    assert quiet
    for path in quiet:
        assert starts(path) == [0, 750]


def test_what_was_not_compared_is_grey():
    text = page(window(0, features={"age": too_little()}, rows=7))
    assert cells(text, "unmeasured")
    assert not cells(text, "quiet")


def test_every_window_with_findings_is_listed_newest_first_and_linked():
    text = page(critical(0), window(1), critical(2), links=Links(report=lambda item: f"/windows/{key_of(item)}"))
    listed = re.findall(r'<td class=""><a href="/windows/([^"]+)">', text)
    assert listed == [key_of(critical(2).window), key_of(critical(0).window)]


def test_without_reports_there_are_no_links():
    assert "href" not in page(critical(0))


def test_ten_thousand_windows_of_a_hundred_features_stay_a_page():
    features = {f"feature_{index}": measured(0.4) for index in range(100)}
    one = window(0, features=features, severity=Severity.CRITICAL, findings=(CRITICAL,))
    many = [
        replace(one if hours % 3 else window(0), window=Window(NOON + (hours - 1) * HOUR, NOON + hours * HOUR))
        for hours in range(0, 10_000, 5)
    ]
    text = page(*many, links=Links(report=lambda item: f"/windows/{key_of(item)}"))
    assert len(text) < 2_000_000
    assert "41 more features" in text


def test_of_windows_that_are_drawn_together_the_worst_is_seen():
    many = [window(hours) for hours in range(2_000)]
    many[1_000] = critical(1_000)
    assert cells(page(*many), "critical")


def test_no_window_is_no_page_of_well_being():
    text = Page(page()).text
    assert "No window is kept yet." in text
    assert "nothing found" not in text


@pytest.mark.parametrize("hours", [(0, 0), (0, 0.25), (0, 5_000)])
def test_odd_times_are_drawn_within_the_picture(hours: tuple[float, float]):
    chart = ElementTree.fromstring(SVG.findall(page(*map(critical, hours)))[0])
    for path in chart.iter("path"):
        assert all(0 <= float(x) <= 1000 for x in re.findall(r"[MH]([\d.]+)", path.attrib["d"]))


def test_lines_break_where_nothing_is_known():
    text = page(*(window(hours, score=measured(mean=0.1 * hours)) for hours in (0, 1, 5, 6)))
    [scores] = [svg for svg in SVG.findall(text) if "Mean score" in svg]
    [drawn] = [
        path.attrib["d"] for path in ElementTree.fromstring(scores).iter("path") if path.attrib["class"] == "now"
    ]
    assert drawn.count("M") == 2


def test_a_reference_alone_is_no_chart():
    assert "Mean score" not in page(window(0, score=measured(mean=None)))
    assert "Mean score" in page(window(0, score=measured(mean=0.5)))


def test_hostile_text_stays_text():
    finding = replace(CRITICAL, section=EVIL, subject=EVIL)
    bad = window(0, features={EVIL: measured(0.4), HOSTILE: measured(0.3)}, findings=(finding,))
    text = history_page(EVIL, [bad], HOUR, Links(report=lambda _: EVIL, others=((EVIL, EVIL),)))
    parsed = Page(text)
    assert not {"script", "img"} & set(parsed.tags)
    assert not {"\u202e", "\x1b"} & set(text)
    assert [ElementTree.fromstring(chart) for chart in SVG.findall(text)]


def test_the_page_asks_nobody_for_anything():
    parsed = Page(page(critical(0), window(1)))
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name in {"src", "xlink:href"} or name[:2] == "on"]


def test_the_same_windows_give_the_same_page():
    assert page(critical(0), window(1)) == page(critical(0), window(1))


def test_a_step_that_is_longer_than_the_windows_is_not_a_gap():
    text = history_page("shop", [window(0), window(24)], timedelta(days=1), Links())
    assert starts(cells(text, "quiet")[0]) == [0]
