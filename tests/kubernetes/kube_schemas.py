"""The schemas of Kubernetes and of the Prometheus operator, whose unknown keys are refused: a cluster drops them silently."""

import json
import lzma
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
_OF_API = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def _read(name: str) -> Any:
    return json.loads(lzma.decompress((SCHEMAS / f"{name}.json.xz").read_bytes()))


def strict(schema: Any) -> Any:
    """A schema of the operator in which no object has keys that it does not name, and patterns are Python's."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace("(?i)", "")
    if isinstance(found.get("properties"), dict) and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


@cache
def validators() -> dict[str, jsonschema.protocols.Validator]:
    """A validator for each ``apiVersion kind``."""
    core = _read("kubernetes")
    schemas = {kind: {**schema, "$defs": core["$defs"]} for kind, schema in core["kinds"].items()}
    for kind, schema in _read("prometheus-operator").items():
        own = strict(schema)
        schemas[kind] = {**own, "properties": {**own["properties"], **_OF_API}}
    return {kind: jsonschema.Draft202012Validator(schema) for kind, schema in schemas.items()}


def problems(document: dict[str, Any]) -> list[str]:
    """What a cluster would refuse of an object, or drop."""
    kind = f"{document['apiVersion']} {document['kind']}"
    found = [*_errors(validators()[kind], document)]
    if document["kind"] == "AlertmanagerConfig":
        # Routes below the first are any JSON to the cluster; the operator reads them as it reads the first.
        schema = validators()[kind].schema["properties"]["spec"]["properties"]["route"]
        of_route = jsonschema.Draft202012Validator(schema)
        found += [error for route in _below(document["spec"]["route"]) for error in _errors(of_route, route)]
    return found


def _errors(validator: jsonschema.protocols.Validator, document: Any) -> Iterator[str]:
    for error in validator.iter_errors(document):
        yield f"{'/'.join(map(str, error.path))}: {error.message[:200]}"


def _below(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in route.get("routes", ()):
        yield each
        yield from _below(each)
