import numpy as np
import pyarrow as pa
import pytest
from drift_samples import NOON, WINDOW, compared, random, reference_of, report_of, spec_of

from mlvitals.exporters.parts import FileProblem
from mlvitals.exporters.sections.features.drift import WindowCounts, sides_of
from mlvitals.exporters.statistics import distances
from mlvitals.exporters.statistics.distances import ks_critical_value, psi_critical_value
from mlvitals.exporters.statistics.profile import ColumnProblem, FeatureProfile
from mlvitals.exporters.window.measure import report_on
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import FeatureType, Severity

NORMAL = random(1).normal(size=10_000)
SHIFTED = random(2).normal(1, 1, 10_000)
SAME = random(3).normal(size=10_000)


def test_a_feature_that_did_not_change_is_ok_without_severity_or_action():
    report = report_of(NORMAL, SAME)
    assert (report.status, report.severity, report.action) == (Status.OK, None, "")
    assert report.psi is not None
    assert report.psi.value < report.psi.critical_value


def test_a_feature_that_moved_is_critical_and_says_what_to_do():
    report = report_of(NORMAL, SHIFTED)
    assert (report.status, report.severity) == (Status.OK, Severity.CRITICAL)
    assert report.psi.severity is Severity.CRITICAL
    assert report.ks.severity is Severity.CRITICAL
    assert report.action.startswith("Act now")
    assert report.ks_pvalue == pytest.approx(0, abs=1e-9)


def test_every_cell_is_reported_with_both_shares_and_its_contribution():
    report = report_of([False] * 950 + [True] * 50, [False] * 500 + [True] * 500, FeatureType.BOOLEAN)
    assert [(found.label, found.reference, found.current) for found in report.bins] == [
        ("false", 0.95, 0.5),
        ("true", 0.05, 0.5),
        ("unseen values", 0.0, 0.0),
    ]
    assert sum(found.psi for found in report.bins) == pytest.approx(report.psi.value)
    assert report.top_bins(1)[0].label == "true"


@pytest.mark.parametrize("statistic", [distances.psi, distances.ks], ids=lambda statistic: statistic.__name__)
def test_a_statistic_its_cells_and_its_error_bound_are_of_one_computation(statistic, monkeypatch):
    calls = []
    monkeypatch.setattr(distances, statistic.__name__, lambda *counts: calls.append(counts) or statistic(*counts))
    report = report_of(NORMAL, SHIFTED)
    assert (report.bins != (), report.ks_error_bound is not None, len(calls)) == (True, True, 1)


def test_march_3_names_the_bin_that_took_the_unix_times():
    days = np.repeat(np.arange(366), 100)
    now = np.where(np.arange(len(days)) % 5 < 2, 1_772_524_800, days)
    report = report_of(days, now, FeatureType.INTEGER)
    top = report.top_bins(1)[0]
    assert (report.severity, top.label) == (Severity.CRITICAL, "> 329")
    assert (top.reference, top.current) == (pytest.approx(0.098, abs=0.005), pytest.approx(0.46, abs=0.005))
    assert report.out_of_range_ratio == pytest.approx(0.4, abs=0.001)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (NORMAL, SHIFTED[:99], "99 values in the window; at least 100 are needed"),
        (NORMAL[:99], SHIFTED, "99 values in the reference for the hours of this window; at least 100 are needed"),
        ([np.inf] * 500, SAME, "the reference holds no finite value"),
        (NORMAL, pa.array([], pa.float64()), "0 values in the window; at least 100 are needed"),
    ],
)
def test_too_few_values_are_insufficient_data(before, now, reason):
    report = report_of(before, now)
    assert (report.status, report.reason) == (Status.INSUFFICIENT_DATA, reason)
    assert (report.psi, report.ks, report.js, report.ks_pvalue, report.bins) == (None, None, None, None, ())


def test_few_values_that_differ_beyond_noise_count():
    report = report_of(NORMAL, SHIFTED[:150])
    assert (report.status, report.severity) == (Status.OK, Severity.CRITICAL)


def test_enough_values_give_numbers_also_within_noise():
    assert report_of(NORMAL, SAME[:1000]).status is Status.OK


