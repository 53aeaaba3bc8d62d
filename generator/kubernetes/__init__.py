"""Manifests for a cluster with the Prometheus operator: plain files and a kustomization, no templates.

Nothing is left to Helm: the braces of rules and dashboards are Prometheus' and Grafana's own.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlvitals.generator.grafana.dashboard import dashboard_files
from mlvitals.generator.kubernetes.dashboards import dashboard_map
from mlvitals.generator.kubernetes.exporter import exporter_objects
from mlvitals.generator.kubernetes.monitors import pod_monitor, prometheus_rule, service_monitor
from mlvitals.generator.kubernetes.names import Names
from mlvitals.generator.kubernetes.routes import alertmanager_config, inexpressible
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

__all__ = ["inexpressible", "kubernetes_files"]


def kubernetes_files(spec: Spec, signals: Sequence[Signal], marker: str, path: str, text: str) -> dict[str, str]:
    """Return the manifests of a system: path below ``stack/<system>/kubernetes/`` to text.

    Args:
        spec: a spec of which nothing is `inexpressible`.
        signals: what is watched.
        marker: the first line of each file.
        path: the spec's file.
        text: what it contains.
    """
    objects = dict(_objects(spec, signals, marker, posixpath.basename(path), text))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(objects),
    }
    return {
        **{name: yaml_file(document, marker) for name, document in objects.items()},
        "kustomization.yaml": yaml_file(kustomization, marker, *_hints(spec)),
    }


def _objects(
    spec: Spec, signals: Sequence[Signal], marker: str, file_name: str, text: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects by the names of their files."""
    yield from exporter_objects(spec, file_name, text)
    yield "prometheusrule.yaml", prometheus_rule(spec, signals)
    yield "servicemonitor.yaml", service_monitor(spec)
    if spec.serving.enabled:
        yield "podmonitor.yaml", pod_monitor(spec)
    yield "alertmanagerconfig.yaml", alertmanager_config(spec, signals)
    for file, board in dashboard_files(spec, signals, marker).items():
        yield f"dashboards/{file.removesuffix('.json')}.yaml", dashboard_map(spec, file, board)


def _hints(spec: Spec) -> Iterator[str]:
    names = Names(spec)
    yield f"kubectl create namespace {names.namespace}; kubectl apply -k stack/{spec.slug}/kubernetes"
    yield f"Alerts carry namespace={names.namespace}, which the operator demands of them: set another one in the spec, not here."
    if any(spec.routing.receivers.values()):
        yield f"Receivers read their secrets from the Secret {names.receivers}, each under the name of its file in the spec."
