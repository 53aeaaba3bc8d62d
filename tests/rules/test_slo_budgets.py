"""The recorded budgets, as promtool evaluates the generated rules on counters and gauges."""

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

import pytest
from promtool_slices import read, slices, write

from mlvitals.generator.promql import number
from mlvitals.generator.spec.load import parse_spec

SPEC = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {}, income: {}}
sources: {batch: {max_age: 1h}, stream: {max_age: 1m}}
slos:
  answers: {kind: availability, objective: 0.9, period: 6h}
  quick: {kind: latency, objective: 0.9, period: 6h, threshold: 0.05}
  fresh: {kind: freshness, objective: 0.9, period: 6h, deploy_above: 0.5}
  young: {kind: model_staleness, objective: 0.9, period: 6h, threshold: 7, deploy_above: null}
  steady: {kind: drift, objective: 0.9, period: 6h, threshold: 0.25, deploy_above: null}
alerts:
  burn_rate:
    page_quick: {short: 5m, long: 1h, budget: 0.2}
    page_slow: {short: 10m, long: 1h, budget: 0.2}
    ticket_quick: {short: 30m, long: 2h, budget: 0.4}
    ticket_slow: {short: 1h, long: 6h, budget: 0.5}
"""
REMAINING = "slo:period_error_budget_remaining:ratio"
Expected = Iterable[tuple[str, float | None]]


@pytest.fixture
def holds(generate: Callable, run: Callable, stable_promtool: str, tmp_path) -> Callable[..., None]:
    """Assert what expressions give after a time of minute-by-minute series; None: no sample at all."""
    rules, _ = generate(parse_spec(SPEC))

    def check(series: Mapping[str, str], after: str, expected: Expected, within: float = 0.001) -> None:
        groups = read(rules)["groups"]
        document = {
            "rule_files": [rules.name],
            "evaluation_interval": "1m",
            "group_eval_order": [group["name"] for group in groups],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "promql_expr_test": [
                        {
                            # Rates are extrapolated, so that a value is met only nearly.
                            "expr": expression
                            if value is None
                            else f"abs({expression} - {number(value)}) < bool {within}",
                            "eval_time": after,
                            "exp_samples": [] if value is None else [{"labels": "{}", "value": 1}],
                        }
                        for expression, value in expected
                    ],
                }
            ],
        }
        path = write(tmp_path / "budgets.test.yml", document)
        tested = run(stable_promtool, "test", "rules", *slices(path))
        assert tested.returncode == 0, tested.stdout + tested.stderr

    return check


def of(slo: str, metric: str = REMAINING) -> str:
    return f'sum({metric}{{sloth_id="shop-{slo}"}})'


def counted(per_minute: Iterable[float]) -> str:
    return " ".join(f"{value:g}" for value in accumulate(per_minute, initial=0))


PREDICTIONS, ERRORS = "shop_predictions_total", 'shop_prediction_errors_total{error_type="x"}'


def test_half_of_the_errors_allowed_leave_half_of_the_budget(holds):
    holds({PREDICTIONS: "0+1000x400", ERRORS: "0+50x400"}, "6h", [(of("answers"), 0.5)])


def test_a_broken_promise_leaves_less_than_nothing(holds):
    holds(
        {PREDICTIONS: "0+1000x400", ERRORS: "0+150x400"},
        "6h",
        [
            (of("answers"), -0.5),
            (of("answers", "slo:current_burn_rate:ratio"), 1.5),
            (of("answers", "slo:deploy_allowed:bool"), 0),
        ],
    )


def test_a_counter_of_errors_that_is_not_there_yet_means_none(holds):
    holds({PREDICTIONS: "0+1000x400"}, "1h", [(of("answers"), 1)])


def test_zero_traffic_is_no_sample(holds):
    idle = {PREDICTIONS: "7x100", ERRORS: "3x100"}
    holds(idle, "1h", [(of("answers", metric), None) for metric in (REMAINING, "slo:sli_error:ratio_rate5m")])


def test_an_absent_system_has_no_budget_and_no_gate(holds):
    holds(
        {},
        "1h",
        [(of("answers"), None), ("system:shop_deploy_allowed:min", None), (of("answers", "slo:objective:ratio"), 0.9)],
    )


def test_a_quiet_hour_weighs_less_than_a_busy_one(holds):
    """100 of 1,100 events failed: an average of the hours' ratios would say half."""
    events = {PREDICTIONS: "0+100x60 6010+10x60", ERRORS: "0x60 10+10x60"}
    holds(events, "2h", [(of("answers", "slo:sli_error:ratio_rate6h"), 0.0909)])


