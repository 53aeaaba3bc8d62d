"""Figures by segment: each value of a declared column against the same value in the reference."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.publish.prometheus import render_window
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.segments.count import LONGEST, MISSING, MOST_VALUES, OTHER, SegmentValues
from mlvitals.exporters.sections.segments.report import SegmentReport
from mlvitals.exporters.sections.segments.views import lines
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Condition, Feature, Outcome, PredictionLog, Severity, Spec, System
from mlvitals.generator.spec.model import Reference as ReferenceSection

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 4_000
DEVICES = ("ios", "android", "tv", "web")
HOSTILE = 'we"ird\\{{ $name }} é\nx'


def spec_with(most: int = 20, condition: Condition = Condition.NONE, outcome: Outcome | None = None) -> Spec:
    log = PredictionLog(path="log", score="score", segments=("device",), max_segments=most, outcome=outcome)
    return Spec(
        version=1,
        system=System(name="shop"),
        prediction_log=log,
        features={"x": Feature()},
        reference=ReferenceSection(condition=condition),
    )


CLICKS = Outcome(column="clicked", max_delay="1h")


def rows(count: int = ROWS, devices: Any = DEVICES, seed: int = 0, **moved: float) -> dict[str, Any]:
    """Predictions whose scores are near 0.3 on one device and near 0.5 on another, and clicks as often as they say."""
    random = np.random.default_rng(seed)
    device = random.choice(np.array(devices, object), count)
    at = np.array([0.3 + 0.2 * (name in {"tv", "web"}) + moved.get(str(name), 0) for name in device])
    score = np.clip(random.normal(at, 0.1), 0.01, 0.99)
    return {
        "x": random.normal(size=count),
        "device": pa.array(device, pa.string()),
        "score": score,
        "clicked": random.random(count) < score,
        "timestamp": pa.array([NOON - HOUR + k * HOUR / count for k in range(count)], pa.timestamp("us", "UTC")),
    }


def reference_of(spec: Spec, columns: dict[str, Any] | None = None) -> Reference:
    data = pa.table(columns or rows(20_000, seed=1))
    return build_reference(spec, data, created=NOON, source_hash="data")


def measured(
    folder: Path, spec: Spec, *parts: dict[str, Any], reference: Reference | None = None, window: Window | None = None
) -> WindowReport:
    (folder / "log").mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        pq.write_table(pa.table(part), folder / "log" / f"{number}.parquet")
    window = window or Window(NOON - HOUR, NOON)
    return measure_window(spec, folder, reference or reference_of(spec), "v1", window, window.end, workers=1)


def by_value(report: WindowReport) -> dict[str, SegmentReport]:
    return {segment.value: segment for segment in report.segments["device"].values}


def mature() -> Window:
    """The window whose mature window holds the rows."""
    return Window(NOON, NOON + HOUR)


# ---------------------------------------------------------------- scores


def test_a_segment_is_compared_with_the_same_segment_of_the_reference(tmp_path: Path):
    found = by_value(measured(tmp_path, spec_with(), rows()))

    assert set(found) == set(DEVICES)
    assert {segment.compared_with for segment in found.values()} == {"segment"}
    assert not any(segment.severity for segment in found.values())
    assert found["tv"].score_mean == pytest.approx(0.5, abs=0.02)
    assert sum(segment.rows for segment in found.values()) == ROWS


def test_scores_of_one_segment_that_move_are_found_there_alone(tmp_path: Path):
    report = measured(tmp_path, spec_with(), rows(ios=0.2))

    assert [segment.value for segment in report.segments["device"].values if segment.severity] == ["ios"]
    assert report.segments["device"].values[0].value == "ios"
    assert by_value(report)["ios"].score_psi.severity is Severity.WARNING


def test_a_segment_that_the_reference_lacks_is_compared_with_all_its_rows(tmp_path: Path):
    found = by_value(measured(tmp_path, spec_with(), rows(devices=(*DEVICES, "watch"))))

    assert found["watch"].compared_with == "all rows"
    assert found["watch"].score_psi is not None


def test_a_segment_with_too_few_scores_has_rows_and_no_statistic(tmp_path: Path):
    few = rows(40, devices=("watch",))

    found = by_value(measured(tmp_path, spec_with(), rows(), few))

    assert (found["watch"].rows, found["watch"].score_psi, found["watch"].compared_with) == (40, None, None)


def test_nobody_is_warned_of_noise_in_many_small_segments(tmp_path: Path):
    """150 scores in each of 40 segments: an uncorrected limit would be exceeded in every 25th window."""
    shops = [f"shop {number}" for number in range(40)]
    reference = reference_of(spec_with(most=40), rows(60_000, shops, seed=1))

    reports = [
        measured(tmp_path, spec_with(most=40), rows(6_000, shops, seed), reference=reference) for seed in range(2, 12)
    ]

    found = [segment.score_psi for report in reports for segment in by_value(report).values()]
    assert len(found) == 400
    assert not any(psi.value > psi.critical_value for psi in found)


def test_a_conditioned_reference_compares_a_segment_with_its_own_hours(tmp_path: Path):
    """In training the noon hour scored higher than the hour before: a window before noon is nothing new."""
    spec = spec_with(condition=Condition.HOUR_OF_DAY)
    before, after = rows(20_000, seed=1), rows(20_000, seed=2, ios=0.2, android=0.2, tv=0.2, web=0.2)
    after["timestamp"] = pa.array(
        [NOON + k * timedelta(milliseconds=100) for k in range(20_000)], pa.timestamp("us", "UTC")
    )
    both = {name: pa.concat_arrays([pa.array(column), pa.array(after[name])]) for name, column in before.items()}

    report = measured(tmp_path, spec, rows(), reference=reference_of(spec, both))

    assert not any(segment.severity for segment in by_value(report).values())
    assert all(segment.score_psi.value < 0.1 for segment in by_value(report).values())


# ---------------------------------------------------------------- values


def test_the_largest_values_of_the_reference_are_kept_and_the_rest_is_other(tmp_path: Path):
    known = rows(20_000, ("ios", "ios", "ios", "android", "android", "tv", "web"), seed=1)

    found = by_value(measured(tmp_path, spec_with(most=2), rows(), reference=reference_of(spec_with(most=2), known)))

    assert set(found) == {"ios", "android", OTHER}
    assert sum(segment.rows for segment in found.values()) == ROWS
    assert found[OTHER].compared_with == "segment"


def test_new_values_take_the_places_that_the_reference_leaves(tmp_path: Path):
    found = by_value(measured(tmp_path, spec_with(most=5), rows(devices=(*DEVICES, "a", "a", "b"))))

    assert set(found) == {*DEVICES, "a", OTHER}


def test_rows_without_a_value_and_a_value_named_other_have_their_place(tmp_path: Path):
    found = by_value(measured(tmp_path, spec_with(), rows(devices=("ios", None, OTHER))))

    assert set(found) == {"ios", MISSING, OTHER}


def test_any_split_of_the_rows_gives_the_same_counts(tmp_path: Path):
    table = pa.table(rows(android=0.3))
    (tmp_path / "whole").mkdir()
    (tmp_path / "split").mkdir()

    whole = measured(tmp_path / "whole", spec_with(most=2), table)
    split = measured(
        tmp_path / "split", spec_with(most=2), table.slice(2_500), table.slice(0, 700), table.slice(700, 1_800)
    )

    figures = [
        {value: (s.rows, s.scores, s.score_psi, s.compared_with) for value, s in by_value(report).items()}
        for report in (whole, split)
    ]
    assert figures[0] == figures[1]


def test_a_column_of_ids_costs_no_more_than_the_most_values():
    values = SegmentValues()

    codes = values.codes(pa.array([f"user {number}" for number in range(10 * MOST_VALUES)]))

    assert len(values.names) == MOST_VALUES
    assert np.count_nonzero(codes == 0) == 9 * MOST_VALUES + 1


def test_a_value_is_shortened_and_one_that_is_no_text_stays_readable():
    values = SegmentValues()
    broken = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())

    values.codes(pa.array(["x" * 10_000]))
    values.codes(broken)
    values.codes(pa.array([7, None]))
    values.codes(pa.array([True]).dictionary_encode())

    assert values.names == [OTHER, "x" * LONGEST, "\ufffd\ufffd", "7", MISSING, "true"]


def test_a_column_that_is_gone_or_of_another_type_is_a_problem_of_its_own(tmp_path: Path):
    without = {name: column for name, column in rows().items() if name != "device"}
    gone = measured(tmp_path, spec_with(), without)
    fractions = measured(tmp_path, spec_with(), without | {"device": np.linspace(0, 1.5, ROWS)})

    assert gone.segments["device"].problem == "the window has no such column, or no rows"
    assert "numbers that are not whole" in fractions.segments["device"].problem
    assert gone.features == fractions.features
    assert [line.text for line in lines(gone.segments)] == [
        "0 of 0 drift",
        "device: the window has no such column, or no rows",
    ]


def test_a_file_without_the_column_that_others_have_is_named(tmp_path: Path):
    part = rows(1_000)
    without = {name: column for name, column in part.items() if name != "device"}

    report = measured(tmp_path, spec_with(), part, without)

    assert [problem.problem for problem in report.problems] == ["lacks the columns device"]
    assert sum(segment.rows for segment in by_value(report).values()) == 1_000


def test_without_scores_a_segment_still_has_rows(tmp_path: Path):
    texts = rows() | {"score": ["high"] * ROWS}

    found = by_value(measured(tmp_path, spec_with(), texts))

    assert sum(segment.rows for segment in found.values()) == ROWS
    assert not any(segment.scores or segment.score_psi for segment in found.values())


# ---------------------------------------------------------------- outcomes


def test_outcomes_are_told_by_segment(tmp_path: Path):
    report = measured(tmp_path, spec_with(outcome=CLICKS), rows(), window=mature())
    found = by_value(report)

    assert sum(segment.predictions for segment in found.values()) == report.outcomes.predictions == ROWS
    assert all(segment.feedback_rate == 1 for segment in found.values())
    gaps = sum(segment.gap * segment.predictions for segment in found.values()) / ROWS
    assert gaps == pytest.approx(report.outcomes.gap)
    assert not any(segment.severity for segment in found.values())


def test_predictions_that_miss_the_outcomes_of_one_segment_are_found_there_alone(tmp_path: Path):
    part = rows(seed=3)
    wrong = np.array(part["device"]) == "tv"
    part["clicked"] = np.where(wrong, False, part["clicked"])

    found = by_value(measured(tmp_path, spec_with(outcome=CLICKS), part, window=mature()))

    assert [value for value, segment in found.items() if segment.severity] == ["tv"]
    assert found["tv"].gap == pytest.approx(0.5, abs=0.02)
    assert found["tv"].gap_shift.severity is Severity.WARNING


def test_a_segment_without_feedback_has_a_rate_of_nothing_and_no_gap(tmp_path: Path):
    part = rows()
    lost = np.array(part["device"]) == "web"
    part["clicked"] = pa.array(part["clicked"], mask=lost)

    web = by_value(measured(tmp_path, spec_with(outcome=CLICKS), part, window=mature()))["web"]

    assert (web.feedback_rate, web.outcome_mean, web.gap, web.gap_shift) == (0, None, None, None)


def test_outcomes_that_cannot_be_read_leave_the_feedback_of_a_segment_unknown(tmp_path: Path):
    part = rows()
    del part["clicked"]

    report = measured(tmp_path, spec_with(outcome=CLICKS), part, window=Window(NOON - HOUR, NOON + HOUR))

    assert report.outcomes.predictions == ROWS
    assert {segment.feedback_rate for segment in by_value(report).values()} == {None}


# ---------------------------------------------------------------- what is told


def test_a_hostile_value_stays_harmless_on_every_page(tmp_path: Path):
    spec = spec_with(outcome=CLICKS)
    report = measured(tmp_path, spec, rows(devices=(HOSTILE, "ios"), ios=0.4))
    report = WindowReport.from_json(report.to_json())

    page = render_window(Contract(spec), report).decode()

    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    values = {sample.labels["segment_value"] for sample in samples if sample.name == "shop_segment_rows"}
    assert values == {HOSTILE, "ios"}
    assert "<script" not in html_page(report)
    assert not any("\n" in line.text for line in lines(report.segments))


def test_what_is_published_fits_the_series_that_were_counted(tmp_path: Path):
    """Twice as many values as are kept, none of them known: the rest adds one series."""
    spec = spec_with(most=3)
    report = measured(tmp_path, spec, rows(devices=[f"d{number}" for number in range(6)]))

    page = render_window(Contract(spec), report).decode()

    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert (
        len([sample for sample in samples if sample.name == "shop_segment_rows"])
        == spec.prediction_log.max_segments + 1
    )


def test_the_report_names_the_segment_what_it_does_and_what_noise_is(tmp_path: Path):
    report = measured(tmp_path, spec_with(), rows(ios=0.2))

    [count, (line, severity)] = lines(report.segments)
    assert count.text == f"1 of {len(report.segments['device'].values)} drift"
    assert severity is Severity.WARNING
    assert line.startswith("warning: device ios: ")
    assert "score PSI" in line
    assert "noise" in line
    assert "device ios" in html_page(report)


def test_segments_beyond_the_series_budget_are_refused():
    with pytest.raises(SpecError, match="shop_segment_"):
        parse_spec(
            "version: 1\nsystem: {name: shop}\nfeatures: {x: {}}\n"
            "telemetry: {series_budget: 3000}\n"
            "prediction_log: {path: log, score: s, segments: [a, b, c, d], max_segments: 1000}\n"
        )
