"""Write the pages of reference from the program itself: every key of a spec, alert, metric, command and Python name.

``python scripts/reference_pages.py`` writes them into docs/; a test holds them up to date.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import mlvitals
from mlvitals.cli import main as command_line
from mlvitals.generator.contract import Contract, Family, Producer
from mlvitals.generator.runbooks.checks import FIRST
from mlvitals.generator.runbooks.markdown import table
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.signals.text import threshold
from mlvitals.generator.spec.load import load_spec, parse_spec
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.generator.spec.schema import json_schema

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_NOTE = "<!-- Written by scripts/reference_pages.py (make compile). Do not edit. -->"

_SPECS = ("specs/streamrec.yaml", "specs/flights.yaml", "examples/fastapi_app/churn.yaml")
_REST = """\
version: 1
system: {name: rest}
serving: {replicas: 3}
prediction_log: {path: log, id: id, outcome: {column: kind, kind: multiclass, probabilities: {a: p_a, b: p_b, c: p_c}}}
features: {amount: {}}
alerts: {feature_wasserstein: {enabled: true}}
business: {events_log: {path: events, timestamp: at, event: name}, events: {order: {source: log}}}
"""
"""What the three specs of the repository do not use."""


def pages() -> dict[str, str]:
    """Return every page of reference: file name below docs/ to its text."""
    specs = [load_spec(ROOT / path) for path in _SPECS] + [parse_spec(_REST)]
    return {
        "keys.md": keys_page(json_schema()),
        "alerts.md": alerts_page(specs),
        "metrics.md": metrics_page(specs),
        "commands.md": commands_page(),
        "api.md": api_page(),
    }


# ---------------------------------------------------------------- keys of a spec


def keys_page(schema: Mapping[str, Any]) -> str:
    """Return a table for each section of a spec, in the order of the document."""
    sections = list(_sections(schema))
    parts = [
        "# Every key of a spec",
        _NOTE,
        "Generated from the model that reads specs ([spec.md](spec.md) says what the sections are for). A key without a default "
        "is required. A duration is a number and a unit, as Prometheus writes it: `90s`, `5m`, `1h30m`, `7d`.",
    ]
    for path, name in sections:
        definition = schema["$defs"][name]
        rows = [_key(schema, key, each, definition) for key, each in definition.get("properties", {}).items()]
        title = path or "The document"
        parts += [f"## {title}", definition["description"], table(("Key", "Value", "Default", "Meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def _sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each section, once, from the outside in."""
    waiting, seen = [("", "Spec")], set()
    while waiting:
        path, name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield path, name
        inner = []
        for key, each in schema["$defs"][name].get("properties", {}).items():
            inner += [(_below(path, key, way), found) for way, found in _named(schema, each)]
        waiting[:0] = inner


def _below(path: str, key: str, way: str) -> str:
    return f"{path}.{key}{way}" if path else f"{key}{way}"


def _named(schema: Mapping[str, Any], node: Any) -> Iterator[tuple[str, str]]:
    """Yield the sections that a key holds, with what stands between: a name, or a position of a list."""
    if not isinstance(node, dict):
        return
    if (name := _reference(node)) and "properties" in schema["$defs"][name]:
        yield "", name
    for each in node.get("anyOf", ()):
        yield from _named(schema, each)
    for way, inner in ((".NAME", "additionalProperties"), ("[]", "items")):
        for deeper, name in _named(schema, node.get(inner)):
            yield f"{way}{deeper}", name


def _reference(node: Mapping[str, Any]) -> str:
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def _key(schema: Mapping[str, Any], key: str, node: Mapping[str, Any], section: Mapping[str, Any]) -> tuple[str, ...]:
    required = key in section.get("required", ())
    default = "required" if required else _default(schema, node)
    return f"`{key}`", "<br>".join(dict.fromkeys(_values(schema, node))), default, meaning(schema, node)


