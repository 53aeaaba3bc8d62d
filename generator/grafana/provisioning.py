"""Grafana's provisioning: its data sources and dashboards."""

from collections.abc import Sequence

from mlvitals.generator.boards import board_name, boards
from mlvitals.generator.logs import keeps_logs
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

PROVISIONED_DASHBOARDS = "/etc/mlvitals/dashboards"
"""The mount point of the folder of generated dashboards, including those of other systems."""


_LINES = 200
"""Lines of a log panel: more than anybody reads, and still quick to draw."""


def provisioning_files(specs: Sequence[Spec], marker: str, *, prometheus_url: str, loki_url: str) -> dict[str, str]:
    """Return the provisioning folder of a Grafana for some systems: path within it to text.

    The Prometheus data source knows the longest scrape interval, which decides `$__rate_interval` and the smallest step
    of panels. Loki is a data source if a system keeps logs; Grafana queries it only when somebody opens them.
    """
    interval = max((spec.telemetry.scrape_interval for spec in specs), key=seconds)
    keeping = any(map(keeps_logs, specs))
    return {
        "datasources/prometheus.yml": yaml_file(_provisioned(_prometheus(interval, prometheus_url)), marker),
        **({"datasources/loki.yml": yaml_file(_provisioned(_loki(loki_url)), marker)} if keeping else {}),
        "dashboards/mlvitals.yml": yaml_file(_dashboards(specs), marker),
    }


def _provisioned(source: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": 1, "datasources": [source]}


def _prometheus(scrape_interval: str, url: str) -> dict[str, object]:
    return {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": True,
        "editable": False,
        "jsonData": {
            "httpMethod": "POST",
            "prometheusType": "Prometheus",
            "timeInterval": f"{max(1, round(seconds(scrape_interval)))}s",
        },
    }


def _loki(url: str) -> dict[str, object]:
    return {
        "name": "Loki",
        "uid": "loki",
        "type": "loki",
        "access": "proxy",
        "url": url,
        "editable": False,
        "jsonData": {"maxLines": _LINES},
    }


def _dashboards(specs: Sequence[Spec]) -> dict[str, object]:
    """Return a provider for each dashboard of the systems, because one for the whole folder would show other systems' too.

    Grafana walks a path, and a file is a walk of one step.
    """
    return {
        "apiVersion": 1,
        "providers": [_provider(spec, board_name(spec, board)) for spec in specs for board in boards(spec)],
    }


def _provider(spec: Spec, name: str) -> dict[str, object]:
    return {
        "name": name,
        "folder": f"{spec.title} ({spec.environment})".replace(
            "$", "$$"
        ),  # Grafana expands variables of the environment
        "type": "file",
        "allowUiUpdates": False,
        "disableDeletion": True,
        "updateIntervalSeconds": 30,
        "options": {"path": f"{PROVISIONED_DASHBOARDS}/{name}.json", "foldersFromFilesStructure": False},
    }
