"""The one pass after grafanalib: converts its output for Grafana 5 into JSON that Grafana 11 and 12 read without migration."""

import json
from collections.abc import Mapping
from typing import Any

from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 41

_OF_DASHBOARD = {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"}
_OF_PANEL = {
    "cacheTimeout",
    "color",
    "columns",
    "editable",
    "error",
    "fontSize",
    "height",
    "mappings",
    "minSpan",
    "span",
}
_OF_TARGET = {"hide", "interval", "intervalFactor", "metric", "query", "step", "target"}
_ROW = ("collapsed", "gridPos", "id", "panels", "title", "type")


def clean(dashboard: object) -> dict[str, Any]:
    """Encode a grafanalib dashboard as plain JSON values and bring it up to date."""
    encoded = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    cleaned: dict[str, Any] = _without_nulls(_without(encoded, _OF_DASHBOARD))
    cleaned["schemaVersion"] = SCHEMA_VERSION
    cleaned["panels"] = [_panel(panel) for panel in cleaned["panels"]]
    cleaned["timepicker"] = {"refresh_intervals": encoded["timepicker"]["refresh_intervals"]}
    return cleaned


def _panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        return {**{key: panel[key] for key in _ROW}, "panels": [_panel(inside) for inside in panel["panels"]]}
    cleaned = _without(panel, _OF_PANEL)
    cleaned["targets"] = [_target(target) for target in panel["targets"]]
    cleaned["fieldConfig"].setdefault("overrides", [])
    return cleaned


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    return {**_without(target, _OF_TARGET), "range": not target["instant"]}


def _without(mapping: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _without_nulls(value: Any) -> Any:
    """Drop keys without a value, except a threshold's: there null means "from below"."""
    if isinstance(value, dict):
        kept = {key: _without_nulls(item) for key, item in value.items() if item is not None}
        return {**kept, "value": None} if value.keys() == {"color", "value"} and value["value"] is None else kept
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
