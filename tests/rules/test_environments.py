"""Two environments of one system in one Prometheus: neither hides the other, and each alert says whose it is."""

import msgspec
import pytest
from promtool_slices import slices, write

from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Identity, Spec


def in_environment(spec: Spec, env: str) -> Spec:
    return msgspec.structs.replace(spec, identity=Identity(labels={"env": env}))


@pytest.fixture
def both(tiny_spec, generate):
    """The rules of production and of staging, side by side."""
    return [generate(in_environment(tiny_spec, env))[0] for env in ("production", "staging")]


@pytest.mark.parametrize("name", ["tiny_spec", "hostile_spec"])
def test_the_generated_cases_pass_with_an_identity(name, stable_promtool, generate, run, request):
    promtool, spec = stable_promtool, request.getfixturevalue(name)
    rules, tests = generate(in_environment(spec, "staging"))
    checked = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run(promtool, "test", "rules", *slices(*tests))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def firing(name: str) -> dict:
    return {"expr": f'count by (env, severity) (ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": "2h"}


def of(env: str, severity: str) -> dict:
    return {"labels": f'{{env="{env}",severity="{severity}"}}', "value": 1}


def test_neither_environment_hides_the_other(promtool, both, run):
    """Staging drifts, its load test is without errors, and its exporter is up; production fails, and its exporter is down."""

    def steady(metric: str, env: str, labels: str, value: str) -> dict:
        return {"series": f'{metric}{{env="{env}",{labels}}}', "values": value}

    exporter, serving = 'job="tiny-exporter",instance="x"', 'job="tiny-serving",instance="y"'
    inputs = [
        steady("tiny_drift_psi", "staging", 'feature_name="age"', "0.9x150"),
        steady("tiny_drift_psi_critical_value", "staging", 'feature_name="age"', "0.01x150"),
        steady("tiny_feature_info", "staging", 'feature_name="age",feature_type="integer"', "1x150"),
        steady("tiny_drift_psi", "production", 'feature_name="age"', "0x150"),
        steady("tiny_drift_psi_critical_value", "production", 'feature_name="age"', "0.01x150"),
        steady("tiny_feature_info", "production", 'feature_name="age",feature_type="integer"', "1x150"),
        steady("up", "staging", exporter, "1x150"),
        steady("up", "production", exporter, "0x150"),
        *(steady("up", env, serving, "1x150") for env in ("staging", "production")),
        steady("tiny_predictions_total", "staging", f'{serving},model_version="1",endpoint="/predict"', "0+600000x150"),
        steady("tiny_predictions_total", "production", f'{serving},model_version="1",endpoint="/predict"', "0+600x150"),
        steady("tiny_prediction_errors_total", "production", f'{serving},model_version="1",error_type="t"', "0+60x150"),
    ]
    case = {
        "interval": "1m",
        "input_series": inputs,
        "promql_expr_test": [
            {**firing("MLFeatureDrift"), "exp_samples": [of("staging", "warning"), of("staging", "critical")]},
            {**firing("MLErrorRateHigh"), "exp_samples": [of("production", "warning"), of("production", "critical")]},
            {**firing("MLExporterDown"), "exp_samples": [of("production", "warning"), of("production", "critical")]},
            {**firing("MLServingDown"), "exp_samples": []},
        ],
    }
    document = {"rule_files": [path.name for path in both], "evaluation_interval": "1m", "tests": [case]}
    tested = run(promtool, "test", "rules", write(both[0].with_name("both.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr


TWICE = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {age: {}}
serving: {JOB}
"""


@pytest.mark.parametrize(("named", "rate"), [("job: shop-pods", 2.0), ("", 4.0)], ids=["named", "any"])
def test_two_jobs_that_scrape_the_same_pods_count_once_if_the_spec_names_one(named, rate, promtool, generate, run):
    rules, _ = generate(parse_spec(TWICE.replace("JOB", named)))
    pods = [
        f'shop_predictions_total{{job="{job}",instance="{pod}",{more},model_version="1",path="/"}}'
        for job, more in (("shop-pods", 'container="app"'), ("shop-service", 'service="shop"'))
        for pod in ("a", "b")
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": each, "values": "0+60x30"} for each in pods],
        "promql_expr_test": [
            {
                "expr": "system:shop_predictions:rate5m",
                "eval_time": "20m",
                "exp_samples": [{"labels": "system:shop_predictions:rate5m", "value": rate}],
            }
        ],
    }
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": [case]}
    tested = run(promtool, "test", "rules", write(rules.with_name("twice.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr


RICH = r"""
version: 1
system: {name: shop}
identity: {labels: {env: 'a"b`c%d{{e}}$f \\g|.*é', zone: eu/1}, alert_labels: {pager: 'x"{{y}}'}}
prediction_log: {path: log, score: score}
sources: {batch: {max_age: 1h, path: here}}
features: {age: {source: batch}, city: {type: categorical, source: batch}}
serving: {job: shop-pods, replicas: 3}
business:
  compare_window: 1h
  compare_with: 1h
  events: {clicks: {}, views: {}, orders: {}}
  kpis: {ctr: {numerator: clicks, denominator: views}, rate: {numerator: orders, denominator: views}}
slos: {answers: {kind: availability, objective: 0.999}}
"""
"""Several KPIs, names to escape in every place, and a job."""


@pytest.mark.slow
def test_the_generated_cases_pass_with_any_identity_and_a_job(promtool, generate, run):
    rules, tests = generate(parse_spec(RICH))
    checked = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run(promtool, "test", "rules", *slices(*tests))
    assert tested.returncode == 0, tested.stdout + tested.stderr
