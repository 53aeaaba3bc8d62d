"""docker-compose.yml of a stack: hardened services, pinned images, read-only mounts, health checks."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from mlvitals.generator.boards import Board, board_name
from mlvitals.generator.compose.mounts import Mount
from mlvitals.generator.compose.network import EXPORTER_PORT, INBOX_URL, LOKI, Member, Network, is_local, receivers_of
from mlvitals.generator.compose.network import service_name as application
from mlvitals.generator.grafana.provisioning import PROVISIONED_DASHBOARDS
from mlvitals.generator.logs import keeps_logs
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

IMAGES = {
    "prometheus": "prom/prometheus:v3.5.0",
    "alertmanager": "prom/alertmanager:v0.28.1",
    "grafana": "grafana/grafana:12.1.0",
    "loki": "grafana/loki:3.7.6",
    "collector": "fluent/fluent-bit:5.0.9",
}
USER = "10001"
"""The user of our own image."""
PORTS = {"grafana": 3000, "prometheus": 9090, "alertmanager": 9093, "inbox": 9110, "exporter": EXPORTER_PORT}
HARDENED: Mapping[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": ["/tmp"],  # noqa: S108  (the container's own)
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 512,
    "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
}
_PLAIN_NAME, _ODD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), re.compile(r"[^A-Za-z0-9._-]")
_MERGED = {"<<": "*hardened"}
_PLACE = "/etc/mlvitals"
_LOCAL_SECRETS = "/run/secrets"
_WRITE_ADMIN_LOGIN = (
    'umask 022; cd /secrets/grafana; if [ -n "$$GRAFANA_ADMIN_PASSWORD" ]; '
    'then printf %s "$$GRAFANA_ADMIN_PASSWORD" >admin_password; '
    "elif ! [ -s admin_password ]; "
    "then python -c 'import secrets; print(secrets.token_urlsafe(24), end=\"\")' >admin_password; fi"
)


def compose_file(network: Network, *comments: str) -> str:
    """Return docker-compose.yml of a stack; its folder is ``stack/<name>/``."""
    hardened = yaml_file({"x-hardened": HARDENED}, *comments).replace("x-hardened:", "x-hardened: &hardened")
    # What YAML quotes as the text of a key is the merge key here, and the text of its value the anchor above.
    return f"{hardened}\n{yaml_file(_document(network))}".replace('"<<": "*hardened"', "<<: *hardened")


def _document(network: Network) -> dict[str, Any]:
    services = dict(_Services(network).all())
    volumes = {mount.partition(":")[0] for mount in _short_mounts(services) if not mount.startswith((".", "/"))}
    secrets = {name: {"file": f"./secrets/{name}"} for name in map(_secret_name, _secrets(network))}
    return {
        "name": f"mlvitals-{network.name.lower()}",
        "services": services,
        "volumes": {name: {} for name in sorted(volumes)},
        **({"secrets": secrets} if secrets else {}),
    }


def _short_mounts(services: Mapping[str, Any]) -> Iterator[str]:
    return (mount for one in services.values() for mount in one.get("volumes", ()) if isinstance(mount, str))


class _Services:
    """The services of a stack."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.folder = f"{_PLACE}/stack/{network.name}"
        """The stack's folder in the containers that read their configuration there."""
        self.keeps_logs = any(keeps_logs(member.spec) for member in network.members)
        self.has_inbox = _INBOX_HOST in _hosts(receivers_of(network))

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "password", self._password()
        for member in self.network.members:
            yield self.network.exporter(member.spec), self._exporter(member)
        if self.has_inbox:
            yield "inbox", self._inbox()
        yield "prometheus", self._prometheus()
        yield "alertmanager", self._alertmanager()
        yield "grafana", self._grafana()
        if self.keeps_logs:
            yield from self._logs()

    # ------------------------------------------------------------ our own image

    def _ours(self, *, once: bool = False) -> dict[str, Any]:
        restart = "on-failure:3" if once else "unless-stopped"
        return {
            **_MERGED,
            "restart": restart,
            "build": ".",
            "image": f"mlvitals-{self.network.name.lower()}:local",
            "user": USER,
        }

    def _password(self) -> dict[str, Any]:
        """Return what writes Grafana's password: the one of the environment, or a generated one, once."""
        return {
            **self._ours(once=True),
            "entrypoint": ["/bin/sh", "-c", _WRITE_ADMIN_LOGIN],
            "environment": {"GRAFANA_ADMIN_PASSWORD": "${GRAFANA_ADMIN_PASSWORD:-}"},
            "volumes": ["grafana-secrets:/secrets/grafana"],
            "network_mode": "none",
        }

    def _exporter(self, member: Member) -> dict[str, Any]:
        name = self.network.exporter(member.spec)
        logged = [f"--log-file=/logs/{name}.jsonl"] if self.keeps_logs else []
        written = [f"{_volume(name, index)}:{folder}" for index, folder in enumerate(member.mounts.written)]
        # Other exporters of the stack have no port on this machine: Prometheus reaches them.
        ports = {} if self.network.is_shared else {"ports": [_port("exporter")]}
        return {
            **self._ours(),
            "command": ["export", _literal(member.mounts.spec), f"--listen=0.0.0.0:{EXPORTER_PORT}", *logged],
            "volumes": [
                *written,
                *(_bind(mount, member.path) for mount in member.mounts.read),
                *(["logs:/logs"] if self.keeps_logs else []),
            ],
            **ports,
            # Keys of an object store, and whatever else clients read from their environment.
            "env_file": [{"path": f"./{name}.env", "required": False}],
            "extra_hosts": ["host.docker.internal:host-gateway"],
            "healthcheck": _asked_by_python(EXPORTER_PORT),
        }

    def _inbox(self) -> dict[str, Any]:
        port = PORTS["inbox"]
        return {
            **self._ours(),
            "command": ["inbox", f"--listen=0.0.0.0:{port}", "--keep=/inbox/messages.jsonl"],
            "volumes": ["inbox:/inbox"],
            "ports": [_port("inbox")],
            "healthcheck": _asked_by_python(port),
        }

    # ------------------------------------------------------------ the servers

    def _server(self, name: str) -> dict[str, Any]:
        return {**_MERGED, "restart": "unless-stopped", "image": IMAGES[name]}

    @property
    def _configuration(self) -> str:
        """The mount of what servers read; the rest of the stack's folder holds secrets."""
        return f"./compose:{self.folder}/compose:ro"

    def _prometheus(self) -> dict[str, Any]:
        exporters = [self.network.exporter(member.spec) for member in self.network.members]
        hosts = list(dict.fromkeys(_applications(self.network)))
        return {
            **self._server("prometheus"),
            "command": [
                f"@{self.folder}/compose/prometheus.flags",
                f"--config.file={self.folder}/compose/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                "--web.external-url=http://localhost:${PROMETHEUS_PORT:-9090}",
            ],
            "volumes": [self._configuration, f"../../alert_rules:{_PLACE}/alert_rules:ro", "prometheus:/prometheus"],
            "ports": [_port("prometheus")],
            # An application that the spec says runs on this machine.
            **({"extra_hosts": [f"{host}:host-gateway" for host in hosts]} if hosts else {}),
            "depends_on": _healthy(*exporters, "alertmanager"),
            "healthcheck": _asked_by_wget("9090/-/ready"),
        }

    def _alertmanager(self) -> dict[str, Any]:
        secrets = [{"source": _secret_name(path), "target": self._seen(path)} for path in _secrets(self.network)]
        return {
            **self._server("alertmanager"),
            "command": [
                f"--config.file={self.folder}/{self.network.alertmanager_file}",
                "--storage.path=/alertmanager",
                "--cluster.listen-address=",
                "--web.external-url=http://localhost:${ALERTMANAGER_PORT:-9093}",
            ],
            "volumes": [f".:{self.folder}:ro", "alertmanager:/alertmanager"],
            **({"secrets": secrets} if secrets else {}),
            "ports": [_port("alertmanager")],
            **({"depends_on": _healthy("inbox")} if self.has_inbox else {}),
            "healthcheck": _asked_by_wget("9093/-/ready"),
        }

    def _seen(self, path: str) -> str:
        """Return where Alertmanager looks for a file: a relative path starts at the folder of its configuration."""
        start = posixpath.dirname(f"{self.folder}/{self.network.alertmanager_file}")
        return _literal(posixpath.normpath(posixpath.join(start, path)))

    def _grafana(self) -> dict[str, Any]:
        first = board_name(self.network.members[0].spec, Board.MAIN)
        return {
            **self._server("grafana"),
            "user": "472",
            "environment": {
                "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{_LOCAL_SECRETS}/admin_password",
                "GF_AUTH_ANONYMOUS_ENABLED": "true",
                "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                "GF_USERS_ALLOW_SIGN_UP": "false",
                "GF_SERVER_ROOT_URL": "http://localhost:${GRAFANA_PORT:-3000}",
                "GF_LOG_MODE": "console",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                "GF_PLUGINS_PREINSTALL_DISABLED": "true",
                "GF_PATHS_PROVISIONING": f"{_PLACE}/provisioning",
                "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{PROVISIONED_DASHBOARDS}/{first}.json",
            },
            "volumes": [
                f"./grafana/provisioning:{_PLACE}/provisioning:ro",
                f"../../dashboards:{PROVISIONED_DASHBOARDS}:ro",
                f"grafana-secrets:{_LOCAL_SECRETS}:ro",
                "grafana:/var/lib/grafana",
            ],
            "ports": [_port("grafana")],
            "depends_on": {"password": {"condition": "service_completed_successfully"}, **_healthy("prometheus")},
            "healthcheck": _asked_by_wget("3000/api/health"),
        }

    # ------------------------------------------------------------ the profile `logs`

    def _logs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        profile = {"profiles": ["logs"]}
        yield (
            LOKI,
            {
                **self._server("loki"),
                **profile,
                "user": USER,
                "command": [f"-config.file={self.folder}/compose/loki.yml"],
                "volumes": [self._configuration, "loki:/loki"],
                "healthcheck": _checked(["/usr/bin/loki", "-health", "-health.url=http://127.0.0.1:3100/ready"]),
            },
        )
        # A new volume belongs to the owner of its folder in the first image that mounts it; Fluent Bit's has no such folder.
        yield (
            "collector-folder",
            {
                **self._ours(once=True),
                **profile,
                "entrypoint": ["true"],
                "volumes": ["collector:/collector"],
                "network_mode": "none",
            },
        )
        # No health check: the image holds nothing that could ask the program.
        yield (
            "collector",
            {
                **self._server("collector"),
                **profile,
                "user": USER,
                "command": [f"--config={self.folder}/compose/fluent-bit.yml"],
                "volumes": [self._configuration, "logs:/logs:ro", "collector:/collector"],
                "depends_on": {"collector-folder": {"condition": "service_completed_successfully"}, **_healthy(LOKI)},
            },
        )


# ---------------------------------------------------------------- parts

_INBOX_HOST = urlsplit(INBOX_URL).hostname


def _hosts(receivers: list[dict[str, Any]]) -> set[str | None]:
    """Return the hosts of the addresses that stand in receivers."""
    integrations = (
        each for receiver in receivers for part in receiver.values() if isinstance(part, list) for each in part
    )
    values = (value for each in integrations for value in each.values() if isinstance(value, str))
    return {urlsplit(value).hostname for value in values if value.startswith(("http://", "https://"))}


def _secrets(network: Network) -> list[str]:
    """Return the files of secrets that the receivers name, each once."""
    found = (
        value
        for receiver in receivers_of(network)
        for part in receiver.values()
        if isinstance(part, list)
        for each in part
        for key, value in each.items()
        if key.endswith("_file")
    )
    return list(dict.fromkeys(found))


def _secret_name(path: str) -> str:
    """Return the name of a secret, which is its file in the stack's folder ``secrets``."""
    name = path.removeprefix(f"{_LOCAL_SECRETS}/").strip("/")
    return name if _PLAIN_NAME.fullmatch(name) else f"{_ODD.sub('_', name)}-{sha256(name.encode()).hexdigest()[:8]}"


def _applications(network: Network) -> Iterator[str]:
    """Yield the names of the applications that run on this machine, outside of the stack."""
    for member in network.members:
        serving = member.spec.serving
        if serving.enabled and any(
            is_local(target.rpartition(":")[0]) for target in serving.targets or ("localhost:",)
        ):
            yield application(member.spec)


