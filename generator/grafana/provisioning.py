"""What Grafana is told at its start: where its data is, and which dashboards it shows."""

from generator.boards import board_name, boards
from generator.spec.durations import seconds
from generator.spec.model import Spec
from generator.text_files import yaml_file

PROVISIONED_DASHBOARDS = "/etc/mlvitals/dashboards"
"""Where the folder of generated dashboards is mounted, those of other systems among them."""


def provisioning_files(spec: Spec, marker: str, *, prometheus_url: str) -> dict[str, str]:
    """Grafana's provisioning folder: path within it to text.

    The data source knows the scrape interval, which decides `$__rate_interval` and the smallest step of panels.
    """
    return {
        "datasources/prometheus.yml": yaml_file(_data_sources(spec, prometheus_url), marker),
        "dashboards/mlvitals.yml": yaml_file(_dashboards(spec), marker),
    }


def _data_sources(spec: Spec, prometheus_url: str) -> dict[str, object]:
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "isDefault": True,
        "editable": False,
        "jsonData": {
            "httpMethod": "POST",
            "prometheusType": "Prometheus",
            "timeInterval": f"{max(1, round(seconds(spec.telemetry.scrape_interval)))}s",
        },
    }
    return {"apiVersion": 1, "datasources": [source]}


def _dashboards(spec: Spec) -> dict[str, object]:
    """A provider for each dashboard of the system, for one of the whole folder would show other systems' too.

    Grafana walks a path, and a file is a walk of one step.
    """
    return {"apiVersion": 1, "providers": [_provider(board_name(spec, board)) for board in boards(spec)]}


def _provider(name: str) -> dict[str, object]:
    return {
        "name": name,
        "type": "file",
        "allowUiUpdates": False,
        "disableDeletion": True,
        "updateIntervalSeconds": 30,
        "options": {"path": f"{PROVISIONED_DASHBOARDS}/{name}.json", "foldersFromFilesStructure": False},
    }
