"""Low traffic pages nobody for one failure; missing traffic, replicas and answers do not stay unseen."""

import subprocess
from collections.abc import Callable

import pytest
from promtool_slices import read, slices, write

from mlvitals.generator.promql import metric_names
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

SMALL = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {amount: {}}
serving: {replicas: 4}
slos:
  answers: {kind: availability, objective: 0.999}
  edge:
    kind: query
    objective: 0.99
    total: sum(rate(lb_requests_total[5m]))
    good: sum(rate(lb_requests_total{code!~"5.."}[5m]))
  probed: {kind: query, objective: 0.99, error_ratio: 1 - avg(probe_success)}
"""
WEEK = 7 * 24 * 60


@pytest.fixture
def shop() -> Spec:
    return parse_spec(SMALL)


Played = Callable[..., None]


@pytest.fixture
def played(shop, generate, stable_promtool, run) -> Played:
    """Check which alerts fire at a time, in minutes, over given series; promtool says what differs."""
    rules, _ = generate(shop)

    def play(inputs: dict[str, str], at: int, expected: dict[str, str], step: str = "1m") -> None:
        names = {name: severities.split() for name, severities in expected.items()}
        case = {
            "interval": step,
            "input_series": [{"series": name, "values": values} for name, values in inputs.items()],
            "promql_expr_test": [
                {
                    "expr": f'count by (severity) (ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": f"{at}m",
                    "exp_samples": [{"labels": f'{{severity="{each}"}}', "value": 1} for each in severities],
                }
                for name, severities in names.items()
            ],
        }
        write(rules.with_name("read.yml"), {"groups": read_by(set(expected), read(rules)["groups"])})
        document = {"rule_files": ["read.yml"], "evaluation_interval": step, "tests": [case]}
        file = write(rules.with_name("played.yml"), document)
        tested: subprocess.CompletedProcess[str] = run(stable_promtool, "test", "rules", file)
        assert tested.returncode == 0, tested.stdout + tested.stderr

    return play


def read_by(alerts: set[str], groups: list[dict]) -> list[dict]:
    """The rules of some alerts, and the records that they read: the others decide nothing, and take all the time."""
    wanted, before = set(alerts), set()
    while wanted != before:
        before = set(wanted)
        named = (rule for group in groups for rule in group["rules"] if rule.get("alert", rule.get("record")) in before)
        wanted |= {name for rule in named for name in metric_names(rule["expr"])}
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert", rule.get("record")) in wanted]}
        for group in groups
    ]
    return [group for group in kept if group["rules"]]


ASKED = 'shop_predictions_total{model_version="1",endpoint="/predict"}'
FAILED = 'shop_prediction_errors_total{model_version="1",error_type="internal"}'


def test_one_failure_of_six_requests_an_hour_pages_nobody(played):
    inputs = {ASKED: "0+0.1x240", FAILED: "0x120 1x120"}
    played(inputs, 130, {"MLErrorBudgetBurn": "", "MLErrorRateHigh": ""})


def test_every_request_failing_at_ten_an_hour_is_a_page(played):
    inputs = {ASKED: "0+0.166x300", FAILED: "0x120 0+0.166x180"}
    played(inputs, 230, {"MLErrorBudgetBurn": "critical warning"})


def test_three_of_four_replicas_down_is_a_warning(played):
    inputs = {f'up{{job="shop-serving",instance="{number}"}}': f"{int(number == 1)}x30" for number in range(1, 5)}
    played(inputs, 20, {"MLReplicasMissing": "warning", "MLServingDown": ""})


@pytest.mark.slow
def test_no_request_at_an_hour_that_was_busy_a_week_before_is_a_page(played):
    half = WEEK // 2
    busy = f"0+120x{half + 30} {120 * (half + 30)}x90"
    played({ASKED: busy}, WEEK + 180, {"MLTrafficFall": "warning critical"}, step="2m")


def test_failures_at_the_load_balancer_burn_an_objective_on_the_users_own_queries(played):
    inputs = {'lb_requests_total{code="200"}': "0+60x120", 'lb_requests_total{code="503"}': "0+60x120"}
    played(inputs, 110, {"MLErrorBudgetBurn": "critical warning"})


def test_a_probe_that_fails_burns_an_objective_on_an_error_ratio(played):
    inputs = {'probe_success{instance="a"}': "1x30 0x90"}
    played(inputs, 110, {"MLErrorBudgetBurn": "critical warning"})


@pytest.mark.parametrize(
    ("slo", "message"),
    [
        ("{kind: query, objective: 0.9}", "needs either total and good, or error_ratio"),
        ("{kind: query, objective: 0.9, total: 'x'}", "needs either total and good, or error_ratio"),
        ("{kind: query, objective: 0.9, error_ratio: 'sum('}", "is no PromQL"),
        ("{kind: drift, objective: 0.9, threshold: 0.2, total: x}", "has an effect only if kind is query"),
    ],
)
def test_an_objective_on_queries_that_cannot_be_measured_is_refused(slo, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(SMALL.partition("slos:")[0] + f"slos: {{a: {slo}}}")


def test_the_generated_cases_of_such_a_spec_pass(shop, generate, stable_promtool, run):
    _, tests = generate(shop)
    tested = run(stable_promtool, "test", "rules", *slices(*tests))
    assert tested.returncode == 0, tested.stdout + tested.stderr
