"""Every Prometheus query of the generated files, with its place. Pure: text in, queries out."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from mlvitals.generator.promql import regex

COLUMNS = 24
_PROMQL_BLOCK = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LABEL_VALUES = re.compile(r"^label_values\((?:(?P<series>.+),)?\s*(?P<label>[a-zA-Z_]\w*)\s*\)$", re.DOTALL)


class Origin(StrEnum):
    """The purpose of a query."""

    PANEL = "panel"
    VARIABLE = "variable"
    ANNOTATION = "annotation"
    RECORD = "record"
    ALERT = "alert"
    RUNBOOK = "runbook"


@dataclass(frozen=True, slots=True)
class Variable:
    """A dashboard variable that people choose a value of."""

    name: str
    fixed: str | None
    """Its value if that is known without a query: the value of "all", or a preset one."""
    series: str | None = None
    """Otherwise: the series whose `label` has its values."""
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One query."""

    origin: Origin
    place: str
    """The file and the place in it, for people."""
    expression: str
    instant: bool = True
    """True if it is evaluated at one time and not over a range."""
    width: int = COLUMNS
    """Width of the panel in columns, which determines the step of a range."""
    max_points: int | None = None
    """Maximum number of points of a range, if the panel limits it."""
    least_step: str | None = None
    """The panel's smallest step."""
    variables: tuple[Variable, ...] = ()
    record: str = ""
    """The name that a rule records it under."""


def queries(outputs: Mapping[str, str]) -> tuple[Query, ...]:
    """Return the queries of the files of `compile_spec`, in order of path."""
    return tuple(query for path, text in sorted(outputs.items()) for query in _queries_of(path, text))


def _queries_of(path: str, text: str) -> Iterator[Query]:
    if path.startswith("dashboards/") and path.endswith(".json"):
        yield from _of_dashboard(path, json.loads(text))
    elif path.endswith(".rules.yml"):
        yield from _of_rules(path, yaml.safe_load(text))
    elif path.startswith("runbooks/"):
        yield from _of_runbook(path, text)


def _of_dashboard(path: str, dashboard: Mapping[str, Any]) -> Iterator[Query]:
    templates = dashboard.get("templating", {}).get("list", [])
    variables = tuple(_variable(template) for template in templates if template.get("type") != "datasource")
    for variable in variables:
        if variable.series:
            place = f"{path}: variable {variable.name}"
            yield Query(Origin.VARIABLE, place, variable.series, variables=variables)
    for annotation in dashboard.get("annotations", {}).get("list", []):
        if expression := annotation.get("expr"):
            place = f"{path}: annotations {annotation['name']}"
            yield Query(Origin.ANNOTATION, place, expression, instant=False, variables=variables)
    for panel in _panels(dashboard):
        for target in panel.get("targets", []):
            if expression := target.get("expr"):
                yield Query(
                    origin=Origin.PANEL,
                    place=f"{path}: {panel['title']} ({target['refId']})",
                    expression=expression,
                    instant=bool(target.get("instant")) and not target.get("range"),
                    width=panel.get("gridPos", {}).get("w", COLUMNS),
                    max_points=panel.get("maxDataPoints"),
                    least_step=target.get("interval") or panel.get("interval"),
                    variables=variables,
                )


def _panels(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the panels of a dashboard, including those in collapsed rows, except panels on logs, which are not in PromQL."""
    for panel in holder.get("panels", []):
        yield from _panels(panel)
        if (panel.get("datasource") or {}).get("type", "prometheus") == "prometheus":
            yield panel


def _variable(template: Mapping[str, Any]) -> Variable:
    asked = template.get("query", "")
    if template.get("type") == "textbox":
        return Variable(template["name"], regex((str(template.get("current", {}).get("value", asked)),)))
    text = asked.get("query", "") if isinstance(asked, Mapping) else asked
    values = _LABEL_VALUES.match(text)
    all_value = template.get("allValue") or ".+"
    if template.get("includeAll"):
        fixed = all_value
    elif values:
        fixed = None
    else:
        fixed = str(template.get("current", {}).get("value", text.partition(",")[0]))
    if not values:
        return Variable(template["name"], fixed)
    label = values["label"]
    return Variable(template["name"], fixed, values["series"] or f'{{{label}!=""}}', label)


def _of_rules(path: str, document: Mapping[str, Any]) -> Iterator[Query]:
    for group in document.get("groups") or []:
        for rule in group["rules"]:
            if "alert" in rule:
                severity = rule.get("labels", {}).get("severity", "")
                yield Query(Origin.ALERT, f"{path}: alert {rule['alert']} ({severity})", rule["expr"])
            else:
                name = rule["record"]
                yield Query(Origin.RECORD, f"{path}: record {name}", rule["expr"], record=name)


def _of_runbook(path: str, text: str) -> Iterator[Query]:
    """Yield the queries of a page; an empty line separates the queries of a block."""
    for block in _PROMQL_BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        for expression in filter(None, map(str.strip, block[1].split("\n\n"))):
            yield Query(Origin.RUNBOOK, f"{path}:{line}", expression)