@pytest.mark.parametrize(("rows", "cells"), [(1000, 10), (999, 5), (500, 5), (499, 3), (300, 3), (299, 2), (100, 2)])
def test_few_rows_are_compared_on_fewer_cells_and_never_on_none(rows, cells):
    report = report_of(NORMAL, SAME[:rows])
    assert (report.status, len(report.bins)) == (Status.OK, cells)
    assert report.psi.value < report.psi.critical_value
    assert report.ks.critical_value == ks_critical_value(10_000, rows)


def test_merged_cells_are_neighbours_and_say_what_they_span():
    fine, coarse = report_of(NORMAL, SAME[:1000]), report_of(NORMAL, SAME[:500])
    assert coarse.bins[0].reference == pytest.approx(fine.bins[0].reference + fine.bins[1].reference)
    assert coarse.bins[0].label == "<= " + fine.bins[1].label.rpartition(", ")[2].rstrip("]")
    assert coarse.bins[-1].label == "> " + fine.bins[-2].label[1:].partition(", ")[0]
    assert sum(found.psi for found in coarse.bins) == pytest.approx(coarse.psi.value)


def test_two_categories_with_190_rows_a_day_are_measured():
    report = report_of(["a", "b"] * 5000, ["a", "b"] * 95, FeatureType.CATEGORICAL)
    assert (report.status, report.severity) == (Status.OK, None)
    assert report.psi.value < report.psi.critical_value


def test_categories_are_merged_from_the_rarest_on():
    levels = np.repeat(list("abcdefgh"), [3000, 2500, 2000, 1000, 500, 400, 300, 300])
    report = report_of(levels, random(6).permutation(levels)[:450], FeatureType.CATEGORICAL)
    assert [found.label for found in report.bins] == ["a", "b", "less frequent values", "unseen values"]


def test_a_change_that_only_the_fine_cells_show_is_shown_on_them():
    moved = np.where((SAME > -0.273777) & (SAME < -0.00944808), 0.1, SAME)[:600]
    report = report_of(NORMAL, moved)
    assert len(report.bins) == 10
    assert report.psi.severity is Severity.WARNING or report.psi.severity is Severity.CRITICAL


def test_what_counts_as_enough_is_the_specs():
    spec = spec_of({"x": {}}, reference={"min_rows_per_bin": 20})
    reference = reference_of(spec, {"x": NORMAL})
    assert len(compared(spec, reference, {"x": SAME[:250]}).features["x"].bins) == 10
    assert len(compared(spec, reference, {"x": SAME[:190]}).features["x"].bins) == 5


def test_null_rate_mean_and_range_are_given_when_drift_is_not():
    report = report_of(NORMAL, pa.array([None] * 50 + [1.0, 100.0]))
    assert report.status is Status.INSUFFICIENT_DATA
    assert report.null_rate == pytest.approx(50 / 52)
    assert (report.rows, report.nulls, report.mean, report.out_of_range_ratio) == (2, 50, 50.5, 0.5)
    assert report.reference_mean == pytest.approx(NORMAL.mean())


def test_an_empty_window_has_no_null_rate():
    report = report_of(NORMAL, pa.array([], pa.float64()))
    assert (report.rows, report.null_rate, report.mean, report.out_of_range_ratio) == (0, None, None, None)


@pytest.mark.parametrize("now", [[None] * 500, [np.nan] * 500, [None, np.nan] * 250])
def test_a_column_without_any_value_is_all_null(now):
    report = report_of(NORMAL, pa.array(now, pa.float64()))
    assert (report.status, report.null_rate) == (Status.ALL_NULL, 1.0)


def test_infinities_are_drift_and_counted():
    report = report_of(NORMAL, np.where(np.arange(10_000) % 2, SAME, np.inf))
    assert report.severity is Severity.CRITICAL
    assert (report.infinities, report.out_of_range_ratio) == (5000, pytest.approx(0.5, abs=0.001))
    assert report.mean == pytest.approx(SAME[1::2].mean())


def test_a_column_of_another_type_is_a_state_with_the_reason():
    report = report_of(NORMAL, ["1.5"] * 1000)
    assert report.status is Status.TYPE_MISMATCH
    assert report.reason == "holds string values such as '1.5'; expected numbers for a feature of type float"


