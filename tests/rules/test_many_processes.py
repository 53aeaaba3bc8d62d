"""Rules over what several processes publish: several exporters, three replicas of the application, whatever they disagree on."""

import itertools
import random
from collections.abc import Iterator

import pytest
from promtool_slices import read, write

from mlvitals.generator.contract import Contract, Family, MetricType, Producer
from mlvitals.generator.promql import series
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.text import Sample, Situation
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

CASES = 8
STEP = 60
EXPORTERS = tuple(f"exporter-{each}:9108" for each in "abcd")
PODS = ("pod-1:8000", "pod-2:8000", "pod-3:8000")
VALUES = (-3.5, -0.02, 0, 0.0005, 0.3, 0.9, 1, 7, 1e6)


def pools(spec: Spec) -> dict[str, tuple[str, ...]]:
    """Values of labels on which two processes may agree or not."""
    return {
        "feature_name": tuple(spec.features)[:3],
        "feature_source": ("", "one source", *tuple(spec.sources)[:1]),
        "feature_type": ("float", "integer"),
        "status": ("ok", "insufficient_data", "missing_in_serving", "all_null"),
        "stage": ("total", "inference"),
        "le": ("0.01", "0.05", "0.1", "+Inf"),
        "model_version": ("1", "2"),
        "type": ("covariate", "concept", "none"),
        "reason": ("early", "late"),
        "percentile": ("50", "95"),
        "rule_group": (f"/a/rules.yml;{spec.system.name}-data-alerts", "/b.yml;other"),
    }


