import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import msgspec
import pytest
from exporter_samples import HOSTILE, NOON, OUTCOMES, SPEC, measured, report, samples_of, value
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from mlvitals.exporters.parts import FileProblem, Measure
from mlvitals.exporters.publish.prometheus import (
    RunState,
    families_of_window,
    render,
    render_window,
    samples_of_window,
)
from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.exporters.sections.concept.report import ConceptReport
from mlvitals.exporters.sections.features.report import Bin, FeatureReport
from mlvitals.exporters.sections.freshness import Reading
from mlvitals.generator.contract import ConceptStatus, Contract, DriftKind, Producer, Status
from mlvitals.generator.estimate import family_series
from mlvitals.generator.spec.model import FeatureType

CONTRACT = Contract(SPEC)
STATE = RunState(runs=5, failures=1, last_run=NOON, last_success=NOON - timedelta(hours=1), duration_seconds=0.75)
FRESHNESS = {"batch": Reading(NOON - timedelta(hours=2)), "stream": Reading(None, "does not exist")}
CHANGE = Change(ChangeKind.PIPELINE, HOSTILE, NOON - timedelta(minutes=5), "42", "dana")
PAGE = render(CONTRACT, report(outcomes=OUTCOMES), STATE, FRESHNESS, NOON, [CHANGE])


def families(page: bytes) -> set[str]:
    return {line.split()[2] for line in page.decode().splitlines() if line.startswith("# TYPE ")}


def test_every_exporter_family_of_the_contract_is_published_and_no_other() -> None:
    assert families(PAGE) == {family.name for family in CONTRACT.of(Producer.EXPORTER)}


