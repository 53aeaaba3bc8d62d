"""The configuration of the Compose stack: the same system, with the addresses of the stack's own network.

The services of docker-compose.yml find each other by name: the application by the system's name, the others by their role.
"""

import msgspec

from mlvitals.generator.grafana.provisioning import provisioning_files
from mlvitals.generator.logs import LOKI_PORT, collector_config, keeps_logs, loki_config
from mlvitals.generator.prometheus import prometheus_config
from mlvitals.generator.spec.model import Spec

EXPORTER = "exporter:9108"
ALERTMANAGER = "alertmanager:9093"
PROMETHEUS = "http://prometheus:9090"
LOKI = "loki"
"""The service of the profile `logs` that keeps log lines."""
LOG_FILES = "/logs/*.jsonl*"
SERVING_PORT = 8000


def compose_files(spec: Spec, marker: str) -> dict[str, str]:
    """Return the files that the services of the stack read: path below ``stack/<system>/`` to text."""
    inside = on_the_network(spec)
    provisioned = provisioning_files(inside, marker, prometheus_url=PROMETHEUS, loki_url=f"http://{LOKI}:{LOKI_PORT}")
    rules = f"../../../alert_rules/{spec.slug}.rules.yml"
    return {
        "compose/prometheus.yml": prometheus_config(inside, marker, rule_files=(rules,), alertmanagers=(ALERTMANAGER,)),
        "compose/prometheus.flags": prometheus_flags(spec, marker),
        **_log_files(spec, marker),
        **{f"grafana/provisioning/{path}": text for path, text in provisioned.items()},
    }


def _log_files(spec: Spec, marker: str) -> dict[str, str]:
    """Return the files that the profile `logs` reads, if the system has logs."""
    if not keeps_logs(spec):
        return {}
    return {
        "compose/loki.yml": loki_config(spec, marker, folder="/loki"),
        "compose/fluent-bit.yml": collector_config(marker, files=LOG_FILES, folder="/collector", loki_host=LOKI),
    }


def on_the_network(spec: Spec) -> Spec:
    """Return the spec as it is valid within the stack: processes have the addresses of their services."""
    replace = msgspec.structs.replace
    serving = replace(spec.serving, targets=(f"{service_name(spec)}:{SERVING_PORT}",))
    return replace(spec, serving=serving, exporter=replace(spec.exporter, targets=(EXPORTER,)))


def service_name(spec: Spec) -> str:
    """Return the name of the application's service: host names have no underscores."""
    return spec.system.name.replace("_", "-")


def prometheus_flags(spec: Spec, marker: str) -> str:
    """Return options that Prometheus accepts only on its command line, as ``prometheus @FILE`` reads them.

    One Prometheus is both hot and warm storage: it has the retention of the warm tier.
    """
    return f"# {marker}\n--storage.tsdb.retention.time={spec.telemetry.retention.warm}\n"