def published(spec: Spec, family: Family, chance: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    """Some of the series of a family, of each process that publishes it."""
    known = pools(spec)
    jobs = {
        Producer.EXPORTER: [(spec.exporter_job, each) for each in EXPORTERS],
        Producer.SERVING: [(spec.serving_job, each) for each in PODS],
        Producer.PROCESS: [(spec.serving_job, each) for each in PODS],
        Producer.PROMETHEUS: [(spec.exporter_job, EXPORTERS[0]), (spec.serving_job, PODS[0]), ("prometheus", "here")],
    }
    labels = [label for label in family.labels if label not in {"job", "instance"}]
    for name in family.series_names:
        own = [*labels, "le"] if name.endswith("_bucket") and family.type is MetricType.HISTOGRAM else labels
        everything = list(itertools.product(*(known.get(label, ("x", "y")) for label in own)))
        for job, instance in jobs[family.producer]:
            for values in chance.sample(everything, min(len(everything), 4)):
                if chance.random() < 0.9:
                    present = {label: value for label, value in zip(own, values, strict=True) if value}
                    yield name, {**present, "job": job, "instance": instance}


def case(spec: Spec, seed: int) -> dict:
    """A test of nothing but that every rule can be evaluated: promtool fails where one cannot."""
    chance = random.Random(seed)
    families = [family for family in Contract(spec).families if not family.name.startswith("ALERTS")]
    inputs = []
    for family in families:
        for name, labels in published(spec, family, chance):
            start = chance.choice(VALUES)
            counter = family.type is not MetricType.GAUGE
            values = f"{abs(start)}+{chance.choice((0, 1, 50))}x4" if counter else f"{start}x4"
            inputs.append({"series": series(name, labels), "values": values})
    unique = {each["series"]: each for each in inputs}
    watchdog = {"eval_time": "0s", "alertname": "NoSuchAlert", "exp_alerts": []}
    return {
        "name": f"seed {seed}",
        "interval": f"{STEP}s",
        "input_series": list(unique.values()),
        "alert_rule_test": [{**watchdog, "eval_time": f"{4 * STEP}s"}],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["streamrec", "hostile_spec"])
def test_no_rule_fails_whatever_four_exporters_and_three_replicas_publish(name, request, promtool, generate, run):
    spec = request.getfixturevalue(name)
    rules, _ = generate(spec)
    document = {
        "rule_files": [rules.name],
        "evaluation_interval": f"{STEP}s",
        "tests": [case(spec, seed) for seed in range(CASES)],
    }
    tested = run(promtool, "test", "rules", write(rules.with_name("many.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_two_exporters_that_name_two_sources_of_a_feature_leave_its_drift_one_alert(promtool, streamrec, generate, run):
    """A rolling change of the spec: both exporters run for a while, and PSI stays where it is."""
    rules, _ = generate(streamrec)
    feature = next(iter(streamrec.features))
    both = [
        (name, {"feature_name": feature, "instance": instance, **more}, value)
        for instance, source in (("a", "old"), ("b", "new"))
        for name, more, value in (
            ("streamrec_drift_psi", {}, 0.9),
            ("streamrec_drift_psi_critical_value", {}, 0.01),
            ("streamrec_feature_info", {"feature_source": source, "feature_type": "float"}, 1),
        )
    ]
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") == "MLFeatureDrift"]}
        for group in read(rules)["groups"]
    ]
    write(rules, {"groups": [group for group in kept if group["rules"]]})
    document = {
        "rule_files": [rules.name],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series(name, labels), "values": f"{value}x5"} for name, labels, value in both
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (severity) (ALERTS{alertname="MLFeatureDrift",alertstate="firing"})',
                        "eval_time": "5m",
                        "exp_samples": [
                            {"labels": '{severity="critical"}', "value": 1},
                            {"labels": '{severity="warning"}', "value": 1},
                        ],
                    }
                ],
            }
        ],
    }
    tested = run(promtool, "test", "rules", write(rules.with_name("two.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr


TWO_EXPORTERS = {
    "shop_feature_mean_shift": (0.1, -4),
    "shop_feature_variance_ratio": (1, 0.01),
    "shop_feature_cardinality_change": (-0.5, 0.02),
}
"""What two exporters find: nothing, and a fall."""


def test_a_fall_that_one_of_two_exporters_finds_alerts_is_drawn_and_called_a_fall(promtool, generate, run):
    rules, _ = generate(
        parse_spec("version: 1\nsystem: {name: shop}\nprediction_log: {path: log}\nfeatures: {age: {}}\n")
    )
    inputs = [
        {"series": series(name, {"feature_name": "age", "instance": instance, **more}), "values": f"{value}x10"}
        for metric, values in TWO_EXPORTERS.items()
        for instance, value in zip("ab", values, strict=True)
        for name, more, value in (
            (metric, {}, value),
            (f"{metric}_critical_value", {}, 1.1 if metric.endswith("ratio") else 0.001),
            ("shop_feature_info", {"feature_type": "float"}, 1),
        )
    ]
    unique = list({each["series"]: each for each in inputs}.values())
    firing = ("MLFeatureMeanShift", "MLFeatureVariance", "MLFeatureCardinality")
    queries = [
        {
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for name in firing
    ]
    queries += [
        {
            "expr": f"feature_name:{metric}:farthest",
            "eval_time": "10m",
            "exp_samples": [{"labels": f'feature_name:{metric}:farthest{{feature_name="age"}}', "value": min(values)}],
        }
        for metric, values in TWO_EXPORTERS.items()
    ]
    case = {"interval": "1m", "input_series": unique, "promql_expr_test": queries}
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": [case]}
    tested = run(promtool, "test", "rules", write(rules.with_name("fell.yml"), document))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(("value", "said", "unsaid"), [(-4.0, " It fell: -4.", "rose"), (4.0, " It rose: 4.", "fell")])
def test_the_text_says_on_which_side_a_mean_is(tiny_spec, value, said, unsaid):
    """Promtool renders the same template as this text in the generated cases."""
    (alert,) = (alert for signal in signals(tiny_spec) for alert in signal.alerts if alert.name == "MLFeatureMeanShift")
    found = Sample("tiny_feature_mean_shift", {"feature_name": "age"}, value)
    rendered = alert.description.rendered(Situation(abs(value), {"feature_name": "age"}, (found,)))
    assert said in rendered
    assert unsaid not in rendered
