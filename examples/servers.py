"""Where the real servers are: on PATH, or unpacked by scripts/servers.sh."""

import shutil
from pathlib import Path

import yaml

from mlvitals.incidents.tabletop.programs import free_port

__all__ = ("alert_nobody", "find_server", "free_port")

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


def alert_nobody(config: Path) -> None:
    """Take the Alertmanager out of a Prometheus configuration: a demonstration pages nobody, whoever listens there."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    del document["alerting"]
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
