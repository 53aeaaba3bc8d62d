"""KPIs over a week: what they come to, and that no evaluation reads a week of every pod's counters for it."""

import pytest
from promtool_slices import read, write

from mlvitals.generator.promql import syntax_nodes
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.load import parse_spec

SHOP = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {amount: {}}
business:
  compare_window: 2h
  compare_with: 2h
  events: {clicks: {}, views: {}}
  kpis: {rate: {numerator: clicks, denominator: views, window: 4h, drop: {warning: 0.1}}}
"""
LONGEST_RAW = seconds("1h")


def raw_ranges(expression: str, of_process: set[str]) -> list[float]:
    """The lengths of all ranges over series that processes publish themselves."""
    return [
        node.range.total_seconds()
        for node in syntax_nodes(expression)
        if type(node).__name__ == "MatrixSelector" and node.vector_selector.name in of_process
    ]


@pytest.mark.parametrize("name", ["streamrec", "hostile_spec"])
def test_no_rule_reads_hours_of_what_each_pod_counts(name, request, generate):
    from mlvitals.generator.contract import Contract, Producer

    spec = request.getfixturevalue(name)
    counted = {series for family in Contract(spec).of(Producer.SERVING) for series in family.series_names}
    rules, _ = generate(spec)
    expressions = [rule["expr"] for group in read(rules)["groups"] for rule in group["rules"]]
    lengths = [length for expression in expressions for length in raw_ranges(expression, counted)]
    assert lengths
    assert max(lengths) <= LONGEST_RAW


def test_a_kpi_is_what_its_events_give_whatever_pods_restart(promtool, generate, run):
    """Two pods, one of which restarts; a tenth of the views become clicks, then a twentieth."""
    rules, _ = generate(parse_spec(SHOP))
    pods = {
        'shop_clicks_total{instance="a"}': "0+6x180 1083+3x180",
        'shop_views_total{instance="a"}': "0+60x180 10860+60x180",
        'shop_clicks_total{instance="b"}': "0+6x90 0+6x90 0+3x180",
        'shop_views_total{instance="b"}': "0+60x90 0+60x90 0+60x180",
    }

    def is_about(record: str, at: str, value: float) -> dict:
        return {"expr": f"round({record}, 0.002)", "eval_time": at, "exp_samples": [{"labels": "{}", "value": value}]}

    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in pods.items()],
        "promql_expr_test": [
            is_about("system:shop_rate:ratio_2h", "3h", 0.1),
            is_about("system:shop_rate:ratio_2h", "6h", 0.05),
            is_about("system:shop_rate:ratio_4h", "5h", 0.076),  # of four hours, two are of each kind
            {
                "expr": 'count(ALERTS{alertname="MLBusinessMetricDrop",alertstate="firing",severity="warning"})',
                "eval_time": "5h",
                "exp_samples": [{"labels": "{}", "value": 1}],
            },
        ],
    }
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": [case]}
    tested = run(promtool, "test", "rules", write(rules.with_name("kpi.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr
