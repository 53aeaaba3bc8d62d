"""Where the real servers are: on PATH, or unpacked by scripts/servers.sh."""

import shutil
import socket
from pathlib import Path

import yaml

_CACHE = Path(__file__).resolve().parent.parent / ".cache"
_OTHER_NAMES = {
    "alertmanager": "prometheus-alertmanager",
    "pushgateway": "prometheus-pushgateway",
    "node_exporter": "prometheus-node-exporter",
}


def find_server(name: str, *, release: str = "stable") -> str | None:
    """The path of a server program, None where there is none.

    Release ``stable`` means the one on PATH, else Debian stable's; ``sid`` means Prometheus 3 of Debian sid.
    """
    unpacked = _CACHE / ("servers" if release == "stable" else f"servers-{release}") / "usr" / "bin"
    names = (name, _OTHER_NAMES.get(name, name))
    on_path = (shutil.which(known) for known in names if release == "stable")
    return next(filter(None, (*on_path, *(shutil.which(known, path=unpacked) for known in names))), None)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def alert_nobody(config: Path) -> None:
    """Take the Alertmanager out of a Prometheus configuration: a demonstration pages nobody, whoever listens there."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    del document["alerting"]
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
