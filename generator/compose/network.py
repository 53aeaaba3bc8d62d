"""The configuration of a Compose stack: the same systems, with the addresses of the stack's own network.

The services of docker-compose.yml find each other by name: the application by the system's name, the others by their role.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlvitals.generator.compose.mounts import Mounts
from mlvitals.generator.grafana.provisioning import provisioning_files
from mlvitals.generator.logs import LOKI_PORT, collector_config, keeps_logs, loki_config
from mlvitals.generator.prometheus import DEFAULT_SERVING_TARGET, prometheus_document
from mlvitals.generator.routing import TEMPLATES
from mlvitals.generator.routing.alertmanager import alertmanager_config, alertmanager_document
from mlvitals.generator.routing.fragment import shared_config, with_inbox
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

EXPORTER_PORT = 9108
ALERTMANAGER = "alertmanager:9093"
PROMETHEUS = "http://prometheus:9090"
INBOX_URL = "http://inbox:9110"
LOKI = "loki"
"""The service of the profile `logs` that keeps log lines."""
LOG_FILES = "/logs/*.jsonl*"
_LOCAL_HOSTS = ("localhost", "0.0.0.0", "[::1]", "[::]")  # noqa: S104  (names, nothing is bound)


@dataclass(frozen=True, slots=True)
class Member:
    """A system of a stack."""

    spec: Spec
    signals: Sequence[Signal]
    path: str
    """The spec's file, relative to the folder that everything is written into."""
    mounts: Mounts


@dataclass(frozen=True, slots=True)
class Network:
    """The systems of a stack, and how its services are called."""

    name: str
    members: tuple[Member, ...]

    @property
    def is_shared(self) -> bool:
        """True if several systems share the stack."""
        return len(self.members) > 1

    def exporter(self, spec: Spec) -> str:
        """Return the name of the service that measures a system."""
        return f"{spec.slug.lower()}-exporter" if self.is_shared else "exporter"

    @property
    def inside(self) -> tuple[Spec, ...]:
        """The specs as they are valid within the stack."""
        return tuple(on_the_network(member.spec, self.exporter(member.spec)) for member in self.members)

    @property
    def delivered(self) -> tuple[Spec, ...]:
        """The specs with the inbox for the receivers that they do not name."""
        return tuple(with_inbox(member.spec, f"{INBOX_URL}/alertmanager") for member in self.members)

    @property
    def has_routes_of_its_own(self) -> bool:
        """True if no system's own alertmanager.yml is the stack's."""
        return self.is_shared or self.delivered != tuple(member.spec for member in self.members)

    @property
    def alertmanager_file(self) -> str:
        """The file that the stack's Alertmanager reads, in the stack's folder."""
        return "compose/alertmanager.yml" if self.has_routes_of_its_own else "alertmanager.yml"


def network_files(network: Network, marker: str) -> dict[str, str]:
    """Return the files that the services of the stack read: path below ``stack/<name>/`` to text."""
    inside = network.inside
    provisioned = provisioning_files(inside, marker, prometheus_url=PROMETHEUS, loki_url=f"http://{LOKI}:{LOKI_PORT}")
    rules = tuple(f"../../../alert_rules/{spec.slug}.rules.yml" for spec in inside)
    return {
        "compose/prometheus.yml": yaml_file(prometheus_document(inside, rules, (ALERTMANAGER,)), marker),
        "compose/prometheus.flags": prometheus_flags(inside, marker),
        **_routes(network, marker),
        **_log_files(inside, marker),
        **{f"grafana/provisioning/{path}": text for path, text in provisioned.items()},
    }


def _routes(network: Network, marker: str) -> dict[str, str]:
    """Return the Alertmanager's configuration, unless it is the one that the system has anyway."""
    if not network.has_routes_of_its_own:
        return {}
    delivered = tuple(zip(network.delivered, (member.signals for member in network.members), strict=True))
    if not network.is_shared:
        ((spec, signals),) = delivered
        return {network.alertmanager_file: alertmanager_config(spec, signals, marker, f"../{TEMPLATES}")}
    return {
        network.alertmanager_file: shared_config(delivered, marker, f"../{TEMPLATES}"),
        TEMPLATES: notification_templates(marker),
    }


def receivers_of(network: Network) -> list[dict[str, Any]]:
    """Return the receivers of the stack's Alertmanager, as its file has them."""
    return [
        receiver
        for spec, member in zip(network.delivered, network.members, strict=True)
        for receiver in alertmanager_document(spec, member.signals)["receivers"]
    ]


def _log_files(specs: Sequence[Spec], marker: str) -> dict[str, str]:
    """Return the files that the profile `logs` reads, if a system has logs."""
    keeping = [spec for spec in specs if keeps_logs(spec)]
    if not keeping:
        return {}
    longest = max(keeping, key=lambda spec: milliseconds(spec.telemetry.retention.warm))
    return {
        "compose/loki.yml": loki_config(longest, marker, folder="/loki"),
        "compose/fluent-bit.yml": collector_config(marker, files=LOG_FILES, folder="/collector", loki_host=LOKI),
    }


def on_the_network(spec: Spec, exporter: str = "exporter") -> Spec:
    """Return the spec as it is valid within the stack: what runs on this machine has the address of its service."""
    replace = msgspec.structs.replace
    targets = spec.serving.targets or (DEFAULT_SERVING_TARGET,)
    serving = replace(spec.serving, targets=tuple(_inside(spec, target) for target in targets))
    return replace(spec, serving=serving, exporter=replace(spec.exporter, targets=(f"{exporter}:{EXPORTER_PORT}",)))


def _inside(spec: Spec, target: str) -> str:
    host, _, port = target.rpartition(":")
    return f"{service_name(spec)}:{port}" if is_local(host) else target


def is_local(host: str) -> bool:
    """True if a host is the machine itself."""
    return host in _LOCAL_HOSTS or host.startswith("127.")


def service_name(spec: Spec) -> str:
    """Return the name of the application's service: host names have no underscores."""
    return spec.system.name.replace("_", "-")


def prometheus_flags(specs: Sequence[Spec], marker: str) -> str:
    """Return options that Prometheus accepts only on its command line, as ``prometheus @FILE`` reads them.

    One Prometheus is both hot and warm storage: it has the longest retention of a warm tier.
    """
    retention = max((spec.telemetry.retention.warm for spec in specs), key=milliseconds)
    return f"# {marker}\n--storage.tsdb.retention.time={retention}\n"