def test_a_spec_that_changed_a_type_after_the_reference_was_built_is_a_mismatch():
    reference = reference_of(spec_of({"x": {}}), {"x": NORMAL})
    report = compared(spec_of({"x": {"type": "integer"}}), reference, {"x": SAME}).features["x"]
    assert report.status is Status.TYPE_MISMATCH
    assert report.reason == "the reference was built for type float, the spec says integer"


def test_a_missing_column_and_a_feature_newer_than_the_reference_are_states_while_the_others_are_measured():
    reference = reference_of(spec_of({"x": {}, "gone": {}}), {"x": NORMAL, "gone": NORMAL})
    features = compared(spec_of({"x": {}, "gone": {}, "new": {}}), reference, {"x": SAME, "new": SAME}).features
    assert {name: report.status for name, report in features.items()} == {
        "x": Status.OK,
        "gone": Status.MISSING_IN_SERVING,
        "new": Status.MISSING_IN_REFERENCE,
    }
    assert features["new"].reason == "reference v1 does not have it"
    assert all(features[name].action for name in ("gone", "new"))


def test_a_category_has_no_d_no_mean_and_no_range():
    report = report_of(["a", "b"] * 1000, ["a", "c"] * 1000, FeatureType.CATEGORICAL)
    assert report.severity is Severity.CRITICAL
    assert (report.ks, report.ks_pvalue, report.mean, report.out_of_range_ratio) == (None, None, None, None)
    assert report.js.severity is Severity.CRITICAL


def test_a_flag_has_a_mean_but_no_range():
    report = report_of([True, False] * 500, [True] * 600 + [False] * 400, FeatureType.BOOLEAN)
    assert (report.mean, report.out_of_range_ratio) == (0.6, None)


MODERATE = random(4).normal(0.35, 1, 10_000)  # PSI about 0.14


def test_severity_follows_the_specs_levels():
    assert report_of(NORMAL, MODERATE).psi.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("own", "severity"),
    [
        ({"critical": 0.12}, Severity.CRITICAL),
        ({"warning": 0.2}, None),
        ({"warning": 0.2, "info": 0.1}, Severity.INFO),
        ({"critical": 0.9}, Severity.WARNING),
        ({"warning": 0.0}, Severity.WARNING),
    ],
)
def test_a_features_own_levels_come_before_the_specs_level_by_level(own, severity):
    assert report_of(NORMAL, MODERATE, thresholds={"psi": own}).psi.severity is severity


def test_a_disabled_policy_has_no_severity():
    spec = spec_of({"x": {}}, alerts={"feature_psi": {"enabled": False}})
    report = compared(spec, reference_of(spec, {"x": NORMAL}), {"x": SHIFTED}).features["x"]
    assert (report.psi.severity, report.severity) == (None, Severity.CRITICAL)


def test_above_the_threshold_but_within_noise_is_no_severity():
    thresholds = {name: {"warning": 1e-9} for name in ("psi", "ks", "js")}
    report = report_of(NORMAL, SAME, thresholds=thresholds)
    assert report.status is Status.OK
    assert report.severity is None


def test_the_score_has_its_own_cells_and_levels():
    spec = spec_of({"x": {}}, prediction_log={"score": "score"})
    reference = reference_of(spec, {"x": NORMAL, "score": NORMAL})
    report = compared(spec, reference, {"x": SAME, "score": MODERATE})
    assert report.score is not None
    assert len(report.score.bins) == 20
    assert 0.10 < report.score.psi.value < 0.15
    assert report.score.severity is None
    assert compared(spec, reference, {"x": SAME, "score": SHIFTED}).score.severity is Severity.CRITICAL
    assert compared(spec, reference, {"x": SAME}).score.status is Status.MISSING_IN_SERVING


def test_a_score_without_reference_is_a_state():
    spec = spec_of({"x": {}}, prediction_log={"score": "score"})
    report = compared(spec, reference_of(spec, {"x": NORMAL}), {"x": SAME, "score": SAME})
    assert report.score.status is Status.MISSING_IN_REFERENCE


def test_without_a_score_in_the_spec_there_is_no_score_report():
    spec = spec_of({"x": {}})
    assert compared(spec, reference_of(spec, {"x": NORMAL}), {"x": SAME}).score is None


