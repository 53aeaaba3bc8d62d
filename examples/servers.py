"""Where the real servers are: on PATH, or unpacked by scripts/servers.sh."""

from pathlib import Path

import yaml

from mlvitals.local.programs import find_program, free_port

__all__ = ("alert_nobody", "find_server", "free_port")

_CACHE = Path(__file__).resolve().parent.parent / ".cache"


def find_server(name: str, *, release: str = "stable") -> str | None:
    """The path of a server program, None where there is none.

    Release ``stable`` means the one on PATH, else Debian stable's; ``sid`` means Prometheus 3 of Debian sid.
    """
    unpacked = _CACHE / ("servers" if release == "stable" else f"servers-{release}") / "usr" / "bin"
    return find_program(name, [unpacked], on_path=release == "stable")


def alert_nobody(config: Path) -> None:
    """Take the Alertmanager out of a Prometheus configuration: a demonstration pages nobody, whoever listens there."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    del document["alerting"]
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
