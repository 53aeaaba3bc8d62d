"""Changing what a rule says makes its generated test fail: the tests would notice a wrong rule."""

import re
from collections.abc import Callable

import pytest
from promtool_slices import read, slices, write

from mlvitals.generator.spec.durations import duration, seconds
from tests.rules.test_environments import in_environment

COMPARISON = re.compile(r" (>=|>|<|==) (-?[0-9.]+)(?=$|\n  and )", re.MULTILINE)


SURVIVORS = {
    "higher": {("MLSourceAgeUnknown", "critical", "0")},  # both exporters say so: 2 is above 1 too
    "lower": {
        ("MLSourceAgeUnknown", "critical", "0"),  # a count is at least 1: above -1 is above 0
        ("MLDriftWithBusinessImpact", "critical", "0"),  # so is this one
        ("MLServingRequiredFeatureNull", "warning", "0"),  # its gate asks for nulls: above -1 is above 0
    },
    "slower": {  # their ranges take far longer to fill than their `for`
        ("MLRunFailed", "warning", "0"),
        ("MLBusinessMetricAbsent", "warning", "0"),
        ("MLServingNullRateHigh", "warning", "0.05"),
        ("MLServingNullRateHigh", "critical", "0.25"),
        ("MLServingRequiredFeatureNull", "warning", "0"),
        ("MLServingRequiredFeatureNull", "critical", "0.05"),
    },
    "milder": {("MLFeatureExtreme", "info", "10"), ("MLLogNewColumn", "info", "0")},  # nothing is milder than info
}


def shifted(rule: dict, sign: int) -> None:
    """Move the threshold by 2 %, or by 1 where only whole numbers occur."""

    def moved(found: re.Match[str]) -> str:
        limit = float(found[2])
        whole = limit in {0, 1} or found[1] == ">="
        return f" {found[1]} {limit + sign * (1 if whole else limit * 0.02)}"

    rule["expr"] = COMPARISON.sub(moved, rule["expr"])


def higher(rule: dict) -> None:
    shifted(rule, 1)


def lower(rule: dict) -> None:
    shifted(rule, -1)


def turned(rule: dict) -> None:
    other = {">": "<=", ">=": "<", "<": ">=", "==": "!="}
    rule["expr"] = COMPARISON.sub(lambda m: f" {other[m[1]]} {m[2]}", rule["expr"])


def immediate(rule: dict) -> None:
    rule["for"] = "0s"


def slower(rule: dict) -> None:
    rule["for"] = duration(2 * seconds(rule["for"]))


def milder(rule: dict) -> None:
    rule["labels"]["severity"] = "info"


def failing(output: str) -> set[tuple[str, str, str]]:
    """The alerts of the tests that failed, by name, severity and threshold."""
    return set(re.findall(r"name: (\w+) (\w+), threshold ([0-9.]+):", output))


@pytest.mark.parametrize(
    "change", [higher, lower, turned, immediate, slower, milder], ids=lambda change: change.__name__
)
@pytest.mark.parametrize("position", [0, 1], ids=["even rules", "odd rules"])
def test_a_changed_rule_fails_its_test(change: Callable, position, stable_promtool, hostile_spec, generate, run):
    rules, tests = generate(hostile_spec)
    document = read(rules)
    alerts = [rule for group in document["groups"] for rule in group["rules"] if "alert" in rule]
    changed = [rule for rule in alerts[position::2] if rule["alert"] != "MLWatchdog"]
    named = {(rule["alert"], rule["labels"]["severity"], rule["annotations"]["threshold"]) for rule in changed}
    for rule in changed:
        change(rule)
    write(rules, document)

    tested = run(stable_promtool, "test", "rules", *slices(*tests))

    survivors = named - failing(tested.stdout + tested.stderr)
    assert survivors <= SURVIVORS.get(change.__name__, set())


# ---------------------------------------------------------------- several processes, two environments


def by_instance(expression: str) -> str:
    """Tell the processes apart in the first aggregation, as one that lacks its `by` does."""
    if "by (" in expression:
        return expression.replace("by (", "by (instance, ", 1)
    return re.sub(r"\b(sum|max|min)\((?=\w)", r"\1 by (instance) (", expression, count=1)


def one_for_all(expression: str) -> str:
    """Take the largest where the rule sums up, and sum up where it takes the largest."""
    other = {"sum": "max", "max": "sum"}
    return re.sub(r"\b(sum|max)(?=\b ?(?:by )?\()", lambda found: other[found[1]], expression)


def of_any_environment(expression: str) -> str:
    return re.sub(r'env="staging",?', "", expression)


