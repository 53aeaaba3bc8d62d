"""What telemetry costs: series counted from label sets, storage from the requirements' sizes, a budget that is kept."""

import json

import pytest
from click.testing import CliRunner

from mlvitals.cli import main
from mlvitals.generator.contract import CUSUM_SIDES, ConceptStatus, Contract, DriftKind, Producer
from mlvitals.generator.estimate import estimate, family_series
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

SMALL = """\
version: 1
system: {name: shop}
serving: {targets: ["a:1", "b:1"], stages: [inference], endpoints: [/home, /search, /next]}
prediction_log: {path: log, score: score}
features: {amount: {}, country: {type: categorical}}
exporter: {top_bins: 5}
"""


def series(text: str, short: str) -> int:
    (found,) = (item for item in family_series(parse_spec(text)) if item.family == f"shop_{short}")
    return found.series


def storage(text: str, kind: str, predictions: int = 1_000_000) -> float:
    return sum(item.per_day for item in estimate(parse_spec(text), predictions).storage if item.type == kind)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("drift_psi", 2),
        ("drift_top_bin_psi", 2 * 5),
        ("feature_status", 2 * 6),
        ("feature_info", 2),
        ("window_rows", 1),
        ("predictions_total", 2 * 2 * 3),
        ("model_info", 2 * 2),
        ("prediction_latency_seconds", 2 * 2 * 2 * (10 + 3)),
    ],
)
def test_series_are_the_product_of_the_label_values(family, expected):
    assert series(SMALL, family) == expected


def test_labels_whose_values_the_contract_lists_count_these(streamrec: Spec):
    found = {item.family: item.series for item in family_series(streamrec)}
    assert found["streamrec_drift_type"] == len(DriftKind)
    assert found["streamrec_concept_status"] == len(ConceptStatus)
    assert found["streamrec_concept_cusum"] == len(CUSUM_SIDES)


def test_every_exported_family_is_counted_once(streamrec: Spec):
    counted = [item.family for item in family_series(streamrec)]
    own = Contract(streamrec).of(Producer.SERVING, Producer.EXPORTER, Producer.PROCESS)
    assert sorted(counted) == sorted(family.name for family in own)


def test_a_skew_measure_counts_the_features_that_use_it(streamrec: Spec):
    found = {item.family: item.series for item in family_series(streamrec)}
    assert found["streamrec_skew_ks"] == 3
    assert found["streamrec_skew_psi"] + found["streamrec_skew_ks"] == len(streamrec.features)


@pytest.mark.parametrize("figure", ["ks", "ks_critical_value", "ks_pvalue"])
def test_a_statistic_of_numbers_counts_no_categorical_feature(figure):
    assert (series(SMALL, f"drift_{figure}"), series(SMALL, "drift_js")) == (1, 2)


def test_a_metric_takes_8_bytes_a_point_of_every_series():
    found = estimate(parse_spec(SMALL), 0)
    assert storage(SMALL, "metric", 0) == found.series * 8 * 86_400 / 15


@pytest.mark.parametrize(("kind", "expected"), [("log", 5e7), ("trace", 2e6), ("prediction", 4e7)])
def test_a_million_predictions_take_the_sizes_of_the_requirements(kind, expected):
    assert storage(SMALL, kind) == expected


def test_a_declared_stream_has_its_own_rate():
    text = SMALL + "telemetry: {signals: {requests: {type: log, sample_rate: 0.5}, audit: {type: log}}}\n"
    assert storage(text, "log") == 1e6 * 500 * (0.5 + 0.1)


def test_what_leaves_a_tier_goes_to_the_next():
    (log,) = (item for item in estimate(parse_spec(SMALL), 1_000_000).storage if item.type == "log")
    assert (log.hot, log.warm, log.cold) == (7 * 5e7, 83 * 5e7, 275 * 5e7)


def test_a_spec_beyond_its_series_budget_is_refused_at_the_budget():
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALL + "telemetry:\n  series_budget: 50\n")
    (problem,) = caught.value.diagnostics
    assert (problem.position.line, problem.position.column) == (8, 18)
    assert "shop_prediction_latency_seconds 104 (2 model_version x 2 stage x 13 le" in problem.text


def test_the_default_budget_is_exceeded_at_the_features():
    features = ", ".join(f"f{index}: {{}}" for index in range(3_000))
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALL.replace("amount: {}", features))
    (problem,) = caught.value.diagnostics
    assert problem.position.line == 5
    assert "is 200,000, and up to" in problem.text


def test_a_thousand_numbers_fit_the_default_budget():
    features = ", ".join(f"f{index}: {{}}" for index in range(1_000))
    assert estimate(parse_spec(SMALL.replace("amount: {}", features)), 1_000).series > 100_000


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(SMALL)
    return str(path)


def test_the_command_shows_storage_series_and_assumptions(spec_file):
    result = CliRunner().invoke(main, ["estimate", spec_file, "--predictions-per-day", "1000000"])
    assert result.exit_code == 0, result.output
    assert "50 MB" in result.output
    assert "assumed: 8 B per point" in result.output


def test_off_a_terminal_no_word_is_broken(spec_file):
    shown = CliRunner().invoke(main, ["estimate", spec_file]).output
    assert "shop_prediction_latency_seconds" in shown
    assert "2 model_version x 2 stage x 13 le, sum and count x 2 instance" in shown


def test_the_command_gives_json(spec_file):
    result = CliRunner().invoke(main, ["estimate", spec_file, "--json"])
    found = json.loads(result.output)
    assert found["schema"] == "mlvitals.estimate/1"
    assert found["predictions_per_day"] == 1_000_000
    assert found["series"] == sum(item["series"] for item in found["families"])