def test_the_window_is_as_bad_as_its_worst_feature():
    spec = spec_of({"calm": {}, "loud": {}})
    reference = reference_of(spec, {"calm": NORMAL, "loud": NORMAL})
    assert compared(spec, reference, {"calm": SAME, "loud": SHIFTED}).severity is Severity.CRITICAL
    assert compared(spec, reference, {"calm": SAME, "loud": SAME}).severity is None


def test_pvalues_are_adjusted_across_the_features():
    draw = random(9)
    spec = spec_of({f"f{number}": {} for number in range(20)})
    reference = reference_of(spec, dict.fromkeys(spec.features, NORMAL))
    features = compared(spec, reference, {name: draw.normal(size=2000) for name in spec.features}).features.values()
    assert all(report.ks_pvalue <= report.ks_pvalue_adjusted <= 1 for report in features)
    assert min(report.ks_pvalue_adjusted for report in features) == pytest.approx(
        min(20 * report.ks_pvalue / rank for rank, report in enumerate(sorted(features, key=lambda r: r.ks_pvalue), 1))
    )


def test_a_window_is_compared_with_the_same_hours_of_a_conditioned_reference():
    times = np.datetime64("2026-01-05T00:00", "us") + np.arange(20_000) * np.timedelta64(600, "s")
    by_day = np.where(np.arange(20_000) // 6 % 24 == 11, 5.0, 0.0)
    eleven = {"x": np.full(2000, 5.0)}
    spec = spec_of({"x": {}}, reference={"condition": "hour_of_day"})
    assert compared(spec, reference_of(spec, {"x": by_day, "timestamp": times}), eleven).features["x"].severity is None
    plain = spec_of({"x": {}})
    assert compared(plain, reference_of(plain, {"x": by_day}), eleven).features["x"].severity is Severity.CRITICAL


def test_the_report_carries_where_it_came_from_and_survives_json():
    spec = spec_of({"x": {}})
    reference = reference_of(spec, {"x": NORMAL})
    problem = FileProblem(path="log/a.parquet", problem="truncated")
    counted = WindowCounts(
        window=WINDOW,
        profiles={"x": FeatureProfile.empty(reference.features["x"].cells)},
        score=ColumnProblem(Status.MISSING_IN_SERVING, "gone"),
    )
    report = report_on(spec, reference, "abc", counted, rows=0, measured_at=NOON, problems=(problem,))
    assert (report.system, report.reference_version, report.rows, report.problems) == ("shop", "abc", 0, (problem,))
    assert (report.window, report.measured_at, report.reference_created) == (WINDOW, NOON, reference.created)
    assert WindowReport.from_json(report.to_json()) == report


def test_floors_are_those_of_each_feature_or_of_the_whole_window_as_the_spec_says():
    names = [f"f{number}" for number in range(20)]
    reports = {}
    for per in ("feature", "window"):
        spec = spec_of({name: {} for name in names}, alerts={"noise_per": per})
        found = compared(spec, reference_of(spec, dict.fromkeys(names, NORMAL)), dict.fromkeys(names, SAME))
        reports[per] = found.features["f7"]
    each, all_of_them = reports["feature"], reports["window"]
    assert each.js.critical_value < all_of_them.js.critical_value
    assert all_of_them.psi.critical_value == psi_critical_value(10_000, 10_000, 10, 20)
    assert all_of_them.ks.critical_value == ks_critical_value(10_000, 10_000, 20)
    for name in ("mean_shift", "median_shift", "variance_ratio"):
        floors = [getattr(report.quality, name).critical_value for report in (each, all_of_them)]
        assert floors[0] < floors[1], name


def test_the_noise_is_that_of_each_feature_unless_the_spec_says_otherwise():
    assert report_of(NORMAL, SAME).psi.critical_value == psi_critical_value(10_000, 10_000, 10)


def test_a_feature_that_moved_is_found_among_a_hundred_that_did_not():
    names = [f"f{number}" for number in range(100)]
    spec = spec_of({name: {} for name in names}, alerts={"noise_per": "window"})
    reference = reference_of(spec, dict.fromkeys(names, NORMAL))
    now = dict.fromkeys(names, SAME[:1000]) | {"f42": SHIFTED[:1000]}
    severities = {name: report.severity for name, report in compared(spec, reference, now).features.items()}
    assert severities == dict.fromkeys(names) | {"f42": Severity.CRITICAL}


# ---------------------------------------------------------------- what the reference itself holds


def with_nulls(rate: float, rows: int = 10_000, seed: int = 4) -> list[float | None]:
    """Normal values, a share of which is null."""
    values = random(seed).normal(size=rows).tolist()
    return [None if place < round(rate * rows) else value for place, value in enumerate(values)]


def nulls_found(before: float, now: float, *, rows: int = 10_000, **settings: object) -> list[tuple[str, Severity]]:
    spec = spec_of({"x": {"nullable": True, **settings}})
    found = compared(spec, reference_of(spec, {"x": with_nulls(before)}), {"x": with_nulls(now, rows, seed=5)})
    return [(item.kind, item.severity) for item in found.findings if "null" in item.kind]


@pytest.mark.parametrize(
    ("before", "now", "severity"),
    [(0.10, 0.101, None), (0.10, 0.14, None), (0.10, 0.16, Severity.WARNING), (0.10, 0.36, Severity.CRITICAL)],
)
def test_nulls_of_a_nullable_feature_are_judged_against_the_reference_s_own_rate(before, now, severity):
    assert nulls_found(before, now) == ([("null_rate", severity)] if severity else [])


def test_nulls_that_chance_alone_gives_a_small_window_are_none_of_its_business():
    assert nulls_found(0.10, 0.16, rows=100) == []


def test_a_feature_without_nulls_in_the_reference_is_judged_as_before():
    assert nulls_found(0.0, 0.051) == [("null_rate", Severity.WARNING)]
    assert nulls_found(0.0, 0.049) == []


def test_a_threshold_of_the_feature_s_own_is_meant_for_the_rate_as_such():
    own = {"thresholds": {"null_rate": {"warning": 0.2}}}
    assert nulls_found(0.10, 0.19, **own) == []
    assert nulls_found(0.10, 0.21, **own) == [("null_rate", Severity.WARNING)]


def test_a_required_feature_is_judged_by_any_null_whatever_the_reference_holds():
    assert nulls_found(0.10, 0.10, nullable=False) == [("required_null_rate", Severity.CRITICAL)]


def test_the_report_shows_the_null_rate_of_the_reference():
    spec = spec_of({"x": {"nullable": True}})
    feature = compared(spec, reference_of(spec, {"x": with_nulls(0.1)}), {"x": with_nulls(0.16)}).features["x"]
    assert (feature.null_rate, feature.reference_null_rate) == (0.16, 0.1)
    assert feature.null_rate_increase.value == pytest.approx(0.06)


def test_values_out_of_range_are_judged_against_the_reference_s_own_share():
    before = np.where(np.arange(10_000) % 20 == 0, -1.0, np.abs(NORMAL))
    more = np.where(np.arange(10_000) % 10 == 0, -1.0, np.abs(SAME))
    spec = spec_of({"x": {"minimum": 0}})
    reference = reference_of(spec, {"x": before})
    assert not compared(spec, reference, {"x": before}).found_in("features", "x")
    findings = compared(spec, reference, {"x": more}).findings
    [found] = [item for item in findings if item.kind == "out_of_range_ratio"]
    assert found.severity is Severity.WARNING


def test_to_look_twice_at_few_rows_alarms_no_more_often_than_once_in_a_thousand():
    """20 cells, 2,000 windows of 100 to 1,900 rows of the reference's own law: two exceedances are expected, 8 are rare."""
    spec = spec_of({"x": {}}, reference={"bins": 20})
    normal = reference_of(spec, {"x": random(7).normal(size=200_000)}).features["x"]
    shares, generator, beyond = normal.total / normal.total.sum(), random(8), 0
    for rows in generator.integers(100, 1900, 2000).tolist():
        found = FeatureProfile(counts=generator.multinomial(rows, shares), rows=rows)
        psi = distances.STATISTICS["psi"](sides_of(normal, normal.total, found, comparisons=1, rows_per_bin=100))
        beyond += psi.value > psi.critical_value
    assert beyond <= 8