QUANTILES = dict.fromkeys(
    (
        "system:odd_prediction_latency_seconds:p50_rate5m",
        "system:odd_prediction_latency_seconds:p95_rate5m",
        "stage:odd_prediction_latency_seconds:p99_rate5m",
        "model_version:odd_prediction_latency_seconds:p99_rate5m",
    ),
    "only panels read these quantiles; that of the alert is p99 of the system",
)
DEPLOYMENT = {"system:odd_deploy_allowed:min": "test_slo_arithmetic.py and test_slo_budgets.py test budgets"}
WEEK = {"system:odd_rate:ratio_7d": "a spec whose KPIs are compared with an hour before has no case of seven days"}
JOINED = {
    "feature:odd_drift_psi:critical": "joined with a feature's source; the alerts on many features are given its series"
}
FARTHEST = dict.fromkeys(
    (
        f"feature_name:odd_feature_{name}:farthest"
        for name in ("mean_shift", "median_shift", "variance_ratio", "cardinality_change")
    ),
    "the other side of its comparison stays as it is, and both exporters of a case say the same",
)
SELECTED = "no case evaluates it from raw series; tests/compile/test_identity.py reads every selector"
WITHOUT_NOTICE: dict[tuple[str, str], dict[str, str]] = {
    ("by_instance", "record"): {
        **QUANTILES,
        **DEPLOYMENT,
        **JOINED,
        **FARTHEST,
    },
    ("by_instance", "alert"): {
        "MLBusinessMetricAbsent": "it reads recorded series, which have no instance",
        "MLDriftWithBusinessImpact": "it reads recorded series, which have no instance",
        "MLManyFeaturesDrifting": "it reads recorded series, which have no instance",
        "MLServingNullRateHigh": "it reads recorded series, which have no instance",
        "MLServingRequiredFeatureNull": "it reads recorded series, which have no instance",
        "MLPredictionsUncounted": "a condition on whether anything is up is the same of each",
        "MLErrorRateHigh": "the minimum of errors is reached by each replica of the case",
    },
    ("one_for_all", "record"): {
        **QUANTILES,
        "system:odd_prediction_latency_seconds:p99_rate5m": "the replicas of a case are equally fast",
        **JOINED,
    },
    ("one_for_all", "alert"): {
        "MLBusinessMetricAbsent": "what is absent is absent of one series",
        "MLConceptUnwatched": "a state is 1 or 0: that two say so is also above 0",
        "MLFeatureUnmeasurable": "a state is 1 or 0: that two say so is also above 0",
        "MLScoreUnmeasurable": "a state is 1 or 0: that two say so is also above 0",
        "MLPredictionsUncounted": "its case has one target, since what is up is a property of a target",
        "MLServingDown": "none of several is up, whether summed up or not",
        "MLExporterDown": "none of several is up, whether summed up or not",
        "MLRulesFailing": "Prometheus is one process",
        "MLServingRequiredFeatureNull": "it reads recorded series, of which there is one",
        "MLSkewUnmeasured": "no rows are no rows, whether summed up or not",
        "MLErrorRateHigh": "the minimum of errors is reached by each replica of the case",
    },
    ("of_any_environment", "record"): {
        **QUANTILES,
        **DEPLOYMENT,
        **WEEK,
        **JOINED,
        "system:odd_feature_rows:min": "the other environment has more rows",
        "feature_name:odd_feature_mean:ratio": "the other environment's is smaller",
        "feature_name:odd_feature_mean:ratio_1h": "the other environment's is smaller",
        **dict.fromkeys(
            (
                "feature:odd_drift_psi:critical_1h",
                "feature_name:odd_serving_feature_null:max_ratio_rate5m",
                "feature_name:odd_serving_feature_null:max_ratio_rate5m_1h",
                "slo:deploy_allowed:bool",
                "slo:sli_error:ratio_rate30m",
                "slo:sli_error:ratio_rate1h",
                "slo:sli_error:ratio_rate2h",
                "slo:sli_error:ratio_rate6h",
                "slo:sli_error:ratio_rate1d",
                "slo:sli_error:ratio_rate3d",
                "system:odd_predictions:fall_7d",
                "system:odd_predictions:rate1h",
            ),
            SELECTED,
        ),
    },
    ("of_any_environment", "alert"): {
        "MLBusinessMetricDrop": "the other environment's KPI falls as much",
        "MLLatencyHigh": SELECTED,
    },
}


def readers(rules: list[dict], name: str) -> set[str]:
    """The rules that read a recorded series, and those that read these."""
    direct = {of(rule) for rule in rules if re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", rule["expr"])} - {name}
    return direct.union(*(readers(rules, each) for each in direct if ":" in each))


def of(rule: dict) -> str:
    return rule.get("record") or rule["alert"]


def noticed_in(output: str) -> set[str]:
    """The rules whose cases failed, or that could not be evaluated."""
    recorded = re.findall(r'expr: "round\(([\w:]+)', output)
    broken = re.findall(r"rule: ([\w:]+), time: \S+, err:", output)
    return {name for name, _, _ in failing(output)}.union(recorded, broken)


@pytest.mark.parametrize("kind", ["record", "alert"])
@pytest.mark.parametrize("change", [by_instance, one_for_all, of_any_environment], ids=lambda change: change.__name__)
def test_a_rule_that_reads_its_processes_wrongly_fails_a_case(
    change, kind, stable_promtool, hostile_spec, generate, run
):
    path, tests = generate(in_environment(hostile_spec, "staging"))
    document = read(path)
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    changed = [rule for rule in rules if kind in rule and change(rule["expr"]) != rule["expr"]]
    for rule in changed:
        rule["expr"] = change(rule["expr"])
    write(path, document)

    tested = run(stable_promtool, "test", "rules", *slices(*tests))

    noticed = noticed_in(tested.stdout + tested.stderr)
    survivors = {of(rule) for rule in changed if not noticed & {of(rule), *readers(rules, of(rule))}}
    assert survivors == WITHOUT_NOTICE[change.__name__, kind].keys()