def written_folders(network: Network) -> list[str]:
    """Return the folders that volumes of our own image are mounted on: a new volume takes over their owner."""
    logs = ["/logs", "/collector"] if any(keeps_logs(member.spec) for member in network.members) else []
    folders = (folder for member in network.members for folder in member.mounts.written)
    return [*dict.fromkeys(folders), *logs, "/inbox", "/secrets/grafana"]


def _volume(exporter: str, index: int) -> str:
    name = "var" if exporter == "exporter" else f"{exporter}-var"
    return name if index == 0 else f"{name}-{index}"


def _bind(mount: Mount, spec_path: str) -> dict[str, Any]:
    """Return a mount of the host, whose source has to exist: Docker would make an empty folder of it."""
    # The stack's folder is two below the one that everything is written into.
    source = posixpath.normpath(posixpath.join("../..", posixpath.dirname(spec_path), mount.source))
    return {
        "type": "bind",
        "source": _literal(source if source.startswith((".", "/")) else f"./{source}"),
        "target": _literal(mount.target),
        **({} if mount.writable else {"read_only": True}),
        "bind": {"create_host_path": False},
    }


def _port(service: str) -> str:
    return f"127.0.0.1:${{{service.upper()}_PORT:-{PORTS[service]}}}:{PORTS[service]}"


def _healthy(*services: str) -> dict[str, Any]:
    return {name: {"condition": "service_healthy"} for name in services}


def _asked_by_wget(address: str) -> dict[str, Any]:
    return _checked(["wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{address}"])


def _asked_by_python(port: int) -> dict[str, Any]:
    asked = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/healthz', timeout=5)"
    return _checked(["python", "-c", asked])


def _checked(command: list[str]) -> dict[str, Any]:
    return {"test": ["CMD", *command], "interval": "5s", "timeout": "10s", "retries": 12, "start_period": "60s"}


def _literal(text: str) -> str:
    """Return a text in which Compose replaces nothing."""
    return text.replace("$", "$$")


def has_postgres(spec: Spec) -> bool:
    """True if the exporter needs a driver of PostgreSQL."""
    urls = (spec.results.url, spec.prediction_log.path, *(source.database or "" for source in spec.sources.values()))
    return any(url.startswith("postgresql") for url in urls)
