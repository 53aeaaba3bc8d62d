"""Dashboards as ConfigMaps, which Grafana's sidecar looks for by a label."""

from typing import Any

from mlvitals.generator.kubernetes.names import Names, dns_name
from mlvitals.generator.spec.model import Spec

LARGEST = 1 << 20
"""Bytes of a ConfigMap."""


def dashboard_map(spec: Spec, file: str, text: str) -> dict[str, Any]:
    """Return the ConfigMap of one dashboard; the sidecar takes only keys that end in .json."""
    metadata = Names(spec).metadata(dns_name(f"dashboard-{file.removesuffix('.json')}"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            **metadata,
            "labels": {**metadata["labels"], "grafana_dashboard": "1"},
            "annotations": {"grafana_folder": spec.title},
        },
        "data": {file: text},
    }
