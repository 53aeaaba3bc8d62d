"""The log lines of the exporter and the service, newest first, in a row that queries Loki only when it is opened."""

from typing import Any

from grafanalib import core

from mlvitals.generator.grafana.layout import Box, Size
from mlvitals.generator.grafana.page import Folded
from mlvitals.generator.grafana.panels import CorePanel, grid
from mlvitals.generator.promql import selector
from mlvitals.generator.spec.model import Spec

Json = dict[str, Any]

SOURCE = {"type": "loki", "uid": "${logs}"}
_TITLE = "Logs (exporter and service; kept by docker compose --profile logs)"
_HEIGHT = 9
_OPTIONS: Json = {
    "dedupStrategy": "none",
    "enableLogDetails": True,
    "prettifyLogMessage": False,
    "showCommonLabels": False,
    "showLabels": True,
    "showLogContextToggle": False,
    "showTime": True,
    "sortOrder": "Descending",
    "wrapLogMessage": True,
}
_DESCRIPTION = (
    "Log lines of the exporter and the serving application, newest first, coloured by level: the program, the "
    "event and its details; click a line for its fields. Normal: info, one `window_measured` per window. Look here "
    "when a layer is blind or the age of a source is unknown: `run_failed`, `schema_differences` and "
    "`source_age_unknown` give the reason. Lines are kept only while Loki runs: `docker compose --profile logs up "
    "-d --wait` starts it. Without it, this panel shows a red error mark and nothing else is affected; `docker "
    "compose logs exporter` shows the same lines."
)
_FIELDS: Json = {"id": "extractFields", "options": {"source": "Line", "format": "json"}}
"""The contents of a line, as fields that a click shows. Here and not in the query, so that the lines stay unchanged."""


def source_variable() -> Json:
    """Return the variable of the Loki to query; a fixed one would not exist elsewhere."""
    return {
        "type": "datasource",
        "name": "logs",
        "label": "Log store",
        "description": "The Loki instance that keeps the log lines.",
        "query": "loki",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def row(spec: Spec) -> Folded:
    """Return the collapsed row with the log lines of a system."""
    query = selector("", system=spec.system.name)

    def lines(identity: int, box: Box) -> core.Panel:
        return CorePanel(
            "logs",
            _OPTIONS,
            id=identity,
            title="Log lines",
            description=_DESCRIPTION,
            dataSource=SOURCE,
            gridPos=grid(box),
            maxDataPoints=None,
            targets=[_target(query)],
            transformations=[_FIELDS],
        )

    return Folded(_TITLE, Size(24, _HEIGHT), lines)


def _target(query: str) -> Json:
    return {
        "datasource": SOURCE,
        "expr": query,
        "instant": False,
        "queryType": "range",
        "refId": "A",
    }
