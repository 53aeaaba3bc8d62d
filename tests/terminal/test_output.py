"""What `mlvitals drift` shows on a terminal."""

import io
from collections import Counter

import pytest
from exporter_samples import HOSTILE, measured, report, skewed, too_little
from msgspec.structs import replace
from rich.console import Console

from mlvitals.exporters.parts import FileProblem, Finding, FindingKind
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.sections.features.report import Bin, FeatureReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import FeatureType, Severity
from mlvitals.terminal.drift import backfill_summary, drift_table

LONG = "seconds_since_the_user_last_clicked_on_anything_at_all"
NARROW, WIDE = 80, 160


def recorded(found: WindowReport, width: int = NARROW) -> Console:
    console = Console(
        width=width, record=True, file=io.StringIO(), force_terminal=True, color_system="standard", highlight=False
    )
    drift_table(found, console)
    return console


def shown(found: WindowReport, width: int = NARROW) -> str:
    return recorded(found, width).export_text()


def lines_of(found: WindowReport, width: int = NARROW) -> list[str]:
    return [line.rstrip() for line in shown(found, width).splitlines()]


def test_the_head_says_what_was_measured_and_how_bad_it_is():
    head = lines_of(report())[:2]
    assert head == [
        "shop  2026-03-03 11:00 to 2026-03-03 12:00 UTC",
        "1,000 rows against reference 0123456789abcdef: 1 critical, 1 with too few rows",
    ]


def test_a_quiet_window_says_that_nothing_was_found():
    assert "nothing found" in shown(report(features={"age": measured(0.01, severity=None)}))


def test_a_window_with_too_few_rows_is_not_called_quiet():
    page = report(features={"age": too_little()}, score=None, concept=None, outcomes=None)
    for text in (shown(page, WIDE), html_page(page)):
        assert "nothing could be compared" in text
        assert "1 with too few rows" in text
        assert "nothing found" not in text
        assert "nothing drifted" not in text


def test_the_worst_comes_first_and_the_unmeasurable_before_it():
    gone = FeatureReport(
        type=FeatureType.FLOAT,
        status=Status.MISSING_IN_SERVING,
        reason="no such column",
        severity=Severity.CRITICAL,
    )
    features = {"well": measured(0.01, severity=None), "mild": measured(0.2, severity=Severity.WARNING)}
    features |= {"bad": measured(0.4), "gone": gone}
    table = lines_of(report(features=features, score=None))[4:8]
    assert [line.split()[:2] for line in table] == [
        ["missing", "in"],
        ["critical", "bad"],
        ["warning", "mild"],
        ["ok", "well"],
    ]


def test_severities_are_coloured():
    ansi = recorded(report()).export_text(styles=True)
    assert "\x1b[1;31mcritical" in ansi


def test_a_finding_has_its_three_top_bins_its_mean_its_quality_and_the_action():
    age = {"age": measured(0.4, action="Act now.")}
    found = report(features=age, score=None, schema_differences=(), drift_type=None)
    text = shown(found, WIDE)
    finding = [line.rstrip() for line in text[text.rindex("critical  age") :].splitlines()]
    assert finding == [
        "critical  age",
        "  (60, +inf): 10.0% to 40.0%",
        "  (-inf, 30]: 50.0% to 25.0%",
        "  (30, 60]: 40.0% to 35.0%",
        "  Wasserstein distance: 0.5 standard deviations of the reference",
        "  mean: 40 to 41.5",
        "  out of range: 12.5%",
        "  quality: mean +2.5 sd, variance x0.25, new 3.0%, infinite 0.1%, without premium, without family",
        "  Act now.",
    ]


def test_what_was_found_of_the_scores_is_said_too():
    null = replace(measured(0.01, severity=Severity.CRITICAL), type=FeatureType.FLOAT, null_rate=0.9)
    found = Finding(section="score", kind=FindingKind.SCORE_NULL_RATE, severity=Severity.CRITICAL)
    page = report(features={"age": measured(0.01, severity=None)}, score=null, findings=(found,))
    assert "  found: nulls critical" in lines_of(page)
    assert "Found: nulls critical." in html_page(page)
    assert '<span class="critical">90.0%' in html_page(page)