def meaning(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Return what a key means: its own description, or else that of the section or value it holds."""
    if text := node.get("description"):
        return str(text)
    inner = [*node.get("anyOf", ()), node.get("additionalProperties"), node.get("items")]
    if name := _reference(node):
        inner.insert(0, schema["$defs"][name])
    found = (meaning(schema, each) for each in inner if isinstance(each, dict))
    return next((text for text in found if text), "")


def _default(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Return a key's default; of a section, what differs from the section's own defaults."""
    default = node.get("default")
    if isinstance(default, dict):
        own = schema["$defs"].get(_reference(node), {}).get("properties", {})
        default = {key: value for key, value in default.items() if key not in own or value != own[key].get("default")}
        if not default:
            return ""
    return "" if default is None or default in ("", []) else f"`{json.dumps(default, ensure_ascii=False)}`"


_BOUNDS: Mapping[str, Callable[[Any], str]] = {
    "minimum": lambda bound: f"at least {_number(bound)}",
    "exclusiveMinimum": lambda bound: f"above {_number(bound)}",
    "maximum": lambda bound: f"at most {_number(bound)}",
    "exclusiveMaximum": lambda bound: f"below {_number(bound)}",
    "maxLength": lambda bound: f"at most {bound} characters" if bound not in _USUAL_LENGTHS else "",
    "minItems": lambda bound: f"at least {bound}",
    "maxItems": lambda bound: f"at most {bound}",
    "patternErrorMessage": str,
}
_USUAL_LENGTHS = (200, 2000)
"""Bounds of names and of descriptions, which nobody comes near."""


def _number(bound: float) -> str:
    return f"{bound:g}" if bound < 1e6 else f"{bound:,.0f}"


def _values(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kinds of value that a key takes, each with its bounds."""
    if name := _reference(node):
        definition = schema["$defs"][name]
        yield "section" if "properties" in definition else " or ".join(f"`{each}`" for each in definition["enum"])
        return
    if "anyOf" in node:
        for each in node["anyOf"]:
            if each.get("type") != "null":
                yield from _values(schema, each)
        return
    if "enum" in node:
        yield " or ".join(f"`{each}`" for each in node["enum"])
        return
    kind = {"array": "list", "object": "mapping"}.get(node.get("type", ""), node.get("type", "any"))
    if isinstance(inner := node.get("items") or node.get("additionalProperties"), dict):
        kind += f" of {next(_values(schema, inner))}"
    bounds = [said for key, bound in node.items() if key in _BOUNDS and (said := _BOUNDS[key](bound))]
    yield ", ".join([kind, *bounds])


# ---------------------------------------------------------------- alerts


def alerts_page(specs: Iterable[Spec]) -> str:
    """Return a table of every alert, by its incident type."""
    found: dict[str, dict[str, list[Alert]]] = {}
    for spec in specs:
        for signal in signals(spec):
            for alert in signal.alerts:
                found.setdefault(signal.incident.value, {}).setdefault(alert.name, []).append(alert)
    parts = [
        "# Every alert",
        _NOTE,
        "Generated from the signals. The thresholds and times are the defaults; each is set under `alerts`, with the key "
        "that is named here ([keys.md](keys.md)). A cooldown is the least time between two notifications. What to do at once "
        "is the usual fix of the alert's own runbook page. A system has the alerts of what it measures.",
    ]
    for incident, alerts in sorted(found.items()):
        rows = [_alert(name, of) for name, of in sorted(alerts.items())]
        parts += [f"## {incident}", table(("Alert", "Says", "Fires", "Key", "Cooldown", "Usual fix"), rows)]
    return "\n\n".join(parts) + "\n"


def _alert(name: str, alerts: list[Alert]) -> tuple[str, ...]:
    by_severity: dict[Severity, Alert] = {}
    for alert in alerts:
        by_severity.setdefault(alert.severity, alert)
    shown = sorted(by_severity.values(), key=lambda alert: list(Severity).index(alert.severity))
    fires = (
        f"{alert.severity}: {alert.compared} {threshold(alert.threshold, alert.format)} for {alert.timing.for_}"
        for alert in shown
    )
    cooldowns = dict.fromkeys(alert.cooldown for alert in shown)
    policy = alerts[0].policy
    return (
        f"`{name}`",
        alerts[0].summary,
        "<br>".join(fires),
        f"`{policy}`" if policy else "",
        ", ".join(cooldowns),
        FIRST[name].fix,
    )


# ---------------------------------------------------------------- metrics


def metrics_page(specs: Iterable[Spec]) -> str:
    """Return a table of every metric family, by who publishes it."""
    found: dict[Producer, dict[str, Family]] = {}
    for spec in specs:
        contract = Contract(spec)
        for producer in Producer:
            for family in contract.of(producer):
                own = re.sub(rf"^{spec.system.name}_", "NAME_", family.name)
                found.setdefault(producer, {}).setdefault(own, family)
    parts = [
        "# Every metric",
        _NOTE,
        "Generated from the metrics contract. `NAME` is the system's name. A system publishes the metrics of what it measures; a "
        "gauge of what was not measured is absent, never 0.",
    ]
    for producer, families in found.items():
        rows = [
            (f"`{name}`", family.type.value, ", ".join(f"`{label}`" for label in family.labels), family.help)
            for name, family in sorted(families.items())
        ]
        parts += [f"## Published by: {producer.value}", table(("Metric", "Type", "Labels", "Meaning"), rows)]
    return "\n\n".join(parts) + "\n"


# ---------------------------------------------------------------- commands


def commands_page() -> str:
    """Return every command with its usage, arguments and options."""
    parts = [
        "# Every command",
        _NOTE,
        "Generated from the command line. Results go to standard output, diagnostics to standard error. Exit codes: 0 success, "
        "1 findings or failure, 2 wrong usage.",
    ]
    context = click.Context(command_line, info_name="mlvitals")
    for path, command in _commands(command_line, context):
        usage = " ".join((path.command_path, *command.collect_usage_pieces(path)))
        text = inspect.cleandoc(command.help or "")
        rows = [
            (record[0].replace("|", "/"), record[1])
            for parameter in command.params
            if (record := parameter.get_help_record(path)) and "--help" not in record[0]
        ]
        parts += [f"## {path.command_path}", f"```text\n{usage}\n```", text]
        if rows:
            parts.append(table(("Option", "Meaning"), ((f"`{name}`", said) for name, said in rows)))
    return "\n\n".join(parts) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    for name in sorted(group.commands):
        command = group.commands[name]
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield inner, command


# ---------------------------------------------------------------- Python


def api_page() -> str:
    """Return what `import mlvitals` offers, from its docstrings."""
    parts = ["# The Python interface", _NOTE, "Generated from the docstrings of what `import mlvitals` offers."]
    for name in sorted(mlvitals.__all__):
        each = getattr(mlvitals, name)
        parts += _documented(name, each, "##")
        if inspect.isclass(each):
            for method, function in inspect.getmembers(each, inspect.isfunction):
                if not method.startswith("_") and method in vars(each):
                    parts += _documented(f"{name}.{method}", function, "###")
    return "\n\n".join(parts) + "\n"


def _documented(name: str, each: Any, level: str) -> Iterator[str]:
    yield f"{level} {name}"
    yield f"```python\n{name}{_signature(each)}\n```"
    yield f"```text\n{inspect.getdoc(each)}\n```"


def _signature(each: Any) -> str:
    parameters = [
        parameter.replace(annotation=parameter.annotation if isinstance(parameter.annotation, str) else parameter.empty)
        for parameter in inspect.signature(each).parameters.values()
        if parameter.name != "self"
    ]
    return "(" + ", ".join(str(parameter).replace("'", "") for parameter in parameters) + ")"


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        click.echo(f"wrote docs/{name}")
