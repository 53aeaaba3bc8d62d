"""Scrapes and rules as objects of the Prometheus operator.

The operator gives targets labels of its own. `job` would be the Service's name, and our rules demand the spec's; `endpoint`
would be the port's, and hide the label of that name that the serving metrics have.
"""

import copy
from collections.abc import Sequence
from typing import Any

from mlvitals.generator.kubernetes.names import Names
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.model import Spec

API = "monitoring.coreos.com/v1"
PORT_NAME = "metrics"
TARGET_LABELS = ("namespace", "pod", "service", "container", "endpoint", "job", "instance")
"""Labels that the operator gives to every target."""
OURS = ("endpoint",)
"""Those of them that our own metrics have."""


def prometheus_rule(spec: Spec, signals: Sequence[Signal]) -> dict[str, Any]:
    """Return the rules. Every alert says its namespace: the operator's routes demand it, and aggregation drops it."""
    names = Names(spec)
    groups = copy.deepcopy(list(rule_groups(spec, signals)))
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"] = {**rule["labels"], "namespace": names.namespace}
    return {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": names.metadata(names.base, selected=True),
        "spec": {"groups": groups},
    }


def service_monitor(spec: Spec) -> dict[str, Any]:
    """Return the scrape of the exporter."""
    names = Names(spec)
    return {
        "apiVersion": API,
        "kind": "ServiceMonitor",
        "metadata": names.metadata(names.exporter, selected=True),
        "spec": {
            "selector": {"matchLabels": names.exporter_labels},
            "endpoints": [_endpoint(spec, PORT_NAME, spec.exporter_job)],
        },
    }


def pod_monitor(spec: Spec) -> dict[str, Any]:
    """Return the scrape of the application's pods, whatever Service they are behind."""
    names, labels = Names(spec), spec.kubernetes.serving_labels
    return {
        "apiVersion": API,
        "kind": "PodMonitor",
        "metadata": names.metadata(names.base, selected=True),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": spec.system.name} if labels is None else labels},
            # Where Prometheus converts histograms to native ones, ours go on having the buckets that objectives read.
            "scrapeClassicHistograms": True,
            "podMetricsEndpoints": [_endpoint(spec, spec.kubernetes.serving_port, spec.serving_job)],
        },
    }


def _endpoint(spec: Spec, port: str, job: str) -> dict[str, Any]:
    labels = {"job": job, **spec.identity.labels}
    return {
        "port": port,
        "interval": spec.telemetry.scrape_interval,
        "relabelings": [
            *(
                {"action": "replace", "targetLabel": name, "replacement": value.replace("$", "$$")}
                for name, value in labels.items()
            ),
            *({"action": "labeldrop", "regex": name} for name in OURS),
        ],
    }