def test_latency_counts_the_requests_above_the_threshold(holds):
    family = "shop_prediction_latency_seconds"
    requests = {
        f'{family}_count{{stage="total"}}': "0+100x60",
        f'{family}_bucket{{stage="total",le="0.05"}}': "0+97x60",
        f'{family}_bucket{{stage="total",le="+Inf"}}': "0+100x60",
    }
    holds(requests, "1h", [(of("quick", "slo:sli_error:ratio_rate5m"), 0.03), (of("quick"), 0.7)])


def source(name: str, updated: str | None, max_age: int) -> dict[str, str]:
    labels = f'{{feature_source="{name}"}}'
    limits = {
        f"shop_data_freshness_max_age_seconds{labels}": f"{max_age}x100",
        f"shop_data_freshness_tolerance_seconds{labels}": "60x100",
    }
    return limits | ({f"shop_data_freshness_timestamp_seconds{labels}": updated} if updated else {})


def test_freshness_is_the_share_of_sources_that_are_fresh(holds):
    stale_after_an_hour = source("batch", "0x100", 3600) | source("stream", "0+60x100", 60)
    holds(stale_after_an_hour, "1h30m", [(of("fresh", "slo:sli_error:ratio_rate5m"), 0.5)])


def test_a_source_of_unknown_age_or_ahead_of_the_clock_is_not_fresh(holds):
    unknown = source("batch", None, 3600) | source("stream", "600+60x100", 60)
    holds(unknown, "30m", [(of("fresh", "slo:sli_error:ratio_rate5m"), 1)])


def test_a_model_older_than_its_limit_spends_the_budget_and_a_fresh_one_does_not(holds):
    trained = "shop_model_trained_timestamp_seconds"
    error = of("young", "slo:sli_error:ratio_rate5m")
    holds({f'{trained}{{model_version="1"}}': f"{-8 * 86400}x60"}, "30m", [(error, 1)])
    holds({f'{trained}{{model_version="1"}}': "0x60"}, "30m", [(error, 0)])


def drifting(psi: str, success: str = "0+60x400") -> dict[str, str]:
    return {
        'shop_drift_psi{feature_name="age"}': psi,
        'shop_drift_psi_critical_value{feature_name="age"}': "0.02x400",
        'shop_drift_psi{feature_name="income"}': "0.01x400",
        'shop_drift_psi_critical_value{feature_name="income"}': "0.02x400",
        "shop_exporter_last_success_timestamp_seconds": success,
    }


def test_drift_is_that_of_the_worst_feature(holds):
    holds(drifting("0.1x59 0.3x59"), "1h59m", [(of("steady", "slo:sli_error:ratio_rate6h"), 0.5)])


def test_drift_within_its_noise_keeps_the_promise(holds):
    noisy = drifting("0.3x100") | {'shop_drift_psi_critical_value{feature_name="age"}': "0.5x100"}
    holds(noisy, "1h", [(of("steady"), 1)])


def test_hours_that_were_not_measured_do_not_count(holds):
    """The last good figures stay on the page while runs fail; two windows later they say nothing any more."""
    holds(drifting("0.3x400", success="0x400"), "6h", [(of("steady", "slo:sli_error:ratio_rate5m"), None)])


def test_deployments_wait_for_the_budget_that_the_spec_wants_left(holds):
    """Freshness at 0.95 of 0.9 leaves half of its budget, and more than half is needed."""
    gate = "system:shop_deploy_allowed:min"
    fine = {PREDICTIONS: "0+1000x100", 'shop_prediction_latency_seconds_count{stage="total"}': "0+10x100"}
    fine |= {'shop_prediction_latency_seconds_bucket{stage="total",le="0.05"}': "0+10x100"}
    holds(fine, "1h", [(gate, None)])
    holds(fine | source("batch", "0+60x100", 3600), "1h", [(gate, 1)])
    holds(fine | source("batch", "-7200+60x100", 3600), "1h", [(gate, 0)])


def test_the_budget_is_that_of_a_brute_force_count_of_events(holds):
    """Six random hours with a night, an outage and a blip, each event counted."""
    chance = random.Random(7)
    events = [0 if 60 <= minute < 120 else chance.randrange(20, 400) for minute in range(360)]
    failed = [
        round(count * (0.6 if 200 <= minute < 215 else 0.02)) + (5 if minute == 300 else 0)
        for minute, count in enumerate(events)
    ]
    ratio = sum(failed) / sum(events)
    tail = [0] * 5  # the last minute's rate is complete a little later
    holds(
        {PREDICTIONS: counted([*events, *tail]), ERRORS: counted([*failed, *tail])},
        "6h5m",
        [(of("answers"), 1 - ratio / 0.1)],
        within=0.02,
    )
