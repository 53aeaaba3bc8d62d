"""Docker Compose: the whole stack of a system, or of several."""

from collections.abc import Sequence
from posixpath import basename

from mlvitals.generator.compose.image import IGNORED, dockerfile
from mlvitals.generator.compose.mounts import mounts
from mlvitals.generator.compose.network import Member, Network, network_files
from mlvitals.generator.compose.services import compose_file
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.model import Spec

_USE = (
    "docker compose -f stack/{name}/docker-compose.yml up -d --build --wait; then Grafana is on http://127.0.0.1:3000"
)

_NEVER_COMMITTED = "/secrets/\n/wheels/\n/*.env\n"


def member(spec: Spec, signals: Sequence[Signal], path: str) -> Member:
    """Return a system of a stack; `path` is that of its spec, relative to the folder that is written into."""
    return Member(spec, signals, path, mounts(spec, basename(path)))


def stack_files(name: str, members: Sequence[Member], marker: str) -> dict[str, str]:
    """Return the files of a stack: path below ``stack/<name>/`` to text."""
    network = Network(name, tuple(members))
    return {
        "docker-compose.yml": compose_file(network, marker, _USE.format(name=name)),
        "Dockerfile": dockerfile(network, marker),
        ".dockerignore": f"# {marker}\n{IGNORED}",
        ".gitignore": f"# {marker}\n{_NEVER_COMMITTED}",
        **network_files(network, marker),
    }