def test_a_state_is_explained():
    thin = too_little()
    text = shown(report(features={"country": FeatureReport(type=thin.type, status=thin.status, reason="7 values")}))
    assert "insufficient data  country\n  7 values.\n" in text


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_line_is_wider_than_the_terminal_and_no_row_takes_two(width: int):
    features = {LONG: measured(0.4, reference_mean=713_471_564.2), "age": measured(0.3), "country": too_little()}
    lines = lines_of(report(features=features), width)
    assert max(map(len, lines)) <= width
    begin = lines.index("") + 1
    table = lines[begin : lines.index("", begin)]
    assert len(table) == 1 + len(features) + 1, "the head, a row a feature, and the score"


def test_a_wide_terminal_shows_ranges_means_and_the_top_bin():
    head, row = lines_of(report(features={"age": measured()}, score=None), WIDE)[3:5]
    assert head.endswith("out of range  mean then  mean now  top bin")
    assert row.split(maxsplit=10)[5:] == ["1.0%", "(0.2%)", "12.5%", "40", "41.5", "(60, +inf): 10.0% to 40.0%"]


def test_hostile_names_steer_nothing():
    evil = "\x1b]0;title\x07[red]x[/red]\r\n\u202e"
    bins = (Bin(label=evil, reference=0.1, current=0.9, psi=1.0),)
    problems = (FileProblem(path=evil, problem=evil),)
    plain = Console(width=WIDE, file=io.StringIO(), color_system=None)
    drift_table(report(features={evil: measured(bins=bins), HOSTILE: measured()}, problems=problems), plain)
    text = plain.file.getvalue()
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)
    assert "[red]x[/red]" in text


def test_files_that_could_not_be_read_are_named_in_one_line():
    path = "/data/" + "x" * 200 + ".parquet"
    assert f"{path}: cannot be opened" in lines_of(
        report(problems=(FileProblem(path=path, problem="cannot be opened"),))
    )


def test_a_file_that_window_and_skew_could_not_read_is_named_once():
    broken = (FileProblem(path="7.parquet", problem="cannot be opened"),)
    assert shown(report(problems=broken, skew=skewed(problems=broken))).count("7.parquet: cannot be opened") == 1


def test_what_differs_between_serving_and_offline_has_a_line_and_what_agrees_has_none():
    lines = lines_of(report(skew=skewed()), WIDE)
    begin = lines.index("Serving against offline: 1,000 predictions, 990 offline rows") + 1
    assert lines[begin : lines.index("", begin)] == [
        "age: investigate, 5.0% of the values differ, PSI 0.020",
        "country: insufficient data, 7 values offline",
    ]


def test_the_kind_of_drift_is_told_with_its_reason_what_to_do_and_the_gap():
    assert lines_of(report(schema_differences=()), WIDE)[-4:] == [
        "Drift type: covariate. The inputs changed: age.",
        "Retrain on the new population.",
        "Predictions against outcomes: gap +0.0625, expected +0.0125, +4.0 standard deviations, over 900 outcomes.",
        "The moving average is beyond its limit; the run began at 2026-03-02 08:00 UTC.",
    ]


def test_a_column_that_differs_is_named():
    assert "extra: new column" in lines_of(report())


def test_a_backfill_is_summed_up():
    console = Console(width=NARROW, file=io.StringIO(), highlight=False)
    backfill_summary(Counter([Severity.CRITICAL, None, Severity.WARNING, Severity.CRITICAL]), console)
    backfill_summary(Counter([None]), console)
    assert console.file.getvalue().splitlines() == [
        "4 windows measured: 2 critical, 1 warning",
        "1 window measured: nothing found",
    ]
