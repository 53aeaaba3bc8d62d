"""Generated promtool tests, each with the rules that it reads and no others.

promtool parses and evaluates every rule of a file at every step of every case. What a case checks depends only on the
rules it names, on the records these read, and so on: the rest costs a minute and decides nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_OF_ANY_RULE = {"ALERTS", "ALERTS_FOR_STATE", "__name__"}
"""Who asks for these may read every rule: series that Prometheus makes of alerts, and names that are matched."""

Groups = list[dict[str, Any]]
Choice = frozenset[tuple[int, int]]
"""Rules, each by the places of its group and of itself."""


def slices(*tests: Path) -> list[Path]:
    """Write the cases of test files next to them, as files that each have the rules their cases read."""
    return [path for each in tests for path in _slices(each)]


def _slices(tests: Path) -> Iterator[Path]:
    document = read(tests)
    (name,) = document["rule_files"]
    groups = read(tests.parent / name)["groups"]
    rules = _Rules(groups)
    cases: dict[Choice, list[dict[str, Any]]] = {}
    for case in document["tests"]:
        cases.setdefault(rules.read_by(case), []).append(case)
    return _written(tests, document, groups, cases)


def read(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.load(path.read_text(), _LOADER)


def write(path: Path, document: object) -> Path:
    """Write a YAML file."""
    path.write_text(yaml.dump(document, Dumper=_DUMPER, allow_unicode=True, sort_keys=False))
    return path


def _written(tests: Path, document: dict[str, Any], groups: Groups, cases: Mapping[Choice, object]) -> Iterator[Path]:
    stem = tests.name.removesuffix(".yml")
    for number, (chosen, its_cases) in enumerate(cases.items()):
        kept = [
            {**group, "rules": those}
            for place, group in enumerate(groups)
            if (those := [rule for at, rule in enumerate(group["rules"]) if (place, at) in chosen])
        ]
        names = {group["name"] for group in kept}
        rules = write(tests.with_name(f"{stem}.{number}.rules.yml"), {"groups": kept})
        yield write(
            tests.with_name(f"{stem}.{number}.yml"),
            {
                **document,
                "rule_files": [rules.name],
                "group_eval_order": [name for name in document["group_eval_order"] if name in names],
                "tests": its_cases,
            },
        )


class _Rules:
    """The rules of a file, and which of them others read."""

    def __init__(self, groups: Groups) -> None:
        self._rules = {
            (place, at): rule for place, group in enumerate(groups) for at, rule in enumerate(group["rules"])
        }
        self._called: dict[str, set[tuple[int, int]]] = {}
        for key, rule in self._rules.items():
            self._called.setdefault(rule.get("record") or rule["alert"], set()).add(key)
        self._read_with: dict[str, Choice] = {}

    def read_by(self, case: dict[str, Any]) -> Choice:
        """Return the rules that can change what a case checks."""
        alerts = [check["alertname"] for check in case.get("alert_rule_test", ())]
        expressions = [check["expr"] for check in case.get("promql_expr_test", ())]
        return frozenset().union(*map(self._with_what_it_reads, {*alerts, *_names(expressions)}))

    def _with_what_it_reads(self, name: str) -> Choice:
        if name not in self._read_with:
            found: set[tuple[int, int]] = set()
            new = {name}
            while new:
                if new & _OF_ANY_RULE:
                    return frozenset(self._rules)
                chosen = {key for each in new for key in self._called.get(each, ())} - found
                found |= chosen
                new = {each for key in chosen for each in _names(_texts(self._rules[key]))}
            self._read_with[name] = frozenset(found)
        return self._read_with[name]


def _texts(rule: dict[str, Any]) -> Iterator[str]:
    """What a rule evaluates: its expression, and its templates, which may ask too."""
    yield rule["expr"]
    yield from rule.get("annotations", {}).values()
    yield from rule.get("labels", {}).values()


def _names(texts: Iterable[str]) -> set[str]:
    return {name for text in texts for name in _NAME.findall(text)}