def test_the_families_of_a_window_hold_what_its_text_says() -> None:
    window = report(outcomes=OUTCOMES)
    text = render_window(CONTRACT, window).decode()

    def held(found: Iterable[Metric]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        samples = [sample for family in found for sample in family.samples]
        return {(one.name, frozenset(one.labels.items()), float(one.value)) for one in samples}

    assert held(families_of_window(CONTRACT, window)) == held(text_string_to_metric_families(text))


def test_every_sample_has_exactly_the_labels_of_its_family() -> None:
    labels = {family.name: set(family.labels) for family in CONTRACT.of(Producer.EXPORTER)}
    assert all({key for key, _ in found} == labels[name] for name, found in samples_of(PAGE))


def test_no_family_publishes_more_series_than_were_estimated() -> None:
    published = Counter(name for name, _ in samples_of(PAGE))
    estimated = {item.family: item.series for item in family_series(SPEC)}
    assert {name: count for name, count in published.items() if count > estimated[name]} == {}


def test_types_and_help_are_those_of_the_contract() -> None:
    parsed = {family.name: family for family in text_string_to_metric_families(PAGE.decode())}
    for family in CONTRACT.of(Producer.EXPORTER):
        found = parsed[family.name.removesuffix("_total") if family.type == "counter" else family.name]
        assert (found.type, found.documentation) == (family.type, family.help)


def test_a_page_is_promtool_clean(promtool: str) -> None:
    checked = subprocess.run([promtool, "check", "metrics"], input=PAGE, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_figures_are_those_of_the_report() -> None:
    assert value(PAGE, "shop_drift_psi", feature_name="age") == 0.4
    assert value(PAGE, "shop_drift_psi_critical_value", feature_name="age") == 0.03
    assert value(PAGE, "shop_feature_null_rate", feature_name="age") == 0.01
    assert value(PAGE, "shop_prediction_score_psi") == 0.02
    assert value(PAGE, "shop_window_end_timestamp_seconds") == NOON.timestamp()
    assert value(PAGE, "shop_reference_info", reference_version="0123456789abcdef") == 1


def test_quality_figures_are_those_of_the_report() -> None:
    assert value(PAGE, "shop_feature_mean_shift", feature_name="age") == 2.5
    assert value(PAGE, "shop_feature_variance_ratio_critical_value", feature_name="age") == 1.5
    assert value(PAGE, "shop_feature_vanished_categories", feature_name="age") == 2
    assert value(PAGE, "shop_feature_mean_shift", feature_name="country") is None


def test_the_count_window_has_its_size_and_how_far_it_reaches_back() -> None:
    assert value(PAGE, "shop_prediction_score_count_rows") == 9000
    assert value(PAGE, "shop_prediction_score_count_span_seconds") == 3 * 3600
    assert value(PAGE, "shop_prediction_score_count_psi") == 0.05


def test_the_gap_has_its_charts_with_their_limits() -> None:
    assert value(PAGE, "shop_concept_gap") == 0.0625
    assert value(PAGE, "shop_concept_gap_noise") == pytest.approx(0.0125 * 3.29, rel=0.001)
    assert value(PAGE, "shop_concept_ewma_limit") == 1.25
    assert value(PAGE, "shop_concept_cusum", side="upper") == 9.0
    assert value(PAGE, "shop_concept_status", status="ok") == 1


def test_the_kind_of_drift_that_holds_is_1_and_the_others_are_0() -> None:
    found = {kind: value(PAGE, "shop_drift_type", type=kind) for kind in DriftKind}
    assert found == {kind: float(kind is DriftKind.COVARIATE) for kind in DriftKind}


def test_a_gap_that_is_still_learned_has_no_chart_that_could_look_fine() -> None:
    learning = ConceptReport(status=ConceptStatus.LEARNING, baseline_windows=7)
    page = render_window(CONTRACT, report(concept=learning))
    assert value(page, "shop_concept_baseline_windows") == 7
    assert value(page, "shop_concept_ewma") is None
    assert value(page, "shop_concept_cusum", side="upper") is None


def test_a_change_stands_at_the_time_it_was_made() -> None:
    labels = {"kind": "pipeline", "name": HOSTILE, "version": "42", "author": "dana"}
    assert samples_of(PAGE)["shop_change_timestamp_seconds", frozenset(labels.items())] == CHANGE.moment.timestamp()


def test_columns_that_differ_are_counted_by_kind_and_none_is_0() -> None:
    assert value(PAGE, "shop_schema_differences", kind="new_column") == 1
    assert value(PAGE, "shop_schema_differences", kind="missing_column") == 0


def test_a_hostile_feature_name_comes_back_as_it_was() -> None:
    assert value(PAGE, "shop_drift_psi", feature_name=HOSTILE) == 0.1


def test_the_status_that_holds_is_1_and_the_others_are_0() -> None:
    found = {status: value(PAGE, "shop_feature_status", feature_name="country", status=status) for status in Status}
    assert found == {status: float(status is Status.INSUFFICIENT_DATA) for status in Status}


def test_an_undefined_figure_has_no_sample() -> None:
    assert value(PAGE, "shop_drift_psi", feature_name="country") is None
    assert value(PAGE, "shop_feature_mean", feature_name="country") is None


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinities_are_never_published(undefined: float) -> None:
    strange = measured(mean=undefined, psi=undefined, js=Measure(value=undefined, critical_value=undefined))
    page = render_window(CONTRACT, report(features={"age": strange}))
    assert not re.search(rb" [+-]?(nan|inf)$", page, re.IGNORECASE | re.MULTILINE)


def test_the_top_bins_are_ranked_and_no_more_than_asked_for() -> None:
    top = {
        labels
        for name, labels in samples_of(PAGE)
        if name == "shop_drift_top_bin_psi" and ("feature_name", "age") in labels
    }
    assert {(dict(labels)["rank"], dict(labels)["bin"]) for labels in top} == {("1", "(60, +inf)"), ("2", "(-inf, 30]")}
    first = {"feature_name": "age", "rank": "1", "bin": "(60, +inf)"}
    assert value(PAGE, "shop_drift_top_bin_reference_ratio", **first) == 0.1
    assert value(PAGE, "shop_drift_top_bin_current_ratio", **first) == 0.4


def test_bins_with_the_same_label_do_not_collide() -> None:
    twins = (Bin(label="x", reference=0.5, current=0.4, psi=0.1), Bin(label="x", reference=0.5, current=0.6, psi=0.1))
    page = render_window(CONTRACT, report(features={"age": measured(bins=twins)}))
    assert value(page, "shop_drift_top_bin_current_ratio", feature_name="age", rank="1", bin="x") == 0.4
    assert value(page, "shop_drift_top_bin_current_ratio", feature_name="age", rank="2", bin="x") == 0.6


def test_a_feature_that_a_later_window_lacks_disappears() -> None:
    missing = FeatureReport(type=FeatureType.INTEGER, status=Status.MISSING_IN_SERVING, reason="no such column")
    page = render_window(CONTRACT, report(features={"age": missing}, drift_type=None))
    assert value(page, "shop_feature_status", feature_name="age", status="missing_in_serving") == 1
    assert not any("_drift_" in name for name, _ in samples_of(page))


def test_a_feature_that_left_the_spec_is_not_published() -> None:
    page = render_window(CONTRACT, report(features={"retired": measured()}))
    assert b"retired" not in page


def test_every_feature_of_the_spec_is_known_before_the_first_window() -> None:
    page = render_window(CONTRACT, None)
    assert families(page) == {"shop_feature_info"}
    assert value(page, "shop_feature_info", feature_name="age", feature_source="batch", feature_type="integer") == 1
    assert value(page, "shop_feature_info", feature_name=HOSTILE, feature_source="", feature_type="float") == 1


def test_an_age_grows_with_the_clock_between_refreshes() -> None:
    later = render(CONTRACT, report(), STATE, FRESHNESS, NOON + timedelta(minutes=1))
    assert value(PAGE, "shop_data_freshness_seconds", feature_source="batch") == 7200
    assert value(later, "shop_data_freshness_seconds", feature_source="batch") == 7260


def test_a_time_in_the_future_is_a_negative_age() -> None:
    page = render(CONTRACT, None, STATE, {"batch": Reading(NOON + timedelta(hours=9))}, NOON)
    assert value(page, "shop_data_freshness_seconds", feature_source="batch") == -9 * 3600


def test_a_source_of_unknown_age_has_its_limit_and_no_age() -> None:
    assert value(PAGE, "shop_data_freshness_max_age_seconds", feature_source="stream") == 300
    assert value(PAGE, "shop_data_freshness_timestamp_seconds", feature_source="stream") is None
    assert value(PAGE, "shop_data_freshness_seconds", feature_source="stream") is None


def test_runs_are_counted_from_0_before_the_first() -> None:
    page = render(CONTRACT, None, RunState(), {}, NOON)
    assert value(page, "shop_exporter_runs_total") == 0
    assert value(page, "shop_exporter_run_failures_total") == 0
    assert value(page, "shop_exporter_last_run_timestamp_seconds") is None


def test_a_file_with_two_problems_is_one_file() -> None:
    problems = tuple(FileProblem(path=path, problem="broken") for path in ("a", "a", "b"))
    assert value(render_window(CONTRACT, report(problems=problems)), "shop_log_files_unreadable") == 2


def test_a_spec_without_a_score_has_no_score_families() -> None:
    log = msgspec.structs.replace(SPEC.prediction_log, score=None)
    page = render_window(Contract(msgspec.structs.replace(SPEC, prediction_log=log)), report())
    assert b"prediction_score" not in page


def test_a_boolean_feature_says_so() -> None:
    flag = msgspec.structs.replace(SPEC.features["age"], type=FeatureType.BOOLEAN, source=None)
    page = render_window(Contract(msgspec.structs.replace(SPEC, features={"flag": flag})), None)
    assert value(page, "shop_feature_info", feature_name="flag", feature_source="", feature_type="boolean") == 1


def test_every_bin_is_published_in_an_order_that_sorting_by_text_keeps() -> None:
    samples = samples_of_window(Contract(SPEC), report())["drift_bin_psi"]
    indices = [labels[1] for labels, _ in samples if labels[0] == "age"]
    assert indices == sorted(indices)
    assert len(indices) == len(report().features["age"].bins)
