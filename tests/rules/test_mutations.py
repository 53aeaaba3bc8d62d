"""Changing what a rule says makes its generated test fail: the tests would notice a wrong rule."""

import re
from collections.abc import Callable

import pytest
from promtool_slices import read, slices, write

from mlvitals.generator.spec.durations import duration, seconds

COMPARISON = re.compile(r" (>=|>|<|==) (-?[0-9.]+)(?=$|\n  and )", re.MULTILINE)


SURVIVORS = {
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
